//! What differs from agent to agent: what a hook may keep of an event, and what the event means.
//! Pure tables and functions; no IO. `hook` reads the tables, the daemon the meanings.

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
    /// The variable that is `1` where a person sits at the session and `0` where none does.
    pub attended_var: Option<&'static str>,
}

const fn field(path: &'static str, limit: usize) -> Field {
    Field { path, limit }
}

/// Fields that Claude Code's payloads have, and those of the agents that copied their shape.
const CLAUDE_SHAPED: &[Field] = &[
    field("hook_event_name", 64),
    field("session_id", 128),
    field("cwd", 4096),
    field("prompt_id", 64),
    field("permission_mode", 32),
    field("agent_id", 64),
    field("source", 32),
    field("reason", 64),
    field("model", 64),
    field("session_title", 256),
    field("prompt", 256),
    field("tool_name", 128),
    field("tool_input.command", 256),
    field("tool_input.file_path", 512),
    field("tool_input.notebook_path", 512),
    field("tool_input.path", 512),
    field("tool_input.pattern", 256),
    field("tool_input.url", 256),
    field("tool_input.query", 256),
    field("tool_input.description", 256),
    field("tool_use_id", 64),
    field("notification_type", 64),
    field("error", 64),
    field("is_interrupt", 8),
    field("background_tasks.id", 64),
    field("background_tasks.type", 32),
    field("background_tasks.status", 32),
];

/// The hook's tables for `agent`; an agent without tables of its own is read as one of Claude Code's shape.
#[must_use]
pub fn hook_source(agent: &str) -> HookSource {
    match agent {
        "claude-code" => HookSource {
            fields: CLAUDE_SHAPED,
            pid_var: Some("CLAUDE_PID"),
            attended_var: Some("CLAUDE_CODE_SESSION_ATTENDED"),
        },
        _ => HookSource {
            fields: CLAUDE_SHAPED,
            pid_var: None,
            attended_var: None,
        },
    }
}
