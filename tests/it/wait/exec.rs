//! `wait --exec`: a command each time that a session comes into the state, and none is lost.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{FAILURE, SUCCESS, TIMED_OUT, USAGE, Waiting, ended, subscribed};
use crate::support::{Place, until};

/// A command that keeps what it reads, and the file with it.
fn keep(place: &Place) -> (String, PathBuf) {
    let file = place.path().join("records");
    // Without another process: a machine under load runs many of them.
    let command = format!(
        r#"IFS= read -r line; printf '%s\n' "$line" >>'{}'"#,
        file.display()
    );
    (command, file)
}

/// The records of the commands that have run.
fn records(file: &PathBuf) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

fn keys(records: &[Value]) -> Vec<&str> {
    let keys = records.iter().map(|record| record["key"].as_str().unwrap());
    keys.collect()
}

#[test]
fn no_change_is_lost_however_fast_they_are() {
    const CHANGES: usize = 200;
    let place = Place::new();
    let _daemon = place.daemon();
    place.ok(&["report", "job", "working"]);
    let (command, file) = keep(&place);
    let wait = Waiting::start(&place, 1, &["job", "--for", "idle", "--exec", &command]);
    // The commands are much slower.
    let mut wire = place.connect();
    for change in 0..CHANGES {
        for status in ["idle", "working"] {
            let params = json!({"session": "job", "status": status, "reason": change.to_string()});
            let answer = wire.ask("session.set", params);
            assert!(answer.get("result").is_some(), "{answer}");
        }
    }
    place.ok(&["report", "job", "closed"]);
    let output = wait.end();
    let (said, _) = ended(&output, SUCCESS);
    assert_eq!(said.lines().count(), CHANGES + 1);
    let records = records(&file);
    let reasons = records[..CHANGES].iter().map(|record| {
        assert_eq!(record["status"], "idle");
        record["reason"].as_str().unwrap().parse().unwrap()
    });
    assert_eq!(
        reasons.collect::<Vec<usize>>(),
        (0..CHANGES).collect::<Vec<_>>()
    );
    // A closed session is idle, too, and ends the wait.
    assert_eq!(records[CHANGES]["status"], "closed");
    assert_eq!(records.len(), CHANGES + 1);
}

#[test]
fn a_restart_of_the_daemon_loses_no_change_and_repeats_none() {
    let place = Place::new();
    let mut daemon = place.daemon();
    place.ok(&["report", "same", "idle"]);
    place.ok(&["report", "again", "idle"]);
    place.ok(&["report", "ends", "working"]);
    let (command, file) = keep(&place);
    let wait = Waiting::start(&place, 1, &["--for", "idle", "--exec", &command]);
    let ran = |count: usize| {
        until("the commands to run", || {
            let records = records(&file);
            assert!(records.len() <= count, "{records:?}");
            (records.len() == count).then_some(records)
        })
    };
    assert_eq!(keys(&ran(2)), ["again", "same"]);

    daemon.signal("KILL");
    daemon.wait();
    let mut daemon = place.daemon();
    // Before it is connected again, as a rule; then one update has all of these.
    for (key, status) in [("again", "working"), ("again", "idle"), ("ends", "idle")] {
        place.ok(&["report", key, status]);
    }
    let mut after = keys(&ran(4)[2..])
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    after.sort_unstable();
    assert_eq!(after, ["again", "ends"]);

    daemon.signal("KILL");
    daemon.wait();
    let mut daemon = place.daemon_without_state();
    until("it to be subscribed", || subscribed(&place, 1));
    for (key, status) in [("same", "idle"), ("again", "working"), ("last", "idle")] {
        place.ok(&["report", key, status]);
    }
    assert_eq!(keys(&ran(5)[4..]), ["last"]);
    place.ok(&["stop"]);
    daemon.wait();
    let output = wait.end();
    let (said, lost) = ended(&output, SUCCESS);
    assert_eq!(said.lines().count(), 5);
    assert_eq!(lost, "the daemon is gone; connecting again\n".repeat(2));
}

#[test]
fn the_exit_status_shows_whether_the_command_has_run() {
    let place = Place::new();
    let mut daemon = place.daemon();
    place.ok(&["report", "works", "working"]);
    place.ok(&["report", "asks", "waiting"]);
    let (command, file) = keep(&place);
    let run = |arguments: &[&str]| {
        let exec = ["--exec", &*command];
        place.run(&[&["wait"], arguments, &exec].concat())
    };
    let output = run(&["works", "--timeout", "50ms"]);
    let (_, said) = ended(&output, TIMED_OUT);
    assert!(said.contains("works is working"), "{said}");
    let output = run(&["--timeout", "50ms"]);
    assert_eq!(ended(&output, SUCCESS), ("asks  waiting: dialog  -\n", ""));
    assert_eq!(keys(&records(&file)), ["asks"]);
    let output = run(&["--all", "--for", "idle"]);
    let (_, said) = ended(&output, USAGE);
    assert!(said.contains("--all") && said.contains("--exec"), "{said}");

    let exec = ["--exec", &*command];
    let arguments = |arguments: &[&'static str]| [arguments, &exec].concat();
    let both = Waiting::start(&place, 1, &arguments(&["works", "asks", "--for", "closed"]));
    let in_vain = Waiting::start(&place, 2, &arguments(&["works"]));
    let stopped = Waiting::start(&place, 3, &arguments(&["--for", "closed", "--any"]));
    place.ok(&["remove", "works"]);
    let output = in_vain.end();
    let (_, said) = ended(&output, FAILURE);
    assert!(said.contains("works is closed and will not"), "{said}");
    place.ok(&["report", "asks", "closed"]);
    let output = both.end();
    assert_eq!(
        ended(&output, SUCCESS),
        ("works  gone\nasks  closed  -  reported\n", "")
    );
    assert!(records(&file).contains(&json!({"removed": "works"})));
    let never = Waiting::start(&place, 2, &arguments(&["--for", "waiting"]));
    place.ok(&["stop"]);
    daemon.wait();
    ended(&stopped.end(), SUCCESS);
    let output = never.end();
    let (_, said) = ended(&output, FAILURE);
    assert!(said.contains("stopped before it came true"), "{said}");
}
