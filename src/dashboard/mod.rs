//! The full-screen view: every session in a row, those that need a person on top.
//!
//! ```text
//! keys, mouse ──▶ thread ─┐
//! signals ──────▶ thread ─┼─▶ one queue ─▶ update(model, event, now) ─▶ action ─▶ terminal, requests, threads that go
//! daemon ───────▶ thread ─┘                     │ one owner
//!                                               ▼
//!                                  view::draw(model) ─▶ cells that differ ─▶ one write
//! ```
//!
//! This file is the loop: it owns the model, the screen and the time, and decides nothing. It draws after an event (a key
//! at once, updates from the daemon at most thirty times a second), and when an age on the screen changes, at most once a
//! second; in between it sleeps. Called by `dashboard` and the bare command.

mod bell;
mod columns;
mod daemon_io;
mod going;
mod input;
mod layout;
mod model;
mod notification;
pub mod terminal;
#[cfg(test)]
mod testing;
mod update;
mod view;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{
    Pid, Signal, getpgrp, getpid, getsid, kill_current_process_group, kill_process,
};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use self::daemon_io::Request;
use self::going::{Job, Progress};
use self::input::Reader;
use self::model::Model;
use self::terminal::Screen;
use self::update::{Action, Event, prepare, update};
use crate::config::{self, DashboardBell, variable};
use crate::format;
use crate::os::{clock, process};
use crate::protocol::SessionRecord;
use crate::reach::Attached;

/// How many events may wait. If the terminal blocks (Ctrl-S), the threads that send them block, too, and the daemon drops
/// this dashboard; this process does not grow.
const QUEUE: usize = 1024;

/// The least time between two pictures, except after a key.
const FRAME: Duration = Duration::from_millis(33);

/// The least time between two pictures that differ in ages only.
const SECOND: Duration = Duration::from_secs(1);

/// How long restoring the terminal may take; after that a signal ends the program without it.
const GRACE: Duration = Duration::from_secs(1);

/// How long the ages on the screen stay as they are at most, in ms.
const LONGEST_TICK_MS: u64 = 60_000;

/// What the loop waits for.
#[derive(Debug)]
enum Message {
    Event(Event),
    Signal(i32),
    /// Reading keys failed.
    InputFailed(io::Error),
    /// No keys are read until [`Reader::resume`].
    Resting,
    /// The way to the session of this key ends with a program on this terminal.
    NeedsTerminal(Box<Job>),
    /// That program has ended.
    Returned(Result<(), String>),
    /// A bell or a notification for the terminal.
    Inform(Vec<u8>),
}

/// Who has the terminal.
#[derive(Debug)]
enum Turn {
    /// The dashboard.
    Own,
    /// The dashboard, until no more keys are read.
    Leaving(Box<Job>),
    /// The program of this process id.
    Other(Option<Pid>),
}

/// How the dashboard is shown.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// At first only the sessions of this agent.
    pub(crate) agent: Option<String>,
    /// It ends once it has brought the person to a session.
    pub(crate) once: bool,
}

/// Shows the sessions of the daemon at `socket` until a person quits or a signal ends it.
///
/// # Errors
///
/// There is no terminal, or it fails.
pub(crate) fn run(socket: &Path, options: Options) -> anyhow::Result<()> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        bail!(
            "the dashboard needs a terminal; `agent-console list` and `agent-console watch` do without"
        );
    }
    if variable("TERM").is_none_or(|terminal| terminal.is_empty() || terminal == "dumb") {
        bail!(
            "the dashboard needs a terminal that can place text, and TERM names none; `agent-console list` does without"
        );
    }
    let (sender, inbox) = mpsc::sync_channel(QUEUE);
    // Before the terminal's modes change: from then on each signal must restore them.
    catch_signals(sender.clone()).context("catching signals")?;
    let mut screen = Screen::open().context("taking the terminal")?;
    let home = variable("HOME").and_then(|home| home.into_string().ok());
    let mut model = Model::new(format::is_coloured(), home, screen.size()?);
    model.agent = options.agent;
    model.once = options.once;
    let bell = config::dashboard_bell().unwrap_or_else(|error| {
        model.set_status(format::sanitize(&error.to_string()));
        DashboardBell::default()
    });
    model.rings = bell != DashboardBell::Off;
    let (wake, woken) = mpsc::channel();
    let (requests, received) = mpsc::channel();
    start(sender.clone(), socket, move |socket, send| {
        daemon_io::subscribe(socket, &woken, send);
    });
    start(sender.clone(), socket, move |socket, send| {
        daemon_io::serve_requests(socket, &received, send);
    });
    let shell = Shell {
        model,
        bell,
        screen: &mut screen,
        reader: Reader::start(sender.clone()),
        turn: Turn::Own,
        socket,
        queue: sender,
        inbox,
        wake,
        requests,
    };
    let ended = shell.serve();
    let left = screen.leave();
    match ended? {
        // The parent must see that the signal ended this process.
        End::Signal(signal) => emulate_default_handler(signal)?,
        End::Quit(note) => {
            left?;
            if let Some(note) = note {
                writeln!(io::stderr(), "note: {note}")?;
            }
        }
    }
    Ok(())
}

/// Starts a thread that talks to the daemon and puts events into the queue.
fn start(
    sender: SyncSender<Message>,
    socket: &Path,
    work: impl FnOnce(&Path, &dyn Fn(Event) -> bool) + Send + 'static,
) {
    let socket = socket.to_owned();
    thread::spawn(move || work(&socket, &|event| sender.send(Message::Event(event)).is_ok()));
}

/// Starts a thread that puts signals into the queue. A signal that ends the program does so even if the loop is blocked
/// by the terminal.
fn catch_signals(sender: SyncSender<Message>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT])?;
    thread::spawn(move || {
        for signal in signals.forever() {
            let sent = sender.try_send(Message::Signal(signal)).is_ok();
            if matches!(signal, SIGTSTP | SIGCONT) {
                continue;
            }
            if sent {
                thread::sleep(GRACE);
            }
            let _ = crossterm::terminal::disable_raw_mode();
            let _ = emulate_default_handler(signal);
        }
    });
    Ok(())
}

/// Why the loop ended.
enum End {
    /// With a note for the person, if something remains to be done.
    Quit(Option<String>),
    Signal(i32),
}

/// What the loop owns.
struct Shell<'a> {
    model: Model,
    bell: DashboardBell,
    screen: &'a mut Screen,
    reader: Reader,
    turn: Turn,
    socket: &'a Path,
    /// For the threads that are started later.
    queue: SyncSender<Message>,
    inbox: Receiver<Message>,
    wake: Sender<()>,
    requests: Sender<Request>,
}

impl Shell<'_> {
    fn serve(mut self) -> anyhow::Result<End> {
        let mut drawn = self.draw()?;
        let mut ticked = drawn;
        // The screen does not show the last events yet.
        let mut stale = false;
        loop {
            let deadline = if stale {
                Some(drawn + FRAME)
            } else {
                self.next_tick(ticked)
            };
            let first = match deadline {
                None => Some(self.inbox.recv()?),
                Some(at) => {
                    match self
                        .inbox
                        .recv_timeout(at.saturating_duration_since(clock::monotonic()))
                    {
                        Ok(message) => Some(message),
                        Err(RecvTimeoutError::Timeout) => None,
                        Err(gone @ RecvTimeoutError::Disconnected) => return Err(gone.into()),
                    }
                }
            };
            let mut at_once = false;
            if first.is_none() && !stale {
                self.take(Event::Tick)?;
                self.inspect()?;
                ticked = clock::monotonic();
                at_once = true;
            }
            let mut next = first;
            for _ in 0..QUEUE {
                let Some(message) = next else { break };
                stale = true;
                at_once |= !matches!(message, Message::Event(Event::Update(_)));
                if let Some(ended) = self.receive(message)? {
                    return Ok(ended);
                }
                next = self.inbox.try_recv().ok();
            }
            if at_once || (stale && clock::monotonic() >= drawn + FRAME) {
                drawn = self.draw()?;
                stale = false;
            }
        }
    }

    fn receive(&mut self, message: Message) -> anyhow::Result<Option<End>> {
        match message {
            Message::Event(event) => return self.take(event),
            Message::Signal(signal) => return self.signal(signal),
            Message::InputFailed(error) => return Err(error).context("reading keys"),
            Message::NeedsTerminal(job) => {
                self.turn = Turn::Leaving(job);
                self.reader.rest()?;
            }
            Message::Resting => self.give_terminal()?,
            Message::Returned(result) => {
                self.turn = Turn::Own;
                self.screen.enter()?;
                self.reader.resume();
                return self.take(Event::Went(result.map(|()| None)));
            }
            Message::Inform(bytes) => self.screen.inform(&bytes)?,
        }
        Ok(None)
    }

    /// Runs the program on the terminal, and restores the terminal's modes for it.
    fn give_terminal(&mut self) -> anyhow::Result<()> {
        let job = match std::mem::replace(&mut self.turn, Turn::Own) {
            Turn::Leaving(job) => job,
            turn => {
                self.turn = turn;
                return Ok(());
            }
        };
        self.screen.leave()?;
        let started = job.start();
        let pid = started.as_ref().ok().map(Attached::pid);
        self.turn = Turn::Other(pid.and_then(|pid| Pid::from_raw(pid.try_into().ok()?)));
        self.background(move || Message::Returned(started.and_then(|program| job.wait(program))));
        Ok(())
    }

    /// Brings the person to a session, on a thread of its own: a program that hangs must not stop this one.
    fn go(&self, session: SessionRecord<'static>) {
        let socket = self.socket.to_owned();
        self.background(move || match going::go(session, &socket) {
            Ok(Progress::Arrived(note)) => Message::Event(Event::Went(Ok(note))),
            Ok(Progress::NeedsTerminal(job)) => Message::NeedsTerminal(job),
            Err(why) => Message::Event(Event::Went(Err(why))),
        });
    }

    /// Resumes a closed session, on a thread of its own.
    fn resume(&self, session: SessionRecord<'static>) {
        self.background(move || {
            let resumed = going::resume(&session);
            Message::Event(Event::Resumed(session.key.to_string(), resumed))
        });
    }

    /// Starts a thread that puts its result into the queue.
    fn background(&self, work: impl FnOnce() -> Message + Send + 'static) {
        let queue = self.queue.clone();
        // Once the dashboard has ended, there is no receiver.
        thread::spawn(move || drop(queue.send(work())));
    }

    /// Informs the person through the terminal; on a thread of its own where another program is asked about that.
    fn ring(&mut self, text: String) -> anyhow::Result<()> {
        match self.bell {
            DashboardBell::Off => {}
            DashboardBell::Bell => self.screen.inform(notification::BELL)?,
            DashboardBell::Notify => {
                self.background(move || Message::Inform(notification::bytes(&text)));
            }
        }
        Ok(())
    }

    /// Looks whether the agents on the screen are stopped, which no event reports, and has the daemon look where it does
    /// not know.
    fn inspect(&self) -> anyhow::Result<()> {
        for (key, process, stopped) in self.model.processes_on_screen() {
            let found = process::inspect(process.pid);
            let runs = found.is_ok_and(|found| {
                found.id == process && !found.zombie && found.stopped != stopped
            });
            if runs {
                self.requests.send(Request::Inspect(key))?;
            }
        }
        Ok(())
    }

    /// When to draw an age that changes by then.
    fn next_tick(&self, ticked: Instant) -> Option<Instant> {
        let left = self.model.next_tick()?.saturating_sub(clock::unix_ms());
        // This clock stands still while the machine sleeps: what is shown must not stay old for as long as an hour's age.
        let left = left.min(LONGEST_TICK_MS);
        let due = clock::monotonic().checked_add(Duration::from_millis(left))?;
        Some(due.max(ticked + SECOND))
    }

    fn draw(&mut self) -> anyhow::Result<Instant> {
        let size = self.screen.size()?;
        let resized = (size != self.model.size()).then_some(Event::Resized(size.0, size.1));
        self.take(resized.unwrap_or(Event::Tick))?;
        if let Some(action) = prepare(&mut self.model) {
            self.perform(action)?;
        }
        self.screen.draw(&self.model).context("drawing")?;
        Ok(clock::monotonic())
    }

    fn take(&mut self, event: Event) -> anyhow::Result<Option<End>> {
        match update(&mut self.model, event, clock::unix_ms()) {
            Some(action) => self.perform(action),
            None => Ok(None),
        }
    }

    fn perform(&mut self, action: Action) -> anyhow::Result<Option<End>> {
        match action {
            Action::Quit => return Ok(Some(End::Quit(None))),
            Action::Leave(note) => return Ok(Some(End::Quit(note))),
            Action::Go(key) => {
                if let Some(session) = self.model.session(&key) {
                    self.go(session.clone());
                }
            }
            Action::Resume(key) => {
                if let Some(session) = self.model.session(&key) {
                    self.resume(session.clone());
                }
            }
            Action::Ring(text) => self.ring(text)?,
            Action::Suspend => self.suspend()?,
            Action::Redraw => self.screen.redraw()?,
            Action::Copy(text) => self.screen.copy(&text)?,
            Action::Explain(key) => self.requests.send(Request::Explain(key))?,
            Action::Open(key) => {
                self.requests.send(Request::Seen(key.clone()))?;
                self.requests.send(Request::Explain(key))?;
            }
            Action::Remove(key) => self.requests.send(Request::Remove(key))?,
            Action::Connect => self.wake.send(())?,
        }
        Ok(None)
    }

    fn signal(&mut self, signal: i32) -> anyhow::Result<Option<End>> {
        match signal {
            SIGTSTP if has_job_control()? => {
                self.screen.leave()?;
                kill_process(getpid(), Signal::STOP)?;
            }
            // Else another program has the terminal.
            SIGCONT if matches!(self.turn, Turn::Own | Turn::Leaving(_)) => self.screen.enter()?,
            SIGTSTP | SIGCONT => {}
            _ => {
                self.end_program();
                return Ok(Some(End::Signal(signal)));
            }
        }
        Ok(None)
    }

    /// Ends the program that has the terminal, and waits until it has restored it. Else it would share the terminal with the
    /// shell.
    fn end_program(&self) {
        let Turn::Other(Some(program)) = self.turn else {
            return;
        };
        let _ = kill_process(program, Signal::TERM);
        let end = clock::monotonic() + GRACE / 2;
        loop {
            let left = end.saturating_duration_since(clock::monotonic());
            match self.inbox.recv_timeout(left) {
                Ok(Message::Returned(_)) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// Ctrl-Z: stops the whole job, as if the terminal had sent the signal. Restores the terminal first, because the shell
    /// takes it as soon as the job's other processes have stopped; this process stops at its own copy of the signal.
    fn suspend(&mut self) -> anyhow::Result<()> {
        if has_job_control()? {
            self.screen.leave()?;
            kill_current_process_group(Signal::TSTP)?;
        } else {
            self.model
                .set_status("there is no shell to come back from".into());
        }
        Ok(())
    }
}

/// Whether there is a shell that can resume this job. A session leader, or a process in its group (the command of a
/// terminal's window, say), would stay stopped for ever.
fn has_job_control() -> io::Result<bool> {
    let session: Pid = getsid(None)?;
    Ok(getpgrp() != session)
}
