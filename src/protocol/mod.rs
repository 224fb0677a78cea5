//! The protocol, version 1: the messages between the daemon and its clients. This file is the specification;
//! `docs/protocol.md` shows the same as dialogues, each of which is a test.
//!
//! **Framing.** JSON-RPC 2.0 (<https://www.jsonrpc.org/specification>), one message a line, ended by `\n`, UTF-8,
//! over a Unix stream socket. JSON text has no raw line feed inside strings, so a line is always a whole message.
//! Batches are refused. A client's line is at most [`MAX_LINE`] bytes; the daemon's may be longer (a snapshot of
//! many sessions).
//!
//! **Requests** carry an `id` (a string or a number, echoed as it was written) and get exactly one response.
//! Without an `id` a request is a notification and gets none, whatever becomes of it. What is no request at all is
//! answered with an error whose id is the message's, or `null` if it has none that could be read.
//!
//! **Compatibility.** Unknown fields are ignored on both sides. Where the daemon sends a word from a fixed set, a
//! client takes one it doesn't know as `unknown`. Within version 1 nothing is renamed or removed.
//!
//! **Times** are milliseconds since the Unix epoch. **Text** in a session is cut at [`TEXT_LIMIT`] characters.
//!
//! Used by the codec, the core and the clients. Knows nothing of sockets or rules.

mod limits;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use self::limits::{Usage, UsageChanged, UsageResult, UsageSource, UsageState, UsageWindow};

/// The protocol's version, as `hello` tells it. A change that an old client can't live with makes it 2.
pub const VERSION: u32 = 1;

/// The longest line that the daemon reads, in bytes, line feed included. A longer one is answered with
/// [`ErrorCode::LineTooLong`] and the connection is closed. The hook keeps its own line below it.
pub const MAX_LINE: usize = 64 * 1024;

/// The most characters kept of `reason`, `title` and the like: what one row of a dashboard can show.
pub const TEXT_LIMIT: usize = 120;

/// The most characters of a session id or an agent's name.
pub const NAME_LIMIT: usize = 128;

/// The most characters of a key: one that is made of an agent's name and a session id must be typable.
pub const KEY_LIMIT: usize = 2 * NAME_LIMIT + 1;

/// How many notices are kept: the daemon's last few for dashboards that connect later, and a client's copy of them.
pub const NOTICES_KEPT: usize = 8;

/// What an agent is doing, as far as the evidence goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A turn runs; nobody needs to do anything.
    Working,
    /// It stands still until a person answers; `waiting_for` says what for.
    Waiting,
    /// No turn runs.
    Idle,
    /// The last turn ended in a failure (the model's service, not a tool).
    Error,
    /// The session is over.
    Closed,
    /// A word that a newer daemon uses and this client doesn't know. Never sent, refused in `session.set`.
    #[serde(other)]
    Unknown,
}

impl Status {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Waiting => "waiting",
            Self::Idle => "idle",
            Self::Error => "error",
            Self::Closed => "closed",
            Self::Unknown => "unknown",
        }
    }
}

/// What a waiting session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WaitingFor {
    /// Leave to run a tool.
    Permission,
    /// The answer to a question.
    Answer,
    /// A plan's approval.
    Plan,
    /// Any other dialog that holds the agent up.
    Dialog,
    /// A word that a newer daemon uses and this client doesn't know.
    #[serde(other)]
    Unknown,
}

impl WaitingFor {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permission => "permission",
            Self::Answer => "answer",
            Self::Plan => "plan",
            Self::Dialog => "dialog",
            Self::Unknown => "unknown",
        }
    }
}

/// Where a piece of evidence came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvidenceKind {
    /// A hook that the agent ran.
    Hook,
    /// The agent's own registry of sessions.
    Registry,
    /// The process table.
    Process,
    /// A person's or script's `session.set`.
    Report,
    /// A kind that this client doesn't know.
    #[serde(other)]
    Unknown,
}

impl EvidenceKind {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hook => "hook",
            Self::Registry => "registry",
            Self::Process => "process",
            Self::Report => "report",
            Self::Unknown => "unknown",
        }
    }
}

/// The last word of one kind of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence<'a> {
    /// Where it came from.
    pub kind: EvidenceKind,
    /// When it happened, by the clock of whoever saw it.
    pub at: u64,
    /// What was seen: a hook event's name, a registry status, `exited`, a reported status.
    pub what: Cow<'a, str>,
}

/// One piece of the evidence behind a status, as `session.explain` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceStep<'a> {
    /// When it happened, by the clock of whoever saw it.
    pub at: u64,
    /// Where it came from.
    pub kind: EvidenceKind,
    /// What was seen: a hook event's name, a registry status, `exited`, a reported status.
    pub what: Cow<'a, str>,
    /// The name of the rule that took it in, such as `interrupted`. More may come within version 1.
    pub rule: Cow<'a, str>,
    /// The rule as a sentence for a person.
    pub meaning: Cow<'a, str>,
    /// What the session came to by it.
    pub status: Status,
    /// Only with `waiting`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<WaitingFor>,
    /// Whether the status that the session has now goes back to it.
    #[serde(default)]
    pub decided: bool,
}

/// One entry of a session's history: from `at` on it was in `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The status that began.
    pub status: Status,
    /// When it began.
    pub at: u64,
}

/// Where a person finds the session, as far as the hook's environment tells. Every field may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terminal {
    /// The agent's controlling terminal, such as `/dev/pts/3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tty: Option<Box<str>>,
    /// `$TERM_PROGRAM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub term_program: Option<Box<str>>,
    /// The tmux server's socket, from `$TMUX`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmux: Option<Box<str>>,
    /// `$TMUX_PANE`, such as `%3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmux_pane: Option<Box<str>>,
    /// `$ZELLIJ_SESSION_NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zellij_session: Option<Box<str>>,
    /// `$ZELLIJ_PANE_ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zellij_pane: Option<Box<str>>,
    /// `$WEZTERM_PANE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wezterm_pane: Option<Box<str>>,
    /// `$KITTY_WINDOW_ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kitty_window: Option<Box<str>>,
    /// `$ITERM_SESSION_ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iterm_session: Option<Box<str>>,
}

/// A session as the daemon tells it: all of it, as it is now. Fields that are not known are left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionRecord<'a> {
    /// The name that never changes while the process lives.
    pub key: Cow<'a, str>,
    /// Which agent: `claude-code`, or any name that a script reports.
    pub agent: Cow<'a, str>,
    /// The agent's own id of the conversation; may change under the same key (after `/clear`, say).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Cow<'a, str>>,
    /// Ids that this key had before, oldest first, the last few only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previous_session_ids: Vec<Cow<'a, str>>,
    /// What it is doing.
    pub status: Status,
    /// Only with `waiting`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<WaitingFor>,
    /// Whether a person should look: it waits, it failed, or it has finished a turn since a person last typed.
    #[serde(default)]
    pub attention: bool,
    /// Since when the status holds.
    pub since: u64,
    /// One line for a person: `Bash: cargo test`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
    /// What the session is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Cow<'a, str>>,
    /// Its working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Cow<'a, str>>,
    /// The agent's process id, in the pid namespace of the one who reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// When that process started, in the kernel's own unit (Linux: clock ticks since boot; macOS: µs since the
    /// epoch): with the pid it names a process for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_start: Option<u64>,
    /// Where a person finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<Cow<'a, Terminal>>,
    /// The agent's own word for what it may do unasked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_mode: Option<Cow<'a, str>>,
    /// The model it talks to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Cow<'a, str>>,
    /// How full the model's context is, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_percent: Option<f32>,
    /// What the session has cost so far, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// Subagents that run.
    #[serde(default)]
    pub subagents: u32,
    /// Background shells that run.
    #[serde(default)]
    pub background: u32,
    /// The last transitions, oldest first; `history` in the configuration says how many.
    #[serde(default)]
    pub history: Vec<Transition>,
    /// The last word of each kind of evidence.
    #[serde(default)]
    pub evidence: Vec<Evidence<'a>>,
    /// When the daemon first heard of it, or the agent says it began.
    pub started_at: u64,
    /// When it was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    /// Why it was closed: the agent's own word, `crashed` (its process is gone and it said nothing), `exited` (its
    /// process is gone and it had signed off in its registry only), `stale` (no
    /// report for a day and no process to watch), `reported`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<Cow<'a, str>>,
}

/// The parameters of `session.set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetParams {
    /// A key, a session id (also a former one), or a unique prefix of either of at least
    /// [`SET_PREFIX`](crate::core::SET_PREFIX) characters, which stands only for a session that an agent's hooks have
    /// told of; a name that is none of these creates a session of that key.
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListParams {
    /// Closed sessions too.
    pub include_closed: bool,
}

/// The parameters of `session.get`, `session.explain` and `session.remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionParams {
    /// A key, a session id (also a former one), or a unique prefix of a key or id.
    pub session: String,
}

/// The parameters of `daemon.stop`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StopParams {
    /// Leave at once: nobody is told, nothing is flushed.
    pub force: bool,
}

/// The result of `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloResult<'a> {
    /// [`VERSION`].
    pub protocol: u32,
    /// The daemon's version.
    pub version: Cow<'a, str>,
    /// The daemon's process id.
    pub pid: u32,
    /// Where the socket came from: `systemd`, `launchd` or `self-bound`.
    pub origin: Cow<'a, str>,
}

/// The result of `session.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListResult<'a> {
    /// By start, oldest first.
    pub sessions: Vec<SessionRecord<'a>>,
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

/// The result of `subscribe`: everything there is, as of `seq`. What comes after carries higher numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot<'a> {
    /// The number of the last notification that this snapshot already holds.
    pub seq: u64,
    /// Every session, closed ones too.
    pub sessions: Vec<SessionRecord<'a>>,
    /// What the daemon has had to say lately.
    #[serde(default)]
    pub notices: Vec<Notice<'a>>,
    /// The account's limits; absent: nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage<'a>>,
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
    /// [`VERSION`].
    pub protocol: u32,
    /// Where the socket came from: `systemd`, `launchd` or `self-bound`.
    pub origin: Cow<'a, str>,
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
    /// How many reports from hooks it has taken in.
    pub reports: u64,
    /// How many of an agent's events and registry words it did not know: more than a few say that the agent is newer
    /// than this daemon.
    #[serde(default)]
    pub unknown_events: u64,
    /// The daemon's resident memory in bytes, where the system tells.
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

/// Something that a person should know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice<'a> {
    /// When it happened.
    pub at: u64,
    /// What kind: `config_refused`, `config_loaded`, `restart_needed`, `payload_unreadable`, `log_failed`,
    /// `connections_full`, `sessions_full`, `usage_crossed`.
    pub code: Cow<'a, str>,
    /// One line for a person.
    pub message: Cow<'a, str>,
    /// Only with `usage_crossed`: the window that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<UsageWindow<'a>>,
}

/// Why the daemon leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopReason {
    /// Somebody said `daemon.stop`: whoever reconnects by itself should not.
    Stop,
    /// SIGTERM or SIGINT: the service manager's stop or restart, or Ctrl-C.
    Signal,
    /// Nobody needed it.
    Idle,
    /// A word that this client doesn't know.
    #[serde(other)]
    Unknown,
}

/// The parameters of `session.changed`: a session is new or has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionChanged<'a> {
    /// This notification's number.
    pub seq: u64,
    /// All of the session, as it is now: a value, not an edge.
    pub session: SessionRecord<'a>,
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

/// The parameters of `daemon.stopping`: the last thing that the daemon says, to every client, subscribed or not.
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

/// Error codes: JSON-RPC's own, and this protocol's from -32000 down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum ErrorCode {
    /// Not JSON, or not UTF-8.
    ParseError = -32700,
    /// JSON, but not a request: a batch, no `"jsonrpc":"2.0"`, no method, an id of a wrong type.
    InvalidRequest = -32600,
    /// No such method.
    MethodNotFound = -32601,
    /// The method's parameters are missing or wrong; the message says which.
    InvalidParams = -32602,
    /// The daemon's own fault.
    Internal = -32603,
    /// No session has that key, id or prefix.
    NoSuchSession = -32001,
    /// More than one session has that prefix or id.
    AmbiguousSession = -32002,
    /// As many sessions are remembered as the daemon will.
    TooManySessions = -32003,
    /// The line is longer than [`MAX_LINE`]; the connection is closed.
    LineTooLong = -32004,
    /// The daemon is leaving.
    Stopping = -32005,
    /// The configuration was refused; the old one stays.
    ConfigRefused = -32006,
    /// The configuration says that the account's limits are not to be fetched.
    UsageDisabled = -32007,
}

/// An error's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorObject<'a> {
    /// One of [`ErrorCode`].
    pub code: i32,
    /// What is wrong, for a person.
    pub message: Cow<'a, str>,
}

/// `text`, cut at `limit` characters with an ellipsis in place of the rest, on one line: what is white space or a
/// control character becomes a blank.
#[must_use]
pub fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::with_capacity(text.len().min(limit * 4));
    let mut words = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty());
    if let Some(first) = words.next() {
        line.push_str(first);
    }
    for word in words {
        // Beyond the limit nothing is kept, so a long text is not copied to be cut.
        if line.len() > limit * 4 {
            break;
        }
        line.push(' ');
        line.push_str(word);
    }
    if let Some((cut, _)) = line.char_indices().nth(limit) {
        let keep = line
            .char_indices()
            .nth(limit.saturating_sub(1))
            .map_or(cut, |(at, _)| at);
        line.truncate(keep);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_cuts_at_characters_and_folds_white_space() {
        assert_eq!(one_line("  a\n\tb\u{7}c  ", 120), "a b c");
        assert_eq!(one_line("ääääää", 4), "äää…");
        assert_eq!(one_line("abcd", 4), "abcd");
        assert_eq!(one_line("", 4), "");
        assert_eq!(one_line(&"x".repeat(100_000), 120).chars().count(), 120);
    }
}
