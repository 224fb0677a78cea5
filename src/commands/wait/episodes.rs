//! When the command of `wait --exec` runs: once each time that a session comes into the wanted state. Pure.

use std::collections::BTreeMap;

use super::What;
use super::condition::Wait;
use super::sessions::Presence;
use crate::protocol::{SessionRecord, Transition};

/// The sessions that are in the wanted state, as of the last look, each with its history then.
#[derive(Debug, Default)]
pub(super) struct Episodes(BTreeMap<String, Vec<Transition>>);

impl Episodes {
    /// The keys of the sessions that have come into the wanted state since the last call; with the first, of all that are in
    /// it. Also of one that was in it, has left it and is in it again.
    pub(super) fn begin(&mut self, wait: &Wait) -> Vec<String> {
        let keys = wait.sessions.keys().map(str::to_owned);
        keys.filter(|key| self.has_begun(key, wait)).collect()
    }

    fn has_begun(&mut self, key: &str, wait: &Wait) -> bool {
        let session = match wait.sessions.presence(key) {
            Presence::Known(session) => Some(session),
            Presence::Gone => None,
            // As it was: a restarted daemon has only no report of it yet.
            Presence::Unreported => return false,
        };
        if !wait.holds(key) {
            self.0.remove(key);
            return false;
        }
        let history = session.map_or_else(Vec::new, |session| session.history.clone());
        let before = self.0.insert(key.to_owned(), history);
        before.is_none_or(|before| {
            session.is_some_and(|session| left_meanwhile(&before, session, wait.what()))
        })
    }

    /// Forgets the sessions that are gone, unless the command line names them: a wait without names may last for months.
    pub(super) fn forget_gone(&mut self, wait: &mut Wait) {
        wait.sessions.forget_gone();
        self.0.retain(|key, _| wait.sessions.contains(key));
    }
}

/// True if a session that was in the state with the history `before`, and is in it now, was not in between. One update may
/// hold several changes: the first after a reconnection, and those that the daemon has sent as one.
fn left_meanwhile(before: &[Transition], now: &SessionRecord<'_>, what: What) -> bool {
    let history = &*now.history;
    let longest = history.len().min(before.len());
    // Without an entry in common it is another daemon's, or the clock was set: nothing is known of the time between.
    let known = (1..=longest)
        .rev()
        .find(|count| before.ends_with(&history[..*count]));
    let new = known.map_or(&[][..], |known| &history[known..]);
    let between = new.split_last().map_or(&[][..], |(_, between)| between);
    between.iter().any(|entry| !what.includes(entry.status))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::sessions::Target;
    use super::*;
    use crate::client::Update;
    use crate::protocol::{Notification, SessionChanged, SessionRemoved};

    /// A session with these transitions, the first at the millisecond `from`, the others each 1 ms later.
    fn session(key: &str, from: u64, statuses: &[&str]) -> Value {
        let status = statuses.last().unwrap();
        let history = (from..).zip(statuses);
        let history = history.map(|(at, status)| json!({"status": status, "at": at}));
        let attention = ["waiting", "error"].contains(status);
        json!({
            "key": key, "agent": "x", "status": status, "since": 1, "started_at": 1,
            "attention": attention, "history": history.collect::<Vec<_>>(),
        })
    }

    struct Test {
        wait: Wait,
        episodes: Episodes,
        seq: u64,
    }

    impl Test {
        /// A wait for these sessions; without one: for any.
        fn new(what: What, keys: &[&str]) -> Self {
            let named = keys.iter().map(|key| session(key, 1, &["working"]));
            let named = named.map(|session| serde_json::from_value(session).unwrap());
            let target = match keys {
                [] => Target::AnySession,
                _ => Target::AnyOf(named.collect()),
            };
            Self {
                wait: Wait::new(what, target),
                episodes: Episodes::default(),
                seq: 0,
            }
        }

        /// The keys of the sessions for which a command runs.
        fn runs(&mut self, update: Update) -> Vec<String> {
            self.wait.sessions.apply(update);
            let keys = self.episodes.begin(&self.wait);
            assert_eq!(self.episodes.begin(&self.wait), [""; 0], "each once");
            self.episodes.forget_gone(&mut self.wait);
            keys
        }

        fn snapshot(&mut self, sessions: &[Value]) -> Vec<String> {
            let snapshot = json!({"seq": self.seq, "sessions": sessions});
            self.runs(Update::Snapshot(serde_json::from_value(snapshot).unwrap()))
        }

        fn change(&mut self, session: Value) -> Vec<String> {
            self.seq += 1;
            let session = serde_json::from_value(session).unwrap();
            let changed = SessionChanged {
                seq: self.seq,
                session,
                added: None,
            };
            self.runs(Update::Notification(Notification::SessionChanged(
                Box::new(changed),
            )))
        }

        fn remove(&mut self, key: &'static str) -> Vec<String> {
            self.seq += 1;
            let removed = SessionRemoved {
                seq: self.seq,
                key: key.into(),
            };
            self.runs(Update::Notification(Notification::SessionRemoved(removed)))
        }

        /// The snapshot of a daemon that was started again.
        fn restart(&mut self, sessions: &[Value]) -> Vec<String> {
            self.wait.sessions.reconnect();
            self.snapshot(sessions)
        }
    }

    #[test]
    fn a_session_counts_when_it_comes_into_the_state() {
        let mut test = Test::new(What::Idle, &[]);
        let (idle, working) = (["idle"], ["working"]);
        let first = [
            session("a", 1, &idle),
            session("b", 1, &working),
            session("over", 1, &["closed"]),
        ];
        assert_eq!(test.snapshot(&first), ["a"]);
        for (key, statuses, runs) in [
            ("a", &["idle", "error"][..], false),
            ("a", &["idle", "error", "working"], false),
            ("b", &["working", "idle"], true),
            ("a", &["idle", "error", "working", "idle"], true),
            ("new", &["idle"], true),
            ("new", &["idle", "closed"], false),
            ("b", &["working", "idle", "working"], false),
            ("b", &["working", "idle", "working", "closed"], true),
        ] {
            let expected = if runs { vec![key] } else { Vec::new() };
            assert_eq!(test.change(session(key, 1, statuses)), expected, "{key}");
        }
        assert_eq!(test.remove("new"), [""; 0]);
        assert!(!test.wait.sessions.contains("new"));
        assert_eq!(test.change(session("new", 9, &idle)), ["new"]);
        test.change(session("new", 9, &["idle", "working"]));
        assert_eq!(test.remove("new"), ["new"]);
    }

    #[test]
    fn what_was_left_between_two_updates_counts_again() {
        let cases = [
            (What::Idle, &["idle", "working", "idle"][..], true),
            (What::Idle, &["idle", "error"], false),
            (What::Waiting, &["waiting", "working", "waiting"], true),
            (What::Attention, &["waiting", "working", "waiting"], true),
            (What::Attention, &["waiting", "error", "waiting"], false),
            (What::Closed, &["closed", "idle", "closed"], true),
            // It is no longer in the state.
            (What::Idle, &["idle", "working", "idle", "working"], false),
        ];
        for (what, statuses, runs) in cases {
            let expected = if runs { vec!["a"] } else { Vec::new() };
            let mut test = Test::new(what, &["a"]);
            let first = session("a", 1, &statuses[..1]);
            assert_eq!(test.snapshot(&[first]), ["a"]);
            let all = session("a", 1, statuses);
            assert_eq!(test.change(all.clone()), expected, "{what:?} {statuses:?}");
            assert_eq!(test.restart(&[all]), [""; 0]);
        }
    }

    #[test]
    fn a_history_that_is_full_shows_it_too() {
        let mut test = Test::new(What::Idle, &["a"]);
        let full = ["working", "idle"].repeat(16);
        assert_eq!(test.snapshot(&[session("a", 1, &full)]), ["a"]);
        assert_eq!(test.change(session("a", 1, &full)), [""; 0]);
        assert_eq!(test.change(session("a", 3, &full)), ["a"]);
        assert_eq!(test.restart(&[session("a", 33, &full)]), ["a"]);
    }

    #[test]
    fn a_daemon_without_its_state_runs_nothing_again() {
        let mut test = Test::new(What::Idle, &["a", "b"]);
        let both = |a: &[&str], b: &[&str], at| [session("a", at, a), session("b", at, b)];
        assert_eq!(test.snapshot(&both(&["idle"], &["working"], 1)), ["a"]);
        assert_eq!(test.restart(&[]), [""; 0]);
        assert!(!test.wait.sessions.are_over());
        assert_eq!(test.change(session("a", 500, &["idle"])), [""; 0]);
        assert_eq!(test.change(session("b", 500, &["idle"])), ["b"]);
        assert_eq!(test.restart(&[]), [""; 0]);
        assert_eq!(test.change(session("a", 900, &["working"])), [""; 0]);
        assert_eq!(test.change(session("a", 900, &["working", "idle"])), ["a"]);
        // The clock was set.
        assert_eq!(
            test.restart(&both(&["working", "idle"], &["idle"], 2900)),
            [""; 0]
        );
    }

    #[test]
    fn sessions_that_are_named_are_over_when_all_are_closed() {
        let mut test = Test::new(What::Waiting, &["a", "b"]);
        test.snapshot(&[session("a", 1, &["working"]), session("b", 1, &["working"])]);
        assert_eq!(test.change(session("a", 1, &["working", "waiting"])), ["a"]);
        let closed = session("a", 1, &["working", "waiting", "closed"]);
        assert_eq!(test.change(closed), [""; 0]);
        assert!(!test.wait.sessions.are_over());
        assert_eq!(test.remove("b"), [""; 0]);
        assert!(test.wait.sessions.are_over());
        // Any session: another one may open.
        let mut test = Test::new(What::Closed, &[]);
        test.snapshot(&[session("a", 1, &["working"])]);
        assert_eq!(test.remove("a"), ["a"]);
        assert!(!test.wait.sessions.are_over());
    }
}
