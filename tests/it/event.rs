//! `event`: an agent that is not in the table, by neutral events; the examples of docs/protocol.md as they are.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::{Place, Sleeper, program, until};

const PROTOCOL: &str = include_str!("../../docs/protocol.md");

/// Sends `input` as the events of an agent in the process `pid`.
#[track_caller]
fn send(place: &Place, pid: u32, input: &str) -> Output {
    let mut child = place
        .command(["event", "--agent", "mine", "--pid", &pid.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have refused the beginning.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[track_caller]
fn sent(place: &Place, pid: u32, event: Value) {
    let output = send(place, pid, &format!("{event}\n"));
    assert!(output.status.success(), "{event}: {output:?}");
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
}

/// The only session, closed or not.
#[track_caller]
fn session(place: &Place) -> Value {
    let mut sessions = place.json(&["list", "--all", "--json"]);
    assert_eq!(sessions.as_array().map(Vec::len), Some(1), "{sessions}");
    sessions[0].take()
}

fn shown(session: &Value) -> String {
    let waits = session["waiting_for"].as_str();
    let status = session["status"].as_str().unwrap();
    waits.map_or_else(|| status.into(), |what| format!("{status}/{what}"))
}

#[test]
fn each_event_has_its_effect() {
    let place = Place::new();
    let _daemon = place.daemon();
    let agent = Sleeper::start();
    for (event, status, attention) in [
        (
            json!({"event": "session_started", "session_id": "1"}),
            "idle",
            false,
        ),
        (
            json!({"event": "turn_started", "prompt": "Fix it"}),
            "working",
            false,
        ),
        (
            json!({"event": "retrying", "error": "rate limited"}),
            "working",
            false,
        ),
        (
            json!({"event": "tool_started", "tool": "Shell", "detail": "make"}),
            "working",
            false,
        ),
        (
            json!({"event": "asked", "id": "7", "waiting_for": "permission", "tool": "Shell"}),
            "waiting/permission",
            true,
        ),
        (json!({"event": "answered", "id": "7"}), "working", false),
        (
            json!({"event": "tool_ended", "tool": "Shell"}),
            "working",
            false,
        ),
        (
            json!({"event": "subagent_started", "subagent": "s"}),
            "working",
            false,
        ),
        (
            json!({"event": "subagent_ended", "subagent": "s"}),
            "working",
            false,
        ),
        (
            json!({"event": "asked", "waiting_for": "plan", "question": "Go?"}),
            "waiting/plan",
            true,
        ),
        (json!({"event": "turn_interrupted"}), "idle", false),
        (json!({"event": "turn_started"}), "working", false),
        (json!({"event": "turn_continues"}), "working", false),
        (
            json!({"event": "task_started", "id": "t"}),
            "working",
            false,
        ),
        (json!({"event": "task_ended", "id": "t"}), "working", false),
        (
            json!({"event": "turn_ended", "cost_usd": 0.5}),
            "idle",
            true,
        ),
        (json!({"event": "turn_started"}), "working", false),
        (
            json!({"event": "turn_failed", "error": "the tests fail"}),
            "error",
            true,
        ),
        (
            json!({"event": "session_changed", "title": "Nightly"}),
            "error",
            true,
        ),
        (json!({"event": "session_seen"}), "error", true),
        (
            json!({"event": "session_ended", "reason": "done"}),
            "closed",
            false,
        ),
    ] {
        let what = event.to_string();
        sent(&place, agent.pid(), event);
        let session = session(&place);
        assert_eq!(shown(&session), status, "{what}: {session}");
        assert_eq!(session["attention"], attention, "{what}: {session}");
    }
    let session = session(&place);
    assert_eq!(session["agent"], "mine");
    assert_eq!(session["session_id"], "1");
    assert_eq!(session["title"], "Nightly");
    assert_eq!(session["cost_usd"], 0.5);
}

#[test]
fn what_is_no_event_changes_nothing() {
    let place = Place::new();
    let _daemon = place.daemon();
    let agent = Sleeper::start();
    let first = "{\"event\":\"turn_started\",\"session_id\":\"1\"}\n\n";
    let refused = send(&place, agent.pid(), &format!("{first}{{\"event\":\n"));
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("an event is no JSON"), "{said}");
    assert_eq!(shown(&session(&place)), "working");

    let ended = r#"{"event":"turn_ended"}"#;
    let too_long = format!(
        "{{\"event\":\"turn_ended\",\"prompt\":\"{}\"}}\n",
        "x".repeat(4 << 20)
    );
    for input in [
        "",
        "\n \n",
        "{\"event\":\"turn_over\"}\n",
        "{\"event\":7}\n",
        "{}\n",
        &too_long,
    ] {
        let output = send(&place, agent.pid(), input);
        assert!(output.stdout.is_empty());
        let start = &input[..input.len().min(40)];
        assert_eq!(shown(&session(&place)), "working", "{start}");
    }
    // Without an end of the line.
    assert!(send(&place, agent.pid(), ended).status.success());
    assert_eq!(shown(&session(&place)), "idle");
}

#[test]
fn an_agent_of_the_table_is_refused() {
    let place = Place::new();
    let _daemon = place.daemon();
    let output = place.run(&["event", "--agent", "codex"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let reason = String::from_utf8(output.stderr).unwrap();
    assert!(reason.contains("agent-console install"), "{reason}");
}

#[test]
fn a_daemon_that_is_not_there_is_named() {
    let place = Place::new();
    let output = send(&place, 1, "{\"event\":\"turn_started\"}\n");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(!output.stderr.is_empty());
}

#[test]
fn a_session_without_a_person_never_waits() {
    let place = Place::new();
    let _daemon = place.daemon();
    let agent = Sleeper::start();
    let mut child = place
        .command(["event", "--agent", "mine", "--unattended", "--pid"])
        .arg(agent.pid().to_string())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let events =
        b"{\"event\":\"turn_started\"}\n{\"event\":\"asked\",\"waiting_for\":\"answer\"}\n";
    child.stdin.take().unwrap().write_all(events).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(shown(&session(&place)), "working");
}

/// The example in this language.
fn example(language: &str) -> &'static str {
    let (_, rest) = PROTOCOL.split_once("## An agent of your own").unwrap();
    let (_, rest) = rest.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

/// Runs an example with `agent-console` and a `make` that succeeds on its path, and gives the statuses that followed.
#[track_caller]
fn run(mut interpreter: Command, place: &Place, script: &str, name: &str) -> Vec<String> {
    let file = place.path().join(name);
    fs::write(&file, script).unwrap();
    crate::support::write_program(&place.path().join("make"), "#!/bin/sh\nexit 0\n");
    let own = std::env::var("PATH").unwrap_or_default();
    let beside = program().parent().map(Path::display).unwrap();
    let output = interpreter
        .arg(&file)
        .env("PATH", format!("{}:{beside}:{own}", place.path().display()))
        .env("HOME", place.path().join("home"))
        .env("AGENT_CONSOLE_SOCKET", place.socket())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let closed = until("the end of the process to close the session", || {
        Some(session(place)).filter(|session| session["status"] == "closed")
    });
    let history = closed["history"].as_array().unwrap().iter();
    history
        .map(|entry| entry["status"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_example_for_a_shell_works() {
    let place = Place::new();
    let _daemon = place.daemon();
    let shown = run(Command::new("sh"), &place, example("sh"), "example.sh");
    let expected = ["idle", "working", "waiting", "working", "idle", "closed"];
    assert_eq!(shown, expected);
}

#[test]
fn the_example_in_python_works() {
    let place = Place::new();
    let _daemon = place.daemon();
    let end = "console.stdin.close()\nconsole.wait()\n";
    let script = format!("{}{end}", example("python"));
    let shown = run(Command::new("python3"), &place, &script, "example.py");
    assert_eq!(shown, ["working", "idle", "closed"]);
}

#[test]
fn the_example_for_node_js_works() {
    if Command::new("node").arg("--version").output().is_err() {
        eprintln!("left out: there is no node");
        return;
    }
    let place = Place::new();
    let _daemon = place.daemon();
    let end = "console_.stdin.end()\nawait new Promise(done => console_.on(\"exit\", done))\n";
    let script = format!("{}{end}", example("js"));
    let shown = run(Command::new("node"), &place, &script, "example.mjs");
    assert_eq!(shown, ["working", "waiting", "working", "idle", "closed"]);
}

/// The end of a thread, or of what has ended, would never be seen.
#[cfg(target_os = "linux")]
#[test]
fn what_is_no_running_process_is_refused_by_its_reason() {
    let place = Place::new();
    let _daemon = place.daemon();
    let (id_tx, id) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let other = std::thread::spawn(move || {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        id_tx.send(thread.to_string()).unwrap();
        let _ = ended.recv();
    });
    let mut zombie = Command::new("true").spawn().unwrap();
    until("a zombie", || {
        let found = agent_console::os::process::inspect(zombie.id()).unwrap();
        found.zombie.then_some(())
    });
    let thread = id.recv().unwrap();
    let ended_pid = zombie.id().to_string();
    let own = std::process::id();
    for (pid, why) in [
        (&*thread, format!("{thread} is a thread of process {own}")),
        (&ended_pid, format!("process {ended_pid} has ended")),
        ("4294967295", "there is no process 4294967295".to_owned()),
        ("0", "0".to_owned()),
    ] {
        for arguments in [
            &["report", "job", "working", "--pid", pid][..],
            &["event", "--agent", "mine", "--pid", pid],
        ] {
            let output = place.run(arguments);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains(&why), "{arguments:?}: {said}");
        }
    }
    for pid in ["-1", "one"] {
        let output = place.run(&["report", "job", "working", "--pid", pid]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    assert_eq!(place.json(&["list", "--all", "--json"]), json!([]));
    // A hook's variable that names a thread means the process.
    place.hook(
        thread.parse().unwrap(),
        true,
        r#"{"hook_event_name":"UserPromptSubmit","session_id":"i"}"#,
    );
    let session = until("the session", || {
        let list = place.json(&["list", "--json"]);
        list.get(0).cloned()
    });
    assert_eq!(session["pid"], own, "{session}");
    zombie.wait().unwrap();
    drop(end);
    other.join().unwrap();
}
