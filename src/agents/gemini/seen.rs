//! Which lines of a transcript are new: after a cancelled turn Gemini CLI 0.61.0 writes the whole history again, and a
//! resumed conversation has one from before. Pure. Called by [`super::files`].

use std::collections::VecDeque;

/// How much earlier than the hook that names the transcript a line of the same moment may be stamped, in ms.
const MARGIN_MS: u64 = 2000;

/// How many lines are remembered by their ids. Older ones are known by their stamps.
const MAX_IDS: usize = 32;

/// What was read of a transcript.
#[derive(Debug)]
pub(super) struct Seen {
    /// What is stamped earlier is old, in ms since the epoch.
    since: u64,
    /// The stamp of the newest answer, in ms since the epoch.
    newest: u64,
    /// The ids of the lines that have changed a turn, with their stamps; the newest is the last.
    ids: VecDeque<(Box<str>, u64)>,
}

impl Seen {
    /// For a transcript that a hook has named at `at`, in ms since the epoch.
    pub(super) fn since(at: u64) -> Self {
        Self {
            since: at.saturating_sub(MARGIN_MS),
            newest: 0,
            ids: VecDeque::new(),
        }
    }

    /// Whether a line that changes a turn says something new. One without a stamp and an id always does.
    pub(super) fn is_new(&mut self, id: Option<&str>, stamp: Option<u64>, now: u64) -> bool {
        if self.is_old(stamp, now) {
            return false;
        }
        let Some(id) = id else {
            return true;
        };
        if self.ids.iter().any(|(known, _)| **known == *id) {
            return false;
        }
        if self.ids.len() == MAX_IDS
            && let Some((_, stamp)) = self.ids.pop_front()
        {
            self.since = self.since.max(stamp + 1);
        }
        self.ids
            .push_back((id.into(), stamp.unwrap_or(now).min(now)));
        true
    }

    /// Whether an answer is not older than one before it.
    pub(super) fn is_newest(&mut self, stamp: Option<u64>, now: u64) -> bool {
        if self.is_old(stamp, now) {
            return false;
        }
        let stamp = stamp.unwrap_or(now).min(now);
        self.newest = self.newest.min(now);
        let is_newest = stamp >= self.newest;
        self.newest = self.newest.max(stamp);
        is_newest
    }

    fn is_old(&mut self, stamp: Option<u64>, now: u64) -> bool {
        // The clock may have been set back since.
        self.since = self.since.min(now.saturating_sub(MARGIN_MS));
        stamp.is_some_and(|stamp| stamp < self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000_000;

    #[test]
    fn what_is_older_than_the_hook_is_old() {
        let mut seen = Seen::since(NOW);
        assert!(!seen.is_new(Some("a"), Some(NOW - 60_000), NOW + 10));
        assert!(!seen.is_newest(Some(NOW - 60_000), NOW + 10));
        assert!(seen.is_new(Some("b"), Some(NOW - 50), NOW + 10));
        assert!(seen.is_newest(Some(NOW - 50), NOW + 10));
    }

    #[test]
    fn a_line_is_new_once_whatever_its_stamp() {
        let mut seen = Seen::since(NOW);
        assert!(seen.is_new(Some("a"), Some(NOW), NOW + 10));
        assert!(!seen.is_new(Some("a"), Some(NOW), NOW + 20));
        assert!(seen.is_new(Some("b"), Some(NOW), NOW + 20));
        assert!(!seen.is_new(Some("a"), None, NOW + 30));
    }

    #[test]
    fn a_stamp_of_the_future_hides_no_later_line() {
        let mut seen = Seen::since(NOW);
        let future = Some(NOW + 86_400_000);
        assert!(seen.is_new(Some("a"), future, NOW));
        assert!(seen.is_newest(future, NOW));
        assert!(seen.is_new(Some("b"), Some(NOW + 1000), NOW + 1000));
        assert!(seen.is_newest(Some(NOW + 1000), NOW + 1000));
    }

    #[test]
    fn a_clock_that_is_set_back_hides_no_later_line() {
        let mut seen = Seen::since(NOW);
        assert!(seen.is_newest(Some(NOW), NOW));
        let back = NOW - 3_600_000;
        assert!(seen.is_new(Some("a"), Some(back), back));
        assert!(seen.is_newest(Some(back), back));
    }

    #[test]
    fn lines_that_are_no_longer_remembered_are_old() {
        let mut seen = Seen::since(NOW);
        let line = |place: u64| (place.to_string(), NOW + 100 * place);
        let mut is_new = |place: u64, now: u64| {
            let (id, stamp) = line(place);
            seen.is_new(Some(&id), Some(stamp), now)
        };
        let count = 3 * MAX_IDS as u64;
        for place in 0..count {
            assert!(is_new(place, NOW + 100 * place));
        }
        // The whole history again.
        for place in 0..count {
            assert!(!is_new(place, NOW + 100 * count), "{place}");
        }
        assert!(is_new(count, NOW + 100 * count));
    }
}
