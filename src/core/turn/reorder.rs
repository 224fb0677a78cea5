//! The turn's events in the order in which they happened, whatever the order in which they came.
//!
//! An agent runs the hooks of one event beside those of the next, so a report can be overtaken; left out, it would
//! leave a question open that was answered. The turn is kept twice: as nothing can change it any more, and as it is
//! now. What lies between is kept too: an event that comes late is put in its place, and the rest is played again.
//!
//! No time-outs and no clock: stamps only. Called by [`crate::core::session`] only.

use std::collections::VecDeque;

use super::{Happened, Turn};
use crate::core::rule::Rule;
use crate::event::RegistryStatus;

/// How late an event may come, in ms between its stamp and the newest: a hook lives for 100 ms at most, and on a busy
/// machine its report may wait a few times as long to be read.
const WINDOW_MS: u64 = 500;

/// How many events are kept to be played again: more than an agent has hooks running at once.
const MOST: usize = 16;

/// What moves a turn on.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A conversation began or ended: what was is over.
    Begun(Rule),
    /// A hook told of the turn.
    Happened(Happened),
    /// The registry has a new word; whether a person sits there to be asked.
    Registered(RegistryStatus, bool),
    /// The registry has no entry any more.
    Unregistered,
    /// Nothing was said until now.
    Passed,
}

impl Step {
    /// `None`: it did nothing.
    fn take(self, turn: &mut Turn, at: u64) -> Option<Rule> {
        let passed = turn.pass(at);
        Some(match self {
            Self::Begun(rule) => {
                turn.begin_anew(at);
                rule
            }
            Self::Happened(happened) => turn.happened(happened, at),
            Self::Registered(says, attended) => turn.registered(says, attended, at),
            Self::Unregistered => turn.unregistered(),
            Self::Passed => return passed,
        })
    }
}

/// It happened before what can't be changed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLate;

/// A turn and how it came about lately.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// The turn before `recent`.
    settled: Turn,
    /// The stamp of the last step in `settled`.
    settled_at: u64,
    /// By stamp; those of the same stamp as they came.
    recent: VecDeque<(u64, Step)>,
    now: Turn,
}

impl Timeline {
    /// The turn as all of it comes to.
    pub(crate) fn now(&self) -> &Turn {
        &self.now
    }

    /// True if a conversation began or ended after `at`, as far back as is kept.
    pub(crate) fn has_begun_since(&self, at: u64) -> bool {
        let mut later = self
            .recent
            .iter()
            .rev()
            .take_while(|(other, _)| *other > at);
        later.any(|(_, step)| matches!(step, Step::Begun(_)))
    }

    /// Takes a step in at its place and says what it did there; `Err` if it comes too late for that.
    pub(crate) fn take(&mut self, at: u64, step: Step) -> Result<Option<Rule>, TooLate> {
        if at < self.settled_at {
            return Err(TooLate);
        }
        let place = self.recent.partition_point(|(other, _)| *other <= at);
        let mut rule = None;
        if place == self.recent.len() {
            rule = step.clone().take(&mut self.now, at);
            self.recent.push_back((at, step));
        } else {
            self.recent.insert(place, (at, step));
            self.now = self.settled.clone();
            for (index, (at, step)) in self.recent.iter().enumerate() {
                let done = step.clone().take(&mut self.now, *at);
                if index == place {
                    rule = done;
                }
            }
        }
        self.settle();
        Ok(rule)
    }

    /// When, by the stamps, something follows from nothing having been said.
    pub(crate) fn due(&self) -> Option<u64> {
        self.now.due()
    }

    /// Applies what is due, with the moment and the rule; `None` if nothing is.
    pub(crate) fn pass(&mut self) -> Option<(u64, Rule)> {
        let newest = self.recent.back().map_or(self.settled_at, |(at, _)| *at);
        let at = self.due()?.max(newest);
        let rule = self.take(at, Step::Passed).ok()??;
        Some((at, rule))
    }

    /// The registry's word of a time before everything that is known: what later ones are compared with.
    pub(crate) fn registered_before(&mut self, says: RegistryStatus, at: u64) {
        self.settled.registered_before(says, at);
        self.now.registered_before(says, at);
    }

    /// The clock was set back: what comes now is new, though its stamp says otherwise.
    pub(crate) fn forget_stamps(&mut self) {
        self.recent.clear();
        self.now.forget_stamps();
        self.settled = self.now.clone();
        self.settled_at = 0;
    }

    fn settle(&mut self) {
        let newest = self.recent.back().map_or(0, |(at, _)| *at);
        while let Some((at, step)) = self.recent.pop_front() {
            if at + WINDOW_MS >= newest && self.recent.len() < MOST {
                self.recent.push_front((at, step));
                return;
            }
            step.take(&mut self.settled, at);
            self.settled_at = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Tool, TurnEvent};
    use crate::protocol::{Status, WaitingFor};

    fn happened(event: TurnEvent, subagent: Option<&str>) -> Step {
        Step::Happened(Happened {
            event,
            subagent: subagent.map(Into::into),
            prompt_id: None,
            attended: true,
        })
    }

    fn bash() -> Tool {
        Tool {
            name: "Bash".into(),
            detail: None,
        }
    }

    fn take(timeline: &mut Timeline, at: u64, step: Step) {
        assert!(timeline.take(at, step).is_ok());
    }

    fn registry() -> impl Strategy<Value = RegistryStatus> {
        prop::sample::select(vec![
            RegistryStatus::Busy,
            RegistryStatus::Idle,
            RegistryStatus::Shell,
            RegistryStatus::Waiting(WaitingFor::Permission),
        ])
    }

    fn begun() -> Step {
        Step::Begun(Rule::SessionStarted)
    }

    fn asked() -> TurnEvent {
        TurnEvent::Asked {
            waiting_for: WaitingFor::Permission,
            tool: Some(bash()),
        }
    }

    #[test]
    fn an_answer_that_was_overtaken_still_answers() {
        let mut timeline = Timeline::default();
        take(&mut timeline, 10, happened(asked(), Some("a")));
        take(&mut timeline, 30, happened(TurnEvent::Active, None));
        assert_eq!(timeline.now().status().0, Status::Waiting);
        take(
            &mut timeline,
            20,
            happened(TurnEvent::ToolEnded { tool: bash() }, Some("a")),
        );
        assert_eq!(timeline.now().status().0, Status::Working);
    }

    #[test]
    fn what_comes_too_late_changes_nothing() {
        let mut timeline = Timeline::default();
        take(&mut timeline, 10, happened(asked(), None));
        take(&mut timeline, 11 + WINDOW_MS, happened(asked(), None));
        assert_eq!(timeline.take(9, begun()), Err(TooLate));
        assert_eq!(timeline.now().status().0, Status::Waiting);
        assert!(timeline.has_begun_since(0) == timeline.has_begun_since(9));
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
                subagents: vec!["a".into()],
                shells: 1
            }),
            Just(TurnEvent::Ended {
                subagents: Vec::new(),
                shells: 0
            }),
        ];
        prop_oneof![
            1 => Just(begun()),
            1 => Just(Step::Unregistered),
            5 => registry().prop_map(|says| Step::Registered(says, true)),
            15 => (event, subagent).prop_map(|(event, subagent)| happened(event, subagent)),
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
                let mut timeline = Timeline::default();
                for (at, _, step) in steps {
                    assert!(timeline.take(*at, (*step).clone()).is_ok());
                    assert!(timeline.recent.len() <= MOST);
                }
                timeline.now
            };
            prop_assert_eq!(play(&stamped), play(&arrivals));
        }
    }
}
