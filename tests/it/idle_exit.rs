//! When an unused daemon exits, and what clients at that moment see.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use agent_console::os::clock::monotonic;
use serde_json::json;

use crate::lifecycle::{lock, spawn};
use crate::support::{PATIENCE, Place, Sleeper, until};

#[test]
fn an_unused_daemon_exits() {
    let place = Place::new();
    place.configure("idle_timeout = \"50ms\"\n");
    let mut daemon = spawn(&place);
    assert!(until("it to leave", || daemon.try_wait().unwrap()).success());
    assert!(!place.socket().exists());
    assert!(!lock(&place).exists());
}

#[test]
fn a_live_session_keeps_it_until_the_process_ends() {
    let place = Place::new();
    place.configure("idle_timeout = 0\n");
    let mut daemon = place.daemon();
    let mut agent = Sleeper::start();
    let pid = agent.pid().to_string();
    place.ok(&["report", "job", "working", "--pid", &pid]);
    place.configure("idle_timeout = \"1ms\"\n");
    let mut client = place.connect();
    assert_eq!(
        client.ask("daemon.reload", json!({}))["result"]["reloaded"],
        true
    );
    // Many times the time-out, each a turn of the loop in which it could have left.
    for _ in 0..100 {
        client.ask("daemon.status", json!({}));
    }
    assert!(daemon.runs());
    agent.kill();
    assert_eq!(client.notified("daemon.stopping")["reason"], "idle");
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn a_dashboard_keeps_it_until_it_disconnects() {
    let place = Place::new();
    place.configure("idle_timeout = 0\n");
    let mut daemon = place.daemon();
    let (mut dashboard, mut client) = (place.connect(), place.connect());
    dashboard.ask("subscribe", json!({}));
    place.configure("idle_timeout = \"1ms\"\n");
    assert_eq!(
        client.ask("daemon.reload", json!({}))["result"]["reloaded"],
        true
    );
    for _ in 0..100 {
        client.ask("daemon.status", json!({}));
    }
    assert!(daemon.runs());
    drop(dashboard);
    assert_eq!(client.notified("daemon.stopping")["reason"], "idle");
    assert_eq!(daemon.wait(), Some(0));
}

/// Connects, asks and gets an answer, true; or is refused, false. Anything in between is the daemon's fault.
fn asks(path: &Path) -> bool {
    let mut socket = match UnixStream::connect(path) {
        Ok(socket) => socket,
        Err(error) => {
            let refusals = [ErrorKind::NotFound, ErrorKind::ConnectionRefused];
            assert!(refusals.contains(&error.kind()), "{error}");
            return false;
        }
    };
    let sent = socket.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\"}\n");
    let mut answer = [0; 64];
    let read = socket.read(&mut answer);
    assert!(
        read.as_ref().is_ok_and(|count| *count > 0),
        "accepted and not answered: {sent:?} {read:?}"
    );
    true
}

/// Clients arrive around the moment at which the daemon leaves, again and again: each is answered, or refused.
///
/// Between looking up the path and connecting, a client can be held up for as long as the scheduler likes. One that
/// comes by another name of the same socket stands for it: it still finds the socket whose path is gone.
#[test]
fn a_client_at_the_idle_exit_is_answered_or_refused() {
    const LIVES: usize = 300;
    let place = Place::new();
    place.configure("idle_timeout = \"2ms\"\nlog = \"error\"\n");
    let over = AtomicBool::new(false);
    let (answered, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let count = |was_answered: bool| {
        if was_answered { &answered } else { &refused }.fetch_add(1, Ordering::Relaxed);
        was_answered
    };
    std::thread::scope(|scope| {
        let held_up = scope.spawn(|| {
            let name = place.path().join("name");
            while !over.load(Ordering::Relaxed) {
                let _ = fs::remove_file(&name);
                if fs::hard_link(place.socket(), &name).is_ok() {
                    while count(asks(&name)) {}
                }
            }
        });
        let punctual = scope.spawn(|| {
            let mut pause = 1;
            while !over.load(Ordering::Relaxed) {
                count(asks(&place.socket()));
                // Not to wait for anything: to arrive at every moment of a daemon's life.
                pause = (pause * 7 + 3) % 23;
                std::thread::sleep(Duration::from_micros(pause * 100));
            }
        });
        // A busy machine may start no client during a short life.
        let enough = |count: &AtomicUsize| count.load(Ordering::Relaxed) > LIVES;
        let end = monotonic() + PATIENCE;
        let mut lives = 0;
        while lives < LIVES || !(enough(&answered) && enough(&refused)) {
            let status = spawn(&place).wait().unwrap();
            assert!(status.success(), "{status}");
            lives += 1;
            if held_up.is_finished() || punctual.is_finished() || monotonic() > end {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    let (answered, refused) = (answered.into_inner(), refused.into_inner());
    assert!(answered > LIVES && refused > LIVES, "{answered} {refused}");
}
