//! The payloads of Qwen Code's hooks, as observed with 0.24.4.
//!
//! [`Payload`] is the allow-list: only these fields, cut to these lengths, leave the agent's process. Answers, tool
//! output, file contents and whole prompts must never be added.

use super::super::allow_list::allow_list;
use super::super::tolerant::{List, Number, Part, Text};
use super::super::tool_input::ToolInput;

/// The longest path kept, in bytes: Linux's `PATH_MAX`.
const PATH_LIMIT: usize = 4096;

/// The most background tasks that are kept of an event.
const MAX_TASKS: usize = 32;

allow_list! {
    /// One event.
    Payload {
        hook_event_name: Text<64>,
        session_id: Text<128>,
        cwd: Text<PATH_LIMIT>,
        permission_mode: Text<32>,
        /// The conversation's id and a number.
        prompt_id: Text<128>,
        agent_id: Text<128>,
        source: Text<32>,
        trigger: Text<32>,
        reason: Text<64>,
        model: Text<64>,
        /// What goes to the model; empty where the results of tools do.
        prompt: Text<512>,
        /// What a person has typed, where that is known.
        submitted_prompt: Text<512>,
        tool_name: Text<128>,
        tool_input: Part<ToolInput>,
        notification_type: Text<64>,
        error: Text<64>,
        /// How full the context is, as a part of 1.
        context_usage: Number,
        background_tasks: List<BackgroundTask, MAX_TASKS>,
    }

    /// A subagent that runs on after the turn.
    BackgroundTask {
        id: Text<128>,
        status: Text<32>,
    }
}
