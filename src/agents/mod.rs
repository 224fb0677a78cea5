//! What differs from agent to agent: what a hook may keep of an event, and what the event means.
//!
//! Pure tables and functions; no IO. `hook` reads the tables, the codec asks for the meanings; the core never hears
//! an agent's own words but as evidence.

pub mod claude_code;
mod report;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use self::report::{TIMING, interpret};
use crate::event::AgentEvent;

/// One field that the hook keeps of an event's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Object keys from the root, joined by dots; an array on the way stands for each of its elements.
    pub path: &'static str,
    /// The longest text kept, in bytes of JSON source; the rest is cut.
    pub limit: usize,
}

/// How the hook reads one agent: which fields of the payload leave the agent's process (an allow list: tool output
/// and whole prompts never do) and which variables of the hook's environment name the process.
#[derive(Debug, Clone, Copy)]
pub struct HookSource {
    /// What is kept of the payload.
    pub fields: &'static [Field],
    /// The variable that holds the agent's process id; without it the hook's parent is taken.
    pub pid_var: Option<&'static str>,
    /// The variable that names the agent's configuration directory, and what it is below the home without it.
    pub config_dir: Option<(&'static str, &'static str)>,
    /// The variable that is `1` where a person sits at the session and `0` where none does.
    pub attended_var: Option<&'static str>,
}

/// The hook's tables for `agent`; an agent without tables of its own is read as one of Claude Code's shape, which
/// several others have taken over.
#[must_use]
pub fn hook_source(agent: &str) -> HookSource {
    match agent {
        "claude-code" => HookSource {
            fields: claude_code::FIELDS,
            pid_var: Some("CLAUDE_PID"),
            config_dir: Some(claude_code::CONFIG_DIR),
            attended_var: Some("CLAUDE_CODE_SESSION_ATTENDED"),
        },
        _ => HookSource {
            fields: claude_code::FIELDS,
            pid_var: None,
            config_dir: None,
            attended_var: None,
        },
    }
}

/// What an agent's payload means, or `None` if it can't be read.
#[must_use]
pub fn event(agent: &str, payload: &str) -> Option<AgentEvent> {
    match agent {
        "claude-code" => claude_code::event(payload),
        _ => None,
    }
}

/// An agent's configuration directory: what the variable says, else its place below the home; `None` without either.
#[must_use]
pub fn config_dir(
    (key, below_home): (&str, &str),
    variable: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let set = |key| variable(key).filter(|value| !value.is_empty());
    match set(key) {
        Some(given) => Some(given.into()),
        None => Some(Path::new(&set("HOME")?).join(below_home)),
    }
}

/// Agents with a registry, each with where its configuration directory is told: the variable, and what it is below the
/// home without it.
pub const WITH_REGISTRY: &[(&str, (&str, &str))] = &[("claude-code", claude_code::CONFIG_DIR)];
