//! Converts Claude Code's hook events, as observed with 2.1.330, from [`Payload`] to [`AgentEvent`].
//!
//! Pure, but for the time zone, by which a schedule's next time is computed. An event with an unknown name becomes [`EventKind::Unknown`].

use std::borrow::Cow;

use super::super::question;
use super::super::turn_failure::turn_failure;
use super::payload::Payload;
use super::prompt;
use super::schedule;
use crate::event::{
    AgentEvent, BackgroundTask, EventKind, PromptOrigin, Remaining, Schedule, TaskKind, Tool,
    TurnEvent,
};
use crate::os::local_time::local_time;
use crate::protocol::{NAME_LIMIT, TEXT_LIMIT, WaitingFor, one_line};

/// The names of all hook events of 2.1.330, from its published types and documentation.
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

/// Converts an event that happened at `at`; `None` if it has no name.
pub(super) fn event(payload: &Payload, at: u64) -> Option<AgentEvent> {
    let name = payload.hook_event_name.get()?;
    let known = KNOWN.iter().find(|known| **known == name);
    Some(AgentEvent {
        name: match known {
            Some(known) => Cow::Borrowed(known),
            None => one_line(name, NAME_LIMIT).into(),
        },
        session_id: payload.session_id.one_line(NAME_LIMIT),
        cwd: payload.cwd.get().map(Into::into),
        permission_mode: payload.permission_mode.one_line(NAME_LIMIT),
        model: payload
            .model
            .name()
            .and_then(|name| name.one_line(NAME_LIMIT)),
        title: payload
            .session_title
            .get()
            .and_then(prompt::typed)
            .map(|title| one_line(&title, TEXT_LIMIT).into()),
        subagent: payload.agent_id.one_line(NAME_LIMIT),
        prompt_id: payload.prompt_id.one_line(NAME_LIMIT),
        context_percent: None,
        cost_usd: None,
        limits: Vec::new(),
        attended: None,
        transcript: None,
        question: question(payload),
        kind: if known.is_some() {
            kind(payload, at)
        } else {
            EventKind::Unknown
        },
    })
}

fn kind(payload: &Payload, at: u64) -> EventKind {
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
        name => turn_event(name, payload, at).map_or(EventKind::Noted, EventKind::Turn),
    }
}

/// How an event of this name changes a turn; `None`: not at all.
fn turn_event(name: &str, payload: &Payload, at: u64) -> Option<TurnEvent> {
    Some(match name {
        "UserPromptSubmit" => {
            let prompt = payload.prompt.get().unwrap_or_default();
            let text = prompt::typed(prompt).map(|words| one_line(&words, TEXT_LIMIT).into());
            let origin = match prompt::task_notice(prompt) {
                Some(notice) => PromptOrigin::Task(task_id(notice)),
                None if text.is_some() || prompt.is_empty() => PromptOrigin::Person,
                None => PromptOrigin::Agent,
            };
            TurnEvent::PromptSubmitted { text, origin }
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
        // Without an id, the subagent is unknown.
        "SubagentStart" if payload.agent_id.get().is_some() => TurnEvent::SubagentStarted,
        "SubagentStop" if payload.agent_id.get().is_some() => TurnEvent::SubagentEnded,
        "PermissionRequest" => TurnEvent::Asked {
            id: None,
            waiting_for: waiting_for(payload),
            tool: Some(tool(payload)),
        },
        "Elicitation" => TurnEvent::Asked {
            id: None,
            waiting_for: WaitingFor::Answer,
            tool: None,
        },
        "ElicitationResult" => TurnEvent::Answered { id: None },
        // A manual compaction runs between turns; no Stop follows it.
        "PostCompact" if payload.trigger.get() == Some("manual") => TurnEvent::Compacted,
        "Notification" => match payload.notification_type.get() {
            Some(
                "permission_prompt"
                | "agent_needs_input"
                | "elicitation_dialog"
                | "elicitation_url_dialog",
            ) => TurnEvent::AskReminded { waiting_for: None },
            Some("idle_prompt") => TurnEvent::IdleReminded,
            _ => return None,
        },
        "Stop" => turn_ended(payload, at),
        "StopFailure" => TurnEvent::Failed {
            error: turn_failure(payload.error.get()),
        },
        _ => return None,
    })
}

/// The end of a turn, with what goes on. A task's status other than `running` was not observed.
fn turn_ended(payload: &Payload, at: u64) -> TurnEvent {
    let mut remaining = Remaining::default();
    let tasks = payload.background_tasks.0.iter();
    for task in tasks.filter(|task| task.status.get() == Some("running")) {
        let id = task.id.one_line(NAME_LIMIT);
        let kind = match task.r#type.get().unwrap_or_default() {
            "subagent" | "workflow" | "teammate" => {
                remaining.subagents.extend(id);
                continue;
            }
            "shell" => TaskKind::Shell,
            // Also that of a server of tools.
            kind if kind.starts_with("monitor") => TaskKind::Monitor,
            _ => TaskKind::Other,
        };
        let id = id.unwrap_or_default();
        remaining.tasks.push(BackgroundTask { id, kind });
    }
    let schedules = payload.session_crons.0.iter().map(|cron| {
        let expression = cron.schedule.get().unwrap_or_default();
        let at = schedule::next(expression, at, local_time);
        Schedule { at }
    });
    remaining.schedules.extend(schedules);
    TurnEvent::Ended {
        remaining: Some(Box::new(remaining)),
    }
}

/// The task of a notice: it begins with `<task-id>ID</task-id>`.
fn task_id(notice: &str) -> Option<Box<str>> {
    let (_, rest) = notice.split_once("<task-id>")?;
    let (id, _) = rest.split_once("</task-id>")?;
    (!id.is_empty()).then(|| one_line(id, NAME_LIMIT).into())
}

fn waiting_for(payload: &Payload) -> WaitingFor {
    match payload.tool_name.get() {
        Some("AskUserQuestion") => WaitingFor::Answer,
        Some("ExitPlanMode") => WaitingFor::Plan,
        _ => WaitingFor::Permission,
    }
}

/// What the agent asks a person: the questions with their options, or a plan's first line.
fn question(payload: &Payload) -> Option<Box<str>> {
    let input = &payload.tool_input.0;
    match payload.tool_name.get()? {
        "AskUserQuestion" => question::question(&input.questions),
        "ExitPlanMode" => question::plan(input.plan.get()?),
        _ => None,
    }
}

fn tool(payload: &Payload) -> Tool {
    let input = &payload.tool_input.0;
    input.tool(payload.tool_name.get(), payload.cwd.get())
}

#[cfg(test)]
mod tests;
