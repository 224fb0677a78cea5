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
    /// Applies an event of the main agent that ends a turn.
    pub(super) fn apply_end(
        &mut self,
        event: TurnEvent,
        prompt_id: Option<Box<str>>,
        at: u64,
        timing: Timing,
    ) -> Rule {
        match event {
            TurnEvent::IdleReminded => self.idle_reminded(at, timing),
            TurnEvent::Compacted => {
                self.next_or_end(at);
                // A person who compacts the conversation has seen what it came to.
                self.seen();
                self.over_at = at;
                Rule::Compacted
            }
            TurnEvent::Ended { .. } if self.is_of_former_turn(prompt_id.as_deref()) => {
                Rule::AfterTheEnd
            }
            TurnEvent::Ended { remaining } => {
                if prompt_id.is_some() && prompt_id != self.prompt_id {
                    self.drop_queued();
                }
                self.prompt_id = prompt_id.or(self.prompt_id.take());
                self.ended(remaining, at, timing)
            }
            TurnEvent::Interrupted => self.interrupted(at),
            TurnEvent::Failed { error } => {
                self.prompt_id = prompt_id.or(self.prompt_id.take());
                self.end();
                self.over_at = at;
                self.last = LastTurn::Failed(error);
                Rule::TurnFailed
            }
            _ => Rule::Noted,
        }
    }

    /// What becomes of an event of the main agent that belongs to a turn that is over; `None`: it does not.
    pub(super) fn late(&mut self, event: &TurnEvent, at: u64, timing: Timing) -> Option<Rule> {
        let is_trace = match event {
            TurnEvent::ToolEnded { .. }
            | TurnEvent::BatchEnded
            | TurnEvent::Active
            | TurnEvent::Retrying { .. } => true,
            TurnEvent::ToolStarted { .. } => {
                let interrupted_at = self.interrupted_at?;
                return (at <= interrupted_at.saturating_add(timing.race_ms))
                    .then_some(Rule::AfterInterrupt);
            }
            TurnEvent::Ended { .. } | TurnEvent::Failed { .. } => false,
            _ => return None,
        };
        if let Some(interrupted_at) = self.interrupted_at {
            return (at <= interrupted_at.saturating_add(AFTERMATH_MS))
                .then_some(Rule::AfterInterrupt);
        }
        let ending = self.ending.as_ref().filter(|_| is_trace)?;
        let is_late = at <= ending.at.saturating_add(timing.race_ms);
        is_late.then_some(Rule::AfterTheEnd)
    }

    /// A person has ended the turn, or a "No" has.
    fn interrupted(&mut self, at: u64) -> Rule {
        let ran = self.is_open() || !self.pending.is_empty();
        self.interrupted_at = Some(at);
        if !ran {
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
    fn idle_reminded(&mut self, at: u64, timing: Timing) -> Rule {
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

    fn ended(&mut self, remaining: Option<Box<Remaining>>, at: u64, timing: Timing) -> Rule {
        if timing.settle_end_ms > 0 && self.is_open() {
            self.answer(None);
            self.retrying = None;
            self.ending
                .get_or_insert_with(|| Box::new(Ending { at, remaining }));
            return Rule::TurnEndSettles;
        }
        self.end_turn(remaining, at, timing)
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
            let hook = HookEvent {
                event,
                subagent: None,
                prompt_id: None,
                attended: true,
            };
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
}
