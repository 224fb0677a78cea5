//! `doctor` on the real program: nothing wrong where nothing is, each fault named with the command that fixes it, and
//! that command run as a person would.

#[cfg(target_os = "linux")]
mod fixes;
mod fixture;
#[cfg(target_os = "linux")]
mod layers;
mod settings;
#[cfg(target_os = "linux")]
mod squatted;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::fixture::Fixture;
use crate::support::{PROMPT, Place, write_program};
#[cfg(target_os = "linux")]
use crate::support::{copy, service};

const NAMES: [&str; 13] = [
    "programs", "service", "socket", "daemon", "notices", "config", "log", "notify", "hooks",
    "latency", "registry", "versions", "sessions",
];

/// What was printed fits the exit status.
#[track_caller]
pub fn report(output: &Output) -> Value {
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let checks = report["checks"].as_array().unwrap();
    let names: Vec<_> = checks.iter().map(|check| check["name"].as_str()).collect();
    assert_eq!(names, NAMES.map(Some));
    let wrong = checks.iter().any(|check| check["level"] == "wrong");
    assert_eq!(report["ok"], !wrong, "{report}");
    assert_eq!(output.status.code(), Some(i32::from(wrong)), "{output:?}");
    report
}

pub fn named<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap()
}

#[test]
fn where_nothing_is_wrong_it_says_so() {
    let fixture = Fixture::hooked();
    let _daemon = fixture.daemon();
    let output = fixture.doctor(&[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(output.stderr.is_empty(), "{:?}", output.stderr);
    // No manager is asked without `XDG_RUNTIME_DIR`, and a daemon by hand is as good.
    for (line, name) in text.lines().zip(NAMES) {
        let levels: &[&str] = match name {
            "service" => &["note"],
            // On a busy machine a hook is slow.
            "latency" => &["ok", "note"],
            _ => &["ok"],
        };
        let begins = |level: &&str| line.starts_with(&format!("{level:5}  {name:8}  "));
        assert!(levels.iter().any(begins), "{line}");
    }
    assert_eq!(text.lines().count(), NAMES.len(), "{text}");
    let socket = fixture.0.socket();
    let held = format!(
        "{} (environment), mine, 0600, held by the daemon itself",
        socket.display()
    );
    assert!(text.contains(&held), "{text}");
    assert_eq!(fixture.run_checks()["ok"], true);
}

#[test]
fn nothing_it_does_reaches_the_daemon_as_an_event() {
    let fixture = Fixture::hooked();
    let _daemon = fixture.daemon();
    fixture.run_checks();
    let status = fixture.0.json(&["status", "--json"]);
    assert_eq!(status["reports"], 0, "{status}");
    let list = fixture.0.json(&["list", "--json"]);
    assert_eq!(list, json!([]));
}

#[test]
fn without_a_daemon_it_says_how_to_start_one() {
    let fixture = Fixture::hooked();
    let start = "agent-console daemon --daemonize";
    fixture.fixes("socket", "there is no socket", start);
    assert_eq!(fixture.run_checks()["ok"], true);
    fixture.stop();

    // What a killed daemon leaves behind.
    drop(UnixListener::bind(fixture.0.socket()).unwrap());
    fixture.fixes("socket", "no process listens", start);
    fixture.stop();

    fs::write(fixture.0.socket(), "mine").unwrap();
    let path = fixture.0.socket();
    let away = format!("mv {0} {0}.old", path.display());
    let report = fixture.run_checks();
    assert_eq!(named(&report, "socket")["fix"], away, "{report}");
    fixture.sh(&away);
    fixture.fixes("socket", "there is no socket", start);
    fixture.stop();
}

#[test]
fn a_program_without_its_service_is_noted_and_one_of_another_version_is_wrong() {
    let fixture = Fixture::hooked();
    fs::remove_file(fixture.service()).unwrap();
    let _daemon = fixture.daemon();
    let report = fixture.run_checks();
    let check = named(&report, "programs");
    assert_eq!(check["level"], "note", "{check}");
    let missing = format!("no agent-consoled beside {}", fixture.program().display());
    assert!(
        check["what"].as_str().unwrap().contains(&missing),
        "{check}"
    );
    assert_eq!(named(&report, "daemon")["level"], "ok", "{report}");

    write_program(&fixture.service(), "#!/bin/sh\necho agent-consoled 0.0.9\n");
    let report = fixture.run_checks();
    let check = named(&report, "programs");
    assert_eq!(check["level"], "wrong", "{check}");
    let what = check["what"].as_str().unwrap();
    assert!(what.contains("is of version 0.0.9"), "{check}");
}

#[test]
fn a_socket_open_to_others_is_closed() {
    let fixture = Fixture::hooked();
    let _daemon = fixture.daemon();
    let path = fixture.0.socket();
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    let fix = format!("chmod 600 {}", path.display());
    fixture.fixes("socket", "has mode 0666", &fix);
}

#[test]
fn a_flag_goes_into_the_commands() {
    let fixture = Fixture::hooked();
    let other = fixture.0.path().join("a b");
    let report = report(&fixture.doctor(&["--json", "--socket", other.to_str().unwrap()]));
    let fix = format!(
        "agent-console daemon --daemonize --socket '{}'",
        other.display()
    );
    assert_eq!(named(&report, "socket")["fix"], fix, "{report}");
    let bad = report_of_variable(&fixture, "relative");
    assert!(
        bad["what"]
            .as_str()
            .unwrap()
            .contains("not an absolute path")
    );
    is_unset(&bad);
}

/// The command begins by taking the variable away; whether more is needed is up to the default path.
#[track_caller]
pub fn is_unset(check: &Value) {
    let fix = check["fix"].as_str().unwrap();
    let rest = fix.strip_prefix("unset AGENT_CONSOLE_SOCKET").unwrap();
    assert!(rest.is_empty() || rest.starts_with(" && "), "{check}");
}

#[track_caller]
fn report_of_variable(fixture: &Fixture, value: &str) -> Value {
    let mut doctor = fixture.command(fixture.program().to_str().unwrap());
    doctor
        .args(["doctor", "--json"])
        .env("AGENT_CONSOLE_SOCKET", value);
    named(&report(&doctor.output().unwrap()), "socket").clone()
}

#[cfg(target_os = "linux")]
#[test]
fn a_daemon_whose_program_was_replaced_is_restarted() {
    let fixture = Fixture::hooked();
    let _daemon = fixture.daemon();
    let new = fixture.0.path().join("new");
    copy(service(), &new);
    fs::rename(new, fixture.service()).unwrap();
    fixture.fixes(
        "daemon",
        "its program was replaced since it started",
        "agent-console stop && agent-console daemon --daemonize",
    );
    fixture.stop();
}

#[test]
fn a_daemon_that_hangs_is_replaced_and_not_waited_for() {
    let fixture = Fixture::hooked();
    let daemon = fixture.daemon();
    daemon.signal("STOP");
    let began = Instant::now();
    let report = fixture.run_checks();
    assert!(began.elapsed() < PROMPT);
    assert_eq!(named(&report, "daemon")["level"], "wrong");
    let fix = format!(
        "kill -9 {} && sleep 1 && agent-console daemon --daemonize",
        daemon.pid()
    );
    assert_eq!(named(&report, "daemon")["fix"], fix, "{report}");
    fixture.sh(&fix);
    assert_eq!(fixture.run_checks()["ok"], true);
    fixture.stop();
}

/// What a daemon would say, line by line, to one client after the other.
fn stand_in(place: &Place, hello: Value, snapshot: Value) {
    let listener = UnixListener::bind(place.socket()).unwrap();
    fs::set_permissions(place.socket(), Permissions::from_mode(0o600)).unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = BufReader::new(client.unwrap());
            let mut line = String::new();
            while client.read_line(&mut line).is_ok_and(|count| count > 0) {
                let request: Value = serde_json::from_str(&line).unwrap();
                let result = match request["method"].as_str().unwrap() {
                    "hello" => hello.clone(),
                    "daemon.status" => json!({
                        "pid": 1, "version": "x", "protocol": 1, "origin": hello["origin"], "socket": "/s",
                        "uptime_ms": 90_000, "sessions": {}, "dashboards": 0, "seq": 0, "reports": 0,
                        "idle_timeout_ms": 3_600_000
                    }),
                    _ => snapshot.clone(),
                };
                let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": result});
                if writeln!(client.get_mut(), "{answer}").is_err() {
                    break;
                }
                line.clear();
            }
        }
    });
}

#[test]
fn an_old_daemon_is_named_and_its_words_are_made_harmless() {
    let fixture = Fixture::hooked();
    let session = json!({
        "key": "k", "agent": "claude-code", "session_id": "i", "status": "working", "since": 2, "started_at": 1,
        "title": "\u{1b}[2Jtitle", "cwd": "/w", "evidence": [{"kind": "registry", "at": 2, "what": "busy"}],
        "history": [{"status": "idle", "at": 1}, {"status": "working", "at": 2}]
    });
    let notice = json!({"at": 1, "code": "log_failed", "message": "no room\u{9b}"});
    stand_in(
        &fixture.0,
        json!({"protocol": 1, "version": "0.0.1\u{1b}[31m", "pid": 0, "origin": "self-bound"}),
        json!({"seq": 0, "sessions": [session], "notices": [notice]}),
    );
    let output = fixture.doctor(&["--json"]);
    let report = report(&output);
    let level = |name| named(&report, name)["level"].as_str().unwrap();
    let what = |name| named(&report, name)["what"].as_str().unwrap();
    assert_eq!(level("daemon"), "wrong");
    assert!(what("daemon").starts_with("version 0.0.1\u{fffd}[31m runs"));
    assert_eq!(
        (level("notices"), what("notices")),
        ("note", "no room\u{fffd}")
    );
    assert_eq!(level("sessions"), "wrong");
    assert!(what("sessions").ends_with("k (\u{fffd}[2Jtitle)"));
    assert_eq!(
        named(&report, "sessions")["fix"],
        "cd /w && claude --resume i"
    );
    let text = String::from_utf8(fixture.doctor(&[]).stdout).unwrap();
    assert!(
        text.contains("\n       fix: cd /w && claude --resume i\n"),
        "{text}"
    );
    assert!(!text.contains(['\u{1b}', '\u{9b}']), "{text:?}");
}

#[test]
fn one_that_never_comes_to_an_end_is_not_waited_for() {
    let fixture = Fixture::hooked();
    let listener = UnixListener::bind(fixture.0.socket()).unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            std::thread::spawn(move || {
                while client.write_all(b" ").is_ok() {
                    std::thread::sleep(Duration::from_millis(100));
                }
            });
        }
    });
    fs::set_permissions(fixture.0.socket(), Permissions::from_mode(0o600)).unwrap();
    let began = Instant::now();
    let report = fixture.run_checks();
    assert!(began.elapsed() < PROMPT);
    let check = named(&report, "daemon");
    assert_eq!(check["what"], "it does not answer within 2 s", "{report}");
}

/// An ordinary user's, whom file modes keep out.
fn as_user(fixture: &Fixture, uid: u32, program: &str) -> Command {
    let mut command = fixture.command(program);
    command.uid(uid).gid(uid).current_dir("/");
    command
}

#[test]
fn a_registry_that_cannot_be_read_is_opened_and_a_foreign_socket_named() {
    const OWNER: u32 = 4711;
    const OTHER: u32 = 4712;
    assert!(
        rustix::process::geteuid().is_root(),
        "this test runs programs as other users: run it as root"
    );
    let fixture = Fixture::new();
    let base = fixture.0.path();
    fs::set_permissions(base, Permissions::from_mode(0o1777)).unwrap();
    let give = |path: &Path| chown(path, Some(OWNER), Some(OWNER)).unwrap();
    let sessions = base.join("home/.claude/sessions");
    for path in [&base.join("home"), &base.join("home/.claude"), &sessions] {
        give(path);
    }
    fs::set_permissions(&sessions, Permissions::from_mode(0o000)).unwrap();
    let doctor = |uid| {
        let mut doctor = as_user(&fixture, uid, fixture.program().to_str().unwrap());
        report(&doctor.args(["doctor", "--json"]).output().unwrap())
    };
    let report = doctor(OWNER);
    let check = named(&report, "registry");
    assert_eq!(check["level"], "wrong", "{check}");
    let fix = format!("chmod -R u+rX {}", sessions.display());
    assert_eq!(check["fix"], fix);
    let fixed = as_user(&fixture, OWNER, "sh").args(["-c", &fix]).status();
    assert!(fixed.unwrap().success());
    assert_eq!(named(&doctor(OWNER), "registry")["level"], "ok");

    let mut command = as_user(&fixture, OTHER, fixture.program().to_str().unwrap());
    command.arg("daemon");
    let _daemon = fixture.0.start(command);
    let report = doctor(OWNER);
    let check = named(&report, "socket");
    let part = format!("belongs to user {OTHER}");
    assert!(check["what"].as_str().unwrap().contains(&part), "{check}");
    // Never to remove it: it may be a daemon's that others use.
    is_unset(check);
}
