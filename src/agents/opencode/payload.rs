//! The events that `plugin.js` sends, as it has reduced them from those of opencode 1.18.33.
//!
//! [`Payload`] is the allow-list of the daemon's side: nothing else is read. Prompts, answers, tool output and diffs must
//! never be added, here or in the plugin.

use super::super::allow_list::allow_list;
use super::super::tolerant::{List, Number, Text};

/// The longest working directory kept, in bytes: Linux's `PATH_MAX`.
const CWD_LIMIT: usize = 4096;

/// The most questions of one request, and the most options of one, that the plugin sends.
const MAX_QUESTIONS: usize = 4;
const MAX_OPTIONS: usize = 4;

allow_list! {
    /// One event.
    Payload {
        /// Its `type`; `init`, `dispose` and `session.selected` are the plugin's own.
        event: Text<64>,
        /// The session of a person, also where the event is a subagent's.
        session_id: Text<128>,
        /// The session of a subagent.
        subagent: Text<128>,
        cwd: Text<CWD_LIMIT>,
        title: Text<256>,
        model: Text<64>,
        /// The agent that a person has chosen: `build`, `plan`.
        permission_mode: Text<32>,
        cost_usd: Number,
        context_percent: Number,
        /// Of a session: `busy`, `retry`, `idle`. Of a tool: `running`, `completed`, `error`. Of a prompt: `queued` if it
        /// joins the turn that runs.
        status: Text<16>,
        /// How a turn ended that did not end well: `interrupted`, `failed`.
        outcome: Text<16>,
        /// An error's name.
        error: Text<64>,
        /// The HTTP status of an error.
        status_code: Number,
        /// Why the last request to the model is tried again.
        message: Text<256>,
        /// Of a question to a person, and of its answer.
        request_id: Text<128>,
        tool: Text<64>,
        /// What the tool is called for.
        detail: Text<256>,
        questions: List<Question, MAX_QUESTIONS>,
    }

    Question {
        text as "question": Text<256>,
        header: Text<64>,
        options: List<Choice, MAX_OPTIONS>,
    }

    Choice {
        label: Text<64>,
    }
}
