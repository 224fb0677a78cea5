//! The turn's events in the order in which they happened, whatever the order in which they came.
//!
//! An agent runs the hooks of one event beside those of the next, so a report can be overtaken; left out, it would
//! leave a question open that was answered. The turn is kept twice: as nothing can change it any more, and as it is
//! now. What lies between is kept too: an event that comes late is put in its place, and the rest is played again.
//!
//! No time-outs and no clock: stamps only. Called by [`super::session`] only.

use std::collections::VecDeque;

use super::event::TurnEvent;
use super::turn::Turn;

/// How late an event may come, in ms between its stamp and the newest: a hook lives for 100 ms at most, and on a busy
/// machine its report may wait a few times as long to be read.
const WINDOW_MS: u64 = 500;

/// How many events are kept to be played again: more than an agent has hooks running at once.
const MOST: usize = 16;

/// What moves a turn on.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A conversation began or ended: what was is over.
    Begun,
    /// Something happened in the turn.
    Happened {
        event: TurnEvent,
        subagent: Option<Box<str>>,
        prompt_id: Option<Box<str>>,
        attended: bool,
    },
}

impl Step {
    fn take(self, turn: &mut Turn) {
        match self {
            Self::Begun => *turn = Turn::default(),
            Self::Happened {
                event,
                subagent,
                prompt_id,
                attended,
            } => turn.advance(event, subagent, prompt_id, attended),
        }
    }
}

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
        later.any(|(_, step)| matches!(step, Step::Begun))
    }

    /// Takes a step in at its place; false if it comes too late for that.
    pub(crate) fn take(&mut self, at: u64, step: Step) -> bool {
        if at < self.settled_at {
            return false;
        }
        let place = self.recent.partition_point(|(other, _)| *other <= at);
        let is_last = place == self.recent.len();
        if is_last {
            step.clone().take(&mut self.now);
        }
        self.recent.insert(place, (at, step));
        if !is_last {
            self.now = self.settled.clone();
            for (_, step) in &self.recent {
                step.clone().take(&mut self.now);
            }
        }
        self.settle();
        true
    }

    /// The clock was set back: what comes now is new, though its stamp says otherwise.
    pub(crate) fn forget_stamps(&mut self) {
        self.recent.clear();
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
            step.take(&mut self.settled);
            self.settled_at = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{Status, WaitingFor};

    fn happened(event: TurnEvent, subagent: Option<&str>) -> Step {
        Step::Happened {
            event,
            subagent: subagent.map(Into::into),
            prompt_id: None,
            attended: true,
        }
    }

    fn asked() -> TurnEvent {
        TurnEvent::Asked {
            waiting_for: WaitingFor::Permission,
            what: "Bash".into(),
        }
    }

    #[test]
    fn an_answer_that_was_overtaken_still_answers() {
        let mut timeline = Timeline::default();
        timeline.take(10, happened(asked(), Some("a")));
        timeline.take(30, happened(TurnEvent::Active, None));
        assert_eq!(timeline.now().status().0, Status::Waiting);
        assert!(timeline.take(20, happened(TurnEvent::ToolEnded, Some("a"))));
        assert_eq!(timeline.now().status().0, Status::Working);
    }

    #[test]
    fn what_comes_too_late_changes_nothing() {
        let mut timeline = Timeline::default();
        timeline.take(10, happened(asked(), None));
        timeline.take(11 + WINDOW_MS, happened(asked(), None));
        assert!(!timeline.take(9, Step::Begun));
        assert_eq!(timeline.now().status().0, Status::Waiting);
        assert!(timeline.has_begun_since(0) == timeline.has_begun_since(9));
    }

    fn steps() -> impl Strategy<Value = Step> {
        let subagent = prop::option::of(prop::sample::select(vec!["a", "b"]));
        let event = prop_oneof![
            Just(asked()),
            Just(TurnEvent::ToolEnded),
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
            1 => Just(Step::Begun),
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
                    assert!(timeline.take(*at, (*step).clone()));
                    assert!(timeline.recent.len() <= MOST);
                }
                timeline.now
            };
            prop_assert_eq!(play(&stamped), play(&arrivals));
        }
    }
}
