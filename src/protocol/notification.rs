//! What the daemon pushes: the snapshot that `subscribe` answers with, and the notifications that follow it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::limits::{Usage, UsageChanged, UsageWindow};
use super::session::{Evidence, SessionRecord, Transition};
use super::words::words;

/// The result of `subscribe`: everything there is, as of `seq`, or what has changed since the number that the client
/// named. What comes after carries higher numbers.
pub type Snapshot<'a> = SnapshotOf<'a, Vec<SessionRecord<'a>>, Vec<Notice<'a>>, Usage<'a>>;

/// A [`Snapshot`] of any types that serialise like those: the daemon writes records without collecting them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(
    deserialize = "S: Deserialize<'de>, N: Default + Deserialize<'de>, U: Deserialize<'de>"
))]
pub struct SnapshotOf<'a, S, N, U> {
    /// The number of the last notification that this snapshot already holds.
    pub seq: u64,
    /// Which state the numbers belong to, as [`HelloResult::epoch`](super::HelloResult::epoch); absent: the daemon is
    /// older than that, and answers no [`Since`](super::Since).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Only what has changed after the [`Since`](super::Since) of the request; absent: everything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// Every session, closed ones too; if `partial`, those that are new or have changed.
    pub sessions: S,
    /// Only if `partial`: the keys of the sessions removed since, among them perhaps some that the client never had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Cow<'a, str>>,
    /// The daemon's last notices, oldest first; at most [`NOTICES_KEPT`](super::NOTICES_KEPT).
    #[serde(default)]
    pub notices: N,
    /// The account's limits; absent: nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<U>,
}

words! {
    /// What a notice is about.
    pub enum NoticeCode {
        /// The configuration was read again.
        ConfigLoaded = "config_loaded",
        /// The configuration was refused; the old one stays.
        ConfigRefused = "config_refused",
        /// A change of the configuration takes effect after a restart.
        RestartNeeded = "restart_needed",
        /// A hook sent an event that could not be read.
        PayloadUnreadable = "payload_unreadable",
        /// Lines of the log were lost.
        LogFailed = "log_failed",
        /// The saved state could not be read in full, or the state cannot be saved.
        StateFailed = "state_failed",
        /// No connection can be accepted until one ends.
        ConnectionsFull = "connections_full",
        /// No client finds the daemon: the socket's file or its lock was removed or replaced, and cannot be had again.
        SocketLost = "socket_lost",
        /// They were removed or replaced, and the daemon listens at the path again.
        SocketRestored = "socket_restored",
        /// As many sessions are remembered as may be.
        SessionsFull = "sessions_full",
        /// A window of the account's limits has reached a threshold, or was reset after that.
        UsageCrossed = "usage_crossed",
    }
}

/// Something that a person should know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice<'a> {
    /// When it happened.
    pub at: u64,
    /// What it is about.
    pub code: NoticeCode,
    /// One line for a person.
    pub message: Cow<'a, str>,
    /// Only with `usage_crossed`: the window that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<UsageWindow<'a>>,
}

words! {
    /// Why the daemon leaves.
    pub enum StopReason {
        /// A client sent `daemon.stop`: clients that reconnect by themselves should not.
        Stop = "stop",
        /// SIGTERM or SIGINT: the service manager's stop or restart, or Ctrl-C.
        Signal = "signal",
        /// It was not needed for the configured time.
        Idle = "idle",
    }
}

/// The parameters of `session.changed`: a session is new or has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionChanged<'a> {
    /// This notification's number.
    pub seq: u64,
    /// The session, as it is now: a value, not an edge. All of it, unless [`added`](Self::added) is there.
    pub session: SessionRecord<'a>,
    /// Only for a subscriber that wants brief changes: `session` has an empty history and no evidence, and this has what the
    /// client adds to those that it knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<Added<'a>>,
}

/// What a change has added to the lists of a session's record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Added<'a> {
    /// Transitions that follow those known, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Transition>,
    /// How many transitions the history has now: where it is longer, the oldest go.
    pub history_length: usize,
    /// Observations, each in the place of the one of its kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence<'a>>,
}

/// The parameters of `session.removed`: a session is no longer remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRemoved<'a> {
    /// This notification's number.
    pub seq: u64,
    /// The key it had.
    pub key: Cow<'a, str>,
}

/// The parameters of `daemon.notice`: something that a person should know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DaemonNotice<'a> {
    /// This notification's number.
    pub seq: u64,
    /// What it is.
    #[serde(flatten)]
    pub notice: Notice<'a>,
}

/// The parameters of `daemon.stopping`: the daemon's last message, to every client, subscribed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonStopping {
    /// This notification's number.
    pub seq: u64,
    /// Why.
    pub reason: StopReason,
}

/// What the daemon pushes. Each carries `seq`, rising by one from one notification to the next.
#[derive(Debug, Clone, PartialEq)]
pub enum Notification<'a> {
    /// `session.changed`
    SessionChanged(Box<SessionChanged<'a>>),
    /// `session.removed`
    SessionRemoved(SessionRemoved<'a>),
    /// `usage.changed`
    UsageChanged(UsageChanged<'a>),
    /// `daemon.notice`
    DaemonNotice(DaemonNotice<'a>),
    /// `daemon.stopping`
    DaemonStopping(DaemonStopping),
}

impl Notification<'_> {
    /// Its number.
    #[must_use]
    pub fn seq(&self) -> u64 {
        match self {
            Self::SessionChanged(changed) => changed.seq,
            Self::SessionRemoved(removed) => removed.seq,
            Self::UsageChanged(changed) => changed.seq,
            Self::DaemonNotice(notice) => notice.seq,
            Self::DaemonStopping(stopping) => stopping.seq,
        }
    }
}
