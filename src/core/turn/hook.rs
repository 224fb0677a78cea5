//! What hooks report of a turn: detailed and immediate, but none fires at an interrupt, at "No" and at "Yes".
//!
//! `agents/` maps an agent's events to these; what each does to the facts is here.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::{Hooks, LastTurn, MAX_MEMBERS, PendingPrompt, Phase, Reminder, Source, Turn};
use crate::core::evidence::Rule;
use crate::event::{PromptOrigin, RegistryStatus, Timing, Tool, TurnEvent};
use crate::protocol::WaitingFor;

/// One event of a hook, with the agent that it is of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HookEvent {
    pub(crate) event: TurnEvent,
    /// The subagent that it happened in; `None`: the main agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subagent: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prompt_id: Option<Box<str>>,
    /// Whether a person sits there to be asked.
    pub(crate) attended: bool,
    /// A hash of the prompt that the event brings; the text itself is not kept.
    prompt_hash: u64,
}

impl HookEvent {
    pub(crate) fn new(
        mut event: TurnEvent,
        subagent: Option<Box<str>>,
        prompt_id: Option<Box<str>>,
        attended: bool,
    ) -> Self {
        let mut hasher = DefaultHasher::new();
        if let TurnEvent::PromptSubmitted { text, .. } = &mut event {
            text.take().hash(&mut hasher);
        }
        Self {
            event,
            subagent,
            prompt_id,
            attended,
            prompt_hash: hasher.finish(),
        }
    }
}

impl Turn {
    /// Applies an event that happened at `at`.
    pub(crate) fn apply_hook(&mut self, hook: HookEvent, at: u64, timing: Timing) -> Rule {
        let HookEvent {
            event,
            subagent,
            prompt_id,
            attended,
            prompt_hash,
        } = hook;
        let main = subagent.is_none();
        let subagent = subagent.as_deref();
        self.hooks = Hooks::Reporting;
        if let Some((id, starts)) = subagent.zip(shows_work(&event))
            && self.background.is_over(id, starts, at, timing)
        {
            return Rule::AfterTheEnd;
        }
        if main && let Some(rule) = self.late(&event, prompt_id.as_deref(), at, timing) {
            return rule;
        }
        match event {
            TurnEvent::PromptSubmitted { text: _, origin } => {
                self.prompt_submitted(prompt_hash, origin, prompt_id, at, timing)
            }
            TurnEvent::ToolStarted { tool, asks_for } => {
                self.mark_active(subagent, prompt_id, at, timing);
                self.tool_started(prompt(subagent, asks_for, Some(tool), at));
                Rule::ToolStarted
            }
            TurnEvent::ToolEnded { tool } => {
                self.tool_ended(subagent, &tool);
                self.mark_active(subagent, prompt_id, at, timing);
                Rule::ToolEnded
            }
            TurnEvent::BatchEnded => {
                self.batch_ended(subagent, prompt_id, at, timing);
                Rule::BatchEnded
            }
            TurnEvent::Active if !main => Rule::AfterTheEnd,
            TurnEvent::Active => self.active(prompt_id, at, timing),
            TurnEvent::SubagentStarted => {
                if let Some(id) = subagent {
                    self.background.subagent_runs(id);
                }
                Rule::SubagentStarted
            }
            TurnEvent::SubagentEnded => self.subagent_ended(subagent, at),
            TurnEvent::Asked {
                id,
                waiting_for,
                tool,
            } => {
                if !(main && self.asks_after_end(waiting_for, timing)) {
                    self.mark_active(subagent, prompt_id, at, timing);
                }
                let asked = PendingPrompt {
                    id,
                    ..prompt(subagent, waiting_for, tool, at)
                };
                self.asked(asked, attended)
            }
            TurnEvent::AskReminded { .. } if !attended => Rule::NobodyToAsk,
            TurnEvent::AskReminded { waiting_for } => self.ask_reminded(waiting_for, at),
            TurnEvent::Answered { id } => {
                if !self.answers_result(id.as_deref()) {
                    self.mark_active(subagent, prompt_id, at, timing);
                }
                self.answered(subagent, id.as_deref());
                Rule::Answered
            }
            TurnEvent::Retrying { error } => {
                self.mark_active(subagent, prompt_id, at, timing);
                if main {
                    self.retrying = Some(error);
                }
                Rule::Retrying
            }
            TurnEvent::TaskStarted(task) => {
                self.background.task_runs(task);
                Rule::TaskStarted
            }
            TurnEvent::TaskEnded(id) => {
                self.background.ended(&id, at);
                Rule::TaskEnded
            }
            TurnEvent::Status(status) => self.apply_registry(status, attended, at, timing),
            // Only the main agent's end is the turn's.
            TurnEvent::Ended { .. } | TurnEvent::Failed { .. } | TurnEvent::Interrupted
                if !main =>
            {
                self.subagent_ended(subagent, at)
            }
            TurnEvent::IdleReminded => self.idle_reminded(at, timing),
            TurnEvent::Compacted => self.compacted(at),
            TurnEvent::Ended { remaining } => self.ended(remaining, prompt_id, at, timing),
            TurnEvent::Failed { error } => self.failed(error, prompt_id, at),
            // A run without a person ends with its turn: its process exits in a moment.
            TurnEvent::Interrupted if !attended => self.ended(None, prompt_id, at, timing),
            TurnEvent::Interrupted => self.interrupted(at),
            TurnEvent::Seen => {
                self.seen();
                Rule::Seen
            }
        }
    }

    fn prompt_submitted(
        &mut self,
        prompt_hash: u64,
        origin: PromptOrigin,
        prompt_id: Option<Box<str>>,
        at: u64,
        timing: Timing,
    ) -> Rule {
        let was_open = self.is_open() && prompt_id == self.prompt_id;
        // The end of the turn before, of which no person has been shown the result.
        self.ending = None;
        self.begin(prompt_id, at, timing);
        self.reminder = Reminder::Unreported;
        self.activity = None;
        match origin {
            PromptOrigin::Person => {
                self.seen();
                // A person who types a prompt has no open dialog: a "No" or Esc is not reported.
                self.pending.clear();
                let is_repeated = self.is_repeated(prompt_hash, at, timing);
                if was_open && !is_repeated {
                    self.phase = Phase::RunningWithQueued;
                    return Rule::PromptQueued;
                }
                Rule::PromptStarted
            }
            PromptOrigin::PersonNow => {
                self.seen();
                self.answer_all();
                self.phase = Phase::Running;
                Rule::PromptStarted
            }
            PromptOrigin::Agent => Rule::AgentPrompted,
            PromptOrigin::Task(id) => {
                self.background.task_reported(id.as_deref(), at);
                Rule::TaskReported
            }
        }
    }

    fn batch_ended(
        &mut self,
        subagent: Option<&str>,
        prompt_id: Option<Box<str>>,
        at: u64,
        timing: Timing,
    ) {
        self.answer(subagent);
        self.mark_active(subagent, prompt_id, at, timing);
        if subagent.is_none() {
            // A prompt that was typed while a tool ran has joined the turn.
            self.phase = Phase::Running;
        }
    }

    /// The main agent shows a text.
    fn active(&mut self, prompt_id: Option<Box<str>>, at: u64, timing: Timing) -> Rule {
        // A text may be shown just after the end of its turn, and opens no other.
        let is_over = matches!(self.phase, Phase::Idle | Phase::Stopping);
        if is_over && prompt_id.is_some() && prompt_id == self.prompt_id {
            return Rule::AfterTheEnd;
        }
        self.begin(prompt_id, at, timing);
        Rule::Active
    }

    /// True if the same prompt was reported just before: a hook that is registered twice runs twice, and a person does
    /// not type a prompt again as fast.
    fn is_repeated(&mut self, hash: u64, at: u64, timing: Timing) -> bool {
        let before = self.last_prompt.replace((hash, at));
        before.is_some_and(|(other, other_at)| other == hash && at <= other_at + timing.race_ms)
    }

    fn answered(&mut self, subagent: Option<&str>, id: Option<&str>) {
        self.pending.retain(|prompt| match id {
            Some(id) => prompt.id.as_deref() != Some(id),
            None => prompt.subagent.as_deref() != subagent,
        });
    }

    /// True if this is asked of what a turn came to, such as a plan, and not by a turn: none that is known runs. An end
    /// that has not lasted yet counts.
    fn asks_after_end(&mut self, waiting_for: WaitingFor, timing: Timing) -> bool {
        let is_over = self.ending.is_some() || (!self.is_open() && self.over_at > 0);
        let is_result = waiting_for == WaitingFor::Plan && is_over;
        if is_result {
            self.settle_end(timing);
        }
        is_result
    }

    /// True if this answers what was asked after the end of a turn: what the answer starts is reported on its own. A
    /// person who answers has seen what the turn came to.
    fn answers_result(&mut self, id: Option<&str>) -> bool {
        let is_it = |prompt: &PendingPrompt| id.is_none() || prompt.id.as_deref() == id;
        let asked = self.pending.iter().find(|prompt| is_it(prompt));
        let is_plan = asked.is_some_and(|prompt| prompt.waiting_for == WaitingFor::Plan);
        let is_result = is_plan && !self.is_open();
        if is_result {
            self.seen();
        }
        is_result
    }

    fn asked(&mut self, asked: PendingPrompt, attended: bool) -> Rule {
        if !attended {
            return Rule::NobodyToAsk;
        }
        self.prompted(asked);
        Rule::Asked
    }

    fn prompted(&mut self, prompt: PendingPrompt) {
        self.reminder = Reminder::Unreported;
        self.pending.retain(|prompt| prompt.source == Source::Hook);
        put(&mut self.pending, prompt);
    }

    fn ask_reminded(&mut self, waiting_for: Option<WaitingFor>, at: u64) -> Rule {
        if !self.pending.is_empty() {
            Rule::ReminderKnown
        } else if self.reminder == Reminder::Closed && self.tool_calls.is_empty() {
            Rule::ReminderLate
        } else {
            self.pending.push(self.infer_prompt(waiting_for, at));
            Rule::AskReminded
        }
    }

    fn tool_started(&mut self, call: PendingPrompt) {
        self.reminder = Reminder::Unreported;
        self.activity.clone_from(&call.tool);
        self.tool_calls
            .retain(|other| other.subagent != call.subagent);
        put(&mut self.tool_calls, call);
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
            // An ask with an id is answered by that alone, or by its own call.
            self.pending
                .retain(|prompt| prompt.id.is_some() || !of_tool(prompt));
        }
        self.tool_calls.retain(|prompt| !of_tool(prompt));
        self.reminder = Reminder::Closed;
    }

    fn subagent_ended(&mut self, subagent: Option<&str>, at: u64) -> Rule {
        self.answer(subagent);
        let ran = self.background.is_working();
        if let Some(id) = subagent {
            self.background.ended(id, at);
        }
        if ran && !self.runs() && self.last == LastTurn::Interrupted {
            // It outlived the turn that a person has ended, and its result starts no other.
            self.finish();
            return Rule::ResultUnread;
        }
        Rule::SubagentEnded
    }

    /// This agent is at work: the turn runs, or the subagent does. Also corrects a start that was missed.
    fn mark_active(
        &mut self,
        subagent: Option<&str>,
        prompt_id: Option<Box<str>>,
        at: u64,
        timing: Timing,
    ) {
        match subagent {
            None => self.begin(prompt_id, at, timing),
            Some(id) => {
                self.worked_at = at;
                self.background.subagent_runs(id);
            }
        }
    }

    fn begin(&mut self, prompt_id: Option<Box<str>>, at: u64, timing: Timing) {
        self.clear_failure();
        self.worked_at = at;
        self.interrupted_at = None;
        self.ending = None;
        self.retrying = None;
        // The turn of a queued prompt has begun, but its id is not known before its first event.
        let is_unnamed = self.phase == Phase::Running && self.prompt_id.is_none();
        let is_another = prompt_id.is_some() && prompt_id != self.prompt_id;
        if (is_another && !is_unnamed) || (prompt_id.is_none() && !self.is_open()) {
            self.began_at = self.begins(at, timing);
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

    /// When a turn began whose first hook is stamped `at`: at the registry's busy that no other turn explains, if the
    /// registry still says so, or did so when the hook may have fired.
    fn begins(&mut self, at: u64, timing: Timing) -> u64 {
        let busy_at = self.unreported_at.take().filter(|busy_at| *busy_at < at);
        let is_of_this_turn = match self.registry {
            Some((RegistryStatus::Busy | RegistryStatus::Waiting(_), _)) => true,
            Some((RegistryStatus::Idle | RegistryStatus::Shell, idle_at)) => {
                at <= idle_at + timing.race_ms
            }
            Some((RegistryStatus::Unknown, _)) | None => false,
        };
        busy_at.filter(|_| is_of_this_turn).unwrap_or(at)
    }
}

/// Whether an event shows the subagent at work that it happened in: `Some(true)` if only one at work reports it,
/// `Some(false)` if it may also come just after the end.
fn shows_work(event: &TurnEvent) -> Option<bool> {
    match event {
        TurnEvent::SubagentStarted | TurnEvent::ToolStarted { .. } | TurnEvent::Asked { .. } => {
            Some(true)
        }
        TurnEvent::ToolEnded { .. }
        | TurnEvent::BatchEnded
        | TurnEvent::Active
        | TurnEvent::Answered { .. } => Some(false),
        TurnEvent::PromptSubmitted { .. }
        | TurnEvent::SubagentEnded
        | TurnEvent::AskReminded { .. }
        | TurnEvent::Compacted
        | TurnEvent::IdleReminded
        | TurnEvent::Interrupted
        | TurnEvent::Seen
        | TurnEvent::Retrying { .. }
        | TurnEvent::TaskStarted(_)
        | TurnEvent::TaskEnded(_)
        | TurnEvent::Status(_)
        | TurnEvent::Ended { .. }
        | TurnEvent::Failed { .. } => None,
    }
}

fn prompt(
    subagent: Option<&str>,
    waiting_for: WaitingFor,
    tool: Option<Tool>,
    at: u64,
) -> PendingPrompt {
    PendingPrompt {
        id: None,
        subagent: subagent.map(Into::into),
        waiting_for,
        tool,
        at,
        source: Source::Hook,
    }
}

/// Keeps one prompt of each agent about each call, or of each id.
fn put(prompts: &mut Vec<PendingPrompt>, prompt: PendingPrompt) {
    let is_other = |other: &PendingPrompt| match (&other.id, &prompt.id) {
        (Some(other), Some(id)) => other != id,
        _ => other.subagent != prompt.subagent || other.tool != prompt.tool,
    };
    prompts.retain(is_other);
    if prompts.len() < MAX_MEMBERS {
        prompts.push(prompt);
    }
}
