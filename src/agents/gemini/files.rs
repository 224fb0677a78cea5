//! What Gemini CLI's transcripts say, as observed with 0.61.0: that a person has cancelled the turn, that it ended in an
//! error, the model and how full its context is.
//!
//! Hooks do not tell a cancelled turn from one that has ended, and are silent at "No" and Esc in a dialog. A hook names
//! the transcript; it is followed from then on. After a cancelled turn the agent writes the whole history again: what
//! counts as new, [`Seen`] decides. Called by the daemon.

use std::path::{Path, PathBuf};

use super::super::allow_list::allow_list;
use super::super::files::{FileChange, FileReader, FileRequest, LinesFrom, RunningProcess, System};
use super::super::tolerant::{Number, Part, Text, Time, object};
use super::seen::Seen;
use super::{AGENT, is_program};
use crate::event::{
    AgentEvent, EventKind, KnownSession, ProcessRole, Report, ReportedProcess, Source, TurnEvent,
};
use crate::protocol::{NAME_LIMIT, one_line};

/// The most transcripts that are followed; the one that was named longest ago is dropped.
const MAX_FILES: usize = 256;

/// What the agent writes when a person has cancelled the turn.
const CANCELLED: &str = "Request cancelled.";

/// The context of every model of the series 2 and 3, in tokens.
const CONTEXT_TOKENS: f64 = 1_048_576.0;

allow_list! {
    /// One line of a transcript.
    Line {
        kind as "type": Text<32>,
        id: Text<64>,
        timestamp: Time,
        /// Of an `info` or `error`; of other lines it is not looked at.
        content: Text<256>,
        model: Text<64>,
        tokens: Part<Tokens>,
        /// What has changed in the file's own description.
        set as "$set": Part<Set>,
    }

    Set {
        session_id as "sessionId": Text<128>,
    }

    Tokens {
        input: Number,
    }
}

/// A transcript that is followed.
#[derive(Debug)]
struct Transcript {
    path: PathBuf,
    session_id: Box<str>,
    process: Option<ReportedProcess>,
    is_attended: Option<bool>,
    seen: Seen,
    /// What is stamped until then is known, if it was there before the file was followed.
    known_until: u64,
}

/// Reads the transcripts of Gemini CLI.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The one that was named last is the last.
    transcripts: Vec<Transcript>,
}

impl FileReader for Files {
    fn restored(
        &mut self,
        sessions: &[&KnownSession<'_>],
        _at: u64,
        _system: &dyn System,
    ) -> Vec<FileRequest> {
        let mut requests = Vec::new();
        for session in sessions {
            let path = session.transcript.map(Path::new);
            let Some(path) = path.filter(|path| is_transcript(path, session.config_dir)) else {
                continue;
            };
            let transcript = Transcript {
                path: path.to_owned(),
                session_id: session.id.into(),
                process: session.process,
                is_attended: Some(session.attended),
                seen: Seen::since(session.known_until),
                known_until: session.known_until,
            };
            requests.extend(self.follow(transcript, LinesFrom::Tail));
        }
        requests
    }

    fn open(&mut self, _config_dir: &Path) -> Vec<FileRequest> {
        Vec::new()
    }

    fn read(&mut self, change: FileChange<'_>, at: u64, system: &dyn System) -> Vec<FileRequest> {
        let (path, line, is_earlier) = match change {
            FileChange::Line(path, line) => (path, line, false),
            FileChange::EarlierLine(path, line) => (path, line, true),
            FileChange::Appeared(_)
            | FileChange::Removed(_)
            | FileChange::Contents(..)
            | FileChange::Message(_)
            | FileChange::Disconnected(_) => return Vec::new(),
        };
        let Some(line) = object::<Line>(line).ok() else {
            return Vec::new();
        };
        let transcript = self.transcripts.iter_mut().find(|one| one.path == path);
        let report = match transcript {
            Some(transcript) if is_earlier => transcript.read_earlier(&line, at),
            _ if line.set.0.session_id.get().is_some() => self.taken_up(path, at, system),
            Some(transcript) => transcript.read(&line, at),
            None => None,
        };
        report
            .map(|report| FileRequest::Report(Box::new(report)))
            .into_iter()
            .collect()
    }

    fn reported(&mut self, report: &mut Report, _system: &dyn System) -> Vec<FileRequest> {
        let Some(event) = &report.event else {
            return Vec::new();
        };
        let (Some(path), Some(session_id)) = (&event.transcript, &event.session_id) else {
            return Vec::new();
        };
        let path = Path::new(&**path);
        if !is_transcript(path, report.config_dir.as_deref()) {
            return Vec::new();
        }
        if let Some(known) = self.transcripts.iter_mut().find(|one| one.path == path) {
            known.session_id.clone_from(session_id);
            known.process = report.process;
            known.is_attended = report.attended;
            return Vec::new();
        }
        let transcript = Transcript {
            path: path.to_owned(),
            session_id: session_id.clone(),
            process: report.process,
            is_attended: report.attended,
            seen: Seen::since(report.at),
            known_until: report.at,
        };
        self.follow(transcript, LinesFrom::End)
    }
}

impl Files {
    fn follow(&mut self, transcript: Transcript, from: LinesFrom) -> Vec<FileRequest> {
        let mut requests = vec![FileRequest::Lines {
            path: transcript.path.clone(),
            from,
        }];
        if self.transcripts.len() == MAX_FILES {
            requests.push(FileRequest::Forget(self.transcripts.remove(0).path));
        }
        self.transcripts.push(transcript);
        requests
    }

    /// A person has taken this conversation up, in a process that showed another one or in a new one. The file does not say
    /// which: it is clear if one process alone runs in the project.
    fn taken_up(&mut self, path: &Path, now: u64, system: &dyn System) -> Option<Report> {
        let runs = |process: &ReportedProcess| {
            let found = system.process(process.pid);
            process.namespace == system.namespace()
                && found.is_some_and(|found| process.id() == Some(found.id))
        };
        let beside = |one: &&Transcript| one.path != path && one.path.parent() == path.parent();
        let processes = self.transcripts.iter().filter(beside);
        let mut processes = processes.filter_map(|one| Some((one.process.filter(runs)?, one)));
        let (process, shown) = processes.next()?;
        let is_other = processes.any(|(other, _)| other != process);
        if is_other || !runs_alone(process, system) {
            return None;
        }
        let is_attended = shown.is_attended;
        let transcript = self.transcripts.iter_mut().find(|one| one.path == path)?;
        transcript.process = Some(process);
        transcript.is_attended = is_attended;
        let mut report = transcript.report(now, "transcript: taken up", EventKind::SessionSeen);
        if let Some(event) = &mut report.event {
            event.transcript = path.to_str().map(Into::into);
        }
        Some(report)
    }
}

impl Transcript {
    /// The same for a line that was there before the file was followed. One that is known only counts as seen.
    fn read_earlier(&mut self, line: &Line, now: u64) -> Option<Report> {
        let is_new = line
            .timestamp
            .as_ms()
            .is_some_and(|stamp| stamp > self.known_until);
        self.read(line, now).filter(|_| is_new)
    }

    fn read(&mut self, line: &Line, now: u64) -> Option<Report> {
        let (name, kind) = match line.kind.get()? {
            "info" if line.content.get() == Some(CANCELLED) => (
                "transcript: cancelled",
                EventKind::Turn(TurnEvent::Interrupted),
            ),
            "error" => {
                let error = failure(line.content.get().unwrap_or_default()).into();
                let kind = EventKind::Turn(TurnEvent::Failed { error });
                ("transcript: error", kind)
            }
            "gemini" => ("transcript: answer", EventKind::Noted),
            _ => return None,
        };
        let stamp = line.timestamp.as_ms();
        let is_new = match kind {
            // One line is written several times as the answer grows.
            EventKind::Noted => self.seen.is_newest(stamp, now),
            _ => self.seen.is_new(line.id.get(), stamp, now),
        };
        if !is_new {
            return None;
        }
        let tokens = line.tokens.0.input.as_f64();
        let model = line.model.one_line(NAME_LIMIT);
        #[expect(clippy::cast_possible_truncation, reason = "a percentage")]
        let context_percent = tokens
            .filter(|_| model.as_deref().is_some_and(has_known_context))
            .map(|tokens| (tokens / CONTEXT_TOKENS * 100.0) as f32);
        let mut report = self.report(stamp.unwrap_or(now), name, kind);
        if let Some(event) = &mut report.event {
            event.model = model;
            event.context_percent = context_percent;
        }
        Some(report)
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
            role: ProcessRole::Own,
            event: Some(AgentEvent {
                session_id: Some(self.session_id.clone()),
                ..AgentEvent::new(name, kind)
            }),
        }
    }
}

/// Whether no other process of the agent runs in the working directory of this one, also none that no hook has named.
fn runs_alone(process: ReportedProcess, system: &dyn System) -> bool {
    let running = system.processes_of(is_program);
    // The launcher waits for the agent.
    let is_launcher = |pid: u32| running.iter().any(|other| other.info.parent == pid);
    let is_it = |other: &&RunningProcess| process.id() == Some(other.info.id);
    let Some(it) = running.iter().find(is_it) else {
        return false;
    };
    let mut others = running.iter().filter(|other| !is_it(other));
    !others.any(|other| !is_launcher(other.info.id.pid) && other.cwd == it.cwd)
}

/// True for a file of the agent's own: what a hook names may be anything.
fn is_transcript(path: &Path, config_dir: Option<&str>) -> bool {
    let below =
        config_dir.is_some_and(|directory| path.starts_with(Path::new(directory).join("tmp")));
    let is_plain = path.components().all(|part| {
        use std::path::Component;
        matches!(part, Component::RootDir | Component::Normal(_))
    });
    below && is_plain && path.extension().is_some_and(|ending| ending == "jsonl")
}

fn has_known_context(model: &str) -> bool {
    model.starts_with("gemini-2") || model.starts_with("gemini-3")
}

/// The message for people about an error. The agent's own may quote the request.
fn failure(content: &str) -> String {
    let has = |words: &[&str]| words.iter().any(|word| content.contains(word));
    let what = if has(&[
        "API key",
        "UNAUTHENTICATED",
        "\"code\":401",
        "PERMISSION_DENIED",
        "\"code\":403",
    ]) {
        "authentication failed"
    } else if has(&["RESOURCE_EXHAUSTED", "\"code\":429", "quota"]) {
        "rate limited"
    } else if has(&["NOT_FOUND", "\"code\":404"]) {
        "model not found"
    } else if has(&["INVALID_ARGUMENT", "\"code\":400"]) {
        "invalid request"
    } else if has(&["UNAVAILABLE", "INTERNAL", "\"code\":5"]) {
        "the service failed"
    } else {
        "the turn failed"
    };
    one_line(what, NAME_LIMIT)
}
