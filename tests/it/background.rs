//! `daemon --daemonize`, and a daemon whose standard descriptors are closed or not read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use serde_json::json;

use crate::lifecycle::{send, text};
use crate::support::{Daemon, Place, broken_pipe};

/// A daemon in the background, which is stopped when its test ends.
struct Background<'a>(&'a Place);

impl Drop for Background<'_> {
    fn drop(&mut self) {
        self.0.run(&["stop", "--force"]);
    }
}

fn daemonize(place: &Place, more: &[&str]) -> Output {
    place
        .command(["daemon", "--daemonize"].iter().chain(more))
        .output()
        .unwrap()
}

#[test]
fn in_the_background_it_listens_by_the_time_it_says_so() {
    let place = Place::new();
    let _background = Background(&place);
    let output = daemonize(&place, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let status = place.json(&["status", "--json"]);
    assert_eq!(text(&output.stdout), format!("{}\n", status["pid"]));
    assert_eq!(text(&output.stderr), "");
    assert_eq!(
        status["socket"].as_str().map(PathBuf::from),
        Some(place.socket())
    );

    let log = place
        .path()
        .join("home/.local/state/agent-console/daemon.log");
    assert!(fs::read_to_string(&log).unwrap().contains("ready"));
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&log), 0o600);
    assert_eq!(mode(&place.socket()), 0o600);
    // It keeps nothing of where it was started.
    let pid = status["pid"].to_string();
    assert_eq!(
        fs::read_link(format!("/proc/{pid}/cwd")).unwrap(),
        PathBuf::from("/")
    );
    for descriptor in 0..3 {
        let open = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).unwrap();
        assert_eq!(open, PathBuf::from("/dev/null"));
    }
}

#[test]
fn in_the_background_a_failure_is_reported() {
    let place = Place::new();
    let nowhere = place.path().join("no/such/directory/socket");
    let output = daemonize(&place, &["--socket", nowhere.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let stderr = text(&output.stderr);
    assert!(
        stderr.starts_with("agent-console: cannot ") && stderr.contains("no/such/directory"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert_eq!(stderr.matches("os error").count(), 1, "{stderr}");
    assert_eq!(output.stdout, b"");

    place.configure("log = 5\n");
    let output = daemonize(&place, &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("config.toml:1:7: log"));
}

#[test]
fn in_the_background_it_stays_if_its_pid_is_not_read() {
    let place = Place::new();
    let _background = Background(&place);
    let status = place
        .command(["daemon", "--daemonize"])
        .stdout(broken_pipe())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    place.ok(&["list"]);
}

#[test]
fn a_relative_socket_is_taken_from_the_working_directory() {
    let place = Place::new();
    let _background = Background(&place);
    fs::create_dir(place.path().join("here")).unwrap();
    let output = place
        .command(["daemon", "--daemonize", "--socket", "../socket"])
        .current_dir(place.path().join("here"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    place.ok(&["list"]);
    place.ok(&["list", "--socket", "socket"]);
    place.ok(&["--socket", "home/../socket", "list"]);

    let output = place
        .command(["list"])
        .env("AGENT_CONSOLE_SOCKET", "socket")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("absolute path"));
}

/// Runs the daemon by the shell, with some of its first three descriptors closed.
fn with_redirection(place: &Place, redirection: &str) -> Daemon {
    place.daemon_with(|command| {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("exec \"$0\" daemon {redirection}")])
            .arg(crate::support::program())
            .env_clear()
            .env("HOME", place.path().join("home"))
            .env("AGENT_CONSOLE_SOCKET", place.socket())
            .env("XDG_RUNTIME_DIR", place.runtime_dir());
        *command = shell;
    })
}

#[test]
fn closed_descriptors_do_it_no_harm() {
    for redirection in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let place = Place::new();
        let mut daemon = with_redirection(&place, redirection);
        place.ok(&["report", "x", "working"]);
        let mut dashboard = place.connect();
        let snapshot = dashboard.ask("subscribe", json!({}));
        assert_eq!(snapshot["result"]["sessions"][0]["key"], "x");
        // No socket was taken for standard error: what a client is sent is messages only.
        place.ok(&["stop"]);
        for line in dashboard.rest().lines() {
            assert!(line.starts_with('{'), "{line}");
        }
        assert_eq!(daemon.wait(), Some(0));
    }
}

#[test]
fn a_log_that_is_not_read_does_not_block() {
    let place = Place::new();
    place.configure("log = \"debug\"\n");
    let (reader, writer) = std::io::pipe().unwrap();
    let mut daemon = place.daemon_with(|command| {
        command.stderr(writer);
    });
    let mut dashboard = place.connect();
    dashboard.ask("subscribe", json!({}));
    let mut client = place.connect();
    // Each request is a line of some 80 bytes; a pipe takes 64 KiB.
    for _ in 0..2000 {
        client.ask("hello", json!({}));
    }
    let notice = dashboard.notified("daemon.notice");
    assert_eq!(notice["code"], "log_failed", "{notice}");
    assert!(notice["message"].as_str().unwrap().contains("is not read"));
    drop(reader);
    for _ in 0..100 {
        client.ask("hello", json!({}));
    }
    send(&daemon, Signal::TERM);
    assert_eq!(daemon.wait(), Some(0));
}

/// A daemon that opened a pipe to write its log would wait for a reader, and one at its start.
#[test]
fn a_log_that_is_no_file_is_named_and_keeps_it_from_nothing() {
    let place = Place::new();
    place.configure("");
    let directory = place.path().join("home/.local/state/agent-console");
    fs::create_dir_all(&directory).unwrap();
    let log = directory.join("daemon.log");
    let make: [&dyn Fn(); 3] = [
        &|| {
            let made = Command::new("mkfifo").arg(&log).status();
            assert!(made.unwrap().success());
        },
        &|| fs::create_dir(&log).unwrap(),
        &|| std::os::unix::fs::symlink("/dev/zero", &log).unwrap(),
    ];
    for make in make {
        make();
        let output = daemonize(&place, &[]);
        let _background = Background(&place);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = text(&output.stderr);
        let is_named = said.contains(log.to_str().unwrap());
        assert!(is_named && said.contains("not a regular file"), "{said}");
        place.ok(&["report", "x", "working"]);
        place.ok(&["stop"]);
        if fs::remove_file(&log).is_err() {
            fs::remove_dir(&log).unwrap();
        }
    }
}
