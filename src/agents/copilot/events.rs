//! Converts Copilot CLI's hook events, as observed with 1.0.102, from [`Payload`] to [`AgentEvent`].
//!
//! Pure. What several events or a file must be seen for, [`super::files`] corrects.

use std::borrow::Cow;

use super::super::question::plan;
use super::payload::Payload;
use crate::event::{AgentEvent, EventKind, PromptOrigin, Tool, TurnEvent};
use crate::protocol::{NAME_LIMIT, QUESTION_LIMIT, TEXT_LIMIT, WaitingFor, one_line};

/// The names of all hook events of 1.0.102.
const KNOWN: &[&str] = &[
    "agentStop",
    "errorOccurred",
    "notification",
    "permissionRequest",
    "postToolUse",
    "postToolUseFailure",
    "preCompact",
    "preMcpToolCall",
    "preToolUse",
    "sessionEnd",
    "sessionStart",
    "subagentStart",
    "subagentStop",
    "userPromptSubmitted",
    "userPromptTransformed",
];

/// The id of a dialog whose notification came before the line of the log that names its request.
pub(super) const UNNAMED_REQUEST: &str = "notification";

/// What a prompt begins with that the agent makes itself when a background task has ended.
const SYSTEM_NOTICE: &str = "<system_notification>";

/// What the text begins with that the agent puts before a prompt in plan mode.
const PLAN_PREFIX: &str = "[[PLAN]]";

/// Converts an event; `None` if it has no name.
pub(super) fn event(payload: &Payload) -> Option<AgentEvent> {
    let name = payload.event.get()?;
    let known = KNOWN.iter().find(|known| **known == name);
    // A subagent's own session is none of a person's.
    let main = payload.parent_id.get().and(Some(&payload.parent_id));
    Some(AgentEvent {
        name: match known {
            Some(known) => Cow::Borrowed(known),
            None => one_line(name, NAME_LIMIT).into(),
        },
        session_id: main.unwrap_or(&payload.session_id).one_line(NAME_LIMIT),
        cwd: payload.cwd.get().map(Into::into),
        permission_mode: None,
        model: None,
        title: None,
        subagent: payload.agent_id.one_line(NAME_LIMIT),
        prompt_id: None,
        context_percent: None,
        cost_usd: None,
        limits: Vec::new(),
        attended: None,
        transcript: None,
        question: question(payload),
        kind: match known {
            Some(name) => kind(name, payload),
            None => EventKind::Unknown,
        },
    })
}

fn kind(name: &str, payload: &Payload) -> EventKind {
    match name {
        "sessionStart" => EventKind::SessionStarted,
        "sessionEnd" => EventKind::SessionEnded {
            reason: one_line(payload.reason.get().unwrap_or("other"), NAME_LIMIT).into(),
            process_goes_on: false,
        },
        _ => turn_event(name, payload).map_or(EventKind::Noted, EventKind::Turn),
    }
}

/// How an event of this name changes a turn; `None`: not at all.
fn turn_event(name: &str, payload: &Payload) -> Option<TurnEvent> {
    let is_subagent = payload.agent_id.get().is_some();
    let tool_name = payload.tool_name.get().unwrap_or_default();
    Some(match (name, tool_name) {
        ("userPromptSubmitted", _) if !is_subagent => prompt(payload.prompt.get()),
        ("preToolUse", "ask_user") => asked(payload, WaitingFor::Answer),
        ("preToolUse", "exit_plan_mode") => asked(payload, WaitingFor::Plan),
        ("preToolUse", _) => TurnEvent::ToolStarted {
            tool: tool(payload),
            asks_for: WaitingFor::Permission,
        },
        ("postToolUse" | "postToolUseFailure", _) => TurnEvent::ToolEnded {
            tool: tool(payload),
        },
        ("subagentStart", _) if is_subagent => TurnEvent::SubagentStarted,
        ("subagentStop", _) if is_subagent => TurnEvent::SubagentEnded,
        // A subagent's turn ends more than once: its own event says when it has ended.
        ("agentStop", _) if !is_subagent => TurnEvent::Ended { remaining: None },
        // Also of a request that is tried again; the log says when that has failed for good.
        ("errorOccurred", _) if !is_subagent => TurnEvent::Retrying {
            error: failure(status_of(payload.error.0.message.get())).into(),
        },
        // An automatic one is part of a turn.
        ("preCompact", _) if payload.trigger.get() == Some("manual") => TurnEvent::Active,
        ("notification", _) => match payload.notification_type.get() {
            Some("permission_prompt") => TurnEvent::Asked {
                id: Some(UNNAMED_REQUEST.into()),
                waiting_for: WaitingFor::Permission,
                tool: payload.message.get().map(described),
            },
            Some("elicitation_dialog") => TurnEvent::AskReminded {
                waiting_for: Some(WaitingFor::Answer),
            },
            _ => return None,
        },
        _ => return None,
    })
}

fn prompt(prompt: Option<&str>) -> TurnEvent {
    let prompt = prompt.unwrap_or_default();
    if prompt.starts_with(SYSTEM_NOTICE) {
        return TurnEvent::PromptSubmitted {
            text: None,
            origin: PromptOrigin::Task(None),
        };
    }
    // In plan mode the agent's own words come first.
    let typed =
        Some(prompt).filter(|prompt| !prompt.is_empty() && !prompt.starts_with(PLAN_PREFIX));
    TurnEvent::PromptSubmitted {
        text: typed.map(|prompt| one_line(prompt, TEXT_LIMIT).into()),
        // One that is typed while a turn runs is reported after its end.
        origin: PromptOrigin::PersonNow,
    }
}

/// A tool that is itself a question: it is answered when it ends.
fn asked(payload: &Payload, waiting_for: WaitingFor) -> TurnEvent {
    TurnEvent::Asked {
        id: None,
        waiting_for,
        tool: Some(tool(payload)),
    }
}

/// What the agent asks a person: the question, or a plan's first line.
fn question(payload: &Payload) -> Option<Box<str>> {
    let arguments = &payload.tool_args.0;
    match payload.tool_name.get()? {
        "ask_user" => arguments.message.one_line(QUESTION_LIMIT),
        "exit_plan_mode" => plan(arguments.summary.get()?),
        _ => None,
    }
}

/// The tool, with the argument that identifies the call for a person.
fn tool(payload: &Payload) -> Tool {
    let arguments = &payload.tool_args.0;
    let detail = arguments
        .command
        .get()
        .or_else(|| {
            arguments
                .path
                .get()
                .map(|path| below(path, payload.cwd.get()))
        })
        .or(arguments.pattern.get())
        .or(arguments.url.get())
        .or(arguments.query.get())
        .or(arguments.description.get());
    Tool {
        name: one_line(payload.tool_name.get().unwrap_or("tool"), TEXT_LIMIT).into(),
        detail: detail.map(|detail| one_line(detail, TEXT_LIMIT).into()),
    }
}

/// What a notification is about: `Run command: touch made.txt`.
fn described(message: &str) -> Tool {
    let (what, detail) = message.split_once(": ").unwrap_or((message, ""));
    Tool {
        name: one_line(what, TEXT_LIMIT).into(),
        detail: (!detail.is_empty()).then(|| one_line(detail, TEXT_LIMIT).into()),
    }
}

/// `path`, relative to `directory` if it lies below it.
fn below<'a>(path: &'a str, directory: Option<&str>) -> &'a str {
    directory
        .and_then(|directory| path.strip_prefix(directory))
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(path)
}

/// The HTTP status in an error's message, if one is in it.
fn status_of(message: Option<&str>) -> Option<u64> {
    let mut words = message?.split(|char: char| !char.is_ascii_digit());
    words
        .find(|word| word.len() == 3)
        .and_then(|word| word.parse().ok())
        .filter(|status| (400..600).contains(status))
}

/// The message for people about an error of this HTTP status. The service's own may quote the request.
pub(super) fn failure(status: Option<u64>) -> &'static str {
    match status.unwrap_or_default() {
        401 | 403 => "authentication failed",
        402 => "billing error",
        404 => "model not found",
        429 => "rate limited",
        400..500 => "invalid request",
        500..600 => "the service failed",
        _ => "the request failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(name: &str, payload: &Value) -> AgentEvent {
        let kept = super::super::payload::filter(payload.to_string().as_bytes(), Some(name));
        super::super::interpret(kept.unwrap().get(), 7).unwrap()
    }

    fn turn(name: &str, payload: &Value) -> TurnEvent {
        match read(name, payload).kind {
            EventKind::Turn(turn) => turn,
            other => panic!("{name} {payload}: {other:?}"),
        }
    }

    #[test]
    fn a_prompt_is_a_persons_unless_the_agent_has_made_it() {
        let origin = |prompt: &str| match turn("userPromptSubmitted", &json!({"prompt": prompt})) {
            TurnEvent::PromptSubmitted { text, origin } => (text.map(String::from), origin),
            other => panic!("{other:?}"),
        };
        let typed = Some("fix it".to_owned());
        assert_eq!(origin("fix it"), (typed, PromptOrigin::PersonNow));
        let planned = origin("[[PLAN]] I want to create an implementation plan. Please:");
        assert_eq!(planned, (None, PromptOrigin::PersonNow));
        let notice = origin("<system_notification>\nShell command \"d\" (shellId: 1)");
        assert_eq!(notice, (None, PromptOrigin::Task(None)));
    }

    #[test]
    fn a_question_waits_until_its_tool_ends() {
        let payload = json!({"toolName": "ask_user", "toolArgs": {"message": "Which colour?"}});
        let TurnEvent::Asked {
            waiting_for, tool, ..
        } = turn("preToolUse", &payload)
        else {
            panic!("not asked");
        };
        assert_eq!(waiting_for, WaitingFor::Answer);
        let ended = turn("postToolUse", &payload);
        assert_eq!(Some(ended), tool.map(|tool| TurnEvent::ToolEnded { tool }));
        let question = read("preToolUse", &payload).question;
        assert_eq!(question.as_deref(), Some("Which colour?"));
        let plan =
            json!({"toolName": "exit_plan_mode", "toolArgs": {"summary": "# Plan\n1. do it"}});
        assert!(matches!(
            turn("preToolUse", &plan),
            TurnEvent::Asked {
                waiting_for: WaitingFor::Plan,
                ..
            }
        ));
        assert_eq!(read("preToolUse", &plan).question.as_deref(), Some("Plan"));
    }

    #[test]
    fn a_permission_is_asked_for_when_its_dialog_opens() {
        let request = json!({"hookName": "permissionRequest", "toolName": "bash"});
        assert_eq!(read("permissionRequest", &request).kind, EventKind::Noted);
        let notification =
            json!({"notification_type": "permission_prompt", "message": "Run command: touch a"});
        let expected = TurnEvent::Asked {
            id: Some(UNNAMED_REQUEST.into()),
            waiting_for: WaitingFor::Permission,
            tool: Some(Tool {
                name: "Run command".into(),
                detail: Some("touch a".into()),
            }),
        };
        assert_eq!(turn("notification", &notification), expected);
    }

    #[test]
    fn a_subagent_never_moves_the_main_turn() {
        let of = |name: &str| {
            read(
                name,
                &json!({"sessionId": "sub", "agentId": "a1", "parentAgentId": "main", "prompt": "go"}),
            )
        };
        for (name, expected) in [
            ("userPromptSubmitted", EventKind::Noted),
            ("agentStop", EventKind::Noted),
            ("errorOccurred", EventKind::Noted),
            ("subagentStart", EventKind::Turn(TurnEvent::SubagentStarted)),
            ("subagentStop", EventKind::Turn(TurnEvent::SubagentEnded)),
        ] {
            let event = of(name);
            assert_eq!(event.kind, expected, "{name}");
            assert_eq!(event.session_id.as_deref(), Some("main"), "{name}");
            assert_eq!(event.subagent.as_deref(), Some("a1"), "{name}");
        }
    }

    #[test]
    fn an_error_is_named_without_the_words_of_the_service() {
        for (message, expected) in [
            ("{\"message\":\"mock error 401\"}", "authentication failed"),
            ("429 Too Many Requests", "rate limited"),
            ("status 503", "the service failed"),
            ("fetch failed", "the request failed"),
            ("999 or 123", "the request failed"),
        ] {
            let error = expected.into();
            let event = turn("errorOccurred", &json!({"error": {"message": message}}));
            assert_eq!(event, TurnEvent::Retrying { error }, "{message}");
        }
    }

    #[test]
    fn an_unknown_event_is_named_and_one_without_a_name_is_none() {
        let event = read("sessionPaused", &json!({"sessionId": "s"}));
        assert_eq!(event.kind, EventKind::Unknown);
        assert_eq!(event.name, "sessionPaused");
        assert_eq!(super::super::interpret(r#"{"sessionId":"s"}"#, 0), None);
    }
}
