//! The sessions: one plain map, found by key, by the agent's id or by a unique prefix, and bounded.
//!
//! Owns the map and the counts that follow from it; knows nothing of messages, clients or time-outs. Called by
//! [`super::Core`] only.

use std::collections::HashMap;

use super::session::Session;
use crate::os::process::ProcessId;
use crate::protocol::{Counts, Status};

/// The most sessions remembered: at under 1 KB each, what a machine with a script gone wild may cost.
pub const MAX_SESSIONS: usize = 100_000;

/// The most closed sessions remembered; the one closed longest ago goes first.
pub const MAX_CLOSED: usize = 100;

/// The shortest prefix, in characters, by which `session.set` finds a session: a shorter name is more likely a new one.
pub const SET_PREFIX: usize = 8;

/// What a name stands for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The key of the one session it names.
    One(Box<str>),
    /// No session.
    None,
    /// How many sessions it could name.
    Many(usize),
}

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Store {
    sessions: HashMap<Box<str>, Session>,
    /// Sessions that are not closed and whose process is watched.
    watched: usize,
    closed: usize,
}

impl Store {
    /// The session of this key.
    pub(crate) fn get(&self, key: &str) -> Option<&Session> {
        self.sessions.get(key)
    }

    /// Changes the session of this key, which `change` finds or makes, and keeps the counts. `None` from `make`
    /// leaves everything as it was.
    pub(crate) fn update<T>(
        &mut self,
        key: &str,
        make: impl FnOnce() -> Option<Session>,
        change: impl FnOnce(&mut Session) -> T,
    ) -> Option<T> {
        if !self.sessions.contains_key(key) {
            self.sessions.insert(key.into(), make()?);
        } else if let Some(session) = self.sessions.get(key) {
            self.watched -= usize::from(!session.is_closed() && session.watched().is_some());
            self.closed -= usize::from(session.is_closed());
        }
        let session = self.sessions.get_mut(key)?;
        let result = change(session);
        self.watched += usize::from(!session.is_closed() && session.watched().is_some());
        self.closed += usize::from(session.is_closed());
        Some(result)
    }

    /// Forgets the session of this key.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Session> {
        let session = self.sessions.remove(key)?;
        self.watched -= usize::from(!session.is_closed() && session.watched().is_some());
        self.closed -= usize::from(session.is_closed());
        Some(session)
    }

    /// What `name` stands for: a key, an id that a session has, one that it had, or a prefix of a key or id, in this
    /// order. Open sessions go before closed ones.
    pub(crate) fn find(&self, name: &str) -> Found {
        self.find_or(name, |session| session.has_prefix(name))
    }

    /// The same for `session.set`, which takes an unknown name for a new session's: so a prefix has to be long, and
    /// stands for an agent's session only, not for that of a script whose name begins with another script's.
    pub(crate) fn find_to_set(&self, name: &str) -> Found {
        let long = name.chars().count() >= SET_PREFIX;
        self.find_or(name, |session| {
            long && session.is_agents() && session.has_prefix(name)
        })
    }

    fn find_or(&self, name: &str, has_prefix: impl Fn(&Session) -> bool) -> Found {
        if let Some(session) = self.sessions.get(name) {
            return Found::One(session.key().into());
        }
        let mut found = self.pick(|session| session.has_id(name));
        if found == Found::None {
            found = self.pick(|session| session.had_id(name));
        }
        if found == Found::None {
            found = self.pick(has_prefix);
        }
        found
    }

    fn pick(&self, matches: impl Fn(&Session) -> bool) -> Found {
        let (mut open, mut all) = (Vec::new(), Vec::new());
        for session in self.sessions.values().filter(|session| matches(session)) {
            all.push(session);
            if !session.is_closed() {
                open.push(session);
            }
        }
        match (&*open, &*all) {
            ([one], _) | ([], [one]) => Found::One(one.key().into()),
            ([], []) => Found::None,
            ([], many) | (many, _) => Found::Many(many.len()),
        }
    }

    /// The key of the session of this agent and id that began last.
    pub(crate) fn last_of(&self, agent: &str, id: &str) -> Option<Box<str>> {
        let of = self
            .iter()
            .filter(|session| session.agent() == agent && session.has_id(id));
        of.max_by_key(|session| (session.started_at(), session.key()))
            .map(|session| session.key().into())
    }

    /// Every session, by start, oldest first.
    pub(crate) fn sorted(&self, closed_too: bool) -> Vec<&Session> {
        let mut sessions: Vec<_> = self
            .iter()
            .filter(|session| closed_too || !session.is_closed())
            .collect();
        sessions.sort_by(|a, b| (a.started_at(), a.key()).cmp(&(b.started_at(), b.key())));
        sessions
    }

    /// Every session, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values()
    }

    /// Every key, in no order.
    pub(crate) fn keys(&self) -> Vec<Box<str>> {
        self.sessions.keys().cloned().collect()
    }

    /// The keys of the open sessions of this process.
    pub(crate) fn keys_of(&self, process: ProcessId) -> Vec<Box<str>> {
        let of = self
            .iter()
            .filter(|session| !session.is_closed() && session.watched() == Some(process));
        of.map(|session| session.key().into()).collect()
    }

    /// The key of the session that was closed longest ago, if more are closed than may be.
    pub(crate) fn excess(&self) -> Option<Box<str>> {
        if self.closed <= MAX_CLOSED {
            return None;
        }
        let closed = self.iter().filter(|session| session.is_closed());
        closed
            .min_by_key(|session| (session.ended_at(), session.key()))
            .map(|session| session.key().into())
    }

    /// How many sessions are neither closed nor without a process to watch.
    pub(crate) fn watched(&self) -> usize {
        self.watched
    }

    /// How many sessions are closed.
    #[cfg(test)]
    pub(crate) fn closed(&self) -> usize {
        self.closed
    }

    pub(crate) fn is_full(&self) -> bool {
        self.sessions.len() >= MAX_SESSIONS
    }

    /// How many sessions are in each status.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for session in self.iter() {
            *match session.status().0 {
                Status::Working => &mut counts.working,
                Status::Waiting => &mut counts.waiting,
                Status::Idle => &mut counts.idle,
                Status::Error => &mut counts.error,
                // `Unknown` is refused where it could come in.
                Status::Closed | Status::Unknown => &mut counts.closed,
            } += 1;
        }
        counts
    }
}
