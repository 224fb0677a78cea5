//! `wait` returns when the sessions have the status that was asked for, and not before.

mod exec;

use std::process::{Child, Output, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{PROMPT, Place, Sleeper, until};

const SUCCESS: i32 = 0;
const FAILURE: i32 = 1;
const USAGE: i32 = 2;
const TIMED_OUT: i32 = 124;

/// A `wait` that runs, and is killed when its test ends.
struct Waiting(Option<Child>);

impl Waiting {
    /// Starts it and waits until it has subscribed, as the `dashboards`th.
    #[track_caller]
    fn start(place: &Place, dashboards: u32, arguments: &[&str]) -> Self {
        let mut child = place
            .command(["wait"].iter().chain(arguments))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        until("wait to be subscribed", || {
            assert_eq!(child.try_wait().unwrap(), None, "{arguments:?}");
            subscribed(place, dashboards)
        });
        Self(Some(child))
    }

    fn waits(&mut self) -> bool {
        self.0.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    #[track_caller]
    fn end(mut self) -> Output {
        let mut child = self.0.take().unwrap();
        until("wait to end", || child.try_wait().unwrap());
        child.wait_with_output().unwrap()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn subscribed(place: &Place, dashboards: u32) -> Option<()> {
    let status = place.connect().ask("daemon.status", json!({}));
    (status["result"]["dashboards"] == dashboards).then_some(())
}

/// How it ended, and what it said on each stream.
#[track_caller]
fn ended(output: &Output, code: i32) -> (&str, &str) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    (
        std::str::from_utf8(&output.stdout).unwrap(),
        std::str::from_utf8(&output.stderr).unwrap(),
    )
}

#[test]
fn a_condition_that_holds_already_returns_at_once() {
    let place = Place::new();
    let _daemon = place.daemon();
    place.ok(&["report", "works", "working"]);
    place.ok(&["report", "asks", "waiting", "--waiting-for", "plan"]);
    place.ok(&["report", "fails", "error", "--reason", "rate limited"]);
    place.ok(&["report", "done", "closed"]);
    for (arguments, said) in [
        // Who has needed a person for longest.
        (&["wait"][..], "asks  waiting: plan  -\n"),
        (
            &["wait", "--any", "--for", "attention"],
            "asks  waiting: plan  -\n",
        ),
        (&["wait", "fai"], "fails  error  -  rate limited\n"),
        (
            &["wait", "works", "fails", "--any"],
            "fails  error  -  rate limited\n",
        ),
        // However short the time.
        (
            &["wait", "asks", "--for", "waiting", "--timeout", "0"],
            "asks  waiting: plan  -\n",
        ),
        (
            &["wait", "done", "fails", "fails", "--for", "idle"],
            "fails  error  -  rate limited\ndone  closed  -  reported\n",
        ),
        (
            &["wait", "done", "--for", "closed"],
            "done  closed  -  reported\n",
        ),
    ] {
        assert_eq!(place.ok(arguments), said, "{arguments:?}");
    }
    let record = place.json(&["wait", "asks", "--json"]);
    assert_eq!(record, place.json(&["get", "asks", "--json"]));
    // No session is open, so all are in the state.
    for key in ["works", "asks", "fails"] {
        place.ok(&["remove", key]);
    }
    assert_eq!(place.ok(&["wait", "--all"]), "");
}

#[test]
fn any_is_the_first_and_named_ones_are_waited_for_together() {
    let place = Place::new();
    let _daemon = place.daemon();
    for key in ["a", "b"] {
        place.ok(&["report", key, "working"]);
    }
    place.ok(&["report", "over", "closed"]);
    let any = Waiting::start(&place, 1, &["--for", "closed"]);
    let mut both = Waiting::start(&place, 2, &["a", "b", "--for", "idle"]);
    let mut all = Waiting::start(&place, 3, &["--all", "--for", "idle", "--json"]);
    place.ok(&["report", "a", "idle"]);
    // One after the other is not together.
    place.ok(&["report", "a", "working"]);
    place.ok(&["report", "b", "idle"]);
    // A later session is not one of those that were open.
    place.ok(&["report", "late", "working"]);
    assert!(both.waits() && all.waits());
    place.ok(&["report", "a", "closed"]);
    let output = any.end();
    assert_eq!(ended(&output, SUCCESS), ("a  closed  -  reported\n", ""));
    let output = both.end();
    assert_eq!(
        ended(&output, SUCCESS),
        ("b  idle  -\na  closed  -  reported\n", "")
    );
    let output = all.end();
    let (records, _) = ended(&output, SUCCESS);
    let records: Vec<Value> = records
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        records,
        [
            place.json(&["get", "b", "--json"]),
            place.json(&["get", "a", "--json"])
        ]
    );
}

#[test]
fn a_removed_session_is_closed() {
    let place = Place::new();
    let _daemon = place.daemon();
    for key in ["x", "y"] {
        place.ok(&["report", key, "working"]);
    }
    let named = Waiting::start(&place, 1, &["x", "--for", "closed"]);
    let json = Waiting::start(&place, 2, &["x", "--for", "idle", "--json"]);
    let any = Waiting::start(&place, 3, &["--any", "--for", "closed"]);
    let in_vain = Waiting::start(&place, 4, &["x", "--for", "attention"]);
    let mut others = Waiting::start(&place, 5, &["x", "y", "--any", "--for", "waiting"]);
    let mut open = Waiting::start(&place, 6, &["--all", "--for", "waiting"]);
    place.ok(&["remove", "x"]);
    assert_eq!(ended(&named.end(), SUCCESS), ("x  gone\n", ""));
    assert_eq!(ended(&json.end(), SUCCESS), ("{\"removed\":\"x\"}\n", ""));
    assert_eq!(ended(&any.end(), SUCCESS), ("x  gone\n", ""));
    let output = in_vain.end();
    let (_, said) = ended(&output, FAILURE);
    assert!(
        said.contains("x is closed and will not need a person"),
        "{said}"
    );
    // One session is left.
    assert!(others.waits() && open.waits());
    place.ok(&["report", "y", "waiting"]);
    assert_eq!(ended(&others.end(), SUCCESS).0, "y  waiting: dialog  -\n");
    assert_eq!(ended(&open.end(), SUCCESS).0, "y  waiting: dialog  -\n");
}

#[test]
fn a_time_limit_has_an_exit_code_of_its_own() {
    let place = Place::new();
    let _daemon = place.daemon();
    place.ok(&["report", "a\u{202e}b", "working"]);
    for (arguments, said) in [
        (
            &["wait", "a", "--timeout", "50ms"][..],
            "not within 50ms: a\u{fffd}b is working\n",
        ),
        (
            &["wait", "--all", "--timeout", "0.05"],
            "not within 50ms: a\u{fffd}b is working\n",
        ),
        (&["wait", "--timeout", "0", "--json"], "not within 0s\n"),
    ] {
        let began = Instant::now();
        let output = place.run(arguments);
        let said = format!("agent-console: {said}");
        assert_eq!(ended(&output, TIMED_OUT), ("", &*said));
        assert!(began.elapsed() < PROMPT);
    }
}

#[test]
fn wait_survives_a_restart_and_reports_a_stop() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let mut agent = Sleeper::start();
    let pid = agent.pid().to_string();
    place.ok(&["report", "job", "working", "--pid", &pid]);
    place.ok(&["report", "other", "working"]);
    let closed = Waiting::start(&place, 1, &["job", "--for", "closed"]);
    let mut attention = Waiting::start(&place, 2, &["other"]);
    daemon.signal("KILL");
    daemon.wait();
    // It ended without a daemon; the next daemon has no report of it.
    agent.kill();
    let mut daemon = place.daemon_without_state();
    let output = closed.end();
    let (said, lost) = ended(&output, SUCCESS);
    assert_eq!(said, "job  gone\n");
    assert_eq!(lost, "the daemon is gone; connecting again\n");

    until("the other to be subscribed", || subscribed(&place, 1));
    assert!(attention.waits());
    place.ok(&["report", "other", "waiting"]);
    assert_eq!(
        ended(&attention.end(), SUCCESS).0,
        "other  waiting: dialog  -\n"
    );

    let forever = Waiting::start(&place, 1, &["other", "--for", "closed"]);
    place.ok(&["stop"]);
    assert_eq!(daemon.wait(), Some(0));
    let output = forever.end();
    let (_, said) = ended(&output, FAILURE);
    assert!(
        said.contains("stopped") && said.contains("agent-console daemon"),
        "{said}"
    );
}

#[test]
fn a_session_that_a_new_daemon_does_not_know_closes_with_its_process() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let (mut one, mut two) = (Sleeper::start(), Sleeper::start());
    for (key, agent) in [("one", &one), ("two", &two)] {
        // The process is known later than the session.
        place.ok(&["report", key, "working"]);
        let pid = agent.pid().to_string();
        place.ok(&["report", key, "working", "--pid", &pid]);
    }
    place.ok(&["report", "over", "closed"]);
    let first = Waiting::start(&place, 1, &["one", "--for", "closed"]);
    let any = Waiting::start(&place, 2, &["--for", "closed", "--json"]);
    let in_vain = Waiting::start(&place, 3, &["one", "two"]);
    let mut both = Waiting::start(&place, 4, &["one", "two", "over", "--for", "idle"]);
    for dashboards in [4, 4] {
        daemon.signal("KILL");
        daemon.wait();
        daemon = place.daemon_without_state();
        until("all to be subscribed", || subscribed(&place, dashboards));
    }
    one.kill();
    let output = first.end();
    assert_eq!(ended(&output, SUCCESS).0, "one  gone\n");
    let output = any.end();
    assert_eq!(ended(&output, SUCCESS).0, "{\"removed\":\"one\"}\n");
    let output = in_vain.end();
    let (_, said) = ended(&output, FAILURE);
    assert!(said.contains("one is closed and will not need"), "{said}");

    // One that is known again is the daemon's business, whatever became of its process.
    assert!(both.waits());
    let mut known = Waiting::start(&place, 2, &["--for", "closed"]);
    place.ok(&["report", "two", "working"]);
    two.kill();
    assert!(both.waits() && known.waits());
    place.ok(&["report", "two", "closed"]);
    let output = known.end();
    assert_eq!(ended(&output, SUCCESS).0, "two  closed  -  reported\n");
    let output = both.end();
    let (said, lost) = ended(&output, SUCCESS);
    assert_eq!(said, "two  closed  -  reported\none  gone\nover  gone\n");
    assert_eq!(lost, "the daemon is gone; connecting again\n".repeat(2));
}

#[test]
fn a_session_that_the_next_daemon_knows_closes_there() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let mut agent = Sleeper::start();
    let pid = agent.pid().to_string();
    place.ok(&["report", "job", "working", "--pid", &pid]);
    let mut closed = Waiting::start(&place, 1, &["job", "--for", "closed"]);
    daemon.signal("KILL");
    daemon.wait();
    let _daemon = place.daemon();
    until("it to be subscribed", || subscribed(&place, 1));
    assert!(closed.waits());
    agent.kill();
    let output = closed.end();
    let (said, _) = ended(&output, SUCCESS);
    assert!(said.starts_with("job  closed  -"), "{said}");
}

#[test]
fn a_process_that_cannot_be_watched_is_reported() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let params = json!({
        "agent": "claude-code", "at": 1, "pid": 1, "process_start": 1, "pid_namespace": 1,
        "event": {"hook_event_name": "SessionStart", "session_id": "s"},
    });
    let answer = place.connect().ask("session.report", params);
    assert_eq!(answer["result"]["accepted"], true, "{answer}");
    let mut elsewhere = Waiting::start(&place, 1, &["s", "--for", "closed"]);
    daemon.signal("KILL");
    daemon.wait();
    let _daemon = place.daemon_without_state();
    until("it to be subscribed", || subscribed(&place, 1));
    assert!(elsewhere.waits());
    place.ok(&["stop"]);
    let output = elsewhere.end();
    let (_, said) = ended(&output, FAILURE);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[0], "the daemon is gone; connecting again");
    let says = "is not reported since the daemon's restart, and the end of its process 1 is not seen: it has ended, or is in \
                another pid namespace";
    assert!(
        lines[1].starts_with("claude-code-") && lines[1].ends_with(says),
        "{said}"
    );
}

#[test]
fn wrong_arguments_are_reported_at_once() {
    let place = Place::new();
    let _daemon = place.daemon();
    for (arguments, part) in [
        (&["wait", "--any", "--all"][..], "--all"),
        (&["wait", "--for", "godot"], "attention"),
        (&["wait", "--for"], "--for"),
        (
            &["wait", "--timeout", "soon"],
            "write seconds, or one like 90s, 5min or 2h",
        ),
        (&["wait", "--timeout", "-1"], "--timeout"),
        (&["wait", "--timeout=-1"], "negative"),
    ] {
        let output = place.run(arguments);
        let (_, said) = ended(&output, USAGE);
        assert!(
            said.contains(part) && said.contains("--help"),
            "{arguments:?}: {said}"
        );
    }
    let output = place.run(&["wait", "unknown"]);
    let (_, said) = ended(&output, FAILURE);
    assert!(
        said.contains("\"unknown\"") && said.contains("agent-console list"),
        "{said}"
    );
}
