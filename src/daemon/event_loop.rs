//! The loop: everything that happens comes in here, one after the other, and goes through the core; what the core
//! decides is carried out here, in order, and nothing else is.
//!
//! Owns the core, the listener and the clients. One thread; nothing is shared but the connections' sockets. A turn
//! takes what waits in the mailbox (bounded, so that a flood waits in the senders' sockets), answers each at once, and
//! flushes the subscribers at its end: a hook has its answer before the fan-out begins, and a subscriber gets one write
//! for all that a turn changed.
//!
//! Leaving: the core says `Retire`; from then on nobody is accepted (of a socket of our own, which has lost its path,
//! the rest of the queue is), who was accepted is served, and once nothing is left to read, or after [`GRACE`], the
//! core is told `Drained` and decides.

use std::future::{pending, poll_fn};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::agent_registry::{Registries, RegistryFileChange};
use super::clients::Clients;
use super::connection::Mail;
use super::exit_watcher::ExitWatcher;
use super::limits_child::Fetcher;
use super::listener::{Listener, Origin};
use super::reactor::register;
use super::sd_notify;
use super::signals::{SignalEvent, Signals};
use crate::codec::Refusal;
use crate::config::Config;
use crate::core::{ClientId, Core, Effect, Identity, Input, Now, Request, Settings};
use crate::log::LogControl;
use crate::os::{clock, memory, process};

/// How much mail one turn takes: enough to coalesce a burst, few enough that the first answer does not wait long.
const TURN: usize = 128;

/// How long leaving waits for clients that were accepted and have not said anything, and for those that don't read.
const GRACE: Duration = Duration::from_millis(250);

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
    clients: Clients,
    /// They will say no more, and wait for an answer.
    half_closed: Vec<ClientId>,
    mailbox: mpsc::Receiver<Mail>,
    exits: ExitWatcher,
    exited: mpsc::UnboundedReceiver<process::ProcessId>,
    registries: Registries,
    fetcher: Fetcher,
    signals: Signals,
    /// The last input's effects: one allocation for all.
    effects: Vec<Effect>,
}

/// The part of the configuration that the core goes by.
fn settings(config: &Config) -> Settings {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let interval = Some(config.usage_interval).filter(|_| config.usage_enabled);
    Settings {
        idle_timeout_ms: config.idle_timeout.map(ms),
        history: config.history,
        record_prompts: config.record_prompts,
        usage_interval_ms: interval.map(ms),
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
            clients: Clients::new(post),
            half_closed: Vec::new(),
            mailbox,
            exits: ExitWatcher::new(tell),
            exited,
            registries: Registries::new(),
            fetcher: Fetcher::new(),
            signals,
            effects: Vec::new(),
        })
    }

    /// Turns until the daemon is to leave.
    pub(super) async fn run(mut self) {
        self.look_around().await;
        sd_notify::ready(&self.serving());
        memory::trim_heap();
        let mut watchdog = sd_notify::watchdog_interval().map(tokio::time::interval);
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
                Some(sighting) = self.registries.next() => self.sighted(sighting),
                Some(fetched) = self.fetcher.next() => {
                    let course = self.handle(Input::Fetched(fetched));
                    memory::trim_heap();
                    course
                }
                caught = self.signals.next() => self.caught(caught),
                () = at(due) => self.handle(Input::Tick),
                () = at(grace) => self.drained(),
                () = tick(watchdog.as_mut()) => {
                    sd_notify::alive();
                    Course::On
                }
            };
            let course = match course {
                Course::On => self.end_turn(),
                exit @ Course::Exit { .. } => exit,
            };
            if let Course::Exit { flush } = course {
                self.clients.flush_dashboards();
                return self.leave(flush).await;
            }
        }
    }

    /// Takes in the sessions that run already, so that whoever asks first is told of them.
    async fn look_around(&mut self) {
        let mut any = true;
        while std::mem::take(&mut any) {
            // The watcher looks in tasks of its own.
            tokio::task::yield_now().await;
            while let Some(sighting) = self.registries.try_next() {
                self.sighted(sighting);
                any = true;
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
        self.clients.flush_dashboards();
        self.close_answered();
        self.tell_of_gone();
        if self.retired.is_some() && self.is_settled() {
            self.drained()
        } else {
            Course::On
        }
    }

    /// Who will say no more is let go of once nothing is owed to them.
    fn close_answered(&mut self) {
        let Self {
            half_closed,
            core,
            clients,
            ..
        } = self;
        half_closed.retain(|client| {
            let waits = core.owes_answer_to(*client);
            if !waits {
                clients.close_when_sent(*client);
            }
            waits
        });
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

    /// Tells the core of those who have gone; nothing is to be done for them.
    fn tell_of_gone(&mut self) {
        while let Some(client) = self.clients.next_gone() {
            self.handle(Input::Disconnected(client));
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Course {
        match effect {
            Effect::Reply(client, line) => self.clients.send(client, &line),
            Effect::Subscribed(client) => self.clients.subscribe(client),
            Effect::Broadcast(line) => self.clients.broadcast(&line),
            Effect::Announce(line) => self.clients.announce(&line),
            Effect::Disconnect(client) => self.clients.close_when_sent(client),
            Effect::Watch(process) => {
                if !self.exits.watch(process) {
                    return self.handle(Input::ProcessUnwatchable(process));
                }
            }
            Effect::Unwatch(process) => self.exits.unwatch(process),
            Effect::WatchRegistry(agent, directory) => {
                self.registries.watch(&agent, Path::new(&*directory));
            }
            Effect::ScanRegistries => self.registries.scan(),
            Effect::Reload => return self.reload(),
            Effect::FetchUsage => self.fetcher.start(),
            Effect::KillFetch => self.fetcher.kill(),
            Effect::Retire { for_good } => self.retire(for_good),
            Effect::Resume => self.resume(),
            Effect::Exit { flush } => return Course::Exit { flush },
        }
        Course::On
    }

    fn sighted(&mut self, sighting: RegistryFileChange) -> Course {
        match self.registries.read(sighting) {
            Some(sighting) => self.handle(Input::Sighted(Box::new(sighting))),
            None => Course::On,
        }
    }

    fn take_mail(&mut self, mail: &mut Vec<Mail>) -> Course {
        let mut course = Course::On;
        let is_burst = mail.len() == TURN;
        for letter in mail.drain(..) {
            let next = match letter {
                Mail::Line(client, line) => {
                    if !self.clients.spoke(client) {
                        continue;
                    }
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
                    self.half_closed.push(client);
                    Course::On
                }
                Mail::Gone(client) => {
                    self.clients.forget(client);
                    Course::On
                }
                Mail::Writable(client) => {
                    self.clients.unblocked(client);
                    Course::On
                }
            };
            self.close_answered();
            self.tell_of_gone();
            if next != Course::On {
                course = next;
                break;
            }
        }
        mail.clear();
        if !is_burst {
            self.clients.give_memory_back();
        }
        course
    }

    fn caught(&mut self, caught: SignalEvent) -> Course {
        match caught {
            SignalEvent::HungUp => self.reload(),
            SignalEvent::Terminated if self.core.is_leaving() => {
                tracing::info!("told to leave a second time: leaving at once");
                Course::Exit { flush: false }
            }
            SignalEvent::Terminated => {
                tracing::info!("told to leave by a signal");
                self.handle(Input::Terminated)
            }
        }
    }

    fn accept(&mut self) -> Course {
        loop {
            match self.listener.accept() {
                Ok(Some(socket)) => self.clients.welcome(socket),
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

    fn reload(&mut self) -> Course {
        sd_notify::reloading();
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
        sd_notify::ready(&self.serving());
        course
    }

    fn retire(&mut self, for_good: bool) {
        if for_good {
            sd_notify::stopping("stopping");
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
        self.mailbox.is_empty() && self.clients.are_settled()
    }

    fn drained(&mut self) -> Course {
        // One grace is enough: what the core decides now is final, or it is not leaving.
        self.retired = None;
        self.handle(Input::Drained)
    }

    /// Sends what is unsent, for as long as [`GRACE`] and nobody says "at once".
    async fn leave(mut self, flush: bool) {
        sd_notify::stopping("stopped");
        tracing::info!(flush, "leaving");
        let end = clock::monotonic() + GRACE;
        while flush && self.clients.any_blocked() {
            tokio::select! {
                Some(mail) = self.mailbox.recv() => match mail {
                    Mail::Writable(client) => self.clients.unblocked(client),
                    Mail::Ended(client) => self.clients.close_when_sent(client),
                    Mail::Gone(client) => self.clients.forget(client),
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
            rss_bytes: memory::resident_bytes(),
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
