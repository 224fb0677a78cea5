//! The processes of a session: the one that runs the conversation, and the one of the terminal that shows it.
//!
//! Which of them is watched; what their exits mean is in [`super::exit`].

use serde::{Deserialize, Serialize};

use super::Session;
use crate::event::ReportedProcess;
use crate::os::process::ProcessId;

/// A process and whether the daemon can see it die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) start: Option<u64>,
    /// The process to watch; `None` if it can't be: in another pid namespace, or without a start time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) watched: Option<ProcessId>,
}

impl Process {
    /// A process that an agent has reported; `own_namespace` is the daemon's.
    pub(crate) fn of(process: ReportedProcess, own_namespace: Option<u64>) -> Self {
        // A pid of another namespace is another process here, or none.
        let is_here = process.namespace == own_namespace;
        Self {
            pid: process.pid,
            start: process.start,
            watched: process.id().filter(|_| is_here),
        }
    }
}

/// The processes of a report.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Processes {
    /// The one that runs the conversation.
    pub(crate) process: Option<Process>,
    /// The one of the terminal through which a person sees the session, where that is another.
    pub(crate) client: Option<Process>,
}

/// The process of the terminal through which a person sees a session that another process runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Client {
    /// There is none, or it is not known.
    #[default]
    Unknown,
    Attached(Process),
    /// It has ended while a turn ran: the session ends with the turn.
    Gone,
}

impl Session {
    /// The process that a person deals with, if its exit is seen, while the session is open.
    pub(crate) fn watched_while_open(&self) -> Option<ProcessId> {
        let [process, client] = self.watches();
        client.or(process)
    }

    /// The processes whose exits are watched, while it is open: the one that runs it, and its client's.
    pub(crate) fn watches(&self) -> [Option<ProcessId>; 2] {
        if self.ended.is_some() {
            return [None, None];
        }
        self.watchable()
    }

    /// While it is closed, the processes that it had, as far as their exits can be seen: no exit is watched meanwhile, so
    /// they may be gone.
    pub(crate) fn former_processes(&self) -> impl Iterator<Item = ProcessId> {
        let former = self.watchable().into_iter().flatten();
        former.filter(|_| self.ended.is_some())
    }

    fn watchable(&self) -> [Option<ProcessId>; 2] {
        let watched = |process: Process| process.watched;
        let client = match self.client {
            Client::Attached(client) => Some(client),
            Client::Unknown | Client::Gone => None,
        };
        [self.process.and_then(watched), client.and_then(watched)]
    }

    /// Of its processes, `client` among them, keeps those that are known to run.
    pub(super) fn keep_processes(&mut self, client: Client, running: &[ProcessId]) {
        let runs = |process: &Process| process.watched.is_some_and(|it| running.contains(&it));
        self.process = self.process.filter(runs);
        self.client = match client {
            Client::Attached(client) if runs(&client) => Client::Attached(client),
            Client::Attached(_) | Client::Unknown | Client::Gone => Client::Unknown,
        };
    }

    /// The process that a person deals with: the client's, where another one runs the conversation.
    pub(super) fn shown_process(&self) -> Option<Process> {
        match self.client {
            Client::Attached(client) => Some(client),
            Client::Unknown | Client::Gone => self.process,
        }
    }

    /// True if it is open and has no process whose exit would close it.
    pub(crate) fn is_unwatched(&self) -> bool {
        self.ended.is_none() && self.watched_while_open().is_none()
    }

    /// This process can't be watched after all.
    pub(crate) fn unwatch(&mut self, unwatchable: ProcessId) {
        let client = match &mut self.client {
            Client::Attached(client) => Some(client),
            Client::Unknown | Client::Gone => None,
        };
        for process in self.process.iter_mut().chain(client) {
            process.watched = process.watched.filter(|watched| *watched != unwatchable);
        }
    }

    /// Its processes, as far as they were reported. Whether another one is stopped is not known.
    pub(super) fn set_processes(&mut self, processes: Processes) {
        let before = self.watched_while_open();
        if let Some(process) = processes.process {
            self.process = Some(process);
        }
        if let Some(client) = processes.client {
            self.client = Client::Attached(client);
        }
        if self.watched_while_open() != before {
            self.stopped_since = None;
        }
    }
}
