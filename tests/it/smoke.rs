//! The daemon on a socket of its own: the commands, the pushes, the end.

use serde_json::json;

use crate::support::{Place, Sleeper, until};

#[test]
fn a_reported_session_is_listed_shown_and_forgotten() {
    let place = Place::new();
    let _daemon = place.daemon();
    assert_eq!(place.json(&["list", "--json"]), json!([]));

    let session = place.json(&[
        "report",
        "build",
        "working",
        "--reason",
        "cargo test",
        "--cwd",
        "/src",
        "--json",
    ]);
    assert_eq!(session["key"], "build");
    assert_eq!(session["status"], "working");
    assert_eq!(place.json(&["get", "bui", "--json"]), session);
    assert_eq!(place.json(&["list", "--json"]), json!([session]));
    assert!(place.ok(&["list"]).contains("cargo test"));

    assert_eq!(
        place.json(&["remove", "build", "--json"]),
        json!({"removed": "build"})
    );
    assert_eq!(place.json(&["list", "--json"]), json!([]));
}

#[test]
fn a_dashboard_is_told_each_change_in_order() {
    let place = Place::new();
    let _daemon = place.daemon();
    place.ok(&["report", "one", "working"]);
    let mut dashboard = place.connect();
    let snapshot = dashboard.ask("subscribe", json!({}))["result"].clone();
    assert_eq!(snapshot["sessions"][0]["key"], "one");

    place.ok(&["report", "one", "waiting", "--waiting-for", "answer"]);
    place.ok(&["remove", "one"]);
    let changed = dashboard.notified("session.changed");
    assert_eq!(changed["session"]["waiting_for"], "answer");
    assert_eq!(
        changed["seq"].as_u64(),
        snapshot["seq"].as_u64().map(|seq| seq + 1)
    );
    let removed = dashboard.notified("session.removed");
    assert_eq!(removed["key"], "one");
    assert_eq!(
        removed["seq"].as_u64(),
        snapshot["seq"].as_u64().map(|seq| seq + 2)
    );
}

#[test]
fn the_end_of_a_process_closes_its_session() {
    let place = Place::new();
    let _daemon = place.daemon();
    let mut agent = Sleeper::start();
    place.ok(&[
        "report",
        "job",
        "working",
        "--pid",
        &agent.pid().to_string(),
    ]);
    agent.kill();
    let closed = until("the session to be closed", || {
        let session = place.json(&["get", "job", "--json"]);
        (session["status"] == "closed").then_some(session)
    });
    assert_eq!(closed["end_reason"], "exited");
    assert_eq!(place.json(&["list", "--json"]), json!([]));
    assert_eq!(place.json(&["list", "--all", "--json"]), json!([closed]));
}

/// The process of a script's last run has no bearing on its next one, but the one that still runs has.
#[test]
fn a_closed_session_that_is_reported_again_stays_open_until_its_process_ends() {
    let place = Place::new();
    let _daemon = place.daemon();
    let mut ended = Sleeper::start();
    let mut runs = Sleeper::start();
    for (name, job) in [("ended", &ended), ("runs", &runs)] {
        let pid = job.pid().to_string();
        place.ok(&["report", name, "working", "--pid", &pid]);
        place.ok(&["report", name, "closed"]);
    }
    ended.kill();
    for (name, pid) in [("ended", None), ("runs", Some(runs.pid()))] {
        let replied = place.json(&["report", name, "working", "--json"]);
        assert_eq!(replied["status"], "working", "{replied}");
        assert_eq!(replied["pid"], json!(pid), "{replied}");
    }
    runs.kill();
    until("the session of the running process to be closed", || {
        let session = place.json(&["get", "runs", "--json"]);
        (session["status"] == "closed").then_some(())
    });
    // An end of the other's process would have been seen before.
    let session = place.json(&["get", "ended", "--json"]);
    assert_eq!(session["status"], "working", "{session}");
}

#[test]
fn stop_tells_dashboards_and_leaves_nothing_behind() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let mut dashboard = place.connect();
    dashboard.ask("subscribe", json!({}));

    let stopped = place.run(&["stop"]);
    assert!(stopped.status.success(), "{stopped:?}");
    assert!(
        String::from_utf8_lossy(&stopped.stderr).contains("1 dashboard is connected"),
        "{stopped:?}"
    );
    assert_eq!(dashboard.notified("daemon.stopping")["reason"], "stop");
    assert_eq!(dashboard.next(), None);
    assert_eq!(daemon.wait(), Some(0));
    assert!(!place.socket().exists());
    assert_eq!(place.run(&["list"]).status.code(), Some(3));
}
