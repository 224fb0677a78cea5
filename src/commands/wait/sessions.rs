//! The sessions that a wait is about: which they are, and what is known of each. Pure, except that it looks up processes.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::Update;
use crate::client::mirror::Mirror;
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
/// What is known of one session.
pub(super) enum Presence<'a> {
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
/// The target's sessions, and the state seen of them so far.
#[derive(Debug)]
pub(super) struct Sessions {
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
impl Sessions {
    pub(super) fn new(target: Target) -> Self {
        let (membership, named) = match target {
            Target::AnySession => (Some(Membership::Growing), Vec::new()),
            Target::AllOpen => (Some(Membership::FirstSnapshot), Vec::new()),
            Target::AnyOf(sessions) | Target::AllOf(sessions) => (None, sessions),
        };
        Self {
            membership,
            keys: named.iter().map(new_entry).collect(),
            gone: BTreeSet::new(),
            forgotten: Vec::new(),
            mirror: Mirror::default(),
            has_snapshot: false,
            reconnects: false,
        }
    }

    /// True if the command line names the sessions.
    pub(super) fn are_named(&self) -> bool {
        self.membership.is_none()
    }

    /// True if each session that opens later belongs to the target.
    pub(super) fn may_grow(&self) -> bool {
        self.membership == Some(Membership::Growing)
    }

    /// The keys of the target's sessions, in order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
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
    pub(super) fn get(&self, key: &str) -> Option<&SessionRecord<'static>> {
        self.mirror.get(key)
    }

    pub(super) fn presence(&self, key: &str) -> Presence<'_> {
        match self.mirror.get(key) {
            Some(session) => Presence::Known(session),
            None if self.gone.contains(key) => Presence::Gone,
            None => Presence::Unreported,
        }
    }

    /// Whether the session is closed or gone.
    pub(super) fn is_over(&self, key: &str) -> bool {
        match self.presence(key) {
            Presence::Known(session) => session.status == Status::Closed,
            Presence::Gone => true,
            Presence::Unreported => false,
        }
    }

    /// True if the command line names the sessions, and all of them are closed or gone.
    pub(super) fn are_over(&self) -> bool {
        self.are_named() && self.keys().all(|key| self.is_over(key))
    }

    /// True if the session belongs to the target.
    pub(super) fn contains(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    /// Gone sessions no longer belong to the target, unless the command line names them. One that opens again counts as
    /// new.
    pub(super) fn forget_gone(&mut self) {
        if self.membership.is_some() {
            let gone = std::mem::take(&mut self.gone);
            self.keys.retain(|key, _| !gone.contains(key));
        }
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
