//! When a wait is over. Pure, except that it looks up processes.

use std::collections::{BTreeMap, BTreeSet};

use super::What;
use crate::client::Update;
use crate::client::mirror::Mirror;
use crate::format;
use crate::format::status::attention_order;
use crate::os::process::{self, ProcessId};
use crate::protocol::{Notification, SessionRecord, Status};

/// The sessions to wait for.
#[derive(Debug)]
pub(super) enum Target {
    /// Any session that is open now or later.
    AnySession,
    /// All sessions that are open at the start, at the same time.
    AllOpen,
    /// Any of these.
    AnyOf(Vec<SessionRecord<'static>>),
    /// All of these, at the same time.
    AllOf(Vec<SessionRecord<'static>>),
}

/// Whether the wait is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not yet.
    Pending,
    /// The sessions with these keys are in the wanted state.
    True(Vec<String>),
    /// The condition can no longer come true; the message says why.
    Never(String),
}

/// What is known of one session.
enum Presence<'a> {
    Known(&'a SessionRecord<'static>),
    /// It was removed, or its process ended while the daemon was away: counts as closed.
    Gone,
    /// A restarted daemon has no report of it yet.
    Unreported,
}

/// The process of a session, by its last record.
#[derive(Debug, Clone, Copy)]
struct Tracked {
    process: ProcessId,
    /// It was seen here. If not, it is in another pid namespace or on another machine, and cannot be looked up.
    seen: bool,
}

/// An open session that a restarted daemon does not know, and that has a process.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Forgotten {
    pub(super) key: String,
    pub(super) process: ProcessId,
    /// Whether the process was seen here before.
    pub(super) seen: bool,
}

/// A wait, and the state it has seen so far.
#[derive(Debug)]
pub(super) struct Wait {
    what: What,
    /// One session is enough.
    any: bool,
    /// Which open sessions belong to the target; `None`: the command line names the sessions.
    membership: Option<Membership>,
    /// The keys of the target's sessions, each with its process.
    keys: BTreeMap<String, Option<Tracked>>,
    /// Those of them that are gone.
    gone: BTreeSet<String>,
    /// Those of them that the last snapshot of a restarted daemon lacks.
    forgotten: Vec<Forgotten>,
    mirror: Mirror,
    has_snapshot: bool,
    /// The connection over which the names were resolved is lost.
    reconnects: bool,
}

/// Which open sessions belong to a target that names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Membership {
    /// Those of the first snapshot.
    FirstSnapshot,
    /// Those of any update.
    Growing,
}

impl Wait {
    pub(super) fn new(what: What, target: Target) -> Self {
        let (any, membership, named) = match target {
            Target::AnySession => (true, Some(Membership::Growing), Vec::new()),
            Target::AllOpen => (false, Some(Membership::FirstSnapshot), Vec::new()),
            Target::AnyOf(sessions) => (true, None, sessions),
            Target::AllOf(sessions) => (false, None, sessions),
        };
        Self {
            what,
            any,
            membership,
            keys: named.iter().map(new_entry).collect(),
            gone: BTreeSet::new(),
            forgotten: Vec::new(),
            mirror: Mirror::default(),
            has_snapshot: false,
            reconnects: false,
        }
    }

    /// Whether the first snapshot has arrived.
    pub(super) fn has_snapshot(&self) -> bool {
        self.has_snapshot
    }

    /// The connection is lost: the next snapshot may be of a restarted daemon.
    pub(super) fn reconnect(&mut self) {
        self.reconnects = true;
    }

    /// Applies an update.
    pub(super) fn apply(&mut self, update: Update) {
        let (mut gone, mut changed, mut is_full) = (Vec::new(), Vec::new(), false);
        match &update {
            Update::Snapshot(snapshot) => {
                is_full = !snapshot.partial;
                if is_full {
                    gone.extend(self.keys.keys().filter(|key| self.is_closed(key)).cloned());
                }
                gone.extend(snapshot.removed.iter().map(ToString::to_string));
                changed.extend(snapshot.sessions.iter().map(entry));
            }
            Update::Notification(Notification::SessionChanged(session)) => {
                changed.push(entry(&session.session));
            }
            Update::Notification(Notification::SessionRemoved(removed)) => {
                gone.push(removed.key.to_string());
            }
            Update::Notification(_) => {}
        }
        self.mirror.apply(update);
        gone.retain(|key| self.keys.contains_key(key));
        self.gone.extend(gone);
        self.gone.retain(|key| self.mirror.get(key).is_none());
        for (key, process) in changed {
            if let Some(tracked) = self.keys.get_mut(&key) {
                track(tracked, process);
            }
        }
        if is_full {
            self.mark_missing();
        }
        match self.membership {
            Some(Membership::FirstSnapshot) if self.has_snapshot => {}
            Some(_) => {
                let open = |session: &&SessionRecord<'_>| session.status != Status::Closed;
                for session in self.mirror.sessions().filter(open) {
                    if !self.keys.contains_key(&*session.key) {
                        self.keys.extend([new_entry(session)]);
                    }
                }
            }
            None => {}
        }
        self.has_snapshot = true;
    }

    /// Notes the sessions that a full snapshot lacks. That of the daemon that resolved the names: they were removed since.
    /// A later one may be of a restarted daemon, which has no report of them yet, and does not watch their processes.
    fn mark_missing(&mut self) {
        self.forgotten.clear();
        for (key, tracked) in &self.keys {
            if self.mirror.get(key).is_some() || self.gone.contains(key) {
                continue;
            }
            if !self.reconnects {
                self.gone.insert(key.clone());
            } else if let Some(Tracked { process, seen }) = *tracked {
                let key = key.clone();
                self.forgotten.push(Forgotten { key, process, seen });
            }
        }
    }

    /// The sessions that have become unknown with the last update, so that the end of their processes must be seen
    /// without the daemon: see [`Self::exited`].
    pub(super) fn take_forgotten(&mut self) -> Vec<Forgotten> {
        std::mem::take(&mut self.forgotten)
    }

    /// A process has ended. Its sessions are gone, unless the daemon knows them by now.
    pub(super) fn exited(&mut self, process: ProcessId) {
        for (key, tracked) in &self.keys {
            let is_its = tracked.is_some_and(|tracked| tracked.process == process);
            if is_its && self.mirror.get(key).is_none() {
                self.gone.insert(key.clone());
            }
        }
    }

    fn is_closed(&self, key: &str) -> bool {
        let session = self.mirror.get(key);
        session.is_some_and(|session| session.status == Status::Closed)
    }

    /// The session; `None` if the daemon does not know it.
    pub(super) fn session(&self, key: &str) -> Option<&SessionRecord<'static>> {
        self.mirror.get(key)
    }

    fn presence(&self, key: &str) -> Presence<'_> {
        match self.mirror.get(key) {
            Some(session) => Presence::Known(session),
            None if self.gone.contains(key) => Presence::Gone,
            None => Presence::Unreported,
        }
    }

    /// Whether the session is in the wanted state.
    fn holds(&self, key: &str) -> bool {
        let status = match self.presence(key) {
            Presence::Known(session) if self.what == What::Attention => return session.attention,
            Presence::Known(session) => session.status,
            Presence::Gone => Status::Closed,
            Presence::Unreported => return false,
        };
        match self.what {
            What::Attention => false,
            What::Idle => matches!(status, Status::Idle | Status::Error | Status::Closed),
            What::Waiting => status == Status::Waiting,
            What::Closed => status == Status::Closed,
        }
    }

    /// Whether the session is over and not in the wanted state.
    fn is_impossible(&self, key: &str) -> bool {
        let over = match self.presence(key) {
            Presence::Known(session) => session.status == Status::Closed,
            Presence::Gone => true,
            Presence::Unreported => false,
        };
        over && !self.holds(key)
    }

    /// Whether the wait is over.
    pub(super) fn verdict(&self) -> Verdict {
        let mut waited: Vec<_> = self.keys.keys().map(String::as_str).collect();
        // In the order of `list`; sessions that are gone last.
        waited.sort_by(|a, b| match (self.mirror.get(a), self.mirror.get(b)) {
            (Some(a), Some(b)) => attention_order(a, b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        let over: Vec<_> = waited
            .iter()
            .copied()
            .filter(|key| self.is_impossible(key))
            .collect();
        if self.membership.is_some() {
            // A session that the command line does not name may close.
            waited.retain(|key| !self.is_impossible(key));
        }
        let holding: Vec<_> = waited
            .iter()
            .copied()
            .filter(|key| self.holds(key))
            .collect();
        let owned = |keys: &[&str]| Verdict::True(keys.iter().map(|key| (*key).into()).collect());
        if self.any {
            if let Some(first) = holding.first() {
                return owned(&[first]);
            }
            if self.membership.is_none() && over.len() == waited.len() {
                return Verdict::Never(self.impossible_message(&over));
            }
        } else if holding.len() == waited.len() && (over.is_empty() || !waited.is_empty()) {
            return owned(&holding);
        } else if !over.is_empty() && (self.membership.is_none() || waited.is_empty()) {
            return Verdict::Never(self.impossible_message(&over));
        }
        Verdict::Pending
    }

    fn impossible_message(&self, over: &[&str]) -> String {
        let what = match self.what {
            What::Attention => "need a person",
            What::Idle | What::Waiting | What::Closed => "wait for a person",
        };
        let keys: Vec<_> = over.iter().map(|key| format::sanitize(key)).collect();
        let is = if keys.len() == 1 { "is" } else { "are" };
        format!(
            "{} {is} closed and will not {what}; `agent-console list` shows who is open",
            keys.join(", ")
        )
    }

    /// The sessions that are not in the wanted state yet, for the message after a time-out: `: build is working`.
    pub(super) fn pending_message(&self) -> String {
        /// The most sessions that the message names.
        const NAMED: usize = 3;
        if self.membership == Some(Membership::Growing) {
            return String::new();
        }
        let not_yet = self
            .keys
            .keys()
            .filter(|key| !self.holds(key) && !self.is_impossible(key));
        let mut words: Vec<_> = not_yet
            .map(|key| {
                let state = match self.presence(key) {
                    Presence::Known(session) => format::status(session),
                    Presence::Gone | Presence::Unreported => {
                        "not reported since the daemon's restart".into()
                    }
                };
                format!("{} is {state}", format::sanitize(key))
            })
            .collect();
        if words.len() > NAMED {
            let more = words.len() - NAMED;
            words.truncate(NAMED);
            words.push(format!("{more} more"));
        }
        format!(": {}", words.join(", "))
    }
}

/// A session's key and its process.
fn entry(session: &SessionRecord<'_>) -> (String, Option<ProcessId>) {
    let process = session.pid.zip(session.process_start);
    let process = process.map(|(pid, start)| ProcessId { pid, start });
    (session.key.to_string(), process)
}

/// The same, with the process looked up.
fn new_entry(session: &SessionRecord<'_>) -> (String, Option<Tracked>) {
    let (key, process) = entry(session);
    let mut tracked = None;
    track(&mut tracked, process);
    (key, tracked)
}

/// The process of a session's record is this one. It is looked up when it is new.
fn track(tracked: &mut Option<Tracked>, process: Option<ProcessId>) {
    if tracked.map(|tracked| tracked.process) != process {
        *tracked = process.map(|process| Tracked {
            process,
            seen: process::inspect(process.pid).is_ok_and(|found| found.id == process),
        });
    }
}

#[cfg(test)]
mod tests;
