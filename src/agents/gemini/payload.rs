//! The payloads of Gemini CLI's hooks, as observed with 0.61.0.
//!
//! [`Payload`] is the allow-list: only these fields, cut to these lengths, leave the agent's process. Answers, tool
//! output, file contents and whole prompts must never be added.

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
        transcript_path: Text<PATH_LIMIT>,
        cwd: Text<PATH_LIMIT>,
        source: Text<32>,
        reason: Text<64>,
        prompt: Text<512>,
        tool_name: Text<128>,
        tool_input: Part<ToolInput>,
        notification_type: Text<64>,
        details: Part<Details>,
    }

    /// The fields of a tool's input that identify the call for a person.
    ToolInput {
        command: Text<256>,
        file_path: Text<512>,
        absolute_path: Text<512>,
        path: Text<512>,
        pattern: Text<256>,
        url: Text<256>,
        query: Text<256>,
        description: Text<256>,
        agent_name: Text<64>,
        questions: Questions,
    }

    /// What a dialog is about.
    Details {
        kind as "type": Text<32>,
    }
}
