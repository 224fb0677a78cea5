//! What scripts, the process table and the bounds do to sessions.

use serde_json::{Value, json};

use super::super::session::Session;
use super::{CLAUDE, CoreHarness, Input, KEY, MINUTE, NAMESPACE, names};
use crate::core::lifecycle::STALE_AFTER_MS;
use crate::core::sessions::MAX_CLOSED;
use crate::protocol::{EndReason, Status};

fn event(name: &str) -> Value {
    json!({"hook_event_name": name, "session_id": "one", "source": "startup", "prompt_id": "p"})
}

fn set(session: &str, status: &str) -> Value {
    json!({"session": session, "status": status})
}

#[test]
fn a_script_sets_the_status_of_its_session() {
    let mut core = CoreHarness::new();
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
        // Set again: no one has read it in between.
        (json!({"session": "job", "status": "idle"}), "idle!"),
        (
            json!({"session": "job", "status": "error", "reason": "exit 1"}),
            "error!: exit 1",
        ),
        (json!({"session": "job", "status": "closed"}), "closed"),
        (json!({"session": "job", "status": "idle"}), "idle"),
    ] {
        core.wait(10).ask("session.set", &params);
        assert_eq!(core.shown("job"), shown, "{params}");
    }
    assert_eq!(core.get("job").agent, "script");
}

#[test]
fn long_texts_are_cut_and_empty_ones_are_ignored() {
    let mut core = CoreHarness::new();
    core.ask(
        "session.set",
        &json!({"session": "job", "status": "working", "title": "t", "cwd": "/src", "reason": "x".repeat(1000)}),
    );
    core.ask(
        "session.set",
        &json!({"session": "job", "status": "working", "title": "", "cwd": "", "reason": ""}),
    );
    let session = core.get("job");
    assert_eq!(session.title.as_deref(), Some("t"));
    assert_eq!(session.cwd.as_deref(), Some("/src"));
    assert_eq!(session.reason, None);
}

#[test]
fn a_set_status_holds_until_the_agents_next_event() {
    let mut core = CoreHarness::new();
    core.hook(&event("UserPromptSubmit"));
    core.wait(100).ask("session.set", &set(KEY, "idle"));
    assert_eq!(core.status(KEY), Status::Idle);
    // Seen before the prompt, received after it.
    core.wait(10);
    let earlier = core.now.unix_ms - 50;
    core.hook_at(earlier, true, &event("PreToolUse"));
    assert_eq!(core.status(KEY), Status::Idle);
    let history = core.get(KEY).history;
    assert!(history.is_sorted_by_key(|entry| entry.at), "{history:?}");
    core.wait(10).hook(&event("PreToolUse"));
    assert_eq!(core.status(KEY), Status::Working);
}

/// What a script or the passing of time has closed may live on; what the agent or the kernel has closed does not.
#[test]
fn a_closed_session_is_reopened_by_a_sign_of_life() {
    let mut core = CoreHarness::new();
    core.hook(&event("SessionStart"));
    core.wait(10).ask("session.set", &set(KEY, "closed"));
    assert_eq!(core.status(KEY), Status::Closed);
    let effects = core.wait(10).hook(&event("UserPromptSubmit"));
    assert_eq!(core.status(KEY), Status::Working);
    assert_eq!(names(&effects), ["watch"]);
    assert_eq!(core.get(KEY).end_reason, None);

    core.wait(10).take(Input::ProcessExited(CLAUDE));
    core.wait(10).hook(&event("UserPromptSubmit"));
    assert_eq!(core.status(KEY), Status::Closed);
    assert_eq!(
        core.get(KEY).end_reason.as_ref().map(EndReason::as_str),
        Some("crashed")
    );
}

#[test]
fn a_run_without_a_person_ends_with_its_process() {
    for (last, reason) in [("Stop", "exited"), ("PreToolUse", "crashed")] {
        let mut core = CoreHarness::new();
        for name in ["UserPromptSubmit", last] {
            core.wait(10);
            core.hook_at(core.now.unix_ms, false, &event(name));
        }
        core.wait(10).take(Input::ProcessExited(CLAUDE));
        let session = core.get(KEY);
        let end = session.end_reason.as_ref().map(EndReason::as_str);
        assert_eq!(end, Some(reason), "{last}");
    }
}

#[test]
fn a_session_without_events_and_process_goes_stale_and_is_reopened() {
    let mut core = CoreHarness::new();
    let report =
        |at: u64| json!({"agent": "claude-code", "at": at, "event": event("UserPromptSubmit")});
    core.report(&report(core.now.unix_ms));
    let key = "claude-code-one";
    assert_eq!(core.core.lifecycle.stale_at(), Some(STALE_AFTER_MS));
    core.wait(STALE_AFTER_MS - 1).take(Input::Timeout);
    assert_eq!(core.status(key), Status::Working);
    core.wait(1).take(Input::Timeout);
    assert_eq!(core.status(key), Status::Closed);
    assert_eq!(
        core.get(key).end_reason.as_ref().map(EndReason::as_str),
        Some("stale")
    );
    assert_eq!(core.core.lifecycle.stale_at(), None);

    let at = core.wait(MINUTE).now.unix_ms;
    core.report(&report(at));
    assert_eq!(core.status(key), Status::Working);
    assert_eq!(
        core.core.lifecycle.stale_at(),
        Some(core.now.uptime_ms + STALE_AFTER_MS)
    );
}

/// The process exit and the last hook may arrive in either order.
#[test]
fn an_end_hook_that_arrives_after_the_exit_still_counts() {
    let mut core = CoreHarness::new();
    core.hook(&event("SessionStart"));
    core.wait(20).take(Input::ProcessExited(CLAUDE));
    assert_eq!(
        core.get(KEY).end_reason.as_ref().map(EndReason::as_str),
        Some("crashed")
    );
    let mut end = event("SessionEnd");
    end["reason"] = "prompt_input_exit".into();
    let earlier = core.now.unix_ms - 10;
    core.hook_at(earlier, true, &end);
    assert_eq!(
        core.get(KEY).end_reason.as_ref().map(EndReason::as_str),
        Some("prompt_input_exit")
    );
}

#[test]
fn a_process_is_watched_while_its_session_is_open() {
    let mut core = CoreHarness::new();
    assert_eq!(names(&core.hook(&event("SessionStart"))), ["watch"]);
    assert!(core.wait(10).hook(&event("UserPromptSubmit")).is_empty());
    let mut end = event("SessionEnd");
    end["reason"] = "other".into();
    assert_eq!(names(&core.wait(10).hook(&end)), ["unwatch"]);
    assert_eq!(
        names(&core.wait(10).hook(&event("SessionStart"))),
        ["watch"]
    );
    let effects =
        core.line(r#"{"jsonrpc":"2.0","method":"session.remove","params":{"session":"one"}}"#);
    assert_eq!(names(&effects), ["unwatch"]);
}

#[test]
fn a_process_of_another_namespace_is_not_watched_and_not_mixed_up() {
    let mut core = CoreHarness::new();
    core.hook(&event("SessionStart"));
    let effects = core.report(&json!({
        "agent": "claude-code", "at": core.now.unix_ms, "pid": CLAUDE.pid, "process_start": CLAUDE.start,
        "pid_namespace": 5, "event": event("SessionStart"),
    }));
    assert!(effects.is_empty());
    assert_eq!(core.status(&format!("{KEY}-5")), Status::Idle);
    core.take(Input::ProcessExited(CLAUDE));
    assert_eq!(core.status(KEY), Status::Closed);
    assert_eq!(core.status(&format!("{KEY}-5")), Status::Idle);
}

#[test]
fn the_hundred_most_recently_closed_sessions_are_kept() {
    let mut core = CoreHarness::new();
    core.ask("session.set", &set("open", "working"));
    for number in 0..MAX_CLOSED + 50 {
        core.wait(10)
            .ask("session.set", &set(&format!("job-{number}"), "closed"));
    }
    let closed = core
        .core
        .sessions
        .iter()
        .filter(|session| session.is_closed());
    assert_eq!(closed.count(), MAX_CLOSED);
    assert!(core.core.sessions.get("job-49").is_none());
    assert!(core.core.sessions.get("job-50").is_some());
    assert!(core.core.sessions.get("open").is_some());
}

#[test]
fn the_history_has_the_configured_length() {
    let mut core = CoreHarness::with(super::Settings {
        history: 3,
        ..super::settings()
    });
    for _ in 0..10 {
        core.wait(10).ask("session.set", &set("job", "working"));
        core.wait(10).ask("session.set", &set("job", "idle"));
    }
    let history: Vec<_> = core
        .get("job")
        .history
        .iter()
        .map(|entry| entry.status)
        .collect();
    assert_eq!(history, [Status::Idle, Status::Working, Status::Idle]);
}

#[test]
fn an_invalid_payload_is_refused_and_announced_once() {
    let mut core = CoreHarness::new();
    core.ask("subscribe", &json!({}));
    let mut announced = 0;
    for _ in 0..5 {
        let params = json!({"agent": "claude-code", "at": 1, "event": {"no": "name"}});
        core.wait(10);
        announced += core.report(&params).len();
        let error = core.ask("session.report", &params);
        assert_eq!(error["code"], -32602);
    }
    assert_eq!(announced, 1);
    let error = core.ask(
        "session.report",
        &json!({"agent": "claude-code", "at": 1, "event": {"hook_event_name": "Stop"}}),
    );
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("neither its process nor its session")
    );
    assert_eq!(core.core.sessions.iter().map(Session::key).count(), 0);
}

/// A hook may outlive its agent, and then finds no start of its process.
#[test]
fn a_hook_that_outlives_its_agent_begins_no_second_session() {
    let mut core = CoreHarness::new();
    let report = |name: &str, start: Option<u64>| {
        json!({
            "agent": "claude-code", "at": super::EPOCH, "pid": CLAUDE.pid, "process_start": start,
            "pid_namespace": NAMESPACE, "event": {"hook_event_name": name, "session_id": "one", "tool_name": "Bash"},
        })
    };
    core.report(&report("PreToolUse", Some(CLAUDE.start)));
    core.take(Input::ProcessExited(CLAUDE));
    let late = report("PostToolUse", None);
    let answer = core.ask("session.report", &late);
    assert_eq!(answer, json!({"accepted": true}));
    assert_eq!(core.status(KEY), Status::Closed);
    assert_eq!(core.core.sessions.iter().count(), 1);
    // Nor a first one.
    let mut core = CoreHarness::new();
    core.ask("session.report", &late);
    assert_eq!(core.core.sessions.iter().count(), 0);
}
