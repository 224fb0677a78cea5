//! When the daemon leaves: on request, or when it was not needed for as long as the configuration says.
//!
//! It is needed while a client is subscribed, a session's process is watched, or a client waits for an answer. A session
//! without a process to watch (a script's, one in a container) starts the time-out anew with each report and with its
//! end, but does not hold the daemon in between; after [`STALE_AFTER_MS`] without a report it is closed.
//!
//! Moments are in ms of uptime. Called by [`super::Core`] only.

/// How long a session without a process to watch may be silent before it is closed as `stale`: a day.
pub(crate) const STALE_AFTER_MS: u64 = 24 * 60 * 60 * 1000;

/// True if a session without a process that was last touched at `touched` is stale.
pub(crate) fn is_stale(touched: u64, now: u64) -> bool {
    touched + STALE_AFTER_MS <= now
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Not needed: leaves once drained, unless an accepted client needs it.
    DrainingIdle,
    /// Leaves once drained.
    Draining,
    Exited,
}

/// What follows when the accepted clients have been served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drained {
    /// The daemon leaves, as announced.
    Exit,
    /// The daemon leaves because it is idle.
    ExitIdle,
    /// The daemon is not idle any more.
    Stay,
}

/// The phase, and what it depends on.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    phase: Phase,
    timeout_ms: Option<u64>,
    /// Since when the daemon is not needed; `None` while it is.
    idle_since: Option<u64>,
    /// When a session without a process was last reported, or ended.
    last_unwatched: u64,
    /// No session without a process goes stale before this.
    stale_not_before: Option<u64>,
}

impl Lifecycle {
    /// A daemon that began at `now` and is not needed yet.
    pub(crate) fn new(timeout_ms: Option<u64>, now: u64) -> Self {
        Self {
            phase: Phase::Running,
            timeout_ms,
            idle_since: Some(now),
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

    /// Called after each input with whether the daemon is needed.
    pub(crate) fn observe(&mut self, needed: bool, now: u64) {
        if needed {
            self.idle_since = None;
        } else if self.idle_since.is_none() {
            self.idle_since = Some(now);
        }
    }

    /// A session without a process to watch was reported.
    pub(crate) fn touched_unwatched(&mut self, now: u64) {
        self.last_unwatched = now;
        self.stale_not_before.get_or_insert(now + STALE_AFTER_MS);
    }

    /// A session without a process to watch was last reported at `touched`, before this daemon began.
    pub(crate) fn restored_unwatched(&mut self, touched: u64) {
        self.last_unwatched = self.last_unwatched.max(touched);
        let stale = touched.saturating_add(STALE_AFTER_MS);
        self.stale_not_before = Some(self.stale_not_before.map_or(stale, |at| at.min(stale)));
    }

    /// A session without a process to watch has ended, or has one now.
    pub(crate) fn lost_unwatched(&mut self, now: u64) {
        self.last_unwatched = now;
    }

    /// The stale sessions were closed; of those left, one was touched at `oldest_touched` and none earlier.
    pub(crate) fn stale_closed(&mut self, oldest_touched: Option<u64>) {
        self.stale_not_before = oldest_touched.map(|touched| touched + STALE_AFTER_MS);
    }

    /// When to look for stale sessions.
    pub(crate) fn stale_at(&self) -> Option<u64> {
        self.stale_not_before
    }

    /// When the daemon leaves if nothing happens until then; `None` also while it leaves already.
    pub(crate) fn idle_exit_at(&self) -> Option<u64> {
        self.idle_at().filter(|_| self.phase == Phase::Running)
    }

    fn idle_at(&self) -> Option<u64> {
        Some(self.idle_since?.max(self.last_unwatched) + self.timeout_ms?)
    }

    /// Begins to leave because the daemon is not needed.
    pub(crate) fn drain_idle(&mut self) {
        self.phase = Phase::DrainingIdle;
    }

    /// Begins to leave for good.
    pub(crate) fn drain(&mut self) {
        self.phase = Phase::Draining;
    }

    /// Leaves at once.
    pub(crate) fn exit(&mut self) {
        self.phase = Phase::Exited;
    }

    /// The accepted clients have been served; `None` if the daemon was not leaving.
    pub(crate) fn drained(&mut self, now: u64) -> Option<Drained> {
        let (phase, outcome) = match self.phase {
            Phase::Running | Phase::Exited => return None,
            Phase::Draining => (Phase::Exited, Drained::Exit),
            Phase::DrainingIdle if self.idle_at().is_some_and(|at| at <= now) => {
                (Phase::Exited, Drained::ExitIdle)
            }
            Phase::DrainingIdle => (Phase::Running, Drained::Stay),
        };
        self.phase = phase;
        Some(outcome)
    }

    /// True if the daemon leaves whatever happens.
    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Draining | Phase::Exited)
    }

    /// True once [`super::Effect::Exit`] was emitted.
    pub(crate) fn has_exited(&self) -> bool {
        self.phase == Phase::Exited
    }

    /// A daemon that leaves begins no fetch.
    pub(crate) fn may_fetch(&self) -> bool {
        self.phase != Phase::Draining
    }
}
