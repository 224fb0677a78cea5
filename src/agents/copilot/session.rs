//! One session of Copilot CLI, as its hooks and its files show it: what a line of its log means, and how the files correct
//! a hook's event. Owned by [`super::files`].

use std::path::PathBuf;

use super::super::files::FileRequest;
use super::AGENT;
use super::events::{UNNAMED_REQUEST, failure};
use super::log::{self, Line};
use crate::event::{
    AgentEvent, EventKind, KnownSession, ProcessRole, RegistryStatus, Report, ReportedProcess,
    Source, TurnEvent,
};
use crate::protocol::{NAME_LIMIT, Status, Terminal, WaitingFor};

/// The log of a session, in its directory.
pub(super) const LOG: &str = "events.jsonl";

/// The file beside it that has the title.
pub(super) const WORKSPACE: &str = "workspace.yaml";

/// How much later than the answer a dialog's own notification may come, in ms: a hook of its own reports it.
const LATE_NOTICE_MS: u64 = 300;

/// How much earlier than the newest line one may be stamped that was written after it, in ms.
const LATE_LINE_MS: u64 = 10_000;

/// How much later than the conversation's first prompt the hook of its start may be stamped, in ms: the two run side by
/// side (1.0.102), and on a machine under load either may begin first.
const LATE_START_MS: u64 = 1000;

/// What must be known of the turn.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// One runs, or has ended well.
    Any,
    /// It has ended in an error. The hook that reports the last attempt may be later.
    Failed,
    /// A person compacts the conversation, between turns.
    Compacting,
}

/// How a conversation has begun: what its hooks have reported, with the stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    Unreported,
    /// Its start, and no prompt yet.
    Started(u64),
    /// Its first prompt, and no start yet.
    Prompted(u64),
    Over,
}

/// What is known of one session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: Box<str>,
    /// Its directory below `session-state`.
    pub(super) directory: PathBuf,
    pub(super) process: Option<ReportedProcess>,
    /// Where its process is, as a hook has reported.
    pub(super) terminal: Option<Box<Terminal>>,
    /// Whether a person sits at it.
    pub(super) is_attended: bool,
    /// When it was opened, while `open-sessions-state.json` has it.
    pub(super) opened_at: Option<Box<str>>,
    pub(super) status: RegistryStatus,
    /// Whether it is the one on the screen of its process.
    pub(super) is_shown: bool,
    /// The ids of the permissions that a person is asked for; [`UNNAMED_REQUEST`] until the log has named it.
    pub(super) requests: Vec<Box<str>>,
    pub(super) answered_at: u64,
    phase: Phase,
    beginning: Beginning,
    /// The stamp of the newest line of the log, or when the log was first followed.
    newest: u64,
    /// What of the log is stamped until then is known, if it was there before it was followed.
    known_until: u64,
    /// When an earlier daemon was last sent a hook's event of it; 0: none was.
    hook_at: u64,
    /// It was open when an earlier daemon ended, and the list of open sessions has not shown it since.
    pub(super) is_restored: bool,
    /// The title that an earlier daemon knew, until the file with the title was read.
    former_title: Option<Box<str>>,
}

impl Session {
    /// A session without a process, followed since `at`. `directory` is below `session-state`.
    pub(super) fn new(id: &str, directory: PathBuf, at: u64) -> Self {
        Self {
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
            phase: Phase::Any,
            beginning: Beginning::Unreported,
            newest: at,
            known_until: at,
            hook_at: 0,
            is_restored: false,
            former_title: None,
        }
    }

    /// Continues with what an earlier daemon knew: it was on the screen.
    pub(super) fn restore(&mut self, known: &KnownSession<'_>) {
        self.process = known.process;
        self.terminal = known.terminal.cloned().map(Box::new);
        self.is_attended = known.attended;
        self.status = known.own_status.unwrap_or(RegistryStatus::Idle);
        self.is_shown = true;
        let requests = known.requests.iter();
        self.requests = requests.map(|id| Box::from(*id)).collect();
        if known.status == Status::Error {
            self.phase = Phase::Failed;
        }
        self.hook_at = known.hook_at.unwrap_or_default();
        self.is_restored = true;
        self.beginning = Beginning::Over;
        self.former_title = known.title.map(Into::into);
    }

    pub(super) fn forget(&self) -> [FileRequest; 2] {
        [LOG, WORKSPACE].map(|file| FileRequest::Forget(self.directory.join(file)))
    }

    /// An event that a file of this name shows.
    pub(super) fn event(&self, name: &'static str, kind: EventKind) -> AgentEvent {
        AgentEvent {
            session_id: Some(self.id.clone()),
            ..AgentEvent::new(name, kind)
        }
    }

    /// The configuration directory.
    fn config_dir(&self) -> Option<Box<str>> {
        let config_dir = self.directory.parent()?.parent()?;
        config_dir.to_str().map(Into::into)
    }

    /// `None` if the session is not on the screen, or its process is not known.
    pub(super) fn report(&self, at: u64, event: AgentEvent) -> Option<FileRequest> {
        let process = self.process.filter(|_| self.is_shown)?;
        Some(FileRequest::Report(Box::new(Report {
            agent: AGENT.name.into(),
            at,
            process: Some(process),
            attended: Some(self.is_attended),
            terminal: None,
            config_dir: self.config_dir(),
            account: None,
            timing: AGENT.timing,
            source: Source::File,
            role: ProcessRole::Own,
            event: Some(event),
        })))
    }

    /// The file beside the log has this title.
    pub(super) fn titled(&mut self, title: Box<str>, at: u64) -> Option<FileRequest> {
        if self.former_title.take().as_ref() == Some(&title) {
            return None;
        }
        let mut event = self.event(WORKSPACE, EventKind::Noted);
        event.title = Some(title);
        self.report(at, event)
    }

    /// The log had this line before it was followed.
    pub(super) fn logged_earlier(&mut self, line: &Line, now: u64) -> Vec<FileRequest> {
        let stamp = line.timestamp.as_ms();
        match stamp.filter(|stamp| *stamp > self.known_until) {
            // The hook of a dialog, whose stamp may be later, was before.
            Some(stamp) => self.logged(line, stamp.max(self.hook_at).min(now)),
            None => Vec::new(),
        }
    }

    /// A line was added to the log.
    pub(super) fn logged(&mut self, line: &Line, at: u64) -> Vec<FileRequest> {
        let data = &line.data.0;
        let stamp = line.timestamp.as_ms().map(|stamp| stamp.min(at));
        // The clock may have been set back.
        self.newest = self.newest.min(at).max(stamp.unwrap_or_default());
        if stamp.is_some_and(|stamp| stamp + LATE_LINE_MS < self.newest) {
            // It was written again.
            return Vec::new();
        }
        let stamp = line.timestamp.as_ms().unwrap_or(at);
        let Some(kind) = line.kind.get().filter(|_| line.agent_id.get().is_none()) else {
            return Vec::new();
        };
        let (name, turn) = match kind {
            // Dialogs are stamped when they are read: their own hook may have been later than the line's stamp.
            "permission.requested" => return self.asked(data, at),
            "permission.completed" => return self.answered(data, at),
            "abort" => ("abort", TurnEvent::Interrupted),
            "session.error" => {
                self.phase = Phase::Failed;
                let error = failure(data.status_code.as_u64()).into();
                ("session.error", TurnEvent::Failed { error })
            }
            "session.compaction_complete" if self.phase == Phase::Compacting => {
                self.phase = Phase::Any;
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

    /// Corrects a hook's event, stamped `at`, by what the files and the hooks before it have said.
    pub(super) fn correct(&mut self, event: &mut AgentEvent, at: &mut u64) {
        self.order_beginning(event, at);
        let at = *at;
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
                self.phase = Phase::Any;
            }
            EventKind::Turn(TurnEvent::Retrying { .. }) if self.phase == Phase::Failed => {
                event.kind = EventKind::Noted;
            }
            EventKind::Turn(TurnEvent::Active) if event.name == "preCompact" => {
                self.phase = Phase::Compacting;
            }
            _ => {}
        }
    }

    /// The start of a conversation comes before its first prompt, whatever the stamps of the two hooks say: a start that
    /// came later would end the turn.
    fn order_beginning(&mut self, event: &mut AgentEvent, at: &mut u64) {
        let is_late = |started: u64, prompted: u64| {
            (prompted..=prompted.saturating_add(LATE_START_MS)).contains(&started)
        };
        self.beginning = match (&event.kind, self.beginning) {
            (EventKind::SessionStarted, Beginning::Prompted(prompted)) => {
                if is_late(*at, prompted) {
                    event.kind = EventKind::Noted;
                }
                Beginning::Over
            }
            (EventKind::SessionStarted, _) => Beginning::Started(*at),
            (EventKind::Turn(TurnEvent::PromptSubmitted { .. }), Beginning::Started(started)) => {
                if is_late(started, *at) {
                    *at = started;
                }
                Beginning::Over
            }
            (EventKind::Turn(TurnEvent::PromptSubmitted { .. }), Beginning::Unreported) => {
                Beginning::Prompted(*at)
            }
            (_, beginning) => beginning,
        };
    }
}

fn answered(id: Box<str>) -> TurnEvent {
    TurnEvent::Answered { id: Some(id) }
}
