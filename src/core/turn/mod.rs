//! The turn: what an agent is in the middle of, and the status that follows from it.
//!
//! Facts, not a status: whether a turn runs, what is asked and by whom, which subagents go on, what the registry said
//! last. [`Turn::status`] derives the rest, so that no order of events can leave a status behind that no fact supports.
//! `hooks` takes in what hooks tell, `registry` what the registry tells, and what follows when time passes.
//!
//! Stamps only, no clock. Called by [`reorder`] in the order of the stamps; read by [`super::session`].

mod hook;
mod registry;
pub(crate) mod reorder;

use std::borrow::Cow;

use crate::event::{RegistryStatus, Tool};
use crate::protocol::{self, Status, WaitingFor, one_line};

pub(crate) use self::hook::HookEvent;

/// How many pending asks and running subagents are kept: far more than a screen holds, few enough that a hook gone
/// wild can't grow the daemon.
const MAX_MEMBERS: usize = 64;

/// How a person came to be asked, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The agent's hook said so, with what about.
    Hook,
    /// It is guessed from a reminder or the registry: the hook's own word takes its place.
    Inferred,
}

/// Something an agent asks a person, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PendingPrompt {
    subagent: Option<Box<str>>,
    waiting_for: WaitingFor,
    tool: Option<Tool>,
    at: u64,
    source: Source,
}

/// Whether a turn runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Idle,
    Running,
    /// A hook has told its end, and the registry still says busy: hooks of somebody else run, and may keep it going.
    Stopping,
    /// On, as far as the registry tells; no hook has told of it.
    SeenRunning,
    /// A prompt was typed while it ran: another turn follows, without a prompt of its own.
    RunningWithQueued,
}

/// What has been told of the turn so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    phase: Phase,
    /// The prompt of the turn that runs, or ran last.
    prompt_id: Option<Box<str>>,
    pending: Vec<PendingPrompt>,
    /// What each agent would ask about now: the tool that it began last, until that has ended.
    tool_calls: Vec<PendingPrompt>,
    /// The last that was heard is that a tool or the turn ended: a reminder now is of an ask that was answered.
    answered: bool,
    /// Subagents that began and have not ended.
    subagents: Vec<Box<str>>,
    /// Subagents that went on when the main turn ended: they hold the session at work until the turn that follows.
    background_subagents: u32,
    background_shells: u32,
    /// The last tool: what a person sees the agent do.
    activity: Option<Tool>,
    failure: Option<Box<str>>,
    /// A turn has ended since a person last typed.
    unread: bool,
    /// Hooks have told of this session, so they would tell of a turn's end.
    has_hooks: bool,
    /// The stamp of the first hook of the turn that runs, or ran last.
    began_at: u64,
    /// The stamp of the last hook that showed the agent at work.
    worked_at: u64,
    /// The stamp of the hook that ended the turn, or began a conversation.
    over_at: u64,
    /// The registry's last word, and its stamp.
    registry: Option<(RegistryStatus, u64)>,
}

impl Turn {
    /// What the facts come to.
    pub(crate) fn status(&self) -> (Status, Option<WaitingFor>) {
        match self.pending.first() {
            Some(ask) => (Status::Waiting, Some(ask.waiting_for)),
            None if self.failure.is_some() => (Status::Error, None),
            None if self.is_open() || self.has_subagents() => (Status::Working, None),
            None => (Status::Idle, None),
        }
    }

    fn is_open(&self) -> bool {
        match self.phase {
            Phase::Idle => false,
            Phase::Running | Phase::Stopping | Phase::SeenRunning | Phase::RunningWithQueued => {
                true
            }
        }
    }

    fn has_subagents(&self) -> bool {
        self.background_subagents > 0 || !self.subagents.is_empty()
    }

    /// A turn has ended since a person last typed.
    pub(crate) fn is_unread(&self) -> bool {
        self.unread
    }

    /// How many subagents run.
    pub(crate) fn subagents(&self) -> u32 {
        u32::try_from(self.subagents.len()).unwrap_or(u32::MAX)
    }

    /// How many background shells run.
    pub(crate) fn background_shells(&self) -> u32 {
        self.background_shells
    }

    /// One line for a person that says why the status is what it is.
    pub(crate) fn reason(&self) -> Option<Cow<'_, str>> {
        match self.status().0 {
            Status::Waiting => self.pending.first().map(|ask| {
                let word = ask.waiting_for.as_str();
                match &ask.tool {
                    // An ask names the tool without a second colon: "permission: Bash cargo test".
                    Some(tool) => cut(&format!("{word}: {}", shown(tool, " "))),
                    None => word.into(),
                }
            }),
            Status::Error => self.failure.as_deref().map(Cow::Borrowed),
            Status::Working => match (&self.activity, self.subagents.len()) {
                (Some(activity), _) => Some(cut(&shown(activity, ": "))),
                (None, 0) => None,
                (None, _) if self.is_open() => None,
                (None, 1) => Some("1 subagent runs".into()),
                (None, subagents) => Some(format!("{subagents} subagents run").into()),
            },
            Status::Idle => match self.background_shells {
                0 => None,
                1 => Some("1 background shell runs".into()),
                shells => Some(format!("{shells} background shells run").into()),
            },
            Status::Closed | Status::Unknown => None,
        }
    }

    /// A conversation begins or ends at `at`: what was is over, but for the registry, which tells of the process.
    pub(crate) fn reset(&mut self, at: u64) {
        *self = Self {
            registry: self.registry,
            has_hooks: true,
            over_at: at,
            ..Self::default()
        };
    }

    fn end(&mut self) {
        self.answer(None);
        self.phase = Phase::Idle;
        self.activity = None;
    }

    /// What this agent asked or could have asked is settled; another agent's ask is not touched.
    fn answer(&mut self, subagent: Option<&str>) {
        let of_others = |ask: &PendingPrompt| ask.subagent.as_deref() != subagent;
        self.pending.retain(of_others);
        self.tool_calls.retain(of_others);
        self.answered = true;
    }

    /// No dialog is open any more, whoever asked.
    fn answer_all(&mut self) {
        self.pending.clear();
        self.tool_calls.clear();
        self.answered = true;
    }

    /// What a dialog is about that no request came before: a tool that has begun; else nobody knows.
    fn infer_prompt(&self, waiting_for: Option<WaitingFor>, at: u64) -> PendingPrompt {
        let tool = self.tool_calls.last();
        PendingPrompt {
            subagent: tool.and_then(|tool| tool.subagent.clone()),
            waiting_for: waiting_for
                .or(tool.map(|tool| tool.waiting_for))
                .unwrap_or(WaitingFor::Permission),
            tool: tool.and_then(|tool| tool.tool.clone()),
            at,
            source: Source::Inferred,
        }
    }
}

fn shown(tool: &Tool, separator: &str) -> String {
    match &tool.detail {
        Some(detail) => format!("{}{separator}{detail}", tool.name),
        None => tool.name.to_string(),
    }
}

fn cut(text: &str) -> Cow<'static, str> {
    one_line(text, protocol::TEXT_LIMIT).into()
}
