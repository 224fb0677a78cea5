//! A session as clients see it: its status, where a person finds it, and the evidence behind it.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::words::words;

words! {
    /// What an agent is doing, as far as the evidence goes.
    pub enum Status {
        /// A turn runs; no person is needed.
        Working = "working",
        /// The agent stands still until a person answers; `waiting_for` has what for.
        Waiting = "waiting",
        /// No turn runs.
        Idle = "idle",
        /// The last turn ended in a failure (the model's service, not a tool).
        Error = "error",
        /// The session is over.
        Closed = "closed",
    }
}

words! {
    /// What a waiting session waits for.
    pub enum WaitingFor {
        /// Leave to run a tool.
        Permission = "permission",
        /// The answer to a question.
        Answer = "answer",
        /// A plan's approval.
        Plan = "plan",
        /// Any other dialog that holds the agent up.
        Dialog = "dialog",
    }
}

words! {
    /// Where a piece of evidence came from.
    pub enum EvidenceKind {
        /// A hook that the agent ran.
        Hook = "hook",
        /// The agent's own registry of sessions.
        Registry = "registry",
        /// Another file that the agent writes: a transcript, a lock, a state.
        File = "file",
        /// The process table.
        Process = "process",
        /// A person's or script's `session.set`.
        Report = "report",
    }
}

words! {
    /// What resumes a session without a person.
    pub enum ResumeKind {
        /// A monitor: it reports to the agent what it sees.
        Monitor = "monitor",
        /// A subagent that outlives the turn: it reports its result to the agent.
        Subagent = "subagent",
        /// A scheduled prompt.
        Schedule = "schedule",
        /// A background shell: it reports its end to the agent, if it ever ends.
        Shell = "shell",
    }
}

/// One thing that resumes a session without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// What it is.
    pub kind: ResumeKind,
    /// With a schedule: when, in ms since the epoch, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
}

/// The last observation of one kind of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence<'a> {
    /// Where it came from.
    pub kind: EvidenceKind,
    /// When it happened, by the clock of the process that saw it, in ms since the epoch.
    pub at: u64,
    /// What was seen: a hook event's name, a registry status, `exited`, a reported status.
    pub what: Cow<'a, str>,
}

/// One piece of the evidence behind a status, for `session.explain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceStep<'a> {
    /// When it happened, by the clock of the process that saw it, in ms since the epoch.
    pub at: u64,
    /// Where it came from.
    pub kind: EvidenceKind,
    /// What was seen: a hook event's name, a registry status, `exited`, a reported status.
    pub what: Cow<'a, str>,
    /// The name of the rule that took it in, such as `interrupted`. More may come within version 1.
    pub rule: Cow<'a, str>,
    /// The rule as a sentence for a person.
    pub meaning: Cow<'a, str>,
    /// The session's status after it.
    pub status: Status,
    /// Only with `waiting`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<WaitingFor>,
    /// Whether the session's present status results from it.
    #[serde(default)]
    pub decided: bool,
}

/// One entry of a session's history: from `at` on it was in `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The status that began.
    pub status: Status,
    /// When it began, in ms since the epoch.
    pub at: u64,
}

/// Where a person finds the session, as far as the hook's environment shows. Every field may be absent.
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
    /// The tmux server's process id, from `$TMUX`: a later server may listen at the same socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmux_pid: Option<u32>,
    /// `$TMUX_PANE`, such as `%3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmux_pane: Option<Box<str>>,
    /// GNU Screen's session, `$STY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screen_session: Option<Box<str>>,
    /// GNU Screen's window, `$WINDOW`; only with a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screen_window: Option<Box<str>>,
    /// `$ZELLIJ_SESSION_NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zellij_session: Option<Box<str>>,
    /// `$ZELLIJ_PANE_ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zellij_pane: Option<Box<str>>,
    /// `$WEZTERM_PANE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wezterm_pane: Option<Box<str>>,
    /// The socket of the `WezTerm` process, `$WEZTERM_UNIX_SOCKET`: pane numbers are its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wezterm_socket: Option<Box<str>>,
    /// `$KITTY_WINDOW_ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kitty_window: Option<Box<str>>,
    /// Where kitty listens for commands, `$KITTY_LISTEN_ON`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kitty_listen_on: Option<Box<str>>,
    /// `$ITERM_SESSION_ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iterm_session: Option<Box<str>>,
}

/// A session, as it is now. Fields that are not known are left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionRecord<'a> {
    /// The name that never changes while the process lives.
    pub key: Cow<'a, str>,
    /// Which agent: a name in `agents::ALL`, or any name that a script reports.
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
    /// Whether nothing goes on without a person: it waits, it failed, its process is stopped, or it has finished a turn
    /// since a person last typed and no monitor, subagent or schedule resumes it. Never for a run without a person.
    #[serde(default)]
    pub attention: bool,
    /// Since when the status holds, in ms since the epoch.
    pub since: u64,
    /// One line for a person: `Bash: cargo test`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
    /// With `waiting`: what the agent asks, in its words: a question with its options, a plan's first line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Cow<'a, str>>,
    /// What the session is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Cow<'a, str>>,
    /// The directory that the session began in. Only there does its agent find the conversation again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_cwd: Option<Cow<'a, str>>,
    /// Its working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Cow<'a, str>>,
    /// The agent's process id, in the pid namespace of the process that reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// When that process started, in the kernel's own unit (Linux: clock ticks since boot; macOS: µs since the
    /// epoch): with the pid it names a process for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_start: Option<u64>,
    /// Where a person finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<Cow<'a, Terminal>>,
    /// The agent's own name for what it may do without asking.
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
    /// The account whose limits it draws on: [`AccountUsage::account`](super::AccountUsage::account).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Cow<'a, str>>,
    /// Subagents that run.
    #[serde(default)]
    pub subagents: u32,
    /// Background shells that run; a monitor is none.
    #[serde(default)]
    pub background: u32,
    /// What resumes the session without a person once its turn has ended, at most 64; a schedule's time is its next one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resumes: Vec<Resume>,
    /// Since when turns run that no hook reports although earlier ones were reported, in ms since the epoch. A hook may
    /// be late: the first seconds mean nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks_silent_since: Option<u64>,
    /// Since when its process is stopped by a signal (Ctrl-Z), in ms since the epoch: as it was seen, which may be later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_since: Option<u64>,
    /// When a session at work gave its last sign, in ms since the epoch, if that is longer ago than the configuration's
    /// `attention.quiet_after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_since: Option<u64>,
    /// The last transitions, oldest first; at most `history` of the configuration.
    #[serde(default)]
    pub history: Vec<Transition>,
    /// The last observation of each kind of evidence.
    #[serde(default)]
    pub evidence: Vec<Evidence<'a>>,
    /// When it began, as the agent says or as the daemon first saw it, in ms since the epoch.
    pub started_at: u64,
    /// When it was closed, in ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    /// Why it was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<EndReason<'a>>,
}

/// Why a session was closed. On the wire a text: one of the daemon's own words, or the agent's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndReason<'a> {
    /// `crashed`: its process exited, and its agent reported no end.
    Crashed,
    /// `exited`: its process exited after its registry entry was removed, or, without a person, once its turn was over;
    /// its agent reported no end. Or only scripts have reported it.
    Exited,
    /// `stale`: no report for a day, and no process to watch.
    Stale,
    /// `reported`: a script or a person closed it.
    Reported,
    /// The agent's own word, or one of a later version of the daemon.
    Other(Cow<'a, str>),
}

impl EndReason<'_> {
    /// The text on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Crashed => "crashed",
            Self::Exited => "exited",
            Self::Stale => "stale",
            Self::Reported => "reported",
            Self::Other(word) => word,
        }
    }
}

impl Serialize for EndReason<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EndReason<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        let own = [Self::Crashed, Self::Exited, Self::Stale, Self::Reported];
        let known = own.into_iter().find(|reason| reason.as_str() == word);
        Ok(known.unwrap_or(Self::Other(Cow::Owned(word))))
    }
}
