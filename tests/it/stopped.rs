//! A stopped agent (Ctrl-Z), as a real process: its session needs a person until it runs again.

use std::process::{Command, Stdio};

use agent_console::os::process;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Place, Sleeper, until};

/// In a session of its own: the kernel sends SIGHUP and SIGCONT to a stopped process whose group loses its parent.
fn agent() -> Sleeper {
    let mut command = Command::new("setsid");
    command.args(["sleep", "600"]).stdin(Stdio::null());
    let agent = Sleeper(command.spawn().unwrap());
    until("the agent", || {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", agent.pid()));
        name.is_ok_and(|name| name == "sleep\n").then_some(())
    });
    agent
}

fn signal(agent: &Sleeper, signal: Signal, stopped: bool) {
    let pid = Pid::from_raw(i32::try_from(agent.pid()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
    until("the signal's effect", || {
        let is = process::inspect(agent.pid()).unwrap().stopped;
        (is == stopped).then_some(())
    });
}

fn works(place: &Place, agent: &Sleeper, id: &str) {
    let event = |name| {
        json!({"hook_event_name": name, "session_id": id, "prompt_id": "p", "cwd": "/", "prompt": "do it",
        "tool_name": "Bash", "tool_input": {"command": "make"}})
    };
    for name in ["UserPromptSubmit", "PreToolUse"] {
        place.hook(agent.pid(), true, &event(name).to_string());
    }
}

fn shown(session: &Value) -> (&str, bool, &str) {
    (
        session["status"].as_str().unwrap(),
        session["attention"].as_bool().unwrap(),
        session["reason"].as_str().unwrap_or_default(),
    )
}

const WORKS: (&str, bool, &str) = ("working", false, "Bash: make");
const STOPPED: (&str, bool, &str) = ("working", true, "stopped: `fg` continues it");

#[test]
fn a_request_shows_whether_an_agent_is_stopped() {
    let place = Place::new();
    let _daemon = place.daemon();
    let agent = agent();
    works(&place, &agent, "one");
    let list = || place.json(&["list", "--json"])[0].take();
    let get = || place.json(&["get", "one", "--json"]);
    let explain = || {
        let explained = place
            .connect()
            .ask("session.explain", json!({"session": "one"}));
        explained["result"]["session"].clone()
    };
    assert_eq!(shown(&list()), WORKS);
    for shows in [&list as &dyn Fn() -> Value, &get, &explain] {
        signal(&agent, Signal::STOP, true);
        assert_eq!(shown(&shows()), STOPPED);
        signal(&agent, Signal::CONT, false);
        assert_eq!(shown(&shows()), WORKS);
    }
    signal(&agent, Signal::STOP, true);
    let mut wire = place.connect();
    let snapshot = wire.ask("subscribe", json!({}));
    assert_eq!(shown(&snapshot["result"]["sessions"][0]), STOPPED);
    // A stopped process can be killed, and then is over like another.
    drop(agent);
    until("its end", || {
        let session = wire.notified("session.changed")["session"].take();
        (shown(&session) == ("closed", false, "")).then_some(())
    });
}

#[test]
fn a_subscriber_sees_a_stop_with_the_next_event_of_any_session() {
    let place = Place::new();
    let _daemon = place.daemon();
    let agent = agent();
    works(&place, &agent, "one");
    let mut wire = place.connect();
    wire.ask("subscribe", json!({}));
    let mut sees = |wanted: (&str, bool, &str)| {
        place.ok(&["report", "build", "working"]);
        until("the change", || {
            let session = wire.notified("session.changed")["session"].take();
            (session["session_id"] == "one").then(|| assert_eq!(shown(&session), wanted))
        });
    };
    signal(&agent, Signal::STOP, true);
    sees(STOPPED);
    signal(&agent, Signal::CONT, false);
    sees(WORKS);
}
