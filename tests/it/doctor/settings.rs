//! The agents' settings and our own configuration.

use std::fs;

use serde_json::json;

use super::fixture::Fixture;
use super::named;
use crate::support::{copy, program, until, write_codex};

#[test]
fn hooks_that_are_missing_or_call_something_else_are_installed() {
    let fixture = Fixture::new();
    let _daemon = fixture.daemon();
    let install = "agent-console install --hooks";
    fixture.fixes("hooks", "calls no hook of ours", install);
    assert_eq!(fixture.run_checks()["ok"], true);

    // The program has moved.
    let text = fs::read_to_string(fixture.settings()).unwrap();
    let own = fixture.program();
    let own = own.to_str().unwrap();
    fs::write(
        fixture.settings(),
        text.replace(own, "/nowhere/agent-console"),
    )
    .unwrap();
    fixture.fixes(
        "hooks",
        "calls /nowhere/agent-console, which cannot be run",
        install,
    );

    let other = fixture.0.path().join("agent-console");
    copy(program(), &other);
    fs::write(
        fixture.settings(),
        text.replace(own, other.to_str().unwrap()),
    )
    .unwrap();
    fixture.fixes("hooks", "which is not this program", install);

    fs::write(fixture.settings(), text.replace("\"Stop\"", "\"Stopp\"")).unwrap();
    fixture.fixes("hooks", "1 of 18 events missing: Stop", install);
}

#[test]
fn a_status_line_of_ours_that_calls_something_else_is_installed_anew() {
    let fixture = Fixture::hooked();
    let _daemon = fixture.daemon();
    let install = "agent-console install --statusline";
    fixture.sh(install);
    assert_eq!(fixture.run_checks()["ok"], true);

    let text = fs::read_to_string(fixture.settings()).unwrap();
    let called = |program: &str| {
        let own = format!("{} statusline", fixture.program().display());
        let text = text.replace(&own, &format!("{program} statusline"));
        fs::write(fixture.settings(), text).unwrap();
    };
    called("/nowhere/acd");
    fixture.fixes(
        "hooks",
        "the status line calls /nowhere/acd, which cannot be run",
        install,
    );
    let other = fixture.0.path().join("home/agent-console");
    copy(program(), &other);
    called("~/agent-console");
    fixture.fixes("hooks", "which is not this program", install);

    // As a shell finds it, or as only a shell could tell.
    for program in ["agent-console", "$BIN/agent-console"] {
        called(program);
        assert_eq!(fixture.run_checks()["ok"], true);
    }
    // A status line that does not call `statusline` is not checked.
    fs::write(
        fixture.settings(),
        text.replace(" statusline\"", " status\""),
    )
    .unwrap();
    assert_eq!(fixture.run_checks()["ok"], true);
}

#[test]
fn settings_that_only_a_person_may_mend_are_given_to_their_editor() {
    let fixture = Fixture::hooked();
    let _daemon = fixture.daemon();
    let text = fs::read_to_string(fixture.settings()).unwrap();
    let path = fixture.settings();
    let edit = format!("${{EDITOR:-vi}} {}", path.display());
    let by_hand = |part: &str| {
        let report = fixture.run_checks();
        let check = named(&report, "hooks");
        assert!(check["what"].as_str().unwrap().contains(part), "{check}");
        assert_eq!(
            (&check["level"], &check["fix"]),
            (&json!("wrong"), &json!(edit))
        );
        let good = fixture.0.path().join("good");
        fs::write(&good, &text).unwrap();
        fixture.sh(&format!("EDITOR='cp {}'; {edit}", good.display()));
        assert_eq!(fixture.run_checks()["ok"], true);
    };
    fs::write(&path, text.replacen('{', "{\"disableAllHooks\":true,", 1)).unwrap();
    by_hand("disableAllHooks");
    fs::write(&path, format!("{text}\n}}")).unwrap();
    by_hand("settings.json");
}

#[test]
fn a_configuration_that_is_wrong_or_not_in_force_is_told() {
    let fixture = Fixture::hooked();
    fixture.0.configure("idle_timeout = \"2h\"");
    let daemon = fixture.daemon();
    assert_eq!(fixture.run_checks()["ok"], true);

    fixture.0.configure("idle_timeout = \"3h\"");
    let reload = format!("kill -HUP {}", daemon.pid());
    fixture.fixes("config", "changed since the daemon read it", &reload);

    // Refused, and the daemon keeps the old one: both are wrong until the file is right and read again.
    fixture.0.configure("idle_timeout = \"3h\"\nlog = 1");
    daemon.signal("HUP");
    until("the refusal", || {
        let report = fixture.run_checks();
        (named(&report, "notices")["level"] == "wrong").then_some(())
    });
    let report = fixture.run_checks();
    let check = named(&report, "config");
    let file = fixture.0.config_file();
    assert!(
        check["what"]
            .as_str()
            .unwrap()
            .contains("config.toml:2:7: log: ")
    );
    assert_eq!(check["fix"], format!("${{EDITOR:-vi}} {}", file.display()));
    fixture.0.configure("idle_timeout = \"3h\"");
    fixture.fixes("notices", "config.toml:2:7: log: ", &reload);
    assert_eq!(fixture.run_checks()["ok"], true);
}

#[test]
fn a_daemon_with_another_configuration_is_told() {
    let fixture = Fixture::hooked();
    let elsewhere = fixture.0.path().join("elsewhere");
    fs::create_dir_all(elsewhere.join("agent-console")).unwrap();
    fs::write(elsewhere.join("agent-console/config.toml"), "").unwrap();
    let mut command = fixture.command(fixture.program().to_str().unwrap());
    command.arg("daemon").env("XDG_CONFIG_HOME", &elsewhere);
    let _daemon = fixture.0.start(command);
    let part = format!("but the daemon reads {}", elsewhere.display());
    fixture.fixes(
        "config",
        &part,
        "agent-console stop && agent-console daemon --daemonize",
    );
    fixture.stop();
}

/// A second account's directory, found because sessions run there.
#[test]
fn each_configuration_directory_is_checked() {
    let fixture = Fixture::hooked();
    let home = fixture.0.path().join("home");
    fs::create_dir_all(home.join(".claude-work/sessions")).unwrap();
    fixture.0.configure(
        "[agents.claude-code]\nconfig_dirs = [\"/nowhere\"]\n[usage]\nenabled = false\n",
    );
    let _daemon = fixture.daemon();
    let checks = |name: &str| -> Vec<(String, String)> {
        let output = fixture.doctor(&["--json"]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let those = checks.iter().filter(|check| check["name"] == name);
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        those
            .map(|check| (text(&check["level"]), text(&check["what"])))
            .collect()
    };
    let hooks = checks("hooks");
    let levels: Vec<_> = hooks.iter().map(|(level, _)| &**level).collect();
    assert_eq!(levels, ["ok", "wrong", "note"], "{hooks:?}");
    assert!(
        hooks[1]
            .1
            .contains("/.claude-work/settings.json: calls no hook"),
        "{hooks:?}"
    );
    assert!(hooks[2].1.contains("/nowhere"), "{hooks:?}");
    let registry = checks("registry");
    assert_eq!(registry.len(), 2, "{registry:?}");
    assert!(
        registry[1].1.contains("/.claude-work/sessions"),
        "{registry:?}"
    );

    fixture.sh("agent-console install --hooks");
    let levels: Vec<_> = checks("hooks")
        .into_iter()
        .map(|(level, _)| level)
        .collect();
    assert_eq!(levels, ["ok", "ok", "note"]);
}

/// A person, or a tool of theirs, has written another status line since.
#[test]
fn a_status_line_that_was_replaced_is_noted() {
    let fixture = Fixture::new();
    let line = |command: &str| {
        let text = fs::read_to_string(fixture.settings()).unwrap_or_else(|_| "{}".to_owned());
        let mut settings: serde_json::Value = serde_json::from_str(&text).unwrap();
        settings["statusLine"] = json!({"type": "command", "command": command});
        fs::write(fixture.settings(), settings.to_string()).unwrap();
    };
    line("~/old.sh");
    fixture.sh("agent-console install --hooks --statusline");
    for fix in [
        "agent-console install --statusline",
        "agent-console uninstall --statusline",
    ] {
        line("~/new.sh");
        let report = fixture.run_checks();
        let check = named(&report, "hooks");
        assert_eq!(check["level"], "note", "{check}");
        assert!(
            check["what"].as_str().unwrap().contains("is gone"),
            "{check}"
        );
        assert_eq!(check["fix"], "agent-console install --statusline");
        fixture.sh(fix);
        assert_eq!(named(&fixture.run_checks(), "hooks")["level"], "ok");
    }
    let settings = fs::read_to_string(fixture.settings()).unwrap();
    assert!(settings.contains("\"~/new.sh\""), "{settings}");
}

/// Of an agent whose hooks are in a file of their own.
#[test]
fn a_file_of_the_installers_own_is_written_anew() {
    let fixture = Fixture::hooked();
    let directory = fixture.0.path().join("home/.copilot");
    fs::create_dir(&directory).unwrap();
    fixture.sh("agent-console install --hooks");
    let file = directory.join("hooks/agent-console.json");
    let check = || {
        let output = fixture.doctor(&["--json"]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let is_it = |check: &&serde_json::Value| {
            check["name"] == "hooks" && check["what"].as_str().unwrap().contains(".copilot")
        };
        checks.iter().find(is_it).unwrap().clone()
    };
    assert_eq!(check()["level"], "ok", "{}", check());
    let written = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    fixture.sh(check()["fix"].as_str().unwrap());
    assert_eq!(fs::read_to_string(&file).unwrap(), written);
    fs::write(&file, written.replace("timeoutSec", "timeout")).unwrap();
    assert_eq!(check()["level"], "wrong", "{}", check());
    fixture.sh(check()["fix"].as_str().unwrap());
    assert_eq!(fs::read_to_string(&file).unwrap(), written);
    assert_eq!(check()["level"], "ok", "{}", check());
}

/// Of an agent that runs only hooks that a person trusts.
#[test]
fn hooks_that_the_agent_does_not_trust_are_trusted() {
    let fixture = Fixture::hooked();
    let directory = fixture.0.path().join("home/.codex");
    fs::create_dir(&directory).unwrap();
    write_codex(&fixture.0.path().join("bin"));
    fixture.sh("agent-console install --hooks");
    let check = || {
        let output = fixture.doctor(&["--json"]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let is_it = |check: &&serde_json::Value| {
            check["name"] == "hooks" && check["what"].as_str().unwrap().contains(".codex")
        };
        checks.iter().find(is_it).unwrap().clone()
    };
    // Again and again: on a busy machine the stand-in may take longer than `doctor` waits.
    let is = |level: &str, what: &str| {
        until(what, || {
            let check = check();
            let is_it = check["what"].as_str().unwrap().contains(what);
            (check["level"] == level && is_it).then_some(check)
        })
    };
    let untrusted = is("wrong", "Codex CLI does not trust 13 of 13 hooks");
    assert_eq!(untrusted["fix"], "agent-console install --hooks --trust");
    fixture.sh(untrusted["fix"].as_str().unwrap());
    is("ok", "and Codex CLI trusts all 13 hooks");

    let file = directory.join("hooks.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replacen("\"timeout\"", "\"more\": 1, \"timeout\"", 1),
    )
    .unwrap();
    let changed = "does not trust 1 of 13 hooks, 1 of them changed since you did";
    let fix = is("wrong", changed)["fix"].clone();
    fixture.sh(fix.as_str().unwrap());
    is("ok", "trusts all 13 hooks");

    for (mode, what) in [
        ("off", "13 of 13 hooks are switched off in Codex CLI"),
        ("ends", "is not known: `codex app-server` ended"),
        ("silent", "did not answer within 5 s"),
    ] {
        fs::write(directory.join("mode"), mode).unwrap();
        let check = is("note", what);
        assert_eq!(check.get("fix"), None, "{check}");
    }
}
