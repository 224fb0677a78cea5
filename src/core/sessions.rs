//! The sessions: one map, found by key, by the agent's id or by a unique prefix, and bounded.
//!
//! Owns the map, the counts that follow from it, and which sessions have changed since the last publication. A change
//! is noted in one place, [`Sessions::upsert`]. Knows nothing of requests, clients or the daemon's end. Called by
//! [`super::Core`] only.

mod episodes;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

pub(crate) use self::episodes::EpisodeChange;
use super::feed::Feed;
use super::names::Names;
use super::session::Session;
use super::timers::Timers;
use super::{AttentionRules, Effect, Now, Settings};
use crate::os::process::ProcessId;
use crate::protocol::{Counts, SET_PREFIX, SessionGroup, Status};

/// The most sessions remembered: at under 1 KB each, what a machine with a script gone wild may cost.
pub(crate) const MAX_SESSIONS: usize = 100_000;

/// The most closed sessions remembered; the one closed longest ago goes first.
pub(crate) const MAX_CLOSED: usize = 100;

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

/// When a session changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// By the stamp of the evidence, in ms since the epoch.
    pub(crate) at: u64,
    /// By the daemon's clocks.
    pub(crate) now: Now,
    /// How many transitions a session keeps, when it is quiet.
    pub(crate) settings: Settings,
}

/// What a change meant for the sessions without a process to watch, which decide how long the daemon stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touched {
    /// It was about none.
    Nothing,
    /// It was about one.
    Unwatched,
    /// One has ended, or has a process now.
    LastOfUnwatched,
}

/// What subscribers do not know yet, or the file does not have yet.
#[derive(Debug)]
pub(crate) enum Change {
    Changed(Box<str>),
    Removed(Box<str>),
}

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// Boxed: a table that grows has up to twice as many places as sessions, and moves each.
    by_key: HashMap<Box<str>, Box<Session>>,
    /// Of the agents' sessions; a script's has no name but its key.
    names: Names,
    /// Sessions that are not closed and whose process is watched.
    watched: usize,
    closed: usize,
    /// Sessions that need a person.
    needing: usize,
    /// What [`super::reminders`] does not know yet, in order.
    episode_changes: Vec<EpisodeChange>,
    /// In the order of the first change of each.
    unpublished: Vec<Change>,
    /// What was published and is not saved yet; empty unless the state outlives the daemon.
    unsaved: Vec<Change>,
}

impl Sessions {
    /// The session of this key.
    pub(crate) fn get(&self, key: &str) -> Option<&Session> {
        self.by_key.get(key).map(|session| &**session)
    }

    /// Changes the session of this key, or makes it, and does all that follows: commits the new status, watches its
    /// process or ends that, moves its timer, notes it for publication, removes the oldest closed session beyond the
    /// bound. `change` returns false if it changed nothing; `None` from `make` leaves everything as it was.
    pub(crate) fn upsert(
        &mut self,
        key: &str,
        moment: Moment,
        timers: &mut Timers,
        feed: &mut Feed,
        make: impl FnOnce() -> Option<Session>,
        change: impl FnOnce(&mut Session) -> bool,
    ) -> Touched {
        let was_unwatched = self.get(key).is_some_and(Session::is_unwatched);
        let outcome = self.update(key, make, |session| {
            let before = (session.watches(), session.timeout_ms());
            let changed = change(session);
            let is_sign = changed && session.commit_status(moment.at, moment.now, moment.settings);
            if changed {
                session.follow_attention(moment.now, moment.settings.reminders);
            }
            let after = (session.watches(), session.timeout_ms());
            let is_first = changed && !std::mem::replace(&mut session.is_unpublished, changed);
            let is_unwatched = session.is_unwatched();
            // What changes nothing that subscribers know may still be evidence.
            let is_silent = !changed && moment.settings.persist && session.has_unsaved();
            let is = (is_first, is_sign, is_unwatched, is_silent);
            (changed, before, after, is)
        });
        let Some((changed, before, after, is)) = outcome else {
            return Touched::Nothing;
        };
        let (is_first, is_sign, is_unwatched, is_silent) = is;
        if is_silent {
            self.unsaved.push(Change::Changed(key.into()));
        }
        if !changed {
            return Touched::Nothing;
        }
        timers.set_session(key, before.1, after.1);
        for process in before.0.into_iter().flatten() {
            if !after.0.contains(&Some(process)) {
                self.end_watch(process, feed);
            }
        }
        for process in after.0.into_iter().flatten() {
            if !before.0.contains(&Some(process)) {
                feed.push(Effect::Watch(process));
            }
        }
        if is_first {
            self.unpublished.push(Change::Changed(key.into()));
        }
        if let Some(oldest) = self.excess() {
            // A closed session: nothing waits for it.
            self.remove(&oldest, timers, feed);
        }
        if !is_sign {
            Touched::Nothing
        } else if is_unwatched {
            Touched::Unwatched
        } else if was_unwatched {
            Touched::LastOfUnwatched
        } else {
            Touched::Nothing
        }
    }

    /// Removes the session of this key.
    pub(crate) fn remove(&mut self, key: &str, timers: &mut Timers, feed: &mut Feed) -> Touched {
        let Some(session) = self.by_key.remove(key) else {
            return Touched::Nothing;
        };
        self.uncount(&session);
        self.note_episode(key, session.episode(), None);
        self.names.replace(key, session.names(), std::iter::empty());
        timers.set_session(key, session.timeout_ms(), None);
        for process in session.watches().into_iter().flatten() {
            self.end_watch(process, feed);
        }
        if session.is_unpublished {
            let of_key = |change: &Change| matches!(change, Change::Changed(of) if **of == *key);
            self.unpublished.retain(|change| !of_key(change));
        }
        self.unpublished.push(Change::Removed(key.into()));
        if session.is_unwatched() {
            Touched::LastOfUnwatched
        } else {
            Touched::Nothing
        }
    }

    /// Notifies the subscribers of each session that has changed or was removed since the last time. `rules`: when one
    /// needs a person. With `persist`, [`Self::take_unsaved`] has them next.
    pub(crate) fn publish(&mut self, rules: AttentionRules, persist: bool, feed: &mut Feed) {
        for change in self.unpublished.drain(..) {
            match &change {
                Change::Changed(key) => {
                    if let Some(session) = self.by_key.get_mut(key) {
                        session.is_unpublished = false;
                        session.changed_seq =
                            feed.session_changed(|form, seq| session.change(form, seq, rules));
                        session.was_published(feed.has_brief_subscribers());
                    }
                }
                Change::Removed(key) => feed.removed(key.clone()),
            }
            if persist {
                self.unsaved.push(change);
            }
        }
    }

    /// What is not saved yet. It counts as saved from now on.
    pub(crate) fn take_unsaved(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.unsaved)
    }

    /// The session of this key, to be saved.
    pub(crate) fn get_to_save(&mut self, key: &str) -> Option<&mut Session> {
        self.by_key.get_mut(key).map(|session| &mut **session)
    }

    /// Every session, to be saved.
    pub(crate) fn all_to_save(&mut self) -> impl Iterator<Item = &mut Session> {
        self.by_key.values_mut().map(|session| &mut **session)
    }

    /// Adds a session that was saved. Its processes are not watched yet.
    pub(crate) fn restore(
        &mut self,
        session: Session,
        now: Now,
        settings: Settings,
        timers: &mut Timers,
    ) {
        let key: Box<str> = session.key().into();
        timers.set_session(&key, None, session.timeout_ms());
        self.update(&key, || Some(session), |_| ());
        // The rules may be others than when it was saved.
        self.update(
            &key,
            || None,
            |session| session.follow_attention(now, settings.reminders),
        );
    }

    /// The wall clock was set by so many ms: every moment of every session moves with it.
    pub(crate) fn clock_was_set(&mut self, by: i64, now: Now, timers: &mut Timers) {
        let mut keys = self.keys();
        keys.sort_unstable();
        for key in keys {
            let Some(session) = self.by_key.get_mut(&key) else {
                continue;
            };
            let before = session.timeout_ms();
            session.clock_was_set(by, now);
            timers.set_session(&key, before, session.timeout_ms());
            if !std::mem::replace(&mut session.is_unpublished, true) {
                self.unpublished.push(Change::Changed(key));
            }
        }
    }

    /// This process of the session can't be watched after all.
    pub(crate) fn unwatch(&mut self, key: &str, process: ProcessId) {
        self.update(key, || None, |session| session.unwatch(process));
    }

    /// Moves the timer of this session after the settings have changed.
    pub(crate) fn rearm(
        &mut self,
        key: &str,
        now_ms: u64,
        settings: Settings,
        timers: &mut Timers,
    ) {
        if let Some(session) = self.by_key.get_mut(key) {
            let before = session.timeout_ms();
            session.arm_quiet(now_ms, settings);
            timers.set_session(key, before, session.timeout_ms());
        }
    }

    /// The watched processes of open sessions, each once: if there are more than `most`, those of the sessions that have
    /// changed last.
    pub(crate) fn watched_processes(&self, most: usize) -> Vec<ProcessId> {
        let watched = |session: &Session| {
            let process = session.watched_while_open()?;
            Some((Reverse(session.touched_ms()), process))
        };
        let mut watched: Vec<_> = self.iter().filter_map(watched).collect();
        watched.sort_unstable_by_key(|(touched, process)| (*touched, process.pid, process.start));
        let mut seen = HashSet::new();
        let processes = watched.into_iter().map(|(_, process)| process);
        let once = processes.filter(|process| seen.insert(*process));
        once.take(most).collect()
    }

    /// The keys of the open sessions that are known otherwise than their process was seen, with what was seen: whether it
    /// is stopped.
    pub(crate) fn seen_otherwise(&self, processes: &[(ProcessId, bool)]) -> Vec<(Box<str>, bool)> {
        let seen: HashMap<_, _> = processes.iter().copied().collect();
        let otherwise = |session: &Session| {
            let stopped = *seen.get(&session.watched_while_open()?)?;
            (session.is_stopped() != stopped).then(|| (session.key().into(), stopped))
        };
        self.iter().filter_map(otherwise).collect()
    }

    /// Ends the watch of a process, unless another open session is of the same one.
    fn end_watch(&self, process: ProcessId, feed: &mut Feed) {
        if self.open_keys_of(process).is_empty() {
            feed.push(Effect::Unwatch(process));
        }
    }

    /// Changes the session of this key, or makes it, and keeps the counts.
    fn update<T>(
        &mut self,
        key: &str,
        make: impl FnOnce() -> Option<Session>,
        change: impl FnOnce(&mut Session) -> T,
    ) -> Option<T> {
        let mut names = Vec::new();
        let mut episode = None;
        if !self.by_key.contains_key(key) {
            self.by_key.insert(key.into(), Box::new(make()?));
        } else if let Some(session) = self.by_key.get(key) {
            self.watched -= usize::from(session.watched_while_open().is_some());
            self.closed -= usize::from(session.is_closed());
            self.needing -= usize::from(session.needs_person());
            names.extend(session.names().map(Box::<str>::from));
            episode = session.episode();
        }
        let session = self.by_key.get_mut(key)?;
        let result = change(session);
        let before = names.iter().map(|name| &**name);
        if !session.names().eq(before.clone()) {
            self.names.replace(key, before, session.names());
        }
        self.watched += usize::from(session.watched_while_open().is_some());
        self.closed += usize::from(session.is_closed());
        self.needing += usize::from(session.needs_person());
        let now = session.episode();
        self.note_episode(key, episode, now);
        Some(result)
    }

    fn uncount(&mut self, session: &Session) {
        self.watched -= usize::from(session.watched_while_open().is_some());
        self.closed -= usize::from(session.is_closed());
        self.needing -= usize::from(session.needs_person());
    }

    /// What `name` stands for: a key, an id that a session has, one that it had, or a prefix of a key or id, in this
    /// order. Open sessions go before closed ones.
    pub(crate) fn find(&self, name: &str) -> Found {
        match self.find_whole(name) {
            Found::None => pick(self.iter().filter(|session| session.has_prefix(name))),
            found => found,
        }
    }

    /// The same for `session.set`, which takes an unknown name for a new session's: so a prefix has to be long, and
    /// stands only for an open session of an agent, and for one that it cannot but mean. A script may have the name of
    /// an agent, and a name that begins with another script's.
    pub(crate) fn find_to_set(&self, name: &str) -> Found {
        match self.find_whole(name) {
            Found::None if name.chars().count() >= SET_PREFIX => {
                let named: BTreeSet<_> = self.names.keys_of_prefix(name).collect();
                let sessions = named.into_iter().filter_map(|key| self.get(key));
                let is_meant =
                    |session: &&Session| !session.is_closed() && session.has_own_prefix(name);
                pick(sessions.filter(is_meant))
            }
            found => found,
        }
    }

    /// What a whole name stands for.
    fn find_whole(&self, name: &str) -> Found {
        if self.by_key.contains_key(name) {
            return Found::One(name.into());
        }
        match pick(self.named(name).filter(|session| session.has_id(name))) {
            Found::None => pick(self.named(name).filter(|session| session.had_id(name))),
            found => found,
        }
    }

    /// The agents' sessions of this whole name.
    fn named(&self, name: &str) -> impl Iterator<Item = &Session> {
        let keys = self.names.keys_of(name);
        keys.filter_map(|key| self.get(key))
    }

    /// The index of names.
    #[cfg(test)]
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// The key of the session of this agent and id that began last.
    pub(crate) fn last_of(&self, agent: &str, id: &str) -> Option<Box<str>> {
        let of = self
            .named(id)
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
        self.by_key.values().map(|session| &**session)
    }

    /// Every key, in no order.
    pub(crate) fn keys(&self) -> Vec<Box<str>> {
        self.by_key.keys().cloned().collect()
    }

    /// The keys of the open sessions of this process.
    pub(crate) fn open_keys_of(&self, process: ProcessId) -> Vec<Box<str>> {
        let of = self
            .iter()
            .filter(|session| session.watches().contains(&Some(process)));
        of.map(|session| session.key().into()).collect()
    }

    /// The key of the session that was closed longest ago, if more are closed than may be.
    fn excess(&self) -> Option<Box<str>> {
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

    /// True if a session needs a person.
    pub(crate) fn need_person(&self) -> bool {
        self.needing > 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.by_key.len() >= MAX_SESSIONS
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

    /// How many open sessions of each agent look alike, by agent. `rules`: when a person is needed.
    pub(crate) fn groups(&self, rules: AttentionRules) -> Vec<SessionGroup<'_>> {
        // There are few groups: to find one takes less than to hash its key.
        let mut groups = BTreeMap::new();
        for session in self.iter().filter(|session| !session.is_closed()) {
            let status = session.status().0;
            let attention = session.attention(status, rules);
            let (agent, stopped) = (session.agent(), session.is_stopped());
            let group = groups.entry((agent, status as u8, attention, stopped));
            let group = group.or_insert(SessionGroup {
                agent: Cow::Borrowed(agent),
                status,
                attention,
                stopped,
                count: 0,
            });
            group.count += 1;
        }
        groups.into_values().collect()
    }
}

/// Of sessions with the same name or prefix, the only one: the only open one, if there is one.
fn pick<'a>(sessions: impl Iterator<Item = &'a Session>) -> Found {
    let (mut open, mut all) = (Vec::new(), Vec::new());
    for session in sessions {
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
