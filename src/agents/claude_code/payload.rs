//! Claude Code's payloads of hooks and of the status line, as observed with 2.1.330 and published in its types.
//!
//! [`Payload`] is the allow-list: `hook` reads an event into it and writes it again, so only these fields, cut to these
//! lengths, leave the agent's process; the daemon reads the same type. Tool output, answers and whole prompts must
//! never be added.

use serde::{Deserialize, Deserializer, Serialize};

use super::super::allow_list::allow_list;
use super::super::tolerant::{List, Number, Part, Text, Time, object};
use super::super::tool_input::ToolInput;
use super::prompt::Prompt;

/// The longest working directory kept, in bytes: Linux's `PATH_MAX`.
const CWD_LIMIT: usize = 4096;

/// The most background tasks, and the most scheduled prompts, that are kept of an event.
const MAX_TASKS: usize = 32;

allow_list! {
    /// A hook's event, which has a `hook_event_name`, or a status line.
    Payload {
        hook_event_name: Text<64>,
        session_id: Text<128>,
        cwd: Text<CWD_LIMIT>,
        prompt_id: Text<64>,
        permission_mode: Text<32>,
        agent_id: Text<64>,
        source: Text<32>,
        trigger: Text<32>,
        reason: Text<64>,
        model: Model,
        session_title: Text<256>,
        prompt: Prompt,
        tool_name: Text<128>,
        tool_input: Part<ToolInput>,
        notification_type: Text<64>,
        error: Text<64>,
        background_tasks: List<BackgroundTask, MAX_TASKS>,
        session_crons: List<SessionCron, MAX_TASKS>,
        // Of a status line.
        session_name: Text<256>,
        context_window: Part<ContextWindow>,
        cost: Part<Cost>,
        rate_limits: Part<RateLimits>,
    }

    BackgroundTask {
        id: Text<64>,
        r#type: Text<32>,
        status: Text<32>,
    }

    /// A prompt that the agent will submit by itself; its text is left out.
    SessionCron {
        schedule: Text<64>,
    }

    ContextWindow {
        used_percentage: Number,
    }

    Cost {
        total_cost_usd: Number,
    }

    /// Only of accounts that have limits, and after the first answer.
    RateLimits {
        five_hour: Part<Window>,
        seven_day: Part<Window>,
    }

    Window {
        used_percentage: Number,
        /// In seconds since the epoch.
        resets_at: Time,
    }

    /// A status line's model.
    ModelParts {
        id: Text<64>,
        /// Displayed by `statusline`, never sent.
        #[serde(skip_serializing)]
        display_name: Text<128>,
    }
}

/// The model: a name in a hook's payload, an object in a status line's.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Model {
    Name(Text<64>),
    Parts(ModelParts),
}

impl Default for Model {
    fn default() -> Self {
        Self::Name(Text::default())
    }
}

impl<'de> Deserialize<'de> for Model {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&serde_json::value::RawValue>::deserialize(deserializer)?.get();
        Ok(if raw.starts_with('{') {
            Self::Parts(object(raw.as_bytes()).unwrap_or_default())
        } else {
            Self::Name(serde_json::from_str(raw).unwrap_or_default())
        })
    }
}

impl Model {
    /// The name in a hook's payload.
    pub(super) fn name(&self) -> Option<&Text<64>> {
        match self {
            Self::Name(name) => Some(name),
            Self::Parts(_) => None,
        }
    }

    /// The object in a status line's payload.
    pub(super) fn parts(&self) -> Option<&ModelParts> {
        match self {
            Self::Name(_) => None,
            Self::Parts(parts) => Some(parts),
        }
    }
}

#[cfg(test)]
mod tests;
