//! `watch --json`: each change, across a crash and a restart, until a stop.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use super::{SUCCESS, fields};
use crate::support::{Place, Sleeper};

/// A running `watch --json`, which is killed when its test ends.
struct Watch {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Watch {
    fn start(place: &Place) -> Self {
        let mut child = place
            .command(["watch", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn next(&mut self) -> Option<Value> {
        let line = self.lines.next()?.unwrap();
        Some(serde_json::from_str(&line).unwrap())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn watch_prints_each_change_survives_a_crash_and_ends_with_a_stop() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let before = place.json(&["report", "before", "idle", "--json"]);
    let mut watch = Watch::start(&place);
    let snapshot = watch.next().unwrap();
    assert_eq!(
        fields(&snapshot),
        ["epoch", "event", "notices", "seq", "sessions"]
    );
    assert_eq!(snapshot["event"], "snapshot");
    assert_eq!(snapshot["sessions"], json!([before]));
    let seq = snapshot["seq"].as_u64().unwrap();

    let after = place.json(&["report", "after", "working", "--json"]);
    assert_eq!(
        watch.next().unwrap(),
        json!({"event": "session.changed", "seq": seq + 1, "session": after})
    );
    place.ok(&["remove", "after"]);
    assert_eq!(
        watch.next().unwrap(),
        json!({"event": "session.removed", "seq": seq + 2, "key": "after"})
    );
    daemon.signal("HUP");
    let notice = watch.next().unwrap();
    assert_eq!(notice["event"], "daemon.notice");
    assert_eq!(notice["code"], "config_loaded");

    daemon.signal("KILL");
    daemon.wait();
    let mut daemon = place.daemon_without_state();
    let again = watch.next().unwrap();
    assert_eq!(
        fields(&again),
        ["epoch", "event", "notices", "seq", "sessions"]
    );
    assert_eq!(again["event"], "snapshot");
    assert_ne!(again["epoch"], snapshot["epoch"]);
    assert_eq!(again["sessions"], json!([]));

    // A restart, as a service manager would do it.
    daemon.signal("TERM");
    daemon.wait();
    let stopping = watch.next().unwrap();
    assert_eq!(stopping["event"], "daemon.stopping");
    assert_eq!(stopping["reason"], "signal");
    let mut daemon = place.daemon_without_state();
    assert_eq!(watch.next().unwrap()["event"], "snapshot");

    place.ok(&["stop"]);
    assert_eq!(daemon.wait(), Some(0));
    let stopping = watch.next().unwrap();
    assert_eq!(stopping["event"], "daemon.stopping");
    assert_eq!(stopping["reason"], "stop");
    assert_eq!(watch.next(), None);
    assert_eq!(watch.child.wait().unwrap().code(), Some(SUCCESS));
}

#[test]
fn a_daemon_that_goes_on_sends_only_what_has_changed_and_all_is_printed() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let mut job = Sleeper::start();
    let pid = job.pid().to_string();
    place.ok(&["report", "same", "waiting"]);
    place.ok(&["report", "job", "working", "--pid", &pid]);
    let mut watch = Watch::start(&place);
    let first = watch.next().unwrap();
    assert_eq!(first["sessions"].as_array().unwrap().len(), 2);
    let since = json!({"since": {"epoch": first["epoch"], "seq": first["seq"]}});

    daemon.signal("KILL");
    daemon.wait();
    job.kill();
    let mut daemon = place.daemon();
    let again = watch.next().unwrap();
    assert_eq!(again["event"], "snapshot");
    assert_eq!(again["epoch"], first["epoch"]);
    let [job, same] = ["job", "same"].map(|key| place.json(&["get", key, "--json"]));
    assert_eq!(job["status"], "closed");
    assert_eq!(again["sessions"], json!([job, same]));
    assert!(again.get("partial").is_none());
    assert!(again["seq"].as_u64() > first["seq"].as_u64());
    let sent = place.connect().ask("subscribe", since)["result"].take();
    assert_eq!(
        (&sent["partial"], &sent["sessions"]),
        (&json!(true), &json!([job]))
    );

    // In order, so that no number is left out.
    daemon.signal("TERM");
    daemon.wait();
    let stopping = watch.next().unwrap();
    assert_eq!(stopping["event"], "daemon.stopping");
    let _daemon = place.daemon();
    let last = watch.next().unwrap();
    assert_eq!(last["epoch"], first["epoch"]);
    assert_eq!(last["sessions"], again["sessions"]);
    assert_eq!(last["seq"], stopping["seq"]);
    place.ok(&["remove", "same"]);
    let seq = last["seq"].as_u64().unwrap() + 1;
    assert_eq!(
        watch.next().unwrap(),
        json!({"event": "session.removed", "seq": seq, "key": "same"})
    );
}

#[test]
fn a_command_runs_for_each_change_and_none_is_lost_while_it_runs() {
    let place = Place::new();
    let mut daemon = place.daemon();
    place.ok(&["report", "before", "working"]);
    let records = place.path().join("records");
    // It is slower than the changes are, and fails once.
    let command = format!(
        "cat >>{0}; sleep 0.02; test $(wc -l <{0}) -ne 3",
        records.display()
    );
    let mut watch = place.command(["watch", "--json", "--exec", &command]);
    watch.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watch = Sleeper(watch.spawn().unwrap());
    let mut lines = BufReader::new(watch.0.stdout.as_mut().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains("before"), "{first}");
    let statuses = ["working", "waiting", "error", "idle"].repeat(5);
    for status in &statuses {
        place.ok(&["report", "build", status]);
    }
    place.ok(&["stop"]);
    daemon.wait();
    lines.for_each(drop);
    let output = watch.output();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said.matches("--exec has failed: exit status: 1").count(),
        1,
        "{said}"
    );
    let records = std::fs::read_to_string(records).unwrap();
    let records = records.lines().map(|line| {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["key"], "build");
        record["status"].as_str().unwrap().to_owned()
    });
    assert_eq!(records.collect::<Vec<_>>(), statuses);
}
