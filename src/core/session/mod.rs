//! One session: what is known of it, and how each kind of evidence changes that.
//!
//! The status is never stored: it follows from the facts, so that no path can leave it behind. Each kind of evidence
//! has a file: `hooks`, `registry`, `script`; the process's end is here. No IO, no clock, no serialising: times come as
//! arguments and `record` says what goes out. Called by [`super::Core`] only.

mod hook;
mod record;
mod registry;
mod script;

use std::borrow::Cow;
use std::collections::VecDeque;

use super::Now;
use super::evidence::Trail;
use super::rule::Rule;
use super::turn::reorder::Timeline;
use crate::event::ReportedProcess;
use crate::os::process::ProcessId;
use crate::protocol::{EvidenceKind, Status, Terminal, Transition, WaitingFor};

/// The end of a session whose agent has signed off without a word from its hooks.
const EXITED: &str = "exited";

/// A process and whether the daemon can see it die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) start: Option<u64>,
    /// The process to watch; `None` if it can't be: in another pid namespace, or without a start time.
    pub(crate) watched: Option<ProcessId>,
}

impl Process {
    /// What is known of a process that an agent has told of; `own_namespace` is the daemon's.
    pub(crate) fn of(process: ReportedProcess, own_namespace: Option<u64>) -> Self {
        // A pid of another namespace is another process here, or none.
        let is_here = process.namespace == own_namespace;
        Self {
            pid: process.pid,
            start: process.start,
            watched: process.id().filter(|_| is_here),
        }
    }
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
    what: Cow<'static, str>,
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
    registry: Option<Word>,
    report: Option<Word>,
    exit: Option<Word>,
    trail: Trail,
    /// The stamp of whoever told the agent's id last.
    id_at: u64,
    /// The agent has taken its entry out of the registry: an exit that follows is no crash.
    signed_off: bool,
    context_percent: Option<f32>,
    cost_usd: Option<f64>,
    started_at: u64,
    /// When it was last heard of, by the daemon's uptime.
    heard_ms: u64,
    /// When something follows from nothing being said, by the daemon's uptime.
    due_ms: Option<u64>,
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
            registry: None,
            report: None,
            exit: None,
            trail: Trail::default(),
            id_at: 0,
            signed_off: false,
            context_percent: None,
            cost_usd: None,
            started_at: at,
            heard_ms: 0,
            due_ms: None,
        }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn agent(&self) -> &str {
        &self.agent
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

    /// True if its agent has told of it, by a hook or in its registry; false if only scripts have.
    pub(crate) fn is_agents(&self) -> bool {
        self.hook.is_some() || self.registry.is_some()
    }

    /// True if its key or id begins with `prefix`.
    pub(crate) fn has_prefix(&self, prefix: &str) -> bool {
        self.key.starts_with(prefix) || self.id.as_deref().is_some_and(|id| id.starts_with(prefix))
    }

    /// The same by the daemon's uptime in ms.
    pub(crate) fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    fn reopen(&mut self) {
        self.ended = None;
        self.exit = None;
        self.signed_off = false;
    }

    fn remember(&mut self, at: u64, kind: EvidenceKind, what: Cow<'static, str>, rule: Rule) {
        let status = self.status();
        self.trail.add(at, kind, what, rule, status);
    }

    /// Its process is gone. True if that closed it.
    pub(crate) fn exited(&mut self, at: u64) -> bool {
        let (reason, rule) = if self.signed_off {
            (EXITED, Rule::Exited)
        } else {
            ("crashed", Rule::Crashed)
        };
        self.close(at, "exited", reason, EndedBy::Exit, rule)
    }

    /// Nothing was heard for too long and there is no process to watch. True if that closed it.
    pub(crate) fn went_stale(&mut self, at: u64) -> bool {
        self.close(at, "silent", "stale", EndedBy::Silence, Rule::Stale)
    }

    fn close(
        &mut self,
        at: u64,
        what: &'static str,
        reason: &str,
        by: EndedBy,
        rule: Rule,
    ) -> bool {
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
        self.remember(at, EvidenceKind::Process, what.into(), rule);
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
        self.due_ms = self
            .due_at()
            .map(|at| now.uptime_ms + at.saturating_sub(now.unix_ms));
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
}

/// What is told replaces what was known; silence does not.
fn replace(known: &mut Option<Box<str>>, told: Option<Box<str>>) {
    if told.is_some() {
        *known = told;
    }
}
