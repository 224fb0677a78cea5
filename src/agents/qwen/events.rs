//! Converts Qwen Code's hook events, as observed with 0.24.4, from [`Payload`] to [`AgentEvent`].

use std::borrow::Cow;

use super::super::question;
use super::super::turn_failure::turn_failure;
use super::payload::Payload;
use crate::event::{AgentEvent, EventKind, PromptOrigin, RegistryStatus, Remaining, TurnEvent};
use crate::protocol::{NAME_LIMIT, TEXT_LIMIT, WaitingFor, one_line};

/// The names of all hook events of 0.24.4.
const KNOWN: &[&str] = &[
    "InstructionsLoaded",
    "MessageDisplay",
    "Notification",
    "PermissionDenied",
    "PermissionRequest",
    "PostCompact",
    "PostToolBatch",
    "PostToolUse",
    "PostToolUseFailure",
    "PreCompact",
    "PreToolUse",
    "SessionDelete",
    "SessionEnd",
    "SessionStart",
    "Stop",
    "StopFailure",
    "SubagentStart",
    "SubagentStop",
    "TodoCompleted",
    "TodoCreated",
    "UserPromptExpansion",
    "UserPromptSubmit",
];

/// The tools by which the agent asks a person.
const ASK: &str = "ask_user_question";
const PLAN: &str = "exit_plan_mode";

/// Converts an event; `None` if it has no name.
pub(super) fn event(payload: &Payload) -> Option<AgentEvent> {
    let name = payload.hook_event_name.get()?;
    let known = KNOWN.iter().find(|known| **known == name);
    let (name, kind) = match known {
        Some(known) => (Cow::Borrowed(*known), kind(known, payload)),
        None => (one_line(name, NAME_LIMIT).into(), EventKind::Unknown),
    };
    Some(AgentEvent {
        session_id: payload.session_id.one_line(NAME_LIMIT),
        cwd: payload.cwd.get().map(Into::into),
        permission_mode: payload.permission_mode.one_line(NAME_LIMIT),
        model: payload.model.one_line(NAME_LIMIT),
        subagent: payload.agent_id.one_line(NAME_LIMIT),
        prompt_id: payload.prompt_id.one_line(NAME_LIMIT),
        context_percent: percent(payload.context_usage.as_f64()),
        question: asked(payload),
        ..AgentEvent::new(name, kind)
    })
}

fn kind(name: &str, payload: &Payload) -> EventKind {
    match name {
        "SessionStart" if payload.source.get() == Some("compact") => EventKind::Noted,
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
    let is_subagent = payload.agent_id.get().is_some();
    let tool = || {
        let input = &payload.tool_input.0;
        input.tool(payload.tool_name.get(), payload.cwd.get())
    };
    Some(match name {
        "SubagentStart" if is_subagent => TurnEvent::SubagentStarted,
        "SubagentStop" if is_subagent => TurnEvent::SubagentEnded,
        // The results of tools go to the model.
        "UserPromptSubmit" if payload.prompt.get().is_none() => TurnEvent::Active,
        // A prompt that is typed while a turn runs joins it: then this comes, or nothing.
        "UserPromptSubmit" => TurnEvent::PromptSubmitted {
            text: payload
                .submitted_prompt
                .one_line(TEXT_LIMIT)
                .or_else(|| payload.prompt.one_line(TEXT_LIMIT)),
            origin: PromptOrigin::PersonNow,
        },
        "PermissionRequest" => TurnEvent::Asked {
            id: None,
            waiting_for: waiting_for(payload),
            tool: Some(tool()),
        },
        "PreToolUse" => TurnEvent::ToolStarted {
            tool: tool(),
            asks_for: waiting_for(payload),
        },
        "PostToolUse" | "PostToolUseFailure" | "PermissionDenied" => {
            TurnEvent::ToolEnded { tool: tool() }
        }
        // It comes 0.05 to 0.3 s after each return to the prompt: alone after an interrupt and a "No", and after the end
        // and the failure of a turn, which it does not contradict.
        "Notification" if payload.notification_type.get() == Some("idle_prompt") => {
            TurnEvent::Status(RegistryStatus::Idle)
        }
        "PreCompact" => TurnEvent::Active,
        "PostCompact" if payload.trigger.get() == Some("manual") => TurnEvent::Compacted,
        "Stop" => TurnEvent::Ended {
            remaining: Some(Box::new(remaining(payload))),
        },
        "StopFailure" => TurnEvent::Failed {
            error: turn_failure(payload.error.get()),
        },
        _ => return None,
    })
}

fn waiting_for(payload: &Payload) -> WaitingFor {
    match payload.tool_name.get() {
        Some(ASK) => WaitingFor::Answer,
        Some(PLAN) => WaitingFor::Plan,
        _ => WaitingFor::Permission,
    }
}

/// What the agent asks a person: the questions with their options, or a plan's first line.
fn asked(payload: &Payload) -> Option<Box<str>> {
    let input = &payload.tool_input.0;
    match payload.tool_name.get()? {
        ASK => question::question(&input.questions),
        PLAN => question::plan(input.plan.get()?),
        _ => None,
    }
}

/// The subagents that run on.
fn remaining(payload: &Payload) -> Remaining {
    let tasks = payload.background_tasks.0.iter();
    let running = tasks.filter(|task| task.status.get() == Some("running"));
    Remaining {
        subagents: running
            .filter_map(|task| task.id.one_line(NAME_LIMIT))
            .collect(),
        ..Remaining::default()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a percentage")]
fn percent(part: Option<f64>) -> Option<f32> {
    part.map(|part| (part * 100.0) as f32)
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
    fn results_of_tools_are_no_prompt_of_a_person() {
        let results = json!({"hook_event_name": "UserPromptSubmit", "prompt": ""});
        assert_eq!(turn(&results), TurnEvent::Active);
        let prompt = json!({"hook_event_name": "UserPromptSubmit", "prompt": "see <a file>",
            "submitted_prompt": "see @file"});
        let submitted = TurnEvent::PromptSubmitted {
            text: Some("see @file".into()),
            origin: PromptOrigin::PersonNow,
        };
        assert_eq!(turn(&prompt), submitted);
    }

    #[test]
    fn what_is_asked_is_known_by_the_tool() {
        let asked = |tool: &str, input: Value| {
            let event = read(
                &json!({"hook_event_name": "PermissionRequest", "tool_name": tool, "tool_input": input}),
            );
            match event.kind {
                EventKind::Turn(TurnEvent::Asked { waiting_for, .. }) => {
                    (waiting_for, event.question)
                }
                other => panic!("{other:?}"),
            }
        };
        let command = asked("run_shell_command", json!({"command": "ls"}));
        assert_eq!(command, (WaitingFor::Permission, None));
        let questions =
            json!([{"question": "Which?", "options": [{"label": "A"}, {"label": "B"}]}]);
        let question = asked(ASK, json!({"questions": questions}));
        assert_eq!(
            question,
            (WaitingFor::Answer, Some("Which? (A / B)".into()))
        );
        let plan = asked(PLAN, json!({"plan": "\n# Do it\n1. so"}));
        assert_eq!(plan, (WaitingFor::Plan, Some("Do it".into())));
    }

    #[test]
    fn an_answer_says_how_full_the_context_is() {
        let stop = json!({"hook_event_name": "Stop", "context_usage": 0.125, "background_tasks":
            [{"id": "a", "status": "running"}, {"id": "b", "status": "completed"}]});
        assert_eq!(read(&stop).context_percent, Some(12.5));
        let remaining = Remaining {
            subagents: vec!["a".into()],
            ..Remaining::default()
        };
        let ended = TurnEvent::Ended {
            remaining: Some(Box::new(remaining)),
        };
        assert_eq!(turn(&stop), ended);
    }

    #[test]
    fn no_answer_and_no_output_leave_the_process() {
        let payload = json!({"hook_event_name": "PostToolUse", "last_assistant_message": "secret", "tool_name": "t",
            "tool_input": {"content": "secret"}, "tool_response": {"llmContent": "secret"}, "error_details": "secret"});
        let filtered = AGENT.filter(payload.to_string().as_bytes(), None).unwrap();
        assert!(!filtered.get().contains("secret"), "{filtered}");
    }
}
