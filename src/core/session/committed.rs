//! The status as it was last committed, with its time and its history.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Session;
use crate::core::{Now, Settings};
use crate::protocol::{Status, Transition, WaitingFor};

/// The status as last committed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Committed {
    pub(super) status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting_for: Option<WaitingFor>,
    pub(super) since: u64,
    /// Saved beside the other facts: most lines have its new transitions only. The lines of version 1 had it here.
    #[serde(default, skip_serializing)]
    pub(super) history: VecDeque<Transition>,
    /// How many of the last transitions were not saved yet.
    #[serde(skip)]
    pub(super) unsaved: usize,
    /// Whether it needs a person.
    pub(super) attention: bool,
}

impl Session {
    /// Commits a new status with its time, and to the history. Called after each change; `at` is its stamp. True if the
    /// change was a sign of a source.
    pub(crate) fn commit_status(&mut self, at: u64, now: Now, settings: Settings) -> bool {
        let is_sign = std::mem::take(&mut self.sign.is_new);
        self.close_detached(at);
        if is_sign {
            self.sign.uptime_ms = now.uptime_ms;
            self.sign.unix_ms = now.unix_ms;
            self.quiet_since = None;
        }
        self.arm(now, settings);
        let (status, waiting_for) = self.status();
        self.committed.attention = self.attention(status, settings.attention);
        let committed = &mut self.committed;
        let is_first = committed.history.is_empty();
        if (status, waiting_for) == (committed.status, committed.waiting_for) && !is_first {
            return is_sign;
        }
        // A status never begins before the one before it.
        let at = at.max(committed.since);
        if status != committed.status || is_first {
            while committed.history.len() >= settings.history.max(1) {
                committed.history.pop_front();
            }
            committed.history.push_back(Transition { status, at });
            committed.unsaved = committed.history.len().min(committed.unsaved + 1);
            self.published.note_transition();
        }
        committed.status = status;
        committed.waiting_for = waiting_for;
        committed.since = at;
        is_sign
    }
}
