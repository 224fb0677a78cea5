//! Many clients at once, and none at all.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent_console::client::mirror::Mirror;
use agent_console::client::{Client, Update};
use agent_console::protocol::{Notification, SessionRecord, SubscribeParams};
use serde_json::json;

use crate::support::{Bystanders, Place, Sleeper, open_many, until};

const DASHBOARDS: usize = 100;
const SESSIONS: usize = 100;
const CHANGES: usize = 5;

/// The key of the session that is reported last.
const LAST: &str = "the last one";

/// Subscribes, applies every notification up to that of [`LAST`], and gives the copy.
fn dashboard(place: &Place, subscribed: &AtomicUsize) -> Mirror {
    let mut mirror = Mirror::default();
    let client = Client::connect(&place.socket()).unwrap();
    client
        .subscribe(SubscribeParams::default(), |update| {
            let seq = match &update {
                Update::Snapshot(_) => {
                    subscribed.fetch_add(1, Ordering::Relaxed);
                    None
                }
                Update::Notification(notification) => Some(match notification {
                    Notification::SessionChanged(changed) => changed.seq,
                    Notification::SessionRemoved(removed) => removed.seq,
                    Notification::UsageChanged(usage) => usage.seq,
                    Notification::DaemonNotice(notice) => notice.seq,
                    Notification::DaemonStopping(stopping) => stopping.seq,
                }),
            };
            if let Some(seq) = seq {
                assert_eq!(seq, mirror.seq() + 1, "a gap");
            }
            mirror.apply(update);
            mirror.get(LAST).is_none()
        })
        .unwrap();
    mirror
}

/// Ten sessions' life, in turns; every tenth is forgotten at the end.
fn agents(place: &Place, first: usize) {
    let mut wire = place.connect();
    for change in 0..CHANGES {
        for number in first..first + 10 {
            let session = format!("session {number:03}");
            let status = ["working", "waiting", "idle", "error"][(number + change) % 4];
            let reason = format!("change {change}");
            let params = json!({"session": session, "status": status, "reason": reason});
            let answer = wire.ask("session.set", params);
            assert_eq!(answer["result"]["session"]["status"], status, "{answer}");
        }
    }
    let session = format!("session {:03}", first + 9);
    let answer = wire.ask("session.remove", json!({"session": session}));
    assert_eq!(answer["result"]["removed"], *session);
}

#[test]
fn a_hundred_dashboards_see_a_hundred_sessions_alike() {
    open_many();
    let place = Place::new();
    let daemon = place.daemon();
    let subscribed = AtomicUsize::new(0);
    let mirrors: Vec<Mirror> = std::thread::scope(|scope| {
        let dashboards: Vec<_> = (0..DASHBOARDS)
            .map(|_| scope.spawn(|| dashboard(&place, &subscribed)))
            .collect();
        // Some subscribe before the first change, some in the middle of it all.
        until("half of the dashboards", || {
            (subscribed.load(Ordering::Relaxed) >= DASHBOARDS / 2).then_some(())
        });
        let agents: Vec<_> = (0..SESSIONS)
            .step_by(10)
            .map(|first| {
                let place = &place;
                scope.spawn(move || agents(place, first))
            })
            .collect();
        for agent in agents {
            agent.join().unwrap();
        }
        until("all dashboards", || {
            (subscribed.load(Ordering::Relaxed) == DASHBOARDS).then_some(())
        });
        place.ok(&["report", LAST, "idle"]);
        dashboards
            .into_iter()
            .map(|dashboard| dashboard.join().unwrap())
            .collect()
    });

    let list = place.ok(&["list", "--all", "--json"]);
    let list: Vec<SessionRecord<'static>> = serde_json::from_str(&list).unwrap();
    let list: BTreeMap<_, _> = list
        .into_iter()
        .map(|session| (session.key.to_string(), session))
        .collect();
    assert_eq!(list.len(), SESSIONS - SESSIONS / 10 + 1);
    let status = place.json(&["status", "--json"]);
    for mirror in mirrors {
        assert_eq!(status["seq"], mirror.seq());
        assert!(mirror.sessions().eq(list.values()));
    }
    assert_eq!(daemon.number("Threads"), 1);
    assert!(!daemon.log().contains("dropped"));
}

#[test]
fn connections_that_came_and_went_leave_no_memory_behind() {
    const AT_ONCE: usize = 500;
    open_many();
    let place = Place::new();
    let daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);
    bystanders.are_served();
    let descriptors = daemon.descriptors();
    let once = || {
        let mut sockets: Vec<_> = (0..AT_ONCE)
            .map(|_| UnixStream::connect(place.socket()).unwrap())
            .collect();
        for (number, socket) in sockets.iter_mut().enumerate() {
            // A line and the beginning of another, which takes a buffer.
            let rest = "x".repeat(number * 4);
            let lines =
                format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"daemon.status\"}}\n{rest}");
            socket.write_all(lines.as_bytes()).unwrap();
        }
        drop(sockets);
    };
    // What the first clients of all cost stays: code that was never run before, the allocator's own tables.
    once();
    let gone = |bystanders: &mut Bystanders| {
        until("the connections to be closed", || {
            bystanders.are_served();
            (daemon.descriptors() <= descriptors).then_some(())
        });
    };
    gone(&mut bystanders);
    let before = daemon.memory();
    for _ in 0..9 {
        once();
        bystanders.are_served();
    }
    gone(&mut bystanders);
    let after = daemon.memory();
    assert!(
        after < before + 1024,
        "{before} KiB before, {after} KiB after"
    );
    println!("{before} KiB after 500 connections, {after} KiB after 5000");
}

/// Voluntary and involuntary context switches: the first counts each time that the daemon waited, so that without one
/// it has not woken. (The second is the scheduler's doing, and only happens to who runs.)
fn switches(daemon: &crate::support::Daemon) -> (u64, u64) {
    (
        daemon.number("voluntary_ctxt_switches"),
        daemon.number("nonvoluntary_ctxt_switches"),
    )
}

#[test]
fn with_nothing_to_do_it_does_not_wake() {
    // The length of the observation, not a wait for anything: a timer of a second or less would be seen in each.
    const OBSERVED: Duration = Duration::from_secs(3);
    let busy_place = Place::new();
    busy_place.configure("idle_timeout = \"1h\"\n");
    let quiet_place = Place::new();
    quiet_place.configure("idle_timeout = 0\n");
    let (quiet, busy) = (quiet_place.daemon(), busy_place.daemon());
    quiet_place.ok(&["list"]);

    // One with all that it can have at rest: clients, a dashboard, a live session, half a line.
    let agent = Sleeper::start();
    busy_place.ok(&["report", "x", "working", "--pid", &agent.pid().to_string()]);
    let mut dashboard = busy_place.connect();
    dashboard.ask("subscribe", json!({}));
    let mut client = busy_place.connect();
    client.ask("hello", json!({}));
    client.send(b"{");

    let observe = || {
        let before = (switches(&quiet), switches(&busy));
        std::thread::sleep(OBSERVED);
        (before, (switches(&quiet), switches(&busy)))
    };
    // What was asked for last may have its end during the first observation: the clients leave.
    until("both to be at rest", || {
        let (before, after) = observe();
        (before == after).then_some(())
    });
    let (before, after) = observe();
    assert_eq!(before, after);
    assert_eq!(quiet.number("Threads"), 1);
    assert_eq!(busy.number("Threads"), 1);
}
