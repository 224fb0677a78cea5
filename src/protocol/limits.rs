//! The limits of accounts, as messages of the protocol. Used by the core and by clients; knows no rule of theirs.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::words::words;

words! {
    /// How the account's limits are known.
    pub enum UsageState {
        /// Fresh.
        Ok = "ok",
        /// The last good value, and old.
        Stale = "stale",
        /// The service cannot be asked, or does not answer as it should.
        Unavailable = "unavailable",
        /// There are no credentials that the service takes for this.
        Unauthorized = "unauthorized",
        /// The service was asked too often; no fetch until `retry_at`.
        RateLimited = "rate_limited",
    }
}

words! {
    /// Where the limits come from.
    pub enum UsageSource {
        /// An agent's status line.
        StatusLine = "status_line",
        /// A file in which an agent writes a session.
        SessionFile = "session_file",
        /// The account's service, asked by the daemon.
        Service = "service",
    }
}

/// One window of the account's limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageWindow<'a> {
    /// The service's name for it: `five_hour`, `seven_day`, `seven_day_sonnet`, ….
    pub name: Cow<'a, str>,
    /// The agent whose account it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Cow<'a, str>>,
    /// The account: [`AccountUsage::account`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Cow<'a, str>>,
    /// How much of it is used, in percent; may be above 100.
    pub used_percent: f64,
    /// When the next window begins, in ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<u64>,
    /// How long it is, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_ms: Option<u64>,
    /// Percent used minus percent of the window elapsed, when the figure came in: above 0, the window will not last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<f64>,
    /// Where the figure comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<UsageSource>,
    /// When it came in, in ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_at: Option<u64>,
}

impl UsageWindow<'_> {
    /// How far it has run at `now`, in percent; `None` if its times are not known, or it is over.
    #[must_use]
    pub fn elapsed_percent(&self, now: u64) -> Option<f64> {
        let length = self.length_ms.filter(|length| *length > 0)?;
        let left = self.resets_at?.checked_sub(now)?.min(length);
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        let elapsed = (length - left) as f64 * 100.0 / length as f64;
        Some(elapsed)
    }

    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> UsageWindow<'static> {
        UsageWindow {
            name: owned(self.name),
            agent: self.agent.map(owned),
            account: self.account.map(owned),
            ..self
        }
    }

    /// True if nothing differs that a person would notice.
    fn says_the_same(&self, other: &UsageWindow<'_>) -> bool {
        let figures = |window: &UsageWindow<'_>| (window.used_percent, window.resets_at);
        self.name == other.name && self.account == other.account && figures(self) == figures(other)
    }
}

/// The limits of one account, as far as is known; and of every other account, in [`accounts`](Self::accounts).
///
/// The one account is that of the daemon's own configuration directory, or, where no figures of it are known, the first
/// of which some are. So a client that knows nothing of several accounts shows true figures of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Usage<'a> {
    /// How they are known.
    #[serde(default)]
    pub state: UsageState,
    /// The windows, as last known, in any state; empty: none are known.
    #[serde(default)]
    pub windows: Vec<UsageWindow<'a>>,
    /// Where the newest of them comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<UsageSource>,
    /// When it came in, in ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_at: Option<u64>,
    /// Why the last fetch failed, if it did: `no_credentials`, `credentials_unreadable`, `credentials_expired`,
    /// `credentials_refused`, `scope_missing`, `rate_limited`, `network`, `server_error`, `unexpected_answer`,
    /// `timed_out`, `fetch_failed`; or `disabled`: they are switched off. Set also where the agent has reported
    /// since the failure, so that the state is `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Cow<'a, str>>,
    /// The same for a person, and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Cow<'a, str>>,
    /// When the service may be asked again, in ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<u64>,
    /// Every account of which something is known, also the one above. Left out within itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<AccountUsage<'a>>,
}

/// The limits of one of several accounts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountUsage<'a> {
    /// Its name, made of its configuration directory's: `work` for `~/.agent-work`, `default` for the default one; of
    /// several directories with one login, the first that was seen. Never made of the login.
    pub account: Cow<'a, str>,
    /// The agent that it is an account of.
    pub agent: Cow<'a, str>,
    /// Its limits.
    #[serde(flatten)]
    pub usage: Usage<'a>,
}

impl AccountUsage<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> AccountUsage<'static> {
        AccountUsage {
            account: owned(self.account),
            agent: owned(self.agent),
            usage: self.usage.into_owned(),
        }
    }

    fn says_the_same(&self, other: &AccountUsage<'_>) -> bool {
        self.account == other.account
            && self.agent == other.agent
            && self.usage.says_the_same(&other.usage)
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

impl Usage<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> Usage<'static> {
        Usage {
            windows: self
                .windows
                .into_iter()
                .map(UsageWindow::into_owned)
                .collect(),
            code: self.code.map(owned),
            message: self.message.map(owned),
            accounts: self
                .accounts
                .into_iter()
                .map(AccountUsage::into_owned)
                .collect(),
            ..self
        }
    }

    /// True if only its age and its source differ.
    #[must_use]
    pub fn says_the_same(&self, other: &Usage<'_>) -> bool {
        let mut windows = self.windows.iter().zip(&other.windows);
        let mut accounts = self.accounts.iter().zip(&other.accounts);
        self.state == other.state
            && self.message == other.message
            && self.retry_at == other.retry_at
            && self.windows.len() == other.windows.len()
            && windows.all(|(this, that)| this.says_the_same(that))
            && self.accounts.len() == other.accounts.len()
            && accounts.all(|(this, that)| this.says_the_same(that))
    }
}

/// The result of `usage.get` and `usage.refresh`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageResult<'a> {
    /// What is known; absent: nothing yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage<'a>>,
}

/// The parameters of `usage.changed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageChanged<'a> {
    /// This notification's number.
    pub seq: u64,
    /// All of it, as it is now.
    pub usage: Usage<'a>,
}
