//! What asking the account's service came to: the line between the child that asks and the daemon that started it.
//!
//! As JSON, `{"limits":[…]}` or `{"failed":{"problem":"…","message":"…"}}`. Both ends are the same program (on macOS until
//! it is replaced: then a line that is not understood is a fetch that failed), so nothing of it is for others to rely on.
//! Made by [`crate::agents::claude_code::limits`], read by the daemon, judged by the core. No IO.

use serde::{Deserialize, Serialize};

use crate::protocol::UsageState;

/// One window of the account's, as a source tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// The service's name for it: `five_hour`, `seven_day`, or that of one model's.
    pub name: Box<str>,
    /// How much of it is used, in percent.
    pub used_percent: f64,
    /// When it begins anew, in ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<u64>,
}

/// What a fetch came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fetched {
    /// Every window of the account's.
    Limits(Vec<Limit>),
    /// None, and why.
    Failed(Failure),
}

/// Why a fetch has told nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What went wrong.
    pub problem: Problem,
    /// The same for a person, and what to do about it: one line, without anything secret.
    pub message: Box<str>,
    /// How long the service wants to be left alone, in ms from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure after which the next fetch comes as usual.
    pub fn new(problem: Problem, message: impl Into<Box<str>>) -> Self {
        Self {
            problem,
            message: message.into(),
            retry_after_ms: None,
        }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// Nobody has logged in here.
    NoCredentials,
    /// The credentials are there and cannot be read.
    CredentialsUnreadable,
    /// Their time is over; the agent renews them when it runs.
    CredentialsExpired,
    /// The service does not take them (401).
    CredentialsRefused,
    /// The service takes them, but not for this (403): a token of `claude setup-token` lacks the scope.
    ScopeMissing,
    /// The service was asked too often (429).
    RateLimited,
    /// The service cannot be reached.
    Network,
    /// The service has a fault of its own (5xx).
    ServerError,
    /// The service answered something else.
    UnexpectedAnswer,
    /// No answer within the time that a fetch has.
    TimedOut,
    /// The child could not be started, or has not said what came of it.
    FetchFailed,
}

impl Problem {
    /// The word on the wire.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoCredentials => "no_credentials",
            Self::CredentialsUnreadable => "credentials_unreadable",
            Self::CredentialsExpired => "credentials_expired",
            Self::CredentialsRefused => "credentials_refused",
            Self::ScopeMissing => "scope_missing",
            Self::RateLimited => "rate_limited",
            Self::Network => "network",
            Self::ServerError => "server_error",
            Self::UnexpectedAnswer => "unexpected_answer",
            Self::TimedOut => "timed_out",
            Self::FetchFailed => "fetch_failed",
        }
    }

    /// The state that it puts the limits in.
    pub(crate) const fn state(self) -> UsageState {
        match self {
            Self::NoCredentials
            | Self::CredentialsUnreadable
            | Self::CredentialsExpired
            | Self::CredentialsRefused
            | Self::ScopeMissing => UsageState::Unauthorized,
            Self::RateLimited => UsageState::RateLimited,
            Self::Network
            | Self::ServerError
            | Self::UnexpectedAnswer
            | Self::TimedOut
            | Self::FetchFailed => UsageState::Unavailable,
        }
    }
}
