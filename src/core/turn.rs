//! The turn: what an agent is in the middle of, and the status that follows from it.
//!
//! Facts, not a status: whether a turn runs, what is asked and by whom, which subagents go on. [`Turn::status`]
//! derives the rest, so that no order of events can leave a status behind that no fact supports. Called by
//! [`super::timeline`] in the order of the stamps; read by [`super::session`].

use std::borrow::Cow;

use super::event::TurnEvent;
use crate::protocol::{self, Status, WaitingFor, one_line};

/// How many pending asks and running subagents are kept: far more than a screen holds, few enough that a hook gone
/// wild can't grow the daemon.
const MEMBERS: usize = 64;

/// Something an agent asks a person, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ask {
    subagent: Option<Box<str>>,
    waiting_for: WaitingFor,
    what: Option<Box<str>>,
}

/// Whether a turn runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Run {
    #[default]
    Over,
    On,
    /// A prompt was typed while it ran: another turn follows, without a prompt of its own.
    OnThenNext,
}

/// What the hooks have told of the turn so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    run: Run,
    /// The prompt of the turn that runs, or ran last.
    prompt_id: Option<Box<str>>,
    asks: Vec<Ask>,
    /// What each agent would ask about now: the tool that it began last, until that has ended.
    tools: Vec<Ask>,
    /// The last that was heard is that a tool or the turn ended: a reminder now is of an ask that was answered.
    settled: bool,
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
            None if self.is_open() || self.outliving > 0 || !self.subagents.is_empty() => {
                (Status::Working, None)
            }
            None => (Status::Idle, None),
        }
    }

    fn is_open(&self) -> bool {
        self.run != Run::Over
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
            Status::Working => match (&self.activity, self.subagents.len()) {
                (Some(activity), _) => Some(Cow::Borrowed(&**activity)),
                (None, 0) => None,
                (None, _) if self.is_open() => None,
                (None, 1) => Some("1 subagent runs".into()),
                (None, subagents) => Some(format!("{subagents} subagents run").into()),
            },
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
                let queued = self.is_open() && by_person && prompt_id == self.prompt_id;
                self.begin(prompt_id);
                if queued {
                    self.run = Run::OnThenNext;
                }
                self.settled = false;
                self.activity = None;
                if by_person {
                    self.unseen = false;
                    // Who types a prompt has no dialog before them: a "No" or Esc tells nothing.
                    self.asks.clear();
                }
            }
            TurnEvent::ToolStarted { what, asks_for } => {
                self.goes_on(subagent.as_deref(), prompt_id);
                self.settled = false;
                // An ask names the tool without the colon: "permission: Bash cargo test".
                let about = what.replacen(": ", " ", 1).into();
                self.activity = Some(what);
                put(
                    &mut self.tools,
                    Ask {
                        subagent,
                        waiting_for: asks_for,
                        what: Some(about),
                    },
                );
            }
            TurnEvent::ToolEnded => {
                self.answer(subagent.as_deref());
                self.goes_on(subagent.as_deref(), prompt_id);
            }
            TurnEvent::BatchEnded => {
                self.answer(subagent.as_deref());
                self.goes_on(subagent.as_deref(), prompt_id);
                if main {
                    // A prompt that was typed while a tool ran has joined the turn.
                    self.run = Run::On;
                }
            }
            TurnEvent::Active => {
                // A text may be shown just after the end of its turn, and opens no other.
                if main && (self.is_open() || prompt_id.is_none() || prompt_id != self.prompt_id) {
                    self.begin(prompt_id);
                }
            }
            TurnEvent::SubagentStarted => self.subagent_runs(subagent.as_deref()),
            TurnEvent::SubagentEnded => self.subagent_ended(subagent.as_deref()),
            TurnEvent::Asked { waiting_for, what } => {
                self.goes_on(subagent.as_deref(), prompt_id);
                // Where nobody sits, the answer is no, at once.
                if attended {
                    let what = Some(what);
                    put(
                        &mut self.asks,
                        Ask {
                            subagent,
                            waiting_for,
                            what,
                        },
                    );
                }
            }
            TurnEvent::AskReminded => {
                if attended && self.asks.is_empty() {
                    self.asks.extend(self.asked_about());
                }
            }
            TurnEvent::Answered => {
                self.asks.retain(|ask| ask.subagent != subagent);
                self.goes_on(subagent.as_deref(), prompt_id);
            }
            TurnEvent::IdleReminded => {
                self.end();
                self.unseen = true;
            }
            TurnEvent::Compacted => self.next_or_end(),
            // Only the main agent's end is the turn's.
            TurnEvent::Ended { .. } | TurnEvent::Failed { .. } if !main => {
                self.subagent_ended(subagent.as_deref());
            }
            TurnEvent::Ended { subagents, shells } => {
                self.prompt_id = prompt_id.or(self.prompt_id.take());
                self.shells = shells;
                self.outliving = u32::try_from(subagents.len()).unwrap_or(u32::MAX);
                self.subagents = subagents;
                self.subagents.truncate(MEMBERS);
                self.unseen |= self.run != Run::OnThenNext;
                self.next_or_end();
            }
            TurnEvent::Failed { error } => {
                self.prompt_id = prompt_id.or(self.prompt_id.take());
                self.end();
                self.failure = Some(error);
                self.unseen = true;
            }
        }
    }

    fn subagent_runs(&mut self, subagent: Option<&str>) {
        if let Some(id) = subagent
            && !self.subagents.iter().any(|known| **known == *id)
            && self.subagents.len() < MEMBERS
        {
            self.subagents.push(id.into());
        }
    }

    fn subagent_ended(&mut self, subagent: Option<&str>) {
        self.answer(subagent);
        self.subagents.retain(|id| Some(&**id) != subagent);
    }

    /// This agent is at work: the turn runs, or the subagent does. Also mends a start that was missed.
    fn goes_on(&mut self, subagent: Option<&str>, prompt_id: Option<Box<str>>) {
        if subagent.is_none() {
            self.begin(prompt_id);
        } else {
            self.subagent_runs(subagent);
        }
    }

    fn begin(&mut self, prompt_id: Option<Box<str>>) {
        self.failure = None;
        if prompt_id.is_some() && prompt_id != self.prompt_id {
            self.prompt_id = prompt_id;
            // Of another turn: what was queued in the former one is this one, or was thrown away with it.
            self.run = Run::On;
            self.tools.retain(|tool| tool.subagent.is_some());
        } else if self.run == Run::Over {
            self.run = Run::On;
        }
    }

    /// The turn has ended, and the one that was queued begins, if any.
    fn next_or_end(&mut self) {
        if self.run == Run::OnThenNext {
            self.run = Run::On;
            self.answer(None);
            // It has no prompt of its own, and an id not yet known.
            self.prompt_id = None;
        } else {
            self.end();
        }
    }

    fn end(&mut self) {
        self.answer(None);
        self.run = Run::Over;
        self.activity = None;
    }

    /// What this agent asked or could have asked is settled; another agent's ask is not touched.
    fn answer(&mut self, subagent: Option<&str>) {
        let of_others = |ask: &Ask| ask.subagent.as_deref() != subagent;
        self.asks.retain(of_others);
        self.tools.retain(of_others);
        self.settled = true;
    }

    /// What a reminder is about that no request came before: a tool that has begun, or something that was asked
    /// before the daemon heard of the session. A reminder that comes just after the answer is about nothing.
    fn asked_about(&self) -> Option<Ask> {
        let unknown = Ask {
            subagent: None,
            waiting_for: WaitingFor::Permission,
            what: None,
        };
        self.tools
            .last()
            .cloned()
            .or((!self.settled).then_some(unknown))
    }
}

/// One ask of each agent: the last.
fn put(asks: &mut Vec<Ask>, ask: Ask) {
    asks.retain(|other| other.subagent != ask.subagent);
    if asks.len() < MEMBERS {
        asks.push(ask);
    }
}
