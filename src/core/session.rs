//! One session: what is known of it, and how each kind of evidence changes that.
//!
//! The status is never stored: it follows from the facts, so that no path can leave it behind. Events are ordered by
//! the stamp of the hook that saw them, not by arrival: one that was overtaken still moves the turn, at its place in
//! the [`Timeline`]. No IO, no clock, no serialising: times come as arguments and [`Session::record`] says what goes
//! out. Called by [`super::Core`] only.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::Now;
use super::event::{AgentEvent, EventKind, Report, TurnEvent};
use super::timeline::{Step, Timeline};
use crate::process::ProcessId;
use crate::protocol::{
    self, EvidenceKind, SessionRecord, SetParams, Status, Terminal, Transition, WaitingFor,
    one_line,
};

/// How many former ids a key keeps: enough to find a session by the id it had before the last few `/clear`.
const PREVIOUS_IDS: usize = 8;

/// A process and whether the daemon can see it die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) start: Option<u64>,
    /// The process to watch; `None` if it can't be: in another pid namespace, or without a start time.
    pub(crate) watched: Option<ProcessId>,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ended {
    at: u64,
    reason: Box<str>,
    by: EndedBy,
}

/// Who says that it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndedBy {
    /// Its agent.
    Agent,
    /// The process table.
    Exit,
    /// Nobody has said anything for too long.
    Silence,
    /// A script.
    Script,
}

/// A status that a script set; holds until the next evidence of another kind.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reported {
    status: Status,
    waiting_for: Option<WaitingFor>,
    reason: Option<Box<str>>,
    /// It was at work before it was set idle.
    unseen: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    at: u64,
    what: Box<str>,
}

/// One run of an agent.
#[derive(Debug)]
pub(crate) struct Session {
    key: Box<str>,
    agent: Box<str>,
    id: Option<Box<str>>,
    previous_ids: Vec<Box<str>>,
    title: Option<Box<str>>,
    /// The title is a script's, not the beginning of a prompt.
    titled_by_script: bool,
    cwd: Option<Box<str>>,
    process: Option<Process>,
    terminal: Option<Box<Terminal>>,
    permission_mode: Option<Box<str>>,
    model: Option<Box<str>>,
    attended: bool,
    turns: Timeline,
    reported: Option<Reported>,
    ended: Option<Ended>,
    /// Status and what it waits for, as last told, and since when.
    shown: (Status, Option<WaitingFor>),
    since: u64,
    history: VecDeque<Transition>,
    hook: Option<Word>,
    report: Option<Word>,
    exit: Option<Word>,
    started_at: u64,
    /// When it was last heard of, by the daemon's uptime.
    heard_ms: u64,
}

impl Session {
    pub(crate) fn new(key: Box<str>, agent: Box<str>, at: u64) -> Self {
        Self {
            key,
            agent,
            id: None,
            previous_ids: Vec::new(),
            title: None,
            titled_by_script: false,
            cwd: None,
            process: None,
            terminal: None,
            permission_mode: None,
            model: None,
            attended: true,
            turns: Timeline::default(),
            reported: None,
            ended: None,
            shown: (Status::Idle, None),
            since: at,
            history: VecDeque::new(),
            hook: None,
            report: None,
            exit: None,
            started_at: at,
            heard_ms: 0,
        }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Its status and what it waits for.
    pub(crate) fn status(&self) -> (Status, Option<WaitingFor>) {
        if self.ended.is_some() {
            return (Status::Closed, None);
        }
        if let Some(reported) = &self.reported {
            return (reported.status, reported.waiting_for);
        }
        self.turns.now().status()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.ended.is_some()
    }

    /// When it was closed.
    pub(crate) fn ended_at(&self) -> Option<u64> {
        self.ended.as_ref().map(|ended| ended.at)
    }

    /// The process whose exit closes it.
    pub(crate) fn watched(&self) -> Option<ProcessId> {
        self.process.and_then(|process| process.watched)
    }

    /// True if it is open and no process tells when it ends.
    pub(crate) fn is_unwatched(&self) -> bool {
        self.ended.is_none() && self.watched().is_none()
    }

    /// When it was last heard of, by the daemon's uptime in ms.
    pub(crate) fn heard_ms(&self) -> u64 {
        self.heard_ms
    }

    pub(crate) fn started_at(&self) -> u64 {
        self.started_at
    }

    /// True if `name` is its agent's id for it.
    pub(crate) fn has_id(&self, name: &str) -> bool {
        self.id.as_deref() == Some(name)
    }

    /// True if `name` was its agent's id for it.
    pub(crate) fn had_id(&self, name: &str) -> bool {
        self.previous_ids.iter().any(|id| **id == *name)
    }

    /// True if its agent's hooks have told of it; false if only scripts have.
    pub(crate) fn is_hooked(&self) -> bool {
        self.hook.is_some()
    }

    /// True if its key or id begins with `prefix`.
    pub(crate) fn has_prefix(&self, prefix: &str) -> bool {
        self.key.starts_with(prefix) || self.id.as_deref().is_some_and(|id| id.starts_with(prefix))
    }

    /// True if an event of this kind may begin a session: what is only seen in passing may not.
    pub(crate) fn begins_with(kind: &EventKind) -> bool {
        match kind {
            EventKind::SessionStarted => true,
            EventKind::SessionEnded { .. } | EventKind::Noted => false,
            EventKind::Turn(turn) => !matches!(turn, TurnEvent::SubagentEnded),
        }
    }

    /// Takes a hook's event in; false if it changed nothing. `prompts`: whether a prompt's text may be kept.
    /// `now` in ms since the epoch.
    pub(crate) fn hooked(
        &mut self,
        report: &Report,
        mut event: AgentEvent,
        process: Option<Process>,
        prompts: bool,
        now: u64,
    ) -> bool {
        // A word of the future is from before the clock was set back: it overtakes nothing.
        let overtaken_by = |word: &Option<Word>| matches!(word, Some(word) if report.at < word.at && word.at <= now);
        if self.hook.as_ref().is_some_and(|word| word.at > now) {
            self.turns.forget_stamps();
        }
        if overtaken_by(&self.hook) {
            // It still happened. What it says of the present (directory, mode, whose conversation it is) the newer one has
            // said better.
            let attended = report.attended.unwrap_or(self.attended);
            return self.ended.is_none() && self.advance(event, report.at, attended, prompts);
        }
        self.hook = Some(Word {
            at: report.at,
            what: event.name.clone(),
        });
        if self.stays_closed(&event.kind, report.at) {
            return true;
        }
        self.ended = None;
        self.exit = None;
        if !overtaken_by(&self.report) {
            self.reported = None;
        }
        self.process = process.or(self.process);
        self.attended = report.attended.unwrap_or(self.attended);
        if let Some(terminal) = &report.terminal {
            self.terminal = Some(terminal.clone());
        }
        replace(&mut self.cwd, event.cwd.take());
        replace(&mut self.permission_mode, event.permission_mode.take());
        replace(&mut self.model, event.model.take());
        if event.kind != EventKind::Noted && self.rebind(event.session_id.take()) {
            // Another conversation: what the former one was about is not what this one is about.
            self.title = None;
            self.titled_by_script = false;
        }
        if prompts {
            // The agent may have made it of a prompt.
            self.titled_by_script &= event.title.is_none();
            replace(&mut self.title, event.title.take());
        }
        self.advance(event, report.at, self.attended, prompts);
        true
    }

    /// False if it is open, or this event shows that it lives: what its agent or the process table has ended, only a
    /// new start opens again (all else was on its way before the end); what a script or silence has, any later sign
    /// of life.
    fn stays_closed(&mut self, event: &EventKind, at: u64) -> bool {
        let Some(ended) = &mut self.ended else {
            return false;
        };
        match (ended.by, event) {
            (_, EventKind::SessionStarted) => false,
            // The goodbye that the exit had overtaken.
            (
                EndedBy::Exit | EndedBy::Silence,
                EventKind::SessionEnded {
                    reason,
                    process_goes_on: false,
                },
            ) => {
                ended.reason = reason.clone();
                ended.by = EndedBy::Agent;
                true
            }
            (EndedBy::Agent | EndedBy::Exit, _) => true,
            (EndedBy::Silence | EndedBy::Script, event) => {
                at < ended.at || !Self::begins_with(event)
            }
        }
    }

    /// The agent's id of the conversation may change under the key; the former ones are kept. True if it did.
    fn rebind(&mut self, id: Option<Box<str>>) -> bool {
        if id.is_none() || id == self.id {
            return false;
        }
        // A former one that is taken up again is former no more.
        self.previous_ids
            .retain(|former| Some(former) != id.as_ref());
        let Some(former) = std::mem::replace(&mut self.id, id) else {
            return false;
        };
        if self.previous_ids.len() == PREVIOUS_IDS {
            self.previous_ids.remove(0);
        }
        self.previous_ids.push(former);
        true
    }

    /// What an event does to the turn or to the session's end, at its place among the others; false if it comes too
    /// late to do anything.
    fn advance(&mut self, event: AgentEvent, at: u64, attended: bool, prompts: bool) -> bool {
        match event.kind {
            EventKind::SessionStarted
            | EventKind::SessionEnded {
                process_goes_on: true,
                ..
            } => self.turns.take(at, Step::Begun),
            EventKind::SessionEnded {
                reason,
                process_goes_on: false,
            } => {
                let over = !self.turns.has_begun_since(at);
                if over {
                    let by = EndedBy::Agent;
                    self.ended = Some(Ended { at, reason, by });
                }
                over
            }
            EventKind::Noted => false,
            EventKind::Turn(turn) => {
                self.entitle(&turn, prompts);
                let step = Step::Happened {
                    event: turn,
                    subagent: event.subagent,
                    prompt_id: event.prompt_id,
                    attended,
                };
                self.turns.take(at, step)
            }
        }
    }

    /// The first prompt is what a session is about, where nothing better is known.
    fn entitle(&mut self, turn: &TurnEvent, prompts: bool) {
        if let TurnEvent::PromptSubmitted {
            text: Some(text), ..
        } = turn
            && prompts
            && self.title.is_none()
        {
            self.title = Some(text.clone());
        }
    }

    /// Takes in what a script says. The caller has checked that the status is one of the five.
    pub(crate) fn set(&mut self, params: &SetParams, process: Option<Process>, at: u64) {
        let cut = |text: &Option<String>| {
            text.as_deref()
                .filter(|text| !text.is_empty())
                .map(|text| one_line(text, protocol::TEXT_LIMIT).into())
        };
        self.report = Some(Word {
            at,
            what: params.status.as_str().into(),
        });
        let title = cut(&params.title);
        self.titled_by_script |= title.is_some();
        replace(&mut self.title, title);
        let cwd = params.cwd.as_deref().filter(|cwd| !cwd.is_empty());
        replace(&mut self.cwd, cwd.map(Into::into));
        self.process = process.or(self.process);
        if params.status == Status::Closed {
            self.ended = Some(Ended {
                at,
                reason: "reported".into(),
                by: EndedBy::Script,
            });
            return;
        }
        if self
            .ended
            .take()
            .is_some_and(|ended| ended.by == EndedBy::Exit)
        {
            // The process that is gone says nothing of what goes on without it.
            self.process = process;
        }
        self.exit = None;
        let waiting_for = (params.status == Status::Waiting)
            .then(|| params.waiting_for.unwrap_or(WaitingFor::Dialog));
        let unseen = params.status == Status::Idle
            && match self.shown.0 {
                Status::Working | Status::Waiting => true,
                // Said again: nobody has looked in between.
                Status::Idle => self
                    .reported
                    .as_ref()
                    .is_some_and(|reported| reported.unseen),
                Status::Error | Status::Closed | Status::Unknown => false,
            };
        self.reported = Some(Reported {
            status: params.status,
            waiting_for,
            reason: cut(&params.reason),
            unseen,
        });
    }

    /// Prompts are no longer to be kept. True if one was.
    pub(crate) fn forget_prompts(&mut self) -> bool {
        !self.titled_by_script && self.title.take().is_some()
    }

    /// Its process is gone. True if that closed it.
    pub(crate) fn exited(&mut self, at: u64) -> bool {
        self.close(at, "exited", "crashed", EndedBy::Exit)
    }

    /// Nothing was heard for too long and there is no process to watch. True if that closed it.
    pub(crate) fn went_stale(&mut self, at: u64) -> bool {
        self.close(at, "silent", "stale", EndedBy::Silence)
    }

    fn close(&mut self, at: u64, what: &str, reason: &str, by: EndedBy) -> bool {
        if self.ended.is_some() {
            return false;
        }
        self.exit = Some(Word {
            at,
            what: what.into(),
        });
        self.ended = Some(Ended {
            at,
            reason: reason.into(),
            by,
        });
        true
    }

    /// Its process can't be watched after all.
    pub(crate) fn unwatch(&mut self) {
        if let Some(process) = &mut self.process {
            process.watched = None;
        }
    }

    /// To be called after each change: notes a new status with its time and in the history.
    pub(crate) fn settle(&mut self, at: u64, now: Now, history: usize) {
        self.heard_ms = now.uptime_ms;
        let status = self.status();
        if status == self.shown && !self.history.is_empty() {
            return;
        }
        // Time goes on, whoever's stamp it is; but for a clock that was set back.
        let at = if self.since <= now.unix_ms {
            at.max(self.since)
        } else {
            at
        };
        if status.0 != self.shown.0 || self.history.is_empty() {
            while self.history.len() >= history {
                self.history.pop_front();
            }
            let status = status.0;
            self.history.push_back(Transition { status, at });
        }
        self.shown = status;
        self.since = at;
    }

    fn reason(&self) -> Option<Cow<'_, str>> {
        match (&self.ended, &self.reported) {
            (Some(_), _) => None,
            (None, Some(reported)) => reported.reason.as_deref().map(Cow::Borrowed),
            (None, None) => self.turns.now().reason(),
        }
    }

    /// All of it, as the protocol tells it.
    pub(crate) fn record(&self) -> SessionRecord<'_> {
        let (status, waiting_for) = self.status();
        let evidence = [
            (EvidenceKind::Hook, &self.hook),
            (EvidenceKind::Report, &self.report),
            (EvidenceKind::Process, &self.exit),
        ];
        SessionRecord {
            key: Cow::Borrowed(&self.key),
            agent: Cow::Borrowed(&self.agent),
            session_id: text(self.id.as_deref()),
            previous_session_ids: self
                .previous_ids
                .iter()
                .map(|id| Cow::Borrowed(&**id))
                .collect(),
            status,
            waiting_for,
            attention: match status {
                Status::Waiting | Status::Error => true,
                Status::Idle => match &self.reported {
                    Some(reported) => reported.unseen,
                    None => self.turns.now().is_unseen(),
                },
                Status::Working | Status::Closed | Status::Unknown => false,
            },
            since: self.since,
            reason: self.reason(),
            title: text(self.title.as_deref()),
            cwd: text(self.cwd.as_deref()),
            pid: self.process.map(|process| process.pid),
            process_start: self.process.and_then(|process| process.start),
            terminal: self.terminal.as_deref().map(Cow::Borrowed),
            permission_mode: text(self.permission_mode.as_deref()),
            model: text(self.model.as_deref()),
            context_percent: None,
            cost_usd: None,
            subagents: self.turns.now().subagents(),
            background: self.turns.now().shells(),
            history: self.history.iter().copied().collect(),
            evidence: evidence
                .into_iter()
                .filter_map(|(kind, word)| {
                    let word = word.as_ref()?;
                    Some(protocol::Evidence {
                        kind,
                        at: word.at,
                        what: Cow::Borrowed(&word.what),
                    })
                })
                .collect(),
            started_at: self.started_at,
            ended_at: self.ended.as_ref().map(|ended| ended.at),
            end_reason: self
                .ended
                .as_ref()
                .map(|ended| Cow::Borrowed(&*ended.reason)),
        }
    }
}

fn text(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.map(Cow::Borrowed)
}

/// What is told replaces what was known; silence does not.
fn replace(known: &mut Option<Box<str>>, told: Option<Box<str>>) {
    if told.is_some() {
        *known = told;
    }
}
