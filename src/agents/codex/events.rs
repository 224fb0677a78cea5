//! Converts Codex CLI's hook events, as observed with 0.171.0, from [`Payload`] to [`AgentEvent`].

use std::borrow::Cow;

use super::super::question::question;
use super::payload::Payload;
use crate::event::{AgentEvent, EventKind, PromptOrigin, Tool, TurnEvent};
use crate::protocol::{NAME_LIMIT, PATH_LIMIT, TEXT_LIMIT, WaitingFor, one_line};

/// The names of all hook events of 0.171.0.
const KNOWN: &[&str] = &[
    "Interrupt",
    "PermissionRequest",
    "PostCompact",
    "PostModelRequest",
    "PostToolUse",
    "PreCompact",
    "PreModelRequest",
    "PreToolUse",
    "SessionEnd",
    "SessionStart",
    "Stop",
    "SubagentStart",
    "SubagentStop",
    "UserPromptSubmit",
];

/// The tool by which the agent asks a person.
const ASK: &str = "request_user_input";

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
        permission_mode: payload.permission_mode.one_line(NAME_LIMIT),
        model: payload.model.one_line(NAME_LIMIT),
        title: None,
        subagent: payload.agent_id.one_line(NAME_LIMIT),
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
        // It comes with the first prompt, after the first line of that turn.
        "SessionStart" => EventKind::SessionSeen,
        "SessionEnd" => EventKind::SessionEnded {
            reason: one_line(payload.reason.get().unwrap_or("other"), NAME_LIMIT).into(),
            process_goes_on: false,
        },
        _ => turn_event(name, payload).map_or(EventKind::Noted, EventKind::Turn),
    }
}

/// How an event of this name changes a turn; `None`: not at all.
fn turn_event(name: &str, payload: &Payload) -> Option<TurnEvent> {
    let is_subagent = payload.agent_id.get().is_some();
    let id = || payload.tool_use_id.one_line(NAME_LIMIT);
    let asks = payload.tool_name.get() == Some(ASK);
    Some(match name {
        "SubagentStart" | "UserPromptSubmit" if is_subagent => TurnEvent::SubagentStarted,
        // A prompt that is typed while a turn runs joins it; one that is queued is reported when its turn begins.
        "UserPromptSubmit" => TurnEvent::PromptSubmitted {
            text: payload.prompt.one_line(TEXT_LIMIT),
            origin: PromptOrigin::PersonNow,
        },
        "PreToolUse" if asks => TurnEvent::Asked {
            id: id(),
            waiting_for: WaitingFor::Answer,
            tool: Some(tool(payload)),
        },
        "PreToolUse" => TurnEvent::ToolStarted {
            tool: tool(payload),
            asks_for: WaitingFor::Permission,
        },
        "PostToolUse" if asks => TurnEvent::Answered { id: id() },
        "PostToolUse" => TurnEvent::ToolEnded {
            tool: tool(payload),
        },
        "PermissionRequest" => TurnEvent::Asked {
            id: None,
            waiting_for: WaitingFor::Permission,
            tool: Some(tool(payload)),
        },
        "Interrupt" => TurnEvent::Interrupted,
        // The answer of a turn that proposes a plan is the plan.
        "Stop" if payload.last_assistant_message.get().is_none() => plan(),
        "Stop" => TurnEvent::Ended { remaining: None },
        "SubagentStop" if is_subagent => TurnEvent::SubagentEnded,
        "PostCompact" if payload.trigger.get() == Some("manual") => TurnEvent::Compacted,
        "PreCompact" | "PostCompact" => TurnEvent::Active,
        "PostModelRequest" if payload.status.get() == Some("failed") => TurnEvent::Retrying {
            error: failure(payload.error.get().unwrap_or_default()).into(),
        },
        _ => return None,
    })
}

/// The question whether to carry a plan out: the turn has ended.
pub(super) fn plan() -> TurnEvent {
    TurnEvent::Asked {
        id: None,
        waiting_for: WaitingFor::Plan,
        tool: None,
    }
}

/// The message for people about an error, of the beginning of the agent's own, which may quote the request.
pub(super) fn failure(error: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| error.contains(word));
    if has(&["usage_limit", "usage limit"]) {
        return "usage limit reached";
    }
    if has(&["context_window", "context window", "context_length"]) {
        return "the context is full";
    }
    match status(error) {
        Some(401 | 403) => "authentication failed",
        Some(429) => "rate limited",
        Some(400..500) => "invalid request",
        Some(_) => "the service failed",
        None if has(&["unauthorized"]) => "authentication failed",
        None if has(&["too_many", "rate_limit"]) => "rate limited",
        None if has(&["internal_server_error", "high demand", "overloaded"]) => {
            "the service failed"
        }
        None if has(&["stream", "disconnected", "connection"]) => "the connection broke",
        None if has(&["bad_request"]) => "invalid request",
        None => "the turn failed",
    }
}

/// The status of the service's answer (RFC 9110, 15.5 and 15.6), which the message names before the address.
fn status(error: &str) -> Option<u16> {
    let message = error.split("url:").next()?;
    let words = message.split(|char: char| !char.is_alphanumeric());
    let mut statuses = words.filter_map(|word| word.parse().ok());
    statuses.find(|status| (400..600).contains(status))
}

fn tool(payload: &Payload) -> Tool {
    let input = &payload.tool_input.0;
    let details = [
        &input.command,
        &input.cmd,
        &input.path,
        &input.query,
        &input.url,
        &input.description,
    ];
    Tool {
        name: one_line(payload.tool_name.get().unwrap_or("tool"), TEXT_LIMIT).into(),
        detail: details
            .into_iter()
            .find_map(|text| text.one_line(TEXT_LIMIT)),
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

    fn turn(payload: &Value) -> TurnEvent {
        match read(payload).kind {
            EventKind::Turn(event) => event,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_turn_that_ends_with_a_plan_asks_for_it() {
        let stop = |message: Value| {
            turn(
                &json!({"hook_event_name": "Stop", "session_id": "s", "last_assistant_message": message}),
            )
        };
        assert_eq!(stop(json!("done")), TurnEvent::Ended { remaining: None });
        assert_eq!(stop(Value::Null), plan());
    }

    #[test]
    fn a_question_is_asked_and_answered_by_its_call() {
        let payload = |name: &str| {
            json!({"hook_event_name": name, "tool_name": "request_user_input", "tool_use_id": "c1",
                "tool_input": {"questions": [{"question": "Which?", "options": [{"label": "A"}, {"label": "B"}]}]}})
        };
        let asked = read(&payload("PreToolUse"));
        assert_eq!(asked.question.as_deref(), Some("Which? (A / B)"));
        assert!(matches!(
            asked.kind,
            EventKind::Turn(TurnEvent::Asked {
                id: Some(_),
                waiting_for: WaitingFor::Answer,
                ..
            })
        ));
        let answered = TurnEvent::Answered {
            id: Some("c1".into()),
        };
        assert_eq!(turn(&payload("PostToolUse")), answered);
    }

    #[test]
    fn no_answer_and_no_output_leave_the_process() {
        let payload = json!({"hook_event_name": "Stop", "last_assistant_message": "a long secret answer",
            "tool_response": "a long secret answer"});
        let filtered = AGENT.filter(payload.to_string().as_bytes(), None).unwrap();
        assert!(!filtered.get().contains("secret"), "{filtered}");
    }

    #[test]
    fn an_error_is_named_without_its_text() {
        let failed = json!({"hook_event_name": "PostModelRequest", "status": "failed",
            "error": "unexpected status 401 Unauthorized: secret"});
        let error = "authentication failed".into();
        assert_eq!(turn(&failed), TurnEvent::Retrying { error });
    }

    #[test]
    fn a_failure_is_named_by_its_kind_and_status() {
        // As recorded, the kind before the message.
        let refused = "unexpected status 401 Unauthorized: mock error 401, url: http://127.0.0.1:8788/v1/responses";
        assert_eq!(
            failure(&format!("http_connection_failed {refused}")),
            "authentication failed"
        );
        let kinds = [
            (
                "response_too_many_failed_attempts exceeded retry limit, last status: 429 Too Many Requests",
                "rate limited",
            ),
            (
                "response_too_many_failed_attempts exceeded retry limit, last status: 503 Service Unavailable",
                "the service failed",
            ),
            (
                "internal_server_error We’re currently experiencing high demand",
                "the service failed",
            ),
            (
                r#"other {"error": {"message": "mock error 400"}}"#,
                "invalid request",
            ),
            (
                "usage_limit_exceeded You’ve hit your usage limit. Try again later.",
                "usage limit reached",
            ),
            (
                "context_window_exceeded Codex ran out of room",
                "the context is full",
            ),
            (
                "other stream disconnected before completion",
                "the connection broke",
            ),
            ("unauthorized", "authentication failed"),
            ("other", "the turn failed"),
            // An address is no status.
            (
                "http_connection_failed error sending request, url: http://127.0.0.1:500/v1",
                "the connection broke",
            ),
            ("other request 4011 of 15003", "the turn failed"),
        ];
        for (error, expected) in kinds {
            assert_eq!(failure(error), expected, "{error}");
        }
    }
}
