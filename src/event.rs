//! What agents report, in this program's words: the same for every agent.
//!
//! Made by [`crate::agents`] from an agent's payload or registry, consumed by the core; the other way goes only
//! [`KnownSession`]. Texts arrive cut ([`crate::protocol::TEXT_LIMIT`]); nothing here holds a whole prompt or any tool
//! output.

use std::borrow::Cow;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::limits::{Account, Limit};
use crate::os::process::ProcessId;
use crate::protocol::{Status, Terminal, WaitingFor};

/// One report of a hook.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    /// Which agent.
    pub agent: Box<str>,
    /// When the event happened, by the hook's clock, in ms since the epoch. Events are ordered by it.
    pub at: u64,
    /// The agent's process, if the hook could find it.
    pub process: Option<ReportedProcess>,
    /// Whether a person sits at the session; `None`: not known.
    pub attended: Option<bool>,
    /// Where a person finds it.
    pub terminal: Option<Box<Terminal>>,
    /// The agent's configuration directory, which may hold its registry.
    pub config_dir: Option<Box<str>>,
    /// The account of that directory; `None`: the default one, or not looked up yet.
    pub account: Option<Rc<Account>>,
    /// How long the agent's sources may contradict each other.
    pub timing: Timing,
    /// Which kind of source saw it.
    pub source: Source,
    /// What the process is to the session.
    pub role: ProcessRole,
    /// The event; `None` if its payload made no sense.
    pub event: Option<AgentEvent>,
}

/// Which kind of source saw an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Source {
    /// A hook that the agent ran, or a plugin in it.
    #[default]
    Hook,
    /// A file that the agent writes.
    File,
}

/// What the process of a report is to the session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ProcessRole {
    /// It runs one conversation at a time: the session is found by the process, and takes the id of the conversation.
    #[default]
    Own,
    /// It runs the conversations of several terminals: the session is found by its id, and ends with the process at the
    /// latest. `client` is the process of the terminal through which a person sees the session, if it is known: when
    /// that ends, the session is closed as soon as no turn runs.
    Shared {
        /// In the same pid namespace as the process.
        client: Option<ReportedProcess>,
    },
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
    /// The process, if its start is known, which distinguishes it from a later one of the same pid.
    #[must_use]
    pub fn id(self) -> Option<ProcessId> {
        self.start.map(|start| ProcessId {
            pid: self.pid,
            start,
        })
    }
}

/// An open session of an agent that an earlier daemon has saved, as far as the reader of the agent's files needs it.
#[derive(Debug)]
pub(crate) struct KnownSession<'a> {
    /// Which agent.
    pub agent: &'a str,
    /// The agent's id of the conversation.
    pub id: &'a str,
    /// The process that runs it, as it was reported.
    pub process: Option<ReportedProcess>,
    /// The process of the terminal that shows it, where that is another one.
    pub client: Option<ReportedProcess>,
    /// Where a person finds it.
    pub terminal: Option<&'a Terminal>,
    /// Whether a person sits at it.
    pub attended: bool,
    /// The agent's configuration directory.
    pub config_dir: Option<&'a str>,
    /// As [`AgentEvent::transcript`].
    pub transcript: Option<&'a str>,
    /// As [`AgentEvent::title`], or the beginning of a prompt.
    pub title: Option<&'a str>,
    /// By what its turn has come to.
    pub status: Status,
    /// Only with the status `waiting`.
    pub waiting_for: Option<WaitingFor>,
    /// The agent's ids of the requests that a person is asked for.
    pub requests: Vec<&'a str>,
    /// What the agent itself has written of its status last: [`TurnEvent::Status`].
    pub own_status: Option<RegistryStatus>,
    /// When its hooks last reported something, in ms since the epoch.
    pub hook_at: Option<u64>,
    /// What the agent's files have stamped until then is known, or was written before the conversation was; as they stamp
    /// it, in ms since the epoch.
    pub known_until: u64,
}

/// One event of an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentEvent {
    /// The agent's own name for it, for the evidence.
    pub name: Cow<'static, str>,
    /// The agent's id of the conversation.
    pub session_id: Option<Box<str>>,
    /// The session's working directory.
    pub cwd: Option<Box<str>>,
    /// The agent's own name for what it may do without asking.
    pub permission_mode: Option<Box<str>>,
    /// The model it talks to.
    pub model: Option<Box<str>>,
    /// The session's title, where the agent gives one.
    pub title: Option<Box<str>>,
    /// The subagent it happened in; `None`: the main agent.
    pub subagent: Option<Box<str>>,
    /// The prompt it belongs to.
    pub prompt_id: Option<Box<str>>,
    /// How full the model's context is, in percent.
    pub context_percent: Option<f32>,
    /// What the session has cost so far, in US dollars.
    pub cost_usd: Option<f64>,
    /// The account's limits, as the agent knows them.
    pub limits: Vec<Limit>,
    /// Whether a person sits at the session, where the event itself says so.
    pub attended: Option<bool>,
    /// The file in which the agent writes the conversation, as an absolute path.
    pub transcript: Option<Box<str>>,
    /// What the agent asks a person, in words: at most [`crate::protocol::QUESTION_LIMIT`] characters.
    pub question: Option<Box<str>>,
    /// What happened.
    pub kind: EventKind,
}

impl AgentEvent {
    /// An event of which nothing else is known.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, kind: EventKind) -> Self {
        Self {
            name: name.into(),
            session_id: None,
            cwd: None,
            permission_mode: None,
            model: None,
            title: None,
            subagent: None,
            prompt_id: None,
            context_percent: None,
            cost_usd: None,
            limits: Vec::new(),
            attended: None,
            transcript: None,
            question: None,
            kind,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A conversation began, or took over the process: no turn runs.
    SessionStarted,
    /// The session is open. Whether a turn runs is not said.
    SessionSeen,
    /// The conversation ended.
    SessionEnded {
        /// The agent's own reason.
        reason: Box<str>,
        /// True if another conversation follows in the same process.
        process_goes_on: bool,
    },
    /// The terminal that showed the conversation shows another one: a turn that runs goes on, and is the last.
    Detached,
    /// Something in a turn.
    Turn(TurnEvent),
    /// Known, and without effect on the status.
    Noted,
    /// Not known to this version.
    Unknown,
}

/// What happened in a turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TurnEvent {
    /// A prompt went in.
    PromptSubmitted {
        /// How it begins.
        text: Option<Box<str>>,
        /// Who has written it.
        origin: PromptOrigin,
    },
    /// A tool is about to run.
    ToolStarted {
        /// Which, with what for.
        tool: Tool,
        /// What a dialog about it would wait for.
        asks_for: WaitingFor,
    },
    /// A tool has ended, well or not, or was refused.
    ToolEnded {
        /// Which, with what for.
        tool: Tool,
    },
    /// All tools of one message have ended.
    BatchEnded,
    /// Something that only happens while a turn runs.
    Active,
    /// A subagent began.
    SubagentStarted,
    /// A subagent ended.
    SubagentEnded,
    /// The agent asks a person.
    Asked {
        /// The agent's id of the request, if it has one: more than one may be open.
        id: Option<Box<str>>,
        /// For what.
        waiting_for: WaitingFor,
        /// About which tool; `None`: about none.
        tool: Option<Tool>,
    },
    /// A reminder that it waits for a person, without about which tool.
    AskReminded {
        /// `None`: it does not say what for.
        waiting_for: Option<WaitingFor>,
    },
    /// A person has answered, and the turn goes on.
    Answered {
        /// The agent's id of the request; `None`: all that this agent or subagent has asked.
        id: Option<Box<str>>,
    },
    /// A person looks at the session.
    Seen,
    /// A request to the model has failed, and is tried again.
    Retrying {
        /// One line: `rate limited`.
        error: Box<str>,
    },
    /// A background task began.
    TaskStarted(BackgroundTask),
    /// The background task of this id ended.
    TaskEnded(Box<str>),
    /// What the agent itself writes of its status, without how it came to it.
    Status(RegistryStatus),
    /// The conversation was compacted at a person's wish, between turns.
    Compacted,
    /// A reminder that it has been idle for a while.
    IdleReminded,
    /// The turn ended well.
    Ended {
        /// What goes on; `None`: the event does not list it.
        remaining: Option<Box<Remaining>>,
    },
    /// A person has ended the turn, or a "No" has: no attention. An end, an error or a tool's end of the same turn that
    /// comes later changes nothing.
    Interrupted,
    /// The turn ended in an error.
    Failed {
        /// One line: `rate limited`.
        error: Box<str>,
    },
}

/// Who has written a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PromptOrigin {
    /// A person. One that comes while a turn runs is queued: its turn begins at the end of the one that runs, and nothing
    /// else reports that.
    Person,
    /// A person, of an agent that reports a prompt when its turn begins or when it joins the turn that runs.
    PersonNow,
    /// The agent or its host, for a reason of its own.
    Agent,
    /// The agent, because a background task or a subagent has reported; its id, if the prompt names it.
    Task(Option<Box<str>>),
}

/// What goes on after the end of a turn, as the agent lists it then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remaining {
    /// The ids of the subagents that still run.
    pub subagents: Vec<Box<str>>,
    /// The other background tasks that still run.
    pub tasks: Vec<BackgroundTask>,
    /// The prompts that the agent will submit by itself.
    pub schedules: Vec<Schedule>,
}

/// A background task that is no subagent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackgroundTask {
    /// The agent's id of it.
    pub id: Box<str>,
    /// What it is.
    pub kind: TaskKind,
}

/// What a background task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskKind {
    /// It watches something, and reports to the agent.
    Monitor,
    /// A command of a shell: a build that ends, or a server that does not.
    Shell,
    /// A kind that this version does not know.
    Other,
}

/// A prompt that the agent will submit by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// When next, in ms since the epoch; `None`: not known.
    pub at: Option<u64>,
}

/// A call of a tool, as a person knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// The tool's name: `Bash`.
    pub name: Box<str>,
    /// What it is called for: `cargo test`.
    pub detail: Option<Box<str>>,
}

/// How long an agent's hooks and its registry may contradict each other, as measured with a named version of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the unit of each")]
pub struct Timing {
    /// How long a registry status that contradicts the hooks must last before it counts, in ms: several times the longest
    /// flash that was observed, and short enough that an interrupt shows at once to a person.
    pub settle_ms: u64,
    /// The same where another turn is expected to begin: subagents have reported, or a prompt was queued.
    pub settle_next_ms: u64,
    /// The same where a background task has ended, and its report to the agent is expected. Only the attention depends
    /// on it, so it may be long.
    pub settle_task_ms: u64,
    /// How much later than a registry entry a hook may be stamped that fired before it, in ms. A hook beyond that is
    /// newer, and a registry that does not follow it is out of order.
    pub race_ms: u64,
    /// How long the registry may stay busy after the agent has asked, in ms, before it is believed that no dialog opened.
    pub confirm_ms: u64,
    /// How long after its time a scheduled prompt may still come, in ms.
    pub overdue_ms: u64,
    /// How long the end of a turn must last before it counts, in ms, where the agent begins a queued prompt's turn right
    /// after it; 0: it counts at once.
    pub settle_end_ms: u64,
}

/// A file of an agent's registry of running sessions, as it is now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RegistryUpdate {
    /// Which agent.
    pub agent: Box<str>,
    /// How long the agent's sources may contradict each other.
    pub timing: Timing,
    /// The process that the entry is of.
    pub process: ReportedProcess,
    /// Whether that process runs, as far as the process table of this pid namespace shows.
    pub alive: bool,
    /// Its terminal, from the process table.
    pub tty: Option<Box<str>>,
    /// The account of the registry's configuration directory.
    pub account: Option<Rc<Account>>,
    /// The entry; `None`: it was removed.
    pub entry: Option<RegistryEntry>,
}

/// One entry of an agent's registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryEntry {
    /// The agent's id of the conversation.
    pub session_id: Option<Box<str>>,
    /// The directory that the session began in.
    pub cwd: Option<Box<str>>,
    /// The name that a person or the agent has given the session; not one made of its directory.
    pub title: Option<Box<str>>,
    /// Whether a person sits at the session; `None`: not known.
    pub attended: Option<bool>,
    /// When the session began, in ms since the epoch.
    pub started_at: Option<u64>,
    /// When the entry was last written, in ms since the epoch.
    pub updated_at: u64,
    /// What it is doing; `None`: not stated yet.
    pub status: Option<RegistryStatus>,
    /// Since when it does that, in ms since the epoch.
    pub status_at: u64,
}

/// What an agent is doing, by its registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegistryStatus {
    /// A turn runs, or subagents do.
    Busy,
    /// No turn runs.
    Idle,
    /// No turn runs, a background shell does.
    Shell,
    /// A dialog is open.
    Waiting(WaitingFor),
    /// A status that this version does not know.
    Unknown,
}

impl RegistryStatus {
    /// For the evidence.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Idle => "idle",
            Self::Shell => "shell",
            Self::Waiting(WaitingFor::Permission) => "waiting: permission",
            Self::Waiting(WaitingFor::Answer) => "waiting: answer",
            Self::Waiting(WaitingFor::Plan) => "waiting: plan",
            Self::Waiting(WaitingFor::Dialog) => "waiting: dialog",
            Self::Waiting(WaitingFor::Unknown) => "waiting",
            Self::Unknown => "unknown",
        }
    }
}
