//! When to fetch an account's limits: at once for the first subscriber, then every interval; never before `Retry-After`;
//! never without subscribers. That one fetch runs at a time, of all accounts, is [`super::service`]'s.
//!
//! An interval runs from fetch to fetch, whatever the number of subscribers meanwhile: dashboards that are opened and
//! closed again and again cause no more fetches than one that stays. Moments are in ms of uptime. Called by
//! [`super::service`] only.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::limits::Account;
use crate::protocol::{FETCH_LIMIT_MS, MIN_FETCH_INTERVAL_MS};

/// The longest `Retry-After` that is obeyed, in ms: a day.
const MAX_RETRY_AFTER_MS: u64 = 24 * 60 * 60_000;

/// The longest wait after repeated refusals, in ms: an hour.
const MAX_BACKOFF_MS: u64 = 60 * 60_000;

/// A fetch that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) account: Rc<Account>,
    until_ms: u64,
    /// It has failed, whatever its outcome: its time was over, or fetches were switched off.
    pub(super) is_late: bool,
}

impl Running {
    /// A fetch that begins now.
    pub(super) fn new(account: Rc<Account>, now: u64) -> Self {
        Self {
            account,
            until_ms: now + FETCH_LIMIT_MS,
            is_late: false,
        }
    }

    /// When its time is over; `None`: it is.
    pub(super) fn timeout(&self) -> Option<u64> {
        (!self.is_late).then_some(self.until_ms)
    }
}

/// The times of one account's fetches. See the module's text.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Schedule {
    interval_ms: Option<u64>,
    /// When the last one began.
    last_ms: Option<u64>,
    /// No fetch before this: `Retry-After`, or the back-off.
    not_before_ms: u64,
    /// How often in a row the service has refused.
    refusals: u32,
}

impl Schedule {
    /// Nothing was fetched yet. Without an interval nothing ever is.
    pub(super) fn new(interval_ms: Option<u64>) -> Self {
        Self {
            interval_ms,
            last_ms: None,
            not_before_ms: 0,
            refusals: 0,
        }
    }

    /// Sets the interval; `None` switches fetches off.
    pub(super) fn set_interval(&mut self, interval_ms: Option<u64>) {
        if interval_ms.is_some() && self.interval_ms.is_none() {
            // Switched on: the first fetch is due at once.
            self.last_ms = None;
        }
        self.interval_ms = interval_ms;
    }

    pub(super) fn interval_ms(&self) -> Option<u64> {
        self.interval_ms
    }

    /// When the next fetch is due; `None`: never.
    pub(super) fn next_ms(&self) -> Option<u64> {
        let interval = self.interval_ms?;
        let regular = self.last_ms.map_or(0, |last| last + interval);
        Some(regular.max(self.not_before_ms))
    }

    /// True if a client's request may cause a fetch: also before the interval is over.
    pub(super) fn may_begin_on_request(&self, now: u64) -> bool {
        let soonest = self.last_ms.map_or(0, |last| last + MIN_FETCH_INTERVAL_MS);
        self.interval_ms.is_some() && soonest.max(self.not_before_ms) <= now
    }

    /// A fetch begins.
    pub(super) fn begin(&mut self, now: u64) {
        self.last_ms = Some(now);
    }

    /// The service has refused (429), with `Retry-After` if it sent one. Returns how long no fetch is begun, in ms: at
    /// least that, and after each further refusal at least twice as long as before.
    pub(super) fn refused(&mut self, wish_ms: Option<u64>, now: u64) -> u64 {
        let interval = self.interval_ms.unwrap_or(0);
        let backoff = match self.refusals {
            0 => 0,
            before => (interval << before.min(16)).min(MAX_BACKOFF_MS),
        };
        self.refusals += 1;
        let wait = wish_ms.unwrap_or(0).min(MAX_RETRY_AFTER_MS).max(backoff);
        self.not_before_ms = now + wait;
        wait
    }

    /// A fetch has brought the limits.
    pub(super) fn answered(&mut self) {
        self.refusals = 0;
    }
}
