//! What hooks tell of a turn: rich and immediate, but silent at an interrupt, at "No" and at "Yes".
//!
//! The mapping of an agent's events to these is `agents/`'s; what each does to the facts is here.

use super::{Ask, MEMBERS, Run, Source, Turn};
use crate::core::rule::Rule;
use crate::event::{Tool, TurnEvent};
use crate::protocol::WaitingFor;

/// One event of a hook, with whom it is of.
#[derive(Debug, Clone)]
pub(crate) struct Happened {
    pub(crate) event: TurnEvent,
    /// The subagent that it happened in; `None`: the main agent.
    pub(crate) subagent: Option<Box<str>>,
    pub(crate) prompt_id: Option<Box<str>>,
    /// Whether a person sits there to be asked.
    pub(crate) attended: bool,
}

impl Turn {
    /// Takes in what happened at `at`.
    pub(crate) fn happened(&mut self, happened: Happened, at: u64) -> Rule {
        let Happened {
            event,
            subagent,
            prompt_id,
            attended,
        } = happened;
        let main = subagent.is_none();
        let subagent = subagent.as_deref();
        self.hooked = true;
        match event {
            TurnEvent::PromptSubmitted { by_person, .. } => {
                self.prompt_submitted(by_person, prompt_id, at)
            }
            TurnEvent::ToolStarted { tool, asks_for } => {
                self.goes_on(subagent, prompt_id, at);
                self.settled = false;
                self.activity = Some(tool.clone());
                self.tools
                    .retain(|other| other.subagent.as_deref() != subagent);
                put(&mut self.tools, ask(subagent, asks_for, Some(tool), at));
                Rule::ToolStarted
            }
            TurnEvent::ToolEnded { tool } => {
                self.tool_ended(subagent, &tool);
                self.goes_on(subagent, prompt_id, at);
                Rule::ToolEnded
            }
            TurnEvent::BatchEnded => {
                self.answer(subagent);
                self.goes_on(subagent, prompt_id, at);
                if main {
                    // A prompt that was typed while a tool ran has joined the turn.
                    self.run = Run::On;
                }
                Rule::BatchEnded
            }
            TurnEvent::Active => {
                // A text may be shown just after the end of its turn, and opens no other.
                let is_over = matches!(self.run, Run::Over | Run::Ending);
                if !main || (is_over && prompt_id.is_some() && prompt_id == self.prompt_id) {
                    return Rule::AfterTheEnd;
                }
                self.begin(prompt_id, at);
                Rule::Active
            }
            TurnEvent::SubagentStarted => {
                self.subagent_runs(subagent);
                Rule::SubagentStarted
            }
            TurnEvent::SubagentEnded => self.subagent_ended(subagent),
            TurnEvent::Asked { waiting_for, tool } => {
                self.goes_on(subagent, prompt_id, at);
                if !attended {
                    return Rule::NobodyToAsk;
                }
                self.asked(ask(subagent, waiting_for, tool, at));
                Rule::Asked
            }
            TurnEvent::AskReminded if !attended => Rule::NobodyToAsk,
            TurnEvent::AskReminded => self.ask_reminded(at),
            TurnEvent::Answered => {
                self.asks.retain(|ask| ask.subagent.as_deref() != subagent);
                self.goes_on(subagent, prompt_id, at);
                Rule::Answered
            }
            TurnEvent::IdleReminded => {
                if !self.is_open() && self.asks.is_empty() {
                    return Rule::IdleKnown;
                }
                self.end();
                self.over_at = at;
                self.unseen = true;
                Rule::IdleReminded
            }
            TurnEvent::Compacted => {
                self.next_or_end();
                // Who has it compacted has seen what was there before.
                self.unseen = false;
                self.over_at = at;
                Rule::Compacted
            }
            // Only the main agent's end is the turn's.
            TurnEvent::Ended { .. } | TurnEvent::Failed { .. } if !main => {
                self.subagent_ended(subagent)
            }
            TurnEvent::Ended { subagents, shells } => {
                if self.run == Run::OnThenNext && prompt_id.is_some() && prompt_id != self.prompt_id
                {
                    // The first was interrupted, which no hook tells: this is the end of the one that was queued.
                    self.run = Run::On;
                }
                self.prompt_id = prompt_id.or(self.prompt_id.take());
                self.ended(subagents, shells, at)
            }
            TurnEvent::Failed { error } => {
                self.prompt_id = prompt_id.or(self.prompt_id.take());
                self.end();
                self.over_at = at;
                self.failure = Some(error);
                self.unseen = true;
                Rule::TurnFailed
            }
        }
    }

    fn prompt_submitted(&mut self, by_person: bool, prompt_id: Option<Box<str>>, at: u64) -> Rule {
        let queued = self.is_open() && by_person && prompt_id == self.prompt_id;
        self.begin(prompt_id, at);
        self.settled = false;
        self.activity = None;
        if by_person {
            self.unseen = false;
            // Who types a prompt has no dialog before them: a "No" or Esc tells nothing.
            self.asks.clear();
        }
        if queued {
            self.run = Run::OnThenNext;
            return Rule::PromptQueued;
        }
        if by_person {
            return Rule::PromptStarted;
        }
        if !self.has_subagents() {
            // Then it was a shell that ended; the turn's end tells how many are left.
            self.shells = self.shells.saturating_sub(1);
        }
        Rule::TaskReported
    }

    fn asked(&mut self, ask: Ask) {
        self.settled = false;
        self.asks.retain(|ask| ask.source == Source::Hook);
        put(&mut self.asks, ask);
    }

    fn ask_reminded(&mut self, at: u64) -> Rule {
        if !self.asks.is_empty() {
            Rule::ReminderKnown
        } else if self.settled && self.tools.is_empty() {
            Rule::ReminderLate
        } else {
            self.asks.push(self.guess(None, at));
            Rule::AskReminded
        }
    }

    fn ended(&mut self, subagents: Vec<Box<str>>, shells: u32, at: u64) -> Rule {
        let next = self.run == Run::OnThenNext;
        self.shells = shells;
        self.outliving = u32::try_from(subagents.len()).unwrap_or(u32::MAX);
        self.subagents = subagents;
        self.subagents.truncate(MEMBERS);
        self.unseen |= !next;
        self.over_at = at;
        if !next && self.outliving == 0 && self.is_registered_busy() {
            self.answer(None);
            self.run = Run::Ending;
            return Rule::TurnEnding;
        }
        self.next_or_end();
        if next {
            Rule::TurnEndedNextFollows
        } else if self.outliving > 0 {
            Rule::TurnEndedSubagentsGoOn
        } else {
            Rule::TurnEnded
        }
    }

    /// A tool has ended, so it asks no more. Tools that run side by side ask one after the other: an ask of the same
    /// agent about another call stays.
    fn tool_ended(&mut self, subagent: Option<&str>, tool: &Tool) {
        let of_tool = |ask: &Ask| {
            ask.subagent.as_deref() == subagent
                && ask
                    .tool
                    .as_ref()
                    .is_none_or(|asked| asked.name == tool.name)
        };
        let is_it = |ask: &Ask| of_tool(ask) && ask.tool.as_ref() == Some(tool);
        if self.asks.iter().any(is_it) {
            self.asks.retain(|ask| !is_it(ask));
        } else {
            self.asks.retain(|ask| !of_tool(ask));
        }
        self.tools.retain(|ask| !of_tool(ask));
        self.settled = true;
    }

    fn subagent_runs(&mut self, subagent: Option<&str>) {
        if let Some(id) = subagent
            && !self.subagents.iter().any(|known| **known == *id)
            && self.subagents.len() < MEMBERS
        {
            self.subagents.push(id.into());
        }
    }

    fn subagent_ended(&mut self, subagent: Option<&str>) -> Rule {
        self.answer(subagent);
        self.subagents.retain(|id| Some(&**id) != subagent);
        Rule::SubagentEnded
    }

    /// This agent is at work: the turn runs, or the subagent does. Also mends a start that was missed.
    fn goes_on(&mut self, subagent: Option<&str>, prompt_id: Option<Box<str>>, at: u64) {
        if subagent.is_none() {
            self.begin(prompt_id, at);
        } else {
            self.worked_at = at;
            self.subagent_runs(subagent);
        }
    }

    fn begin(&mut self, prompt_id: Option<Box<str>>, at: u64) {
        self.failure = None;
        self.worked_at = at;
        let is_another = prompt_id.is_some() && prompt_id != self.prompt_id;
        if is_another || (prompt_id.is_none() && !self.is_open()) {
            self.began_at = at;
        }
        if is_another {
            self.prompt_id = prompt_id;
            // Of another turn: what was queued in the former one is this one, or was thrown away with it.
            self.run = Run::On;
            self.tools.retain(|tool| tool.subagent.is_some());
        } else if self.run != Run::OnThenNext {
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
}

fn ask(subagent: Option<&str>, waiting_for: WaitingFor, tool: Option<Tool>, at: u64) -> Ask {
    Ask {
        subagent: subagent.map(Into::into),
        waiting_for,
        tool,
        at,
        source: Source::Hook,
    }
}

/// One ask of each agent about each call.
fn put(asks: &mut Vec<Ask>, ask: Ask) {
    asks.retain(|other| other.subagent != ask.subagent || other.tool != ask.tool);
    if asks.len() < MEMBERS {
        asks.push(ask);
    }
}
