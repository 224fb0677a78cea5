//! What waits for a free descriptor: connections in the socket's queue, and processes whose end the core waits for. A client
//! or a watch that ends makes room; until then the loop looks at the processes now and then. Called by the loop.

use std::io;
use std::time::{Duration, Instant};

use super::{ControlFlow, EventLoop};
use crate::core::Input;
use crate::daemon::descriptors;
use crate::daemon::exit_watcher::Watched;
use crate::daemon::occasional::Occasional;
use crate::os::clock;
use crate::os::process::{self, ProcessId};
use crate::protocol::NoticeCode;

/// Between two looks at the processes that wait, if they are few.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// The same for each process: a look takes about a hundredth of it.
const LOOK_PAUSE_EACH: Duration = Duration::from_millis(1);

/// What there was no descriptor for.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The number of clients when the last accept failed: accept again when there are fewer.
    full_at: Option<usize>,
    warnings: Occasional,
    /// Processes that could not be watched.
    processes: Vec<ProcessId>,
    /// The number of clients and watches at that time: watch them when there are fewer.
    unwatched_at: usize,
    /// When to look whether they still run; `None` if there are none.
    pub(super) look_at: Option<Instant>,
}

impl EventLoop {
    pub(super) fn accept(&mut self) -> ControlFlow {
        loop {
            match self.listener.accept() {
                Ok(Some(socket)) => {
                    let is_last = descriptors::is_last(&socket);
                    self.clients.add(socket);
                    if is_last {
                        return self.full(&io::Error::from_raw_os_error(libc::EMFILE));
                    }
                }
                Ok(None) => return ControlFlow::Continue,
                Err(error) => return self.full(&error),
            }
        }
    }

    /// Accepts no more connections until one ends.
    fn full(&mut self, error: &io::Error) -> ControlFlow {
        self.waiting.full_at = Some(self.clients.len());
        if let Some(times) = self.waiting.warnings.next() {
            let connections = self.clients.len();
            tracing::warn!(connections, times, "cannot accept a connection: {error}");
        }
        self.handle(Input::Notice {
            code: NoticeCode::ConnectionsFull,
            message: format!("no connection can be accepted until one ends: {error}"),
        })
    }

    /// Accepts where it had stopped, once there are fewer clients.
    pub(super) fn accept_again(&mut self) {
        let full_at = self.waiting.full_at;
        if full_at.is_some_and(|clients| self.clients.len() < clients) {
            self.waiting.full_at = None;
            self.accept();
        }
    }

    pub(super) fn watch(&mut self, process: ProcessId) -> ControlFlow {
        self.waiting.processes.retain(|waiting| *waiting != process);
        match self.exits.watch(process) {
            Watched::Yes => {}
            Watched::LackOfDescriptors => self.wait_for_descriptor(process),
            Watched::Never => return self.handle(Input::ProcessUnwatchable(process)),
        }
        ControlFlow::Continue
    }

    pub(super) fn unwatch(&mut self, process: ProcessId) {
        self.waiting.processes.retain(|waiting| *waiting != process);
        self.exits.unwatch(process);
    }

    fn wait_for_descriptor(&mut self, process: ProcessId) {
        self.waiting.processes.push(process);
        self.waiting.unwatched_at = self.descriptors();
        self.waiting
            .look_at
            .get_or_insert(clock::monotonic() + LOOK_PAUSE);
    }

    /// Watches processes that wait, once a descriptor has become free.
    pub(super) fn watch_again(&mut self) -> ControlFlow {
        while self.descriptors() < self.waiting.unwatched_at
            && let Some(process) = self.waiting.processes.pop()
        {
            let waiting = self.waiting.processes.len();
            if let exit @ ControlFlow::Exit { .. } = self.watch(process) {
                return exit;
            }
            if self.waiting.processes.len() > waiting {
                break;
            }
        }
        ControlFlow::Continue
    }

    /// Looks whether the processes that wait still run, since their end makes no descriptor readable.
    pub(super) fn look_at_processes(&mut self) -> ControlFlow {
        let has_ended = |process: &ProcessId| match process::inspect(process.pid) {
            Ok(found) => found.id != *process || found.zombie,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        let processes = std::mem::take(&mut self.waiting.processes);
        let (ended, waiting): (Vec<_>, Vec<_>) = processes.into_iter().partition(has_ended);
        let number = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
        let pause = LOOK_PAUSE.max(LOOK_PAUSE_EACH.saturating_mul(number));
        self.waiting.look_at = (number > 0).then(|| clock::monotonic() + pause);
        self.waiting.processes = waiting;
        for process in ended {
            if let exit @ ControlFlow::Exit { .. } = self.handle(Input::ProcessExited(process)) {
                return exit;
            }
        }
        ControlFlow::Continue
    }

    /// How many descriptors clients and watched processes have.
    fn descriptors(&self) -> usize {
        self.clients.len() + self.exits.count()
    }
}
