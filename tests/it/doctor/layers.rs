//! Settings beside the user's own, which may keep hooks from running: `doctor` and `install` name the file that decides.
//!
//! Managed settings lie at one path for the whole machine, so these tests have an `/etc` of their own. Needs root.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::fixture::Fixture;
use super::{named, report};

const MANAGED: &str = "/etc/claude-code/managed-settings.json";

/// What `doctor` finds of the hooks, and what `install --hooks` prints, where these managed settings count.
#[track_caller]
fn beside(fixture: &Fixture, files: &[(&str, &str)]) -> (Value, String) {
    const SCRIPT: &str = "mount -t tmpfs -o mode=755 none /etc
mkdir -p /etc/claude-code/managed-settings.d
while [ \"$1\" != -- ]; do printf %s \"$2\" >\"$1\"; shift 2; done; shift
exec \"$@\"";
    assert!(
        rustix::process::geteuid().is_root(),
        "this test mounts an /etc of its own: run it as root"
    );
    let run = |arguments: &[&str]| {
        let mut command = fixture.command("unshare");
        command.args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-euc",
            SCRIPT,
            "sh",
        ]);
        command.args(files.iter().flat_map(|(path, text)| [path, text]));
        let program = fixture.program();
        command
            .args(["--", program.to_str().unwrap()])
            .args(arguments);
        command.output().unwrap()
    };
    let check = named(&report(&run(&["doctor", "--json"])), "hooks").clone();
    let install = run(&["install", "--hooks"]);
    assert!(install.status.success(), "{install:?}");
    (check, String::from_utf8(install.stdout).unwrap())
}

/// Both name the file and the member.
#[track_caller]
fn silenced(fixture: &Fixture, files: &[(&str, &str)], path: &str, key: &str) -> String {
    let (check, said) = beside(fixture, files);
    assert_eq!(check["level"], "wrong", "{check}");
    let what = check["what"].as_str().unwrap();
    assert!(what.contains(path) && what.contains(key), "{what}");
    assert!(said.contains(&format!("note: {what}")), "{said}");
    what.to_owned()
}

fn own_hooks(fixture: &Fixture) -> String {
    let text = fs::read_to_string(fixture.settings()).unwrap();
    let settings: Value = serde_json::from_str(&text).unwrap();
    settings["hooks"].to_string()
}

#[test]
fn managed_settings_that_silence_hooks_are_named() {
    let fixture = Fixture::hooked();
    let only = r#"{"allowManagedHooksOnly": true}"#;
    let what = silenced(
        &fixture,
        &[(MANAGED, only)],
        MANAGED,
        "allowManagedHooksOnly",
    );
    assert!(
        what.contains("only hooks in managed settings run"),
        "{what}"
    );
    let disabled = r#"{"disableAllHooks": true}"#;
    silenced(&fixture, &[(MANAGED, disabled)], MANAGED, "disableAllHooks");
    let drop_in = "/etc/claude-code/managed-settings.d/10-hooks.json";
    silenced(
        &fixture,
        &[(MANAGED, "{}"), (drop_in, only)],
        drop_in,
        "allowManagedHooksOnly",
    );

    // Nothing of the kind, an unreadable file, and a key that counts in managed settings only.
    let settings = fs::read_to_string(fixture.settings()).unwrap();
    let with_key = settings.replacen('{', "{\"allowManagedHooksOnly\": true,", 1);
    fs::write(fixture.settings(), with_key).unwrap();
    for text in ["{}", "{", r#"{"allowManagedHooksOnly": false}"#] {
        let (check, said) = beside(&fixture, &[(MANAGED, text)]);
        assert_eq!(check["level"], "ok", "{text}: {check}");
        assert!(!said.contains("note"), "{said}");
    }

    // The hooks are managed themselves, so that they run.
    let hooks = own_hooks(&fixture);
    let managed = format!(r#"{{"allowManagedHooksOnly": true, "hooks": {hooks}}}"#);
    let (check, said) = beside(&fixture, &[(MANAGED, &managed)]);
    assert_eq!(check["level"], "note", "{check}");
    let what = check["what"].as_str().unwrap();
    assert!(what.contains("one of these files is enough"), "{what}");
    assert!(!said.contains("note"), "{said}");
    fs::write(fixture.settings(), "{}").unwrap();
    let (check, _) = beside(&fixture, &[(MANAGED, &managed)]);
    assert_eq!(check["level"], "ok", "{check}");
    let own = fixture.program();
    let moved = managed.replace(own.to_str().unwrap(), "/nowhere/agent-console");
    let (check, _) = beside(&fixture, &[(MANAGED, &moved)]);
    assert_eq!(check["level"], "wrong", "{check}");
    let what = check["what"].as_str().unwrap();
    assert!(
        what.starts_with(MANAGED) && what.contains("cannot be run"),
        "{check}"
    );
}

#[test]
fn settings_that_the_organisation_has_sent_are_named() {
    let fixture = Fixture::hooked();
    let remote = fixture.settings().with_file_name("remote-settings.json");
    fs::write(&remote, r#"{"disableAllHooks": true}"#).unwrap();
    let what = silenced(&fixture, &[], remote.to_str().unwrap(), "disableAllHooks");
    assert!(
        what.contains("only your organisation's administrator"),
        "{what}"
    );
}

#[test]
fn a_projects_settings_are_named_for_the_directory_of_doctor_and_of_a_session() {
    let fixture = Fixture::hooked();
    let _daemon = fixture.daemon();
    let project = |name: &str, file: &str| {
        let file = fixture.0.path().join(name).join(".claude").join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, r#"{"disableAllHooks": true}"#).unwrap();
        file
    };
    // `doctor` runs in the place itself.
    let here = project("", "settings.local.json");
    let what = silenced(&fixture, &[], here.to_str().unwrap(), "disableAllHooks");
    assert!(what.contains("in sessions that start in"), "{what}");
    fixes_by_editing(&fixture, &here);

    let elsewhere = project("work", "settings.json");
    assert_eq!(named(&fixture.run_checks(), "hooks")["level"], "ok");
    let cwd = fixture.0.path().join("work");
    let event = format!(
        r#"{{"hook_event_name":"UserPromptSubmit","session_id":"x","cwd":"{}"}}"#,
        cwd.display()
    );
    fixture.0.hook(std::process::id(), true, &event);
    fixes_by_editing(&fixture, &elsewhere);
}

/// The fix opens an editor; a person takes the member out.
#[track_caller]
fn fixes_by_editing(fixture: &Fixture, file: &Path) {
    let report = fixture.run_checks();
    let check = named(&report, "hooks");
    assert_eq!(check["level"], "wrong", "{check}");
    assert!(
        check["what"]
            .as_str()
            .unwrap()
            .contains(file.to_str().unwrap()),
        "{check}"
    );
    let fix = check["fix"].as_str().unwrap();
    fixture.sh(&format!("EDITOR='sed -i s/true/false/'; {fix}"));
    let report = fixture.run_checks();
    assert_eq!(named(&report, "hooks")["level"], "ok", "{report}");
}
