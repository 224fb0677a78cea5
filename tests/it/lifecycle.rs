//! How the daemon starts, reloads and stops: signals, `stop`, its socket.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::{Daemon, PROMPT, Place, Wire, until};

pub fn lock(place: &Place) -> PathBuf {
    place.path().join("socket.lock")
}

pub fn send(daemon: &Daemon, signal: Signal) {
    let pid = i32::try_from(daemon.pid()).ok().and_then(Pid::from_raw);
    kill_process(pid.unwrap(), signal).unwrap();
}

/// The daemon, spawned and not waited for: it may have exited before a client could connect.
pub fn spawn(place: &Place) -> Child {
    place
        .command(["daemon"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_signal_is_announced_to_every_client_and_leaves_nothing_behind() {
    for signal in [Signal::TERM, Signal::INT] {
        let place = Place::new();
        let mut daemon = place.daemon();
        let (mut dashboard, mut client) = (place.connect(), place.connect());
        let mut silent = place.connect();
        dashboard.ask("subscribe", json!({}));
        client.ask("hello", json!({}));
        assert!(lock(&place).exists());

        send(&daemon, signal);
        for wire in [&mut dashboard, &mut client, &mut silent] {
            assert_eq!(wire.notified("daemon.stopping")["reason"], "signal");
            assert_eq!(wire.next(), None);
        }
        assert_eq!(daemon.wait(), Some(0));
        assert!(!place.socket().exists());
        assert!(!lock(&place).exists());
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let place = Place::new();
    // The second must come while the first one's grace lasts, which a busy machine may let pass.
    until("a second signal in time", || {
        let mut daemon = place.daemon();
        let mut client = place.connect();
        client.ask("session.set", json!({"session": "x", "status": "idle"}));
        let mut deaf = UnixStream::connect(place.socket()).unwrap();
        let request = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.list\"}\n";
        deaf.write_all(&request.repeat(2000)).unwrap();
        client.ask("hello", json!({}));

        send(&daemon, Signal::TERM);
        client.notified("daemon.stopping");
        send(&daemon, Signal::TERM);
        assert_eq!(daemon.wait(), Some(0));
        assert!(!place.socket().exists() && !lock(&place).exists());
        daemon.log().contains("a second signal").then_some(())
    });
}

#[test]
fn a_client_that_never_reads_does_not_hold_up_the_end() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let mut client = place.connect();
    client.ask("session.set", json!({"session": "x", "status": "idle"}));
    let mut deaf = UnixStream::connect(place.socket()).unwrap();
    let request = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.list\"}\n";
    deaf.write_all(&request.repeat(2000)).unwrap();
    client.ask("hello", json!({}));
    let began = Instant::now();
    send(&daemon, Signal::TERM);
    assert_eq!(daemon.wait(), Some(0));
    // Two graces of 250 ms, and what a busy machine adds.
    assert!(began.elapsed() < PROMPT);
}

#[test]
fn a_configuration_is_read_again() {
    let place = Place::new();
    place.configure("idle_timeout = \"1h\"\n");
    let daemon = place.daemon();
    let mut dashboard = place.connect();
    dashboard.ask("subscribe", json!({}));
    let timeout = || place.json(&["status", "--json"])["idle_timeout_ms"].clone();
    assert_eq!(timeout(), 3_600_000);

    place.configure("idle_timeout = \"2h\"\n");
    send(&daemon, Signal::HUP);
    assert_eq!(dashboard.notified("daemon.notice")["code"], "config_loaded");
    assert_eq!(timeout(), 7_200_000);

    place.configure("idle_timeout = \"3h\"\nhistory = \"many\"\n");
    let place_of_mistake = format!("{}:2:11: ", place.config_file().display());
    send(&daemon, Signal::HUP);
    let notice = dashboard.notified("daemon.notice");
    assert_eq!(notice["code"], "config_refused");
    let message = notice["message"].as_str().unwrap();
    assert!(message.contains(&place_of_mistake), "{message}");
    assert!(message.contains("history"), "{message}");
    assert_eq!(timeout(), 7_200_000);
    assert_eq!(place.ok(&["list"]), "no sessions\n");

    // Asked for over the wire: the same, and an answer.
    let refused = place.connect().ask("daemon.reload", json!({}));
    assert_eq!(refused["error"]["code"], -32006, "{refused}");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains(&place_of_mistake), "{message}");
    assert_eq!(
        dashboard.notified("daemon.notice")["code"],
        "config_refused"
    );
    place.configure("idle_timeout = \"0\"\nsocket = \"/tmp/elsewhere\"\n");
    let reloaded = place.connect().ask("daemon.reload", json!({}));
    assert_eq!(reloaded["result"], json!({"reloaded": true}));
    assert_eq!(dashboard.notified("daemon.notice")["code"], "config_loaded");
    let notice = dashboard.notified("daemon.notice");
    assert_eq!(notice["code"], "restart_needed", "{notice}");
    assert_eq!(timeout(), json!(null));
}

/// Runs `stop` on a terminal, types `answer`, and gives its exit code and what was on the screen.
fn stop_on_a_terminal(place: &Place, answer: &str) -> (Option<i32>, String) {
    let stop = format!("{} stop", crate::support::program().display());
    let mut script = Command::new("script")
        .args(["--quiet", "--return", "--command", &stop, "/dev/null"])
        .env("AGENT_CONSOLE_SOCKET", place.socket())
        .env("HOME", place.path().join("home"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script(1), of the package bsdutils or util-linux-extra");
    let mut screen = script.stdout.take().unwrap();
    let mut keys = script.stdin.take().unwrap();
    let mut seen = Vec::new();
    while !text(&seen).contains("[y/N] ") {
        let mut piece = [0; 256];
        let count = screen.read(&mut piece).unwrap();
        assert!(count > 0, "no question: {}", text(&seen));
        seen.extend_from_slice(&piece[..count]);
    }
    keys.write_all(answer.as_bytes()).unwrap();
    let status = until("stop to end", || script.try_wait().unwrap());
    screen.read_to_end(&mut seen).unwrap();
    (status.code(), text(&seen))
}

#[test]
fn stop_asks_on_a_terminal_while_dashboards_are_connected() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let mut dashboard = place.connect();
    dashboard.ask("subscribe", json!({}));
    for no in ["\n", "n\n", "what?\n"] {
        let (code, screen) = stop_on_a_terminal(&place, no);
        assert_eq!(code, Some(1), "{screen}");
        assert!(screen.contains("1 dashboard is connected"), "{screen}");
        assert!(screen.contains("agent-console: not stopped"), "{screen}");
        assert!(daemon.runs());
    }
    let (code, screen) = stop_on_a_terminal(&place, "y\n");
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("stopped (process "), "{screen}");
    assert_eq!(daemon.wait(), Some(0));
    assert_eq!(dashboard.notified("daemon.stopping")["reason"], "stop");
}

#[test]
fn a_forced_stop_is_immediate_and_announces_nothing() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let mut dashboard = place.connect();
    dashboard.ask("subscribe", json!({}));
    assert_eq!(
        place.json(&["stop", "--force", "--json"]),
        json!({"dashboards": 1})
    );
    assert_eq!(daemon.wait(), Some(0));
    assert_eq!(dashboard.rest(), "");
    assert!(!place.socket().exists() && !lock(&place).exists());
}

#[test]
fn after_stop_the_next_daemon_can_start() {
    let place = Place::new();
    for round in 0..50 {
        let mut daemon = place.daemon();
        let stop: &[&str] = if round % 5 == 0 {
            &["stop", "--force"]
        } else {
            &["stop"]
        };
        assert_eq!(
            place.ok(stop),
            format!("stopped (process {})\n", daemon.pid())
        );
        // Gone, not about to go.
        assert_eq!(daemon.child.try_wait().unwrap().unwrap().code(), Some(0));
        assert!(!place.socket().exists());
    }
}

#[test]
fn a_file_of_another_process_at_the_path_stays() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let mut client = place.connect();
    client.ask("hello", json!({}));
    fs::remove_file(place.socket()).unwrap();
    fs::write(place.socket(), "mine").unwrap();
    send(&daemon, Signal::TERM);
    assert_eq!(daemon.wait(), Some(0));
    assert_eq!(fs::read_to_string(place.socket()).unwrap(), "mine");

    // And no daemon takes its place.
    let output = place.run(&["daemon"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("regular file") && said.contains("--socket"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(place.socket()).unwrap(), "mine");
    fs::remove_file(place.socket()).unwrap();

    // A socket that another process serves now.
    let mut daemon = place.daemon();
    let _other = UnixListener::bind(place.path().join("other")).unwrap();
    fs::rename(place.path().join("other"), place.socket()).unwrap();
    send(&daemon, Signal::TERM);
    assert_eq!(daemon.wait(), Some(0));
    assert!(place.socket().exists());
}

#[test]
fn a_second_daemon_on_the_same_socket_is_refused() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let mut dashboard = place.connect();
    dashboard.ask("subscribe", json!({}));
    for arguments in [&["daemon"][..], &["daemon", "--daemonize"]] {
        let output = place.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = text(&output.stderr);
        assert!(
            said.starts_with("agent-console: another daemon serves ")
                && said.contains("agent-console stop"),
            "{said}"
        );
        assert_eq!(output.stdout, b"");
    }
    assert!(daemon.runs());
    place.ok(&["report", "still", "working"]);
    assert_eq!(
        dashboard.notified("session.changed")["session"]["key"],
        "still"
    );
}

#[test]
fn a_socket_left_by_a_killed_daemon_is_replaced() {
    let place = Place::new();
    let mut first = place.daemon();
    let pid = first.pid();
    send(&first, Signal::KILL);
    first.wait();
    assert!(
        fs::metadata(place.socket())
            .unwrap()
            .file_type()
            .is_socket()
    );
    let output = place.run(&["list"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let second = place.daemon();
    assert_ne!(second.pid(), pid);
    assert_eq!(place.json(&["status", "--json"])["pid"], second.pid());
}

#[test]
fn a_wrong_configuration_is_fatal_at_the_start() {
    let place = Place::new();
    for (wrong, at) in [
        ("idle_timeout = \"soon\"\n", "1:16"),
        ("\nhistory = -1\n", "2:11"),
        ("log = \"info\"\nfoo = 1\n", "2:1"),
        ("log = \"info\n", "1:"),
    ] {
        place.configure(wrong);
        let output = place.run(&["daemon"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = text(&output.stderr);
        let place_of_mistake = format!("agent-console: {}:{at}", place.config_file().display());
        assert!(said.starts_with(&place_of_mistake), "{said}");
        assert!(!place.socket().exists());
    }
}

#[test]
fn a_client_that_is_in_the_middle_of_a_line_at_the_end_is_answered() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let mut slow: Wire = place.connect();
    slow.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,");
    let mut other = place.connect();
    other.ask("hello", json!({}));
    send(&daemon, Signal::TERM);
    assert_eq!(slow.notified("daemon.stopping")["reason"], "signal");
    slow.send(b"\"method\":\"hello\"}\n");
    assert_eq!(slow.next().unwrap()["id"], 1);
    assert_eq!(slow.next(), None);
    assert_eq!(daemon.wait(), Some(0));
}
