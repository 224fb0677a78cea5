//! When a wait is over: pure, but for looking up processes.

use std::collections::{BTreeMap, BTreeSet};

use super::What;
use crate::client::Told;
use crate::client::mirror::Mirror;
use crate::format;
use crate::format::status::by_need;
use crate::os::process::{self, ProcessId};
use crate::protocol::{SessionRecord, Status};

/// Whom to wait for.
#[derive(Debug)]
pub(super) enum Whom {
    /// Whoever is open or will be.
    Anyone,
    /// All that are open at the beginning, together.
    EveryOpen,
    /// One of these.
    OneOf(Vec<SessionRecord<'static>>),
    /// All of these, together.
    EachOf(Vec<SessionRecord<'static>>),
}

/// Whether it is time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not yet.
    Pending,
    /// These are as asked.
    True(Vec<String>),
    /// It cannot come true any more; why.
    Never(String),
}

/// How it stands with one session.
enum Stand<'a> {
    Known(&'a SessionRecord<'static>),
    /// It was removed, or its process ended while the daemon was away: as good as closed.
    Gone,
    /// The daemon does not know it: it was started anew, and nobody has told it of the session yet.
    Unheard,
}

/// A wait as far as it has come.
#[derive(Debug)]
pub(super) struct Wait {
    what: What,
    /// One is enough.
    one: bool,
    /// The keys were not named: they are those that are found open.
    found: Option<Found>,
    /// Whom to wait for; each with its process, if that can be seen from here.
    keys: BTreeMap<String, Option<ProcessId>>,
    /// Those of them that are gone.
    gone: BTreeSet<String>,
    mirror: Mirror,
    begun: bool,
}

/// Which of the sessions that are open are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Those of the first snapshot.
    AtFirst,
    /// All that ever come.
    Ever,
}

impl Wait {
    pub(super) fn new(what: What, whom: Whom) -> Self {
        let (one, found, named) = match whom {
            Whom::Anyone => (true, Some(Found::Ever), Vec::new()),
            Whom::EveryOpen => (false, Some(Found::AtFirst), Vec::new()),
            Whom::OneOf(sessions) => (true, None, sessions),
            Whom::EachOf(sessions) => (false, None, sessions),
        };
        Self {
            what,
            one,
            found,
            keys: named.iter().map(entry).collect(),
            gone: BTreeSet::new(),
            mirror: Mirror::default(),
            begun: false,
        }
    }

    /// Whether the first snapshot has been taken in.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Takes in what the daemon told.
    pub(super) fn take(&mut self, told: Told) {
        let removed = match &told {
            Told::Removed(removed) => Some(removed.key.to_string()),
            _ => None,
        };
        let is_snapshot = matches!(told, Told::Snapshot(_));
        self.mirror.apply(told);
        if let Some(key) = removed.filter(|key| self.keys.contains_key(key)) {
            self.gone.insert(key);
        }
        self.gone.retain(|key| self.mirror.get(key).is_none());
        if is_snapshot {
            self.miss();
        }
        match self.found {
            Some(Found::AtFirst) if self.begun => {}
            Some(_) => {
                let open = |session: &&SessionRecord<'_>| session.status != Status::Closed;
                for session in self.mirror.sessions().filter(open) {
                    if !self.keys.contains_key(&*session.key) {
                        self.keys.extend([entry(session)]);
                    }
                }
            }
            None => {}
        }
        self.begun = true;
    }

    /// Finds out what became of those that a snapshot lacks. One of the daemon that named them: they were removed. One
    /// of a daemon that was started anew: it knows only what it has been told of since.
    fn miss(&mut self) {
        for (key, process) in &self.keys {
            let over = !self.begun || process.is_some_and(|process| !runs(process));
            if over && self.mirror.get(key).is_none() {
                self.gone.insert(key.clone());
            }
        }
    }

    /// The session as it is known; `None`: it is gone.
    pub(super) fn session(&self, key: &str) -> Option<&SessionRecord<'static>> {
        self.mirror.get(key)
    }

    fn stand(&self, key: &str) -> Stand<'_> {
        match self.mirror.get(key) {
            Some(session) => Stand::Known(session),
            None if self.gone.contains(key) => Stand::Gone,
            None => Stand::Unheard,
        }
    }

    /// Whether it is as asked.
    fn holds(&self, key: &str) -> bool {
        let status = match self.stand(key) {
            Stand::Known(session) if self.what == What::Attention => return session.attention,
            Stand::Known(session) => session.status,
            Stand::Gone => Status::Closed,
            Stand::Unheard => return false,
        };
        match self.what {
            What::Attention => false,
            What::Idle => matches!(status, Status::Idle | Status::Error | Status::Closed),
            What::Waiting => status == Status::Waiting,
            What::Closed => status == Status::Closed,
        }
    }

    /// Whether it is over without having been as asked.
    fn hopeless(&self, key: &str) -> bool {
        let over = match self.stand(key) {
            Stand::Known(session) => session.status == Status::Closed,
            Stand::Gone => true,
            Stand::Unheard => false,
        };
        over && !self.holds(key)
    }

    /// Whether it is time.
    pub(super) fn verdict(&self) -> Verdict {
        let mut waited: Vec<_> = self.keys.keys().map(String::as_str).collect();
        // Those that are known, as `list` has them; those that are gone last.
        waited.sort_by(|a, b| match (self.mirror.get(a), self.mirror.get(b)) {
            (Some(a), Some(b)) => by_need(a, b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        let over: Vec<_> = waited
            .iter()
            .copied()
            .filter(|key| self.hopeless(key))
            .collect();
        if self.found.is_some() {
            // Who was not named and goes is not missed.
            waited.retain(|key| !self.hopeless(key));
        }
        let holding: Vec<_> = waited
            .iter()
            .copied()
            .filter(|key| self.holds(key))
            .collect();
        let owned = |keys: &[&str]| Verdict::True(keys.iter().map(|key| (*key).into()).collect());
        if self.one {
            if let Some(first) = holding.first() {
                return owned(&[first]);
            }
            if self.found.is_none() && over.len() == waited.len() {
                return Verdict::Never(self.in_vain(&over));
            }
        } else if holding.len() == waited.len() && (over.is_empty() || !waited.is_empty()) {
            return owned(&holding);
        } else if !over.is_empty() && (self.found.is_none() || waited.is_empty()) {
            return Verdict::Never(self.in_vain(&over));
        }
        Verdict::Pending
    }

    fn in_vain(&self, over: &[&str]) -> String {
        let what = match self.what {
            What::Attention => "need a person",
            What::Idle | What::Waiting | What::Closed => "wait for a person",
        };
        let keys: Vec<_> = over.iter().map(|key| format::plain(key)).collect();
        let is = if keys.len() == 1 { "is" } else { "are" };
        format!(
            "{} {is} closed and will not {what}; `agent-console list` shows who is open",
            keys.join(", ")
        )
    }

    /// How it stands with those that are not as asked, for a person who has waited in vain.
    pub(super) fn still(&self) -> String {
        /// More would be no message.
        const NAMED: usize = 3;
        if self.found == Some(Found::Ever) {
            return String::new();
        }
        let not_yet = self
            .keys
            .keys()
            .filter(|key| !self.holds(key) && !self.hopeless(key));
        let mut words: Vec<_> = not_yet
            .map(|key| {
                let stand = match self.stand(key) {
                    Stand::Known(session) => format::status(session),
                    Stand::Gone | Stand::Unheard => {
                        "not heard of since the daemon's restart".into()
                    }
                };
                format!("{} is {stand}", format::plain(key))
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

fn entry(session: &SessionRecord<'_>) -> (String, Option<ProcessId>) {
    let process = session
        .pid
        .zip(session.process_start)
        .map(|(pid, start)| ProcessId { pid, start });
    // One of another pid namespace, or of another machine, cannot be asked after.
    (
        session.key.to_string(),
        process.filter(|process| runs(*process)),
    )
}

fn runs(process: ProcessId) -> bool {
    process::inspect(process.pid).is_ok_and(|found| found.id == process && !found.zombie)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::{SessionChanged, Snapshot};

    fn session(key: &str, status: &str) -> SessionRecord<'static> {
        serde_json::from_value(json!({
            "key": key, "agent": "x", "status": status, "attention": status == "waiting", "since": 1,
            "started_at": 1,
        }))
        .unwrap()
    }

    fn snapshot(seq: u64, sessions: &[(&str, &str)]) -> Told {
        let sessions = sessions.iter().map(|(key, status)| session(key, status));
        Told::Snapshot(Snapshot {
            usage: None,
            seq,
            sessions: sessions.collect(),
            notices: Vec::new(),
        })
    }

    /// What comes of a first snapshot and changes after it.
    fn verdict(mut wait: Wait, first: &[(&str, &str)], then: &[(&str, &str)]) -> Verdict {
        wait.take(snapshot(0, first));
        for (seq, (key, status)) in (1..).zip(then) {
            assert_eq!(wait.verdict(), Verdict::Pending, "before {key} {status}");
            wait.take(Told::Changed(Box::new(SessionChanged {
                seq,
                session: session(key, status),
            })));
        }
        wait.verdict()
    }

    fn these(keys: &[&str]) -> Vec<SessionRecord<'static>> {
        keys.iter().map(|key| session(key, "working")).collect()
    }

    #[test]
    fn anyone_is_whoever_was_seen_open() {
        let wait = |what| Wait::new(what, Whom::Anyone);
        let yes = |key: &str| Verdict::True(vec![key.into()]);
        let over = [("old", "closed")];
        assert_eq!(verdict(wait(What::Closed), &over, &[]), Verdict::Pending);
        let then = [("new", "working"), ("new", "closed")];
        assert_eq!(verdict(wait(What::Closed), &over, &then), yes("new"));
        assert_eq!(verdict(wait(What::Idle), &over, &then), yes("new"));
        // Whoever closes is not missed, and may come back.
        let then = [("new", "working"), ("new", "closed"), ("new", "waiting")];
        assert_eq!(verdict(wait(What::Attention), &[], &then), yes("new"));
    }

    #[test]
    fn what_cannot_come_true_is_not_waited_for() {
        let never = |verdict| matches!(verdict, Verdict::Never(_));
        let two = [("a", "working"), ("b", "working")];
        let [a, b] = [("a", "closed"), ("b", "closed")];
        for what in [What::Attention, What::Waiting] {
            let each = Wait::new(what, Whom::EachOf(these(&["a", "b"])));
            assert!(never(verdict(each, &two, &[a])));
            let one = || Wait::new(what, Whom::OneOf(these(&["a", "b"])));
            assert_eq!(verdict(one(), &two, &[a]), Verdict::Pending);
            assert!(never(verdict(one(), &two, &[a, b])));
            let open = || Wait::new(what, Whom::EveryOpen);
            assert!(never(verdict(open(), &two, &[a, b])));
            assert_eq!(
                verdict(open(), &two, &[a, ("b", "waiting")]),
                Verdict::True(vec!["b".into()])
            );
        }
    }

    #[test]
    fn a_daemon_started_anew_has_not_removed_whom_it_does_not_know() {
        let mut wait = Wait::new(What::Closed, Whom::EachOf(these(&["a"])));
        wait.take(snapshot(5, &[("a", "working")]));
        wait.take(snapshot(0, &[]));
        assert_eq!(wait.verdict(), Verdict::Pending);
        assert_eq!(
            wait.still(),
            ": a is not heard of since the daemon's restart"
        );
        // The same daemon, on the other hand, has.
        let mut wait = Wait::new(What::Closed, Whom::EachOf(these(&["a"])));
        wait.take(snapshot(5, &[]));
        assert_eq!(wait.verdict(), Verdict::True(vec!["a".into()]));
    }
}
