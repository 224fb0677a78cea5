//! What goes into the core and what comes out of it: [`Input`], [`Effect`], and the values that both consist of.
//!
//! Types only. The daemon makes the inputs and carries out the effects.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::codec::{Id, Line, Refusal, Request};
use crate::event::{RegistryUpdate, Report};
use crate::limits::{Account, FetchOutcome};
use crate::os::process::ProcessId;
use crate::protocol::{Changes, NoticeCode, Origin, SetParams};
use crate::reminders::{Cause, Causes, Job, Outcome};

/// A connection, by a number that is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ClientId(pub u64);

/// The time of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Now {
    /// Milliseconds since the epoch: what people read. May jump.
    pub unix_ms: u64,
    /// Milliseconds since the machine started, sleep included: what deadlines are counted in. Never goes back, and means
    /// the same to the next daemon.
    pub uptime_ms: u64,
}

/// What never changes while the daemon runs.
#[derive(Debug, Clone)]
pub(crate) struct DaemonInfo {
    /// The daemon's process id.
    pub pid: u32,
    /// The inode of its pid namespace; `None` where there are none.
    pub pid_namespace: Option<u64>,
    /// Which start of the machine this is: process ids and uptimes are of one.
    pub boot: Box<str>,
    /// Where the socket came from.
    pub origin: Origin,
    /// The socket's path.
    pub socket: Box<str>,
    /// The account of the configuration directory of the daemon's own environment.
    pub account: Rc<Account>,
    /// Which state this is: below 2^53, random where the state began.
    pub epoch: u64,
}

/// The part of the configuration that rules depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    /// After how long without dashboards and live sessions the daemon leaves; `None`: never.
    pub idle_timeout_ms: Option<u64>,
    /// How many transitions a session keeps; at least 1.
    pub history: usize,
    /// Whether the beginning of a prompt may serve as a session's title.
    pub record_prompts: bool,
    /// Whether the state outlives the daemon.
    pub persist: bool,
    /// How often the account's limits are fetched while a client is subscribed; `None`: never.
    pub usage_interval_ms: Option<u64>,
    /// After how long without a sign a session at work is quiet; `None`: never.
    pub quiet_after_ms: Option<u64>,
    /// When a session needs a person.
    pub attention: AttentionRules,
    /// When a person is reminded of that.
    pub reminders: ReminderRules,
}

/// When a person is reminded of a session that needs one, as it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReminderRules {
    /// Whether there is a way to remind a person.
    pub is_on: bool,
    /// How long a session must need a person first, in ms; at least [`TOGETHER_MS`](super::reminders::TOGETHER_MS).
    pub delay_ms: u64,
    /// How long after a reminder the next one is due, in ms; `None`: there is no next one.
    pub repeat_ms: Option<u64>,
    /// For which causes.
    pub causes: Causes,
    /// How long a turn that has ended must have been, in ms.
    pub finished_after_ms: u64,
}

impl ReminderRules {
    /// Whether there are reminders of sessions that need a person for this cause.
    pub(crate) fn concern(self, cause: Cause) -> bool {
        self.is_on && self.causes.has(cause)
    }
}

/// When a session needs a person, as far as that is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AttentionRules {
    /// Whether one that has finished needs a person although a background shell runs.
    pub background_shell: bool,
    /// Whether a quiet one does.
    pub quiet: bool,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// A client sent a request, or a notification (then there is no id).
    Request {
        /// The client.
        client: ClientId,
        /// Echoed in the reply.
        id: Option<Id>,
        /// What it asks.
        request: Request,
    },
    /// A client sent `session.report`: an agent's hook has run.
    Reported {
        /// The client.
        client: ClientId,
        /// Echoed in the reply.
        id: Option<Id>,
        /// What the hook reports.
        report: Box<Report>,
    },
    /// The agent's own files report something.
    Observed(Box<Report>),
    /// Every entry of the registries has been handed in, as it was when the daemon began.
    RegistriesRead,
    /// A client sent `session.set`.
    Set {
        /// The client.
        client: ClientId,
        /// Echoed in the reply.
        id: Option<Id>,
        /// As sent; the status is one of the five.
        params: Box<SetParams>,
        /// The process of `params.pid`; `None` where there is none of that pid.
        process: Option<ProcessId>,
        /// Of [`Core::processes_of_closed`](super::Core::processes_of_closed), those that run.
        running: Vec<ProcessId>,
    },
    /// A client sent `daemon.status`.
    StatusAsked {
        /// The client.
        client: ClientId,
        /// Echoed in the reply.
        id: Option<Id>,
        /// The daemon's resident memory in bytes, where the system can say.
        rss_bytes: Option<u64>,
    },
    /// A client sent something that is no request.
    Refused {
        /// The client.
        client: ClientId,
        /// Echoed in the reply; `null` if it could not be read. `None`: a notification, which gets no reply.
        id: Option<Id>,
        /// What is wrong with it.
        error: Refusal,
    },
    /// A client has disconnected.
    Disconnected(ClientId),
    /// A file of an agent's registry was read at the start, by a scan, or after it changed.
    RegistryChanged(Box<RegistryUpdate>),
    /// A watched process has exited.
    ProcessExited(ProcessId),
    /// A process can't be watched: its sessions count as ones without a process.
    ProcessUnwatchable(ProcessId),
    /// Whether each of these processes is stopped by a signal: before a request of [`Core::processes_of`](super::Core::processes_of), and after
    /// [`Effect::Inspect`].
    ProcessesSeen(Vec<(ProcessId, bool)>),
    /// The moment of [`Core::next_timeout`](super::Core::next_timeout), or any other: a spurious one does nothing.
    Timeout,
    /// The loop has woken to send the service manager a sign of life.
    Watchdog,
    /// SIGTERM or SIGINT.
    Terminated,
    /// The configuration was read again (the new settings, and what of the file takes a restart), or was refused (why).
    Reloaded(Result<(Settings, Option<String>), String>),
    /// The shell has a notice for people: a code of [`crate::protocol::Notice::code`] and one line.
    Notice {
        /// What it is about.
        code: NoticeCode,
        /// One line for a person.
        message: String,
    },
    /// After [`Effect::FetchLimits`]: the child has ended, by itself or killed. The account is that of the directory by
    /// now: its login may have changed.
    LimitsFetched(Rc<Account>, FetchOutcome),
    /// After [`Effect::Remind`]: the child has ended, by itself or killed.
    Reminded(Outcome),
    /// After [`Effect::Drain`]: every accepted client has been served.
    Drained,
}

/// What the shell must do.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Send a client a line.
    Reply(ClientId, Line),
    /// Send the client what is broadcast from here on, with changes in this form.
    Subscribe(ClientId, Changes),
    /// Send a line to every subscriber.
    Broadcast(Line),
    /// Send a line to the subscribers to changes in this form.
    BroadcastTo(Changes, Line),
    /// Send a line to every client, subscribed or not.
    Announce(Line),
    /// Close a client's connection once it has what it was sent.
    Disconnect(ClientId),
    /// Watch for a process to exit.
    Watch(ProcessId),
    /// End such a watch.
    Unwatch(ProcessId),
    /// Look whether these processes are stopped, then hand in [`Input::ProcessesSeen`].
    Inspect(Vec<ProcessId>),
    /// Watch the registry of this agent (first) below this configuration directory (second).
    WatchRegistry(Box<str>, Box<str>),
    /// Read all files of the watched registries again.
    ScanRegistries,
    /// Read the configuration again, then hand in [`Input::Reloaded`].
    Reload,
    /// Have a child fetch this account's limits, then hand in [`Input::LimitsFetched`]. Not again before that.
    FetchLimits(Rc<Account>),
    /// Kill that child; its end is still handed in.
    KillFetch,
    /// Have a child do this, then hand in [`Input::Reminded`]. Not again before that.
    Remind(Box<Job>),
    /// Kill that child; its end is still handed in.
    KillReminder,
    /// Stop accepting, serve the accepted clients, then hand in [`Input::Drained`]. If it is for good, notify the
    /// service manager.
    Drain {
        /// False if the daemon may yet stay.
        for_good: bool,
    },
    /// The daemon stays: accept again.
    Resume,
    /// Leave. Without `flush` at once, with output still unwritten.
    Exit {
        /// Whether clients get what they were sent first.
        flush: bool,
    },
}
