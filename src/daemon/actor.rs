//! The loop: everything that happens comes in here, one after the other, and goes through the core; what the core
//! decides is carried out here, in order, and nothing else is.
//!
//! Owns the core, the listener, every connection's outgoing side and the log of notifications. One thread; nothing is
//! shared but the connections' sockets. A turn takes what waits in the mailbox (bounded, so that a flood waits in the
//! senders' sockets), answers each at once, and flushes the subscribers at its end: a hook has its answer before the
//! fan-out begins, and a subscriber gets one write for all that a turn changed.
//!
//! Leaving: the core says `Retire`; from then on nobody is accepted (of a socket of our own, which has lost its path,
//! the rest of the queue is), who was accepted is served, and once nothing is left to read, or after [`GRACE`], the
//! core is told `Drained` and decides.

use std::collections::HashMap;
use std::future::{pending, poll_fn};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::connection::{Connection, Mail, Scratch};
use super::exits::ExitWatcher;
use super::listener::{Listener, Origin};
use super::manager;
use super::outbox::{Flushed, Log, MAX_BEHIND, MAX_UNREAD, Outbox};
use super::reactor::register;
use crate::codec::Refusal;
use crate::config::Config;
use crate::core::{ClientId, Core, Effect, Identity, Input, Now, Request, Settings};
use crate::log::LogControl;
use crate::{clock, process};

/// How much mail one turn takes: enough to coalesce a burst, few enough that the first answer does not wait long.
const TURN: usize = 128;

/// How long leaving waits for clients that were accepted and have not said anything, and for those that don't read.
const GRACE: Duration = Duration::from_millis(250);

/// How much of its own answers a client may leave unread before it is dropped: one snapshot of a very busy machine.
const MOST_UNREAD: usize = 8 * 1024 * 1024;

/// From how many connections on their end is worth giving memory back to the system.
const MANY_CONNECTIONS: usize = 64;

/// A connection's outgoing side.
#[derive(Debug)]
struct Client {
    connection: Rc<Connection>,
    reader: AbortHandle,
    outbox: Outbox,
    /// Its socket takes no more; this task waits until it does.
    blocked: Option<AbortHandle>,
    /// To be closed once everything is sent.
    closing: bool,
    /// It has sent something.
    spoke: bool,
}

/// What becomes of the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    On,
    /// Leave; with or without sending what is unsent.
    Exit {
        flush: bool,
    },
}

/// The daemon's one loop. See the module's text.
pub(super) struct Actor {
    core: Core,
    config: Config,
    log_control: LogControl,
    began: Instant,
    /// The listening socket in the reactor; `None` while nobody is accepted.
    listening: Option<AsyncFd<OwnedFd>>,
    listener: Listener,
    /// No descriptor was left for another connection when there were so many: accept again when there are fewer.
    full_at: Option<usize>,
    /// Since when the daemon is leaving, if nobody objects.
    retired: Option<Instant>,
    clients: HashMap<ClientId, Client>,
    last_client: u64,
    most_clients: usize,
    dashboards: Vec<ClientId>,
    log: Log,
    mailbox: mpsc::Receiver<Mail>,
    post: mpsc::Sender<Mail>,
    scratch: Scratch,
    exits: ExitWatcher,
    exited: mpsc::UnboundedReceiver<process::ProcessId>,
    signals: Signals,
    /// The last input's effects: one allocation for all.
    effects: Vec<Effect>,
}

/// The signals that the daemon answers to.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caught {
    Terminated,
    HungUp,
}

impl Signals {
    /// From now on they are caught.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Caught {
        tokio::select! {
            _ = self.terminate.recv() => Caught::Terminated,
            _ = self.interrupt.recv() => Caught::Terminated,
            _ = self.hangup.recv() => Caught::HungUp,
        }
    }
}

/// The part of the configuration that the core goes by.
fn settings(config: &Config) -> Settings {
    Settings {
        idle_timeout_ms: config
            .idle_timeout
            .map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
        history: config.history,
        record_prompts: config.record_prompts,
    }
}

impl Actor {
    /// # Errors
    ///
    /// The system refuses to watch the listener.
    pub(super) fn new(
        listener: Listener,
        signals: Signals,
        config: Config,
        log_control: LogControl,
    ) -> std::io::Result<Self> {
        let (post, mailbox) = mpsc::channel(TURN);
        let (tell, exited) = mpsc::unbounded_channel();
        let identity = Identity {
            pid: std::process::id(),
            pid_namespace: process::namespace(),
            origin: listener.origin().as_str(),
            socket: listener.path().to_string_lossy().into(),
        };
        let now = Now {
            unix_ms: clock::unix_ms(),
            uptime_ms: 0,
        };
        Ok(Self {
            core: Core::new(identity, settings(&config), now),
            config,
            log_control,
            began: clock::monotonic(),
            listening: Some(listen(&listener)?),
            listener,
            full_at: None,
            retired: None,
            clients: HashMap::new(),
            last_client: 0,
            most_clients: 0,
            dashboards: Vec::new(),
            log: Log::default(),
            mailbox,
            post,
            scratch: Scratch::default(),
            exits: ExitWatcher::new(tell),
            exited,
            signals,
            effects: Vec::new(),
        })
    }

    /// Turns until the daemon is to leave.
    pub(super) async fn run(mut self) {
        manager::ready(&self.serving());
        let mut watchdog = manager::watchdog_interval().map(tokio::time::interval);
        let mut mail = Vec::with_capacity(TURN);
        loop {
            let due = self
                .core
                .next_deadline()
                .map(|ms| self.began + Duration::from_millis(ms));
            let grace = self.retired.map(|since| since + GRACE);
            let course = tokio::select! {
                _ = self.mailbox.recv_many(&mut mail, TURN) => self.take_mail(&mut mail),
                () = acceptable(self.listening.as_ref()) => self.accept(),
                Some(process) = self.exited.recv() => self.handle(Input::ProcessExited(process)),
                caught = self.signals.next() => self.caught(caught),
                () = at(due) => self.handle(Input::Tick),
                () = at(grace) => self.drained(),
                () = tick(watchdog.as_mut()) => {
                    manager::alive();
                    Course::On
                }
            };
            let course = match course {
                Course::On => self.end_turn(),
                exit @ Course::Exit { .. } => exit,
            };
            if let Course::Exit { flush } = course {
                self.flush_dashboards();
                return self.leave(flush).await;
            }
        }
    }

    /// After each input: subscribers get what changed; what went wrong with the log is told; leaving goes on.
    fn end_turn(&mut self) -> Course {
        if let Some(failure) = self.log_control.take_failure() {
            self.handle(Input::Noticed {
                code: "log_failed",
                message: failure,
            });
        }
        if self
            .full_at
            .is_some_and(|clients| self.clients.len() < clients)
        {
            self.full_at = None;
            self.accept();
        }
        self.flush_dashboards();
        if self.retired.is_some() && self.is_settled() {
            self.drained()
        } else {
            Course::On
        }
    }

    fn now(&self) -> Now {
        let uptime = clock::monotonic().saturating_duration_since(self.began);
        Now {
            unix_ms: clock::unix_ms(),
            uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn handle(&mut self, input: Input) -> Course {
        let now = self.now();
        let mut effects = std::mem::take(&mut self.effects);
        effects.extend(self.core.handle(input, now));
        let mut course = Course::On;
        for effect in effects.drain(..) {
            if let exit @ Course::Exit { .. } = self.carry_out(effect) {
                course = exit;
            }
        }
        self.effects = effects;
        course
    }

    fn carry_out(&mut self, effect: Effect) -> Course {
        match effect {
            Effect::Reply(client, line) => self.send(client, &line),
            Effect::Subscribed(client) => {
                if let Some(entry) = self.clients.get_mut(&client) {
                    entry.outbox.subscribe(&self.log);
                    self.dashboards.push(client);
                    tracing::info!(
                        client = client.0,
                        dashboards = self.dashboards.len(),
                        "a dashboard has subscribed"
                    );
                }
            }
            Effect::Broadcast(line) => self.log.append(&line),
            Effect::Announce(line) => {
                // What was broadcast before goes before.
                self.flush_dashboards();
                let clients: Vec<ClientId> = self.clients.keys().copied().collect();
                for client in clients {
                    self.send(client, &line);
                }
            }
            Effect::Disconnect(client) => self.close_when_sent(client),
            Effect::Watch(process) => {
                if !self.exits.watch(process) {
                    return self.handle(Input::ProcessUnwatchable(process));
                }
            }
            Effect::Unwatch(process) => self.exits.unwatch(process),
            Effect::Reload => return self.reload(),
            Effect::Retire { for_good } => self.retire(for_good),
            Effect::Resume => self.resume(),
            Effect::Exit { flush } => return Course::Exit { flush },
        }
        Course::On
    }

    fn take_mail(&mut self, mail: &mut Vec<Mail>) -> Course {
        let mut course = Course::On;
        let is_burst = mail.len() == TURN;
        for letter in mail.drain(..) {
            let next = match letter {
                Mail::Line(client, line) => {
                    let Some(entry) = self.clients.get_mut(&client) else {
                        continue;
                    };
                    entry.spoke = true;
                    let input = match line.request.and_then(complete) {
                        Ok(request) => {
                            tracing::debug!(
                                client = client.0,
                                method = request.method(),
                                "request"
                            );
                            Input::Request {
                                client,
                                id: line.id,
                                request,
                            }
                        }
                        Err(error) => {
                            tracing::debug!(
                                client = client.0,
                                code = error.code as i32,
                                "request refused"
                            );
                            Input::Refused {
                                client,
                                id: line.id,
                                error,
                            }
                        }
                    };
                    self.handle(input)
                }
                Mail::Ended(client) => {
                    self.close_when_sent(client);
                    Course::On
                }
                Mail::Gone(client) => {
                    self.forget(client);
                    Course::On
                }
                Mail::Writable(client) => {
                    self.unblocked(client);
                    Course::On
                }
            };
            if next != Course::On {
                course = next;
                break;
            }
        }
        mail.clear();
        if !is_burst {
            self.give_memory_back();
        }
        course
    }

    fn caught(&mut self, caught: Caught) -> Course {
        match caught {
            Caught::HungUp => self.reload(),
            Caught::Terminated if self.core.is_leaving() => {
                tracing::info!("told to leave a second time: leaving at once");
                Course::Exit { flush: false }
            }
            Caught::Terminated => {
                tracing::info!("told to leave by a signal");
                self.handle(Input::Terminated)
            }
        }
    }

    fn accept(&mut self) -> Course {
        loop {
            match self.listener.accept() {
                Ok(Some(socket)) => self.welcome(socket),
                Ok(None) => return Course::On,
                Err(error) => {
                    self.full_at = Some(self.clients.len());
                    let message = format!("no connection can be accepted until one ends: {error}");
                    tracing::warn!(
                        connections = self.clients.len(),
                        "cannot accept a connection: {error}"
                    );
                    return self.handle(Input::Noticed {
                        code: "connections_full",
                        message,
                    });
                }
            }
        }
    }

    fn welcome(&mut self, socket: std::os::unix::net::UnixStream) {
        let connection = match Connection::new(socket) {
            Ok(connection) => Rc::new(connection),
            Err(error) => {
                tracing::warn!("cannot watch a connection: {error}");
                return;
            }
        };
        self.last_client += 1;
        let client = ClientId(self.last_client);
        let reader = Rc::clone(&connection).read(client, self.post.clone(), self.scratch.clone());
        let reader = tokio::task::spawn_local(reader).abort_handle();
        let outbox = Outbox::default();
        self.clients.insert(
            client,
            Client {
                connection,
                reader,
                outbox,
                blocked: None,
                closing: false,
                spoke: false,
            },
        );
        self.most_clients = self.most_clients.max(self.clients.len());
    }

    /// Sends one line to one client, after what it has been sent before.
    fn send(&mut self, client: ClientId, line: &[u8]) {
        let Some(entry) = self.clients.get_mut(&client).filter(|entry| !entry.closing) else {
            return;
        };
        if entry.outbox.unread() > MOST_UNREAD {
            tracing::warn!(
                client = client.0,
                unread = entry.outbox.unread(),
                "dropped a client that does not read"
            );
            return self.forget(client);
        }
        let outcome = entry
            .outbox
            .send(line, &self.log, entry.connection.socket());
        self.sent(client, outcome);
    }

    fn unblocked(&mut self, client: ClientId) {
        if let Some(entry) = self.clients.get_mut(&client) {
            entry.blocked = None;
            self.flush(client);
        }
    }

    fn flush(&mut self, client: ClientId) {
        let Some(entry) = self
            .clients
            .get_mut(&client)
            .filter(|entry| entry.blocked.is_none())
        else {
            return;
        };
        let outcome = entry.outbox.flush(&self.log, entry.connection.socket());
        self.sent(client, outcome);
    }

    fn sent(&mut self, client: ClientId, outcome: std::io::Result<Flushed>) {
        let Some(entry) = self.clients.get_mut(&client) else {
            return;
        };
        match outcome {
            Ok(Flushed::All) if entry.closing => self.forget(client),
            Ok(Flushed::All) => entry.connection.pause(false),
            Ok(Flushed::Blocked) => {
                if entry.blocked.is_none() {
                    let writable = Rc::clone(&entry.connection).writable(client, self.post.clone());
                    entry.blocked = Some(tokio::task::spawn_local(writable).abort_handle());
                }
                let behind = entry.outbox.behind(&self.log);
                if behind > MAX_BEHIND {
                    tracing::warn!(
                        client = client.0,
                        behind,
                        "dropped a dashboard that does not keep up"
                    );
                    return self.forget(client);
                }
                entry.connection.pause(entry.outbox.unread() > MAX_UNREAD);
            }
            Err(error) => {
                tracing::debug!(client = client.0, %error, "a client is gone");
                self.forget(client);
            }
        }
    }

    /// One write for each subscriber that is behind.
    fn flush_dashboards(&mut self) {
        if self.dashboards.is_empty() {
            return self.log.forget(self.log.end());
        }
        for client in self.dashboards.clone() {
            let Some(entry) = self.clients.get(&client) else {
                continue;
            };
            let behind = entry.outbox.behind(&self.log);
            if entry.blocked.is_some() && behind > MAX_BEHIND {
                tracing::warn!(
                    client = client.0,
                    behind,
                    "dropped a dashboard that does not keep up"
                );
                self.forget(client);
            } else if behind > 0 {
                self.flush(client);
            }
        }
        let cursors = self
            .dashboards
            .iter()
            .filter_map(|client| self.clients.get(client)?.outbox.cursor());
        let slowest = cursors.min().unwrap_or(self.log.end());
        self.log.forget(slowest);
    }

    fn close_when_sent(&mut self, client: ClientId) {
        let Some(entry) = self.clients.get_mut(&client) else {
            return;
        };
        entry.closing = true;
        if entry.outbox.is_empty(&self.log) {
            self.forget(client);
        }
    }

    /// Ends a connection, from this side or because it has ended.
    fn forget(&mut self, client: ClientId) {
        let Some(entry) = self.clients.remove(&client) else {
            return;
        };
        // Each holds the connection open.
        entry.reader.abort();
        if let Some(writer) = entry.blocked {
            writer.abort();
        }
        if let Some(place) = self
            .dashboards
            .iter()
            .position(|dashboard| *dashboard == client)
        {
            self.dashboards.swap_remove(place);
            tracing::info!(
                client = client.0,
                dashboards = self.dashboards.len(),
                "a dashboard has gone"
            );
        }
        self.handle(Input::Disconnected(client));
    }

    /// Gives back what a burst of connections took. To be called when the mailbox was not full: while it is, more of
    /// them are about to go.
    fn give_memory_back(&mut self) {
        if self.most_clients >= MANY_CONNECTIONS && self.clients.len() <= self.most_clients / 8 {
            self.most_clients = self.clients.len();
            self.clients.shrink_to_fit();
            process::give_memory_back();
        }
    }

    fn reload(&mut self) -> Course {
        manager::reloading();
        let outcome = match Config::load() {
            Ok(config) => {
                self.log_control.set_level(config.log);
                let moved = config.socket != self.config.socket;
                let restart = moved.then(|| {
                    let socket = config.socket.display();
                    format!("the configured socket is now {socket}; the daemon serves it after a restart")
                });
                self.config = config;
                tracing::info!("the configuration was read again");
                Ok((settings(&self.config), restart))
            }
            Err(error) => {
                // In the text, not in a field: `journalctl` shows no fields unless asked.
                tracing::warn!("the configuration was refused, the old one stays: {error}");
                Err(error.to_string())
            }
        };
        let course = self.handle(Input::Reloaded(outcome));
        manager::ready(&self.serving());
        course
    }

    fn retire(&mut self, for_good: bool) {
        if for_good {
            manager::stopping("stopping");
        }
        // What waits in a manager's queue starts the next daemon; our own is emptied in the turns that follow.
        self.listening = None;
        self.listener.retire();
        self.retired = Some(clock::monotonic());
    }

    fn resume(&mut self) {
        self.retired = None;
        let again = self.listener.resume().map_err(anyhow::Error::from);
        match again.and_then(|()| Ok(listen(&self.listener)?)) {
            Ok(listening) => self.listening = Some(listening),
            // Nobody new can connect; who is connected is served until the next time that nobody needs it.
            Err(error) => tracing::error!("cannot listen again: {error}"),
        }
        tracing::info!("needed after all: staying");
    }

    /// True if everyone who was accepted has been served and nothing is left to read.
    fn is_settled(&mut self) -> bool {
        if self.listener.origin() == Origin::SelfBound {
            self.accept();
        }
        let settled = |client: &Client| {
            client.spoke && !client.connection.has_more() && client.outbox.is_empty(&self.log)
        };
        self.mailbox.is_empty() && self.clients.values().all(settled)
    }

    fn drained(&mut self) -> Course {
        // One grace is enough: what the core decides now is final, or it is not leaving.
        self.retired = None;
        self.handle(Input::Drained)
    }

    /// Sends what is unsent, for as long as [`GRACE`] and nobody says "at once".
    async fn leave(mut self, flush: bool) {
        manager::stopping("stopped");
        tracing::info!(flush, "leaving");
        let end = clock::monotonic() + GRACE;
        while flush && self.clients.values().any(|client| client.blocked.is_some()) {
            tokio::select! {
                Some(mail) = self.mailbox.recv() => match mail {
                    Mail::Writable(client) => self.unblocked(client),
                    Mail::Ended(client) => self.close_when_sent(client),
                    Mail::Gone(client) => drop(self.clients.remove(&client)),
                    Mail::Line(..) => {}
                },
                _ = self.signals.next() => break,
                () = at(Some(end)) => break,
            }
        }
    }

    fn serving(&self) -> String {
        format!(
            "serving {} ({})",
            self.listener.path().display(),
            self.listener.origin().as_str()
        )
    }
}

/// Adds to a request what only the shell knows.
fn complete(request: Request) -> Result<Request, Refusal> {
    Ok(match request {
        Request::DaemonStatus { .. } => Request::DaemonStatus {
            rss_bytes: process::resident_bytes(),
        },
        Request::SessionSet(mut set) => {
            if let Some(pid) = set.params.pid {
                let found = process::inspect(pid).ok().filter(|process| !process.zombie);
                set.process = Some(found.ok_or_else(|| Refusal::no_such_process(pid))?.id);
            }
            Request::SessionSet(set)
        }
        other => other,
    })
}

/// A duplicate of the descriptor: the listener may take a new socket when it resumes.
fn listen(listener: &Listener) -> std::io::Result<AsyncFd<OwnedFd>> {
    register(listener.as_fd().try_clone_to_owned()?, Interest::READABLE)
}

/// Somebody waits to be accepted, perhaps.
async fn acceptable(listening: Option<&AsyncFd<OwnedFd>>) {
    match listening {
        // An error of the reactor means that it is shutting down.
        Some(listening) => match listening.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            Err(_) => pending().await,
        },
        None => pending().await,
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => pending().await,
    }
}

async fn tick(interval: Option<&mut tokio::time::Interval>) {
    match interval {
        Some(interval) => drop(poll_fn(|context| interval.poll_tick(context)).await),
        None => pending().await,
    }
}
