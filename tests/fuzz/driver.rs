//! A core with its clock and its clients, for the targets that end in the core. Applies the effects as the event loop
//! does, and checks after each input what must hold for any.

mod clients;
mod time;

use std::collections::BTreeSet;
use std::rc::Rc;

use serde::de::IgnoredAny;

use crate::client::Update;
use crate::client::mirror::Mirror;
use crate::codec::{self, Framer, Incoming};
use crate::core::testing::{NAMESPACE, NO_REMINDERS, START, info};
use crate::core::{
    AttentionRules, ClientId, Core, Effect, Input, Now, ReminderRules, Saved, Settings,
};
use crate::event::KnownSession;
use crate::limits::Account;
use crate::os::process::ProcessId;
use crate::protocol::Changes;

/// The start of each process.
pub(super) const PROCESS_START: u64 = 7;

/// The largest notification in bytes that these inputs may cause.
const MAX_NOTIFICATION: usize = 256 * 1024;

/// The client that is subscribed all the time, the one that compares, and one that comes back with what it has.
const SUBSCRIBER: u64 = 1;
/// Another one, to brief changes.
const BRIEF: u64 = 4;
const PROBE: u64 = 2;
const RETURNING: u64 = 3;

/// A person is reminded of everything.
const REMINDERS: ReminderRules = ReminderRules {
    is_on: true,
    ..NO_REMINDERS
};

/// Settings that a reload may bring.
const SETTINGS: [Settings; 3] = [
    Settings {
        idle_timeout_ms: Some(3_600_000),
        history: 20,
        record_prompts: true,
        persist: true,
        usage_interval_ms: Some(180_000),
        quiet_after_ms: Some(600_000),
        attention: AttentionRules {
            background_shell: true,
            quiet: false,
        },
        reminders: REMINDERS,
    },
    Settings {
        idle_timeout_ms: None,
        history: 1,
        record_prompts: false,
        persist: true,
        usage_interval_ms: None,
        quiet_after_ms: None,
        attention: AttentionRules {
            background_shell: false,
            quiet: true,
        },
        reminders: NO_REMINDERS,
    },
    Settings {
        idle_timeout_ms: Some(1000),
        history: 256,
        record_prompts: true,
        persist: true,
        usage_interval_ms: Some(60_000),
        quiet_after_ms: Some(60_000),
        attention: AttentionRules {
            background_shell: true,
            quiet: true,
        },
        reminders: ReminderRules {
            repeat_ms: Some(60_000),
            ..REMINDERS
        },
    },
];

/// What is known of the replies to an input.
#[derive(Clone, Copy)]
enum Expected {
    /// The client gets so many.
    Replies(u64, usize),
    /// Nothing.
    Any,
}

pub(super) struct Driver {
    core: Core,
    pub(super) now: Now,
    mirror: Mirror,
    /// The copy of the subscriber to brief changes.
    brief: Mirror,
    /// The copy of [`RETURNING`], as of the last comparison.
    returning: Mirror,
    /// Which state the numbers belong to.
    epoch: u64,
    /// The clients that send, by their current numbers; each with what it has sent of a line.
    senders: [(u64, Framer); 3],
    last_client: u64,
    connected: BTreeSet<u64>,
    exited_processes: BTreeSet<u32>,
    watched: Vec<ProcessId>,
    inspected: Vec<ProcessId>,
    fetching: Option<Rc<Account>>,
    /// How many reminders the child that runs has.
    reminding: Option<usize>,
    reloading: bool,
    settings: Settings,
    draining: bool,
    exited: bool,
    /// What the daemon has saved.
    file: Vec<u8>,
}

impl Driver {
    pub(super) fn new() -> Self {
        Self::restored(Saved::default())
    }

    /// A daemon that begins with what an earlier one has saved, or with any file.
    pub(super) fn restored(saved: Saved) -> Self {
        let mut driver = Self {
            core: Core::restore(info(), SETTINGS[0], saved, START),
            now: START,
            mirror: Mirror::default(),
            brief: Mirror::default(),
            returning: Mirror::default(),
            epoch: 0,
            senders: [10, 11, 12].map(|number| (number, Framer::default())),
            last_client: 12,
            connected: BTreeSet::from([SUBSCRIBER, BRIEF, PROBE, RETURNING, 10, 11, 12]),
            exited_processes: BTreeSet::new(),
            watched: Vec::new(),
            inspected: Vec::new(),
            fetching: None,
            reminding: None,
            reloading: false,
            settings: SETTINGS[0],
            draining: false,
            exited: false,
            file: Vec::new(),
        };
        driver.begin();
        driver
    }

    fn begin(&mut self) {
        self.file.clear();
        self.core.save_all(&mut self.file).unwrap();
        self.subscribe(SUBSCRIBER, "{}");
        self.subscribe(BRIEF, r#"{"changes":"brief"}"#);
    }

    /// The daemon is killed, or has left in order, and the next one begins with what was saved: it knows the same.
    pub(super) fn restart(&mut self) {
        if self.exited {
            self.core.save_leaving(&mut self.file).unwrap();
        }
        let mut saved = Saved::default();
        for line in self.file.split(|byte| *byte == b'\n') {
            if !line.is_empty() {
                saved.take(line).unwrap();
            }
        }
        self.core = Core::restore(info(), self.settings, saved, self.now);
        let before = std::mem::take(&mut self.mirror);
        self.brief = Mirror::default();
        let senders = std::array::from_fn(|_| {
            self.last_client += 1;
            (self.last_client, Framer::default())
        });
        self.connected = BTreeSet::from([SUBSCRIBER, BRIEF, PROBE, RETURNING]);
        self.connected
            .extend(senders.iter().map(|(number, _)| number));
        self.senders = senders;
        self.watched.clear();
        self.inspected.clear();
        self.fetching = None;
        self.reminding = None;
        self.reloading = false;
        self.draining = false;
        self.exited = false;
        self.begin();
        assert!(
            before.sessions().eq(self.mirror.sessions()),
            "before the restart {:?}, after it {:?}",
            before.sessions().collect::<Vec<_>>(),
            self.mirror.sessions().collect::<Vec<_>>()
        );
        self.compare();
        self.input(Input::RegistriesRead);
    }

    /// What the readers of files are given after a restart.
    pub(super) fn known_sessions(&self) -> Vec<KnownSession<'_>> {
        self.core.known_sessions()
    }

    pub(super) fn has_exited(&self) -> bool {
        self.exited
    }

    /// An input that no client has sent.
    pub(super) fn input(&mut self, input: Input) {
        self.take(input, Expected::Any);
    }

    /// This process has ended.
    pub(super) fn process_exited(&mut self, pid: u32) {
        self.exited_processes.insert(pid);
        self.watched_ended(pid, Input::ProcessExited);
    }

    /// There is no descriptor left to watch this process.
    pub(super) fn process_unwatchable(&mut self, pid: u32) {
        self.watched_ended(pid, Input::ProcessUnwatchable);
    }

    fn watched_ended(&mut self, pid: u32, input: fn(ProcessId) -> Input) {
        if let Some(place) = self.watched.iter().position(|process| process.pid == pid) {
            let process = self.watched.remove(place);
            self.input(input(process));
        }
    }

    /// The answer to [`Effect::Inspect`].
    pub(super) fn inspected(&mut self, stopped: bool) {
        let seen = std::mem::take(&mut self.inspected);
        let seen = seen.into_iter().map(|process| (process, stopped));
        let seen = seen.collect();
        self.input(Input::ProcessesSeen(seen));
    }

    /// The answer to [`Effect::Reload`]; a signal may bring one, too.
    pub(super) fn reloaded(&mut self, settings: Option<usize>) {
        self.reloading = false;
        if let Some(number) = settings {
            self.settings = SETTINGS[number % SETTINGS.len()];
        }
        self.input(Input::Reloaded(match settings {
            Some(_) => Ok((self.settings, None)),
            None => Err("line 1: refused".into()),
        }));
    }

    /// The answer to [`Effect::FetchLimits`]: the child's line.
    pub(super) fn fetched(&mut self, line: &[u8]) {
        let outcome = serde_json::from_slice(line);
        if let (Ok(outcome), Some(account)) = (outcome, self.fetching.take()) {
            self.input(Input::LimitsFetched(account, outcome));
        }
    }

    /// The answer to [`Effect::Drain`].
    pub(super) fn drained(&mut self) {
        if std::mem::take(&mut self.draining) {
            self.input(Input::Drained);
        }
    }

    fn take(&mut self, input: Input, expected: Expected) {
        if self.exited {
            return;
        }
        let mut effects: Vec<_> = self.core.handle(input, self.now).collect();
        effects.extend(self.core.end_turn());
        self.core.save(&mut self.file).unwrap();
        let mut closed = Vec::new();
        let mut replies = 0;
        for effect in effects {
            assert!(!self.exited, "{effect:?} after the exit");
            match effect {
                Effect::Reply(ClientId(client), line) => {
                    assert!(
                        self.connected.contains(&client),
                        "a reply to a client that is gone"
                    );
                    replies +=
                        usize::from(matches!(expected, Expected::Replies(to, _) if to == client));
                    self.reply(client, check_line(&line));
                }
                Effect::Broadcast(line) | Effect::Announce(line) => {
                    self.mirror.apply(notification(&line));
                    self.brief.apply(notification(&line));
                }
                Effect::BroadcastTo(Changes::Whole, line) => self.mirror.apply(notification(&line)),
                Effect::BroadcastTo(Changes::Brief, line) => self.brief.apply(notification(&line)),
                Effect::Disconnect(ClientId(client)) => closed.push(client),
                Effect::Watch(process) => self.watched.push(process),
                Effect::Unwatch(process) => self.watched.retain(|watched| *watched != process),
                Effect::Inspect(processes) => self.inspected = processes,
                Effect::Reload => self.reloading = true,
                Effect::FetchLimits(account) => {
                    assert!(self.fetching.is_none(), "two fetches at once");
                    self.fetching = Some(account);
                }
                Effect::Remind(job) => {
                    assert!(self.reminding.is_none(), "two reminders at once");
                    self.reminding = Some(job.reminders.len());
                }
                Effect::Drain { .. } => self.draining = true,
                Effect::Resume => self.draining = false,
                Effect::Exit { .. } => self.exited = true,
                Effect::Subscribe(..)
                | Effect::WatchRegistry(..)
                | Effect::ScanRegistries
                | Effect::KillFetch
                | Effect::KillReminder => {}
            }
        }
        if let Expected::Replies(_, count) = expected {
            assert_eq!(replies, count, "one reply for each id");
        }
        for client in closed {
            self.close(client);
        }
        let gone: Vec<u32> = self
            .watched
            .iter()
            .map(|process| process.pid)
            .filter(|pid| self.exited_processes.contains(pid))
            .collect();
        for pid in gone {
            self.process_exited(pid);
        }
    }
}

/// The process of this pid, which is in the daemon's pid namespace.
pub(super) fn process_id(pid: u32) -> ProcessId {
    ProcessId {
        pid,
        start: PROCESS_START,
    }
}

/// The same as a reported one.
pub(super) fn reported_process(pid: u32) -> crate::event::ReportedProcess {
    crate::event::ReportedProcess {
        pid,
        start: Some(PROCESS_START),
        namespace: Some(NAMESPACE),
    }
}

/// The update that a subscriber reads from a notification's line.
fn notification(line: &[u8]) -> Update {
    let line = check_line(line);
    assert!(line.len() < MAX_NOTIFICATION, "{} bytes", line.len());
    match codec::incoming(line).unwrap() {
        Incoming::Notification(notification) => Update::Notification(notification),
        other => panic!("{other:?} is no notification"),
    }
}

/// What the daemon sends: one line of JSON.
fn check_line(line: &[u8]) -> &str {
    let text = std::str::from_utf8(line).unwrap();
    assert_eq!(text.find('\n'), Some(text.len() - 1), "one line");
    let _: IgnoredAny = serde_json::from_str(text).unwrap();
    text
}
