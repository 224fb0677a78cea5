//! Qwen Code: its hooks and its list of running sessions, as observed with 0.24.4.
//!
//! Pure. It began as a copy of Gemini CLI; its hooks are others. Other modules use [`AGENT`].

mod events;
mod files;
mod payload;

use serde_json::value::RawValue;

use super::command_line::program_paths;
use super::prompt_mode::is_prompt_mode;
use super::tolerant::{filter, object};
use super::{
    Agent, CommandForm, ConfigDir, HookProcess, Install, InstallForm, MergedHooks, Switch, Syntax,
    Variables,
};
use crate::event::{AgentEvent, Timing};
use payload::Payload;

const PROGRAM: &str = "qwen";

/// How long the return to the prompt must last before it counts as an interrupt, in ms: the hook of a failure is not waited
/// for, and comes 0.2 s before to 0.2 s after that of the return (0.24.4).
const SETTLE_MS: u64 = 250;

/// Qwen Code's entry in the table of agents.
pub(super) static AGENT: Agent = Agent {
    name: "qwen",
    title: "Qwen Code",
    sign: "QW",
    program: PROGRAM,
    recorded_with: "0.24.4",
    config_dir: ConfigDir {
        variable: "QWEN_HOME",
        below_variable: "",
        below_home: ".qwen",
    },
    hook: HookProcess {
        pid_variable: None,
        mark_variable: Some("QWEN_CODE_SESSION_ID"),
        variable_prefix: "QWEN",
        is_program,
        attended_variable: None,
        is_attended: Some(is_attended),
        is_shared: None,
    },
    interpret,
    registry: None,
    timing: Timing {
        settle_ms: SETTLE_MS,
        settle_next_ms: SETTLE_MS,
        settle_task_ms: 0,
        race_ms: 500,
        confirm_ms: 0,
        overdue_ms: 0,
        // A prompt that is typed while a turn runs joins it.
        settle_end_ms: 0,
    },
    files: Some(|| Box::new(files::Files::default())),
    status_line: None,
    limits: None,
    install: Install {
        settings: "settings.json",
        form: InstallForm::Merged(MergedHooks {
            syntax: Syntax::JsonWithComments,
            // Status 2 throws the prompt away.
            command: CommandForm::Shell,
            // Seconds; from 1000 on, milliseconds.
            timeout: 5,
            async_events: &[],
            name: Some("agent-console"),
            only_keys: &[],
            keeps_places: false,
        }),
        events: EVENTS,
        switches: &[Switch {
            key: "disableAllHooks",
            value: "true",
        }],
        layers: None,
        after_change: Some(
            "restart Qwen Code where it runs, or open its /hooks menu there: it reads its hooks at its start",
        ),
        needed: None,
    },
    resume,
    model_label,
};

/// The events that say something about a session's status. `MessageDisplay` comes with every few words of an answer, and
/// `PostToolBatch` carries the output of all tools and says nothing that others do not.
const EVENTS: &[&str] = &[
    "SessionStart",
    "SessionEnd",
    "UserPromptSubmit",
    "PermissionRequest",
    "PermissionDenied",
    "PreToolUse",
    "PostToolUse",
    "PostToolUseFailure",
    "Notification",
    "SubagentStart",
    "SubagentStop",
    "PreCompact",
    "PostCompact",
    "Stop",
    "StopFailure",
];

/// Reduces a payload to the allow-list.
pub(super) fn filter_payload(
    payload: &[u8],
    _event: Option<&str>,
) -> serde_json::Result<Box<RawValue>> {
    filter::<Payload>(payload)
}

/// Converts a hook's payload; `None` if it is none.
fn interpret(payload: &str, _at: u64) -> Option<AgentEvent> {
    events::event(&object(payload.as_bytes()).ok()?)
}

/// Node.js runs it: two launchers, and the agent below them.
fn is_program(names: &[String], arguments: &[String]) -> bool {
    let is_script =
        |path: &str| path.ends_with("/bin/qwen") || path.contains("/@qwen-code/qwen-code/");
    names.iter().any(|name| name == PROGRAM) || program_paths(arguments).any(is_script)
}

/// With a prompt on the command line it runs once and asks no person.
fn is_attended(_variable: &Variables<'_>, arguments: &[String], _on_terminal: bool) -> bool {
    !is_prompt_mode(arguments)
}

fn resume(session_id: &str) -> Vec<String> {
    [PROGRAM, "--resume", session_id].map(Into::into).into()
}

/// It talks to models of any maker, whose names share no part.
fn model_label(model: &str) -> &str {
    model
}
