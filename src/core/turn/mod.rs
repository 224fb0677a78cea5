//! The turn: what an agent is in the middle of, and the status that follows from it.
//!
//! Facts, not a status: whether a turn runs, which prompts are pending, which subagents run, the registry's last status.
//! [`Turn::status`] derives the rest, so that no order of events can leave a status behind that no fact supports.
//! [`hook`] applies what hooks report, [`end`] how a turn ends; [`registry`] what the registry says, and what follows when time passes.
//!
//! Stamps only, no clock. Called by [`reorder`] in the order of the stamps; read by [`super::session`].

mod background;
mod end;
mod hook;
mod registry;
pub(crate) mod reorder;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use self::background::Background;
use crate::core::stamp::shift;
use crate::event::{RegistryStatus, Remaining, Tool};
use crate::protocol::{self, Resume, Status, WaitingFor, one_line};

pub(crate) use self::hook::HookEvent;

/// How many pending prompts and running subagents are kept: far more than a screen holds, few enough that a hook gone
/// wild can't grow the daemon.
const MAX_MEMBERS: usize = 64;

/// How a prompt became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Source {
    /// The agent's hook reported it, with its subject.
    Hook,
    /// It follows from a reminder or the registry; a hook's report replaces it.
    Inferred,
}

/// A question of an agent to a person; also one that it would ask about a tool call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct PendingPrompt {
    /// The agent's id of it, if it has one.
    id: Option<Box<str>>,
    subagent: Option<Box<str>>,
    waiting_for: WaitingFor,
    tool: Option<Tool>,
    at: u64,
    source: Source,
}

/// Whether a turn runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    #[default]
    Idle,
    Running,
    /// A hook has reported its end, and the registry still says busy: other hooks run, and may keep it going.
    Stopping,
    /// Running by the registry alone; no hook has reported it.
    SeenRunning,
    /// A prompt was typed while it ran: another turn follows, without a prompt of its own.
    RunningWithQueued,
}

/// What is known of the turn that ended last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
enum LastTurn {
    /// It is not known whether there was one.
    #[default]
    Unobserved,
    /// There was none, or a person has looked at the session since it ended.
    Seen,
    /// No source has reported its end: a person has interrupted it, as far as is known.
    Interrupted,
    /// No person has looked at the session since it ended.
    Unseen,
    /// It ended in this error.
    Failed(Box<str>),
}

/// The end of a turn that counts once it has lasted for a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ending {
    at: u64,
    remaining: Option<Box<Remaining>>,
}

/// What a reminder of a dialog is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Reminder {
    /// A dialog that no hook has reported.
    #[default]
    Unreported,
    /// A dialog that is closed: the last event ended a tool or the turn.
    Closed,
}

/// Whether hooks report the turns of this session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Hooks {
    /// None has reported anything.
    #[default]
    Absent,
    Reporting,
    /// A turn runs, or has run, that the registry alone has shown since this stamp.
    SilentSince(u64),
}

/// What is known of the turn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Turn {
    phase: Phase,
    /// The prompt of the turn that runs, or ran last.
    prompt_id: Option<Box<str>>,
    /// The prompt of the turn before the one that runs, where a queued prompt has followed it.
    former_prompt_id: Option<Box<str>>,
    /// A hash of the last prompt's text, and its stamp.
    last_prompt: Option<(u64, u64)>,
    pending: Vec<PendingPrompt>,
    /// What each agent would ask about now: its last tool call that has not ended.
    tool_calls: Vec<PendingPrompt>,
    reminder: Reminder,
    background: Background,
    /// The last tool: what a person sees the agent do.
    activity: Option<Tool>,
    /// The error of a request to the model that is being tried again.
    retrying: Option<Box<str>>,
    /// The turn runs, and has ended unless another begins in a moment.
    ending: Option<Box<Ending>>,
    /// The stamp of the reported interrupt of the turn that ran last.
    interrupted_at: Option<u64>,
    last: LastTurn,
    hooks: Hooks,
    /// When the turn that runs, or ran last, began: the stamp of its first hook, or of the registry's busy before it.
    began_at: u64,
    /// Since when the registry shows, or has shown, a turn that no hook has reported yet.
    unreported_at: Option<u64>,
    /// The stamp of the last hook that showed the agent at work.
    worked_at: u64,
    /// The stamp of the hook that ended the turn, or began a conversation.
    over_at: u64,
    /// The registry's last status, and its stamp.
    registry: Option<(RegistryStatus, u64)>,
}

impl Turn {
    /// The status that follows from the facts.
    pub(crate) fn status(&self) -> (Status, Option<WaitingFor>) {
        match self.pending.first() {
            Some(prompt) => (Status::Waiting, Some(prompt.waiting_for)),
            None if matches!(self.last, LastTurn::Failed(_)) => (Status::Error, None),
            None if self.is_open() || self.background.is_working() => (Status::Working, None),
            None => (Status::Idle, None),
        }
    }

    /// True if something goes on that a person has started: a turn, a question, a subagent.
    pub(crate) fn runs(&self) -> bool {
        self.is_open() || self.background.is_working() || !self.pending.is_empty()
    }

    fn is_open(&self) -> bool {
        match self.phase {
            Phase::Idle => false,
            Phase::Running | Phase::Stopping | Phase::SeenRunning | Phase::RunningWithQueued => {
                true
            }
        }
    }

    /// True if a turn has ended that no person has looked at, and nothing starts another one. `background_shell`: a
    /// shell that still runs does not count as something that does.
    pub(crate) fn needs_person(&self, background_shell: bool) -> bool {
        let is_unread = match self.last {
            LastTurn::Unobserved | LastTurn::Seen | LastTurn::Interrupted => false,
            LastTurn::Unseen | LastTurn::Failed(_) => true,
        };
        let resumes =
            self.background.is_armed() || (!background_shell && self.background.shells() > 0);
        is_unread && !resumes
    }

    /// True if a turn has ended well, and no person has looked since.
    pub(crate) fn is_unseen(&self) -> bool {
        matches!(self.last, LastTurn::Unseen)
    }

    /// Since when turns run that no hook reports although earlier ones were reported, in ms since the epoch.
    pub(crate) fn hooks_silent_since(&self) -> Option<u64> {
        match self.hooks {
            Hooks::Absent | Hooks::Reporting => None,
            Hooks::SilentSince(at) => Some(at),
        }
    }

    /// The agent's ids of the questions that are open.
    pub(crate) fn requests(&self) -> impl Iterator<Item = &str> {
        self.pending
            .iter()
            .filter_map(|prompt| prompt.id.as_deref())
    }

    /// What the agent itself has written of its status last.
    pub(crate) fn own_status(&self) -> Option<RegistryStatus> {
        self.registry.map(|(status, _)| status)
    }

    /// How many subagents run.
    pub(crate) fn subagents(&self) -> u32 {
        self.background.subagents()
    }

    /// How many background shells run.
    pub(crate) fn background_shells(&self) -> u32 {
        self.background.shells()
    }

    /// What starts another turn without a person; nothing while one runs.
    pub(crate) fn resumes(&self) -> Vec<Resume> {
        if self.is_open() {
            Vec::new()
        } else {
            self.background.resumes()
        }
    }

    /// The reason for the status: one line for a person.
    pub(crate) fn reason(&self) -> Option<Cow<'_, str>> {
        match self.status().0 {
            Status::Waiting => self.pending.first().map(|prompt| {
                let kind = prompt.waiting_for.as_str();
                match &prompt.tool {
                    // A prompt names the tool without a second colon: "permission: Bash cargo test".
                    Some(tool) => cut(&format!("{kind}: {}", tool_line(tool, " "))),
                    None => kind.into(),
                }
            }),
            Status::Error => match &self.last {
                LastTurn::Failed(error) => Some(Cow::Borrowed(error)),
                LastTurn::Unobserved
                | LastTurn::Seen
                | LastTurn::Interrupted
                | LastTurn::Unseen => None,
            },
            Status::Working => match (&self.retrying, &self.activity) {
                (Some(error), _) => Some(cut(&format!("retrying: {error}"))),
                (None, Some(activity)) => Some(cut(&tool_line(activity, ": "))),
                (None, None) if self.is_open() => None,
                (None, None) => counted(self.subagents(), "subagent").map(Into::into),
            },
            Status::Idle => self.idle_reason().map(Into::into),
            Status::Closed | Status::Unknown => None,
        }
    }

    /// What goes on though no turn runs.
    fn idle_reason(&self) -> Option<String> {
        let scheduled = match self.background.schedules() {
            0 => None,
            1 => Some("1 prompt is scheduled".to_owned()),
            count => Some(format!("{count} prompts are scheduled")),
        };
        let counts = [
            counted(self.background.monitors(), "monitor"),
            counted(self.background.shells(), "background shell"),
            scheduled,
        ];
        let counts: Vec<_> = counts.into_iter().flatten().collect();
        if counts.is_empty() {
            return None;
        }
        // A person is needed although something runs.
        let finished = self.needs_person(true).then(|| "finished".to_owned());
        let parts: Vec<_> = finished.into_iter().chain(counts).collect();
        Some(parts.join(", "))
    }

    /// The wall clock was set by so many ms: every stamp moves with it. A scheduled prompt keeps its time of day.
    pub(crate) fn clock_was_set(&mut self, by: i64, now: u64) {
        let Self {
            phase: _,
            prompt_id: _,
            former_prompt_id: _,
            last_prompt,
            pending,
            tool_calls,
            reminder: _,
            background,
            activity: _,
            retrying: _,
            ending,
            interrupted_at,
            last: _,
            hooks,
            began_at,
            unreported_at,
            worked_at,
            over_at,
            registry,
        } = self;
        let prompts = pending.iter_mut().chain(tool_calls);
        let prompts = prompts.map(|prompt| &mut prompt.at);
        let hooks_silent_since = match hooks {
            Hooks::Absent | Hooks::Reporting => None,
            Hooks::SilentSince(at) => Some(at),
        };
        let optional = [
            last_prompt.as_mut().map(|(_, at)| at),
            ending.as_mut().map(|ending| &mut ending.at),
            registry.as_mut().map(|(_, at)| at),
            interrupted_at.as_mut(),
            unreported_at.as_mut(),
            hooks_silent_since,
        ];
        for at in prompts.chain(optional.into_iter().flatten()) {
            shift(at, by);
        }
        for at in [began_at, worked_at, over_at] {
            shift(at, by);
        }
        background.clock_was_set(by, now);
    }

    /// A conversation begins or ends at `at`: the turn is over. The registry is about the process and stays.
    pub(crate) fn reset(&mut self, at: u64) {
        *self = Self {
            registry: self.registry,
            hooks: Hooks::Reporting,
            last: LastTurn::Seen,
            over_at: at,
            ..Self::default()
        };
    }

    fn end(&mut self) {
        self.answer(None);
        self.phase = Phase::Idle;
        self.activity = None;
        self.retrying = None;
        self.ending = None;
    }

    /// A turn has ended, and no person has looked since.
    fn finish(&mut self) {
        self.set_last(LastTurn::Unseen);
    }

    /// A failure stays what the last turn came to until another one begins.
    fn set_last(&mut self, last: LastTurn) {
        match self.last {
            LastTurn::Failed(_) => {}
            LastTurn::Unobserved | LastTurn::Seen | LastTurn::Interrupted | LastTurn::Unseen => {
                self.last = last;
            }
        }
    }

    /// A person looks at the session.
    fn seen(&mut self) {
        self.set_last(LastTurn::Seen);
    }

    /// Another turn follows the one that failed.
    fn clear_failure(&mut self) {
        if matches!(self.last, LastTurn::Failed(_)) {
            self.last = LastTurn::Unseen;
        }
    }

    /// Removes this agent's prompts and tool calls; other agents' stay.
    fn answer(&mut self, subagent: Option<&str>) {
        let of_others = |prompt: &PendingPrompt| prompt.subagent.as_deref() != subagent;
        self.pending.retain(of_others);
        self.tool_calls.retain(of_others);
        self.reminder = Reminder::Closed;
    }

    /// Removes all prompts and tool calls: no dialog is open any more.
    fn answer_all(&mut self) {
        self.pending.clear();
        self.tool_calls.clear();
        self.reminder = Reminder::Closed;
    }

    /// The prompt behind a dialog that no hook reported: about the last tool call, if there is one.
    fn infer_prompt(&self, waiting_for: Option<WaitingFor>, at: u64) -> PendingPrompt {
        let tool = self.tool_calls.last();
        PendingPrompt {
            id: None,
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

/// `2 subagents run`; `None` for none.
fn counted(count: u32, noun: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {noun} runs")),
        count => Some(format!("{count} {noun}s run")),
    }
}

fn tool_line(tool: &Tool, separator: &str) -> String {
    match &tool.detail {
        Some(detail) => format!("{}{separator}{detail}", tool.name),
        None => tool.name.to_string(),
    }
}

fn cut(text: &str) -> Cow<'static, str> {
    one_line(text, protocol::TEXT_LIMIT).into()
}
