//! Why a turn failed, for people: the words by which several agents' hooks name it.

use crate::protocol::{TEXT_LIMIT, one_line};

/// The message for people about the `error` of a `StopFailure`.
pub(super) fn turn_failure(error: Option<&str>) -> Box<str> {
    match error {
        Some("rate_limit") => "rate limited".into(),
        Some("overloaded") => "the service is overloaded".into(),
        Some("authentication_failed") => "authentication failed".into(),
        Some("oauth_org_not_allowed") => "organisation not allowed".into(),
        Some("billing_error") => "billing error".into(),
        Some("invalid_request") => "invalid request".into(),
        Some("model_not_found") => "model not found".into(),
        Some("server_error") => "the service failed".into(),
        Some("max_output_tokens") => "output limit reached".into(),
        Some("loop_detected") => "the model repeats itself".into(),
        None | Some("" | "unknown") => "the turn failed".into(),
        Some(other) => one_line(other, TEXT_LIMIT).into(),
    }
}
