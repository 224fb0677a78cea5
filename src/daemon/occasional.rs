//! A warning that is written once a minute at most, with how often there was a reason for it since the last one: a flood
//! of connections, say, must not flood the log. Called by the listener, the exit watcher and the loop.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::os::clock;

const BETWEEN: Duration = Duration::from_mins(1);

/// When the last warning was written, and how many reasons there were since.
#[derive(Debug, Default)]
pub(super) struct Occasional {
    last: Cell<Option<Instant>>,
    unreported: Cell<u64>,
}

impl Occasional {
    /// Counts one more. If a warning is due: the number to write in it.
    pub(super) fn next(&self) -> Option<u64> {
        let now = clock::monotonic();
        self.unreported.set(self.unreported.get() + 1);
        let is_due = self.last.get().is_none_or(|last| now - last >= BETWEEN);
        is_due.then(|| {
            self.last.set(Some(now));
            self.unreported.take()
        })
    }

    /// How many were counted since the last warning.
    #[cfg(test)]
    pub(super) fn unreported(&self) -> u64 {
        self.unreported.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_due_and_the_next_are_counted() {
        let occasional = Occasional::default();
        assert_eq!(occasional.next(), Some(1));
        assert_eq!(occasional.next(), None);
        assert_eq!(occasional.next(), None);
        assert_eq!(occasional.unreported(), 2);
        let before = occasional
            .last
            .get()
            .and_then(|last| last.checked_sub(BETWEEN));
        occasional.last.set(before);
        assert_eq!(occasional.next(), Some(3));
        assert_eq!(occasional.next(), None);
    }
}
