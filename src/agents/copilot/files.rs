//! What Copilot CLI's own files say, as observed with 1.0.102: which sessions are open in terminals and whether they work
//! (`open-sessions-state.json`), a person's answers, interrupts and errors (`session-state/ID/events.jsonl`), and titles
//! (`workspace.yaml`).
//!
//! Hooks are silent at all of these. The files name no process: `session-state/ID/inuse.PID.lock` does, and for a
//! conversation that was taken up again, which gets that file with its next prompt, the process table. One process may
//! hold several conversations: one is shown, and only that one is reported. Called by the daemon.

use std::path::{Path, PathBuf};

use super::super::files::{FileChange, FileReader, FileRequest, LinesFrom, System};
use super::log::{self, Line, OpenSession};
use super::process::{find_process, is_alive};
use super::session::{LOG, Session, WORKSPACE};
use crate::event::{
    AgentEvent, EventKind, KnownSession, PromptOrigin, RegistryStatus, Report, ReportedProcess,
    TurnEvent,
};
use crate::protocol::Terminal;

const OPEN_SESSIONS: &str = "open-sessions-state.json";
const SESSIONS: &str = "session-state";

/// The most sessions that are followed.
const MAX_SESSIONS: usize = 256;

/// Reads the files of Copilot CLI.
#[derive(Debug, Default)]
pub(super) struct Files {
    sessions: Vec<Session>,
    /// The files of open sessions that have been read once.
    seen: Vec<PathBuf>,
}

impl FileReader for Files {
    fn restored(
        &mut self,
        sessions: &[&KnownSession<'_>],
        _at: u64,
        _system: &dyn System,
    ) -> Vec<FileRequest> {
        let mut requests = Vec::new();
        for known in sessions {
            let config_dir = known.config_dir.filter(|_| log::is_session_id(known.id));
            let Some(config_dir) = config_dir.map(Path::new) else {
                continue;
            };
            let from = LinesFrom::Tail;
            requests.extend(self.follow(config_dir, known.id, known.known_until, from));
            if let Some(session) = self.sessions.last_mut() {
                session.restore(known);
            }
        }
        requests
    }

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
                let named = title.zip(session);
                let report = named.and_then(|(title, session)| session.titled(title, at));
                report.into_iter().collect()
            }
            FileChange::Line(path, line) if path.ends_with(LOG) => {
                let session = self.in_directory(path.parent());
                let line = session.zip(Line::read(line));
                line.map_or_else(Vec::new, |(session, line)| session.logged(&line, at))
            }
            FileChange::EarlierLine(path, line) if path.ends_with(LOG) => {
                let session = self.in_directory(path.parent());
                let line = session.zip(Line::read(line));
                line.map_or_else(Vec::new, |(session, line)| {
                    session.logged_earlier(&line, at)
                })
            }
            FileChange::Contents(..)
            | FileChange::Line(..)
            | FileChange::EarlierLine(..)
            | FileChange::Message(_)
            | FileChange::Disconnected(_)
            | FileChange::Appeared(_)
            | FileChange::Removed(_) => Vec::new(),
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
            let config_dir = Path::new(&**config_dir);
            requests = self.follow(config_dir, &id, report.at, LinesFrom::End);
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
            session.correct(event, &mut report.at);
            self.show(&id, process);
        } else {
            // Of a conversation that is not on the screen.
            event.kind = EventKind::Noted;
        }
        requests
    }
}

impl Files {
    fn in_directory(&mut self, directory: Option<&Path>) -> Option<&mut Session> {
        let sessions = self.sessions.iter_mut();
        sessions
            .into_iter()
            .find(|session| Some(&*session.directory) == directory)
    }

    /// Adds a session, and asks for its files. It has no process yet.
    fn follow(
        &mut self,
        config_dir: &Path,
        id: &str,
        at: u64,
        from: LinesFrom,
    ) -> Vec<FileRequest> {
        let directory = config_dir.join(SESSIONS).join(id);
        let mut requests = Vec::new();
        if self.sessions.len() >= MAX_SESSIONS {
            requests.extend(self.sessions.remove(0).forget());
        }
        requests.push(FileRequest::Lines {
            path: directory.join(LOG),
            from,
        });
        requests.push(FileRequest::Whole(directory.join(WORKSPACE)));
        self.sessions.push(Session::new(id, directory, at));
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
                requests.extend(self.follow(directory, &entry.id, at, LinesFrom::End));
            }
            requests.extend(self.listed(entry, at, is_first, system));
        }
        let is_over = |session: &Session| {
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
            let known = std::mem::take(&mut session.is_restored).then_some(session.process);
            if known.is_none() {
                session.status = RegistryStatus::Idle;
            }
            let (id, directory) = (&session.id, &session.directory);
            session.process = match find_process(id, directory, &bound, is_first, system) {
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
                if known != Some(Some(process)) {
                    requests.extend(self.announce(&id, kind, at, system));
                }
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
        let same = |other: &&Session| other.process == session.process;
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
        let is_next = |it: &&mut Session| it.process == Some(process) && it.opened_at.is_some();
        if let Some(next) = self.sessions.iter_mut().rev().find(is_next) {
            next.is_shown = true;
            event.session_id = Some(next.id.clone());
            event.kind = EventKind::SessionStarted;
        }
        requests.into()
    }
}
