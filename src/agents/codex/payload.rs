//! The payloads of Codex CLI's hooks, as observed with 0.171.0.
//!
//! [`Payload`] is the allow-list: only these fields, cut to these lengths, leave the agent's process. Answers, tool
//! output and whole prompts must never be added.

use super::super::allow_list::allow_list;
use super::super::question::Questions;
use super::super::tolerant::{Part, Text};

/// The longest path kept, in bytes: Linux's `PATH_MAX`.
const PATH_LIMIT: usize = 4096;

allow_list! {
    /// One event.
    Payload {
        hook_event_name: Text<64>,
        session_id: Text<128>,
        turn_id: Text<64>,
        transcript_path: Text<PATH_LIMIT>,
        cwd: Text<PATH_LIMIT>,
        model: Text<64>,
        permission_mode: Text<32>,
        source: Text<32>,
        trigger: Text<32>,
        reason: Text<64>,
        prompt: Text<512>,
        agent_id: Text<128>,
        tool_name: Text<128>,
        tool_use_id: Text<128>,
        tool_input: Part<ToolInput>,
        /// Of a request to the model: `completed`, `failed`, `cancelled`.
        status: Text<32>,
        /// Cut to its beginning: whether there is one, and which kind of error it is.
        error: Text<128>,
        /// Cut to its first letter: whether there is one.
        last_assistant_message: Text<8>,
    }

    /// The fields of a tool's input that identify the call for a person.
    ToolInput {
        command: Text<256>,
        cmd: Text<256>,
        path: Text<256>,
        query: Text<256>,
        url: Text<256>,
        description: Text<256>,
        questions: Questions,
    }
}
