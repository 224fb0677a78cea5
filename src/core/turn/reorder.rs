//! A reorder buffer: the turn's events in the order in which they happened, not in which they arrived.
//!
//! An agent runs the hooks of one event beside those of the next, so a report can be overtaken; if it were ignored, a
//! question would stay open that was answered. The buffer keeps the turn twice: as no late event can change it any more
//! (`base`), and as it is now. It keeps the steps between them too: a late one is inserted at its place, and the steps
//! after it are applied again.
//!
//! No clock: stamps only. Called by [`crate::core::session`] only.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{HookEvent, Turn};
use crate::core::evidence::Rule;
use crate::core::stamp::shift;
use crate::event::{RegistryStatus, Timing, TurnEvent};

/// How late an event may come, in ms between its stamp and the newest: a hook lives for 100 ms at most, and on a machine
/// under load its report may wait ten times as long to be read.
const WINDOW_MS: u64 = 1200;

/// How many steps are kept to be applied again: what an agent and its registry report in that time.
const CAPACITY: usize = 32;

/// What moves a turn on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Step {
    /// A conversation began or ended: the turn is over.
    Reset(Rule),
    /// A hook reported an event of the turn.
    Hook(HookEvent),
    /// The registry has a new status; whether a person sits at the session.
    Registry(RegistryStatus, bool),
    /// The registry's entry was removed.
    RegistryRemoved,
    /// No source has reported anything until now.
    Timeout,
}

impl Step {
    /// `None`: it did nothing.
    fn apply(self, turn: &mut Turn, at: u64, timing: Timing) -> Option<Rule> {
        let timed_out = turn.handle_timeout(at, timing);
        Some(match self {
            Step::Reset(rule) => {
                turn.reset(at);
                rule
            }
            Step::Hook(event) => turn.apply_hook(event, at, timing),
            Step::Registry(status, attended) => turn.apply_registry(status, attended, at, timing),
            Step::RegistryRemoved => turn.registry_removed(),
            Step::Timeout => return timed_out,
        })
    }
}

/// It happened before what can't be changed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLate;

/// What of a buffer is not saved yet.
#[derive(Debug, Clone, Copy, Default)]
enum Unsaved {
    #[default]
    Everything,
    /// So many of the latest steps.
    Steps(usize),
}

/// A turn and its latest steps.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct ReorderBuffer {
    /// The turn before `recent`.
    base: Turn,
    /// The stamp of the last step in `base`.
    base_at: u64,
    /// By stamp; those of the same stamp as they came.
    recent: VecDeque<(u64, Step)>,
    /// The turn after all of them. Saved as it is: where the clock was set in between, the steps may come to something else
    /// if they are applied again.
    now: Turn,
    #[serde(skip)]
    unsaved: Unsaved,
}

impl ReorderBuffer {
    /// The turn after all steps.
    pub(crate) fn now(&self) -> &Turn {
        &self.now
    }

    /// True if a conversation began or ended after `at`, as far back as is kept.
    pub(crate) fn has_reset_since(&self, at: u64) -> bool {
        let mut later = self
            .recent
            .iter()
            .rev()
            .take_while(|(other, _)| *other > at);
        later.any(|(_, step)| matches!(step, Step::Reset(_)))
    }

    /// Inserts a step at its place and returns the rule that applied there; `Err` if it comes too late for that.
    pub(crate) fn insert(
        &mut self,
        at: u64,
        step: Step,
        timing: Timing,
    ) -> Result<Option<Rule>, TooLate> {
        if at < self.base_at {
            return Err(TooLate);
        }
        let place = self.recent.partition_point(|(other, _)| *other <= at);
        let rule;
        if place == self.recent.len() {
            rule = step.clone().apply(&mut self.now, at, timing);
            self.recent.push_back((at, step));
            if let Unsaved::Steps(count) = &mut self.unsaved {
                *count += 1;
            }
        } else {
            self.unsaved = Unsaved::Everything;
            self.recent.insert(place, (at, step));
            rule = self.replay(place, timing);
        }
        self.compact(timing);
        Ok(rule)
    }

    pub(crate) fn has_unsaved(&self) -> bool {
        !matches!(self.unsaved, Unsaved::Steps(0))
    }

    /// How many steps were added since it was saved; `None`: more has changed than that. It counts as saved from now on.
    pub(crate) fn take_unsaved(&mut self) -> Option<usize> {
        match std::mem::replace(&mut self.unsaved, Unsaved::Steps(0)) {
            Unsaved::Everything => None,
            Unsaved::Steps(count) => Some(count).filter(|count| *count <= self.recent.len()),
        }
    }

    /// The last `count` steps, oldest first.
    pub(crate) fn last(&self, count: usize) -> impl Iterator<Item = &(u64, Step)> {
        self.recent
            .iter()
            .skip(self.recent.len().saturating_sub(count))
    }

    /// All of it is saved next.
    pub(crate) fn mark_unsaved(&mut self) {
        self.unsaved = Unsaved::Everything;
    }

    /// Applies the steps again, and returns the rule that applied at this place.
    fn replay(&mut self, place: usize, timing: Timing) -> Option<Rule> {
        let mut rule = None;
        self.now = self.base.clone();
        for (index, (at, step)) in self.recent.iter().enumerate() {
            let done = step.clone().apply(&mut self.now, *at, timing);
            if index == place {
                rule = done;
            }
        }
        rule
    }

    /// When, by the stamps, something follows from silence, in ms since the epoch.
    pub(crate) fn next_timeout(&self, timing: Timing) -> Option<u64> {
        self.now.next_timeout(timing)
    }

    /// Applies what is due, with the moment and the rule; `None` if nothing is.
    pub(crate) fn handle_timeout(&mut self, timing: Timing) -> Option<(u64, Rule)> {
        let newest = self.recent.back().map_or(self.base_at, |(at, _)| *at);
        let at = self.next_timeout(timing)?.max(newest);
        let rule = self.insert(at, Step::Timeout, timing).ok()??;
        Some((at, rule))
    }

    /// A registry status older than everything that is known: later ones are compared with it.
    pub(crate) fn set_earlier_registry(&mut self, status: RegistryStatus, at: u64) {
        self.unsaved = Unsaved::Everything;
        self.base.set_earlier_registry(status, at);
        self.now.set_earlier_registry(status, at);
    }

    /// The wall clock was set by so many ms, and shows `now`: every stamp moves with it.
    pub(crate) fn clock_was_set(&mut self, by: i64, now: u64) {
        let Self {
            base,
            base_at,
            recent,
            now: turn,
            unsaved,
        } = self;
        *unsaved = Unsaved::Everything;
        let brings_schedule = |(_, step): &(u64, Step)| match step {
            Step::Hook(hook) => match &hook.event {
                TurnEvent::Ended {
                    remaining: Some(remaining),
                } => !remaining.schedules.is_empty(),
                _ => false,
            },
            _ => false,
        };
        let has_schedule = base.background.schedules() > 0
            || turn.background.schedules() > 0
            || recent.iter().any(brings_schedule);
        base.clock_was_set(by, now);
        turn.clock_was_set(by, now);
        shift(base_at, by);
        if has_schedule {
            // A schedule keeps its time of day: applied again, the steps would come to something else.
            recent.clear();
            base.clone_from(turn);
        }
        for (at, _) in recent {
            shift(at, by);
        }
    }

    fn compact(&mut self, timing: Timing) {
        let newest = self.recent.back().map_or(0, |(at, _)| *at);
        while let Some((at, step)) = self.recent.pop_front() {
            // With room for the next one, which would make the allocation grow.
            if at.saturating_add(WINDOW_MS) >= newest && self.recent.len() < CAPACITY - 1 {
                self.recent.push_front((at, step));
                break;
            }
            step.apply(&mut self.base, at, timing);
            self.base_at = at;
        }
        // What a burst took.
        if self.recent.capacity() > 4 * self.recent.len().max(1) {
            self.recent.shrink_to(2 * self.recent.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{BackgroundTask, Remaining, TaskKind, Tool};
    use crate::protocol::{Status, WaitingFor};

    const TIMING: Timing = Timing {
        settle_ms: 150,
        settle_next_ms: 500,
        settle_task_ms: 3000,
        race_ms: 500,
        confirm_ms: 1000,
        overdue_ms: 60_000,
        settle_end_ms: 0,
    };

    fn hook(event: TurnEvent, subagent: Option<&str>) -> Step {
        Step::Hook(HookEvent::new(event, subagent.map(Into::into), None, true))
    }

    fn bash() -> Tool {
        Tool {
            name: "Bash".into(),
            detail: None,
        }
    }

    fn insert(buffer: &mut ReorderBuffer, at: u64, step: Step) {
        assert!(buffer.insert(at, step, TIMING).is_ok());
    }

    fn registry() -> impl Strategy<Value = RegistryStatus> {
        prop::sample::select(vec![
            RegistryStatus::Busy,
            RegistryStatus::Idle,
            RegistryStatus::Shell,
            RegistryStatus::Waiting(WaitingFor::Permission),
        ])
    }

    fn reset() -> Step {
        Step::Reset(Rule::SessionStarted)
    }

    fn asked() -> TurnEvent {
        TurnEvent::Asked {
            id: None,
            waiting_for: WaitingFor::Permission,
            tool: Some(bash()),
        }
    }

    #[test]
    fn an_answer_that_was_overtaken_still_answers() {
        let mut buffer = ReorderBuffer::default();
        insert(&mut buffer, 10, hook(asked(), Some("a")));
        insert(&mut buffer, 30, hook(TurnEvent::Active, None));
        assert_eq!(buffer.now().status().0, Status::Waiting);
        insert(
            &mut buffer,
            20,
            hook(TurnEvent::ToolEnded { tool: bash() }, Some("a")),
        );
        assert_eq!(buffer.now().status().0, Status::Working);
    }

    #[test]
    fn what_comes_too_late_changes_nothing() {
        let mut buffer = ReorderBuffer::default();
        insert(&mut buffer, 10, hook(asked(), None));
        insert(&mut buffer, 11 + WINDOW_MS, hook(asked(), None));
        assert_eq!(buffer.insert(9, reset(), TIMING), Err(TooLate));
        assert_eq!(buffer.now().status().0, Status::Waiting);
    }

    fn steps() -> impl Strategy<Value = Step> {
        let subagent = prop::option::of(prop::sample::select(vec!["a", "b"]));
        let event = prop_oneof![
            Just(asked()),
            Just(TurnEvent::ToolEnded { tool: bash() }),
            Just(TurnEvent::BatchEnded),
            Just(TurnEvent::SubagentStarted),
            Just(TurnEvent::SubagentEnded),
            Just(TurnEvent::Active),
            Just(TurnEvent::Ended {
                remaining: Some(Box::new(Remaining {
                    subagents: vec!["a".into()],
                    tasks: vec![BackgroundTask {
                        id: "b".into(),
                        kind: TaskKind::Shell,
                    }],
                    schedules: Vec::new(),
                }))
            }),
            Just(TurnEvent::Ended {
                remaining: Some(Box::default())
            }),
        ];
        prop_oneof![
            1 => Just(reset()),
            1 => Just(Step::RegistryRemoved),
            5 => registry().prop_map(|says| Step::Registry(says, true)),
            15 => (event, subagent).prop_map(|(event, subagent)| hook(event, subagent)),
        ]
    }

    proptest! {
        /// Whatever comes within the window, in whatever order, comes to the same; and no more is kept than may be.
        #[test]
        fn the_order_of_arrival_does_not_matter(
            steps in prop::collection::vec((steps(), 0..40_u64), 1..60),
        ) {
            // Stamps 40 ms apart, so that no more than half of those kept fall in the delay of one.
            let stamped: Vec<_> = steps
                .iter()
                .enumerate()
                .map(|(place, (step, delay))| (place as u64 * 40, place as u64 * 40 + delay * 8, step))
                .collect();
            let mut arrivals = stamped.clone();
            arrivals.sort_by_key(|(_, arrival, _)| *arrival);
            let play = |steps: &[(u64, u64, &Step)]| {
                let mut buffer = ReorderBuffer::default();
                for (at, _, step) in steps {
                    assert!(buffer.insert(*at, (*step).clone(), TIMING).is_ok());
                    assert!(buffer.recent.len() <= CAPACITY);
                }
                buffer.now
            };
            prop_assert_eq!(play(&stamped), play(&arrivals));
        }
    }
}
