//! Claude Code's hook payloads, as observed with 2.1.330 and published in its types: payload -> [`AgentEvent`].
//!
//! Pure. Unknown events and fields are tolerated: an event that this file doesn't know is [`EventKind::Noted`].
//! Called by the codec on what `hook` sent; what `hook` may send at all is [`super::hook_source`].

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::Field;
use crate::core::event::{AgentEvent, EventKind, TurnEvent};
use crate::protocol::{NAME_LIMIT, TEXT_LIMIT, WaitingFor, one_line};

/// The longest working directory kept, in bytes: Linux's `PATH_MAX`.
const CWD_LIMIT: usize = 4096;

const fn field(path: &'static str, limit: usize) -> Field {
    Field { path, limit }
}

/// What the hook keeps of a payload. Never here: tool output, a message's text, a whole prompt.
pub(super) const FIELDS: &[Field] = &[
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

/// A text that is there and not empty; anything else of any type counts as absent, so that a later version which
/// gives a field another type costs that field and not the event.
#[derive(Default)]
struct Text<'a>(Option<Cow<'a, str>>);

impl Text<'_> {
    fn get(&self) -> Option<&str> {
        self.0.as_deref().filter(|text| !text.is_empty())
    }

    fn cut(&self, limit: usize) -> Option<Box<str>> {
        self.get().map(|text| one_line(text, limit).into())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        // Most texts have no escape: their quotes are all there is to take off.
        let plain = raw
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .filter(|text| !text.contains('\\'));
        Ok(Self(match plain {
            Some(plain) => Some(Cow::Borrowed(plain)),
            None => serde_json::from_str::<String>(raw).ok().map(Cow::Owned),
        }))
    }
}

/// A value of the expected shape, or the default.
fn tolerant<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}

/// What a payload means, or `None` if it is not an object of the expected shape with an event's name.
#[must_use]
pub fn event(payload: &str) -> Option<AgentEvent> {
    let payload: Payload = serde_json::from_str(payload).ok()?;
    Some(AgentEvent {
        name: payload.hook_event_name.cut(NAME_LIMIT)?,
        session_id: payload.session_id.cut(NAME_LIMIT),
        cwd: payload.cwd.get().map(Into::into),
        permission_mode: payload.permission_mode.cut(NAME_LIMIT),
        model: payload.model.cut(NAME_LIMIT),
        title: payload.session_title.cut(TEXT_LIMIT),
        subagent: payload.agent_id.cut(NAME_LIMIT),
        prompt_id: payload.prompt_id.cut(NAME_LIMIT),
        kind: kind(&payload),
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
            what: what(payload, ": "),
            asks_for: waiting_for(payload),
        },
        "PostToolUse" | "PostToolUseFailure" => TurnEvent::ToolEnded,
        "PostToolBatch" => TurnEvent::BatchEnded,
        "MessageDisplay" | "PreCompact" => TurnEvent::Active,
        // Without an id it is nobody's.
        "SubagentStart" if payload.agent_id.get().is_some() => TurnEvent::SubagentStarted,
        "SubagentStop" if payload.agent_id.get().is_some() => TurnEvent::SubagentEnded,
        "PermissionRequest" => TurnEvent::Asked {
            waiting_for: waiting_for(payload),
            what: what(payload, " "),
        },
        "Elicitation" => TurnEvent::Asked {
            waiting_for: WaitingFor::Answer,
            what: "a server asks".into(),
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
fn what(payload: &Payload<'_>, separator: &str) -> Box<str> {
    let tool = payload.tool_name.get().unwrap_or("tool");
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
    match detail {
        Some(detail) => one_line(&format!("{tool}{separator}{detail}"), TEXT_LIMIT).into(),
        None => one_line(tool, TEXT_LIMIT).into(),
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
mod tests {
    use serde_json::json;

    use super::*;

    fn read(payload: &serde_json::Value) -> AgentEvent {
        event(&payload.to_string()).unwrap_or_else(|| panic!("{payload} is not read"))
    }

    #[test]
    fn a_tool_is_shown_with_what_a_person_knows_it_by() {
        for (tool, input, shown) in [
            (
                "Bash",
                json!({"command": "cargo  test\n--all", "description": "Run"}),
                "Bash: cargo test --all",
            ),
            (
                "Write",
                json!({"file_path": "/src/app/main.rs", "content": "x"}),
                "Write: app/main.rs",
            ),
            (
                "Read",
                json!({"file_path": "/srcs/main.rs"}),
                "Read: /srcs/main.rs",
            ),
            ("Read", json!({"file_path": "/src"}), "Read: /src"),
            (
                "NotebookEdit",
                json!({"notebook_path": "/src/a.ipynb"}),
                "NotebookEdit: a.ipynb",
            ),
            (
                "Grep",
                json!({"pattern": "fn main", "path": "/src"}),
                "Grep: fn main",
            ),
            ("Glob", json!({"path": "/src/lib"}), "Glob: lib"),
            (
                "WebFetch",
                json!({"url": "https://example.org"}),
                "WebFetch: https://example.org",
            ),
            ("WebSearch", json!({"query": "rust"}), "WebSearch: rust"),
            (
                "Agent",
                json!({"description": "look", "prompt": "a secret"}),
                "Agent: look",
            ),
            ("Bash", json!({"command": ""}), "Bash"),
            ("Bash", json!("a string"), "Bash"),
            ("Bash", json!(null), "Bash"),
            ("", json!({}), "tool"),
        ] {
            let payload = json!({
                "hook_event_name": "PreToolUse", "cwd": "/src", "tool_name": tool, "tool_input": input,
            });
            let EventKind::Turn(TurnEvent::ToolStarted { what, .. }) = read(&payload).kind else {
                panic!("{payload}");
            };
            assert_eq!(&*what, shown);
        }
    }

    #[test]
    fn a_field_of_another_type_costs_that_field_only() {
        let event = read(&json!({
            "hook_event_name": "Stop", "session_id": 7, "cwd": ["/src"], "prompt_id": {"a": 1},
            "permission_mode": null, "model": {"id": "opus"}, "agent_id": false, "background_tasks": {"a": 1},
        }));
        assert_eq!(
            (event.session_id, event.cwd, event.model),
            (None, None, None)
        );
        let ended = TurnEvent::Ended {
            subagents: vec![],
            shells: 0,
        };
        assert_eq!(event.kind, EventKind::Turn(ended));
        let tasks = json!([{"id": "a", "type": "subagent", "status": "running"}, 7]);
        read(&json!({"hook_event_name": "Stop", "background_tasks": tasks}));
    }

    #[test]
    fn without_an_events_name_it_is_nothing() {
        for payload in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"hook_event_name":7}"#,
            r#"{"hook_event_name":""}"#,
            "{",
        ] {
            assert_eq!(event(payload), None, "{payload}");
        }
    }

    #[test]
    fn long_texts_are_cut() {
        let event = read(&json!({
            "hook_event_name": "UserPromptSubmit", "prompt": "x".repeat(10_000),
            "session_id": "y".repeat(10_000), "session_title": "z\n".repeat(10_000),
        }));
        assert_eq!(event.session_id.unwrap().chars().count(), NAME_LIMIT);
        assert_eq!(event.title.unwrap().chars().count(), TEXT_LIMIT);
        let EventKind::Turn(TurnEvent::PromptSubmitted {
            text: Some(text), ..
        }) = event.kind
        else {
            panic!("{:?}", event.kind);
        };
        assert_eq!(text.chars().count(), TEXT_LIMIT);
    }

    #[test]
    fn the_hook_keeps_every_field_that_is_read_and_no_prompt_of_a_subagent() {
        let kept: Vec<_> = FIELDS.iter().map(|field| field.path).collect();
        for path in [
            "hook_event_name",
            "trigger",
            "agent_id",
            "background_tasks.status",
            "tool_input.command",
        ] {
            assert!(kept.contains(&path), "{path}");
        }
        for path in [
            "tool_input.prompt",
            "tool_input.content",
            "tool_response",
            "last_assistant_message",
            "delta",
            "transcript_path",
        ] {
            assert!(!kept.contains(&path), "{path}");
        }
    }

    /// What several recorded sessions of 2.1.330 sent, event by event, is all understood.
    #[test]
    fn every_recorded_payload_is_read() {
        let recordings = [
            include_str!("../../tests/traces/claude-code-2.1.330/clear.jsonl"),
            include_str!("../../tests/traces/claude-code-2.1.330/errors.jsonl"),
            include_str!("../../tests/traces/claude-code-2.1.330/perm.jsonl"),
            include_str!("../../tests/traces/claude-code-2.1.330/subagent.jsonl"),
        ];
        for line in recordings.iter().flat_map(|recording| recording.lines()) {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            if let Some(payload) = entry.get("hook") {
                let event = read(payload);
                assert_eq!(payload["hook_event_name"], *event.name);
                assert_eq!(payload["session_id"].as_str(), event.session_id.as_deref());
            }
        }
    }
}
