use serde_json::json;

use super::super::sessions::Forgotten;
use super::*;
use crate::client::Update;
use crate::os::process::{self, ProcessId};
use crate::protocol::{Notification, SessionChanged, SessionRecord, Snapshot};

fn session(key: &str, status: &str) -> SessionRecord<'static> {
    serde_json::from_value(json!({
        "key": key, "agent": "x", "status": status, "attention": status == "waiting", "since": 1,
        "started_at": 1,
    }))
    .unwrap()
}

fn snapshot(seq: u64, sessions: &[(&str, &str)]) -> Update {
    let sessions = sessions.iter().map(|(key, status)| session(key, status));
    Update::Snapshot(Box::new(Snapshot {
        usage: None,
        seq,
        epoch: None,
        partial: false,
        sessions: sessions.collect(),
        removed: Vec::new(),
        notices: Vec::new(),
    }))
}

/// The verdict after a first snapshot and some changes; pending before the last of them.
fn verdict(mut wait: Wait, first: &[(&str, &str)], then: &[(&str, &str)]) -> Verdict {
    wait.sessions.apply(snapshot(0, first));
    for (seq, (key, status)) in (1..).zip(then) {
        assert_eq!(wait.verdict(), Verdict::Pending, "before {key} {status}");
        wait.sessions
            .apply(Update::Notification(Notification::SessionChanged(
                Box::new(SessionChanged {
                    seq,
                    session: session(key, status),
                    added: None,
                }),
            )));
    }
    wait.verdict()
}

fn these(keys: &[&str]) -> Vec<SessionRecord<'static>> {
    keys.iter().map(|key| session(key, "working")).collect()
}

#[test]
fn any_session_is_one_that_was_seen_open() {
    let wait = |what| Wait::new(what, Target::AnySession);
    let yes = |key: &str| Verdict::True(vec![key.into()]);
    let over = [("old", "closed")];
    assert_eq!(verdict(wait(What::Closed), &over, &[]), Verdict::Pending);
    let then = [("new", "working"), ("new", "closed")];
    assert_eq!(verdict(wait(What::Closed), &over, &then), yes("new"));
    assert_eq!(verdict(wait(What::Idle), &over, &then), yes("new"));
    // A session that closes is ignored, and may come back.
    let then = [("new", "working"), ("new", "closed"), ("new", "waiting")];
    assert_eq!(verdict(wait(What::Attention), &[], &then), yes("new"));
}

#[test]
fn an_impossible_condition_ends_the_wait() {
    let never = |verdict| matches!(verdict, Verdict::Never(_));
    let two = [("a", "working"), ("b", "working")];
    let [a, b] = [("a", "closed"), ("b", "closed")];
    for what in [What::Attention, What::Waiting] {
        let each = Wait::new(what, Target::AllOf(these(&["a", "b"])));
        assert!(never(verdict(each, &two, &[a])));
        let one = || Wait::new(what, Target::AnyOf(these(&["a", "b"])));
        assert_eq!(verdict(one(), &two, &[a]), Verdict::Pending);
        assert!(never(verdict(one(), &two, &[a, b])));
        let open = || Wait::new(what, Target::AllOpen);
        assert!(never(verdict(open(), &two, &[a, b])));
        assert_eq!(
            verdict(open(), &two, &[a, ("b", "waiting")]),
            Verdict::True(vec!["b".into()])
        );
    }
}

#[test]
fn a_restarted_daemon_has_not_removed_the_sessions_it_lacks() {
    let mut wait = Wait::new(What::Closed, Target::AllOf(these(&["a"])));
    wait.sessions.apply(snapshot(5, &[("a", "working")]));
    wait.sessions.reconnect();
    wait.sessions.apply(snapshot(0, &[]));
    assert_eq!(wait.verdict(), Verdict::Pending);
    assert_eq!(
        wait.pending_message(),
        ": a is not reported since the daemon's restart"
    );
    // The same daemon has.
    let mut wait = Wait::new(What::Closed, Target::AllOf(these(&["a"])));
    wait.sessions.apply(snapshot(5, &[]));
    assert_eq!(wait.verdict(), Verdict::True(vec!["a".into()]));
    // Not if the first snapshot is of another one.
    let mut wait = Wait::new(What::Closed, Target::AllOf(these(&["a"])));
    wait.sessions.reconnect();
    wait.sessions.apply(snapshot(0, &[]));
    assert_eq!(wait.verdict(), Verdict::Pending);
}

#[test]
fn what_was_closed_or_removed_stays_so() {
    let mut wait = Wait::new(What::Closed, Target::AllOf(these(&["a", "b"])));
    wait.sessions
        .apply(snapshot(5, &[("a", "closed"), ("b", "working")]));
    wait.sessions.reconnect();
    wait.sessions.apply(snapshot(0, &[("b", "working")]));
    assert_eq!(wait.verdict(), Verdict::Pending);
    wait.sessions.reconnect();
    let Update::Snapshot(mut rest) = snapshot(7, &[]) else {
        unreachable!();
    };
    rest.partial = true;
    wait.sessions.apply(Update::Snapshot(rest.clone()));
    assert_eq!(wait.verdict(), Verdict::Pending);
    rest.removed = vec!["b".into(), "c".into()];
    wait.sessions.apply(Update::Snapshot(rest));
    assert_eq!(wait.verdict(), Verdict::True(vec!["a".into(), "b".into()]));
}

#[test]
fn the_process_of_the_last_record_ends_a_session_that_is_not_known() {
    let own = process::inspect(std::process::id()).unwrap().id;
    let elsewhere = ProcessId {
        start: own.start + 1,
        ..own
    };
    let with = |key: &str, process: ProcessId| {
        let mut session = session(key, "working");
        session.pid = Some(process.pid);
        session.process_start = Some(process.start);
        session
    };
    let mut wait = Wait::new(What::Closed, Target::AnyOf(these(&["a", "b"])));
    wait.sessions
        .apply(snapshot(0, &[("a", "working"), ("b", "working")]));
    for (seq, session) in [(1, with("a", own)), (2, with("b", elsewhere))] {
        let changed = Box::new(SessionChanged {
            seq,
            session,
            added: None,
        });
        wait.sessions
            .apply(Update::Notification(Notification::SessionChanged(changed)));
    }
    assert_eq!(wait.sessions.take_forgotten(), []);
    wait.sessions.reconnect();
    wait.sessions.apply(snapshot(0, &[]));
    let forgotten = |key: &str, process, seen| Forgotten {
        key: key.into(),
        process,
        seen,
    };
    assert_eq!(
        wait.sessions.take_forgotten(),
        [forgotten("a", own, true), forgotten("b", elsewhere, false)]
    );
    wait.sessions.exited(elsewhere);
    assert_eq!(wait.verdict(), Verdict::True(vec!["b".into()]));
    // The daemon knows it again, by another process.
    wait.sessions
        .apply(snapshot(3, &[("a", "working"), ("b", "working")]));
    wait.sessions.exited(own);
    assert_eq!(wait.verdict(), Verdict::Pending);
}
