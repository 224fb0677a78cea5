//! Claude Code: its hooks, registry, status line and account limits, as observed with 2.1.330.
//!
//! Pure except for `limits`, and for `login`, which looks whether two paths are one directory. Other modules use [`AGENT`] and [`EXTRAS`].

mod events;
mod limits;
mod login;
mod payload;
mod prompt;
mod recordings;
mod registry;
mod schedule;
mod status_line;

use serde_json::value::RawValue;

use super::tolerant::{filter, object};
use super::{
    Agent, CommandForm, ConfigDir, Extras, HookProcess, Install, InstallForm, Layers, LimitWindow,
    Limits, MergedHooks, Registry, Switch, Syntax,
};
use crate::event::{AgentEvent, Timing};
use payload::Payload;

const PROGRAM: &str = "claude";

/// The variable that names the configuration directory, and its default below the home.
const CONFIG_DIR: ConfigDir = ConfigDir {
    variable: "CLAUDE_CONFIG_DIR",
    below_variable: "",
    below_home: ".claude",
};

const HOUR_MS: u64 = 3_600_000;

/// Claude Code's entry in the table of agents.
pub(super) static AGENT: Agent = Agent {
    name: "claude-code",
    title: "Claude Code",
    sign: "CC",
    program: PROGRAM,
    recorded_with: "2.1.332",
    config_dir: CONFIG_DIR,
    hook: HookProcess {
        pid_variable: Some("CLAUDE_PID"),
        mark_variable: Some("CLAUDECODE"),
        variable_prefix: "CLAUDE",
        is_program,
        attended_variable: Some("CLAUDE_CODE_SESSION_ATTENDED"),
        is_attended: None,
        is_shared: None,
    },
    interpret,
    registry: Some(Registry {
        directory: "sessions",
        pid: registry::pid,
        file_name: registry::file_name,
        read: registry::read_entry,
    }),
    // Flashes of the registry last 12 to 30 ms, and it follows a hook within 20 to 120 ms (2.1.330).
    timing: Timing {
        settle_ms: 150,
        settle_next_ms: 500,
        // On a machine under load, half a second between the end of a task and its report (2.1.332).
        settle_task_ms: 3000,
        race_ms: 500,
        // The registry's entry may be read up to a second late on a machine under load.
        confirm_ms: 1200,
        // A recurring prompt comes up to 15 minutes late, by the documentation.
        overdue_ms: 16 * 60_000,
        settle_end_ms: 0,
    },
    files: None,
    status_line: Some(status_line::read),
    limits: Some(Limits {
        windows: WINDOWS,
        is_fetched: true,
        login_files: login::files,
        read_login: login::read,
    }),
    install: Install {
        settings: "settings.json",
        form: InstallForm::Merged(MergedHooks {
            syntax: Syntax::Json,
            // It saves a shell at each event.
            command: CommandForm::Exec,
            // Seconds. The hook itself takes milliseconds and gives up sooner.
            timeout: 5,
            async_events: &[],
            name: None,
            only_keys: &[],
            keeps_places: false,
        }),
        events: EVENTS,
        switches: &[Switch {
            key: "disableAllHooks",
            value: "true",
        }],
        // Each of them silences hooks at once, also while a session runs (2.1.332).
        layers: Some(Layers {
            managed_directory: if cfg!(target_os = "macos") {
                "/Library/Application Support/ClaudeCode"
            } else {
                "/etc/claude-code"
            },
            managed_file: "managed-settings.json",
            managed_drop_ins: "managed-settings.d",
            remote_file: "remote-settings.json",
            managed_only_key: "allowManagedHooksOnly",
            project_files: &[".claude/settings.json", ".claude/settings.local.json"],
        }),
        after_change: None,
        needed: None,
    },
    resume,
    model_label,
};

/// What only the command line needs.
pub(super) static EXTRAS: Extras = Extras {
    fetch_limits: Some(limits::fetch),
    recordings: recordings::ALL,
    adapt_entry: Some(recordings::adapt_entry),
};

/// The windows of an account with a subscription.
const WINDOWS: &[LimitWindow] = &[
    LimitWindow {
        name: "five_hour",
        label: "5h",
        title: "5 h limit",
        length_ms: 5 * HOUR_MS,
    },
    LimitWindow {
        name: "seven_day",
        label: "7d",
        title: "7 d limit",
        length_ms: 7 * 24 * HOUR_MS,
    },
];

/// The events that say something about a session's status. Never `MessageDisplay`, which comes with every few lines of
/// an answer, nor `WorktreeCreate`, whose hook is expected to do the work. Claude Code ignores names that its version
/// does not know.
const EVENTS: &[&str] = &[
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PostToolUse",
    "PostToolUseFailure",
    "PostToolBatch",
    "PermissionRequest",
    "PermissionDenied",
    "Notification",
    "Elicitation",
    "ElicitationResult",
    "SubagentStart",
    "SubagentStop",
    "PreCompact",
    "PostCompact",
    "Stop",
    "StopFailure",
    "SessionEnd",
];

/// Reduces a payload to the allow-list.
pub(super) fn filter_payload(
    payload: &[u8],
    _event: Option<&str>,
) -> serde_json::Result<Box<RawValue>> {
    filter::<Payload>(payload)
}

/// Converts a payload of a hook or of the status line, which happened at `at`; `None` if it is neither.
fn interpret(payload: &str, at: u64) -> Option<AgentEvent> {
    let payload: Payload = object(payload.as_bytes()).ok()?;
    events::event(&payload, at).or_else(|| status_line::event(&payload))
}

/// The native program is `claude`, that of the npm package `claude.exe`; older packages are run by Node.js. For versions
/// that do not set `CLAUDE_PID`.
fn is_program(names: &[String], arguments: &[String]) -> bool {
    let is_name = |name: &String| name == "claude" || name == "claude.exe";
    names.iter().any(is_name)
        || arguments
            .iter()
            .any(|argument| argument.contains("/@anthropic-ai/claude-code/"))
}

fn resume(session_id: &str) -> Vec<String> {
    [PROGRAM, "--resume", session_id].map(Into::into).into()
}

/// `claude-opus-4-1-20250805` is `opus-4-1`.
fn model_label(model: &str) -> &str {
    let name = model.strip_prefix("claude-").unwrap_or(model);
    let is_date = |part: &str| part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_digit());
    match name.rsplit_once('-') {
        Some((short, last)) if is_date(last) => short,
        _ => name,
    }
}

#[cfg(test)]
mod tolerance_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_labelled_by_what_differs() {
        assert_eq!(model_label("claude-opus-4-1-20250805"), "opus-4-1");
        assert_eq!(model_label("claude-opus-5"), "opus-5");
        assert_eq!(model_label("claude-opus-20250805x"), "opus-20250805x");
        assert_eq!(model_label("another"), "another");
    }

    #[test]
    fn an_event_that_costs_much_gets_no_hook() {
        for never in ["MessageDisplay", "WorktreeCreate"] {
            assert!(!EVENTS.contains(&never));
        }
    }

    #[test]
    fn a_conversation_is_resumed_by_its_id() {
        assert_eq!(resume("0b1c"), ["claude", "--resume", "0b1c"]);
    }
}
