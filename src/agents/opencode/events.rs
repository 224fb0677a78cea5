//! Converts the events of the plugin, as observed with opencode 1.18.33, from [`Payload`] to [`AgentEvent`].
//!
//! Pure. What needs the events before it (which session is a subagent's, how a turn came to its end) the plugin has
//! added: it lives as long as the process does.

use std::borrow::Cow;

use super::payload::{Payload, Question};
use crate::event::{AgentEvent, EventKind, PromptOrigin, Tool, TurnEvent};
use crate::protocol::{NAME_LIMIT, QUESTION_LIMIT, TEXT_LIMIT, WaitingFor, one_line};

/// The names of all events that the plugin sends.
const KNOWN: &[&str] = &[
    "dispose",
    "init",
    "message.part.updated",
    "message.updated",
    "permission.asked",
    "permission.replied",
    "question.asked",
    "question.rejected",
    "question.replied",
    "session.created",
    "session.error",
    "session.selected",
    "session.status",
    "session.updated",
];

/// The header of the question by which the agent `plan` asks whether to carry its plan out.
const PLAN_HEADER: &str = "Build Agent";

/// Converts an event; `None` if it has no name.
pub(super) fn event(payload: &Payload) -> Option<AgentEvent> {
    let name = payload.event.get()?;
    let known = KNOWN.iter().find(|known| **known == name);
    Some(AgentEvent {
        name: match known {
            Some(known) => Cow::Borrowed(known),
            None => one_line(name, NAME_LIMIT).into(),
        },
        session_id: payload.session_id.one_line(NAME_LIMIT),
        cwd: payload.cwd.get().map(Into::into),
        permission_mode: payload.permission_mode.one_line(NAME_LIMIT),
        model: payload.model.one_line(NAME_LIMIT),
        title: payload.title.one_line(TEXT_LIMIT),
        subagent: payload.subagent.one_line(NAME_LIMIT),
        prompt_id: None,
        context_percent: percent(payload.context_percent.as_f64()),
        cost_usd: payload.cost_usd.as_f64().filter(|cost| *cost >= 0.0),
        limits: Vec::new(),
        attended: None,
        transcript: None,
        question: question(&payload.questions.0),
        kind: match known {
            Some(name) => kind(name, payload),
            None => EventKind::Unknown,
        },
    })
}

fn kind(name: &str, payload: &Payload) -> EventKind {
    let is_subagent = payload.subagent.get().is_some();
    match name {
        "init" => EventKind::SessionSeen,
        "session.created" if is_subagent => EventKind::Turn(TurnEvent::SubagentStarted),
        "session.created" | "session.selected" => EventKind::SessionStarted,
        "dispose" => EventKind::SessionEnded {
            reason: "exit".into(),
            process_goes_on: false,
        },
        _ => turn_event(name, payload, is_subagent).map_or(EventKind::Noted, EventKind::Turn),
    }
}

/// How an event of this name changes a turn; `None`: not at all.
fn turn_event(name: &str, payload: &Payload, is_subagent: bool) -> Option<TurnEvent> {
    let status = payload.status.get().unwrap_or_default();
    let id = || payload.request_id.one_line(NAME_LIMIT);
    Some(match (name, status) {
        ("message.updated", "queued") => TurnEvent::Active,
        ("message.updated", _) => TurnEvent::PromptSubmitted {
            text: None,
            origin: PromptOrigin::PersonNow,
        },
        ("session.status", "busy") if is_subagent => TurnEvent::SubagentStarted,
        ("session.status", "idle") if is_subagent => TurnEvent::SubagentEnded,
        ("session.status", "busy") => TurnEvent::Active,
        ("session.status", "retry") => TurnEvent::Retrying {
            error: retried(payload.message.get()),
        },
        ("session.status", "idle") => match payload.outcome.get() {
            Some("interrupted") => TurnEvent::Interrupted,
            // It has been reported.
            Some("failed") => return None,
            _ => TurnEvent::Ended { remaining: None },
        },
        ("session.error", _) => match payload.error.get() {
            Some("MessageAbortedError") => TurnEvent::Interrupted,
            error => TurnEvent::Failed {
                error: failure(error, payload.status_code.as_u64()).into(),
            },
        },
        ("message.part.updated", "running") => TurnEvent::ToolStarted {
            tool: tool(payload),
            asks_for: WaitingFor::Permission,
        },
        ("message.part.updated", _) => TurnEvent::ToolEnded {
            tool: tool(payload),
        },
        ("permission.asked", _) => TurnEvent::Asked {
            id: id(),
            waiting_for: WaitingFor::Permission,
            tool: Some(tool(payload)),
        },
        ("question.asked", _) => asked(id(), &payload.questions.0),
        ("permission.replied" | "question.replied" | "question.rejected", _) => {
            TurnEvent::Answered { id: id() }
        }
        _ => return None,
    })
}

/// A question of the tool `question`, or of `plan_exit`, which has a header of its own.
fn asked(id: Option<Box<str>>, questions: &[Question]) -> TurnEvent {
    let is_plan = questions.first().and_then(|first| first.header.get()) == Some(PLAN_HEADER);
    let (waiting_for, tool) = if is_plan {
        (WaitingFor::Plan, "plan_exit")
    } else {
        (WaitingFor::Answer, "question")
    };
    TurnEvent::Asked {
        id,
        waiting_for,
        tool: Some(Tool {
            name: tool.into(),
            detail: None,
        }),
    }
}

/// The questions with their options.
fn question(questions: &[Question]) -> Option<Box<str>> {
    let text = |question: &Question| {
        let labels = question.options.0.iter().filter_map(|one| one.label.get());
        let labels: Vec<_> = labels.collect();
        let text = question.text.get()?;
        Some(match labels.as_slice() {
            [] => text.to_owned(),
            labels => format!("{text} ({})", labels.join(" / ")),
        })
    };
    let texts: Vec<_> = questions.iter().filter_map(text).collect();
    (!texts.is_empty()).then(|| one_line(&texts.join(" · "), QUESTION_LIMIT).into())
}

fn tool(payload: &Payload) -> Tool {
    Tool {
        name: one_line(payload.tool.get().unwrap_or("tool"), TEXT_LIMIT).into(),
        detail: payload.detail.one_line(TEXT_LIMIT),
    }
}

fn percent(value: Option<f64>) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "one decimal is sent")]
    value
        .filter(|percent| (0.0..=1000.0).contains(percent))
        .map(|percent| percent as f32)
}

/// Why a request is tried again, as opencode shows it to a person.
fn retried(message: Option<&str>) -> Box<str> {
    one_line(message.unwrap_or("the request failed"), TEXT_LIMIT).into()
}

/// The message for people about an error of this name and HTTP status. opencode's own message may quote the request.
fn failure(name: Option<&str>, status: Option<u64>) -> &'static str {
    match (name.unwrap_or_default(), status.unwrap_or_default()) {
        ("ProviderAuthError", _) | (_, 401 | 403) => "authentication failed",
        ("MessageOutputLengthError", _) => "output limit reached",
        ("ContextOverflowError", _) => "the context is full",
        (_, 402) => "billing error",
        (_, 404) => "model not found",
        (_, 429) => "rate limited",
        (_, 400..500) => "invalid request",
        (_, 500..600) => "the service failed",
        _ => "the turn failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(payload: &Value) -> AgentEvent {
        let agent = super::super::interpret(&payload.to_string(), 0);
        agent.unwrap()
    }

    fn turn(payload: &Value) -> TurnEvent {
        match read(payload).kind {
            EventKind::Turn(turn) => turn,
            other => panic!("{payload}: {other:?}"),
        }
    }

    #[test]
    fn a_session_is_described_as_opencode_describes_it() {
        let created = read(
            &json!({"event": "session.created", "session_id": "ses_1", "cwd": "/w",
            "title": "A title", "model": "m1", "permission_mode": "build", "cost_usd": 0.25}),
        );
        assert_eq!(created.kind, EventKind::SessionStarted);
        assert_eq!(created.session_id.as_deref(), Some("ses_1"));
        assert_eq!(created.cwd.as_deref(), Some("/w"));
        assert_eq!(created.title.as_deref(), Some("A title"));
        assert_eq!(created.model.as_deref(), Some("m1"));
        assert_eq!(created.permission_mode.as_deref(), Some("build"));
        assert_eq!(created.cost_usd, Some(0.25));
        let used = read(&json!({"event": "session.updated", "context_percent": 12.5}));
        assert_eq!(used.kind, EventKind::Noted);
        assert_eq!(used.context_percent, Some(12.5));
    }

    #[test]
    fn a_turn_ends_as_the_plugin_has_seen_it_end() {
        let ended = |outcome: Option<&str>| {
            read(&json!({"event": "session.status", "status": "idle", "outcome": outcome})).kind
        };
        let well = TurnEvent::Ended { remaining: None };
        assert_eq!(ended(None), EventKind::Turn(well));
        let interrupted = EventKind::Turn(TurnEvent::Interrupted);
        assert_eq!(ended(Some("interrupted")), interrupted);
        assert_eq!(ended(Some("failed")), EventKind::Noted);
    }

    #[test]
    fn an_error_is_named_without_the_words_of_the_service() {
        let failed = |name: &str, status: Option<u16>| {
            turn(&json!({"event": "session.error", "error": name, "status_code": status}))
        };
        let error = |error: &str| TurnEvent::Failed {
            error: error.into(),
        };
        assert_eq!(failed("MessageAbortedError", None), TurnEvent::Interrupted);
        for (name, status, text) in [
            ("APIError", Some(401), "authentication failed"),
            ("ProviderAuthError", None, "authentication failed"),
            ("APIError", Some(400), "invalid request"),
            ("APIError", Some(529), "the service failed"),
            ("UnknownError", None, "the turn failed"),
        ] {
            assert_eq!(failed(name, status), error(text), "{name} {status:?}");
        }
        let retrying =
            turn(&json!({"event": "session.status", "status": "retry", "message": "too\nmany"}));
        let error = "too many".into();
        assert_eq!(retrying, TurnEvent::Retrying { error });
    }

    #[test]
    fn a_question_has_its_id_and_its_options() {
        let payload = json!({"event": "question.asked", "request_id": "que_1", "questions":
            [{"question": "Which colour", "header": "Colour", "options": [{"label": "Red"}, {"label": "Blue"}]}]});
        assert_eq!(
            read(&payload).question.as_deref(),
            Some("Which colour (Red / Blue)")
        );
        let asked = turn(&payload);
        assert!(
            matches!(&asked, TurnEvent::Asked { id: Some(id), waiting_for: WaitingFor::Answer, .. } if &**id == "que_1"),
            "{asked:?}"
        );
        let plan = json!({"event": "question.asked", "questions": [{"header": "Build Agent", "question": "Switch?"}]});
        let asked = turn(&plan);
        assert!(
            matches!(
                asked,
                TurnEvent::Asked {
                    waiting_for: WaitingFor::Plan,
                    ..
                }
            ),
            "{asked:?}"
        );
        for name in [
            "permission.replied",
            "question.replied",
            "question.rejected",
        ] {
            let id = Some("que_1".into());
            let answered = turn(&json!({"event": name, "request_id": "que_1"}));
            assert_eq!(answered, TurnEvent::Answered { id });
        }
    }

    #[test]
    fn a_subagent_never_moves_the_main_turn() {
        for (name, status, expected) in [
            ("session.created", None, TurnEvent::SubagentStarted),
            ("session.status", Some("busy"), TurnEvent::SubagentStarted),
            ("session.status", Some("idle"), TurnEvent::SubagentEnded),
        ] {
            let payload = json!({"event": name, "status": status, "subagent": "ses_2"});
            assert_eq!(turn(&payload), expected, "{name} {status:?}");
            assert_eq!(read(&payload).subagent.as_deref(), Some("ses_2"));
        }
    }

    #[test]
    fn a_prompt_that_is_typed_while_a_turn_runs_joins_it() {
        let prompt =
            |status: Option<&str>| turn(&json!({"event": "message.updated", "status": status}));
        assert_eq!(prompt(Some("queued")), TurnEvent::Active);
        assert!(matches!(prompt(None), TurnEvent::PromptSubmitted { .. }));
    }

    #[test]
    fn an_unknown_event_is_named() {
        let event = read(&json!({"event": "session.renamed"}));
        assert_eq!(event.kind, EventKind::Unknown);
        assert_eq!(event.name, "session.renamed");
        assert_eq!(super::super::interpret(r#"{"session_id":"s"}"#, 0), None);
    }
}
