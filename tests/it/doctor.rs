//! `doctor` on the real program: nothing wrong where nothing is, each fault named with the command that mends it, and
//! that command run as a person would.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Daemon, Place, program, service, until};

const NAMES: [&str; 11] = [
    "programs", "service", "socket", "daemon", "notices", "config", "log", "hooks", "latency",
    "registry", "sessions",
];

/// A home in which Claude Code has run, with a copy of the program that may be replaced.
struct House(Place);

impl House {
    fn new() -> Self {
        let place = Place::new();
        fs::create_dir(place.path().join("bin")).unwrap();
        fs::create_dir_all(place.path().join("home/.claude/sessions")).unwrap();
        let house = Self(place);
        copy(program(), &house.program());
        copy(service(), &house.service());
        house
    }

    /// One whose agent has its hooks.
    fn hooked() -> Self {
        let house = Self::new();
        house.sh("agent-console install --hooks");
        house
    }

    fn program(&self) -> PathBuf {
        self.0.path().join("bin/agent-console")
    }

    fn service(&self) -> PathBuf {
        self.0.path().join("bin/agent-consoled")
    }

    fn settings(&self) -> PathBuf {
        self.0.path().join("home/.claude/settings.json")
    }

    fn command(&self, program: &str) -> Command {
        let mut path = self.0.path().join("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        let mut command = self.0.command([] as [&str; 0]);
        let mut named = Command::new(program);
        named
            .env_clear()
            .envs(
                command
                    .get_envs()
                    .filter_map(|(key, value)| Some((key, value?))),
            )
            .env("PATH", path)
            .current_dir(self.0.path())
            .stdin(std::process::Stdio::null());
        command = named;
        command
    }

    fn daemon(&self) -> Daemon {
        let mut command = self.command(self.program().to_str().unwrap());
        command.arg("daemon");
        self.0.start(command)
    }

    /// As a person types it.
    #[track_caller]
    fn sh(&self, line: &str) {
        let mut shell = self.command("sh");
        let output = shell.args(["-c", line]).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
    }

    fn doctor(&self, arguments: &[&str]) -> Output {
        let mut doctor = self.command(self.program().to_str().unwrap());
        doctor.arg("doctor").args(arguments).output().unwrap()
    }

    #[track_caller]
    fn examine(&self) -> Value {
        report(&self.doctor(&["--json"]))
    }

    /// The fault is named, and what is named mends it.
    #[track_caller]
    fn mends(&self, name: &str, part: &str, mend: &str) {
        let report = self.examine();
        let check = named(&report, name);
        assert_eq!(check["level"], "wrong", "{report}");
        assert!(check["what"].as_str().unwrap().contains(part), "{check}");
        assert_eq!(check["mend"], mend);
        self.sh(mend);
        until("it to be mended", || {
            let report = self.examine();
            (named(&report, name)["level"] != "wrong").then_some(())
        });
    }

    /// A daemon that runs in the background by now.
    fn stop(&self) {
        self.sh("agent-console stop --force");
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // A daemon in the background is nobody's child, and a failed test has not come to stopping it.
        if std::thread::panicking() {
            let stop = ["5", "agent-console", "stop", "--force"];
            let _ = self.command("timeout").args(stop).output();
        }
    }
}

/// By a process of its own: a program that is open for writing here, and in whatever another test is just starting, can't
/// be run.
#[track_caller]
pub fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}

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
    let house = House::hooked();
    let _daemon = house.daemon();
    let output = house.doctor(&[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(output.stderr.is_empty(), "{:?}", output.stderr);
    // No manager is asked without `XDG_RUNTIME_DIR`, and a daemon by hand is as good.
    for (line, name) in text.lines().zip(NAMES) {
        let level = if name == "service" { "note" } else { "ok" };
        assert!(
            line.starts_with(&format!("{level:5}  {name:8}  ")),
            "{line}"
        );
    }
    assert_eq!(text.lines().count(), NAMES.len(), "{text}");
    let socket = house.0.socket();
    let held = format!(
        "{} (environment), mine, 0600, held by the daemon itself",
        socket.display()
    );
    assert!(text.contains(&held), "{text}");
    assert_eq!(house.examine()["ok"], true);
}

#[test]
fn nothing_it_does_reaches_the_daemon_as_an_event() {
    let house = House::hooked();
    let _daemon = house.daemon();
    house.examine();
    let status = house.0.json(&["status", "--json"]);
    assert_eq!(status["reports"], 0, "{status}");
    let list = house.0.json(&["list", "--json"]);
    assert_eq!(list, json!([]));
}

#[test]
fn without_a_daemon_it_says_how_to_start_one() {
    let house = House::hooked();
    let start = "agent-console daemon --daemonize";
    house.mends("socket", "there is no socket", start);
    assert_eq!(house.examine()["ok"], true);
    house.stop();

    // What a killed daemon leaves behind.
    drop(UnixListener::bind(house.0.socket()).unwrap());
    house.mends("socket", "nobody listens", start);
    house.stop();

    fs::write(house.0.socket(), "mine").unwrap();
    let path = house.0.socket();
    let away = format!("mv {0} {0}.old", path.display());
    let report = house.examine();
    assert_eq!(named(&report, "socket")["mend"], away, "{report}");
    house.sh(&away);
    house.mends("socket", "there is no socket", start);
    house.stop();
}

#[test]
fn a_program_without_its_service_is_noted_and_one_of_another_version_is_wrong() {
    let house = House::hooked();
    fs::remove_file(house.service()).unwrap();
    let _daemon = house.daemon();
    let report = house.examine();
    let check = named(&report, "programs");
    assert_eq!(check["level"], "note", "{check}");
    let missing = format!("no agent-consoled beside {}", house.program().display());
    assert!(
        check["what"].as_str().unwrap().contains(&missing),
        "{check}"
    );
    assert_eq!(named(&report, "daemon")["level"], "ok", "{report}");

    fs::write(house.service(), "#!/bin/sh\necho agent-consoled 0.0.9\n").unwrap();
    fs::set_permissions(house.service(), Permissions::from_mode(0o755)).unwrap();
    let report = house.examine();
    let check = named(&report, "programs");
    assert_eq!(check["level"], "wrong", "{check}");
    let what = check["what"].as_str().unwrap();
    assert!(what.contains("is of version 0.0.9"), "{check}");
}

#[test]
fn a_socket_open_to_others_is_closed() {
    let house = House::hooked();
    let _daemon = house.daemon();
    let path = house.0.socket();
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    let mend = format!("chmod 600 {}", path.display());
    house.mends("socket", "has mode 0666", &mend);
}

#[test]
fn a_flag_goes_into_the_commands() {
    let house = House::hooked();
    let other = house.0.path().join("a b");
    let report = report(&house.doctor(&["--json", "--socket", other.to_str().unwrap()]));
    let mend = format!(
        "agent-console daemon --daemonize --socket '{}'",
        other.display()
    );
    assert_eq!(named(&report, "socket")["mend"], mend, "{report}");
    let bad = report_of_variable(&house, "relative");
    assert!(
        bad["what"]
            .as_str()
            .unwrap()
            .contains("not an absolute path")
    );
    assert_eq!(bad["mend"], "unset AGENT_CONSOLE_SOCKET");
}

#[track_caller]
fn report_of_variable(house: &House, value: &str) -> Value {
    let mut doctor = house.command(house.program().to_str().unwrap());
    doctor
        .args(["doctor", "--json"])
        .env("AGENT_CONSOLE_SOCKET", value);
    named(&report(&doctor.output().unwrap()), "socket").clone()
}

#[cfg(target_os = "linux")]
#[test]
fn a_daemon_whose_program_was_replaced_is_restarted() {
    let house = House::hooked();
    let _daemon = house.daemon();
    let new = house.0.path().join("new");
    copy(service(), &new);
    fs::rename(new, house.service()).unwrap();
    house.mends(
        "daemon",
        "its program was replaced since it started",
        "agent-console stop && agent-console daemon --daemonize",
    );
    house.stop();
}

#[test]
fn a_daemon_that_hangs_is_replaced_and_not_waited_for() {
    let house = House::hooked();
    let daemon = house.daemon();
    daemon.signal("STOP");
    let began = Instant::now();
    let report = house.examine();
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(named(&report, "daemon")["level"], "wrong");
    let mend = format!(
        "kill -9 {} && sleep 1 && agent-console daemon --daemonize",
        daemon.pid()
    );
    assert_eq!(named(&report, "daemon")["mend"], mend, "{report}");
    house.sh(&mend);
    assert_eq!(house.examine()["ok"], true);
    house.stop();
}

#[test]
fn hooks_that_are_missing_or_call_something_else_are_installed() {
    let house = House::new();
    let _daemon = house.daemon();
    let install = "agent-console install --hooks";
    house.mends("hooks", "calls no hook of ours", install);
    assert_eq!(house.examine()["ok"], true);

    // The program has moved.
    let text = fs::read_to_string(house.settings()).unwrap();
    let own = house.program();
    let own = own.to_str().unwrap();
    fs::write(
        house.settings(),
        text.replace(own, "/nowhere/agent-console"),
    )
    .unwrap();
    house.mends(
        "hooks",
        "calls /nowhere/agent-console, which cannot be run",
        install,
    );

    let other = house.0.path().join("agent-console");
    copy(program(), &other);
    fs::write(house.settings(), text.replace(own, other.to_str().unwrap())).unwrap();
    house.mends("hooks", "which is not this program", install);

    fs::write(house.settings(), text.replace("\"Stop\"", "\"Stopp\"")).unwrap();
    house.mends("hooks", "1 of 18 events missing: Stop", install);
}

#[test]
fn a_status_line_of_ours_that_calls_something_else_is_installed_anew() {
    let house = House::hooked();
    let _daemon = house.daemon();
    let install = "agent-console install --statusline";
    house.sh(install);
    assert_eq!(house.examine()["ok"], true);

    let text = fs::read_to_string(house.settings()).unwrap();
    let called = |program: &str| {
        let own = format!("{} statusline", house.program().display());
        let text = text.replace(&own, &format!("{program} statusline"));
        fs::write(house.settings(), text).unwrap();
    };
    called("/nowhere/acd");
    house.mends(
        "hooks",
        "the status line calls /nowhere/acd, which cannot be run",
        install,
    );
    let other = house.0.path().join("home/agent-console");
    copy(program(), &other);
    called("~/agent-console");
    house.mends("hooks", "which is not this program", install);

    // As a shell finds it, or as only a shell could tell.
    for program in ["agent-console", "$BIN/agent-console"] {
        called(program);
        assert_eq!(house.examine()["ok"], true);
    }
    // Somebody else's is no matter.
    fs::write(house.settings(), text.replace(" statusline\"", " status\"")).unwrap();
    assert_eq!(house.examine()["ok"], true);
}

#[test]
fn settings_that_only_a_person_may_mend_are_given_to_their_editor() {
    let house = House::hooked();
    let _daemon = house.daemon();
    let text = fs::read_to_string(house.settings()).unwrap();
    let path = house.settings();
    let edit = format!("${{EDITOR:-vi}} {}", path.display());
    let by_hand = |part: &str| {
        let report = house.examine();
        let check = named(&report, "hooks");
        assert!(check["what"].as_str().unwrap().contains(part), "{check}");
        assert_eq!(
            (&check["level"], &check["mend"]),
            (&json!("wrong"), &json!(edit))
        );
        let good = house.0.path().join("good");
        fs::write(&good, &text).unwrap();
        house.sh(&format!("EDITOR='cp {}'; {edit}", good.display()));
        assert_eq!(house.examine()["ok"], true);
    };
    fs::write(&path, text.replacen('{', "{\"disableAllHooks\":true,", 1)).unwrap();
    by_hand("disableAllHooks");
    fs::write(&path, format!("{text}\n}}")).unwrap();
    by_hand("settings.json");
}

#[test]
fn a_configuration_that_is_wrong_or_not_in_force_is_told() {
    let house = House::hooked();
    house.0.configure("idle_timeout = \"2h\"");
    let daemon = house.daemon();
    assert_eq!(house.examine()["ok"], true);

    house.0.configure("idle_timeout = \"3h\"");
    let reload = format!("kill -HUP {}", daemon.pid());
    house.mends("config", "changed since the daemon read it", &reload);

    // Refused, and the daemon keeps the old one: both are wrong until the file is right and read again.
    house.0.configure("idle_timeout = \"3h\"\nlog = 1");
    daemon.signal("HUP");
    until("the refusal", || {
        let report = house.examine();
        (named(&report, "notices")["level"] == "wrong").then_some(())
    });
    let report = house.examine();
    let check = named(&report, "config");
    let file = house.0.config_file();
    assert!(
        check["what"]
            .as_str()
            .unwrap()
            .contains("config.toml:2:7: log: ")
    );
    assert_eq!(check["mend"], format!("${{EDITOR:-vi}} {}", file.display()));
    house.0.configure("idle_timeout = \"3h\"");
    house.mends("notices", "config.toml:2:7: log: ", &reload);
    assert_eq!(house.examine()["ok"], true);
}

#[test]
fn a_daemon_with_another_configuration_is_told() {
    let house = House::hooked();
    let elsewhere = house.0.path().join("elsewhere");
    fs::create_dir_all(elsewhere.join("agent-console")).unwrap();
    fs::write(elsewhere.join("agent-console/config.toml"), "").unwrap();
    let mut command = house.command(house.program().to_str().unwrap());
    command.arg("daemon").env("XDG_CONFIG_HOME", &elsewhere);
    let _daemon = house.0.start(command);
    let part = format!("but the daemon reads {}", elsewhere.display());
    house.mends(
        "config",
        &part,
        "agent-console stop && agent-console daemon --daemonize",
    );
    house.stop();
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
    let house = House::hooked();
    let session = json!({
        "key": "k", "agent": "claude-code", "session_id": "i", "status": "working", "since": 2, "started_at": 1,
        "title": "\u{1b}[2Jtitle", "cwd": "/w", "evidence": [{"kind": "registry", "at": 2, "what": "busy"}],
        "history": [{"status": "idle", "at": 1}, {"status": "working", "at": 2}]
    });
    let notice = json!({"at": 1, "code": "log_failed", "message": "no room\u{9b}"});
    stand_in(
        &house.0,
        json!({"protocol": 1, "version": "0.0.1\u{1b}[31m", "pid": 0, "origin": "self-bound"}),
        json!({"seq": 0, "sessions": [session], "notices": [notice]}),
    );
    let output = house.doctor(&["--json"]);
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
        named(&report, "sessions")["mend"],
        "cd /w && claude --resume i"
    );
    let text = String::from_utf8(house.doctor(&[]).stdout).unwrap();
    assert!(
        text.contains("\n       mend: cd /w && claude --resume i\n"),
        "{text}"
    );
    assert!(!text.contains(['\u{1b}', '\u{9b}']), "{text:?}");
}

#[test]
fn one_that_never_comes_to_an_end_is_not_waited_for() {
    let house = House::hooked();
    let listener = UnixListener::bind(house.0.socket()).unwrap();
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
    fs::set_permissions(house.0.socket(), Permissions::from_mode(0o600)).unwrap();
    let began = Instant::now();
    let report = house.examine();
    assert!(began.elapsed() < Duration::from_secs(10));
    let check = named(&report, "daemon");
    assert_eq!(check["what"], "it does not answer within 2 s", "{report}");
}

/// An ordinary user's, whom file modes keep out.
fn as_user(house: &House, uid: u32, program: &str) -> Command {
    let mut command = house.command(program);
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
    let house = House::new();
    let base = house.0.path();
    fs::set_permissions(base, Permissions::from_mode(0o1777)).unwrap();
    let give = |path: &Path| chown(path, Some(OWNER), Some(OWNER)).unwrap();
    let sessions = base.join("home/.claude/sessions");
    for path in [&base.join("home"), &base.join("home/.claude"), &sessions] {
        give(path);
    }
    fs::set_permissions(&sessions, Permissions::from_mode(0o000)).unwrap();
    let doctor = |uid| {
        let mut doctor = as_user(&house, uid, house.program().to_str().unwrap());
        report(&doctor.args(["doctor", "--json"]).output().unwrap())
    };
    let report = doctor(OWNER);
    let check = named(&report, "registry");
    assert_eq!(check["level"], "wrong", "{check}");
    let mend = format!("chmod -R u+rX {}", sessions.display());
    assert_eq!(check["mend"], mend);
    let mended = as_user(&house, OWNER, "sh").args(["-c", &mend]).status();
    assert!(mended.unwrap().success());
    assert_eq!(named(&doctor(OWNER), "registry")["level"], "ok");

    let mut command = as_user(&house, OTHER, house.program().to_str().unwrap());
    command.arg("daemon");
    let _daemon = house.0.start(command);
    let report = doctor(OWNER);
    let check = named(&report, "socket");
    let part = format!("belongs to user {OTHER}");
    assert!(check["what"].as_str().unwrap().contains(&part), "{check}");
    assert_eq!(
        check["mend"],
        format!("sudo rm {}", house.0.socket().display())
    );
}
