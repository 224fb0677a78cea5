//! Notices for people: the last few, and which are sent.
//!
//! A notice of one code is sent again only after [`REPEAT_AFTER_MS`]; the last few are kept for dashboards that connect
//! later. Called by [`super::feed`] only.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::protocol::{NOTICES_KEPT, Notice};

/// How long a notice of the same code is not repeated, in ms: one an hour is noticed and does not flood.
pub(crate) const REPEAT_AFTER_MS: u64 = 60 * 60 * 1000;

/// The last notices, oldest first, each with the uptime in ms at which it was sent.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Notices(VecDeque<(u64, Notice<'static>)>);

impl Notices {
    /// Keeps the notice; true if it must be sent.
    pub(crate) fn add(&mut self, notice: &Notice<'static>, repeats: bool, uptime_ms: u64) -> bool {
        let last = self
            .0
            .iter()
            .rev()
            .find(|(_, earlier)| earlier.code == notice.code);
        if !repeats
            && last.is_some_and(|(sent, _)| uptime_ms < sent.saturating_add(REPEAT_AFTER_MS))
        {
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
