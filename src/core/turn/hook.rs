//! What hooks report of a turn: detailed and immediate, but none fires at an interrupt, at "No" and at "Yes".
//!
//! `agents/` maps an agent's events to these; what each does to the facts is here.

use super::{Hooks, LastTurn, MAX_MEMBERS, PendingPrompt, Phase, Reminder, Source, Turn};
use crate::core::evidence::Rule;
use crate::event::{Timing, Tool, TurnEvent};
use crate::protocol::WaitingFor;

/// One event of a hook, with the agent that it is of.
#[derive(Debug, Clone)]
pub(crate) struct HookEvent {
    pub(crate) event: TurnEvent,
    /// The subagent that it happened in; `None`: the main agent.
    pub(crate) subagent: Option<Box<str>>,
    pub(crate) prompt_id: Option<Box<str>>,
    /// Whether a person sits there to be asked.
    pub(crate) attended: bool,
}

impl Turn {
    /// Applies an event that happened at `at`.
    pub(crate) fn apply_hook(&mut self, hook: HookEvent, at: u64, timing: Timing) -> Rule {
        let HookEvent {
            event,
            subagent,
            prompt_id,
            attended,
        } = hook;
        let main = subagent.is_none();
        let subagent = subagent.as_deref();
        self.hooks = Hooks::Reporting;
        match event {
            TurnEvent::PromptSubmitted { by_person, .. } => {
                self.prompt_submitted(by_person, prompt_id, at)
            }
            TurnEvent::ToolStarted { tool, asks_for } => {
                self.mark_active(subagent, prompt_id, at);
                self.reminder = Reminder::Unreported;
                self.activity = Some(tool.clone());
                self.tool_calls
                    .retain(|other| other.subagent.as_deref() != subagent);
                put(
                    &mut self.tool_calls,
                    prompt(subagent, asks_for, Some(tool), at),
                );
                Rule::ToolStarted
            }
            TurnEvent::ToolEnded { tool } => {
                self.tool_ended(subagent, &tool);
                self.mark_active(subagent, prompt_id, at);
                Rule::ToolEnded
            }
            TurnEvent::BatchEnded => {
                self.answer(subagent);
                self.mark_active(subagent, prompt_id, at);
                if main {
                    // A prompt that was typed while a tool ran has joined the turn.
                    self.phase = Phase::Running;
                }
                Rule::BatchEnded
            }
            TurnEvent::Active => {
                // A text may be shown just after the end of its turn, and opens no other.
                let is_over = matches!(self.phase, Phase::Idle | Phase::Stopping);
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
                self.mark_active(subagent, prompt_id, at);
                if !attended {
                    return Rule::NobodyToAsk;
                }
                self.prompted(prompt(subagent, waiting_for, tool, at));
                Rule::Asked
            }
            TurnEvent::AskReminded if !attended => Rule::NobodyToAsk,
            TurnEvent::AskReminded => self.ask_reminded(at),
            TurnEvent::Answered => {
                self.pending
                    .retain(|prompt| prompt.subagent.as_deref() != subagent);
                self.mark_active(subagent, prompt_id, at);
                Rule::Answered
            }
            TurnEvent::IdleReminded => self.idle_reminded(at),
            TurnEvent::Compacted => {
                self.next_or_end();
                // A person who compacts the conversation has seen what it came to.
                self.seen();
                self.over_at = at;
                Rule::Compacted
            }
            // Only the main agent's end is the turn's.
            TurnEvent::Ended { .. } | TurnEvent::Failed { .. } if !main => {
                self.subagent_ended(subagent)
            }
            TurnEvent::Ended { subagents, shells } => {
                if prompt_id.is_some() && prompt_id != self.prompt_id {
                    self.drop_queued();
                }
                self.prompt_id = prompt_id.or(self.prompt_id.take());
                self.ended(subagents, shells, at, timing)
            }
            TurnEvent::Failed { error } => {
                self.prompt_id = prompt_id.or(self.prompt_id.take());
                self.end();
                self.over_at = at;
                self.last = LastTurn::Failed(error);
                Rule::TurnFailed
            }
        }
    }

    fn prompt_submitted(&mut self, by_person: bool, prompt_id: Option<Box<str>>, at: u64) -> Rule {
        let queued = self.is_open() && by_person && prompt_id == self.prompt_id;
        self.begin(prompt_id, at);
        self.reminder = Reminder::Unreported;
        self.activity = None;
        if by_person {
            self.seen();
            // A person who types a prompt has no open dialog: a "No" or Esc is not reported.
            self.pending.clear();
        }
        if queued {
            self.phase = Phase::RunningWithQueued;
            return Rule::PromptQueued;
        }
        if by_person {
            return Rule::PromptStarted;
        }
        if !self.has_subagents() {
            // Then a shell has ended; the turn's end reports how many are left.
            self.background_shells = self.background_shells.saturating_sub(1);
        }
        Rule::TaskReported
    }

    /// The first turn was interrupted, which no hook reports: what ends is the one that was queued.
    fn drop_queued(&mut self) {
        if self.phase == Phase::RunningWithQueued {
            self.phase = Phase::Running;
        }
    }

    fn prompted(&mut self, prompt: PendingPrompt) {
        self.reminder = Reminder::Unreported;
        self.pending.retain(|prompt| prompt.source == Source::Hook);
        put(&mut self.pending, prompt);
    }

    fn ask_reminded(&mut self, at: u64) -> Rule {
        if !self.pending.is_empty() {
            Rule::ReminderKnown
        } else if self.reminder == Reminder::Closed && self.tool_calls.is_empty() {
            Rule::ReminderLate
        } else {
            self.pending.push(self.infer_prompt(None, at));
            Rule::AskReminded
        }
    }

    fn idle_reminded(&mut self, at: u64) -> Rule {
        if !self.is_open() && self.pending.is_empty() {
            return Rule::IdleKnown;
        }
        self.end();
        self.over_at = at;
        self.finish();
        Rule::IdleReminded
    }

    fn ended(&mut self, subagents: Vec<Box<str>>, shells: u32, at: u64, timing: Timing) -> Rule {
        let next = self.phase == Phase::RunningWithQueued;
        self.background_shells = shells;
        self.background_subagents = u32::try_from(subagents.len()).unwrap_or(u32::MAX);
        self.subagents = subagents;
        self.subagents.truncate(MAX_MEMBERS);
        if !next {
            self.finish();
        }
        self.over_at = at;
        if !next && self.background_subagents == 0 && self.is_registered_busy(timing) {
            self.answer(None);
            self.phase = Phase::Stopping;
            return Rule::TurnEnding;
        }
        self.next_or_end();
        if next {
            Rule::TurnEndedNextFollows
        } else if self.background_subagents > 0 {
            Rule::TurnEndedSubagentsGoOn
        } else {
            Rule::TurnEnded
        }
    }

    /// A tool has ended, so its prompt was answered. Tools that run side by side ask one after the other: a prompt of the
    /// same agent about another call stays.
    fn tool_ended(&mut self, subagent: Option<&str>, tool: &Tool) {
        let of_tool = |prompt: &PendingPrompt| {
            prompt.subagent.as_deref() == subagent
                && prompt
                    .tool
                    .as_ref()
                    .is_none_or(|asked| asked.name == tool.name)
        };
        let is_it = |prompt: &PendingPrompt| of_tool(prompt) && prompt.tool.as_ref() == Some(tool);
        if self.pending.iter().any(is_it) {
            self.pending.retain(|prompt| !is_it(prompt));
        } else {
            self.pending.retain(|prompt| !of_tool(prompt));
        }
        self.tool_calls.retain(|prompt| !of_tool(prompt));
        self.reminder = Reminder::Closed;
    }

    fn subagent_runs(&mut self, subagent: Option<&str>) {
        if let Some(id) = subagent
            && !self.subagents.iter().any(|known| **known == *id)
            && self.subagents.len() < MAX_MEMBERS
        {
            self.subagents.push(id.into());
        }
    }

    fn subagent_ended(&mut self, subagent: Option<&str>) -> Rule {
        self.answer(subagent);
        self.subagents.retain(|id| Some(&**id) != subagent);
        Rule::SubagentEnded
    }

    /// This agent is at work: the turn runs, or the subagent does. Also corrects a start that was missed.
    fn mark_active(&mut self, subagent: Option<&str>, prompt_id: Option<Box<str>>, at: u64) {
        if subagent.is_none() {
            self.begin(prompt_id, at);
        } else {
            self.worked_at = at;
            self.subagent_runs(subagent);
        }
    }

    fn begin(&mut self, prompt_id: Option<Box<str>>, at: u64) {
        self.clear_failure();
        self.worked_at = at;
        let is_another = prompt_id.is_some() && prompt_id != self.prompt_id;
        if is_another || (prompt_id.is_none() && !self.is_open()) {
            self.began_at = at;
        }
        if is_another {
            self.prompt_id = prompt_id;
            // Of another turn: what was queued in the former one is this one, or was thrown away with it.
            self.phase = Phase::Running;
            self.tool_calls.retain(|tool| tool.subagent.is_some());
        } else if self.phase != Phase::RunningWithQueued {
            self.phase = Phase::Running;
        }
    }

    /// The turn has ended, and the one that was queued begins, if any.
    fn next_or_end(&mut self) {
        if self.phase == Phase::RunningWithQueued {
            self.phase = Phase::Running;
            self.answer(None);
            // It has no prompt of its own, and an id not yet known.
            self.prompt_id = None;
        } else {
            self.end();
        }
    }
}

fn prompt(
    subagent: Option<&str>,
    waiting_for: WaitingFor,
    tool: Option<Tool>,
    at: u64,
) -> PendingPrompt {
    PendingPrompt {
        subagent: subagent.map(Into::into),
        waiting_for,
        tool,
        at,
        source: Source::Hook,
    }
}

/// Keeps one prompt of each agent about each call.
fn put(prompts: &mut Vec<PendingPrompt>, prompt: PendingPrompt) {
    prompts.retain(|other| other.subagent != prompt.subagent || other.tool != prompt.tool);
    if prompts.len() < MAX_MEMBERS {
        prompts.push(prompt);
    }
}
