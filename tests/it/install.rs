//! `install` and `uninstall`: the files that they leave, what they print, and that the first command afterwards finds a
//! daemon.
//!
//! With a real systemd user manager, as its user, in a home with nothing but the program; and without a manager.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::reexec::{self, this_test};
use crate::support::{Place, broken_pipe, hook_program, program, service, until, write_codex};

mod agents;
mod home;
mod places;
#[cfg(target_os = "linux")]
mod socket;
mod status_line;
mod trust;
mod units;

use home::{as_user, listing};

/// Settings as people write them.
const SETTINGS: [&str; 5] = [
    "{}",
    "{\n  \"model\": \"opus\",\n  \"permissions\": {\"allow\": [\"Bash(ls:*)\"], \"deny\": []}\n}\n",
    "{\r\n\t\"hooks\": {\r\n\t\t\"Stop\": [\r\n\t\t\t{\"hooks\": [{\"type\": \"command\", \"command\": \"notify-send Fertig für heute 日本\"}]}\r\n\t\t]\r\n\t}\r\n}\r\n",
    "{ \"hooks\" : { } , \"env\":{\"A\":\"1\"} }",
    "",
];

fn shown(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{err}")
}

/// Claude Code's settings in a place's home.
fn settings(place: &Place) -> PathBuf {
    let directory = place.path().join("home/.claude");
    fs::create_dir_all(&directory).unwrap();
    directory.join("settings.json")
}

#[test]
fn hooks_are_installed_and_uninstalled_byte_for_byte() {
    for text in SETTINGS {
        let place = Place::new();
        let file = settings(&place);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let before = listing(place.path());

        let said = place.ok(&["install", "--hooks", "--dry-run"]);
        assert!(
            said.contains("+++ ") && said.contains("UserPromptSubmit"),
            "{said}"
        );
        assert_eq!(listing(place.path()), before, "a dry run changes nothing");

        let said = place.ok(&["install", "--hooks"]);
        assert!(
            said.contains("changed ") && said.contains("settings.json"),
            "{said}"
        );
        let installed: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let hook = &installed["hooks"]["UserPromptSubmit"][0]["hooks"][0];
        assert_eq!(
            hook["command"],
            hook_program().to_str().unwrap(),
            "{installed}"
        );
        assert_eq!(hook["args"], json!(["hook", "claude-code"]), "{installed}");
        let after = listing(place.path());
        assert_eq!(place.ok(&["install", "--hooks"]), "hooks: nothing to do\n");
        assert_eq!(listing(place.path()), after);

        place.ok(&["uninstall", "--hooks"]);
        assert_eq!(listing(place.path()), before, "{text}");
        assert_eq!(
            place.ok(&["uninstall", "--hooks"]),
            "hooks: nothing to do\n"
        );
    }
}

/// `uninstall` restores hooks that a person wrote, and prints how to remove them.
#[test]
fn hooks_written_by_hand_are_restored_and_removed_by_a_second_uninstall() {
    let place = Place::new();
    let file = settings(&place);
    let by_hand = json!({"hooks": {"Stop": [{"hooks": [
        {"type": "command", "command": "/opt/agent-console", "args": ["hook", "claude-code"]},
    ]}]}});
    let text = serde_json::to_string_pretty(&by_hand).unwrap();
    fs::write(&file, &text).unwrap();
    place.ok(&["install", "--hooks"]);
    let said = place.ok(&["uninstall", "--hooks"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    assert!(
        said.contains("still call /opt/agent-console") && said.contains("once more"),
        "{said}"
    );
    let said = place.ok(&["uninstall", "--hooks"]);
    assert!(!said.contains("note"), "{said}");
    assert!(!fs::read_to_string(&file).unwrap().contains("agent-console"));
}

#[test]
fn settings_that_are_no_json_are_not_changed_and_the_place_is_named() {
    let place = Place::new();
    let file = settings(&place);
    fs::write(&file, "{\n  \"model\": \"opus\",,\n}\n").unwrap();
    let before = listing(place.path());
    for arguments in [["install", "--hooks"], ["uninstall", "--hooks"]] {
        let output = place.run(&arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = shown(&output);
        assert!(said.contains("settings.json:2:19"), "{said}");
        assert_eq!(listing(place.path()), before);
    }
}

#[test]
fn a_closed_pipe_leaves_no_half_installation() {
    let place = Place::new();
    let file = settings(&place);
    let mut command = place.command(["install", "--hooks"]);
    let output = command.stdout(broken_pipe()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(file.exists());
    assert_eq!(place.ok(&["install", "--hooks"]), "hooks: nothing to do\n");
}

#[test]
fn without_a_manager_it_prints_how_to_start_the_daemon() {
    let place = Place::new();
    let said = place.ok(&["install", "--service", "--dry-run"]);
    assert!(
        said.contains("no service manager") && said.contains("`agent-console daemon --daemonize`"),
        "{said}"
    );
    // The environment's socket holds for this shell only.
    assert!(said.contains("AGENT_CONSOLE_SOCKET="), "{said}");
    assert_eq!(
        place.ok(&["uninstall", "--service"]),
        "service: nothing to do\n"
    );
    let _daemon = place.daemon();
    let said = place.ok(&["uninstall", "--service"]);
    assert!(said.contains("`agent-console stop` ends it"), "{said}");
}

#[test]
fn a_system_error_is_printed_once() {
    let place = Place::new();
    let nowhere = place.path().join("file");
    fs::write(&nowhere, "").unwrap();
    let output = place
        .command(["install", "--hooks"])
        .env("CLAUDE_CONFIG_DIR", nowhere.join("claude"))
        .output()
        .unwrap();
    let said = shown(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("agent-console: hooks: ") && said.contains("file"),
        "{said}"
    );
    assert_eq!(said.matches("os error").count(), 1, "{said}");
}

#[test]
fn one_part_is_done_when_the_other_fails() {
    let place = Place::new();
    let file = settings(&place);
    fs::write(&file, "{}\n").unwrap();
    place.configure("idle_timeout = 5\n");
    let output = place.run(&["install"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = shown(&output);
    assert!(
        said.contains("service: ") && said.contains("config.toml:1:16"),
        "{said}"
    );
    assert!(
        said.contains("changed ") && fs::read_to_string(&file).unwrap().contains("hooks"),
        "{said}"
    );

    fs::write(&file, "{").unwrap();
    let output = place.run(&["install"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = shown(&output);
    assert!(
        said.contains("service: ") && said.contains("hooks: "),
        "{said}"
    );
}

#[test]
fn root_by_sudo_gets_a_note_on_the_home() {
    let place = Place::new();
    let output = place
        .command(["install", "--service", "--dry-run"])
        .env("SUDO_USER", "ada")
        .output()
        .unwrap();
    let said = shown(&output);
    assert!(
        output.status.success() && said.contains("for ada run it without sudo"),
        "{said}"
    );
    assert!(
        said.contains(place.path().join("home").to_str().unwrap()),
        "{said}"
    );
}

/// The whole of it, as the README says.
#[test]
fn after_install_a_command_finds_a_daemon_and_after_uninstall_nothing_is_left() {
    as_user(this_test!(), ":", |user| {
        fs::create_dir(user.home.join(".claude")).unwrap();
        let settings = user.home.join("dotfiles.json");
        fs::write(&settings, SETTINGS[1]).unwrap();
        symlink("../dotfiles.json", user.home.join(".claude/settings.json")).unwrap();
        let before = listing(&user.home);

        let said = user.ok(&["install", "--dry-run"]);
        assert!(
            said.contains("+ListenStream=/tmp/agent-console.sock"),
            "{said}"
        );
        assert!(
            said.contains("would run systemctl --user enable --now agent-console.socket"),
            "{said}"
        );
        assert!(said.contains("settings.json"), "{said}");
        assert_eq!(listing(&user.home), before, "a dry run changes nothing");
        assert_eq!(
            user.property("agent-console.socket", "LoadState"),
            "not-found"
        );

        user.ok(&["install"]);
        assert_eq!(user.json(&["list", "--json"]), json!([]));
        assert_eq!(user.json(&["status", "--json"])["origin"], "systemd");
        user.hook("1");
        let after = listing(&user.home);
        let daemon = user.json(&["status", "--json"])["pid"].clone();
        assert_eq!(
            user.ok(&["install"]),
            "service: nothing to do\nhooks: nothing to do\n"
        );
        assert_eq!(listing(&user.home), after);
        assert_eq!(
            user.json(&["status", "--json"])["pid"],
            daemon,
            "still the same"
        );

        user.ok(&["uninstall"]);
        assert_eq!(listing(&user.home), before);
        assert_eq!(
            user.property("agent-console.socket", "LoadState"),
            "not-found"
        );
        assert_eq!(
            user.property("agent-console.service", "LoadState"),
            "not-found"
        );
        assert!(!Path::new("/tmp/agent-console.sock").exists());
        assert_eq!(user.program(&["list"]).status.code(), Some(3));
        assert_eq!(
            user.ok(&["uninstall"]),
            "service: nothing to do\nhooks and status line: nothing to do\n"
        );
        assert_eq!(listing(&user.home), before);
    });
}

const OTHERS_SOCKET: &str =
    "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"/tmp/agent-console.sock\")'
chown 4712 /tmp/agent-console.sock";

#[test]
fn if_another_user_has_the_path_all_use_one_in_the_runtime_directory() {
    as_user(this_test!(), OTHERS_SOCKET, |user| {
        let config = user.home.join(".config/agent-console/config.toml");
        let own = format!(
            "/run/user/{}/agent-console.sock",
            rustix::process::getuid().as_raw()
        );
        for text in [
            None,
            Some("# mine\nhistory = 5\n\n[usage]\ninterval = \"5min\"\n"),
            Some(""),
        ] {
            if let Some(text) = text {
                fs::create_dir_all(config.parent().unwrap()).unwrap();
                fs::write(&config, text).unwrap();
            }
            let before = listing(&user.home);
            let said = user.ok(&["install", "--service"]);
            assert!(
                said.contains("/tmp/agent-console.sock belongs to user 4712"),
                "{said}"
            );
            assert!(
                fs::read_to_string(&config)
                    .unwrap()
                    .ends_with(text.unwrap_or("\n"))
            );
            // The directory's own path would be wrong on another machine with this home.
            assert!(
                fs::read_to_string(&config)
                    .unwrap()
                    .contains("\nsocket = \"$XDG_RUNTIME_DIR/agent-console.sock\"\n")
            );
            user.ok(&["config", "check"]);
            assert_eq!(user.json(&["list", "--json"]), json!([]));
            let status = user.json(&["status", "--json"]);
            assert_eq!(
                (&status["socket"], &status["origin"]),
                (&json!(own), &json!("systemd"))
            );
            user.hook("1");
            until("the hook's report", || {
                (user.json(&["status", "--json"])["reports"] == 1).then_some(())
            });
            // The next service would know it.
            user.ok(&["remove", "x"]);
            assert_eq!(
                user.ok(&["install", "--service"]),
                "service: nothing to do\n"
            );
            user.ok(&["uninstall", "--service"]);
            assert_eq!(listing(&user.home), before);
            assert!(!Path::new(&own).exists());
        }
        assert_eq!(
            fs::symlink_metadata("/tmp/agent-console.sock")
                .unwrap()
                .uid(),
            4712
        );
    });
}

#[test]
fn the_service_uses_the_configured_socket() {
    as_user(this_test!(), ":", |user| {
        let config = user.home.join(".config/agent-console/config.toml");
        fs::create_dir_all(config.parent().unwrap()).unwrap();
        fs::write(&config, "socket = \"/tmp/with blank 100%.sock\"\n").unwrap();
        let before = listing(&user.home);
        user.ok(&["install", "--service"]);
        let status = user.json(&["status", "--json"]);
        assert_eq!(status["socket"], "/tmp/with blank 100%.sock");
        assert_eq!(status["origin"], "systemd");

        // Moved while it runs.
        fs::write(&config, "socket = \"/tmp/elsewhere.sock\"\n").unwrap();
        user.ok(&["install", "--service"]);
        assert_eq!(
            user.json(&["status", "--json"])["socket"],
            "/tmp/elsewhere.sock"
        );
        assert!(!Path::new("/tmp/with blank 100%.sock").exists());
        fs::write(&config, "socket = \"/tmp/with blank 100%.sock\"\n").unwrap();

        user.ok(&["uninstall", "--service"]);
        assert_eq!(listing(&user.home), before);
    });
}

#[test]
fn a_socket_given_at_install_is_used_by_all() {
    as_user(this_test!(), ":", |user| {
        let before = listing(&user.home);
        user.ok(&["--socket", "/tmp/mine.sock", "install", "--service"]);
        let status = user.json(&["status", "--json"]);
        assert_eq!(
            (&status["socket"], &status["origin"]),
            (&json!("/tmp/mine.sock"), &json!("systemd"))
        );
        // From now on it is the configuration's.
        assert_eq!(
            user.ok(&["install", "--service"]),
            "service: nothing to do\n"
        );
        let output = user.program(&["--socket", "/tmp/other.sock", "install", "--service"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            shown(&output).contains("/tmp/mine.sock differ"),
            "{}",
            shown(&output)
        );
        user.ok(&["uninstall", "--service"]);
        assert_eq!(listing(&user.home), before);
    });
}

#[test]
fn the_service_takes_over_from_a_daemon_started_by_hand() {
    as_user(this_test!(), ":", |user| {
        let pid = user.ok(&["daemon", "--daemonize"]);
        assert_eq!(user.json(&["status", "--json"])["origin"], "self-bound");
        let said = user.ok(&["install", "--service"]);
        assert!(said.contains("was started by hand"), "{said}");
        assert!(!Path::new(&format!("/proc/{}", pid.trim())).exists());
        assert_eq!(user.json(&["status", "--json"])["origin"], "systemd");
        user.ok(&["uninstall", "--service"]);
    });
}
