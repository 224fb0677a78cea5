//! Requests: the parameters that clients send with each method, and the results.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::session::{EvidenceStep, SessionRecord, Status, Terminal, WaitingFor};
use super::words::words;

/// The parameters of `session.report`: an agent's hook process reports one event.
///
/// `acd hook` sends it as a notification. Members of a wrong type refuse the whole report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportParams<'a> {
    /// Which agent: a name of [`crate::agents::ALL`]. At most [`NAME_LIMIT`](super::NAME_LIMIT) characters.
    #[serde(borrow)]
    pub agent: Cow<'a, str>,
    /// When the event happened, by the hook's clock, in ms since the epoch. Events are ordered by it.
    pub at: u64,
    /// The agent's process id, in the hook's pid namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// When that process started, in the kernel's own unit, as [`SessionRecord::process_start`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_start: Option<u64>,
    /// The inode of the hook's pid namespace (`pid_namespaces(7)`); absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_namespace: Option<u64>,
    /// Whether a person sits at the session; absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attended: Option<bool>,
    /// Whether the process runs the conversations of several terminals, so that the event's session id identifies the
    /// session; absent: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<bool>,
    /// Where a person finds the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<Box<Terminal>>,
    /// The agent's configuration directory, an absolute path of at most 4096 bytes.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub config_dir: Option<Cow<'a, str>>,
    /// The agent's own event, cut down to the fields that may leave its process; absent if it could not be read.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub event: Option<&'a RawValue>,
}

/// The parameters of `session.set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetParams {
    /// A key, a session id (also a former one), or a unique prefix of either of at least
    /// [`SET_PREFIX`](super::SET_PREFIX) characters, which matches only open sessions that an agent has reported, and of
    /// a key is longer than the agent's name and the hyphen; a name that is none of these creates a session of that key.
    pub session: String,
    /// Which agent; a new session without one is of agent `script`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// What it is doing.
    pub status: Status,
    /// Only with `waiting`; `dialog` if left out there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<WaitingFor>,
    /// One line for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the session is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The process whose death closes the session, in the daemon's pid namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

/// The parameters of `hello`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HelloParams {
    /// The client's name.
    pub client: Option<String>,
    /// The client's version.
    pub version: Option<String>,
}

/// The parameters of `session.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListParams {
    /// Closed sessions too.
    pub include_closed: bool,
    /// Each session's history and evidence too; otherwise both are empty.
    pub include_history: bool,
}

impl Default for ListParams {
    fn default() -> Self {
        Self {
            include_closed: false,
            include_history: true,
        }
    }
}

/// The parameters of `session.get`, `session.explain`, `session.seen` and `session.remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionParams {
    /// A key, a session id (also a former one), or a unique prefix of a key or id.
    pub session: String,
}

/// How far a client's copy goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// The snapshot's [`epoch`](super::SnapshotOf::epoch).
    pub epoch: u64,
    /// The number of the last notification that the copy holds, or the snapshot's if none came after it.
    pub seq: u64,
}

words! {
    /// What a notification that a session has changed has of it.
    #[derive(Default)]
    pub closed enum Changes {
        /// The whole record.
        #[default]
        Whole = "whole",
        /// The record with an empty history and without evidence, and what this change has added to both.
        Brief = "brief",
    }
}

/// The parameters of `subscribe`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SubscribeParams {
    /// What the client has already: the snapshot leaves it out, if the daemon can tell what has changed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
    /// What each `session.changed` has. It holds for the connection: a second `subscribe` cannot change it.
    #[serde(skip_serializing_if = "is_whole")]
    pub changes: Changes,
}

/// The default, which a daemon that knows no other takes for granted.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_whole(changes: &Changes) -> bool {
    *changes == Changes::Whole
}

/// The parameters of `daemon.stop`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StopParams {
    /// Leave at once: no client is notified, nothing is flushed.
    pub force: bool,
}

words! {
    /// Where the daemon's listening socket came from.
    pub enum Origin {
        /// systemd passed it.
        Systemd = "systemd",
        /// launchd passed it.
        Launchd = "launchd",
        /// The daemon bound it itself.
        SelfBound = "self-bound",
    }
}

/// The result of `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloResult<'a> {
    /// [`VERSION`](super::VERSION).
    pub protocol: u32,
    /// The daemon's version.
    pub version: Cow<'a, str>,
    /// The daemon's process id.
    pub pid: u32,
    /// Where the socket came from.
    pub origin: Origin,
    /// Which state the daemon has, a random number below 2^53: the numbers of notifications can be compared if it is the
    /// same. Absent: the daemon is older than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
}

/// The result of `session.list`.
pub type ListResult<'a> = ListOf<Vec<SessionRecord<'a>>>;

/// A [`ListResult`] of any sequence of [`SessionRecord`]s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListOf<S> {
    /// By start, oldest first.
    pub sessions: S,
}

/// The result of `session.count`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountResult<'a> {
    /// By agent and status; closed sessions are in none.
    pub groups: Vec<SessionGroup<'a>>,
}

/// How many sessions of one agent have these values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionGroup<'a> {
    /// As [`SessionRecord::agent`].
    pub agent: Cow<'a, str>,
    /// As [`SessionRecord::status`].
    pub status: Status,
    /// As [`SessionRecord::attention`].
    #[serde(default)]
    pub attention: bool,
    /// Whether [`SessionRecord::stopped_since`] is there.
    #[serde(default)]
    pub stopped: bool,
    /// How many; at least 1.
    pub count: u32,
}

/// The result of `session.get` and `session.set`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionResult<'a> {
    /// The session as it is now.
    pub session: SessionRecord<'a>,
}

/// The result of `session.explain`: the status and what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExplainResult<'a> {
    /// The session as it is now.
    pub session: SessionRecord<'a>,
    /// The evidence, oldest first by its own time; the last pieces only, but always the one that decided.
    pub steps: Vec<EvidenceStep<'a>>,
}

/// The result of `session.remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveResult<'a> {
    /// The key of the session that was removed.
    pub removed: Cow<'a, str>,
}

/// How many sessions are in each status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// `working`
    pub working: u32,
    /// `waiting`
    pub waiting: u32,
    /// `idle`
    pub idle: u32,
    /// `error`
    pub error: u32,
    /// `closed` and still remembered
    pub closed: u32,
}

/// The result of `daemon.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusResult<'a> {
    /// The daemon's process id.
    pub pid: u32,
    /// The daemon's version.
    pub version: Cow<'a, str>,
    /// [`VERSION`](super::VERSION).
    pub protocol: u32,
    /// Where the socket came from.
    pub origin: Origin,
    /// The socket's path.
    pub socket: Cow<'a, str>,
    /// How long the daemon has run.
    pub uptime_ms: u64,
    /// How many sessions are in each status.
    pub sessions: Counts,
    /// How many clients are subscribed.
    pub dashboards: u32,
    /// The number of the last notification.
    pub seq: u64,
    /// How many events from hooks it has received.
    pub reports: u64,
    /// How many of an agent's events and registry statuses it did not know: more than a few mean that the agent is
    /// newer than this daemon.
    #[serde(default)]
    pub unknown_events: u64,
    /// The daemon's resident memory in bytes, where the system has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rss_bytes: Option<u64>,
    /// After how long without dashboards and live sessions it leaves; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u64>,
}

/// The result of `daemon.stop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopResult {
    /// How many dashboards were connected.
    pub dashboards: u32,
}

/// The result of `daemon.reload`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadResult {
    /// Always true: a configuration that was refused is an error.
    pub reloaded: bool,
}

/// The result of a `session.report` that had an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportResult {
    /// Always true: what the daemon could not read is an error.
    pub accepted: bool,
}
