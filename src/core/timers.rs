//! Which sessions wait for time to pass, and until when: so that one timer serves them all and a daemon whose sessions
//! are settled has none.
//!
//! Moments in ms of the daemon's uptime. Called by [`super::Core`] only.

use std::collections::BTreeSet;

/// The moments and the keys.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    due: BTreeSet<(u64, Box<str>)>,
}

impl Pending {
    /// A session that was due at `before` is now at `after`.
    pub(crate) fn set(&mut self, key: &str, before: Option<u64>, after: Option<u64>) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.due.remove(&(before, key.into()));
        }
        if let Some(after) = after {
            self.due.insert((after, key.into()));
        }
    }

    /// The next moment.
    pub(crate) fn next(&self) -> Option<u64> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The keys that are due by `now`. They stay until their sessions say otherwise.
    pub(crate) fn due(&self, now: u64) -> Vec<Box<str>> {
        let due = self.due.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, key)| key.clone()).collect()
    }
}
