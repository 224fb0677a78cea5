//! What scripts, the process table and the bounds do to sessions.

use serde_json::{Value, json};

use super::super::session::Session;
use super::{
    CLAUDE, Desk, Effect, Input, KEY, MAX_CLOSED, MINUTE, NAMESPACE, STALE_AFTER_MS, names,
};
use crate::os::process::ProcessId;
use crate::protocol::Status;

fn event(name: &str) -> Value {
    json!({"hook_event_name": name, "session_id": "one", "source": "startup", "prompt_id": "p"})
}

fn set(session: &str, status: &str) -> Value {
    json!({"session": session, "status": status})
}

#[test]
fn a_script_says_what_its_session_does() {
    let mut desk = Desk::new();
    for (params, shown) in [
        (
            json!({"session": "job", "status": "working", "reason": "cargo\ntest"}),
            "working: cargo test",
        ),
        (
            json!({"session": "job", "status": "waiting"}),
            "waiting/dialog!",
        ),
        (
            json!({"session": "job", "status": "waiting", "waiting_for": "answer"}),
            "waiting/answer!",
        ),
        (json!({"session": "job", "status": "idle"}), "idle!"),
        // Said again: nobody has looked in between.
        (json!({"session": "job", "status": "idle"}), "idle!"),
        (
            json!({"session": "job", "status": "error", "reason": "exit 1"}),
            "error!: exit 1",
        ),
        (json!({"session": "job", "status": "closed"}), "closed"),
        (json!({"session": "job", "status": "idle"}), "idle"),
    ] {
        desk.wait(10).ask("session.set", &params);
        assert_eq!(desk.shown("job"), shown, "{params}");
    }
    assert_eq!(desk.get("job").agent, "script");
}

#[test]
fn long_texts_are_cut_and_empty_ones_say_nothing() {
    let mut desk = Desk::new();
    desk.ask(
        "session.set",
        &json!({"session": "job", "status": "working", "title": "t", "cwd": "/src", "reason": "x".repeat(1000)}),
    );
    desk.ask(
        "session.set",
        &json!({"session": "job", "status": "working", "title": "", "cwd": "", "reason": ""}),
    );
    let session = desk.get("job");
    assert_eq!(session.title.as_deref(), Some("t"));
    assert_eq!(session.cwd.as_deref(), Some("/src"));
    assert_eq!(session.reason, None);
}

#[test]
fn what_is_set_holds_until_the_agent_says_otherwise() {
    let mut desk = Desk::new();
    desk.hook(&event("UserPromptSubmit"));
    desk.wait(100).ask("session.set", &set(KEY, "idle"));
    assert_eq!(desk.status(KEY), Status::Idle);
    // Seen before the person spoke, heard after.
    desk.wait(10);
    let earlier = desk.now.unix_ms - 50;
    desk.hook_at(earlier, true, &event("PreToolUse"));
    assert_eq!(desk.status(KEY), Status::Idle);
    let history = desk.get(KEY).history;
    assert!(history.is_sorted_by_key(|entry| entry.at), "{history:?}");
    desk.wait(10).hook(&event("PreToolUse"));
    assert_eq!(desk.status(KEY), Status::Working);
}

/// What a script or the passing of time has closed may live on; what the agent or the kernel has closed does not.
#[test]
fn a_session_that_shows_life_is_open_again() {
    let mut desk = Desk::new();
    desk.hook(&event("SessionStart"));
    desk.wait(10).ask("session.set", &set(KEY, "closed"));
    assert_eq!(desk.status(KEY), Status::Closed);
    let effects = desk.wait(10).hook(&event("UserPromptSubmit"));
    assert_eq!(desk.status(KEY), Status::Working);
    assert_eq!(names(&effects), ["watch"]);
    assert_eq!(desk.get(KEY).end_reason, None);

    desk.wait(10).take(Input::ProcessExited(CLAUDE));
    desk.wait(10).hook(&event("UserPromptSubmit"));
    assert_eq!(desk.status(KEY), Status::Closed);
    assert_eq!(desk.get(KEY).end_reason.as_deref(), Some("crashed"));
}

#[test]
fn a_silent_session_without_a_process_goes_stale_and_comes_back() {
    let mut desk = Desk::new();
    let report =
        |at: u64| json!({"agent": "claude-code", "at": at, "event": event("UserPromptSubmit")});
    desk.report(&report(desk.now.unix_ms));
    let key = "claude-code-one";
    assert_eq!(desk.core.idle.stale_at(), Some(STALE_AFTER_MS));
    desk.wait(STALE_AFTER_MS - 1).take(Input::Tick);
    assert_eq!(desk.status(key), Status::Working);
    desk.wait(1).take(Input::Tick);
    assert_eq!(desk.status(key), Status::Closed);
    assert_eq!(desk.get(key).end_reason.as_deref(), Some("stale"));
    assert_eq!(desk.core.idle.stale_at(), None);

    let at = desk.wait(MINUTE).now.unix_ms;
    desk.report(&report(at));
    assert_eq!(desk.status(key), Status::Working);
    assert_eq!(
        desk.core.idle.stale_at(),
        Some(desk.now.uptime_ms + STALE_AFTER_MS)
    );
}

/// The kernel's word and the last hook's race each other through the loop.
#[test]
fn a_goodbye_heard_after_the_exit_still_counts() {
    let mut desk = Desk::new();
    desk.hook(&event("SessionStart"));
    desk.wait(20).take(Input::ProcessExited(CLAUDE));
    assert_eq!(desk.get(KEY).end_reason.as_deref(), Some("crashed"));
    let mut end = event("SessionEnd");
    end["reason"] = "prompt_input_exit".into();
    let earlier = desk.now.unix_ms - 10;
    desk.hook_at(earlier, true, &end);
    assert_eq!(
        desk.get(KEY).end_reason.as_deref(),
        Some("prompt_input_exit")
    );
}

#[test]
fn a_process_is_watched_while_its_session_is_open() {
    let mut desk = Desk::new();
    assert_eq!(names(&desk.hook(&event("SessionStart"))), ["watch"]);
    assert!(desk.wait(10).hook(&event("UserPromptSubmit")).is_empty());
    let mut end = event("SessionEnd");
    end["reason"] = "other".into();
    assert_eq!(names(&desk.wait(10).hook(&end)), ["unwatch"]);
    assert_eq!(
        names(&desk.wait(10).hook(&event("SessionStart"))),
        ["watch"]
    );
    let effects =
        desk.line(r#"{"jsonrpc":"2.0","method":"session.remove","params":{"session":"one"}}"#);
    assert_eq!(names(&effects), ["unwatch"]);
}

#[test]
fn a_process_of_another_namespace_is_not_watched_and_not_mixed_up() {
    let mut desk = Desk::new();
    desk.hook(&event("SessionStart"));
    let effects = desk.report(&json!({
        "agent": "claude-code", "at": desk.now.unix_ms, "pid": CLAUDE.pid, "process_start": CLAUDE.start,
        "pid_namespace": 5, "event": event("SessionStart"),
    }));
    assert!(effects.is_empty());
    assert_eq!(desk.status(&format!("{KEY}-5")), Status::Idle);
    desk.take(Input::ProcessExited(CLAUDE));
    assert_eq!(desk.status(KEY), Status::Closed);
    assert_eq!(desk.status(&format!("{KEY}-5")), Status::Idle);
}

/// The process of a script's last run says nothing of its next.
#[test]
fn a_session_set_again_after_its_process_ended_is_not_closed_by_it() {
    let mut desk = Desk::new();
    let process = ProcessId { pid: 40, start: 4 };
    let params = json!({"session": "job", "status": "working", "pid": 40});
    let line = json!({"jsonrpc": "2.0", "id": 1, "method": "session.set", "params": params});
    let decoded = crate::codec::decode(line.to_string().as_bytes());
    let Ok(super::Request::SessionSet(mut request)) = decoded.request else {
        panic!("{decoded:?}");
    };
    request.process = Some(process);
    let effects = desk.take(Input::Request {
        client: super::ClientId(1),
        id: None,
        request: super::Request::SessionSet(request),
    });
    assert!(
        matches!(effects[..], [Effect::Watch(watched)] if watched == process),
        "{effects:?}"
    );
    desk.wait(10).take(Input::ProcessExited(process));
    assert_eq!(desk.get("job").pid, Some(40));
    desk.wait(10).ask("session.set", &set("job", "working"));
    assert_eq!(desk.get("job").pid, None);
    assert_eq!(desk.core.store.watched(), 0);
}

#[test]
fn a_name_is_a_key_an_id_or_a_prefix_in_this_order() {
    let mut desk = Desk::new();
    desk.hook(&event("SessionStart"));
    for session in ["one-two", "one", "deploy-production-eu"] {
        desk.wait(10).ask("session.set", &set(session, "working"));
    }
    let key = |answer: Value| answer["session"]["key"].as_str().map(str::to_owned);
    let mut get = |name: &str| key(desk.ask("session.get", &json!({"session": name})));
    // `one` is the agent's id, which `session.set` found.
    assert_eq!(get("one").as_deref(), Some(KEY));
    assert_eq!(get("one-").as_deref(), Some("one-two"));
    assert_eq!(get("dep").as_deref(), Some("deploy-production-eu"));
    assert_eq!(get("claude-code-8").as_deref(), Some(KEY));
    let error = desk.ask("session.get", &json!({"session": "o"}));
    assert_eq!(error["code"], -32002);
    assert!(
        error["message"].as_str().unwrap().contains("2 sessions"),
        "{error}"
    );
}

/// A script's name that happens to begin another's is a name of its own; an agent's session is corrected by a prefix.
#[test]
fn a_script_does_not_take_over_another_scripts_session() {
    let mut desk = Desk::new();
    desk.hook(&event("SessionStart"));
    desk.wait(10)
        .ask("session.set", &set("deploy-production-eu", "working"));
    desk.wait(10)
        .ask("session.set", &set("deploy-production", "idle"));
    assert_eq!(desk.status("deploy-production-eu"), Status::Working);
    assert_eq!(desk.status("deploy-production"), Status::Idle);
    desk.wait(10)
        .ask("session.set", &set("claude-code-855", "error"));
    assert_eq!(desk.status(KEY), Status::Error);
    // Too short to be meant as a prefix.
    desk.wait(10).ask("session.set", &set("claude", "working"));
    assert_eq!(desk.status("claude"), Status::Working);
}

#[test]
fn the_longest_closed_go_first_and_a_hundred_stay() {
    let mut desk = Desk::new();
    desk.ask("session.set", &set("open", "working"));
    for number in 0..MAX_CLOSED + 50 {
        desk.wait(10)
            .ask("session.set", &set(&format!("job-{number}"), "closed"));
    }
    let closed = desk.core.store.iter().filter(|session| session.is_closed());
    assert_eq!(closed.count(), MAX_CLOSED);
    assert!(desk.core.store.get("job-49").is_none());
    assert!(desk.core.store.get("job-50").is_some());
    assert!(desk.core.store.get("open").is_some());
}

#[test]
fn history_is_as_long_as_the_configuration_says() {
    let mut desk = Desk::with(super::Settings {
        history: 3,
        ..super::settings()
    });
    for _ in 0..10 {
        desk.wait(10).ask("session.set", &set("job", "working"));
        desk.wait(10).ask("session.set", &set("job", "idle"));
    }
    let history: Vec<_> = desk
        .get("job")
        .history
        .iter()
        .map(|entry| entry.status)
        .collect();
    assert_eq!(history, [Status::Idle, Status::Working, Status::Idle]);
}

#[test]
fn a_payload_without_sense_is_refused_and_told_once() {
    let mut desk = Desk::new();
    desk.ask("subscribe", &json!({}));
    let mut told = 0;
    for _ in 0..5 {
        let params = json!({"agent": "claude-code", "at": 1, "event": {"no": "name"}});
        desk.wait(10);
        told += desk.report(&params).len();
        let error = desk.ask("session.report", &params);
        assert_eq!(error["code"], -32602);
    }
    assert_eq!(told, 1);
    let error = desk.ask(
        "session.report",
        &json!({"agent": "claude-code", "at": 1, "event": {"hook_event_name": "Stop"}}),
    );
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("neither its process nor its session")
    );
    assert_eq!(desk.core.store.iter().map(Session::key).count(), 0);
}

/// A hook may outlive its agent, and then finds no start of its process.
#[test]
fn a_hook_that_outlives_its_agent_begins_no_second_session() {
    let mut desk = Desk::new();
    let report = |name: &str, start: Option<u64>| {
        json!({
            "agent": "claude-code", "at": super::EPOCH, "pid": CLAUDE.pid, "process_start": start,
            "pid_namespace": NAMESPACE, "event": {"hook_event_name": name, "session_id": "one", "tool_name": "Bash"},
        })
    };
    desk.report(&report("PreToolUse", Some(CLAUDE.start)));
    desk.take(Input::ProcessExited(CLAUDE));
    let late = report("PostToolUse", None);
    let answer = desk.ask("session.report", &late);
    assert_eq!(answer, json!({"accepted": true}));
    assert_eq!(desk.status(KEY), Status::Closed);
    assert_eq!(desk.core.store.iter().count(), 1);
    // Nor a first one.
    let mut desk = Desk::new();
    desk.ask("session.report", &late);
    assert_eq!(desk.core.store.iter().count(), 0);
}
