//! The wall clock is set, the machine sleeps, a source's clock is wrong: no status stands still, and no age changes.

mod ages;
mod stamps;
mod statuses;

use super::CoreHarness;
use super::registry::{entry, update};
use crate::event::{RegistryEntry, RegistryStatus};
use crate::protocol::WaitingFor;

const HOUR: i64 = 3_600_000;

/// By how much the clock is set, one after the other.
const STEPS: [&[i64]; 6] = [
    &[-HOUR],
    &[HOUR],
    &[-HOUR, HOUR],
    &[HOUR, -HOUR],
    &[-HOUR, -24 * HOUR],
    &[72 * HOUR, -HOUR],
];

const PERMISSION: RegistryStatus = RegistryStatus::Waiting(WaitingFor::Permission);

impl CoreHarness {
    /// The wall clock is set. The loop does not notice before the next input.
    fn set_clock(&mut self, by: i64) {
        self.now.unix_ms = self.now.unix_ms.saturating_add_signed(by);
    }

    /// The registry has this status since now.
    fn registered(&mut self, status: RegistryStatus) {
        let at = self.now.unix_ms;
        self.sees(update(Some(RegistryEntry {
            started_at: None,
            ..entry(status, at)
        })));
    }
}
