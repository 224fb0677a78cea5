//! When a wait is over. Pure.

use super::What;
use super::sessions::{Presence, Sessions, Target};
use crate::format;
use crate::format::status::attention_order;
use crate::protocol::Status;

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

/// A wait, and the sessions that it is about.
#[derive(Debug)]
pub(super) struct Wait {
    what: What,
    /// One session is enough.
    any: bool,
    pub(super) sessions: Sessions,
}

impl Wait {
    pub(super) fn new(what: What, target: Target) -> Self {
        Self {
            what,
            any: matches!(target, Target::AnySession | Target::AnyOf(_)),
            sessions: Sessions::new(target),
        }
    }

    /// The wanted state.
    pub(super) fn what(&self) -> What {
        self.what
    }

    /// Whether the session is in the wanted state.
    pub(super) fn holds(&self, key: &str) -> bool {
        let status = match self.sessions.presence(key) {
            Presence::Known(session) if self.what == What::Attention => return session.attention,
            Presence::Known(session) => session.status,
            Presence::Gone => Status::Closed,
            Presence::Unreported => return false,
        };
        self.what.includes(status)
    }

    /// Whether the session is over and not in the wanted state.
    fn is_impossible(&self, key: &str) -> bool {
        self.sessions.is_over(key) && !self.holds(key)
    }

    /// Whether the wait is over.
    pub(super) fn verdict(&self) -> Verdict {
        let mut waited: Vec<_> = self.sessions.keys().collect();
        // In the order of `list`; sessions that are gone last.
        waited.sort_by(|a, b| match (self.sessions.get(a), self.sessions.get(b)) {
            (Some(a), Some(b)) => attention_order(a, b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        let over: Vec<_> = waited
            .iter()
            .copied()
            .filter(|key| self.is_impossible(key))
            .collect();
        if !self.sessions.are_named() {
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
            if self.sessions.are_named() && over.len() == waited.len() {
                return Verdict::Never(self.impossible_message(&over));
            }
        } else if holding.len() == waited.len() && (over.is_empty() || !waited.is_empty()) {
            return owned(&holding);
        } else if !over.is_empty() && (self.sessions.are_named() || waited.is_empty()) {
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
        if self.sessions.may_grow() {
            return String::new();
        }
        let not_yet = self
            .sessions
            .keys()
            .filter(|key| !self.holds(key) && !self.is_impossible(key));
        let mut words: Vec<_> = not_yet
            .map(|key| {
                let state = match self.sessions.presence(key) {
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

#[cfg(test)]
mod tests;
