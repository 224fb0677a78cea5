//! The line for a status bar: what bars read, and what they see when the daemon comes and goes.

use std::io::{BufRead, BufReader, Lines, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

use crate::support::{Daemon, Place, program, until};

const FORMATS: [&str; 7] = [
    "tmux",
    "waybar",
    "polybar",
    "i3blocks",
    "sketchybar",
    "plain",
    "json",
];

/// A running `bar --follow`, killed when its test ends.
struct Bar {
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Bar {
    fn start(place: &Place, format: &str) -> Self {
        let mut child = place
            .command(["bar", "--follow", "--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            lines: Some(lines),
        }
    }

    #[track_caller]
    fn next(&mut self) -> String {
        self.lines
            .as_mut()
            .unwrap()
            .next()
            .expect("a line")
            .unwrap()
    }

    #[track_caller]
    fn class(&mut self) -> String {
        let output: Value = serde_json::from_str(&self.next()).unwrap();
        output["class"].as_str().unwrap().into()
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_line_counts_waiting_and_working_sessions() {
    let place = Place::new();
    let _daemon = place.daemon();
    assert_eq!(place.ok(&["bar"]), "\n");
    for (name, status) in [
        ("a", "working"),
        ("b", "waiting"),
        ("c", "waiting"),
        ("d", "closed"),
    ] {
        place.ok(&["report", name, status]);
    }
    assert_eq!(place.ok(&["bar"]), "2 waiting · 1 working\n");
    assert_eq!(place.ok(&["bar", "--agent", "script"]), place.ok(&["bar"]));
    assert_eq!(place.ok(&["bar", "--agent", "codex"]), "\n");
    assert_eq!(
        place.json(&["bar", "--format", "waybar"])["class"],
        "waiting"
    );
    assert_eq!(
        place.json(&["bar", "--format", "json"])["attention"][1]["key"],
        "c"
    );
    for format in FORMATS {
        let line = place.ok(&["bar", "--format", format]);
        assert_eq!(line.lines().count(), 1, "{format}: {line}");
    }
}

#[test]
fn without_a_daemon_the_line_is_empty_and_no_failure() {
    let place = Place::new();
    for format in FORMATS {
        let output = place.run(&["bar", "--format", format]);
        assert_eq!(output.status.code(), Some(0), "{format}: {output:?}");
        assert!(output.stderr.is_empty(), "{format}: {output:?}");
        let line = String::from_utf8(output.stdout).unwrap();
        assert_eq!(line.lines().count(), 1, "{format}: {line}");
        assert!(!line.contains("waiting ·"), "{format}: {line}");
    }
    assert_eq!(place.json(&["bar", "--format", "waybar"])["class"], "off");
    assert!(!place.socket().exists());

    // A permanent failure is also written to standard error, with the same line on standard output.
    std::fs::write(place.socket(), "no socket").unwrap();
    let output = place.run(&["bar", "--format", "i3blocks"]);
    assert_eq!(output.stdout, b"{\"full_text\":\"\",\"short_text\":\"\"}\n");
    assert_eq!(
        place.run(&["bar", "--format", "dzen"]).status.code(),
        Some(2)
    );
}

#[test]
fn a_followed_bar_prints_what_shows_and_nothing_else() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut bar = Bar::start(&place, "plain");
    assert_eq!(bar.next(), "");
    for (arguments, line) in [
        (&["build", "working"][..], Some("1 working")),
        (&["build", "working", "--reason", "cargo test"], None),
        (&["build", "working", "--title", "another"], None),
        (&["deploy", "waiting"], Some("1 waiting · 1 working")),
        (&["deploy", "waiting", "--reason", "go?"], None),
        (&["deploy", "closed"], Some("1 working")),
        (&["build", "closed"], Some("")),
    ] {
        place.ok(&[&["report"], arguments].concat());
        if let Some(line) = line {
            assert_eq!(bar.next(), line, "{arguments:?}");
        }
    }
    drop(daemon);
}

#[test]
fn a_followed_bar_outlives_every_daemon() {
    let place = Place::new();
    // There is none yet.
    let mut bar = Bar::start(&place, "waybar");
    assert_eq!(bar.class(), "off");
    let mut daemon = place.daemon();
    assert_eq!(bar.class(), "none");
    place.ok(&["report", "build", "working"]);
    assert_eq!(bar.class(), "working");
    // An answer of a later turn: a crash loses what the turn that it ends has not saved yet.
    place.ok(&["list"]);
    daemon.signal("KILL");
    daemon.wait();
    assert_eq!(bar.class(), "off");
    let mut daemon = place.daemon();
    assert_eq!(bar.class(), "working");
    daemon.signal("KILL");
    daemon.wait();
    assert_eq!(bar.class(), "off");
    let mut daemon = place.daemon_without_state();
    assert_eq!(bar.class(), "none");
    // Stopped on purpose: it does not leave, for its bar would start it again.
    place.ok(&["stop"]);
    daemon.wait();
    assert_eq!(bar.class(), "off");
    assert!(bar.child.try_wait().unwrap().is_none());
    // It has the state of the second one.
    let _daemon = place.daemon();
    assert_eq!(bar.class(), "working");
}

/// Until it is restarted after an update.
#[test]
fn a_daemon_that_does_not_count_yet_is_asked_for_the_sessions() {
    let place = Place::new();
    let listener = UnixListener::bind(place.socket()).unwrap();
    let daemon = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let lines = BufReader::new(connection.try_clone().unwrap()).lines();
        let mut asked = Vec::new();
        for line in lines {
            let request: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let method = request["method"].as_str().unwrap().to_owned();
            let mut answer = match method.as_str() {
                "session.list" => json!({"result": {"sessions": [
                    {"key": "a", "agent": "codex", "status": "working", "since": 1, "started_at": 1},
                ]}}),
                "usage.get" => json!({"result": {}}),
                _ => json!({"error": {"code": -32601, "message": "no such method"}}),
            };
            answer["jsonrpc"] = json!("2.0");
            answer["id"] = request["id"].clone();
            writeln!(connection, "{answer}").unwrap();
            asked.push(method);
        }
        asked
    });
    assert_eq!(place.ok(&["bar"]), "1 working\n");
    let asked = daemon.join().unwrap();
    assert_eq!(asked, ["session.count", "session.list", "usage.get"]);
}

/// A daemon on a socket that a manager holds: to connect to it is to start it.
fn managed(place: &Place, listener: &UnixListener) -> Daemon {
    let mut command = Command::new("sh");
    command
        .args(["-c", "LISTEN_PID=$$ exec \"$0\" daemon 3<&0 0</dev/null"])
        .arg(program())
        .env_clear()
        .env("HOME", place.path().join("home"))
        .env("XDG_RUNTIME_DIR", place.runtime_dir())
        .env("LISTEN_FDS", "1")
        .stdin(OwnedFd::from(listener.try_clone().unwrap()));
    place.start(command)
}

#[test]
fn a_bar_does_not_start_what_was_stopped_on_purpose() {
    let place = Place::new();
    let listener = UnixListener::bind(place.socket()).unwrap();
    let mut daemon = managed(&place, &listener);
    let mut bar = Bar::start(&place, "waybar");
    assert_eq!(bar.class(), "none");
    place.ok(&["stop"]);
    daemon.wait();
    assert_eq!(bar.class(), "off");
    // A connection now would wait in the manager's queue. The bar checks the socket each second, and does not connect.
    let mut queue = [PollFd::new(&listener, PollFlags::IN)];
    let long = Timespec {
        tv_sec: 3,
        tv_nsec: 0,
    };
    assert_eq!(
        poll(&mut queue, Some(&long)).unwrap(),
        0,
        "it has connected"
    );
    // The manager has a new socket.
    drop(listener);
    std::fs::remove_file(place.socket()).unwrap();
    let listener = UnixListener::bind(place.socket()).unwrap();
    let _daemon = managed(&place, &listener);
    assert_eq!(bar.class(), "none");
}

#[test]
fn a_bar_whose_reader_has_gone_ends_without_waiting_for_a_change() {
    let place = Place::new();
    let _daemon = place.daemon();
    let dashboards =
        || place.connect().ask("daemon.status", json!({}))["result"]["dashboards"].clone();
    let mut bar = Bar::start(&place, "tmux");
    bar.next();
    assert_eq!(dashboards(), 1);
    bar.lines = None;
    let status = until("the bar to end", || bar.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    until("the daemon to know", || (dashboards() == 0).then_some(()));
}

/// What its script does with the line.
#[test]
fn sketchybar_s_line_becomes_arguments() {
    let place = Place::new();
    let _daemon = place.daemon();
    place.ok(&["report", "a", "waiting"]);
    place.ok(&["report", "b", "working"]);
    let line = place.ok(&["bar", "--format", "sketchybar"]);
    let mut xargs = Command::new("xargs")
        .args(["-L1", "printf", "<%s>"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(xargs.stdin.as_mut().unwrap(), line.as_bytes()).unwrap();
    let output = xargs.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "<drawing=on><label=1 waiting · 1 working><label.color=0xffd79921>"
    );
}
