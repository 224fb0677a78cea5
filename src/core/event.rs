//! What agents tell, in our own words: the core's vocabulary, whatever the agent calls it.
//!
//! Made by `agents/` from an agent's payload, consumed by `session.rs`. Texts arrive cut
//! ([`crate::protocol::TEXT_LIMIT`]); nothing here holds a whole prompt or any tool output.

use crate::process::ProcessId;
use crate::protocol::{Terminal, WaitingFor};

/// One report of a hook.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Which agent.
    pub agent: Box<str>,
    /// When the event happened, by the hook's clock, in ms since the epoch. Events are ordered by it.
    pub at: u64,
    /// The agent's process, if the hook could tell.
    pub process: Option<ReportedProcess>,
    /// Whether a person sits at the session; `None`: not told.
    pub attended: Option<bool>,
    /// Where a person finds it.
    pub terminal: Option<Box<Terminal>>,
    /// The event; `None` if its payload made no sense.
    pub event: Option<AgentEvent>,
}

/// A process as a hook names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportedProcess {
    /// Its id, in the hook's pid namespace.
    pub pid: u32,
    /// When it started; `None` if the hook could not read that.
    pub start: Option<u64>,
    /// The inode of the hook's pid namespace; `None` where there are none.
    pub namespace: Option<u64>,
}

impl ReportedProcess {
    /// The process, if it can be told apart from a later one of the same pid.
    #[must_use]
    pub fn id(self) -> Option<ProcessId> {
        self.start.map(|start| ProcessId {
            pid: self.pid,
            start,
        })
    }
}

/// One event of an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentEvent {
    /// The agent's own name for it, for the evidence.
    pub name: Box<str>,
    /// The agent's id of the conversation.
    pub session_id: Option<Box<str>>,
    /// The session's working directory.
    pub cwd: Option<Box<str>>,
    /// The agent's word for what it may do unasked.
    pub permission_mode: Option<Box<str>>,
    /// The model it talks to.
    pub model: Option<Box<str>>,
    /// The session's title, where the agent gives one.
    pub title: Option<Box<str>>,
    /// The subagent it happened in; `None`: the main agent.
    pub subagent: Option<Box<str>>,
    /// The prompt it belongs to.
    pub prompt_id: Option<Box<str>>,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A conversation began, or took over the process.
    SessionStarted,
    /// The conversation ended.
    SessionEnded {
        /// The agent's word for why.
        reason: Box<str>,
        /// True if another conversation follows in the same process.
        process_goes_on: bool,
    },
    /// Something in a turn.
    Turn(TurnEvent),
    /// Known, and says nothing about the status.
    Noted,
}

/// What happened in a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnEvent {
    /// A prompt went in.
    PromptSubmitted {
        /// How it begins.
        text: Option<Box<str>>,
        /// False for one that the agent made itself, such as a background task's notice.
        by_person: bool,
    },
    /// A tool is about to run.
    ToolStarted {
        /// One line: `Bash: cargo test`.
        what: Box<str>,
        /// What a dialog about it would wait for.
        asks_for: WaitingFor,
    },
    /// A tool has ended, well or not.
    ToolEnded,
    /// All tools of one message have ended.
    BatchEnded,
    /// Something that only happens while a turn runs.
    Active,
    /// A subagent began.
    SubagentStarted,
    /// A subagent ended.
    SubagentEnded,
    /// It asks a person.
    Asked {
        /// For what.
        waiting_for: WaitingFor,
        /// About what: `Write src/main.rs`.
        what: Box<str>,
    },
    /// It says again that it waits for a person, without saying for what.
    AskReminded,
    /// A person has answered what it asked.
    Answered,
    /// The conversation was compacted at a person's wish, between turns.
    Compacted,
    /// It says that it has been idle for a while.
    IdleReminded,
    /// The turn ended well.
    Ended {
        /// The ids of the subagents that go on.
        subagents: Vec<Box<str>>,
        /// How many background shells go on.
        shells: u32,
    },
    /// The turn ended in an error.
    Failed {
        /// One line: `rate limited`.
        error: Box<str>,
    },
}
