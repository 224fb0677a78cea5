//! The event loop: passes every input to the core, one at a time, and applies the core's effects in order.
//!
//! Owns the core, the listener and the clients. One thread; only the connections' sockets are shared with its tasks. A
//! turn takes the waiting events of the connections (the channel is bounded, so that a flood stays in the senders'
//! sockets), answers each at once, and flushes the subscribers at its end: a hook has its answer before the fan-out
//! begins, and a subscriber gets one write for all that a turn changed.
//!
//! Draining: after [`Effect::Drain`] no new connection is accepted (a socket of our own has lost its path, so the rest of
//! its queue still is), and the accepted clients are served. Once nothing is left to read, or after [`GRACE`], the core
//! receives [`Input::Drained`] and decides whether to exit.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use self::waiting::Waiting;
use super::accounts::Accounts;
use super::agent_files::AgentFiles;
use super::agent_registry::Registries;
use super::alarm::Alarm;
use super::clients::Clients;
use super::connection::ConnectionEvent;
use super::exit_watcher::ExitWatcher;
use super::limits_child::Fetcher;
use super::listener::{Listener, Watch};
use super::occasional::Occasional;
use super::ready::{acceptable, at, listen, tick};
use super::reminder_child::Reminding;
use super::sd_notify;
use super::settings::settings;
use super::signals::{SignalEvent, Signals};
use super::state_file::StateFile;
use crate::config::Config;
use crate::core::{ClientId, Core, DaemonInfo, Effect, Input, Now};
use crate::log::LogControl;
use crate::os::{clock, machine, memory, process, random};
use crate::protocol::NoticeCode;

mod agents;
mod draining;
mod events;
mod path;
mod reload;
mod waiting;

use self::draining::Closing;

/// How many events one turn takes at most: enough to coalesce a burst, few enough that the first answer does not wait long.
const TURN: usize = 128;

/// How many turns of the loop are between two calls of [`memory::unmap_code`], whose page faults take some tens of
/// microseconds in all.
const UNMAP_TURNS: u32 = 4096;

/// How long draining waits for accepted clients that have not sent anything, and leaving for those that do not read.
const GRACE: Duration = Duration::from_millis(250);

/// Whether the loop continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ControlFlow {
    Continue,
    /// Exit, after sending what is unsent if `flush` is set.
    Exit {
        flush: bool,
    },
}

/// The daemon's only loop; see the module's documentation.
pub(super) struct EventLoop {
    core: Core,
    config: Config,
    log_control: LogControl,
    alarm: Alarm,
    /// The listening socket in the reactor; `None` while no connection is accepted.
    listening: Option<AsyncFd<OwnedFd>>,
    listener: Listener,
    /// Reports changes of the files of a socket of our own.
    path_watch: Watch,
    /// When to look at these files next; `None`: when they change.
    look_at: Option<Instant>,
    /// How long to wait after the next attempt to have them again that fails.
    path_pause: Duration,
    path_warnings: Occasional,
    waiting: Waiting,
    /// When the daemon began to drain; `None` while it is not draining.
    draining_since: Option<Instant>,
    closing: Closing,
    clients: Clients,
    /// Clients that have shut down their sending side and still wait for an answer.
    half_closed: Vec<ClientId>,
    events: mpsc::Receiver<ConnectionEvent>,
    exits: ExitWatcher,
    exited: mpsc::UnboundedReceiver<process::ProcessId>,
    registries: Registries,
    files: AgentFiles,
    accounts: Accounts,
    fetcher: Fetcher,
    reminding: Reminding,
    state: StateFile,
    /// What of the saved state was lost, each in a line for a person, until it was reported.
    losses: Vec<String>,
    signals: Signals,
    /// The processes that the core wants looked at, at the end of the turn.
    to_inspect: Vec<process::ProcessId>,
    /// The last input's effects, kept to reuse the allocation.
    effects: Vec<Effect>,
}

impl EventLoop {
    /// # Errors
    ///
    /// The system refuses to watch the listener.
    pub(super) fn new(
        listener: Listener,
        signals: Signals,
        config: Config,
        log_control: LogControl,
    ) -> io::Result<Self> {
        let (event_tx, events) = mpsc::channel(TURN);
        let (exit_tx, exited) = mpsc::unbounded_channel();
        let (mut accounts, account) = Accounts::new();
        let info = DaemonInfo {
            pid: std::process::id(),
            pid_namespace: process::namespace(),
            boot: machine::boot_id().unwrap_or_default(),
            origin: listener.origin(),
            socket: listener.path().to_string_lossy().into(),
            account,
            epoch: random::number(),
        };
        let state = StateFile::new(listener.path(), listener.origin(), config.persist);
        let (saved, losses) = state.read();
        let core = Core::restore(info, settings(&config), saved, now());
        accounts.restore(core.accounts());
        let files = AgentFiles::new(&config, &core.known_sessions());
        Ok(Self {
            core,
            state,
            losses,
            accounts,
            registries: Registries::new(&config),
            files,
            config,
            log_control,
            alarm: Alarm::new()?,
            listening: Some(listen(&listener)?),
            listener,
            path_watch: Watch::nothing(),
            look_at: Some(clock::monotonic()),
            path_pause: path::SETTLE,
            path_warnings: Occasional::default(),
            waiting: Waiting::default(),
            draining_since: None,
            closing: Closing::Never,
            clients: Clients::new(event_tx),
            half_closed: Vec::new(),
            events,
            exits: ExitWatcher::new(exit_tx),
            exited,
            fetcher: Fetcher::new(),
            reminding: Reminding::new(),
            signals,
            to_inspect: Vec::new(),
            effects: Vec::new(),
        })
    }

    /// Runs until the core says `Exit`.
    pub(super) async fn run(mut self) {
        self.restore().await;
        sd_notify::ready(&self.serving());
        memory::trim_heap();
        let mut turns = 0;
        let mut watchdog = sd_notify::watchdog_interval().map(tokio::time::interval);
        let mut events = Vec::with_capacity(TURN);
        loop {
            if turns % UNMAP_TURNS == 0 {
                memory::unmap_code();
            }
            turns = turns.wrapping_add(1);
            let due = self.core.next_timeout().map(Duration::from_millis);
            let grace = self.draining_since.map(|since| since + GRACE);
            let flow = tokio::select! {
                _ = self.events.recv_many(&mut events, TURN) => self.handle_events(&mut events),
                () = acceptable(self.listening.as_ref()) => self.accept(),
                Some(process) = self.exited.recv() => self.handle(Input::ProcessExited(process)),
                Some(sighting) = self.registries.next() => self.registry_changed(sighting),
                () = self.files.changed() => ControlFlow::Continue,
                Some((account, fetched)) = self.fetcher.next() => {
                    let account = self.accounts.current(&account);
                    let flow = self.handle(Input::LimitsFetched(account, fetched));
                    memory::release();
                    flow
                }
                Some(outcome) = self.reminding.next() => {
                    let flow = self.handle(Input::Reminded(outcome));
                    memory::release();
                    flow
                }
                signal = self.signals.next() => self.on_signal(signal),
                // Where the wall clock was set, the core compares its moments with the new time.
                () = self.alarm.at(due) => self.handle(Input::Timeout),
                () = at(grace) => self.drained(),
                () = self.path_watch.changed() => self.path_changed(),
                () = at(self.look_at) => self.keep_path(),
                () = at(self.waiting.look_at) => self.look_at_processes(),
                () = tick(watchdog.as_mut()) => {
                    sd_notify::alive();
                    self.handle(Input::Watchdog)
                }
            };
            let flow = match flow {
                ControlFlow::Continue => self.observe(),
                exit @ ControlFlow::Exit { .. } => exit,
            };
            let flow = match flow {
                ControlFlow::Continue => self.end_turn(),
                exit @ ControlFlow::Exit { .. } => exit,
            };
            if let ControlFlow::Exit { flush } = flow {
                self.clients.flush_dashboards();
                let outcome = self.state.leave(&mut self.core);
                self.report_state(outcome);
                return self.leave(flush).await;
            }
        }
    }

    /// Before the first client is served: continues what an earlier daemon has saved, and corrects it by what has happened
    /// meanwhile.
    async fn restore(&mut self) {
        // The directories whose registries are read.
        self.publish();
        self.initial_scan().await;
        self.handle(Input::RegistriesRead);
        // A process that has ended is reported by a task.
        tokio::task::yield_now().await;
        while let Ok(process) = self.exited.try_recv() {
            self.handle(Input::ProcessExited(process));
        }
        for loss in std::mem::take(&mut self.losses) {
            tracing::warn!("not all of the saved state is used: {loss}");
            let message = format!("not all of the saved state is used: {loss}");
            self.notify(NoticeCode::StateFailed, message);
        }
        self.publish();
        let outcome = self.state.replace(&mut self.core);
        self.report_state(outcome);
    }

    /// Reports that the state cannot be saved.
    fn report_state(&mut self, outcome: Result<(), String>) {
        if let Err(why) = outcome {
            let message = format!("the state cannot be saved: {why}");
            tracing::warn!("{message}");
            self.notify(NoticeCode::StateFailed, message);
        }
    }

    fn notify(&mut self, code: NoticeCode, message: String) {
        self.handle(Input::Notice { code, message });
    }

    /// Reads the registries: the sessions that run already are known from the start.
    async fn initial_scan(&mut self) {
        let mut any = true;
        while std::mem::take(&mut any) {
            // The watcher reads in tasks of its own.
            tokio::task::yield_now().await;
            while let Some(sighting) = self.registries.try_next() {
                self.registry_changed(sighting);
                any = true;
            }
        }
        self.observe();
    }

    /// After each input: reports a failure of the log, accepts again where it had stopped, publishes what changed, closes
    /// finished connections, and continues to drain.
    fn end_turn(&mut self) -> ControlFlow {
        if let Some(failure) = self.log_control.take_failure() {
            self.handle(Input::Notice {
                code: NoticeCode::LogFailed,
                message: failure,
            });
        }
        self.accept_again();
        if let exit @ ControlFlow::Exit { .. } = self.watch_again() {
            return exit;
        }
        self.publish();
        self.clients.flush_dashboards();
        let processes = std::mem::take(&mut self.to_inspect);
        if !processes.is_empty() {
            // After the answers and the fan-out, which it must not delay.
            self.inspect(&processes);
            self.publish();
            self.clients.flush_dashboards();
        }
        self.close_answered();
        self.report_disconnected();
        let outcome = self.state.save(&mut self.core);
        self.report_state(outcome);
        if self.draining_since.is_some() && self.is_drained() {
            self.drained()
        } else {
            ControlFlow::Continue
        }
    }

    /// Closes each half-closed connection whose requests have all been answered.
    fn close_answered(&mut self) {
        let Self {
            half_closed,
            core,
            clients,
            ..
        } = self;
        half_closed.retain(|client| {
            let waits = core.has_pending_reply(*client);
            if !waits {
                clients.close_when_sent(*client);
            }
            waits
        });
    }

    fn handle(&mut self, mut input: Input) -> ControlFlow {
        match &mut input {
            Input::Request { request, .. } => {
                let processes = self.core.processes_of(request);
                if !processes.is_empty() {
                    self.inspect(&processes);
                }
            }
            Input::Set {
                params, running, ..
            } => {
                *running = self.core.processes_of_closed(params);
                running.retain(|process| running_process(*process).is_some());
            }
            _ => {}
        }
        self.take(input)
    }

    /// Looks whether the processes are stopped. One that is gone is left out: its exit is reported otherwise.
    fn inspect(&mut self, processes: &[process::ProcessId]) {
        let seen = processes.iter().filter_map(|process| {
            let found = running_process(*process)?;
            Some((*process, found.stopped))
        });
        let seen = seen.collect();
        self.take(Input::ProcessesSeen(seen));
    }

    fn take(&mut self, input: Input) -> ControlFlow {
        let mut effects = std::mem::take(&mut self.effects);
        effects.extend(self.core.handle(input, now()));
        self.apply(effects)
    }

    /// Publishes what the turn has changed.
    fn publish(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        effects.extend(self.core.end_turn());
        // Publishing never ends the loop.
        self.apply(effects);
    }

    fn apply(&mut self, mut effects: Vec<Effect>) -> ControlFlow {
        let mut flow = ControlFlow::Continue;
        for effect in effects.drain(..) {
            if let exit @ ControlFlow::Exit { .. } = self.apply_effect(effect) {
                flow = exit;
            }
        }
        self.effects = effects;
        flow
    }

    /// Reports the clients that have disconnected to the core.
    fn report_disconnected(&mut self) {
        while let Some(client) = self.clients.next_gone() {
            self.handle(Input::Disconnected(client));
        }
    }

    fn apply_effect(&mut self, effect: Effect) -> ControlFlow {
        match effect {
            Effect::Reply(client, line) => self.clients.send(client, &line),
            Effect::Subscribe(client, changes) => self.clients.subscribe(client, changes),
            Effect::Broadcast(line) => self.clients.broadcast(&line),
            Effect::BroadcastTo(changes, line) => self.clients.broadcast_to(changes, &line),
            Effect::Announce(line) => self.clients.announce(&line),
            Effect::Disconnect(client) => self.clients.close_when_sent(client),
            Effect::Watch(process) => return self.watch(process),
            Effect::Unwatch(process) => self.unwatch(process),
            Effect::Inspect(processes) => self.to_inspect = processes,
            Effect::WatchRegistry(agent, directory) => {
                let directory = Path::new(&*directory);
                self.registries.watch(&agent, directory);
                self.files.open(&agent, directory);
            }
            Effect::ScanRegistries => self.registries.scan(),
            Effect::Reload => return self.reload(),
            Effect::FetchLimits(account) => self.fetcher.start(account),
            Effect::KillFetch => self.fetcher.kill(),
            Effect::Remind(job) => {
                let socket = self.listener.path();
                self.reminding.start(*job, &self.config.notify, socket);
            }
            Effect::KillReminder => self.reminding.kill(),
            Effect::Drain { for_good } => self.drain(for_good),
            Effect::Resume => self.resume(),
            Effect::Exit { flush } => return ControlFlow::Exit { flush },
        }
        ControlFlow::Continue
    }

    fn on_signal(&mut self, signal: SignalEvent) -> ControlFlow {
        match signal {
            SignalEvent::HungUp => {
                self.look_at = Some(clock::monotonic());
                self.reload()
            }
            SignalEvent::Terminated if self.core.is_leaving() => {
                tracing::info!("a second signal: exits at once");
                ControlFlow::Exit { flush: false }
            }
            SignalEvent::Terminated => {
                tracing::info!("exits on a signal");
                self.handle(Input::Terminated)
            }
        }
    }
}

fn now() -> Now {
    let (unix_ms, uptime) = clock::both();
    Now {
        unix_ms,
        uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The process as it is now; `None` if it has ended.
fn running_process(process: process::ProcessId) -> Option<process::ProcessInfo> {
    let found = process::inspect(process.pid).ok()?;
    (found.id == process && !found.zombie).then_some(found)
}
