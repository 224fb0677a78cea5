//! Every deadline, in one table, so that one timer of the operating system serves them all and a daemon whose sessions
//! wait for nothing has none.
//!
//! Moments are in ms of uptime. The components say what they wait for; the table only holds it. Called by
//! [`super::Core`], and by [`super::sessions`] for the timers of sessions.

use std::collections::BTreeSet;

/// A deadline that there is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The daemon leaves.
    IdleExit,
    /// Sessions without a process may have become stale.
    Stale,
    /// What is known of the account's limits becomes old, or a window is reset.
    Limits,
    /// A fetch of the limits is due, or takes too long.
    Fetch,
    /// The processes of the sessions must be looked at.
    Inspection,
    /// A reminder is due, or takes too long.
    Reminder,
}

/// The deadlines.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    single: [Option<u64>; 6],
    sessions: BTreeSet<(u64, Box<str>)>,
}

impl Timers {
    /// Arms a timer, or disarms it.
    pub(crate) fn set(&mut self, timer: Timer, at: Option<u64>) {
        self.single[timer as usize] = at;
    }

    /// True if the timer is armed for `now` or earlier.
    pub(crate) fn has_expired(&self, timer: Timer, now: u64) -> bool {
        self.single[timer as usize].is_some_and(|at| at <= now)
    }

    /// Moves a session's timer from `before` to `after`.
    pub(crate) fn set_session(&mut self, key: &str, before: Option<u64>, after: Option<u64>) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.sessions.remove(&(before, key.into()));
        }
        if let Some(after) = after {
            self.sessions.insert((after, key.into()));
        }
    }

    /// The keys of the sessions whose timers have expired by `now`. The timers stay armed until the sessions change.
    pub(crate) fn expired_sessions(&self, now: u64) -> Vec<Box<str>> {
        let expired = self.sessions.iter().take_while(|(at, _)| *at <= now);
        expired.map(|(_, key)| key.clone()).collect()
    }

    /// The next moment at which a timer expires.
    pub(crate) fn next(&self) -> Option<u64> {
        let sessions = self.sessions.first().map(|(at, _)| *at);
        self.single.into_iter().flatten().chain(sessions).min()
    }

    /// Disarms all.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
