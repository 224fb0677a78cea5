//! The payloads of Copilot CLI's hooks, as observed with 1.0.102.
//!
//! [`Payload`] is the allow-list: `hook` reads an event into it and writes it again, so only these fields, cut to these
//! lengths, leave the agent's process; the daemon reads the same type. Tool output, answers and whole prompts must
//! never be added. A payload does not name its event: the hook's command line does, and [`filter`] adds it.

use serde_json::value::{RawValue, to_raw_value};

use super::super::allow_list::allow_list;
use super::super::tolerant::{self, Part, Text};

/// The longest working directory kept, in bytes: Linux's `PATH_MAX`.
const CWD_LIMIT: usize = 4096;

allow_list! {
    /// One event.
    Payload {
        /// Its name, which `filter` has added.
        event: Text<64>,
        /// The main session's, or a subagent's own.
        session_id as "sessionId": Text<128>,
        cwd: Text<CWD_LIMIT>,
        /// Of a subagent.
        agent_id as "agentId": Text<128>,
        /// Of a subagent: the main session.
        parent_id as "parentAgentId": Text<128>,
        prompt: Text<256>,
        tool_name as "toolName": Text<128>,
        tool_args as "toolArgs": Part<ToolArguments>,
        notification_type: Text<64>,
        /// Of a notification.
        message: Text<256>,
        reason: Text<64>,
        trigger: Text<32>,
        error: Part<ErrorPart>,
    }

    /// The fields of a tool's arguments that identify the call for a person.
    ToolArguments {
        command: Text<256>,
        path: Text<512>,
        pattern: Text<256>,
        url: Text<256>,
        query: Text<256>,
        description: Text<256>,
        /// Of `ask_user`.
        message: Text<256>,
        /// Of `exit_plan_mode`.
        summary: Text<256>,
    }

    ErrorPart {
        /// Only looked at for what kind of error it is.
        message: Text<256>,
    }
}

/// Reduces an event's payload to the allowed fields, with the event's name.
///
/// # Errors
///
/// `payload` is not exactly one object.
pub(in crate::agents) fn filter(
    payload: &[u8],
    event: Option<&str>,
) -> serde_json::Result<Box<RawValue>> {
    let kept = tolerant::filter::<Payload>(payload)?;
    let Some(event) = event else {
        return Ok(kept);
    };
    let mut payload: Payload = tolerant::object(kept.get().as_bytes())?;
    payload.event = Text::from_bytes(event.as_bytes());
    to_raw_value(&payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn nothing_but_the_allowed_fields_is_kept() {
        let payload = json!({
            "sessionId": "s", "timestamp": 1, "cwd": "/w", "transcriptPath": "/SECRET", "toolName": "bash",
            "toolArgs": {"command": "cargo test", "SECRET": 1}, "toolResult": {"textResultForLlm": "SECRET"},
            "initialPrompt": "SECRET", "transformedPrompt": "SECRET", "response": "SECRET",
        });
        let kept = filter(payload.to_string().as_bytes(), Some("postToolUse")).unwrap();
        let kept: Value = serde_json::from_str(kept.get()).unwrap();
        let expected = json!({"event": "postToolUse", "sessionId": "s", "cwd": "/w", "toolName": "bash",
            "toolArgs": {"command": "cargo test"}});
        assert_eq!(kept, expected);
    }

    #[test]
    fn what_was_filtered_once_stays_as_it_is() {
        let once = filter(br#"{"sessionId":"s"}"#, Some("agentStop")).unwrap();
        let twice = filter(once.get().as_bytes(), None).unwrap();
        assert_eq!(once.get(), twice.get());
    }
}
