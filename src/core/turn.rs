//! The turn: what an agent is in the middle of, and the status that follows from it.
//!
//! Facts, not a status: whether a turn runs, what is asked and by whom, which subagents go on. [`Turn::status`]
//! derives the rest, so that no order of events can leave a status behind that no fact supports. Called by
//! [`super::session`] only.

use std::borrow::Cow;

use super::event::TurnEvent;
use crate::protocol::{self, Status, WaitingFor, one_line};

/// How many pending asks and running subagents are kept: far more than a screen holds, few enough that a hook gone
/// wild can't grow the daemon.
const MEMBERS: usize = 64;

/// Something an agent asks a person.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ask {
    subagent: Option<Box<str>>,
    waiting_for: WaitingFor,
    what: Option<Box<str>>,
}

/// What the hooks have told of the turn so far.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    open: bool,
    prompt_id: Option<Box<str>>,
    /// A prompt was typed while the turn ran: another turn follows without a prompt of its own.
    queued: bool,
    asks: Vec<Ask>,
    /// Subagents that began and have not ended.
    subagents: Vec<Box<str>>,
    /// Subagents that went on when the main turn ended: they hold the session at work until the turn that follows.
    outliving: u32,
    shells: u32,
    /// The last tool: what a person sees the agent do.
    activity: Option<Box<str>>,
    failure: Option<Box<str>>,
    /// A turn has ended since a person last typed.
    unseen: bool,
}

impl Turn {
    /// What the facts come to.
    pub(crate) fn status(&self) -> (Status, Option<WaitingFor>) {
        match self.asks.first() {
            Some(ask) => (Status::Waiting, Some(ask.waiting_for)),
            None if self.failure.is_some() => (Status::Error, None),
            None if self.open || self.outliving > 0 => (Status::Working, None),
            None => (Status::Idle, None),
        }
    }

    /// A turn has ended since a person last typed.
    pub(crate) fn is_unseen(&self) -> bool {
        self.unseen
    }

    /// How many subagents run.
    pub(crate) fn subagents(&self) -> u32 {
        u32::try_from(self.subagents.len()).unwrap_or(u32::MAX)
    }

    /// How many background shells run.
    pub(crate) fn shells(&self) -> u32 {
        self.shells
    }

    /// One line for a person that says why the status is what it is.
    pub(crate) fn reason(&self) -> Option<Cow<'_, str>> {
        match self.status().0 {
            Status::Waiting => self.asks.first().map(|ask| {
                let word = ask.waiting_for.as_str();
                match &ask.what {
                    Some(what) => one_line(&format!("{word}: {what}"), protocol::TEXT_LIMIT).into(),
                    None => word.into(),
                }
            }),
            Status::Error => self.failure.as_deref().map(Cow::Borrowed),
            Status::Working => self.activity.as_deref().map(Cow::Borrowed),
            Status::Idle => match self.shells {
                0 => None,
                1 => Some("1 background shell runs".into()),
                shells => Some(format!("{shells} background shells run").into()),
            },
            Status::Closed | Status::Unknown => None,
        }
    }

    /// Takes in what happened, in `subagent` or (without one) in the main agent. `attended`: whether a person sits
    /// there to be asked.
    pub(crate) fn advance(
        &mut self,
        event: TurnEvent,
        subagent: Option<Box<str>>,
        prompt_id: Option<Box<str>>,
        attended: bool,
    ) {
        let main = subagent.is_none();
        match event {
            TurnEvent::PromptSubmitted { by_person, .. } => {
                self.queued |= self.open && by_person && prompt_id == self.prompt_id;
                self.begin(prompt_id);
                self.activity = None;
                self.unseen &= !by_person;
            }
            TurnEvent::ToolStarted { what } => {
                if main {
                    self.begin(prompt_id);
                }
                self.activity = Some(what);
            }
            TurnEvent::ToolEnded => {
                self.answer(subagent.as_deref());
                if main {
                    self.begin(prompt_id);
                }
            }
            TurnEvent::BatchEnded => {
                self.answer(subagent.as_deref());
                if main {
                    self.begin(prompt_id);
                    // A prompt that was typed while a tool ran has joined the turn.
                    self.queued = false;
                }
            }
            TurnEvent::Active => {
                if main {
                    self.begin(prompt_id);
                }
            }
            TurnEvent::SubagentStarted => self.subagent_started(subagent),
            TurnEvent::SubagentEnded => {
                self.answer(subagent.as_deref());
                self.subagents.retain(|id| Some(id) != subagent.as_ref());
            }
            TurnEvent::Asked { waiting_for, what } => {
                if main {
                    self.begin(prompt_id);
                }
                // Where nobody sits, the answer is no, at once.
                if attended {
                    self.ask(Ask {
                        subagent,
                        waiting_for,
                        what: Some(what),
                    });
                }
            }
            TurnEvent::AskReminded => {
                if attended && self.open && self.asks.is_empty() {
                    let what = self.activity.clone();
                    self.ask(Ask {
                        subagent: None,
                        waiting_for: WaitingFor::Permission,
                        what,
                    });
                }
            }
            TurnEvent::IdleReminded => {
                self.end();
                self.asks.clear();
                self.unseen = true;
            }
            TurnEvent::Ended { subagents, shells } => self.ended(subagents, shells),
            TurnEvent::Failed { error } => {
                self.end();
                self.asks.clear();
                self.queued = false;
                self.failure = Some(error);
                self.unseen = true;
            }
        }
    }

    fn subagent_started(&mut self, subagent: Option<Box<str>>) {
        if let Some(id) = subagent
            && !self.subagents.contains(&id)
            && self.subagents.len() < MEMBERS
        {
            self.subagents.push(id);
        }
    }

    fn ended(&mut self, subagents: Vec<Box<str>>, shells: u32) {
        self.answer(None);
        self.shells = shells;
        self.outliving = u32::try_from(subagents.len()).unwrap_or(u32::MAX);
        self.subagents = subagents;
        self.subagents.truncate(MEMBERS);
        if std::mem::take(&mut self.queued) {
            // The next turn begins without a prompt of its own, under an id not yet known.
            self.prompt_id = None;
        } else {
            self.end();
            self.unseen = true;
        }
    }

    /// A turn runs: also mends a start that was missed.
    fn begin(&mut self, prompt_id: Option<Box<str>>) {
        self.open = true;
        self.failure = None;
        if prompt_id.is_some() {
            self.prompt_id = prompt_id;
        }
    }

    fn end(&mut self) {
        self.open = false;
        self.activity = None;
    }

    fn ask(&mut self, ask: Ask) {
        self.asks.retain(|other| other.subagent != ask.subagent);
        if self.asks.len() < MEMBERS {
            self.asks.push(ask);
        }
    }

    /// What this agent asked is settled; another agent's ask is not touched.
    fn answer(&mut self, subagent: Option<&str>) {
        self.asks.retain(|ask| ask.subagent.as_deref() != subagent);
    }
}
