//! `doctor` beside a manager: right after `install`, and each fault fixed by the command that it names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::machine::{Machine, SERVICE, SOCKET, SOCKET_PATH, beside_a_manager};
use crate::doctor::{named, report};
use crate::reexec::this_test;
use crate::support::{copy, until};

/// As a person types it, with the program in the `PATH`.
#[track_caller]
fn sh(line: &str) {
    let home = std::env::home_dir().unwrap();
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("sh")
        .args(["-c", line])
        .env("PATH", format!("{}/.cargo/bin:{path}", home.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
}

/// Where Claude Code has run; the machine's own units, which are root's files, go first.
#[track_caller]
fn install() -> PathBuf {
    let home = std::env::home_dir().unwrap();
    fs::create_dir_all(home.join(".claude/sessions")).unwrap();
    for unit in [SOCKET, SERVICE] {
        fs::remove_file(home.join(".config/systemd/user").join(unit)).unwrap();
    }
    sh("agent-console install");
    home
}

#[track_caller]
fn run_checks(machine: &Machine) -> Value {
    report(&machine.program(&["doctor", "--json"]))
}

#[track_caller]
fn fixes(machine: &Machine, name: &str, part: &str, fix: &str) {
    let report = run_checks(machine);
    let check = named(&report, name);
    assert_eq!(check["level"], "wrong", "{report}");
    assert!(check["what"].as_str().unwrap().contains(part), "{check}");
    assert_eq!(check["fix"], fix);
    sh(fix);
    is_right(machine);
}

#[track_caller]
fn is_right(machine: &Machine) {
    until("doctor to find all right", || {
        (run_checks(machine)["ok"] == true).then_some(())
    });
}

#[test]
fn what_install_put_in_place_is_right_and_what_breaks_is_fixed() {
    beside_a_manager(this_test!(), |machine| {
        let home = install();

        // Nothing runs yet: the connection starts it.
        let report = run_checks(machine);
        assert_eq!(report["ok"], true, "{report}");
        let what = |name| named(&report, name)["what"].as_str().unwrap().to_owned();
        for check in report["checks"].as_array().unwrap() {
            let levels: &[&str] = match check["name"].as_str().unwrap() {
                // Lingering is off for this user.
                "service" => &["note"],
                // On a busy machine a hook is slow.
                "latency" => &["ok", "note"],
                _ => &["ok"],
            };
            let level = check["level"].as_str().unwrap();
            assert!(levels.contains(&level), "{report}");
        }
        assert!(
            what("service").contains("systemd holds the socket until your last logout"),
            "{report}"
        );
        let held = format!("{SOCKET_PATH} (default), mine, 0600, held by systemd (process ");
        assert!(what("socket").starts_with(&held), "{report}");
        assert!(
            what("daemon").contains("started by this connection"),
            "{report}"
        );
        assert_eq!(what("log"), "journalctl --user -u agent-console");

        let install = "agent-console install --service";
        machine.systemctl(&["stop", SOCKET, SERVICE]);
        fixes(
            machine,
            "service",
            "systemd does not hold the socket",
            install,
        );
        machine.systemctl(&["stop", SOCKET, SERVICE]);
        fixes(machine, "socket", "there is no socket", install);
        machine.systemctl(&["disable", SOCKET]);
        let enable = format!("systemctl --user enable {SOCKET}");
        fixes(machine, "service", "not after the next login", &enable);

        // The socket file is removed, with and without a daemon.
        let restart = format!("systemctl --user restart {SOCKET}");
        fs::remove_file(SOCKET_PATH).unwrap();
        fixes(machine, "socket", "there is no socket", &restart);
        machine.systemctl(&["stop", SERVICE]);
        fs::remove_file(SOCKET_PATH).unwrap();
        fixes(machine, "socket", "there is no socket", &restart);

        let units = home.join(".config/systemd/user");
        // Whether or not the manager has noticed.
        fs::remove_file(units.join(SERVICE)).unwrap();
        fixes(
            machine,
            "service",
            "not installed: agent-console.service",
            install,
        );

        // The user's own, and no good.
        let unit = units.join(SOCKET);
        let text = fs::read_to_string(&unit).unwrap();
        fs::write(&unit, text.replace("/agent-console.sock", "/other.sock")).unwrap();
        machine.systemctl(&["daemon-reload"]);
        let away = format!("mv {0} {0}.old && {install}", unit.display());
        fixes(
            machine,
            "service",
            "not as this version writes it: agent-console.socket",
            &away,
        );

        // A shell's own socket is none of the manager's business.
        sh("AGENT_CONSOLE_SOCKET=/tmp/own agent-console doctor | grep '^note *service'");

        // An update replaces the file; the old daemon runs on.
        let service = home.join(".cargo/bin/agent-consoled");
        run_checks(machine);
        replace(&service);
        let restart = format!("systemctl --user restart {SERVICE}");
        fixes(machine, "daemon", "was replaced since it started", &restart);

        // The manager's environment names another configuration.
        machine.configure("");
        machine.systemctl(&["set-environment", "XDG_CONFIG_HOME=/tmp"]);
        machine.systemctl(&["restart", SERVICE]);
        let unset = format!("systemctl --user unset-environment XDG_CONFIG_HOME && {restart}");
        fixes(
            machine,
            "config",
            "but the daemon reads /tmp/agent-console",
            &unset,
        );

        machine.configure("idle_timeout = \"2h\"");
        let reload = format!("systemctl --user reload {SERVICE}");
        fixes(
            machine,
            "config",
            "changed since the daemon read it",
            &reload,
        );
    });
}

fn replace(program: &Path) {
    let new = program.with_extension("new");
    copy(program, &new);
    fs::rename(new, program).unwrap();
}

#[test]
fn a_daemon_that_fails_each_time_is_told_from_one_that_is_not_there() {
    beside_a_manager(this_test!(), |machine| {
        let home = install();
        machine.configure("log = 1");
        let report = run_checks(machine);
        let level = |name| named(&report, name)["level"].as_str().unwrap();
        assert_eq!(
            (level("socket"), level("daemon")),
            ("ok", "wrong"),
            "{report}"
        );
        assert_eq!(level("config"), "wrong", "{report}");
        machine.configure("");
        is_right(machine);

        // A daemon that does not even begin: the manager gives up, and is asked to begin anew.
        machine.drop_in(
            SERVICE,
            "[Service]\nType=exec\nExecStart=\nExecStart=/bin/true\n",
        );
        machine.systemctl(&["daemon-reload"]);
        machine.systemctl(&["stop", SERVICE]);
        until("the trigger limit", || {
            let _ = machine.program(&["status"]);
            (machine.property(SOCKET, "ActiveState") == "failed").then_some(())
        });
        let drop_in = home.join(".config/systemd/user/agent-console.service.d");
        fs::remove_dir_all(drop_in).unwrap();
        fixes(
            machine,
            "service",
            "systemd does not hold the socket",
            "agent-console install --service",
        );
    });
}
