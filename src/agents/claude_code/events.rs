//! Claude Code's hook payloads, as observed with 2.1.330 and published in its types: payload -> [`AgentEvent`].
//!
//! Pure. Unknown events and fields are tolerated: an event that this file doesn't know is [`EventKind::Unknown`].
//! Called by the codec on what `hook` sent; what `hook` may send at all is [`crate::agents::hook_source`].

use std::borrow::Cow;

use serde::Deserialize;

use super::tolerant::{Text, tolerant};
use crate::agents::Field;
use crate::event::{AgentEvent, EventKind, Tool, TurnEvent};
use crate::protocol::{NAME_LIMIT, TEXT_LIMIT, WaitingFor, one_line};

/// The longest working directory kept, in bytes: Linux's `PATH_MAX`.
const CWD_LIMIT: usize = 4096;

const fn field(path: &'static str, limit: usize) -> Field {
    Field { path, limit }
}

/// What the hook keeps of a payload. Never here: tool output, a message's text, a whole prompt.
pub(in crate::agents) const FIELDS: &[Field] = &[
    field("hook_event_name", 64),
    field("session_id", 128),
    field("cwd", CWD_LIMIT),
    field("prompt_id", 64),
    field("permission_mode", 32),
    field("agent_id", 64),
    field("source", 32),
    field("trigger", 32),
    field("reason", 64),
    field("model", 64),
    field("session_title", 256),
    field("prompt", 256),
    field("tool_name", 128),
    field("tool_input.command", 256),
    field("tool_input.file_path", 512),
    field("tool_input.notebook_path", 512),
    field("tool_input.path", 512),
    field("tool_input.pattern", 256),
    field("tool_input.url", 256),
    field("tool_input.query", 256),
    field("tool_input.description", 256),
    field("notification_type", 64),
    field("error", 64),
    field("background_tasks.id", 64),
    field("background_tasks.type", 32),
    field("background_tasks.status", 32),
    // Of a status line.
    field("session_name", 256),
    field("model.id", 64),
    field("context_window.used_percentage", 32),
    field("cost.total_cost_usd", 32),
    field("rate_limits.five_hour.used_percentage", 32),
    field("rate_limits.five_hour.resets_at", 32),
    field("rate_limits.seven_day.used_percentage", 32),
    field("rate_limits.seven_day.resets_at", 32),
];

/// The events of 2.1.330, by their types and its documentation.
const KNOWN: &[&str] = &[
    "ConfigChange",
    "CwdChanged",
    "DirectoryAdded",
    "Elicitation",
    "ElicitationResult",
    "FileChanged",
    "InstructionsLoaded",
    "MessageDisplay",
    "Notification",
    "PermissionDenied",
    "PermissionRequest",
    "PostCompact",
    "PostModelSwitch",
    "PostToolBatch",
    "PostToolUse",
    "PostToolUseFailure",
    "PreCompact",
    "PreModelSwitch",
    "PreToolUse",
    "SessionEnd",
    "SessionStart",
    "Setup",
    "Stop",
    "StopFailure",
    "SubagentStart",
    "SubagentStop",
    "TaskCompleted",
    "TaskCreated",
    "TeammateIdle",
    "UserPromptExpansion",
    "UserPromptSubmit",
    "WorktreeCreate",
    "WorktreeRemove",
];

/// A payload after the hook has cut it down to [`FIELDS`].
#[derive(Deserialize, Default)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Payload<'a> {
    hook_event_name: Text<'a>,
    session_id: Text<'a>,
    cwd: Text<'a>,
    prompt_id: Text<'a>,
    permission_mode: Text<'a>,
    agent_id: Text<'a>,
    source: Text<'a>,
    trigger: Text<'a>,
    reason: Text<'a>,
    model: Text<'a>,
    session_title: Text<'a>,
    prompt: Text<'a>,
    tool_name: Text<'a>,
    #[serde(deserialize_with = "tolerant")]
    tool_input: ToolInput<'a>,
    notification_type: Text<'a>,
    error: Text<'a>,
    #[serde(deserialize_with = "tolerant")]
    background_tasks: Vec<BackgroundTask<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct ToolInput<'a> {
    command: Text<'a>,
    file_path: Text<'a>,
    notebook_path: Text<'a>,
    path: Text<'a>,
    pattern: Text<'a>,
    url: Text<'a>,
    query: Text<'a>,
    description: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct BackgroundTask<'a> {
    id: Text<'a>,
    r#type: Text<'a>,
    status: Text<'a>,
}

/// What a payload means, or `None` if it is not an object of the expected shape with an event's name.
pub(super) fn event(payload: &str) -> Option<AgentEvent> {
    let payload: Payload = serde_json::from_str(payload).ok()?;
    let name = payload.hook_event_name.get()?;
    let known = KNOWN.iter().find(|known| **known == name);
    Some(AgentEvent {
        name: match known {
            Some(known) => Cow::Borrowed(known),
            None => one_line(name, NAME_LIMIT).into(),
        },
        session_id: payload.session_id.cut(NAME_LIMIT),
        cwd: payload.cwd.get().map(Into::into),
        permission_mode: payload.permission_mode.cut(NAME_LIMIT),
        model: payload.model.cut(NAME_LIMIT),
        title: payload.session_title.cut(TEXT_LIMIT),
        subagent: payload.agent_id.cut(NAME_LIMIT),
        prompt_id: payload.prompt_id.cut(NAME_LIMIT),
        context_percent: None,
        cost_usd: None,
        limits: Vec::new(),
        kind: if known.is_some() {
            kind(&payload)
        } else {
            EventKind::Unknown
        },
    })
}

fn kind(payload: &Payload<'_>) -> EventKind {
    match payload.hook_event_name.get().unwrap_or_default() {
        "SessionStart" if payload.source.get() == Some("compact") => EventKind::Noted,
        "SessionStart" => EventKind::SessionStarted,
        "SessionEnd" => {
            let reason = payload.reason.get().unwrap_or("other");
            EventKind::SessionEnded {
                reason: one_line(reason, NAME_LIMIT).into(),
                process_goes_on: matches!(reason, "clear" | "resume"),
            }
        }
        name => turn_event(name, payload).map_or(EventKind::Noted, EventKind::Turn),
    }
}

/// What an event of this name does in a turn; `None`: nothing.
fn turn_event(name: &str, payload: &Payload<'_>) -> Option<TurnEvent> {
    Some(match name {
        "UserPromptSubmit" => {
            let prompt = payload.prompt.get().unwrap_or_default();
            let by_person = !prompt.starts_with("<task-notification>");
            let text = Some(prompt)
                .filter(|p| by_person && !p.is_empty())
                .map(|p| one_line(p, TEXT_LIMIT).into());
            TurnEvent::PromptSubmitted { text, by_person }
        }
        "PreToolUse" => TurnEvent::ToolStarted {
            tool: tool(payload),
            asks_for: waiting_for(payload),
        },
        "PostToolUse" | "PostToolUseFailure" | "PermissionDenied" => TurnEvent::ToolEnded {
            tool: tool(payload),
        },
        "PostToolBatch" => TurnEvent::BatchEnded,
        "MessageDisplay" | "PreCompact" => TurnEvent::Active,
        // Without an id it is nobody's.
        "SubagentStart" if payload.agent_id.get().is_some() => TurnEvent::SubagentStarted,
        "SubagentStop" if payload.agent_id.get().is_some() => TurnEvent::SubagentEnded,
        "PermissionRequest" => TurnEvent::Asked {
            waiting_for: waiting_for(payload),
            tool: Some(tool(payload)),
        },
        "Elicitation" => TurnEvent::Asked {
            waiting_for: WaitingFor::Answer,
            tool: None,
        },
        "ElicitationResult" => TurnEvent::Answered,
        // By hand it comes between turns, and no Stop follows.
        "PostCompact" if payload.trigger.get() == Some("manual") => TurnEvent::Compacted,
        "Notification" => match payload.notification_type.get() {
            Some(
                "permission_prompt"
                | "agent_needs_input"
                | "elicitation_dialog"
                | "elicitation_url_dialog",
            ) => TurnEvent::AskReminded,
            Some("idle_prompt") => TurnEvent::IdleReminded,
            _ => return None,
        },
        "Stop" => turn_ended(&payload.background_tasks),
        "StopFailure" => TurnEvent::Failed {
            error: failure(payload.error.get()),
        },
        _ => return None,
    })
}

/// The turn's end, with what goes on after it.
fn turn_ended(tasks: &[BackgroundTask<'_>]) -> TurnEvent {
    let mut subagents = Vec::new();
    let mut shells = 0;
    for task in tasks
        .iter()
        .filter(|task| task.status.get() == Some("running"))
    {
        match task.r#type.get() {
            Some("subagent" | "workflow" | "teammate") => {
                subagents.extend(task.id.cut(NAME_LIMIT));
            }
            _ => shells += 1,
        }
    }
    TurnEvent::Ended { subagents, shells }
}

fn waiting_for(payload: &Payload<'_>) -> WaitingFor {
    match payload.tool_name.get() {
        Some("AskUserQuestion") => WaitingFor::Answer,
        Some("ExitPlanMode") => WaitingFor::Plan,
        _ => WaitingFor::Permission,
    }
}

/// The tool and the part of its input that a person knows it by.
fn tool(payload: &Payload<'_>) -> Tool {
    let input = &payload.tool_input;
    let path = input.file_path.get().or(input.notebook_path.get());
    let detail = input
        .command
        .get()
        .or_else(|| path.map(|path| below(path, payload.cwd.get())))
        .or(input.pattern.get())
        .or(input.url.get())
        .or(input.query.get())
        .or_else(|| input.path.get().map(|path| below(path, payload.cwd.get())))
        .or(input.description.get());
    Tool {
        name: one_line(payload.tool_name.get().unwrap_or("tool"), TEXT_LIMIT).into(),
        detail: detail.map(|detail| one_line(detail, TEXT_LIMIT).into()),
    }
}

/// `path` as seen from `directory`: relative where it lies below it.
fn below<'a>(path: &'a str, directory: Option<&str>) -> &'a str {
    directory
        .and_then(|directory| path.strip_prefix(directory))
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(path)
}

/// A person's words for `StopFailure`'s `error`.
fn failure(error: Option<&str>) -> Box<str> {
    match error {
        Some("rate_limit") => "rate limited".into(),
        Some("overloaded") => "the service is overloaded".into(),
        Some("authentication_failed") => "authentication failed".into(),
        Some("oauth_org_not_allowed") => "organisation not allowed".into(),
        Some("billing_error") => "billing error".into(),
        Some("invalid_request") => "invalid request".into(),
        Some("model_not_found") => "model not found".into(),
        Some("server_error") => "the service failed".into(),
        Some("max_output_tokens") => "output limit reached".into(),
        None | Some("" | "unknown") => "the turn failed".into(),
        Some(other) => one_line(other, TEXT_LIMIT).into(),
    }
}

#[cfg(test)]
mod tests;
