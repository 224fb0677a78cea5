//! What Copilot CLI's own files say, as observed with 1.0.102: which sessions are open in terminals and whether they work
//! (`open-sessions-state.json`), a person's answers, interrupts and errors (`session-state/ID/events.jsonl`), and titles
//! (`workspace.yaml`).
//!
//! Hooks are silent at all of these. The files name no process: `session-state/ID/inuse.PID.lock` does, and for a
//! conversation that was taken up again, which gets that file with its next prompt, the process table. One process may
//! hold several conversations: one is shown, and only that one is reported. Called by the daemon.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::super::files::{FileChange, FileReader, FileRequest, LinesFrom, System};
use super::events::{UNNAMED_REQUEST, failure};
use super::log::{self, Line, OpenSession};
use super::{AGENT, is_program, is_prompt_mode};
use crate::event::{
    AgentEvent, EventKind, ProcessRole, PromptOrigin, RegistryStatus, Report, ReportedProcess,
    Source, TurnEvent,
};
use crate::protocol::{NAME_LIMIT, Terminal, WaitingFor};

const OPEN_SESSIONS: &str = "open-sessions-state.json";
const SESSIONS: &str = "session-state";
const LOG: &str = "events.jsonl";
const WORKSPACE: &str = "workspace.yaml";

/// The most sessions that are followed.
const MAX_SESSIONS: usize = 256;

/// How much later than the answer a dialog's own notification may come, in ms: a hook of its own reports it.
const LATE_NOTICE_MS: u64 = 300;

/// How long after it happened a line of the log may be read, in ms. An older stamp is another clock's.
const LATE_LINE_MS: u64 = 10_000;

/// What is known of one session.
#[derive(Debug)]
struct Known {
    id: Box<str>,
    /// Its directory below `session-state`.
    directory: PathBuf,
    process: Option<ReportedProcess>,
    /// Where its process is, as a hook has reported.
    terminal: Option<Box<Terminal>>,
    /// Whether a person sits at it.
    is_attended: bool,
    /// When it was opened, while `open-sessions-state.json` has it.
    opened_at: Option<Box<str>>,
    status: RegistryStatus,
    /// Whether it is the one on the screen of its process.
    is_shown: bool,
    /// The ids of the permissions that a person is asked for; [`UNNAMED_REQUEST`] until the log has named it.
    requests: Vec<Box<str>>,
    answered_at: u64,
    /// A person compacts it, between turns.
    is_compacting: bool,
}

/// Reads the files of Copilot CLI.
#[derive(Debug, Default)]
pub(super) struct Files {
    sessions: Vec<Known>,
    /// The files of open sessions that have been read once.
    seen: Vec<PathBuf>,
}

impl FileReader for Files {
    fn open(&mut self, config_dir: &Path) -> Vec<FileRequest> {
        vec![FileRequest::Whole(config_dir.join(OPEN_SESSIONS))]
    }

    fn read(&mut self, change: FileChange<'_>, at: u64, system: &dyn System) -> Vec<FileRequest> {
        match change {
            FileChange::Contents(path, contents) if path.ends_with(OPEN_SESSIONS) => {
                match (path.parent(), log::open_sessions(contents)) {
                    (Some(directory), Some(open)) => self.opened(directory, &open, at, system),
                    _ => Vec::new(),
                }
            }
            FileChange::Contents(path, contents) if path.ends_with(WORKSPACE) => {
                let title = log::title(contents);
                let session = self.in_directory(path.parent());
                let report = title.zip(session).and_then(|(title, session)| {
                    let mut event = session.event(WORKSPACE, EventKind::Noted);
                    event.title = Some(title);
                    session.report(at, event)
                });
                report.into_iter().collect()
            }
            FileChange::Line(path, line) if path.ends_with(LOG) => {
                let session = self.in_directory(path.parent());
                let line = session.zip(Line::read(line));
                line.map_or_else(Vec::new, |(session, line)| session.logged(&line, at))
            }
            FileChange::Contents(..)
            | FileChange::Line(..)
            | FileChange::Appeared(_)
            | FileChange::Removed(_)
            | FileChange::Closed(_) => Vec::new(),
        }
    }

    fn reported(&mut self, report: &mut Report, _system: &dyn System) -> Vec<FileRequest> {
        let Some(event) = &mut report.event else {
            return Vec::new();
        };
        let id = event.session_id.clone();
        let Some((id, process)) = id
            .zip(report.process)
            .filter(|(id, _)| log::is_session_id(id))
        else {
            return Vec::new();
        };
        let mut requests = Vec::new();
        if !self.sessions.iter().any(|session| session.id == id) {
            let Some(config_dir) = &report.config_dir else {
                return Vec::new();
            };
            requests = self.follow(Path::new(&**config_dir), &id);
        }
        let begins = match &event.kind {
            EventKind::SessionStarted => true,
            EventKind::Turn(TurnEvent::PromptSubmitted { origin, .. }) => {
                *origin == PromptOrigin::PersonNow
            }
            _ => false,
        };
        let is_other_shown = self
            .sessions
            .iter()
            .any(|other| other.id != id && other.is_shown && other.process == Some(process));
        let Some(session) = self.sessions.iter_mut().find(|session| session.id == id) else {
            return requests;
        };
        session.process = Some(process);
        session.is_attended = report.attended != Some(false);
        session.terminal = report.terminal.clone().or(session.terminal.take());
        if let EventKind::SessionEnded { .. } = event.kind {
            requests.extend(self.ended(&id, process, event, is_other_shown));
        } else if begins || !is_other_shown {
            session.correct(event, report.at);
            self.show(&id, process);
        } else {
            // Of a conversation that is not on the screen.
            event.kind = EventKind::Noted;
        }
        requests
    }
}

impl Files {
    fn in_directory(&mut self, directory: Option<&Path>) -> Option<&mut Known> {
        let sessions = self.sessions.iter_mut();
        sessions
            .into_iter()
            .find(|session| Some(&*session.directory) == directory)
    }

    /// Adds a session, and asks for its files. It has no process yet.
    fn follow(&mut self, config_dir: &Path, id: &str) -> Vec<FileRequest> {
        let directory = config_dir.join(SESSIONS).join(id);
        let mut requests = Vec::new();
        if self.sessions.len() >= MAX_SESSIONS {
            requests.extend(self.sessions.remove(0).forget());
        }
        requests.push(FileRequest::Lines {
            path: directory.join(LOG),
            from: LinesFrom::End,
        });
        requests.push(FileRequest::Whole(directory.join(WORKSPACE)));
        self.sessions.push(Known {
            id: id.into(),
            directory,
            process: None,
            terminal: None,
            is_attended: true,
            opened_at: None,
            status: RegistryStatus::Idle,
            is_shown: false,
            requests: Vec::new(),
            answered_at: 0,
            is_compacting: false,
        });
        requests
    }

    /// `open-sessions-state.json` has changed.
    fn opened(
        &mut self,
        directory: &Path,
        open: &[OpenSession],
        at: u64,
        system: &dyn System,
    ) -> Vec<FileRequest> {
        // What is there at first may be left of a crash: then only a lock says which process has it.
        let is_first = !self.seen.iter().any(|seen| seen == directory);
        if is_first {
            self.seen.push(directory.to_owned());
        }
        let mut requests = Vec::new();
        let sessions_directory = directory.join(SESSIONS);
        for session in &mut self.sessions {
            let is_listed = open.iter().any(|entry| entry.id == session.id);
            if session.directory.starts_with(&sessions_directory) && !is_listed {
                session.opened_at = None;
            }
        }
        for entry in open {
            if !self.sessions.iter().any(|session| session.id == entry.id) {
                requests.extend(self.follow(directory, &entry.id));
            }
            requests.extend(self.listed(entry, at, is_first, system));
        }
        let is_over = |session: &Known| {
            session.opened_at.is_none() && !session.process.is_some_and(|it| is_alive(it, system))
        };
        for session in self.sessions.iter().filter(|session| is_over(session)) {
            requests.extend(session.forget());
        }
        self.sessions.retain(|session| !is_over(session));
        requests
    }

    /// A session is open in a terminal.
    fn listed(
        &mut self,
        entry: &OpenSession,
        at: u64,
        is_first: bool,
        system: &dyn System,
    ) -> Vec<FileRequest> {
        let bound: Vec<_> = self.sessions.iter().filter_map(|it| it.process).collect();
        let Some(session) = self.sessions.iter_mut().find(|it| it.id == entry.id) else {
            return Vec::new();
        };
        let is_new = session.opened_at.as_ref() != Some(&entry.opened_at);
        let mut requests = Vec::new();
        if is_new {
            session.opened_at = Some(entry.opened_at.clone());
            session.status = RegistryStatus::Idle;
            session.process = match find_process(session, &bound, is_first, system) {
                None => session.process.filter(|it| is_alive(*it, system)),
                found => found,
            };
            if let Some(process) = session.process {
                // Of one that a hook has reported, or that is open since before, a turn may run.
                let kind = if is_first || session.is_shown {
                    EventKind::SessionSeen
                } else {
                    EventKind::SessionStarted
                };
                let id = session.id.clone();
                self.show(&id, process);
                requests.extend(self.announce(&id, kind, at, system));
            }
        }
        let Some(session) = self.sessions.iter_mut().find(|it| it.id == entry.id) else {
            return requests;
        };
        let status = match entry.is_working {
            Some(true) => RegistryStatus::Busy,
            Some(false) => RegistryStatus::Idle,
            None => session.status,
        };
        if session.status != status {
            session.status = status;
            let kind = EventKind::Turn(TurnEvent::Status(status));
            requests.extend(session.report(at, session.event(OPEN_SESSIONS, kind)));
        }
        requests
    }

    /// The session is on the screen of this process; the others of that process are not.
    fn show(&mut self, id: &str, process: ReportedProcess) {
        for session in &mut self.sessions {
            if *session.id == *id {
                session.is_shown = true;
            } else if session.process == Some(process) {
                session.is_shown = false;
            }
        }
    }

    /// Reports that a session is open.
    fn announce(
        &self,
        id: &str,
        kind: EventKind,
        at: u64,
        system: &dyn System,
    ) -> Option<FileRequest> {
        let session = self.sessions.iter().find(|session| *session.id == *id)?;
        let same = |other: &&Known| other.process == session.process;
        let mut terminals = self.sessions.iter().filter(same);
        let reported = terminals.find_map(|other| other.terminal.clone());
        let tty = || system.process(session.process?.pid)?.tty;
        let terminal = reported.or_else(|| {
            let tty = Some(tty()?.into());
            Some(Box::new(Terminal {
                tty,
                ..Terminal::default()
            }))
        });
        let event = session.event(OPEN_SESSIONS, kind);
        let mut request = session.report(at, event)?;
        if let FileRequest::Report(report) = &mut request {
            report.terminal = terminal;
        }
        Some(request)
    }

    /// The hook says that a conversation has ended. Its process may go on with another.
    fn ended(
        &mut self,
        id: &str,
        process: ReportedProcess,
        event: &mut AgentEvent,
        is_other_shown: bool,
    ) -> Vec<FileRequest> {
        let Some(place) = self.sessions.iter().position(|it| *it.id == *id) else {
            return Vec::new();
        };
        let requests = self.sessions.remove(place).forget();
        if is_other_shown {
            event.kind = EventKind::Noted;
            return requests.into();
        }
        let is_next = |it: &&mut Known| it.process == Some(process) && it.opened_at.is_some();
        if let Some(next) = self.sessions.iter_mut().rev().find(is_next) {
            next.is_shown = true;
            event.session_id = Some(next.id.clone());
            event.kind = EventKind::SessionStarted;
        }
        requests.into()
    }
}

impl Known {
    fn forget(&self) -> [FileRequest; 2] {
        [LOG, WORKSPACE].map(|file| FileRequest::Forget(self.directory.join(file)))
    }

    /// An event that a file of this name shows.
    fn event(&self, name: &'static str, kind: EventKind) -> AgentEvent {
        AgentEvent {
            name: name.into(),
            session_id: Some(self.id.clone()),
            cwd: None,
            permission_mode: None,
            model: None,
            title: None,
            subagent: None,
            prompt_id: None,
            context_percent: None,
            cost_usd: None,
            limits: Vec::new(),
            attended: None,
            transcript: None,
            question: None,
            kind,
        }
    }

    /// `None` if the session is not on the screen, or its process is not known.
    fn report(&self, at: u64, event: AgentEvent) -> Option<FileRequest> {
        let process = self.process.filter(|_| self.is_shown)?;
        Some(FileRequest::Report(Box::new(Report {
            agent: AGENT.name.into(),
            at,
            process: Some(process),
            attended: Some(self.is_attended),
            terminal: None,
            config_dir: None,
            account: None,
            timing: AGENT.timing,
            source: Source::File,
            role: ProcessRole::Own,
            event: Some(event),
        })))
    }

    /// A line was added to the log.
    fn logged(&mut self, line: &Line, at: u64) -> Vec<FileRequest> {
        let data = &line.data.0;
        let stamp = line.timestamp.as_ms();
        let stamp = stamp.filter(|stamp| (at.saturating_sub(LATE_LINE_MS)..=at).contains(stamp));
        let stamp = stamp.unwrap_or(at);
        let Some(kind) = line.kind.get().filter(|_| line.agent_id.get().is_none()) else {
            return Vec::new();
        };
        let (name, turn) = match kind {
            // Dialogs are stamped when they are read: their own hook may have been later than the line's stamp.
            "permission.requested" => return self.asked(data, at),
            "permission.completed" => return self.answered(data, at),
            "abort" => ("abort", TurnEvent::Interrupted),
            "session.error" => {
                let error = failure(data.status_code.as_u64()).into();
                ("session.error", TurnEvent::Failed { error })
            }
            "session.compaction_complete" if std::mem::take(&mut self.is_compacting) => {
                ("session.compaction_complete", TurnEvent::Compacted)
            }
            "session.model_change" | "session.mode_changed" | "session.usage_record" => {
                let mut event = self.event(LOG, EventKind::Noted);
                let model = data.new_model.one_line(NAME_LIMIT);
                event.model = model.or_else(|| data.usage.0.model.one_line(NAME_LIMIT));
                event.permission_mode = data.new_mode.one_line(NAME_LIMIT);
                event.context_percent = data.usage.0.context_percent();
                return self.report(at, event).into_iter().collect();
            }
            _ => return Vec::new(),
        };
        self.requests.clear();
        let event = self.event(name, EventKind::Turn(turn));
        self.report(stamp, event).into_iter().collect()
    }

    /// A dialog is open.
    fn asked(&mut self, data: &log::Data, at: u64) -> Vec<FileRequest> {
        let Some(id) = data.request_id.one_line(NAME_LIMIT) else {
            return Vec::new();
        };
        // The one that the notification has announced is among these.
        let unnamed = self.take(UNNAMED_REQUEST);
        self.requests.push(id.clone());
        let asked = TurnEvent::Asked {
            id: Some(id),
            waiting_for: WaitingFor::Permission,
            tool: Some(data.permission_request.0.tool()),
        };
        let turns = [Some(asked), unnamed.map(answered)].into_iter().flatten();
        self.report_all("permission.requested", turns, at)
    }

    /// A person has answered, or an interrupt has.
    fn answered(&mut self, data: &log::Data, at: u64) -> Vec<FileRequest> {
        self.answered_at = at;
        let named = data.request_id.get().and_then(|id| self.take(id));
        let ids = [self.take(UNNAMED_REQUEST), named];
        let turns = ids.into_iter().flatten().map(answered);
        self.report_all("permission.completed", turns, at)
    }

    fn report_all(
        &self,
        name: &'static str,
        turns: impl Iterator<Item = TurnEvent>,
        at: u64,
    ) -> Vec<FileRequest> {
        let events = turns.map(|turn| self.event(name, EventKind::Turn(turn)));
        events.filter_map(|event| self.report(at, event)).collect()
    }

    /// Removes a request; `None` if no person is asked for it.
    fn take(&mut self, id: &str) -> Option<Box<str>> {
        let place = self.requests.iter().position(|request| **request == *id)?;
        Some(self.requests.remove(place))
    }

    /// Corrects a hook's event by what the files have said.
    fn correct(&mut self, event: &mut AgentEvent, at: u64) {
        match &event.kind {
            EventKind::Turn(TurnEvent::Asked { id: Some(id), .. }) if **id == *UNNAMED_REQUEST => {
                let has_named = self.requests.iter().any(|id| **id != *UNNAMED_REQUEST);
                if has_named || at < self.answered_at + LATE_NOTICE_MS {
                    event.kind = EventKind::Noted;
                } else if self.requests.is_empty() {
                    self.requests.push(UNNAMED_REQUEST.into());
                }
            }
            EventKind::Turn(TurnEvent::PromptSubmitted { .. } | TurnEvent::Ended { .. }) => {
                self.requests.clear();
                self.is_compacting = false;
            }
            EventKind::Turn(TurnEvent::Active) if event.name == "preCompact" => {
                self.is_compacting = true;
            }
            _ => {}
        }
    }
}

fn answered(id: Box<str>) -> TurnEvent {
    TurnEvent::Answered { id: Some(id) }
}

/// The process that holds a session: that of its lock; without a lock, unless `only_locks`, the newest one in a terminal
/// that holds no other session.
fn find_process(
    session: &Known,
    bound: &[ReportedProcess],
    only_locks: bool,
    system: &dyn System,
) -> Option<ReportedProcess> {
    let names = system.names(&session.directory);
    let locks: Vec<_> = names.iter().filter_map(|name| lock_pid(name)).collect();
    if !locks.is_empty() || only_locks {
        return locks.into_iter().find_map(|pid| process_of(pid, system));
    }
    let running = system.processes_of(is_program);
    // The package's launcher waits for the program.
    let is_launcher = |pid: u32| running.iter().any(|other| other.info.parent == pid);
    running
        .iter()
        .filter(|it| !is_launcher(it.info.id.pid) && !is_prompt_mode(&it.arguments))
        .filter(|it| !it.info.zombie)
        .map(|it| reported(it.info.id.pid, it.info.id.start, system))
        .find(|process| !bound.contains(process))
}

/// The process id in a lock's name: `inuse.4321.lock`.
fn lock_pid(name: &OsStr) -> Option<u32> {
    let name = name.to_str()?.strip_prefix("inuse.")?;
    name.strip_suffix(".lock")?.parse().ok()
}

fn process_of(pid: u32, system: &dyn System) -> Option<ReportedProcess> {
    let found = system.process(pid).filter(|found| !found.zombie)?;
    Some(reported(pid, found.id.start, system))
}

fn reported(pid: u32, start: u64, system: &dyn System) -> ReportedProcess {
    ReportedProcess {
        pid,
        start: Some(start),
        namespace: system.namespace(),
    }
}

/// False for a process of another pid namespace, too.
fn is_alive(process: ReportedProcess, system: &dyn System) -> bool {
    process_of(process.pid, system) == Some(process)
}
