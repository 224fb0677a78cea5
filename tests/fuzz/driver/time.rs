//! The clock of a run: time passes, the machine is suspended, the clock is set; deadlines are handled.

use super::Driver;
use crate::core::Input;
use crate::reminders::Outcome;

/// The number of the last millisecond of the year 9999, since the epoch. No clock shows more.
const LAST_MS: u64 = 253_402_300_799_999;

/// The longest time that may pass at once, in ms: longer than a session without a process stays open.
const LONGEST_MS: u64 = 2 * 24 * 3_600_000;

/// How many times in a row the timer may be due at the same moment.
const MAX_TIMEOUTS: usize = 1000;

impl Driver {
    /// Time passes; each deadline is handled at its moment.
    pub(in crate::fuzz) fn pass(&mut self, ms: u64) {
        let end = self.now.uptime_ms + ms.min(LONGEST_MS);
        while let Some(due) = self.core.next_timeout().filter(|due| *due <= end) {
            self.go_to(due);
            self.expire();
        }
        self.go_to(end);
    }

    /// Time passes while the machine is suspended: what was due is handled late.
    pub(in crate::fuzz) fn suspend(&mut self, ms: u64) {
        self.go_to(self.now.uptime_ms + ms.min(LONGEST_MS));
        self.expire();
    }

    /// The next deadline comes.
    pub(in crate::fuzz) fn next_deadline(&mut self) {
        if let Some(due) = self.core.next_timeout() {
            self.go_to(due.min(self.now.uptime_ms + LONGEST_MS));
            self.expire();
        }
    }

    /// The clock is set.
    pub(in crate::fuzz) fn set_clock(&mut self, by: i64) {
        let now = self.now.unix_ms.saturating_add_signed(by);
        self.now.unix_ms = now.min(LAST_MS);
    }

    fn go_to(&mut self, uptime_ms: u64) {
        let passed = uptime_ms.saturating_sub(self.now.uptime_ms);
        self.now.uptime_ms += passed;
        self.now.unix_ms = (self.now.unix_ms + passed).min(LAST_MS);
    }

    /// Handles what is due.
    fn expire(&mut self) {
        let mut tries = 0;
        while self.is_due() {
            tries += 1;
            assert!(tries < MAX_TIMEOUTS, "the timer never gets past its moment");
            self.input(Input::Timeout);
        }
        // The child that began before has ended.
        if let Some(count) = self.reminding.take() {
            let ids = (0..).map(Some).take(count).collect();
            self.input(Input::Reminded(Outcome::Shown(ids)));
        }
    }

    fn is_due(&self) -> bool {
        let due = self.core.next_timeout();
        !self.exited && due.is_some_and(|due| due <= self.now.uptime_ms)
    }
}
