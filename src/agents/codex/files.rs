//! What Codex CLI's own files say, as observed with 0.171.0: that a terminal has opened a conversation and left it (lock
//! files), and how its turns go (rollouts: errors, interrupts, plans, commands that run on, how full the context is).
//!
//! Hooks are silent until the first prompt and when a turn fails, and do not run at all until a person trusts them. The
//! process that holds a lock runs the conversation: the terminal's own, or the app server, which runs those of all
//! terminals. Which terminal shows which conversation no file says: it is the newest one that shows no other. Called by
//! the daemon.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::super::files::{FileChange, FileReader, FileRequest, LinesFrom, RunningProcess, System};
use super::super::tolerant::object;
use super::control::{Control, Said};
use super::names::{
    is_id, is_in, is_lock_name, is_rollout, is_rollout_of, is_thread_name, lock_name,
};
use super::rollout::Line;
use super::thread::{Outcome, Thread};
use super::{is_engine, is_terminal};
use crate::event::{
    AgentEvent, EventKind, KnownSession, ProcessRole, Report, ReportedProcess, TurnEvent,
};
use crate::protocol::WaitingFor;

const LOCKS: &str = "thread-writer-locks";

/// A file of a conversation's id is here once a terminal has opened the conversation; never for a subagent's.
const TERMINALS: &str = "tui-thread-reference-capabilities";

/// How long after a lock is made its process takes it, in ms.
const HELD_WITHIN_MS: u64 = 300;

/// The most conversations that are kept. If there is one more, the one whose last event is oldest is dropped.
const MAX_THREADS: usize = 256;

/// Reads the files of Codex CLI.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// In the order of their last events, oldest first.
    threads: Vec<Thread>,
    /// Whether these processes are app servers.
    processes: Vec<(ReportedProcess, bool)>,
    control: Control,
    /// Locks that no process holds yet, and since when.
    awaited: Vec<(PathBuf, u64)>,
    /// Files that show a restored conversation open in the process that is known to run it. They appear once, as all that is
    /// in a directory at first.
    expected: Vec<PathBuf>,
}

impl FileReader for Files {
    fn restored(
        &mut self,
        sessions: &[&KnownSession<'_>],
        at: u64,
        system: &dyn System,
    ) -> Vec<FileRequest> {
        let engines = system.processes_of(is_engine);
        let mut found = Vec::new();
        for session in sessions {
            found.extend(
                self.restore(session, &engines, at, system)
                    .unwrap_or_default(),
            );
        }
        found
    }

    fn open(&mut self, config_dir: &Path) -> Vec<FileRequest> {
        let directory = |name, wanted| FileRequest::Directory {
            path: config_dir.join(name),
            wanted,
        };
        vec![
            directory(TERMINALS, is_thread_name as fn(&OsStr) -> bool),
            directory(LOCKS, is_lock_name),
        ]
    }

    fn read(&mut self, change: FileChange<'_>, at: u64, system: &dyn System) -> Vec<FileRequest> {
        match change {
            FileChange::Appeared(path) if self.is_expected(path) => Vec::new(),
            FileChange::Appeared(path) if is_in(path, TERMINALS) => {
                let lock = path.file_name().and_then(OsStr::to_str).map(lock_name);
                let lock =
                    lock.and_then(|lock| Some(path.parent()?.parent()?.join(LOCKS).join(lock)));
                let opened = lock.and_then(|lock| self.opened_anew(&lock, at, system));
                opened.unwrap_or_default()
            }
            FileChange::Appeared(path) if is_in(path, LOCKS) => {
                self.lock_appeared(path, at, system)
            }
            FileChange::Appeared(path) => self.rollout_appeared(path),
            FileChange::Removed(path) if is_in(path, LOCKS) => self.left(path, at),
            FileChange::Line(path, line) => {
                let read = self.line(path, line);
                requests(read.map_or_else(Vec::new, |(thread, line)| thread.read(&line, at)))
            }
            FileChange::EarlierLine(path, line) => {
                let read = self.line(path, line);
                let reports = read.map(|(thread, line)| thread.read_earlier(&line, at));
                requests(reports.unwrap_or_default())
            }
            FileChange::Message(text) => self.said(text, at, system),
            FileChange::Disconnected(path) => {
                self.control.disconnected(path);
                Vec::new()
            }
            FileChange::Removed(_) | FileChange::Contents(..) => Vec::new(),
        }
    }

    fn reported(&mut self, report: &mut Report, system: &dyn System) -> Vec<FileRequest> {
        let Some(event) = &report.event else {
            return Vec::new();
        };
        let Some(id) = event.session_id.clone() else {
            return Vec::new();
        };
        let is_prompt = matches!(
            event.kind,
            EventKind::SessionSeen | EventKind::Turn(TurnEvent::PromptSubmitted { .. })
        );
        if let Some(subagent) = &event.subagent {
            self.control.has_subagent(&id, subagent);
        }
        let transcript = event.transcript.as_deref().map(PathBuf::from);
        let config_dir = report.config_dir.as_deref().map(PathBuf::from);
        let is_shared = report
            .process
            .is_some_and(|process| self.is_engine(process, system));
        let place = self.place(&id, config_dir.clone().unwrap_or_default());
        let client = (is_shared && is_prompt)
            .then(|| self.client(place, system))
            .flatten();
        let Some(thread) = self.threads.get_mut(place) else {
            return Vec::new();
        };
        if let Some(event) = &report.event {
            thread.commands.reported(event);
        }
        thread.process = report.process.or(thread.process);
        thread.is_shared = is_shared;
        thread.is_attended = if is_shared { None } else { report.attended };
        if let Some(client) = client {
            thread.attach(&client, system);
        }
        if thread.outcome == Outcome::Failure {
            if is_prompt {
                thread.outcome = Outcome::Answer;
            } else if let Some(event) = report.event.as_mut().filter(|event| is_retry(event)) {
                event.kind = EventKind::Noted;
            }
        }
        if is_shared {
            report.role = ProcessRole::Shared {
                client: thread.client,
            };
            // Those of the terminal that has started the app server.
            report.terminal = thread.terminal();
            report.attended = None;
        }
        let own = config_dir.map(|directory| directory.join("sessions"));
        let rollout = transcript.filter(|path| own.is_some_and(|own| is_rollout(path, &own)));
        let mut found = rollout.map_or_else(Vec::new, |path| thread.follow(path, LinesFrom::End));
        if is_shared && is_prompt {
            found.extend(self.listen(place, system));
        }
        found
    }
}

impl Files {
    /// Follows a conversation again that an earlier daemon has followed. `engines`: the app servers that run.
    fn restore(
        &mut self,
        session: &KnownSession<'_>,
        engines: &[RunningProcess],
        at: u64,
        system: &dyn System,
    ) -> Option<Vec<FileRequest>> {
        let config_dir = session.config_dir.map(Path::new)?;
        let id = Some(session.id).filter(|id| is_id(id))?;
        let is_it = |engine: &RunningProcess| {
            Some(engine.info.id) == session.process.and_then(ReportedProcess::id)
        };
        let is_shared = session.client.is_some() || engines.iter().any(is_it);
        if let Some(process) = session.process {
            self.processes.push((process, is_shared));
        }
        let place = self.place(id, config_dir.to_owned());
        let thread = self.threads.get_mut(place)?;
        thread.restore(session, is_shared);
        let lock = config_dir.join(LOCKS).join(lock_name(id));
        let has = |directory: &Path, name: &str| {
            let names = system.names(directory);
            names.iter().any(|known| **known == *name)
        };
        // A version of the agent that makes locks has made one for what is written down, and what no hook has reported was
        // found by one.
        let had_lock = session.transcript.is_some() || session.hook_at.is_none();
        let is_locked = has(&config_dir.join(LOCKS), &lock_name(id));
        if had_lock && !is_locked && has(config_dir, LOCKS) {
            return Some(self.left(&lock, at));
        }
        let own = config_dir.join("sessions");
        let rollout = session.transcript.map(PathBuf::from);
        let mut found = match rollout.filter(|path| is_rollout(path, &own)) {
            Some(path) => thread.follow(path, LinesFrom::Tail),
            None => thread.find_rollout(LinesFrom::Tail, system),
        };
        if session.process.is_some() && system.lock_holder(&lock) == session.process {
            self.expected.push(lock);
            let terminals = config_dir.join(TERMINALS);
            if has(&terminals, id) {
                self.expected.push(terminals.join(id));
            }
        }
        if is_shared {
            found.extend(self.listen(place, system));
        }
        if let Some(WaitingFor::Permission | WaitingFor::Answer) = session.waiting_for {
            self.control.waits(id);
        }
        Some(found)
    }

    /// True the first time for a file that says nothing new.
    fn is_expected(&mut self, path: &Path) -> bool {
        let place = self.expected.iter().position(|expected| expected == path);
        place.map(|place| self.expected.remove(place)).is_some()
    }

    /// The conversation that this rollout is of, and the line, read.
    fn line(&mut self, path: &Path, line: &[u8]) -> Option<(&mut Thread, Line)> {
        let of = |thread: &&mut Thread| thread.rollout.as_deref() == Some(path);
        let thread = self.threads.iter_mut().find(of)?;
        Some((thread, object(line).ok()?))
    }

    /// The place of a conversation, which is made the last.
    fn place(&mut self, id: &str, config_dir: PathBuf) -> usize {
        let known = self.threads.iter().position(|thread| *thread.id == *id);
        let thread = match known {
            Some(place) => self.threads.remove(place),
            None => Thread::new(id, config_dir),
        };
        if self.threads.len() == MAX_THREADS {
            self.threads.remove(0);
        }
        self.threads.push(thread);
        self.threads.len() - 1
    }

    fn is_engine(&mut self, process: ReportedProcess, system: &dyn System) -> bool {
        if let Some((_, is_engine)) = self.processes.iter().find(|(known, _)| *known == process) {
            return *is_engine;
        }
        let engines = system.processes_of(is_engine);
        let is_engine = engines
            .iter()
            .any(|engine| engine.info.id.pid == process.pid);
        if self.processes.len() == MAX_THREADS {
            self.processes.remove(0);
        }
        self.processes.push((process, is_engine));
        is_engine
    }

    /// There is a lock, which is made first and held then.
    fn lock_appeared(&mut self, lock: &Path, at: u64, system: &dyn System) -> Vec<FileRequest> {
        let awaited = self.awaited.iter().position(|(path, _)| path == lock);
        let since = awaited.map_or(at, |place| self.awaited.remove(place).1);
        if let Some(found) = self.opened_anew(lock, at, system) {
            return found;
        }
        let is_new = at.saturating_sub(since) < HELD_WITHIN_MS;
        if !is_new || self.awaited.len() == MAX_THREADS {
            return Vec::new();
        }
        self.awaited.push((lock.to_owned(), since));
        vec![FileRequest::Again(lock.to_owned())]
    }

    /// A terminal that was started has opened this conversation, if it is known that one has.
    fn opened_anew(
        &mut self,
        lock: &Path,
        at: u64,
        system: &dyn System,
    ) -> Option<Vec<FileRequest>> {
        let id = lock.file_stem().and_then(OsStr::to_str)?;
        if let Some(thread) = self.threads.iter_mut().find(|thread| *thread.id == *id) {
            thread.client = None;
        }
        self.opened(lock, at, system)
    }

    /// A terminal shows this conversation; `None` if that is not known of it.
    fn opened(&mut self, lock: &Path, at: u64, system: &dyn System) -> Option<Vec<FileRequest>> {
        let id = lock.file_stem().and_then(OsStr::to_str)?;
        let config_dir = lock.parent().and_then(Path::parent)?;
        let is_terminals = system
            .names(&config_dir.join(TERMINALS))
            .iter()
            .any(|name| **name == *id);
        let process = system.lock_holder(lock).filter(|_| is_terminals)?;
        let is_shared = self.is_engine(process, system);
        let place = self.place(id, config_dir.to_owned());
        let client = is_shared.then(|| self.client(place, system)).flatten();
        let thread = self.threads.get_mut(place)?;
        thread.process = Some(process);
        thread.is_shared = is_shared;
        if let Some(client) = client {
            thread.attach(&client, system);
        } else if let Some(info) = system.process(process.pid).filter(|_| !is_shared) {
            thread.tty = info.tty;
        }
        let cwd = thread.cwd(system);
        let mut report = thread.report(at, "lock: opened", EventKind::SessionSeen);
        report.terminal = thread.terminal();
        if let Some(event) = &mut report.event {
            event.cwd = cwd.and_then(|cwd| Some(cwd.to_str()?.into()));
        }
        let mut found = requests(vec![report]);
        let from = thread.first_line(at);
        found.extend(thread.find_rollout(from, system));
        if is_shared {
            found.extend(self.detach_others(place, at, system));
            found.extend(self.listen(place, system));
        }
        Some(found)
    }

    /// Reports the conversations that the terminal of this one has left. With several terminals, which one has is not
    /// known.
    fn detach_others(&mut self, place: usize, at: u64, system: &dyn System) -> Vec<FileRequest> {
        let thread = self.threads.get(place);
        let Some(client) = thread.and_then(|thread| thread.client) else {
            return Vec::new();
        };
        let terminals = system.processes_of(is_terminal).into_iter();
        if terminals
            .filter(|terminal| terminal.info.tty.is_some())
            .count()
            != 1
        {
            return Vec::new();
        }
        let others = self.threads.iter_mut().enumerate();
        let left =
            others.filter(|(other, thread)| *other != place && thread.client == Some(client));
        let reports = left.map(|(_, thread)| {
            thread.client = None;
            thread.tty = None;
            thread.report(at, "terminal: another conversation", EventKind::Detached)
        });
        requests(reports.collect())
    }

    /// Connects to the app server that runs this conversation, unless that is done.
    fn listen(&mut self, place: usize, system: &dyn System) -> Option<FileRequest> {
        let thread = self.threads.get(place)?;
        if !self.control.lacks(&thread.config_dir) {
            return None;
        }
        let engines = system.processes_of(is_engine);
        let runs_it = |one: &&RunningProcess| {
            Some(one.info.id) == thread.process.and_then(ReportedProcess::id)
        };
        let engine = engines.iter().find(runs_it)?;
        self.control.connect(&thread.config_dir, engine)
    }

    /// The app server has said something.
    fn said(&mut self, text: &[u8], at: u64, system: &dyn System) -> Vec<FileRequest> {
        let Some(said) = self.control.read(text) else {
            return Vec::new();
        };
        let (id, subagent, name, event) = match said {
            Said::Opened(id) => (id, None, "control socket: opened", TurnEvent::Seen),
            Said::Turn {
                thread,
                subagent,
                name,
                event,
            } => (thread, subagent, name, event),
        };
        let known = self.threads.iter().find(|thread| thread.id == id);
        let Some(config_dir) = known.map(|thread| thread.config_dir.clone()) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        if event == TurnEvent::Seen {
            let lock = config_dir.join(LOCKS).join(lock_name(&id));
            found.extend(self.opened(&lock, at, system).into_iter().flatten());
        }
        let mut threads = self.threads.iter_mut();
        let report = threads.find(|thread| thread.id == id).map(|thread| {
            let mut report = thread.report(at, name, EventKind::Turn(event));
            if let Some(event) = &mut report.event {
                event.subagent = subagent;
                thread.commands.reported(event);
            }
            report
        });
        found.extend(requests(report.into_iter().collect()));
        found
    }

    /// A conversation was left.
    fn left(&mut self, lock: &Path, at: u64) -> Vec<FileRequest> {
        let id = lock.file_stem().and_then(OsStr::to_str);
        let known = self
            .threads
            .iter()
            .position(|thread| Some(&*thread.id) == id);
        let Some(thread) = known.map(|place| self.threads.remove(place)) else {
            return Vec::new();
        };
        let ended = EventKind::SessionEnded {
            reason: "exit".into(),
            process_goes_on: false,
        };
        let mut found = Vec::new();
        if thread.process.is_some() && !thread.is_subagent {
            found = requests(vec![thread.report(at, "lock: removed", ended)]);
        }
        found.extend(thread.rollout.map(FileRequest::Forget));
        let directory = &thread.config_dir;
        let is_used = |other: &Thread| other.is_shared && other.config_dir == *directory;
        if !self.threads.iter().any(is_used) {
            found.extend(self.control.leave(directory));
        }
        found
    }

    fn rollout_appeared(&mut self, path: &Path) -> Vec<FileRequest> {
        let name = path.file_name().unwrap_or_default();
        let of = |thread: &&mut Thread| is_rollout_of(name, &thread.id);
        let thread = self.threads.iter_mut().find(of);
        thread.map_or_else(Vec::new, |thread| {
            thread.follow(path.to_owned(), LinesFrom::Beginning)
        })
    }

    /// The terminal that shows the conversation: its own still, or the newest that shows no other.
    fn client(&self, place: usize, system: &dyn System) -> Option<RunningProcess> {
        let thread = self.threads.get(place)?;
        let terminals = system.processes_of(is_terminal);
        let runs = |client: ReportedProcess| {
            let of = |one: &&RunningProcess| Some(one.info.id) == client.id();
            terminals.iter().find(of)
        };
        if let Some(own) = thread.client.and_then(runs) {
            return Some(own.clone());
        }
        let is_taken = |terminal: &&RunningProcess| {
            self.threads.iter().any(|other| {
                other.id != thread.id
                    && other.client.and_then(ReportedProcess::id) == Some(terminal.info.id)
            })
        };
        let seen = terminals
            .iter()
            .filter(|terminal| terminal.info.tty.is_some());
        let mut free = seen.clone().filter(|terminal| !is_taken(terminal));
        // Where each shows one, a terminal has gone over to another conversation.
        let newest = free.next().or_else(|| seen.clone().next());
        newest.cloned()
    }
}

/// True if the main agent tries a request again.
fn is_retry(event: &AgentEvent) -> bool {
    event.subagent.is_none() && matches!(event.kind, EventKind::Turn(TurnEvent::Retrying { .. }))
}

fn requests(reports: Vec<Report>) -> Vec<FileRequest> {
    let reports = reports.into_iter();
    reports
        .map(|report| FileRequest::Report(Box::new(report)))
        .collect()
}
