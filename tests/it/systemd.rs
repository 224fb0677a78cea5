//! Under a real systemd user manager, with the very units of `packaging/` and a journal: `tests/with-user-systemd` makes
//! one for each test, which runs in it a second time, as the manager's user.

mod config;
mod doctor;
mod load;
mod machine;
mod state;
mod usage;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use self::machine::{SERVICE, SOCKET, SOCKET_PATH, beside_a_manager};
use crate::reexec::this_test;
use crate::support::{Sleeper, Wire, until};

#[test]
fn the_first_connection_starts_it_and_so_does_the_next_after_an_idle_exit() {
    beside_a_manager(this_test!(), |machine| {
        machine.configure("idle_timeout = \"300ms\"");
        machine.enable();
        assert_eq!(machine.property(SERVICE, "ActiveState"), "inactive");

        let socket = std::fs::symlink_metadata(SOCKET_PATH).unwrap();
        assert_eq!(socket.mode() & 0o7777, 0o600);

        let mut pids = Vec::new();
        for _ in 0..3 {
            let began = Instant::now();
            assert_eq!(machine.json(&["list", "--json"]), json!([]));
            eprintln!("activation -> answer of `list`: {:?}", began.elapsed());
            // Connected, so that it does not leave while it is looked at.
            let dashboard = machine.dashboard();
            let status = machine.json(&["status", "--json"]);
            assert_eq!(status["origin"], "systemd");
            assert_eq!(status["socket"], SOCKET_PATH);
            assert_eq!(
                machine.property(SERVICE, "MainPID"),
                status["pid"].to_string()
            );
            assert_eq!(machine.property(SERVICE, "ActiveState"), "active");
            assert_eq!(
                machine.property(SERVICE, "StatusText"),
                "serving /tmp/agent-console.sock (systemd)"
            );
            pids.push(status["pid"].clone());
            drop(dashboard);

            machine.wait_until_inactive();
            assert_eq!(machine.property(SERVICE, "Result"), "success");
            assert_eq!(machine.property(SOCKET, "ActiveState"), "active");
        }
        pids.dedup();
        assert_eq!(pids.len(), 3, "a new daemon each time: {pids:?}");
    });
}

#[test]
fn a_stop_leaves_the_socket_to_the_manager() {
    beside_a_manager(this_test!(), |machine| {
        machine.enable();
        let first = machine.json(&["status", "--json"])["pid"].clone();
        let stop = machine.program(&["stop"]);
        assert_eq!(stop.status.code(), Some(0), "{stop:?}");
        assert!(Path::new(SOCKET_PATH).exists());
        machine.wait_until_inactive();
        assert_eq!(machine.property(SERVICE, "Result"), "success");
        assert_eq!(machine.property(SOCKET, "ActiveState"), "active");
        let second = machine.json(&["status", "--json"])["pid"].clone();
        assert_ne!(first, second);

        let mut dashboard = machine.dashboard();
        machine.systemctl(&["stop", SERVICE]);
        assert_eq!(dashboard.notified("daemon.stopping")["reason"], "signal");
        assert_eq!(dashboard.next(), None);
        assert_eq!(machine.property(SERVICE, "Result"), "success");
        assert_ne!(machine.json(&["status", "--json"])["pid"], second);

        machine.systemctl(&["disable", "--now", SOCKET]);
        assert!(!Path::new(SOCKET_PATH).exists());
        assert_eq!(machine.property(SERVICE, "ActiveState"), "inactive");
        assert_eq!(machine.program(&["list"]).status.code(), Some(3));
    });
}

#[test]
fn the_journal_has_every_line_with_its_fields() {
    beside_a_manager(this_test!(), |machine| {
        machine.enable();
        let pid = machine.json(&["status", "--json"])["pid"].to_string();
        let entry = until("the entry", || machine.entry(&pid, "ready"));
        for (field, value) in [
            ("USER_UNIT", SERVICE),
            ("_SYSTEMD_USER_UNIT", SERVICE),
            ("SYSLOG_IDENTIFIER", "agent-console"),
            ("PRIORITY", "6"),
            ("TARGET", "agent_console::daemon"),
            ("F_ORIGIN", "systemd"),
            ("F_SOCKET", SOCKET_PATH),
            ("F_VERSION", env!("CARGO_PKG_VERSION")),
            ("F_PID", &pid),
            ("_UID", &rustix::process::getuid().as_raw().to_string()),
        ] {
            assert_eq!(entry[field], value, "{field} of {entry}");
        }
        // Not the first line: systemctl begins where the manager noted the start, which may be after it.
        let _dashboard = machine.dashboard();
        machine.wait_until_shown("a dashboard has subscribed");
    });
}

#[test]
fn the_sandbox_is_in_force_and_lets_the_daemon_work() {
    beside_a_manager(this_test!(), |machine| {
        machine.enable();
        let daemon = machine.json(&["status", "--json"]);
        assert!(daemon["rss_bytes"].as_u64().is_some_and(|bytes| bytes > 0));
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon["pid"])).unwrap();
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim_start_matches(':').trim().to_owned()
        };
        assert_eq!((&*value("Seccomp"), &*value("NoNewPrivs")), ("2", "1"));
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon["pid"])).unwrap();
        let open = limits
            .lines()
            .find(|line| line.starts_with("Max open files"));
        assert!(open.is_some_and(|line| line.contains(" 8192 ")), "{limits}");
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        assert!(core.is_some_and(|line| line.contains(" 0 ")), "{limits}");

        let mut agent = Sleeper::start();
        let pid = agent.pid().to_string();
        machine.json(&["report", "job", "working", "--pid", &pid, "--json"]);
        agent.kill();
        until("the end of the process to be noticed", || {
            let session = machine.json(&["get", "job", "--json"]);
            (session["end_reason"] == "exited").then_some(())
        });
        let warnings: Vec<Value> = machine.journal(&["--priority=warning"]);
        assert_eq!(warnings, Vec::<Value>::new());
    });
}

/// The drop-in of docs/security.md.
fn stricter() -> String {
    let page = include_str!("../../docs/security.md");
    let (_, block) = page.split_once("```ini\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    block.to_owned()
}

/// What `systemd-analyze security` says of the service: 0 is the best, 10 the worst.
fn exposure() -> f32 {
    let mut command = Command::new("systemd-analyze");
    command.args(["--user", "--no-pager", "security", SERVICE]);
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let level = text.rsplit_once("exposure level").unwrap().1;
    let words = level.split_whitespace();
    words.flat_map(str::parse).next().unwrap()
}

#[test]
fn the_stricter_sandbox_of_the_documentation_lets_the_daemon_work() {
    beside_a_manager(this_test!(), |machine| {
        machine.enable();
        let before = exposure();
        machine.drop_in(SERVICE, &stricter());
        machine.systemctl(&["daemon-reload"]);
        let after = exposure();
        eprintln!("systemd-analyze security: {before} as packaged, {after} with the drop-in");
        assert!(before < 6.5 && after < 2.5, "{before} {after}");

        // A session of an agent's registry in the home, of a process that this user runs.
        let mut agent = Sleeper::start();
        let now = agent_console::os::clock::unix_ms();
        let entry = json!({
            "pid": agent.pid(), "sessionId": "registered", "cwd": "/work", "status": "busy",
            "startedAt": now, "updatedAt": now, "statusUpdatedAt": now,
        });
        let registry = machine.home(".claude/sessions");
        std::fs::create_dir_all(&registry).unwrap();
        let file = registry.join(format!("{}.json", agent.pid()));
        std::fs::write(file, entry.to_string()).unwrap();
        until("the registered session", || {
            let list = machine.json(&["list", "--json"]);
            (list[0]["session_id"] == "registered").then_some(())
        });
        let daemon = machine.json(&["status", "--json"]);
        let mounts = std::fs::read_to_string(format!("/proc/{}/mountinfo", daemon["pid"])).unwrap();
        // The system, and what `ProtectHome=` covers: /home, /root, /run/user. The home of this test is elsewhere.
        for place in ["/", "/run/user"] {
            let mut mount = mounts
                .lines()
                .map(|line| line.split(' ').collect::<Vec<_>>());
            let options = mount.rfind(|fields| fields[4] == place).unwrap()[5].to_owned();
            assert!(
                options.split(',').any(|option| option == "ro"),
                "{place}: {options}"
            );
        }

        let dashboard = machine.dashboard();
        agent.kill();
        until("the end of the process to be noticed", || {
            let all = machine.json(&["list", "--all", "--json"]);
            (all[0]["status"] == "closed").then_some(())
        });
        drop(dashboard);
        let warnings: Vec<Value> = machine.journal(&["--priority=warning"]);
        assert_eq!(warnings, Vec::<Value>::new());
    });
}

#[test]
fn the_watchdog_ends_a_hung_daemon_and_the_next_client_is_served() {
    beside_a_manager(this_test!(), |machine| {
        // No core dump: it would land in the user's home.
        machine.drop_in(
            SERVICE,
            "[Service]\nWatchdogSec=4s\nTimeoutAbortSec=200ms\nLimitCORE=0\n",
        );
        machine.enable();
        let pid = machine.json(&["status", "--json"])["pid"].to_string();
        // A daemon that turns is left alone for longer than the limit.
        let entered = machine.property(SERVICE, "WatchdogTimestampMonotonic");
        let mut pings = 0;
        let mut last = entered;
        until("the daemon to say that it is alive", || {
            let seen = machine.property(SERVICE, "WatchdogTimestampMonotonic");
            pings += u32::from(seen != last);
            last = seen;
            (pings == 3).then_some(())
        });
        assert_eq!(machine.property(SERVICE, "MainPID"), pid);

        let began = Instant::now();
        signal("STOP", &pid);
        let mut client = Wire::connect(Path::new(SOCKET_PATH));
        let answer = client.ask("hello", json!({}));
        eprintln!("hung -> the next client is served: {:?}", began.elapsed());
        assert_ne!(answer["result"]["pid"].to_string(), pid);
        assert_eq!(machine.property(SERVICE, "NRestarts"), "1");
        until("the manager's word on why", || {
            let entries = machine.journal(&["--grep=watchdog"]);
            (!entries.is_empty()).then_some(())
        });
    });
}

fn signal(name: &str, pid: &str) {
    let kill = Command::new("kill").args(["-s", name, pid]).status();
    assert!(kill.unwrap().success());
}
