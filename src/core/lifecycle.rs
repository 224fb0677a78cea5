//! When the daemon is needed no more: no dashboard and no live session, for as long as the configuration says.
//!
//! A session whose process is watched lives until that process is gone. One without a process to watch (a script's,
//! one in a container) starts the time-out anew with each report and with its end, but does not hold the daemon in
//! between, so that a forgotten one can't for ever; after [`STALE_AFTER_MS`] without a report it is closed.
//!
//! Owns deadlines, all in ms of the daemon's uptime; the caller's one timer is armed from them. Called by
//! [`super::Core`] only.

/// How long a session without a process to watch may be silent before it is closed as `stale`: a day.
pub const STALE_AFTER_MS: u64 = 24 * 60 * 60 * 1000;

/// The two deadlines.
#[derive(Debug)]
pub(crate) struct Idle {
    timeout_ms: Option<u64>,
    /// Since when there has been neither a dashboard nor a watched session; `None` while there is.
    quiet_since: Option<u64>,
    /// When a session without a process was last heard of, or ended.
    last_unwatched: u64,
    /// No session without a process goes stale before this.
    stale_not_before: Option<u64>,
}

impl Idle {
    /// The daemon has just begun: nobody needs it yet.
    pub(crate) fn new(timeout_ms: Option<u64>, now: u64) -> Self {
        Self {
            timeout_ms,
            quiet_since: Some(now),
            last_unwatched: 0,
            stale_not_before: None,
        }
    }

    pub(crate) fn set_timeout(&mut self, timeout_ms: Option<u64>) {
        self.timeout_ms = timeout_ms;
    }

    pub(crate) fn timeout_ms(&self) -> Option<u64> {
        self.timeout_ms
    }

    /// To be called after each input, with whether anybody needs the daemon now.
    pub(crate) fn observe(&mut self, needed: bool, now: u64) {
        if needed {
            self.quiet_since = None;
        } else if self.quiet_since.is_none() {
            self.quiet_since = Some(now);
        }
    }

    /// A session without a process to watch was heard of.
    pub(crate) fn heard_unwatched(&mut self, now: u64) {
        self.last_unwatched = now;
        self.stale_not_before.get_or_insert(now + STALE_AFTER_MS);
    }

    /// A session without a process to watch has ended, or has one now.
    pub(crate) fn lost_unwatched(&mut self, now: u64) {
        self.last_unwatched = now;
    }

    /// When the daemon may leave, if nothing happens until then.
    pub(crate) fn leave_at(&self) -> Option<u64> {
        Some(self.quiet_since?.max(self.last_unwatched) + self.timeout_ms?)
    }

    /// When to look for stale sessions.
    pub(crate) fn stale_at(&self) -> Option<u64> {
        self.stale_not_before
    }

    /// What a look for stale sessions has found: when the oldest of those left was last heard of.
    pub(crate) fn looked_for_stale(&mut self, oldest_heard: Option<u64>) {
        self.stale_not_before = oldest_heard.map(|heard| heard + STALE_AFTER_MS);
    }
}
