//! The numbers of notifications (`seq`), and what of the past they can answer for: whether it is known what has changed
//! since a given number, and which sessions were removed.
//!
//! What has changed is answered from the state, not from a log: each session has the number of its last change, and the
//! last removals are kept here. The numbers go on where an earlier daemon ended ([`Numbers::restored`]). Called by
//! [`super::feed`] and [`super::requests`]; knows nothing of sessions or clients.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// The most removals kept.
pub(crate) const REMOVALS_KEPT: usize = 1024;

/// The most intervals of lost numbers kept.
const LOST_KEPT: usize = 16;

/// The number of the last notification, and the past that is known.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Numbers {
    /// The number of the last notification, or of the state that was restored.
    pub(super) seq: u64,
    /// The last removals, oldest first: number and key.
    pub(super) removed: VecDeque<(u64, Box<str>)>,
    /// Intervals of numbers, first and last, oldest first, that an earlier daemon may have given for changes that it did
    /// not save. A client that stands at one may have what never happened in this state.
    pub(super) lost: Vec<(u64, u64)>,
    /// What has changed since a number below this is not known.
    pub(super) floor: u64,
}

impl Numbers {
    /// Goes on from numbers that were saved, all changes up to `saved.seq` with them. The earlier daemon may have given
    /// numbers after that one, but none from `next_seq` on: what lies between is lost. `next_seq` is the number of the
    /// restored state; if it is `saved.seq`, nothing is lost.
    pub(crate) fn restored(mut saved: Self, next_seq: u64) -> Self {
        let (first, end) = (saved.seq.saturating_add(1), next_seq.max(saved.seq));
        saved.seq = end;
        if first < end {
            saved.lost.push((first, end - 1));
        }
        while saved.lost.len() > LOST_KEPT {
            let (_, last) = saved.lost.remove(0);
            saved.floor = saved.floor.max(last.saturating_add(1));
        }
        saved.trim_removed();
        saved
    }

    /// What has changed so far is not known: a client's copy may be another state than this one.
    pub(super) fn forget_past(&mut self) {
        self.floor = self.seq;
        self.removed.clear();
        self.lost.clear();
    }

    /// The number of the last notification.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// The number of the next notification, which is taken by this.
    pub(super) fn take(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// A number was given, and what it was given for is saved.
    pub(super) fn reached(&mut self, seq: u64) {
        self.seq = self.seq.max(seq);
    }

    /// The last number was given for the removal of the session of this key.
    pub(super) fn note_removed(&mut self, key: Box<str>) {
        self.removed.push_back((self.seq, key));
        self.trim_removed();
    }

    fn trim_removed(&mut self) {
        while self.removed.len() > REMOVALS_KEPT
            && let Some((seq, _)) = self.removed.pop_front()
        {
            self.floor = self.floor.max(seq);
        }
    }

    /// Whether it is known what has changed since the notification of this number.
    pub(crate) fn knows_changes_since(&self, seq: u64) -> bool {
        let is_lost = |(first, last): &(u64, u64)| (*first..=*last).contains(&seq);
        (self.floor..=self.seq).contains(&seq) && !self.lost.iter().any(is_lost)
    }

    /// The keys of the sessions removed since the notification of this number, as far as they are known. One may be there
    /// again by now.
    pub(crate) fn removed_since(&self, seq: u64) -> impl Iterator<Item = &str> {
        let later = self.removed.iter().rev();
        let later = later.take_while(move |(removed, _)| *removed > seq);
        later.map(|(_, key)| &**key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that an earlier daemon has given up to `seq`.
    fn given(seq: u64) -> Numbers {
        Numbers {
            seq,
            ..Numbers::default()
        }
    }

    /// The numbers, of 0 to 9, since which the changes are known.
    fn known(numbers: &Numbers) -> Vec<u64> {
        (0..10)
            .filter(|seq| numbers.knows_changes_since(*seq))
            .collect()
    }

    #[test]
    fn the_past_is_known_as_far_as_the_removals_go() {
        let mut numbers = Numbers::default();
        assert_eq!(known(&numbers), [0]);
        for number in 1..=REMOVALS_KEPT {
            assert_eq!(numbers.take(), number as u64);
            numbers.note_removed(number.to_string().into());
        }
        assert!(numbers.knows_changes_since(0));
        assert_eq!(numbers.removed_since(0).count(), REMOVALS_KEPT);
        let last = numbers.seq();
        let keys: Vec<_> = numbers.removed_since(last - 2).collect();
        assert_eq!(keys, ["1024", "1023"]);
        assert_eq!(numbers.removed_since(last).count(), 0);
        assert!(!numbers.knows_changes_since(last + 1));

        numbers.take();
        numbers.note_removed("one more".into());
        assert!(!numbers.knows_changes_since(0));
        assert!(numbers.knows_changes_since(1));
    }

    #[test]
    fn numbers_that_were_not_saved_are_lost() {
        let restored = Numbers::restored(given(3), 6);
        assert_eq!(restored.seq(), 6);
        assert_eq!(known(&restored), [0, 1, 2, 3, 6]);
        // All were saved; or the number to go on from is none.
        for next in [3, 0] {
            let restored = Numbers::restored(given(3), next);
            assert_eq!((restored.seq(), restored.lost.len()), (3, 0));
        }
        // One number was skipped, and that is the state's own.
        assert_eq!(known(&Numbers::restored(given(3), 4)), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn the_oldest_lost_numbers_hide_what_was_before_them() {
        let mut numbers = Numbers::default();
        for _ in 0..LOST_KEPT {
            let next = numbers.seq() + 3;
            numbers = Numbers::restored(numbers, next);
        }
        assert_eq!(known(&numbers), [0, 3, 6, 9]);
        let next = numbers.seq() + 3;
        numbers = Numbers::restored(numbers, next);
        assert_eq!(known(&numbers), [3, 6, 9]);
        assert_eq!(numbers.lost.len(), LOST_KEPT);
    }
}
