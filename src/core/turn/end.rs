//! How a turn ends: by the agent's own word, by an error, or by a person.
//!
//! The end of a turn may be followed at once by the turn of a queued prompt, and the rest of a turn that a person has
//! ended may come seconds later. Called by [`super::hook`] and, for an end that has lasted, by [`super::registry`].

use super::{Ending, LastTurn, Phase, Turn};
use crate::core::evidence::Rule;
use crate::event::{Remaining, Timing, TurnEvent};

/// How late, in ms after an interrupt, the rest of the turn may come: a command may take seconds to die.
const AFTERMATH_MS: u64 = 10_000;

impl Turn {
    /// The agent has made the conversation shorter.
    pub(super) fn compacted(&mut self, at: u64) -> Rule {
        self.next_or_end(at);
        // A person who compacts the conversation has seen what it came to.
        self.seen();
        self.over_at = at;
        Rule::Compacted
    }

    /// The main agent has come to an end.
    pub(super) fn ended(
        &mut self,
        remaining: Option<Box<Remaining>>,
        prompt_id: Option<Box<str>>,
        at: u64,
        timing: Timing,
    ) -> Rule {
        if self.is_of_former_turn(prompt_id.as_deref()) {
            return Rule::AfterTheEnd;
        }
        if prompt_id.is_some() && prompt_id != self.prompt_id {
            self.drop_queued();
        }
        self.prompt_id = prompt_id.or(self.prompt_id.take());
        if timing.settle_end_ms > 0 && self.is_open() {
            self.answer(None);
            self.retrying = None;
            self.ending
                .get_or_insert_with(|| Box::new(Ending { at, remaining }));
            return Rule::TurnEndSettles;
        }
        self.end_turn(remaining, at, timing)
    }

    /// The turn has ended in an error.
    pub(super) fn failed(&mut self, error: Box<str>, prompt_id: Option<Box<str>>, at: u64) -> Rule {
        self.prompt_id = prompt_id.or(self.prompt_id.take());
        self.end();
        self.over_at = at;
        self.last = LastTurn::Failed(error);
        Rule::TurnFailed
    }

    /// What becomes of an event of the main agent that belongs to a turn that is over; `None`: it does not.
    pub(super) fn late(
        &mut self,
        event: &TurnEvent,
        prompt_id: Option<&str>,
        at: u64,
        timing: Timing,
    ) -> Option<Rule> {
        // (after an interrupt, after an end or a failure): for how long, in ms, it may be late.
        let (interrupt_ms, end_ms) = match event {
            TurnEvent::ToolEnded { .. }
            | TurnEvent::BatchEnded
            | TurnEvent::Active
            | TurnEvent::Retrying { .. } => (AFTERMATH_MS, Some(timing.race_ms)),
            TurnEvent::Ended { .. } | TurnEvent::Failed { .. } => (AFTERMATH_MS, None),
            TurnEvent::Answered { .. } => (timing.race_ms, Some(timing.race_ms)),
            TurnEvent::ToolStarted { .. } => (timing.race_ms, None),
            TurnEvent::PromptSubmitted { .. }
            | TurnEvent::SubagentStarted
            | TurnEvent::SubagentEnded
            | TurnEvent::Asked { .. }
            | TurnEvent::AskReminded { .. }
            | TurnEvent::TaskStarted(_)
            | TurnEvent::TaskEnded(_)
            | TurnEvent::Status(_)
            | TurnEvent::Compacted
            | TurnEvent::IdleReminded
            | TurnEvent::Interrupted
            | TurnEvent::Seen => return None,
        };
        if let Some(interrupted_at) = self.interrupted_at {
            let is_late = at <= interrupted_at.saturating_add(interrupt_ms);
            return is_late.then_some(Rule::AfterInterrupt);
        }
        let is_of_another = prompt_id.is_some() && prompt_id != self.prompt_id.as_deref();
        let over_at = match (&self.ending, &self.last) {
            _ if is_of_another => None,
            (Some(ending), _) => Some(ending.at),
            (None, LastTurn::Failed(_)) => Some(self.over_at),
            (
                None,
                LastTurn::Unobserved | LastTurn::Seen | LastTurn::Interrupted | LastTurn::Unseen,
            ) => None,
        };
        let is_late = at <= over_at?.saturating_add(end_ms?);
        is_late.then_some(Rule::AfterTheEnd)
    }

    /// A person has ended the turn, or a "No" has.
    pub(super) fn interrupted(&mut self, at: u64) -> Rule {
        let ran = self.is_open() || !self.pending.is_empty();
        self.interrupted_at = Some(at);
        if !ran {
            if self.last == LastTurn::Unseen {
                // Its end was reported first. A person who interrupts has seen what it came to.
                self.last = LastTurn::Interrupted;
            }
            return Rule::AfterTheEnd;
        }
        self.answer_all();
        self.end();
        self.over_at = at;
        self.set_last(LastTurn::Interrupted);
        Rule::InterruptReported
    }

    /// True if the end of the turn of this prompt was reported, and that of a queued prompt has begun.
    fn is_of_former_turn(&self, prompt_id: Option<&str>) -> bool {
        prompt_id.is_some()
            && self.prompt_id.is_none()
            && self.former_prompt_id.as_deref() == prompt_id
    }

    /// The first turn was interrupted, which no hook reports: what ends is the one that was queued.
    fn drop_queued(&mut self) {
        if self.phase == Phase::RunningWithQueued {
            self.phase = Phase::Running;
        }
    }

    /// The agent reminds of a turn's end after a minute without typing, not after an interrupt and not while a subagent
    /// runs; but also while a monitor or a shell does (2.1.332). So it contradicts a turn, a subagent and an interrupt.
    pub(super) fn idle_reminded(&mut self, at: u64, timing: Timing) -> Rule {
        let has_only_begun = self.worked_at == self.began_at;
        if self.is_open() && has_only_begun && at < self.began_at + timing.race_ms {
            return Rule::IdleLate;
        }
        let end_was_missed = matches!(self.last, LastTurn::Unobserved | LastTurn::Interrupted);
        let works = self.is_open() || self.background.is_working() || !self.pending.is_empty();
        if !works && !end_was_missed {
            return Rule::IdleKnown;
        }
        self.end();
        // A subagent whose dialog is open still runs.
        let pending = &self.pending;
        self.background.end_subagents(|id| {
            pending
                .iter()
                .any(|prompt| prompt.subagent.as_deref() == Some(id))
        });
        self.over_at = at;
        self.finish();
        Rule::IdleReminded
    }

    /// The end of the turn has lasted.
    pub(super) fn settle_end(&mut self, timing: Timing) -> Rule {
        match self.ending.take() {
            Some(ending) => self.end_turn(ending.remaining, ending.at, timing),
            None => Rule::TurnEnded,
        }
    }

    fn end_turn(&mut self, remaining: Option<Box<Remaining>>, at: u64, timing: Timing) -> Rule {
        let next = self.phase == Phase::RunningWithQueued;
        if let Some(remaining) = remaining {
            self.background.turn_ended(*remaining, at);
        }
        if !next {
            self.finish();
        }
        self.over_at = at;
        let subagents_go_on = self.background.is_working();
        if !next && !subagents_go_on && self.is_registered_busy(timing) {
            self.answer(None);
            self.phase = Phase::Stopping;
            return Rule::TurnEnding;
        }
        self.next_or_end(at);
        if next {
            Rule::TurnEndedNextFollows
        } else if subagents_go_on {
            Rule::TurnEndedSubagentsGoOn
        } else {
            Rule::TurnEnded
        }
    }

    /// The turn has ended at `at`, and the one that was queued begins, if any.
    fn next_or_end(&mut self, at: u64) {
        if self.phase == Phase::RunningWithQueued {
            self.phase = Phase::Running;
            self.answer(None);
            // It has no prompt of its own, and an id not yet known.
            self.former_prompt_id = self.prompt_id.take();
            self.began_at = at;
        } else {
            self.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::HookEvent;
    use super::*;
    use crate::event::{PromptOrigin, Tool};
    use crate::protocol::{Status, WaitingFor};

    const TIMING: Timing = Timing {
        settle_ms: 0,
        settle_next_ms: 0,
        settle_task_ms: 0,
        race_ms: 500,
        confirm_ms: 0,
        overdue_ms: 0,
        settle_end_ms: 300,
    };

    fn prompted() -> TurnEvent {
        TurnEvent::PromptSubmitted {
            text: None,
            origin: PromptOrigin::PersonNow,
        }
    }

    fn ended() -> TurnEvent {
        TurnEvent::Ended { remaining: None }
    }

    fn failed() -> TurnEvent {
        TurnEvent::Failed {
            error: "rate limited".into(),
        }
    }

    fn tool() -> Tool {
        Tool {
            name: "Bash".into(),
            detail: None,
        }
    }

    fn asked(id: &str) -> TurnEvent {
        TurnEvent::Asked {
            id: Some(id.into()),
            waiting_for: WaitingFor::Permission,
            tool: Some(tool()),
        }
    }

    fn answered(id: &str) -> TurnEvent {
        TurnEvent::Answered {
            id: Some(id.into()),
        }
    }

    /// The status, and whether a person is needed, at `at`, after these events of the main agent with their stamps.
    fn after(events: &[(u64, TurnEvent)], at: u64) -> (Status, bool) {
        let mut turn = Turn::default();
        for (at, event) in events.iter().cloned() {
            turn.handle_timeout(at, TIMING);
            let hook = HookEvent::new(event, None, None, true);
            turn.apply_hook(hook, at, TIMING);
        }
        turn.handle_timeout(at, TIMING);
        (turn.status().0, turn.needs_person(true))
    }

    #[test]
    fn an_end_counts_once_it_has_lasted() {
        let events = [(0, prompted()), (1000, ended())];
        assert_eq!(after(&events, 1200), (Status::Working, false));
        assert_eq!(after(&events, 1300), (Status::Idle, true));
    }

    #[test]
    fn the_turn_of_a_queued_prompt_follows_without_attention() {
        let events = [(0, prompted()), (1000, ended()), (1200, prompted())];
        assert_eq!(after(&events, 5000), (Status::Working, false));
    }

    #[test]
    fn what_comes_of_a_turn_after_its_interrupt_changes_nothing() {
        let late = [
            ended(),
            failed(),
            TurnEvent::ToolEnded { tool: tool() },
            TurnEvent::Active,
            TurnEvent::Retrying {
                error: "rate limited".into(),
            },
        ];
        for event in late {
            let events = [
                (0, prompted()),
                (1000, TurnEvent::Interrupted),
                (3500, event.clone()),
            ];
            assert_eq!(after(&events, 60_000), (Status::Idle, false), "{event:?}");
        }
        let events = [
            (0, prompted()),
            (1000, TurnEvent::Interrupted),
            (2000, prompted()),
            (3000, ended()),
        ];
        assert_eq!(after(&events, 60_000), (Status::Idle, true));
    }

    #[test]
    fn an_interrupt_ends_what_has_not_settled() {
        let events = [
            (0, prompted()),
            (1000, ended()),
            (1100, TurnEvent::Interrupted),
        ];
        assert_eq!(after(&events, 60_000), (Status::Idle, false));
    }

    #[test]
    fn a_failure_beats_the_end_of_its_turn() {
        let before = [(0, prompted()), (950, failed()), (1000, ended())];
        let behind = [(0, prompted()), (1000, ended()), (1150, failed())];
        for events in [before, behind] {
            assert_eq!(after(&events, 60_000), (Status::Error, true));
        }
    }

    #[test]
    fn each_request_is_answered_by_its_id() {
        let two = [(0, prompted()), (10, asked("a")), (20, asked("b"))];
        let one = [&two[..], &[(30, answered("a"))]].concat();
        let none = [&one[..], &[(40, answered("b"))]].concat();
        assert_eq!(after(&one, 100).0, Status::Waiting);
        assert_eq!(after(&none, 100).0, Status::Working);
        // The end of another call answers none of them.
        let other = [
            &two[..],
            &[(
                30,
                TurnEvent::ToolEnded {
                    tool: Tool {
                        name: "Bash".into(),
                        detail: Some("ls".into()),
                    },
                },
            )],
        ]
        .concat();
        assert_eq!(after(&other, 100).0, Status::Waiting);
    }

    #[test]
    fn a_plan_is_asked_for_after_the_end() {
        let plan = TurnEvent::Asked {
            id: None,
            waiting_for: WaitingFor::Plan,
            tool: None,
        };
        let events = [(0, prompted()), (1000, plan)];
        assert_eq!(after(&events, 60_000).0, Status::Waiting);
        let accepted = [&events[..], &[(70_000, prompted())]].concat();
        assert_eq!(after(&accepted, 71_000).0, Status::Working);
    }

    #[test]
    fn a_failure_outlasts_the_traces_of_its_turn() {
        let retrying = TurnEvent::Retrying {
            error: "rate limited".into(),
        };
        let ended = TurnEvent::ToolEnded { tool: tool() };
        for event in [TurnEvent::Active, TurnEvent::BatchEnded, ended, retrying] {
            let failure = [(0, prompted()), (1000, failed())];
            let late = [&failure[..], &[(1500, event.clone())]].concat();
            assert_eq!(after(&late, 60_000), (Status::Error, true), "{event:?}");
            let next = [&failure[..], &[(1501, event.clone())]].concat();
            assert_eq!(after(&next, 60_000).0, Status::Working, "{event:?}");
        }
    }

    #[test]
    fn the_answer_to_a_plan_after_the_end_begins_no_turn() {
        for asked_at in [1100, 2000] {
            let plan = TurnEvent::Asked {
                id: Some("p".into()),
                waiting_for: WaitingFor::Plan,
                tool: None,
            };
            let asked = [(0, prompted()), (1000, ended()), (asked_at, plan)];
            assert_eq!(after(&asked, 60_000).0, Status::Waiting);
            let left = [&asked[..], &[(3000, answered("p"))]].concat();
            assert_eq!(after(&left, 60_000), (Status::Idle, false));
            let accepted = [&left[..], &[(3100, prompted())]].concat();
            assert_eq!(after(&accepted, 60_000).0, Status::Working);
        }
    }

    #[test]
    fn a_permission_after_the_end_shows_that_another_turn_runs() {
        let events = [(0, prompted()), (1000, ended()), (2000, asked("a"))];
        assert_eq!(after(&events, 60_000).0, Status::Waiting);
        let answered = [&events[..], &[(3000, answered("a"))]].concat();
        assert_eq!(after(&answered, 60_000).0, Status::Working);
    }

    #[test]
    fn a_tool_shows_that_another_turn_runs_after_an_interrupt() {
        let started = |at| {
            let started = TurnEvent::ToolStarted {
                tool: tool(),
                asks_for: WaitingFor::Permission,
            };
            [
                (0, prompted()),
                (1000, TurnEvent::Interrupted),
                (at, started),
            ]
        };
        assert_eq!(after(&started(1500), 3000).0, Status::Idle);
        assert_eq!(after(&started(2000), 3000).0, Status::Working);
    }

    #[test]
    fn a_run_without_a_person_that_is_interrupted_is_not_shown_idle_before_it_ends() {
        let mut turn = Turn::default();
        for (at, event) in [(0, prompted()), (1000, TurnEvent::Interrupted)] {
            let hook = HookEvent::new(event, None, None, false);
            turn.apply_hook(hook, at, TIMING);
        }
        assert_eq!(turn.status().0, Status::Working);
        turn.handle_timeout(1300, TIMING);
        assert_eq!(turn.status().0, Status::Idle);
    }

    #[test]
    fn a_person_who_looks_has_seen_what_the_turn_came_to() {
        let events = [(0, prompted()), (1000, ended()), (5000, TurnEvent::Seen)];
        assert_eq!(after(&events, 6000), (Status::Idle, false));
        let events = [(0, prompted()), (1000, TurnEvent::Seen)];
        assert_eq!(after(&events, 6000).0, Status::Working);
    }

    #[test]
    fn a_person_who_interrupts_has_seen_the_end_that_was_reported_before() {
        let events = [
            (0, prompted()),
            (1000, ended()),
            (1400, TurnEvent::Interrupted),
        ];
        assert_eq!(after(&events, 3000), (Status::Idle, false));
    }
}
