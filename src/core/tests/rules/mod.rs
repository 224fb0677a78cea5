//! The status rules for hooks, as tables: a sequence of Claude Code's hooks, and the status after each.
//!
//! Sequences as observed with Claude Code 2.1.330. Hooks only: Esc, "No" and the moment of "Yes" fire no hook, so the
//! status is wrong until the next hook; what must hold is that the next hook corrects it.

mod background;
mod identity;
mod repeated;
mod resumes;
mod turns;
mod waiting;

use serde_json::{Value, json};

use super::{CoreHarness, KEY, MINUTE, settings};

/// A payload: the event, and the fields that it has besides the common ones.
pub(super) fn event(name: &str, fields: &Value) -> Value {
    let mut payload = json!({"hook_event_name": name, "session_id": "one", "cwd": "/src"});
    for (field, value) in fields.as_object().unwrap() {
        payload[field] = value.clone();
    }
    payload
}

pub(super) fn start(source: &str) -> Value {
    event("SessionStart", &json!({"source": source}))
}

pub(super) fn prompt(id: &str, text: &str) -> Value {
    event(
        "UserPromptSubmit",
        &json!({"prompt_id": id, "prompt": text}),
    )
}

pub(super) fn tool(id: &str, command: &str) -> Value {
    event(
        "PreToolUse",
        &json!({"prompt_id": id, "tool_name": "Bash", "tool_input": {"command": command}}),
    )
}

pub(super) fn tool_named(id: &str, name: &str) -> Value {
    event("PreToolUse", &json!({"prompt_id": id, "tool_name": name}))
}

pub(super) fn ask(id: &str, command: &str) -> Value {
    event(
        "PermissionRequest",
        &json!({"prompt_id": id, "tool_name": "Bash", "tool_input": {"command": command}}),
    )
}

pub(super) fn ask_named(id: &str, name: &str) -> Value {
    event(
        "PermissionRequest",
        &json!({"prompt_id": id, "tool_name": name, "tool_input": {}}),
    )
}

pub(super) fn done(id: &str) -> Value {
    done_named(id, "Bash")
}

pub(super) fn done_named(id: &str, name: &str) -> Value {
    event("PostToolUse", &json!({"prompt_id": id, "tool_name": name}))
}

pub(super) fn batch(id: &str) -> Value {
    event("PostToolBatch", &json!({"prompt_id": id}))
}

pub(super) fn text(id: &str) -> Value {
    event("MessageDisplay", &json!({"prompt_id": id}))
}

pub(super) fn stop(id: &str, tasks: &Value) -> Value {
    event("Stop", &json!({"prompt_id": id, "background_tasks": tasks}))
}

pub(super) fn failed(id: &str, error: &str) -> Value {
    event("StopFailure", &json!({"prompt_id": id, "error": error}))
}

pub(super) fn notice(kind: &str) -> Value {
    event("Notification", &json!({"notification_type": kind}))
}

pub(super) fn end(reason: &str) -> Value {
    event("SessionEnd", &json!({"reason": reason}))
}

pub(super) fn subagent(id: &str, mut payload: Value) -> Value {
    payload["agent_id"] = id.into();
    payload["agent_type"] = "general-purpose".into();
    payload
}

pub(super) fn subagent_event(name: &str, id: &str, prompt_id: &str) -> Value {
    subagent(id, event(name, &json!({"prompt_id": prompt_id})))
}

pub(super) fn running(id: &str, kind: &str) -> Value {
    json!({"id": id, "type": kind, "status": "running"})
}

/// Plays the events ten milliseconds apart; after each the session must have the row's status.
#[track_caller]
fn follow(rows: &[(Value, &str)]) -> CoreHarness {
    let mut core = CoreHarness::new();
    play(&mut core, true, rows);
    core
}

#[track_caller]
fn play(core: &mut CoreHarness, attended: bool, rows: &[(Value, &str)]) {
    for (number, (payload, shown)) in rows.iter().enumerate() {
        core.wait(10);
        let at = core.now.unix_ms;
        core.hook_at(at, attended, payload);
        assert_eq!(
            core.shown(KEY),
            *shown,
            "after row {number}: {}",
            payload["hook_event_name"]
        );
    }
}
