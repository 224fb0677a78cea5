//! When to fetch the account's limits: at once for the first subscriber, then every interval; one fetch at a time; never
//! before `Retry-After`; never without subscribers.
//!
//! An interval runs from fetch to fetch, whatever the number of subscribers meanwhile: dashboards that are opened and
//! closed again and again cause no more fetches than one that stays. Moments are in ms of the daemon's uptime. Called by
//! [`super::service`] only.

use crate::protocol::{FETCH_LIMIT_MS, MIN_FETCH_INTERVAL_MS};

/// The longest `Retry-After` that is obeyed, in ms: a day.
const MAX_RETRY_AFTER_MS: u64 = 24 * 60 * 60_000;

/// The longest wait after repeated refusals, in ms: an hour.
const MAX_BACKOFF_MS: u64 = 60 * 60_000;

/// A fetch that runs.
#[derive(Debug)]
struct Running {
    until_ms: u64,
    /// Its time was over: it has failed, whatever its outcome.
    is_late: bool,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Schedule {
    interval_ms: Option<u64>,
    running: Option<Running>,
    /// When the last one began.
    last_ms: Option<u64>,
    /// No fetch before this: `Retry-After`, or the back-off.
    not_before_ms: u64,
    /// How often in a row the service has refused.
    refusals: u32,
}

impl Schedule {
    /// Nothing was fetched yet. Without an interval nothing ever is.
    pub(crate) fn new(interval_ms: Option<u64>) -> Self {
        Self {
            interval_ms,
            running: None,
            last_ms: None,
            not_before_ms: 0,
            refusals: 0,
        }
    }

    /// Sets the interval; `None` switches fetches off. True if a running fetch must be killed for that.
    pub(crate) fn set_interval(&mut self, interval_ms: Option<u64>) -> bool {
        if interval_ms.is_some() {
            if self.interval_ms.is_none() {
                // Switched on: the first fetch is due at once.
                self.last_ms = None;
            }
            self.interval_ms = interval_ms;
            return false;
        }
        self.interval_ms = None;
        let running = self.running.as_mut().filter(|running| !running.is_late);
        running.is_some_and(|running| {
            running.is_late = true;
            true
        })
    }

    pub(crate) fn interval_ms(&self) -> Option<u64> {
        self.interval_ms
    }

    /// True if a fetch runs whose outcome will count.
    pub(crate) fn is_awaited(&self) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| !running.is_late)
    }

    /// When [`begin`](Self::begin) or [`is_late`](Self::is_late) may say something new.
    pub(crate) fn next_timeout(&self, wanted: bool) -> Option<u64> {
        match &self.running {
            Some(running) => (!running.is_late).then_some(running.until_ms),
            None => self.next_ms().filter(|_| wanted),
        }
    }

    fn next_ms(&self) -> Option<u64> {
        let interval = self.interval_ms?;
        let regular = self.last_ms.map_or(0, |last| last + interval);
        Some(regular.max(self.not_before_ms))
    }

    /// True if a fetch is to begin now, which is noted.
    pub(crate) fn begin(&mut self, wanted: bool, now: u64) -> bool {
        let next = self.next_ms().filter(|_| wanted);
        next.is_some_and(|due| due <= now) && self.start(now)
    }

    /// The same for a request of a client: also without subscribers, and before the interval is over.
    pub(crate) fn begin_on_request(&mut self, now: u64) -> bool {
        let soonest = self.last_ms.map_or(0, |last| last + MIN_FETCH_INTERVAL_MS);
        let may = self.interval_ms.is_some() && soonest.max(self.not_before_ms) <= now;
        may && self.start(now)
    }

    fn start(&mut self, now: u64) -> bool {
        if self.running.is_some() {
            return false;
        }
        self.last_ms = Some(now);
        self.running = Some(Running {
            until_ms: now + FETCH_LIMIT_MS,
            is_late: false,
        });
        true
    }

    /// True, once, if the time of the running fetch is over.
    pub(crate) fn is_late(&mut self, now: u64) -> bool {
        let late = |running: &&mut Running| !running.is_late && running.until_ms <= now;
        let running = self.running.as_mut().filter(late);
        running.is_some_and(|running| {
            running.is_late = true;
            true
        })
    }

    /// The fetch has ended. False if its outcome no longer counts.
    pub(crate) fn ended(&mut self) -> bool {
        self.running.take().is_some_and(|running| !running.is_late)
    }

    /// The service has refused (429), with `Retry-After` if it sent one. Returns how long no fetch is begun, in ms: at
    /// least that, and after each further refusal at least twice as long as before.
    pub(crate) fn refused(&mut self, wish_ms: Option<u64>, now: u64) -> u64 {
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
    pub(crate) fn answered(&mut self) {
        self.refusals = 0;
    }
}
