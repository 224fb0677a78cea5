//! What of a session outlives the daemon, and how it continues.
//!
//! A line has all facts but these: the history, the evidence, the steps of the turn, and what rarely changes. Of the first
//! three it has what is new since the line before; the rest only where it has changed otherwise. What follows from the
//! facts follows again. Called by [`crate::core::saved`].

use std::collections::VecDeque;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::Session;
use super::files::OwnFiles;
use crate::core::evidence::EvidenceEntry;
use crate::core::turn::reorder::{ReorderBuffer, Step};
use crate::core::{Now, Settings};
use crate::event::Timing;
use crate::limits::Account;
use crate::protocol::Transition;

/// A session, as it is written.
#[derive(Serialize)]
pub(crate) struct WrittenSession<'a> {
    facts: &'a Session,
    history: History<&'a Transition>,
    evidence: Vec<&'a EvidenceEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<&'a (u64, Step)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rest: Option<WrittenRest<'a>>,
}

/// The transitions since the line before, and how many are kept in all.
#[derive(Debug, Serialize, Deserialize)]
struct History<T> {
    length: usize,
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    new: Vec<T>,
}

/// What few lines have.
#[derive(Serialize)]
struct WrittenRest<'a> {
    account: Option<&'a Account>,
    timing: Timing,
    turns: &'a ReorderBuffer,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<&'a OwnFiles>,
}

/// The same, as it is read.
#[derive(Debug, Deserialize)]
pub(crate) struct SavedSession {
    facts: Session,
    /// `None`: the facts have it.
    history: Option<History<Transition>>,
    evidence: Vec<EvidenceEntry>,
    #[serde(default)]
    steps: Vec<(u64, Step)>,
    rest: Option<SavedRest>,
    /// Of the lines before.
    #[serde(skip)]
    account: Option<Account>,
}

#[derive(Debug, Deserialize)]
struct SavedRest {
    account: Option<Account>,
    timing: Timing,
    turns: ReorderBuffer,
    #[serde(default)]
    files: Option<Box<OwnFiles>>,
}

impl SavedSession {
    pub(crate) fn key(&self) -> &str {
        self.facts.key()
    }

    /// The number of the last notification about it.
    pub(crate) fn changed_seq(&self) -> u64 {
        self.facts.changed_seq
    }

    /// As [`Session::clock_was_set`].
    pub(crate) fn clock_was_set(&mut self, by: i64, now: Now) {
        self.facts.clock_was_set(by, now);
    }

    /// Continues what the lines before have said.
    pub(crate) fn follow(&mut self, before: Option<Box<Self>>) {
        let facts = &mut self.facts;
        let mut history = VecDeque::new();
        if let Some(before) = before {
            history = before.facts.committed.history;
            facts.evidence.log = before.facts.evidence.log;
            facts.turns = before.facts.turns;
            facts.timing = before.facts.timing;
            facts.own_files = before.facts.own_files;
            self.account = before.account;
        }
        if let Some(History { length, new }) = self.history.take() {
            history.extend(new);
            history.drain(..history.len().saturating_sub(length));
            facts.committed.history = history;
        }
        for entry in self.evidence.drain(..) {
            facts.evidence.log.push(entry);
        }
        if let Some(rest) = self.rest.take() {
            facts.turns = rest.turns;
            facts.timing = rest.timing;
            facts.own_files = rest.files;
            self.account = rest.account;
        }
        for (at, step) in self.steps.drain(..) {
            // It was in time when it was saved.
            let _ = facts.turns.insert(at, step, facts.timing);
        }
    }

    /// The session, completed by what follows from its facts at `now`. `account`: the one that it draws on, as it is
    /// known now.
    pub(crate) fn restored(
        self,
        account: impl FnOnce(Account) -> Rc<Account>,
        now: Now,
        settings: Settings,
    ) -> Session {
        let mut session = self.facts;
        session.description.account = self.account.map(account);
        // A file that says otherwise is wrong.
        session.sign.uptime_ms = session.sign.uptime_ms.min(now.uptime_ms);
        if !settings.record_prompts {
            session.forget_prompts();
        }
        if settings.quiet_after_ms.is_none() {
            session.forget_quiet();
        }
        session.committed.attention = session.attention(session.status().0, settings.attention);
        session.arm(now, settings);
        session
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.facts.is_closed()
    }
}

impl Session {
    /// True if something has come in that is not saved yet, whether or not it has changed the record.
    pub(crate) fn has_unsaved(&self) -> bool {
        self.evidence.log.has_unsaved() || self.turns.has_unsaved()
    }

    /// What is not saved yet; with `all`, everything. It counts as saved from now on.
    pub(crate) fn take_unsaved(&mut self, all: bool) -> WrittenSession<'_> {
        let evidence = self.evidence.log.take_unsaved();
        let transitions = std::mem::take(&mut self.committed.unsaved);
        let steps = self.turns.take_unsaved();
        let (steps, is_whole) = match steps.filter(|_| !all) {
            Some(count) => (count, false),
            None => (0, true),
        };
        let history = &self.committed.history;
        let new = if all { history.len() } else { transitions };
        let known = history.len().saturating_sub(new);
        WrittenSession {
            history: History {
                length: history.len(),
                new: history.iter().skip(known).collect(),
            },
            evidence: {
                let log = &self.evidence.log;
                log.last(if all { usize::MAX } else { evidence }).collect()
            },
            steps: self.turns.last(steps).collect(),
            rest: is_whole.then_some(WrittenRest {
                account: self.description.account.as_deref(),
                timing: self.timing,
                turns: &self.turns,
                files: self.own_files.as_deref(),
            }),
            facts: self,
        }
    }

    /// True if its agent's registry has an entry of it, as far as is known.
    pub(crate) fn is_in_registry(&self) -> bool {
        self.evidence.registry.is_some() && !self.registry_removed && self.ended.is_none()
    }
}
