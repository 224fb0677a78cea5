//! `--agent` of `list`, `watch`, `wait`, `next` and `bar`: the sessions of one agent alone.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Place, Sleeper};

/// A place with a session of two agents: `ours` waits, `theirs` works.
fn furnish(place: &Place) -> [Sleeper; 2] {
    let agents = [Sleeper::start(), Sleeper::start()];
    for (agent, name, event) in [
        (
            &agents[0],
            "ours",
            r#"{"event":"asked","waiting_for":"answer","session_id":"o"}"#,
        ),
        (
            &agents[1],
            "theirs",
            r#"{"event":"turn_started","session_id":"t"}"#,
        ),
    ] {
        report(place, agent, name, event);
    }
    agents
}

#[track_caller]
fn report(place: &Place, agent: &Sleeper, name: &str, event: &str) {
    use std::io::Write;
    let mut child = place
        .command(["event", "--agent", name, "--pid", &agent.pid().to_string()])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let line = format!("{event}\n");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(line.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
}

fn agents_of(sessions: &Value) -> Vec<&str> {
    let sessions = sessions.as_array().unwrap().iter();
    sessions
        .map(|session| session["agent"].as_str().unwrap())
        .collect()
}

#[test]
fn list_next_and_bar_show_one_agents_sessions() {
    let place = Place::new();
    let _daemon = place.daemon();
    let _agents = furnish(&place);
    assert_eq!(
        agents_of(&place.json(&["list", "--json"])),
        ["ours", "theirs"]
    );
    for name in ["ours", "theirs"] {
        let listed = place.json(&["list", "--agent", name, "--json"]);
        assert_eq!(agents_of(&listed), [name]);
    }
    assert_eq!(
        place.json(&["list", "--agent", "none", "--json"]),
        Value::Array(Vec::new())
    );

    assert_eq!(
        place.json(&["next", "--agent", "ours", "--json"])["agent"],
        "ours"
    );
    let none = place.run(&["next", "--agent", "theirs", "--json"]);
    assert_eq!(none.status.code(), Some(1), "{none:?}");

    let bar = |name: &str| place.json(&["bar", "--agent", name, "--format", "json"]);
    assert_eq!(bar("ours")["waiting"], 1);
    assert_eq!(bar("ours")["working"], 0);
    assert_eq!(bar("theirs")["waiting"], 0);
    assert_eq!(bar("theirs")["working"], 1);
}

#[test]
fn wait_waits_for_one_agents_sessions() {
    let place = Place::new();
    let _daemon = place.daemon();
    let agents = furnish(&place);
    let wait = |name: &str| {
        let output = place.run(&[
            "wait",
            "--agent",
            name,
            "--for",
            "attention",
            "--timeout",
            "1",
        ]);
        output.status.code()
    };
    assert_eq!(wait("ours"), Some(0));
    assert_eq!(wait("theirs"), Some(124));
    report(&place, &agents[1], "theirs", r#"{"event":"turn_ended"}"#);
    assert_eq!(wait("theirs"), Some(0));
}

#[test]
fn watch_reports_one_agents_sessions() {
    let place = Place::new();
    let _daemon = place.daemon();
    let agents = furnish(&place);
    let mut child = place
        .command(["watch", "--agent", "theirs", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The subscription has begun with its first line.
    let first = lines.next().unwrap().unwrap();
    assert!(!first.contains("\"ours\""), "{first}");
    report(&place, &agents[0], "ours", r#"{"event":"turn_started"}"#);
    report(&place, &agents[1], "theirs", r#"{"event":"turn_ended"}"#);
    let ended = lines.map(Result::unwrap).find(|line| {
        assert!(!line.contains("\"ours\""), "{line}");
        line.contains("\"idle\"")
    });
    assert!(ended.is_some());
    child.kill().unwrap();
    child.wait().unwrap();
}
