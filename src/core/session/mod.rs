//! One session: what is known of it, and how each kind of evidence changes that.
//!
//! The status is never stored: it follows from the facts, so that no path can leave it behind. Each kind of evidence
//! has a file: [`hook`], [`registry`], [`script`], [`exit`]; [`identity`] has the names, [`processes`] what is watched,
//! [`files`] where the agent's own files are; [`record`] makes the protocol's record, [`published`] what a change has added to it, [`saved`] what outlives the daemon,
//! [`episode`] says whether a person was reminded of it.
//! No IO, no clock: times are arguments. Called by [`super::Core`] and [`super::sessions`] only.

mod committed;
mod episode;
mod exit;
mod files;
mod hook;
mod identity;
mod processes;
mod published;
mod record;
mod registry;
mod saved;
mod script;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use self::committed::Committed;
pub(crate) use self::episode::{Episode, Shown};
use self::files::OwnFiles;
use self::identity::Identity;
use self::processes::Client;
pub(crate) use self::processes::{Process, Processes};
use self::published::Published;
pub(crate) use self::saved::{SavedSession, WrittenSession};
use super::evidence::{Evidence, Rule};
use super::stamp::{Skew, shift};
use super::turn::reorder::ReorderBuffer;
use super::{Now, Settings};
use crate::event::Timing;
use crate::limits::Account;
use crate::protocol::{EndReason, EvidenceKind, Status, Terminal, WaitingFor};

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ended {
    at: u64,
    reason: EndReason<'static>,
    by: EndedBy,
}

/// The source of a session's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum EndedBy {
    /// Its agent.
    Agent,
    /// The process table.
    Exit,
    /// No report for too long.
    Silence,
    /// A script.
    Script,
}

/// A status that a script set; holds until the next evidence of another kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Scripted {
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<WaitingFor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Box<str>>,
    /// It was at work before it was set idle, and no person has looked since.
    unread: bool,
}

/// What a session is about.
#[derive(Debug, Serialize, Deserialize)]
enum Title {
    /// A script gave it; only the agent's own title of the session replaces it.
    Script(Box<str>),
    /// The agent gave it, or it is the beginning of a prompt.
    Agent(Box<str>),
}

impl Title {
    fn text(&self) -> &str {
        match self {
            Self::Script(text) | Self::Agent(text) => text,
        }
    }
}

/// What a session is about, where it is, what it uses.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Description {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<Title>,
    /// What the agent last asked in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<Box<str>>,
    /// The directory that it began in.
    #[serde(skip_serializing_if = "Option::is_none")]
    start_cwd: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cwd: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    terminal: Option<Box<Terminal>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permission_mode: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_percent: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
    /// Whose limits it draws on.
    #[serde(skip)]
    account: Option<Rc<Account>>,
}

/// The last sign that a source gave of a session.
#[derive(Debug, Serialize, Deserialize)]
struct Sign {
    /// When it came, in ms of uptime.
    uptime_ms: u64,
    /// When it came, in ms since the epoch.
    unix_ms: u64,
    /// Another has come since: its time is noted with the next [`Session::commit_status`].
    is_new: bool,
}

/// How wrong the clocks of its sources were with the last event of each.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Skews {
    hook: Skew,
    file: Skew,
}

/// When something follows from silence, in ms of uptime.
#[derive(Debug, Default)]
struct Timeouts {
    /// For the turn: a status of the registry has lasted for long enough.
    turn: Option<u64>,
    /// The session becomes quiet.
    quiet: Option<u64>,
}

/// One run of an agent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    identity: Identity,
    description: Description,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Process>,
    client: Client,
    /// Since when its process is stopped by a signal, as far as it was seen, in ms since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_since: Option<u64>,
    /// Whether a person sits at the session.
    attended: bool,
    /// Saved beside the other facts: most lines have its new steps only.
    #[serde(skip)]
    turns: ReorderBuffer,
    /// How long its agent's sources may contradict each other; without a report of the agent, of no effect.
    #[serde(skip)]
    timing: Timing,
    #[serde(skip_serializing_if = "Option::is_none")]
    scripted: Option<Scripted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Ended>,
    /// The agent has removed its registry entry: an exit that follows is no crash.
    registry_removed: bool,
    committed: Committed,
    /// What subscribers to brief changes know of it.
    #[serde(skip)]
    published: Published,
    /// While it needs a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    episode: Option<Episode>,
    evidence: Evidence,
    /// What the agent's registry has stamped its last status with.
    #[serde(default)]
    registry_stamp: u64,
    /// What the agent's other files have stamped the last event with that is known, or the stamp of the event that began
    /// the conversation.
    #[serde(default)]
    file_stamp: u64,
    /// Saved beside the other facts, since it rarely changes.
    #[serde(skip)]
    own_files: Option<Box<OwnFiles>>,
    #[serde(default)]
    skew: Skews,
    started_at: u64,
    sign: Sign,
    /// If it is at work and has given no sign for long: when it gave the last, in ms since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet_since: Option<u64>,
    #[serde(skip)]
    timeouts: Timeouts,
    /// Subscribers do not know its last change yet. Kept by [`super::sessions`].
    #[serde(skip)]
    pub(super) is_unpublished: bool,
    /// The number of the notification of its last change; 0: none was sent. Kept by [`super::sessions`].
    pub(super) changed_seq: u64,
}

impl Session {
    /// A session that began at `at`, in ms since the epoch.
    pub(crate) fn new(key: Box<str>, agent: Box<str>, timing: Timing, at: u64) -> Self {
        Self {
            identity: Identity {
                key,
                agent,
                id: None,
                id_at: 0,
                previous_ids: Vec::new(),
            },
            description: Description::default(),
            process: None,
            client: Client::Unknown,
            stopped_since: None,
            attended: true,
            turns: ReorderBuffer::default(),
            timing,
            scripted: None,
            ended: None,
            registry_removed: false,
            committed: Committed {
                status: Status::Idle,
                waiting_for: None,
                since: at,
                history: VecDeque::new(),
                unsaved: 0,
                attention: false,
            },
            published: Published::default(),
            episode: None,
            evidence: Evidence::default(),
            registry_stamp: 0,
            file_stamp: 0,
            own_files: None,
            skew: Skews::default(),
            started_at: at,
            sign: Sign {
                uptime_ms: 0,
                unix_ms: at,
                is_new: true,
            },
            quiet_since: None,
            timeouts: Timeouts::default(),
            is_unpublished: false,
            changed_seq: 0,
        }
    }

    pub(crate) fn key(&self) -> &str {
        &self.identity.key
    }

    pub(crate) fn agent(&self) -> &str {
        &self.identity.agent
    }

    /// Its status and what it waits for.
    pub(crate) fn status(&self) -> (Status, Option<WaitingFor>) {
        if self.ended.is_some() {
            return (Status::Closed, None);
        }
        match &self.scripted {
            Some(scripted) => (scripted.status, scripted.waiting_for),
            None => self.turns.now().status(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.ended.is_some()
    }

    /// True if it needed a person when its status was last committed.
    pub(crate) fn needs_person(&self) -> bool {
        self.committed.attention
    }

    /// When it was closed, in ms since the epoch.
    pub(crate) fn ended_at(&self) -> Option<u64> {
        self.ended.as_ref().map(|ended| ended.at)
    }

    /// When a source last gave a sign of it, in ms of uptime.
    pub(crate) fn touched_ms(&self) -> u64 {
        self.sign.uptime_ms
    }

    /// When it began, in ms since the epoch.
    pub(crate) fn started_at(&self) -> u64 {
        self.started_at
    }

    /// When [`Self::handle_timeout`] is due, in ms of uptime.
    pub(crate) fn timeout_ms(&self) -> Option<u64> {
        let Timeouts { turn, quiet } = self.timeouts;
        turn.into_iter().chain(quiet).min()
    }

    /// Applies what follows from silence until now. False if nothing does.
    pub(crate) fn handle_timeout(&mut self, now_ms: u64) -> bool {
        let is_due = |at: Option<u64>| at.is_some_and(|at| at <= now_ms);
        if is_due(self.timeouts.turn) {
            return self.handle_turn_timeout();
        }
        let becomes_quiet = is_due(self.timeouts.quiet);
        if becomes_quiet {
            self.quiet_since = Some(self.sign.unix_ms);
        }
        becomes_quiet
    }

    /// Silence no longer counts. True if it did.
    pub(crate) fn forget_quiet(&mut self) -> bool {
        self.quiet_since.take().is_some()
    }

    /// Sets when something follows from silence.
    fn arm(&mut self, now: Now, settings: Settings) {
        self.arm_turn(now);
        self.arm_quiet(now.uptime_ms, settings);
    }

    fn arm_turn(&mut self, now: Now) {
        let left = |at: u64| at.saturating_sub(now.unix_ms);
        let due = self.timeout_at().map(left);
        self.timeouts.turn = due.map(|left| now.uptime_ms.saturating_add(left));
    }

    /// Sets when a session at work becomes quiet.
    pub(crate) fn arm_quiet(&mut self, now_ms: u64, settings: Settings) {
        let is_at_work = self.status().0 == Status::Working && self.stopped_since.is_none();
        let after = settings.quiet_after_ms;
        let after = after.filter(|_| is_at_work && self.quiet_since.is_none());
        self.timeouts.quiet =
            after.map(|after| now_ms.max(self.sign.uptime_ms.saturating_add(after)));
    }

    /// True if its agent has reported it, by a hook or in its files; false if only scripts have.
    pub(crate) fn is_agents(&self) -> bool {
        let Evidence {
            hook,
            registry,
            file,
            ..
        } = &self.evidence;
        hook.is_some() || registry.is_some() || file.is_some()
    }

    /// The name of the account that it draws on.
    pub(crate) fn account(&self) -> Option<&str> {
        let account = self.description.account.as_ref()?;
        Some(&account.name)
    }

    /// It draws on this account; `None`: not said. True if that is another one.
    pub(crate) fn set_account(&mut self, account: Option<Rc<Account>>) -> bool {
        let Some(account) = account else {
            return false;
        };
        let is_new = self.account() != Some(&*account.name);
        if self.description.account.as_ref() != Some(&account) {
            self.turns.mark_unsaved();
        }
        self.description.account = Some(account);
        is_new
    }

    fn set_timing(&mut self, timing: Timing) {
        if self.timing != timing {
            self.turns.mark_unsaved();
        }
        self.timing = timing;
    }

    /// Prompts are no longer kept. True if one was.
    pub(crate) fn forget_prompts(&mut self) -> bool {
        let Description {
            title, question, ..
        } = &mut self.description;
        let question = question.take();
        let title = title.take_if(|title| matches!(title, Title::Agent(_)));
        question.is_some() || title.is_some()
    }

    /// The wall clock was set by so many ms: every moment moves with it, so that each is as long ago as before.
    pub(crate) fn clock_was_set(&mut self, by: i64, now: Now) {
        let Self {
            identity,
            description: _,
            process: _,
            client: _,
            stopped_since,
            attended: _,
            turns,
            timing: _,
            scripted: _,
            ended,
            registry_removed: _,
            committed,
            published,
            episode: _,
            evidence,
            registry_stamp: _,
            file_stamp: _,
            own_files: _,
            skew: _,
            started_at,
            sign,
            quiet_since,
            timeouts: _,
            is_unpublished: _,
            changed_seq: _,
        } = self;
        let optional = [
            stopped_since.as_mut(),
            quiet_since.as_mut(),
            ended.as_mut().map(|ended| &mut ended.at),
        ];
        let moments = [
            &mut identity.id_at,
            &mut committed.since,
            started_at,
            &mut sign.unix_ms,
        ];
        let history = committed.history.iter_mut().map(|entry| &mut entry.at);
        let moments = moments.into_iter().chain(history);
        for at in moments.chain(optional.into_iter().flatten()) {
            shift(at, by);
        }
        turns.clock_was_set(by, now.unix_ms);
        evidence.clock_was_set(by);
        published.forget();
        // What is scheduled for a time of day.
        self.arm_turn(now);
    }

    fn reopen(&mut self) {
        if self.ended.take().is_some() {
            self.client = Client::Unknown;
            self.attended = true;
        }
        self.evidence.process = None;
        self.registry_removed = false;
        self.stopped_since = None;
    }

    fn log_evidence(&mut self, at: u64, kind: EvidenceKind, what: Cow<'static, str>, rule: Rule) {
        self.sign.is_new = true;
        let status = self.status();
        self.evidence.log.add(at, kind, what, rule, status);
    }
}

/// Replaces what is known, unless the new value is absent.
fn replace(known: &mut Option<Box<str>>, new: Option<Box<str>>) {
    if new.is_some() {
        *known = new;
    }
}
