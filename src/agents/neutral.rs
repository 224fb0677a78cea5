//! The neutral event, by which an agent that is not in the table reports itself: `agent-console event` sends it, or the
//! agent does. Documented in docs/protocol.md. Pure; called by `report`.

use super::allow_list::allow_list;
use super::tolerant::{Number, Text, object};
use crate::event::{
    AgentEvent, BackgroundTask, EventKind, PromptOrigin, TaskKind, Tool, TurnEvent,
};
use crate::protocol::{QUESTION_LIMIT, TEXT_LIMIT, WaitingFor, one_line};

/// The longest working directory kept, in bytes: Linux's `PATH_MAX`.
const CWD_LIMIT: usize = 4096;

allow_list! {
    /// One event.
    Payload {
        /// Its name, such as `turn_started`.
        event: Text<64>,
        /// The conversation.
        session_id: Text<128>,
        /// The subagent that it happened in.
        subagent: Text<128>,
        cwd: Text<CWD_LIMIT>,
        title: Text<256>,
        model: Text<64>,
        permission_mode: Text<32>,
        context_percent: Number,
        cost_usd: Number,
        /// How a prompt begins.
        prompt: Text<256>,
        tool: Text<64>,
        /// What the tool is called for.
        detail: Text<256>,
        /// `permission`, `answer`, `plan` or `dialog`.
        waiting_for: Text<16>,
        question: Text<1024>,
        /// Of what is asked, or of a background task.
        id: Text<128>,
        error: Text<256>,
        /// Why a session ended.
        reason: Text<64>,
    }
}

/// Converts an event; `None` if it is none.
pub(super) fn event(payload: &str) -> Option<AgentEvent> {
    let payload: Payload = object(payload.as_bytes()).ok()?;
    let name = payload.event.one_line(TEXT_LIMIT)?;
    let text = |text: Option<&str>| text.map(Into::into);
    Some(AgentEvent {
        kind: kind(&name, &payload),
        name: String::from(name).into(),
        session_id: text(payload.session_id.get()),
        cwd: text(payload.cwd.get()),
        permission_mode: payload.permission_mode.one_line(TEXT_LIMIT),
        model: payload.model.one_line(TEXT_LIMIT),
        title: payload.title.one_line(TEXT_LIMIT),
        subagent: text(payload.subagent.get()),
        prompt_id: None,
        #[expect(clippy::cast_possible_truncation, reason = "a percentage")]
        context_percent: payload.context_percent.as_f64().map(|value| value as f32),
        cost_usd: payload.cost_usd.as_f64(),
        limits: Vec::new(),
        attended: None,
        transcript: None,
        question: payload.question.one_line(QUESTION_LIMIT),
    })
}

fn kind(name: &str, payload: &Payload) -> EventKind {
    match name {
        "session_started" => EventKind::SessionStarted,
        "session_seen" => EventKind::SessionSeen,
        "session_changed" => EventKind::Noted,
        "session_ended" => EventKind::SessionEnded {
            reason: one_line(payload.reason.get().unwrap_or("other"), TEXT_LIMIT).into(),
            process_goes_on: false,
        },
        _ => turn_event(name, payload).map_or(EventKind::Unknown, EventKind::Turn),
    }
}

fn turn_event(name: &str, payload: &Payload) -> Option<TurnEvent> {
    let waiting_for = waiting_for(payload);
    let id = payload.id.get().map(Into::into);
    let error = || payload.error.one_line(TEXT_LIMIT).unwrap_or("error".into());
    Some(match name {
        "turn_started" => TurnEvent::PromptSubmitted {
            text: payload.prompt.one_line(TEXT_LIMIT),
            origin: PromptOrigin::PersonNow,
        },
        "turn_continues" => TurnEvent::Active,
        "turn_ended" => TurnEvent::Ended { remaining: None },
        "turn_failed" => TurnEvent::Failed { error: error() },
        "turn_interrupted" => TurnEvent::Interrupted,
        "retrying" => TurnEvent::Retrying { error: error() },
        "asked" => TurnEvent::Asked {
            id,
            waiting_for,
            tool: tool(payload),
        },
        "answered" => TurnEvent::Answered { id },
        "tool_started" => TurnEvent::ToolStarted {
            tool: tool(payload)?,
            asks_for: waiting_for,
        },
        "tool_ended" => TurnEvent::ToolEnded {
            tool: tool(payload)?,
        },
        "subagent_started" => TurnEvent::SubagentStarted,
        "subagent_ended" => TurnEvent::SubagentEnded,
        "task_started" => TurnEvent::TaskStarted(BackgroundTask {
            id: id?,
            kind: TaskKind::Shell,
        }),
        "task_ended" => TurnEvent::TaskEnded(id?),
        _ => return None,
    })
}

fn waiting_for(payload: &Payload) -> WaitingFor {
    match payload.waiting_for.get() {
        Some("answer") => WaitingFor::Answer,
        Some("plan") => WaitingFor::Plan,
        Some("dialog") => WaitingFor::Dialog,
        _ => WaitingFor::Permission,
    }
}

fn tool(payload: &Payload) -> Option<Tool> {
    Some(Tool {
        name: payload.tool.one_line(TEXT_LIMIT)?,
        detail: payload.detail.one_line(TEXT_LIMIT),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(payload: &str) -> EventKind {
        event(payload).unwrap().kind
    }

    #[test]
    fn every_name_of_the_protocol_has_its_meaning() {
        let names = [
            "session_started",
            "session_seen",
            "session_changed",
            "session_ended",
            "turn_started",
            "turn_continues",
            "turn_ended",
            "turn_failed",
            "turn_interrupted",
            "retrying",
            "asked",
            "answered",
            "tool_started",
            "tool_ended",
            "subagent_started",
            "subagent_ended",
            "task_started",
            "task_ended",
        ];
        let document = include_str!("../../docs/protocol.md");
        for name in names {
            let payload = format!(r#"{{"event":"{name}","tool":"Build","id":"7"}}"#);
            assert_ne!(kind_of(&payload), EventKind::Unknown, "{name}");
            assert!(document.contains(&format!("| `{name}`")), "{name}");
        }
        assert_eq!(kind_of(r#"{"event":"turn_over"}"#), EventKind::Unknown);
        assert_eq!(event("{}"), None);
        assert_eq!(event("[]"), None);
    }

    #[test]
    fn what_is_asked_says_for_what_and_about_which_tool() {
        let asked = r#"{"event":"asked","id":"7","waiting_for":"plan","question":"Go?"}"#;
        assert_eq!(event(asked).unwrap().question.as_deref(), Some("Go?"));
        assert_eq!(
            kind_of(asked),
            EventKind::Turn(TurnEvent::Asked {
                id: Some("7".into()),
                waiting_for: WaitingFor::Plan,
                tool: None
            })
        );
    }
}
