//! The core: takes what happened, decides what follows. `handle(input, now)` -> effects.
//!
//! Fully deterministic: no async, no clock, no file, no socket; time is an argument, and everything that is to be
//! done comes back as an [`Effect`], to be carried out in order. Every rule about sessions, subscribers, leaving and
//! answers lives here and is tested here, in virtual time.
//!
//! What holds, whatever comes in:
//! * each request that has an id gets exactly one reply (a reload's comes when the shell has read the configuration);
//! * snapshot and subscription are one step: no change falls between them;
//! * a reply comes before the notifications that the same request caused;
//! * nothing is addressed to a client after it has gone;
//! * [`Effect::Exit`] comes at most once, and last;
//! * a tick before [`Core::next_deadline`] does nothing.
//!
//! Called by the daemon's loop only, which owns the one instance.

mod evidence;
mod feed;
mod lifecycle;
mod limits;
mod notices;
mod registry;
mod request;
mod requests;
mod rule;
mod session;
mod sessions;
#[cfg(test)]
mod tests;
mod timers;
mod turn;

use std::borrow::Cow;

pub use self::lifecycle::STALE_AFTER_MS;
pub use self::limits::{FETCH_LIMIT_MS, SOONEST_MS};
pub use self::notices::QUIET_MS;
pub use self::request::{Request, Set};
pub use self::sessions::{MAX_CLOSED, MAX_SESSIONS, SET_PREFIX};

use self::feed::Subscribers;
use self::lifecycle::Idle;
use self::limits::{Schedule, Usage};
use self::notices::Notices;
use self::session::Session;
use self::sessions::Store;
use self::timers::Pending;
use crate::codec::{self, Id, Line};
use crate::event::Sighting;
use crate::limits::Fetched;
use crate::os::process::ProcessId;
use crate::protocol::{
    self, DaemonNotice, DaemonStopping, ErrorCode, Notice, Notification, SessionChanged,
    SessionRemoved, StopReason,
};

/// A connection, by a number that is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

/// The time of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the epoch: what people read. May jump.
    pub unix_ms: u64,
    /// Milliseconds since the daemon began: what deadlines are counted in. Never goes back.
    pub uptime_ms: u64,
}

/// What never changes while the daemon runs.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The daemon's process id.
    pub pid: u32,
    /// The inode of its pid namespace; `None` where there are none.
    pub pid_namespace: Option<u64>,
    /// Where the socket came from.
    pub origin: &'static str,
    /// The socket's path.
    pub socket: Box<str>,
}

/// What the configuration decides in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// After how long without dashboards and live sessions the daemon leaves; `None`: never.
    pub idle_timeout_ms: Option<u64>,
    /// How many transitions a session keeps; at least 1.
    pub history: usize,
    /// Whether the beginning of a prompt may serve as a session's title.
    pub record_prompts: bool,
    /// How often the account's limits are fetched while somebody looks; `None`: never.
    pub usage_interval_ms: Option<u64>,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// A client sent a request, or a notification (then there is no id).
    Request {
        /// Who.
        client: ClientId,
        /// To be echoed in the reply.
        id: Option<Id>,
        /// What.
        request: Request,
    },
    /// A client sent something that is none.
    Refused {
        /// Who.
        client: ClientId,
        /// To be echoed in the reply; `null` if it could not be read. `None`: a notification, which gets no reply.
        id: Option<Id>,
        /// What is wrong with it.
        error: codec::Refusal,
    },
    /// A client has gone.
    Disconnected(ClientId),
    /// An agent's registry was looked at, or has changed.
    Sighted(Box<Sighting>),
    /// A process whose exit was to be watched for is gone.
    ProcessExited(ProcessId),
    /// A process can't be watched: its sessions count as ones without a process.
    ProcessUnwatchable(ProcessId),
    /// The moment of [`Core::next_deadline`], or any other: too early does nothing.
    Tick,
    /// SIGTERM or SIGINT.
    Terminated,
    /// The configuration has been read again (the new settings, and what of the file takes a restart), or was
    /// refused (why).
    Reloaded(Result<(Settings, Option<String>), String>),
    /// The shell has something to tell people: a code of [`Notice::code`] and one line.
    Noticed {
        /// The notice's code.
        code: &'static str,
        /// One line for a person.
        message: String,
    },
    /// After [`Effect::FetchUsage`]: the child that asked has ended, by itself or killed.
    Fetched(Fetched),
    /// After [`Effect::Retire`]: everyone who was accepted has been served.
    Drained,
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Answer a client.
    Reply(ClientId, Line),
    /// From here on the client gets what is broadcast.
    Subscribed(ClientId),
    /// Tell every subscriber.
    Broadcast(Line),
    /// Tell every client, subscribed or not.
    Announce(Line),
    /// Close a client's connection once it has what it was sent.
    Disconnect(ClientId),
    /// Watch for a process to exit.
    Watch(ProcessId),
    /// No longer.
    Unwatch(ProcessId),
    /// Watch the registry of this agent below this configuration directory.
    WatchRegistry(Box<str>, Box<str>),
    /// Look at all that is in the watched registries again.
    ScanRegistries,
    /// Read the configuration again, then hand in [`Input::Reloaded`].
    Reload,
    /// Have a child ask the account's service, then hand in [`Input::Fetched`]. Not again before that.
    FetchUsage,
    /// Kill that child; its end is still handed in.
    KillFetch,
    /// Stop accepting, serve who was accepted, then hand in [`Input::Drained`]. If it is for good, tell the manager.
    Retire {
        /// False if the daemon may yet find that it is needed.
        for_good: bool,
    },
    /// Somebody needs the daemon after all: accept again.
    Resume,
    /// Leave. Without `flush` at once, whatever is still unwritten.
    Exit {
        /// Whether clients get what they were sent first.
        flush: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Nobody needs it: to leave, unless one who was already accepted does.
    RetiringIdle,
    RetiringForGood,
    Gone,
}

/// The state, and the rules. See the module's text for what holds.
#[derive(Debug)]
pub struct Core {
    identity: Identity,
    settings: Settings,
    store: Store,
    subscribers: Subscribers,
    notices: Notices,
    idle: Idle,
    pending: Pending,
    /// The agents' configuration directories that hooks have told of.
    config_dirs: Vec<Box<str>>,
    phase: Phase,
    /// Who waits for the answer to `daemon.reload`.
    reloading: Vec<(ClientId, Id)>,
    usage: Usage,
    fetches: Schedule,
    /// Who waits for the answer to `usage.refresh`.
    refreshing: Vec<(ClientId, Id)>,
    reports: u64,
    unknown_events: u64,
    effects: Vec<Effect>,
}

impl Core {
    /// A daemon that has just begun.
    #[must_use]
    pub fn new(identity: Identity, settings: Settings, now: Now) -> Self {
        Self {
            identity,
            settings,
            store: Store::default(),
            subscribers: Subscribers::default(),
            notices: Notices::default(),
            idle: Idle::new(settings.idle_timeout_ms, now.uptime_ms),
            pending: Pending::default(),
            config_dirs: Vec::new(),
            phase: Phase::Running,
            reloading: Vec::new(),
            usage: Usage::new(settings.usage_interval_ms.is_some()),
            fetches: Schedule::new(settings.usage_interval_ms),
            refreshing: Vec::new(),
            reports: 0,
            unknown_events: 0,
            effects: Vec::new(),
        }
    }

    /// Takes in what happened and gives what is to be done, in order.
    pub fn handle(&mut self, input: Input, now: Now) -> std::vec::Drain<'_, Effect> {
        if self.phase != Phase::Gone {
            self.take_in(input, now);
            self.observe_need(now);
        }
        self.effects.drain(..)
    }

    fn observe_need(&mut self, now: Now) {
        let needed =
            !self.subscribers.is_empty() || self.store.watched() > 0 || !self.refreshing.is_empty();
        self.idle.observe(needed, now.uptime_ms);
    }

    /// True if a request of the client's is still to be answered.
    #[must_use]
    pub fn owes_answer_to(&self, client: ClientId) -> bool {
        let mut waiting = self.reloading.iter().chain(&self.refreshing);
        waiting.any(|(asker, _)| *asker == client)
    }

    /// True if the daemon is to leave whatever happens.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::RetiringForGood | Phase::Gone)
    }

    /// When, in ms of uptime, [`Input::Tick`] is due; `None`: never, as things stand.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let leave = match self.phase {
            Phase::Running => self.idle.leave_at(),
            Phase::RetiringIdle | Phase::RetiringForGood => None,
            Phase::Gone => return None,
        };
        let due = [
            leave,
            self.idle.stale_at(),
            self.pending.next(),
            self.usage_due(),
        ];
        due.into_iter().flatten().min()
    }

    fn take_in(&mut self, input: Input, now: Now) {
        match input {
            Input::Request {
                client,
                id,
                request,
            } => self.serve(client, id, request, now),
            Input::Refused { client, id, error } => {
                let too_long = error.code == ErrorCode::LineTooLong;
                self.reply_error(client, id, error.code, &error.message);
                if too_long {
                    self.effects.push(Effect::Disconnect(client));
                }
            }
            Input::Disconnected(client) => {
                self.subscribers.remove(client);
                self.reloading.retain(|(asker, _)| *asker != client);
                self.refreshing.retain(|(asker, _)| *asker != client);
            }
            Input::Sighted(sighting) => self.sighted(&sighting, now),
            Input::ProcessExited(process) => {
                for key in self.store.keys_of(process) {
                    self.change(&key, now, |session| session.exited(now.unix_ms));
                }
            }
            Input::ProcessUnwatchable(process) => {
                for key in self.store.keys_of(process) {
                    self.store.update(&key, || None, Session::unwatch);
                    self.idle.heard_unwatched(now.uptime_ms);
                }
            }
            Input::Tick => self.tick(now),
            Input::Terminated => self.stop(StopReason::Signal, now),
            Input::Reloaded(outcome) => self.reloaded(outcome, now),
            Input::Noticed { code, message } => self.notice(code, &message, false, now),
            Input::Fetched(fetched) => self.fetched(fetched, now),
            Input::Drained => self.drained(now),
        }
    }

    fn tick(&mut self, now: Now) {
        for key in self.pending.due(now.uptime_ms) {
            self.pass(&key, now);
        }
        self.tick_usage(now);
        if self.idle.stale_at().is_some_and(|due| due <= now.uptime_ms) {
            self.close_stale(now);
        }
        // Whoever was the last to need the daemon may have been answered just now.
        self.observe_need(now);
        let due = self.idle.leave_at().is_some_and(|due| due <= now.uptime_ms);
        if due && self.phase == Phase::Running {
            self.phase = Phase::RetiringIdle;
            self.effects.push(Effect::Retire { for_good: false });
        }
    }

    fn close_stale(&mut self, now: Now) {
        let unwatched = self.store.iter().filter(|session| session.is_unwatched());
        let (stale, fresh): (Vec<_>, Vec<_>) =
            unwatched.partition(|session| session.heard_ms() + STALE_AFTER_MS <= now.uptime_ms);
        let oldest = fresh.iter().map(|session| session.heard_ms()).min();
        let stale: Vec<Box<str>> = stale.iter().map(|session| session.key().into()).collect();
        self.idle.looked_for_stale(oldest);
        for key in stale {
            self.change(&key, now, |session| session.went_stale(now.unix_ms));
        }
    }

    fn stop(&mut self, reason: StopReason, now: Now) {
        if self.phase == Phase::RetiringForGood {
            return;
        }
        self.answer_refreshing(now);
        self.phase = Phase::RetiringForGood;
        self.announce_stopping(reason);
        self.effects.push(Effect::Retire { for_good: true });
    }

    fn drained(&mut self, now: Now) {
        match self.phase {
            Phase::Running | Phase::Gone => {}
            Phase::RetiringForGood => {
                self.phase = Phase::Gone;
                self.effects.push(Effect::Exit { flush: true });
            }
            Phase::RetiringIdle if self.idle.leave_at().is_some_and(|due| due <= now.uptime_ms) => {
                self.phase = Phase::Gone;
                self.announce_stopping(StopReason::Idle);
                self.effects.push(Effect::Exit { flush: true });
            }
            Phase::RetiringIdle => {
                self.phase = Phase::Running;
                self.effects.push(Effect::Resume);
            }
        }
    }

    fn announce_stopping(&mut self, reason: StopReason) {
        let seq = self.subscribers.next_seq();
        let line = codec::notification(&Notification::DaemonStopping(DaemonStopping {
            seq,
            reason,
        }));
        self.effects.push(Effect::Announce(line));
    }

    fn reloaded(&mut self, outcome: Result<(Settings, Option<String>), String>, now: Now) {
        for (client, id) in std::mem::take(&mut self.reloading) {
            let line = match &outcome {
                Ok(_) => codec::reply(&id, &protocol::ReloadResult { reloaded: true }),
                Err(why) => codec::error(&id, ErrorCode::ConfigRefused, why),
            };
            self.reply(client, Some(line));
        }
        match outcome {
            Ok((settings, restart)) => {
                self.settings = settings;
                self.idle.set_timeout(settings.idle_timeout_ms);
                self.set_usage_interval(settings.usage_interval_ms, now);
                if !settings.record_prompts {
                    for key in self.store.keys() {
                        self.change(&key, now, Session::forget_prompts);
                    }
                }
                self.notice(
                    "config_loaded",
                    "the configuration was read again",
                    true,
                    now,
                );
                if let Some(what) = restart {
                    self.notice("restart_needed", &what, true, now);
                }
            }
            Err(why) => {
                self.notice(
                    "config_refused",
                    &format!("the configuration was refused, the old one stays: {why}"),
                    true,
                    now,
                );
            }
        }
    }

    fn notice(&mut self, code: &'static str, message: &str, repeats: bool, now: Now) {
        let message = protocol::one_line(message, 4 * protocol::TEXT_LIMIT);
        let notice = Notice {
            at: now.unix_ms,
            code: Cow::Borrowed(code),
            message: Cow::Owned(message),
            window: None,
        };
        self.tell(notice, repeats, now);
    }

    fn tell(&mut self, notice: Notice<'static>, repeats: bool, now: Now) {
        if self.notices.add(&notice, repeats, now.uptime_ms) {
            self.broadcast(|seq| Notification::DaemonNotice(DaemonNotice { seq, notice }));
        }
    }

    fn forget(&mut self, key: &str, now: Now) {
        let Some(session) = self.store.remove(key) else {
            return;
        };
        self.pending.set(key, session.due_ms(), None);
        if let Some(process) = session.watched().filter(|_| !session.is_closed()) {
            self.unwatch(process);
        }
        if session.is_unwatched() {
            self.idle.lost_unwatched(now.uptime_ms);
        }
        self.broadcast(|seq| {
            Notification::SessionRemoved(SessionRemoved {
                seq,
                key: Cow::Borrowed(key),
            })
        });
    }

    fn change(&mut self, key: &str, now: Now, change: impl FnOnce(&mut Session) -> bool) {
        self.change_or_make(key, now, now.unix_ms, || None, change);
    }

    /// Changes one session, or makes it, and does all that follows: the new status is noted, its process watched or
    /// no longer, the change broadcast, the oldest closed session forgotten. `change` is false if it changed nothing.
    fn change_or_make(
        &mut self,
        key: &str,
        now: Now,
        at: u64,
        make: impl FnOnce() -> Option<Session>,
        change: impl FnOnce(&mut Session) -> bool,
    ) {
        let history = self.settings.history.max(1);
        let was_unwatched = self.store.get(key).is_some_and(Session::is_unwatched);
        let outcome = self.store.update(key, make, |session| {
            let watched = |session: &Session| session.watched().filter(|_| !session.is_closed());
            let before = (watched(session), session.due_ms());
            let changed = change(session);
            if changed {
                session.settle(at, now, history);
            }
            let after = (watched(session), session.due_ms());
            (changed, before, after, session.is_unwatched())
        });
        let Some((true, (before, was_due), (after, due), unwatched)) = outcome else {
            return;
        };
        self.pending.set(key, was_due, due);
        if before != after {
            if let Some(process) = before {
                self.unwatch(process);
            }
            if let Some(process) = after {
                self.effects.push(Effect::Watch(process));
            }
        }
        if unwatched {
            self.idle.heard_unwatched(now.uptime_ms);
        } else if was_unwatched {
            self.idle.lost_unwatched(now.uptime_ms);
        }
        let seq = self.subscribers.next_seq();
        if !self.subscribers.is_empty()
            && let Some(session) = self.store.get(key)
        {
            let changed = SessionChanged {
                seq,
                session: session.record(),
            };
            let line = codec::notification(&Notification::SessionChanged(Box::new(changed)));
            self.effects.push(Effect::Broadcast(line));
        }
        if let Some(oldest) = self.store.excess() {
            self.forget(&oldest, now);
        }
    }

    /// No longer watches a process, unless another open session is of the same one.
    fn unwatch(&mut self, process: ProcessId) {
        if self.store.keys_of(process).is_empty() {
            self.effects.push(Effect::Unwatch(process));
        }
    }

    fn broadcast<'a>(&mut self, notification: impl FnOnce(u64) -> Notification<'a>) {
        let seq = self.subscribers.next_seq();
        if !self.subscribers.is_empty() {
            self.effects
                .push(Effect::Broadcast(codec::notification(&notification(seq))));
        }
    }
}
