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

pub mod event;
mod idle;
mod notices;
mod request;
mod session;
mod store;
mod subscribers;
#[cfg(test)]
mod tests;
mod timeline;
mod turn;

use std::borrow::Cow;

pub use self::idle::STALE_AFTER_MS;
pub use self::notices::QUIET_MS;
pub use self::request::{Request, Set};
pub use self::store::{MAX_CLOSED, MAX_SESSIONS, SET_PREFIX};

use self::event::Report;
use self::idle::Idle;
use self::notices::Notices;
use self::session::{Process, Session};
use self::store::{Found, Store};
use self::subscribers::Subscribers;
use crate::codec::{self, Id, Line};
use crate::process::ProcessId;
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
    /// Read the configuration again, then hand in [`Input::Reloaded`].
    Reload,
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
    phase: Phase,
    /// Who waits for the answer to `daemon.reload`.
    reloading: Vec<(ClientId, Id)>,
    reports: u64,
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
            phase: Phase::Running,
            reloading: Vec::new(),
            reports: 0,
            effects: Vec::new(),
        }
    }

    /// Takes in what happened and gives what is to be done, in order.
    pub fn handle(&mut self, input: Input, now: Now) -> std::vec::Drain<'_, Effect> {
        if self.phase != Phase::Gone {
            self.take_in(input, now);
            let needed = !self.subscribers.is_empty() || self.store.watched() > 0;
            self.idle.observe(needed, now.uptime_ms);
        }
        self.effects.drain(..)
    }

    /// True if the daemon is to leave whatever happens.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::RetiringForGood | Phase::Gone)
    }

    /// When, in ms of uptime, [`Input::Tick`] is due; `None`: never, as things stand.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let (leave, stale) = match self.phase {
            Phase::Running => (self.idle.leave_at(), self.idle.stale_at()),
            Phase::RetiringIdle | Phase::RetiringForGood => (None, self.idle.stale_at()),
            Phase::Gone => (None, None),
        };
        leave.into_iter().chain(stale).min()
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
            }
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
            Input::Terminated => self.stop(StopReason::Signal),
            Input::Reloaded(outcome) => self.reloaded(outcome, now),
            Input::Noticed { code, message } => self.notice(code, &message, false, now),
            Input::Drained => self.drained(now),
        }
    }

    fn serve(&mut self, client: ClientId, id: Option<Id>, request: Request, now: Now) {
        match request {
            Request::Hello => {
                let identity = &self.identity;
                let result = protocol::HelloResult {
                    protocol: protocol::VERSION,
                    version: Cow::Borrowed(env!("CARGO_PKG_VERSION")),
                    pid: identity.pid,
                    origin: Cow::Borrowed(identity.origin),
                };
                let line = id.map(|id| codec::reply(&id, &result));
                self.reply(client, line);
            }
            Request::SessionReport(report) => self.report(client, id, *report, now),
            Request::SessionSet(set) => self.set(client, id, *set, now),
            Request::SessionList { include_closed } => {
                let sessions = self
                    .store
                    .sorted(include_closed)
                    .into_iter()
                    .map(Session::record)
                    .collect();
                let line = id.map(|id| codec::reply(&id, &protocol::ListResult { sessions }));
                self.reply(client, line);
            }
            Request::SessionGet { session } => match self.find(&session) {
                Ok(key) => self.reply_session(client, id, &key),
                Err((code, message)) => self.reply_error(client, id, code, &message),
            },
            Request::SessionRemove { session } => match self.find(&session) {
                Ok(key) => {
                    let line = id.map(|id| {
                        codec::reply(
                            &id,
                            &protocol::RemoveResult {
                                removed: Cow::Borrowed(&key),
                            },
                        )
                    });
                    self.reply(client, line);
                    self.forget(&key, now);
                }
                Err((code, message)) => self.reply_error(client, id, code, &message),
            },
            Request::Subscribe => self.subscribe(client, id),
            Request::DaemonStatus { rss_bytes } => self.status(client, id, rss_bytes, now),
            Request::DaemonStop { force } => {
                let dashboards = self.subscribers.count();
                let line = id.map(|id| codec::reply(&id, &protocol::StopResult { dashboards }));
                self.reply(client, line);
                if force {
                    self.phase = Phase::Gone;
                    self.effects.push(Effect::Exit { flush: false });
                } else {
                    self.stop(StopReason::Stop);
                }
            }
            Request::DaemonReload => {
                self.reloading.extend(id.map(|id| (client, id)));
                self.effects.push(Effect::Reload);
            }
        }
    }

    fn report(&mut self, client: ClientId, id: Option<Id>, mut report: Report, now: Now) {
        self.reports += 1;
        // A stamp from a clock that runs ahead would make every later event look late.
        report.at = report.at.min(now.unix_ms);
        let Some(event) = report.event.take() else {
            let message = format!(
                "a hook of {} sent an event that could not be read",
                report.agent
            );
            self.reply_error(client, id, ErrorCode::InvalidParams, &message);
            self.notice("payload_unreadable", &message, false, now);
            return;
        };
        let Some(key) = key_of(
            &report,
            event.session_id.as_deref(),
            self.identity.pid_namespace,
        ) else {
            let message = format!(
                "a hook of {} named neither its process nor its session",
                report.agent
            );
            self.reply_error(client, id, ErrorCode::InvalidParams, &message);
            self.notice("payload_unreadable", &message, false, now);
            return;
        };
        let known = self.store.get(&key);
        if known.is_none() && self.refuse_if_full(client, id.as_ref(), now) {
            return;
        }
        let line = id.map(|id| codec::reply(&id, &protocol::ReportResult { accepted: true }));
        self.reply(client, line);
        if known_is_needed(self.store.get(&key), &event.kind) {
            return;
        }
        let process = report.process.map(|process| Process {
            pid: process.pid,
            start: process.start,
            // A pid of another namespace is another process here, or none.
            watched: process
                .id()
                .filter(|_| process.namespace == self.identity.pid_namespace),
        });
        let prompts = self.settings.record_prompts;
        let make = || {
            let agent = report.agent.clone();
            Some(Session::new(key.clone(), agent, report.at))
        };
        let change =
            |session: &mut Session| session.hooked(&report, event, process, prompts, now.unix_ms);
        self.change_or_make(&key, now, report.at, make, change);
    }

    fn set(&mut self, client: ClientId, id: Option<Id>, set: Set, now: Now) {
        let Set { params, process } = set;
        let key = match self.store.find_to_set(&params.session) {
            Found::One(key) => key,
            Found::None if self.refuse_if_full(client, id.as_ref(), now) => return,
            Found::None => params.session.clone().into(),
            Found::Many(count) => {
                let (code, message) = ambiguous(&params.session, count);
                self.reply_error(client, id, code, &message);
                return;
            }
        };
        let process = params.pid.map(|pid| Process {
            pid,
            start: process.map(|process| process.start),
            watched: process,
        });
        let agent = params.agent.as_deref().unwrap_or("script");
        let made = || Some(Session::new(key.clone(), agent.into(), now.unix_ms));
        let at = now.unix_ms;
        // The reply shows the session as changed and goes before the change's notification.
        let place = self.effects.len();
        self.change_or_make(&key, now, at, made, |session| {
            session.set(&params, process, at);
            true
        });
        let reply = id.zip(self.store.get(&key)).map(|(id, session)| {
            Effect::Reply(
                client,
                codec::reply(
                    &id,
                    &protocol::SessionResult {
                        session: session.record(),
                    },
                ),
            )
        });
        if let Some(reply) = reply {
            self.effects.insert(place, reply);
        }
    }

    /// Too many sessions for another one: says so and is true.
    fn refuse_if_full(&mut self, client: ClientId, id: Option<&Id>, now: Now) -> bool {
        if !self.store.is_full() {
            return false;
        }
        let message = format!(
            "{MAX_SESSIONS} sessions are remembered already; remove some with `agent-console remove`"
        );
        self.reply_error(client, id.cloned(), ErrorCode::TooManySessions, &message);
        self.notice("sessions_full", &message, false, now);
        true
    }

    fn subscribe(&mut self, client: ClientId, id: Option<Id>) {
        if self.phase == Phase::RetiringForGood {
            self.reply_error(client, id, ErrorCode::Stopping, "the daemon is stopping");
            return;
        }
        let line = id.map(|id| codec::reply(&id, &self.snapshot()));
        self.reply(client, line);
        if self.subscribers.add(client) {
            self.effects.push(Effect::Subscribed(client));
        }
    }

    fn snapshot(&self) -> protocol::Snapshot<'_> {
        let sessions = self.store.sorted(true);
        protocol::Snapshot {
            seq: self.subscribers.seq(),
            sessions: sessions.into_iter().map(Session::record).collect(),
            notices: self.notices.iter().cloned().collect(),
        }
    }

    fn status(&mut self, client: ClientId, id: Option<Id>, rss_bytes: Option<u64>, now: Now) {
        let identity = &self.identity;
        let result = protocol::StatusResult {
            pid: identity.pid,
            version: Cow::Borrowed(env!("CARGO_PKG_VERSION")),
            protocol: protocol::VERSION,
            origin: Cow::Borrowed(identity.origin),
            socket: Cow::Borrowed(&identity.socket),
            uptime_ms: now.uptime_ms,
            sessions: self.store.counts(),
            dashboards: self.subscribers.count(),
            seq: self.subscribers.seq(),
            reports: self.reports,
            rss_bytes,
            idle_timeout_ms: self.idle.timeout_ms(),
        };
        let line = id.map(|id| codec::reply(&id, &result));
        self.reply(client, line);
    }

    fn tick(&mut self, now: Now) {
        if self.idle.stale_at().is_some_and(|due| due <= now.uptime_ms) {
            self.close_stale(now);
        }
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

    fn stop(&mut self, reason: StopReason) {
        if self.phase == Phase::RetiringForGood {
            return;
        }
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
        };
        if self.notices.add(&notice, repeats, now.uptime_ms) {
            self.broadcast(|seq| Notification::DaemonNotice(DaemonNotice { seq, notice }));
        }
    }

    fn find(&self, name: &str) -> Result<Box<str>, (ErrorCode, String)> {
        match self.store.find(name) {
            Found::One(key) => Ok(key),
            Found::None => Err((
                ErrorCode::NoSuchSession,
                format!(
                    "no session has the key, id or prefix {name:?}; `agent-console list` shows them"
                ),
            )),
            Found::Many(count) => Err(ambiguous(name, count)),
        }
    }

    fn forget(&mut self, key: &str, now: Now) {
        let Some(session) = self.store.remove(key) else {
            return;
        };
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
            let before = watched(session);
            let changed = change(session);
            if changed {
                session.settle(at, now, history);
            }
            (changed, before, watched(session), session.is_unwatched())
        });
        let Some((true, before, after, unwatched)) = outcome else {
            return;
        };
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

    fn reply(&mut self, client: ClientId, line: Option<Line>) {
        self.effects
            .extend(line.map(|line| Effect::Reply(client, line)));
    }

    fn reply_error(&mut self, client: ClientId, id: Option<Id>, code: ErrorCode, message: &str) {
        let line = id.map(|id| codec::error(&id, code, message));
        self.reply(client, line);
    }

    fn reply_session(&mut self, client: ClientId, id: Option<Id>, key: &str) {
        let line = id.zip(self.store.get(key)).map(|(id, session)| {
            codec::reply(
                &id,
                &protocol::SessionResult {
                    session: session.record(),
                },
            )
        });
        self.reply(client, line);
    }
}

/// True if the event says nothing without a session that is known already.
fn known_is_needed(known: Option<&Session>, kind: &event::EventKind) -> bool {
    known.is_none() && !Session::begins_with(kind)
}

fn ambiguous(name: &str, count: usize) -> (ErrorCode, String) {
    (
        ErrorCode::AmbiguousSession,
        format!("{count} sessions have the id or prefix {name:?}; give a key"),
    )
}

/// The key of the session that a report belongs to: the agent and its process, so that it stays the same when the
/// conversation changes and when the daemon is started anew; the conversation where no process is known.
fn key_of(
    report: &Report,
    session_id: Option<&str>,
    own_namespace: Option<u64>,
) -> Option<Box<str>> {
    let agent = &report.agent;
    let Some(process) = report.process else {
        return session_id.map(|id| format!("{agent}-{id}").into());
    };
    let mut key = format!("{agent}-{}", process.pid);
    if let Some(start) = process.start {
        key = format!("{key}-{start}");
    }
    if let Some(namespace) = process
        .namespace
        .filter(|&namespace| Some(namespace) != own_namespace)
    {
        key = format!("{key}-{namespace}");
    }
    Some(key.into())
}
