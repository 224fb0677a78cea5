//! What a person should know, told once and not as a flood.
//!
//! A notice of one code is told again only after [`REPEAT_AFTER_MS`]; the last few are kept for dashboards that connect
//! later. Owns no text of its own. Called by [`super::Core`] only.

use std::collections::VecDeque;

use crate::protocol::{NOTICES_KEPT, Notice};

/// How long a notice of the same code stays untold again: often enough to be noticed by who comes back from lunch.
pub(crate) const REPEAT_AFTER_MS: u64 = 60 * 60 * 1000;

/// The last notices, oldest first, each with the uptime at which it was told.
#[derive(Debug, Default)]
pub(crate) struct Notices(VecDeque<(u64, Notice<'static>)>);

impl Notices {
    /// Keeps the notice; true if it is to be told.
    pub(crate) fn add(&mut self, notice: &Notice<'static>, repeats: bool, uptime_ms: u64) -> bool {
        let told = self
            .0
            .iter()
            .rev()
            .find(|(_, earlier)| earlier.code == notice.code);
        if !repeats && told.is_some_and(|(told, _)| uptime_ms < told + REPEAT_AFTER_MS) {
            return false;
        }
        if self.0.len() == NOTICES_KEPT {
            self.0.pop_front();
        }
        self.0.push_back((uptime_ms, notice.clone()));
        true
    }

    /// Those kept, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Notice<'static>> {
        self.0.iter().map(|(_, notice)| notice)
    }
}
