//! Converts Gemini CLI's hook events, as observed with 0.61.0, from [`Payload`] to [`AgentEvent`].

use std::borrow::Cow;

use super::super::question::question;
use super::payload::Payload;
use crate::event::{AgentEvent, EventKind, PromptOrigin, Tool, TurnEvent};
use crate::protocol::{NAME_LIMIT, PATH_LIMIT, TEXT_LIMIT, WaitingFor, one_line};

/// The names of all hook events of 0.61.0.
const KNOWN: &[&str] = &[
    "AfterAgent",
    "AfterModel",
    "AfterTool",
    "BeforeAgent",
    "BeforeModel",
    "BeforeTool",
    "BeforeToolSelection",
    "Notification",
    "PreCompress",
    "SessionEnd",
    "SessionStart",
];

/// Converts an event; `None` if it has no name.
pub(super) fn event(payload: &Payload) -> Option<AgentEvent> {
    let name = payload.hook_event_name.get()?;
    let known = KNOWN.iter().find(|known| **known == name);
    let transcript = payload.transcript_path.get();
    Some(AgentEvent {
        name: match known {
            Some(known) => Cow::Borrowed(known),
            None => one_line(name, NAME_LIMIT).into(),
        },
        session_id: payload.session_id.one_line(NAME_LIMIT),
        cwd: payload.cwd.get().map(Into::into),
        permission_mode: None,
        model: None,
        title: None,
        subagent: None,
        prompt_id: None,
        context_percent: None,
        cost_usd: None,
        limits: Vec::new(),
        attended: None,
        transcript: transcript
            .filter(|path| path.len() < PATH_LIMIT)
            .map(Into::into),
        question: question(&payload.tool_input.0.questions),
        kind: match known {
            Some(name) => kind(name, payload),
            None => EventKind::Unknown,
        },
    })
}

fn kind(name: &str, payload: &Payload) -> EventKind {
    match name {
        "SessionStart" => EventKind::SessionStarted,
        "SessionEnd" => {
            let reason = payload.reason.get().unwrap_or("other");
            EventKind::SessionEnded {
                reason: one_line(reason, NAME_LIMIT).into(),
                process_goes_on: reason == "clear",
            }
        }
        _ => turn_event(name, payload).map_or(EventKind::Noted, EventKind::Turn),
    }
}

/// How an event of this name changes a turn; `None`: not at all.
fn turn_event(name: &str, payload: &Payload) -> Option<TurnEvent> {
    Some(match name {
        // It comes when the turn begins, also that of a prompt that was queued.
        "BeforeAgent" => TurnEvent::PromptSubmitted {
            text: payload.prompt.one_line(TEXT_LIMIT),
            origin: PromptOrigin::PersonNow,
        },
        "AfterAgent" => TurnEvent::Ended { remaining: None },
        "BeforeTool" => TurnEvent::ToolStarted {
            tool: tool(payload),
            asks_for: match payload.tool_name.get() {
                Some("ask_user") => WaitingFor::Answer,
                Some("exit_plan_mode") => WaitingFor::Plan,
                _ => WaitingFor::Permission,
            },
        },
        "AfterTool" => TurnEvent::ToolEnded {
            tool: tool(payload),
        },
        "Notification" if payload.notification_type.get() == Some("ToolPermission") => {
            TurnEvent::Asked {
                id: None,
                waiting_for: match payload.details.0.kind.get() {
                    Some("ask_user") => WaitingFor::Answer,
                    Some("exit_plan_mode") => WaitingFor::Plan,
                    _ => WaitingFor::Permission,
                },
                // It does not name the tool: that of the `BeforeTool` before it is meant.
                tool: None,
            }
        }
        _ => return None,
    })
}

fn tool(payload: &Payload) -> Tool {
    let input = &payload.tool_input.0;
    let details = [
        &input.command,
        &input.description,
        &input.pattern,
        &input.url,
        &input.query,
    ];
    let paths = [&input.file_path, &input.absolute_path, &input.path];
    let detail = paths.into_iter().find_map(|text| text.one_line(TEXT_LIMIT));
    let detail = detail.or_else(|| {
        details
            .into_iter()
            .find_map(|text| text.one_line(TEXT_LIMIT))
    });
    let detail = detail.or_else(|| input.agent_name.one_line(TEXT_LIMIT));
    Tool {
        name: one_line(payload.tool_name.get().unwrap_or("tool"), TEXT_LIMIT).into(),
        detail,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::AGENT;
    use super::*;

    fn read(payload: &Value) -> AgentEvent {
        let filtered = AGENT.filter(payload.to_string().as_bytes(), None).unwrap();
        (AGENT.interpret)(filtered.get(), 0).unwrap()
    }

    fn asked(kind: &str) -> WaitingFor {
        let payload = json!({"hook_event_name": "Notification", "notification_type": "ToolPermission",
            "details": {"type": kind, "title": "t"}});
        match read(&payload).kind {
            EventKind::Turn(TurnEvent::Asked { waiting_for, .. }) => waiting_for,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_dialog_is_known_by_its_type() {
        assert_eq!(asked("exec"), WaitingFor::Permission);
        assert_eq!(asked("edit"), WaitingFor::Permission);
        assert_eq!(asked("info"), WaitingFor::Permission);
        assert_eq!(asked("ask_user"), WaitingFor::Answer);
        assert_eq!(asked("exit_plan_mode"), WaitingFor::Plan);
    }

    #[test]
    fn a_question_is_read_with_its_options() {
        let payload = json!({"hook_event_name": "BeforeTool", "tool_name": "ask_user", "tool_input": {"questions": [
            {"question": "Which?", "header": "H", "options": [{"label": "A", "description": "d"}, {"label": "B"}]}]}});
        assert_eq!(read(&payload).question.as_deref(), Some("Which? (A / B)"));
    }

    #[test]
    fn another_notification_is_no_dialog() {
        let payload = json!({"hook_event_name": "Notification", "notification_type": "Other"});
        assert_eq!(read(&payload).kind, EventKind::Noted);
    }

    #[test]
    fn clear_keeps_the_process() {
        let ended = |reason: &str| {
            let payload = json!({"hook_event_name": "SessionEnd", "reason": reason});
            match read(&payload).kind {
                EventKind::SessionEnded {
                    process_goes_on, ..
                } => process_goes_on,
                other => panic!("{other:?}"),
            }
        };
        assert!(ended("clear"));
        assert!(!ended("exit"));
    }

    #[test]
    fn no_output_leaves_the_process() {
        let payload = json!({"hook_event_name": "AfterTool", "tool_name": "run_shell_command",
            "tool_input": {"command": "ls"}, "tool_response": {"llmContent": "secret", "returnDisplay": "secret"},
            "prompt_response": "secret"});
        let filtered = AGENT.filter(payload.to_string().as_bytes(), None).unwrap();
        assert!(!filtered.get().contains("secret"), "{filtered}");
    }
}
