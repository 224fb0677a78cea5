//! The evidence behind a status, oldest to newest: a bounded memory of what was taken in, by which rule, and what the
//! status was then. For `session.explain` alone; nothing is decided by it. Called by [`super::session`].

use std::borrow::Cow;
use std::collections::VecDeque;

use super::rule::Rule;
use crate::protocol::{EvidenceKind, EvidenceStep, Status, WaitingFor};

/// How many pieces a session keeps: a page of a terminal, and under 2 KB.
const KEPT: usize = 24;

/// One piece of evidence and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    at: u64,
    kind: EvidenceKind,
    what: Cow<'static, str>,
    rule: Rule,
    status: Status,
    waiting_for: Option<WaitingFor>,
    /// It changed the status.
    decided: bool,
}

/// The pieces, as they came.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    pieces: VecDeque<Piece>,
}

impl Trail {
    /// Takes in what was just applied; `status` is what the session came to by it.
    pub(crate) fn add(
        &mut self,
        at: u64,
        kind: EvidenceKind,
        what: Cow<'static, str>,
        rule: Rule,
        (status, waiting_for): (Status, Option<WaitingFor>),
    ) {
        let decided = self
            .pieces
            .back()
            .is_none_or(|last| (last.status, last.waiting_for) != (status, waiting_for));
        if self.pieces.len() == KEPT {
            // The one that decided is worth more than what has only agreed since.
            let first_spare = usize::from(self.last_decided() == Some(0) && !decided);
            self.pieces.remove(first_spare);
        }
        self.pieces.push_back(Piece {
            at,
            kind,
            what,
            rule,
            status,
            waiting_for,
            decided,
        });
    }

    fn last_decided(&self) -> Option<usize> {
        self.pieces.iter().rposition(|piece| piece.decided)
    }

    /// As the protocol tells it: by time, the one that decided the present status marked.
    pub(crate) fn steps(&self) -> Vec<EvidenceStep<'_>> {
        let deciding = self.last_decided();
        let mut steps: Vec<_> = self
            .pieces
            .iter()
            .enumerate()
            .map(|(place, piece)| EvidenceStep {
                at: piece.at,
                kind: piece.kind,
                what: Cow::Borrowed(&*piece.what),
                rule: Cow::Borrowed(piece.rule.name()),
                meaning: Cow::Borrowed(piece.rule.meaning()),
                status: piece.status,
                waiting_for: piece.waiting_for,
                decided: deciding == Some(place),
            })
            .collect();
        steps.sort_by_key(|step| step.at);
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(trail: &mut Trail, at: u64, status: Status) {
        let what = Cow::Borrowed("Stop");
        trail.add(
            at,
            EvidenceKind::Hook,
            what,
            Rule::TurnEnded,
            (status, None),
        );
    }

    #[test]
    fn what_decided_is_kept_however_much_agrees_with_it() {
        let mut trail = Trail::default();
        add(&mut trail, 1, Status::Idle);
        add(&mut trail, 2, Status::Working);
        for at in 3..200 {
            add(&mut trail, at, Status::Working);
        }
        let steps = trail.steps();
        assert_eq!(steps.len(), KEPT);
        assert_eq!((steps[0].at, steps[0].decided), (2, true));
        assert_eq!(steps.iter().filter(|step| step.decided).count(), 1);
        assert_eq!(steps[KEPT - 1].at, 199);
        add(&mut trail, 200, Status::Idle);
        assert!(trail.steps()[KEPT - 1].decided);
    }

    #[test]
    fn what_came_late_is_shown_where_it_happened() {
        let mut trail = Trail::default();
        for at in [10, 30, 20] {
            add(&mut trail, at, Status::Working);
        }
        let at: Vec<_> = trail.steps().iter().map(|step| step.at).collect();
        assert_eq!(at, [10, 20, 30]);
    }
}
