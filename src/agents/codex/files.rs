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
use super::control::Control;
use super::events::{failure, plan};
use super::rollout::{Line, Payload};
use super::{AGENT, is_engine, is_terminal};
use crate::event::{
    AgentEvent, BackgroundTask, EventKind, ProcessRole, PromptOrigin, Report, ReportedProcess,
    Source, TaskKind, TurnEvent,
};
use crate::protocol::Terminal;

const LOCKS: &str = "thread-writer-locks";

/// A file of a conversation's id is here once a terminal has opened the conversation; never for a subagent's.
const TERMINALS: &str = "tui-thread-reference-capabilities";

/// The most conversations that are remembered; the one that was heard of longest ago is dropped.
const MAX_THREADS: usize = 256;

/// The most calls of one conversation that are remembered.
const MAX_CALLS: usize = 64;

/// How long after it was written a line may be read, in ms. An older stamp is another clock's.
const LATE_MS: u64 = 10_000;

/// The tool whose commands may run on after their turn.
const COMMAND: &str = "exec_command";

/// A command of the agent.
#[derive(Debug)]
struct Call {
    id: Box<str>,
    turn: Option<Box<str>>,
    /// It runs in the background.
    runs_on: bool,
}

/// What a turn comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Answer,
    /// A plan, which a person is asked to accept.
    Plan,
    /// A shorter conversation.
    Compaction,
    /// An error. The hook of the last request may be later.
    Failure,
}

/// One conversation.
#[derive(Debug)]
struct Thread {
    id: Box<str>,
    config_dir: PathBuf,
    rollout: Option<PathBuf>,
    /// The process that runs it.
    process: Option<ReportedProcess>,
    is_shared: bool,
    client: Option<ReportedProcess>,
    tty: Option<String>,
    is_attended: Option<bool>,
    /// The turn that runs, or ran last.
    turn: Option<Box<str>>,
    calls: Vec<Call>,
    /// What the turn has come to.
    outcome: Outcome,
    /// It is a subagent's: the conversation that has spawned it reports it.
    is_subagent: bool,
}

/// Reads the files of Codex CLI.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The one that was heard of last is the last.
    threads: Vec<Thread>,
    /// Whether these processes are app servers.
    processes: Vec<(ReportedProcess, bool)>,
    control: Control,
}

impl FileReader for Files {
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
            FileChange::Appeared(path) if is_in(path, TERMINALS) => {
                let lock = path.file_name().and_then(OsStr::to_str).map(lock_name);
                let lock =
                    lock.and_then(|lock| Some(path.parent()?.parent()?.join(LOCKS).join(lock)));
                lock.map_or_else(Vec::new, |lock| self.opened(&lock, at, system))
            }
            FileChange::Appeared(path) if is_in(path, LOCKS) => self.opened(path, at, system),
            FileChange::Appeared(path) => self.rollout_appeared(path),
            FileChange::Removed(path) if is_in(path, LOCKS) => self.left(path, at),
            FileChange::Line(path, line) => {
                let thread = self
                    .threads
                    .iter_mut()
                    .find(|thread| thread.rollout.as_deref() == Some(path));
                let line = object::<Line>(line).ok();
                let reports = thread
                    .zip(line)
                    .map(|(thread, line)| thread.read(&line, at));
                reports.map_or_else(Vec::new, requests)
            }
            FileChange::Message(text) => self.said(text, at),
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

    /// A conversation was opened, in a terminal if that is known of it.
    fn opened(&mut self, lock: &Path, at: u64, system: &dyn System) -> Vec<FileRequest> {
        let Some(id) = lock.file_stem().and_then(OsStr::to_str) else {
            return Vec::new();
        };
        let Some(config_dir) = lock.parent().and_then(Path::parent) else {
            return Vec::new();
        };
        let is_terminals = system
            .names(&config_dir.join(TERMINALS))
            .iter()
            .any(|name| **name == *id);
        let Some(process) = system.lock_holder(lock).filter(|_| is_terminals) else {
            return Vec::new();
        };
        let is_shared = self.is_engine(process, system);
        let place = self.place(id, config_dir.to_owned());
        if let Some(thread) = self.threads.get_mut(place) {
            thread.client = None;
        }
        let client = is_shared.then(|| self.client(place, system)).flatten();
        let Some(thread) = self.threads.get_mut(place) else {
            return Vec::new();
        };
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
        found.extend(thread.find_rollout(at, system));
        if is_shared {
            found.extend(self.listen(place, system));
        }
        found
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
    fn said(&mut self, text: &[u8], at: u64) -> Vec<FileRequest> {
        let Some(said) = self.control.read(text) else {
            return Vec::new();
        };
        let thread = self.threads.iter().find(|thread| thread.id == said.thread);
        let report = thread.map(|thread| {
            let mut report = thread.report(at, said.name, EventKind::Turn(said.event));
            if let Some(event) = &mut report.event {
                event.subagent = said.subagent;
            }
            report
        });
        requests(report.into_iter().collect())
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

impl Thread {
    fn new(id: &str, config_dir: PathBuf) -> Self {
        Self {
            id: id.into(),
            config_dir,
            rollout: None,
            process: None,
            is_shared: false,
            client: None,
            tty: None,
            is_attended: None,
            turn: None,
            calls: Vec::new(),
            outcome: Outcome::Answer,
            is_subagent: false,
        }
    }

    fn attach(&mut self, client: &RunningProcess, system: &dyn System) {
        self.client = Some(ReportedProcess {
            pid: client.info.id.pid,
            start: Some(client.info.id.start),
            namespace: system.namespace(),
        });
        self.tty.clone_from(&client.info.tty);
    }

    fn terminal(&self) -> Option<Box<Terminal>> {
        let tty = self.tty.as_deref()?;
        Some(Box::new(Terminal {
            tty: Some(tty.into()),
            ..Terminal::default()
        }))
    }

    /// The directory of its terminal.
    fn cwd(&self, system: &dyn System) -> Option<PathBuf> {
        let shown = self.client.or(self.process)?;
        let terminals = system.processes_of(is_terminal);
        let own = terminals
            .into_iter()
            .find(|one| one.info.id.pid == shown.pid);
        own?.cwd
    }

    /// Follows its rollout, from now on.
    fn follow(&mut self, path: PathBuf, from: LinesFrom) -> Vec<FileRequest> {
        if self.rollout.as_deref() == Some(&*path) {
            return Vec::new();
        }
        let former = self.rollout.replace(path.clone()).map(FileRequest::Forget);
        let lines = FileRequest::Lines { path, from };
        former.into_iter().chain([lines]).collect()
    }

    /// Finds its rollout, which a hook names only once hooks are trusted: it is made with the first prompt, in a
    /// directory of the day. What a conversation that is resumed has written before is not read again.
    fn find_rollout(&mut self, at: u64, system: &dyn System) -> Vec<FileRequest> {
        let Some(began) = began_at(&self.id) else {
            return Vec::new();
        };
        let Some(day) = crate::os::local_time::local_time(began / 1000) else {
            return Vec::new();
        };
        let directory = self
            .config_dir
            .join("sessions")
            .join(format!("{:04}/{:02}/{:02}", day.year, day.month, day.day));
        let names = system.names(&directory);
        let is_own = |name: &&OsStr| is_rollout_name(name) && is_rollout_of(name, &self.id);
        let Some(name) = names.iter().map(AsRef::as_ref).find(is_own) else {
            return vec![FileRequest::Directory {
                path: directory,
                wanted: is_rollout_name,
            }];
        };
        let is_new = at.saturating_sub(began) <= LATE_MS;
        let from = if is_new {
            LinesFrom::Beginning
        } else {
            LinesFrom::End
        };
        self.follow(directory.join(name), from)
    }

    /// What a line of the rollout says.
    fn read(&mut self, line: &Line, now: u64) -> Vec<Report> {
        let payload = &line.payload.0;
        if line.kind.get() == Some("session_meta") {
            self.is_subagent = payload.parent_thread_id.get().is_some();
        }
        if self.is_subagent {
            return Vec::new();
        }
        let stamp = line.timestamp.as_ms();
        let at = stamp.filter(|stamp| *stamp <= now && now - stamp <= LATE_MS);
        let at = at.unwrap_or(now);
        let Some((name, kind)) = self.event(payload) else {
            return Vec::new();
        };
        let mut report = self.report(at, name, kind);
        if let Some(event) = &mut report.event {
            event.context_percent = context_percent(payload);
        }
        vec![report]
    }

    fn event(&mut self, payload: &Payload) -> Option<(&'static str, EventKind)> {
        let turn = payload.turn_id.get();
        Some(match payload.kind.get()? {
            "task_started" => {
                self.turn = turn.map(Into::into);
                self.outcome = Outcome::Answer;
                let begun = TurnEvent::PromptSubmitted {
                    text: None,
                    origin: PromptOrigin::PersonNow,
                };
                ("rollout: task_started", EventKind::Turn(begun))
            }
            "task_complete" => (
                "rollout: task_complete",
                EventKind::Turn(self.ended(payload)),
            ),
            "turn_aborted" => (
                "rollout: turn_aborted",
                EventKind::Turn(TurnEvent::Interrupted),
            ),
            "function_call" if payload.name.get() == Some(COMMAND) => {
                if self.calls.len() == MAX_CALLS {
                    self.calls.remove(0);
                }
                self.calls.push(Call {
                    id: payload.call_id.get()?.into(),
                    turn: self.turn.clone(),
                    runs_on: false,
                });
                return None;
            }
            // Its command has not ended, or that would have come before.
            "function_call_output" => {
                let id = payload.call_id.get()?;
                let call = self.calls.iter_mut().find(|call| *call.id == *id)?;
                call.runs_on = true;
                let task = BackgroundTask {
                    id: call.id.clone(),
                    kind: TaskKind::Shell,
                };
                (
                    "rollout: command runs on",
                    EventKind::Turn(TurnEvent::TaskStarted(task)),
                )
            }
            "item_completed" => match payload.item.0.kind.get()? {
                "Plan" => {
                    self.outcome = Outcome::Plan;
                    return None;
                }
                "ContextCompaction" => {
                    self.outcome = Outcome::Compaction;
                    return None;
                }
                "CommandExecution" => {
                    let call = self.command_ended(payload.item.0.id.get(), turn)?;
                    let ended = TurnEvent::TaskEnded(call.id);
                    ("rollout: command ended", EventKind::Turn(ended))
                }
                _ => return None,
            },
            "token_count" if context_percent(payload).is_some() => {
                ("rollout: token_count", EventKind::Noted)
            }
            _ => return None,
        })
    }

    /// The turn has ended.
    fn ended(&mut self, payload: &Payload) -> TurnEvent {
        let error = &payload.error.0;
        // The kind of a refused request may be that of its connection: its status is in the message.
        let parts = [error.codex_error_info.get(), error.message.get()];
        let error = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        if error.is_empty() {
            return match self.outcome {
                Outcome::Answer | Outcome::Failure => TurnEvent::Ended { remaining: None },
                Outcome::Plan => plan(),
                Outcome::Compaction => TurnEvent::Compacted,
            };
        }
        self.outcome = Outcome::Failure;
        TurnEvent::Failed {
            error: failure(&error).into(),
        }
    }

    /// The command of this call has ended; without an id, the one of this turn that has run longest.
    fn command_ended(&mut self, id: Option<&str>, turn: Option<&str>) -> Option<Call> {
        let is_it = |call: &Call| match id {
            Some(id) => *call.id == *id,
            None => call.turn.as_deref() == turn,
        };
        let place = self.calls.iter().position(is_it)?;
        let call = self.calls.remove(place);
        call.runs_on.then_some(call)
    }

    fn report(&self, at: u64, name: &'static str, kind: EventKind) -> Report {
        Report {
            agent: AGENT.name.into(),
            at,
            process: self.process,
            attended: self.is_attended,
            terminal: None,
            config_dir: None,
            account: None,
            timing: AGENT.timing,
            source: Source::File,
            role: if self.is_shared {
                ProcessRole::Shared {
                    client: self.client,
                }
            } else {
                ProcessRole::Own
            },
            event: Some(AgentEvent {
                session_id: Some(self.id.clone()),
                ..AgentEvent::new(name, kind)
            }),
        }
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

/// How full the context is, in percent.
fn context_percent(payload: &Payload) -> Option<f32> {
    let info = &payload.info.0;
    let used = info.last_token_usage.0.input_tokens.as_f64()?;
    let window = info
        .model_context_window
        .as_f64()
        .filter(|size| *size > 0.0)?;
    #[expect(clippy::cast_possible_truncation, reason = "a percentage")]
    Some((used / window * 100.0) as f32)
}

fn is_in(path: &Path, directory: &str) -> bool {
    path.parent()
        .is_some_and(|parent| parent.ends_with(directory))
}

fn lock_name(id: &str) -> String {
    format!("{id}.lock")
}

/// The name of a conversation's file: its id.
fn is_thread_name(name: &OsStr) -> bool {
    name.to_str().is_some_and(is_id)
}

fn is_lock_name(name: &OsStr) -> bool {
    let id = name.to_str().and_then(|name| name.strip_suffix(".lock"));
    id.is_some_and(is_id)
}

fn is_rollout_name(name: &OsStr) -> bool {
    let name = name.to_str().unwrap_or_default();
    name.starts_with("rollout-") && Path::new(name).extension() == Some(OsStr::new("jsonl"))
}

fn is_rollout_of(name: &OsStr, id: &str) -> bool {
    let stem = Path::new(name).file_stem().and_then(OsStr::to_str);
    stem.is_some_and(|stem| stem.ends_with(id))
}

fn is_rollout(path: &Path, sessions: &Path) -> bool {
    use std::path::Component;
    let is_plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    path.starts_with(sessions)
        && path.components().all(is_plain)
        && path.file_name().is_some_and(is_rollout_name)
}

/// A UUID, as conversations have it.
fn is_id(text: &str) -> bool {
    text.len() == 36
        && text
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// When a conversation of this id began, in ms since the epoch: a UUID of version 7 begins with it (RFC 9562, 5.7).
fn began_at(id: &str) -> Option<u64> {
    let digits: String = id.chars().filter(|char| *char != '-').take(12).collect();
    u64::from_str_radix(&digits, 16).ok()
}
