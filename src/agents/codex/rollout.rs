//! The lines of Codex CLI's rollouts, as observed with 0.171.0. Prompts and answers are not read.

use super::super::allow_list::allow_list;
use super::super::tolerant::{Number, Part, Text, Time};

allow_list! {
    /// One line.
    Line {
        timestamp: Time,
        kind as "type": Text<32>,
        payload: Part<Payload>,
    }

    Payload {
        kind as "type": Text<32>,
        turn_id: Text<64>,
        /// Of a call of a tool.
        name: Text<64>,
        call_id: Text<128>,
        item: Part<Item>,
        /// Of the end of a turn that failed.
        error: Part<Failure>,
        /// Of `session_meta`: the thread that has spawned this one.
        parent_thread_id: Text<128>,
        info: Part<Info>,
        rate_limits: Part<RateLimits>,
        /// Of the end of a call, cut to its beginning: whether the command runs on.
        output: Text<160>,
    }

    RateLimits {
        limit_id: Text<64>,
        limit_name: Text<64>,
        primary: Part<RateWindow>,
        secondary: Part<RateWindow>,
    }

    RateWindow {
        used_percent: Number,
        window_minutes: Number,
        resets_at: Time,
        resets_in_seconds: Number,
    }

    Item {
        kind as "type": Text<32>,
        id: Text<128>,
    }

    Failure {
        message: Text<128>,
        /// A name, or an object with the name as its key.
        codex_error_info: Named,
    }

    Info {
        last_token_usage: Part<Usage>,
        model_context_window: Number,
    }

    Usage {
        input_tokens: Number,
    }
}

/// A name: a text, or the first key of an object.
#[derive(Debug, Default, PartialEq, serde::Serialize)]
#[serde(transparent)]
pub(super) struct Named(Option<Box<str>>);

impl Named {
    pub(super) fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl<'de> serde::Deserialize<'de> for Named {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&serde_json::value::RawValue>::deserialize(deserializer)?;
        let mut parts = raw.get().split('"');
        Ok(Self(parts.nth(1).map(|name| {
            name.chars().take(64).collect::<String>().into()
        })))
    }
}
