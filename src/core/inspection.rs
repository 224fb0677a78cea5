//! When the shell must look whether the sessions' processes are stopped (Ctrl-Z).
//!
//! The system reports a process's stop to its parent only: a pidfd, a kqueue and the process events of netlink report
//! other things, or need rights. So it is seen at moments that cost no wake-up: before a request that shows sessions is
//! answered, and, while a client is subscribed, when any event arrives or a timer expires, at most once in
//! [`INTERVAL_MS`]. An event that arrives sooner arms one timer, so that what it may have changed shows after that time.
//!
//! Moments are in ms of uptime. Called by [`super::Core`] only.

use super::session::Session;
use super::sessions::Found;
use super::{Core, Effect, Input, Now};
use crate::codec::Request;
use crate::os::process::ProcessId;
use crate::protocol::{SetParams, Status};

/// The least time between two looks that no client has asked for: below what a person notices, and far above what a look
/// takes (15 µs for each process on Linux).
const INTERVAL_MS: u64 = 1000;

/// The most processes in one look: more agents than a person runs, few enough that it takes some milliseconds only.
const MAX_PROCESSES: usize = 256;

/// Whether a look is due.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    /// When the last look was.
    last: Option<u64>,
    /// An event has arrived since.
    pending: bool,
}

impl Inspection {
    /// An event has arrived.
    pub(crate) fn event(&mut self) {
        self.pending = true;
    }

    /// When a look is due for an event that has arrived.
    pub(crate) fn timeout(&self) -> Option<u64> {
        let last = self.last.map_or(0, |last| last + INTERVAL_MS);
        self.pending.then_some(last)
    }

    /// True if the last look is long enough ago for another one at `now`, which then counts as done.
    pub(crate) fn begin(&mut self, now: u64) -> bool {
        let is_due = self.last.is_none_or(|last| last + INTERVAL_MS <= now);
        if is_due {
            self.last = Some(now);
            self.pending = false;
        }
        is_due
    }
}

/// True if an input is a moment to look at the processes: something has happened to some session, or the loop has woken
/// anyway.
pub(super) fn is_moment(input: &Input) -> bool {
    match input {
        Input::Reported { .. }
        | Input::Observed(_)
        | Input::Set { .. }
        | Input::RegistryChanged(_)
        | Input::ProcessExited(_)
        | Input::ProcessUnwatchable(_)
        | Input::LimitsFetched(..)
        | Input::Reminded(_)
        | Input::Watchdog => true,
        // Requests that show sessions have a look of their own, before they are answered.
        Input::Request { .. }
        | Input::StatusAsked { .. }
        | Input::Refused { .. }
        | Input::Disconnected(_)
        | Input::ProcessesSeen(_)
        | Input::Timeout
        | Input::Terminated
        | Input::Reloaded(_)
        | Input::Notice { .. }
        | Input::RegistriesRead
        | Input::Drained => false,
    }
}

impl Core {
    /// The processes that the shell must look at before the core handles this request: its answer shows whether they are
    /// stopped.
    #[must_use]
    pub(crate) fn processes_of(&self, request: &Request) -> Vec<ProcessId> {
        match request {
            Request::SessionList(_) | Request::SessionCount | Request::Subscribe(_) => {
                self.sessions.watched_processes(MAX_PROCESSES)
            }
            Request::SessionGet(params) | Request::SessionExplain(params) => {
                let session = match self.sessions.find(&params.session) {
                    Found::One(key) => self.sessions.get(&key),
                    Found::None | Found::Many(_) => None,
                };
                let process = session.and_then(Session::watched_while_open);
                process.into_iter().collect()
            }
            Request::Hello(_)
            | Request::SessionSeen(_)
            | Request::SessionRemove(_)
            | Request::UsageGet
            | Request::UsageRefresh
            | Request::DaemonStop(_)
            | Request::DaemonReload => Vec::new(),
        }
    }

    /// The processes that the shell must look at before the core handles this `session.set`: if it opens a closed session
    /// again, those of its processes that still run are watched again.
    #[must_use]
    pub(crate) fn processes_of_closed(&self, params: &SetParams) -> Vec<ProcessId> {
        let session = match self.sessions.find_to_set(&params.session) {
            Found::One(key) => self.sessions.get(&key),
            Found::None | Found::Many(_) => None,
        };
        let session = session.filter(|_| params.status != Status::Closed);
        let processes = session.into_iter().flat_map(Session::former_processes);
        processes.collect()
    }

    /// Has the shell look at the processes, if a client is subscribed and the last look is long enough ago.
    pub(super) fn inspect(&mut self, now: Now) {
        let has_use = self.feed.has_subscribers()
            && self.sessions.watched() > 0
            && !self.lifecycle.has_exited();
        if has_use && self.inspection.begin(now.uptime_ms) {
            let processes = self.sessions.watched_processes(MAX_PROCESSES);
            self.feed.push(Effect::Inspect(processes));
        }
    }
}
