//! Accounts, an account's limits as their sources state them, and the line between the child that fetches them and the daemon.
//!
//! The line is JSON, `{"limits":[…]}` or `{"failed":{"problem":"…","message":"…"}}`. Both ends are of one version: no
//! other program may rely on it, and a line that is not understood is a failed fetch.
//! Made by an agent's `limits`, read by the daemon, judged by the core. No IO.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};

use crate::protocol::words::words;
use crate::protocol::{NAME_LIMIT, UsageState, one_line};

/// One window of the account's, as a source states it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// The service's name for it, such as `five_hour`: a [`plain_name`].
    #[serde(deserialize_with = "deserialize_plain_name")]
    pub name: Box<str>,
    /// For people, in a sentence: `5 h limit`, `7 d limit for opus`; a [`plain_name`] too.
    #[serde(deserialize_with = "deserialize_plain_name")]
    pub title: Box<str>,
    /// How much of it is used, in percent.
    pub used_percent: f64,
    /// When the next window begins, in ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<u64>,
    /// How long the window is, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_ms: Option<u64>,
}

/// A name as a source states it, cut at [`NAME_LIMIT`] characters: letters and digits of ASCII, blanks and `_-.`, which no
/// status bar, markup or shell interprets; `_` stands for any other character.
#[must_use]
pub(crate) fn plain_name(name: &str) -> Box<str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " _-.".contains(c);
    let name = one_line(name, NAME_LIMIT);
    let plain = name.chars().map(|c| if is_plain(c) { c } else { '_' });
    plain.collect::<String>().into()
}

fn deserialize_plain_name<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Box<str>, D::Error> {
    let name = Cow::<str>::deserialize(deserializer)?;
    Ok(plain_name(&name))
}

/// How much later than its length allows a window may end, in ms: this machine's clock may be wrong by days.
const CLOCK_TOLERANCE_MS: u64 = 3 * 24 * 3_600_000;

/// The longest window that is believed where its length is not known, in ms: a year.
const LONGEST_MS: u64 = 366 * 24 * 3_600_000;

impl Limit {
    /// Whether there can be such a window at `now`, in ms since the epoch: it ends within its length. Any other is an
    /// error of its source and must not stand in the way of a true one, which would end earlier.
    #[must_use]
    pub fn is_possible(&self, now: u64) -> bool {
        let length = self.length_ms.unwrap_or(LONGEST_MS);
        let latest = now
            .saturating_add(length)
            .saturating_add(CLOCK_TOLERANCE_MS);
        self.used_percent.is_finite() && self.resets_at.is_none_or(|at| at <= latest)
    }
}

/// Whose limits a session draws on: a configuration directory of an agent, and the login in it. Which directory has
/// which login is the shell's to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    /// The agent.
    pub agent: Box<str>,
    /// For people, such as `work`: the name of no other directory. At most [`NAME_LIMIT`]
    /// characters.
    pub name: Box<str>,
    /// The configuration directory, symbolic links resolved.
    pub directory: Box<str>,
    /// The pid namespace of the processes that see the directory; `None`: the daemon's own. A path of another one may
    /// lead elsewhere.
    pub namespace: Option<u64>,
    /// The login in it; `None`: not known.
    pub login: Option<Login>,
    /// True for the directory of the daemon's own environment.
    pub is_default: bool,
    /// Whether its service can be asked; otherwise only the agent reports its limits.
    pub is_fetched: bool,
}

impl Account {
    /// True if both are the same directory, whatever the login in it.
    pub(crate) fn is_same_directory(&self, other: &Self) -> bool {
        self.agent == other.agent
            && self.namespace == other.namespace
            && self.directory == other.directory
    }

    /// True if both are known to have the same login.
    pub(crate) fn is_same_login(&self, other: &Self) -> bool {
        self.agent == other.agent && self.login.is_some() && self.login == other.login
    }
}

/// A login, as a number that is the same for the same person and organization, and says nothing of either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login(pub(crate) u64);

/// The outcome of a fetch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FetchOutcome {
    /// Every window of the account's.
    Limits(Vec<Limit>),
    /// The fetch failed.
    Failed(FetchFailure),
}

/// Why a fetch failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FetchFailure {
    /// What went wrong.
    pub problem: FetchProblem,
    /// The same for a person, with what to do about it: one line, without secrets.
    pub message: Box<str>,
    /// How long to wait before the next request (`Retry-After`), in ms from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl FetchFailure {
    /// A failure that does not delay the next fetch.
    pub(crate) fn new(problem: FetchProblem, message: impl Into<Box<str>>) -> Self {
        Self {
            problem,
            message: message.into(),
            retry_after_ms: None,
        }
    }
}

words! {
    /// Why a fetch failed; [`as_str`](Self::as_str) is its word on the wire.
    pub(crate) closed enum FetchProblem {
        /// There are no credentials: no login here.
        NoCredentials = "no_credentials",
        /// The credentials are there and cannot be read.
        CredentialsUnreadable = "credentials_unreadable",
        /// The credentials have expired; the agent renews them when it runs.
        CredentialsExpired = "credentials_expired",
        /// The service refuses the credentials (401).
        CredentialsRefused = "credentials_refused",
        /// The credentials are valid, but not for this request (403): the token lacks the scope.
        ScopeMissing = "scope_missing",
        /// The service was asked too often (429).
        RateLimited = "rate_limited",
        /// The service cannot be reached.
        Network = "network",
        /// The service failed (5xx).
        ServerError = "server_error",
        /// The service answered something else.
        UnexpectedAnswer = "unexpected_answer",
        /// No answer within the time that a fetch has.
        TimedOut = "timed_out",
        /// The child could not be started, or ended without an outcome.
        FetchFailed = "fetch_failed",
    }
}

impl FetchProblem {
    /// The state of the limits after it.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A bar would take parts of these for orders: tmux, polybar, Pango, sketchybar's arguments, a shell.
    #[test]
    fn a_windows_name_holds_nothing_that_a_bar_interprets() {
        let hostile = "x#[bg=red]#(touch p)%{A1:t:}\"'<b>&;\\$`\u{9b}\u{202e}\n日";
        let limit = serde_json::json!({"name": hostile, "title": hostile, "used_percent": 97});
        let line = serde_json::json!({"limits": [limit]}).to_string();
        let FetchOutcome::Limits(limits) = serde_json::from_str(&line).unwrap() else {
            panic!("no limits");
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || " _-.".contains(c);
        for name in [&limits[0].name, &limits[0].title] {
            assert!(
                name.starts_with('x') && name.chars().all(is_plain),
                "{name}"
            );
        }
        assert_eq!(
            &*plain_name("seven_day_GPT-5.3 Spark"),
            "seven_day_GPT-5.3 Spark"
        );
        assert_eq!(plain_name(&"n".repeat(10_000)).chars().count(), NAME_LIMIT);
    }
}
