//! When the daemon leaves, and how.

use serde_json::{Value, json};

use super::{CLAUDE, Desk, Input, MINUTE, STALE_AFTER_MS, Settings, names, settings};
use crate::core::{ClientId, Effect, Request};

fn start() -> Value {
    json!({"hook_event_name": "SessionStart", "session_id": "one", "source": "startup"})
}

/// The time until the daemon would leave, from now.
fn leaves_in(desk: &Desk) -> Option<u64> {
    let at = desk.core.idle.leave_at()?;
    Some(at - desk.now.uptime_ms)
}

fn subscribe(desk: &mut Desk, client: u64) -> Vec<Effect> {
    desk.take(Input::Request {
        client: ClientId(client),
        id: Some(crate::codec::Id::null()),
        request: Request::Subscribe,
    })
}

fn reason(effects: &[Effect]) -> Value {
    let line = effects.iter().find_map(|effect| match effect {
        Effect::Announce(line) => Some(line),
        _ => None,
    });
    let message: Value = serde_json::from_slice(line.expect("an announcement")).unwrap();
    message["params"]["reason"].clone()
}

#[test]
fn nobody_comes_and_it_leaves_after_the_time_out() {
    let mut desk = Desk::new();
    assert_eq!(desk.core.next_deadline(), Some(60 * MINUTE));
    // Being asked does not hold it.
    desk.wait(59 * MINUTE).ask("session.list", &json!({}));
    assert_eq!(leaves_in(&desk), Some(MINUTE));
    assert!(desk.wait(MINUTE - 1).take(Input::Tick).is_empty());
    assert_eq!(names(&desk.wait(1).take(Input::Tick)), ["retire"]);
    assert_eq!(desk.core.next_deadline(), None);
    assert!(!desk.core.is_leaving());
    let effects = desk.take(Input::Drained);
    assert_eq!(names(&effects), ["announce", "exit"]);
    assert_eq!(reason(&effects), "idle");
    assert!(desk.core.is_leaving());
    assert!(
        desk.line(r#"{"jsonrpc":"2.0","id":1,"method":"hello"}"#)
            .is_empty()
    );
}

#[test]
fn a_live_process_holds_it_and_its_end_lets_go() {
    let mut desk = Desk::new();
    desk.wait(10 * MINUTE).hook(&start());
    assert_eq!(leaves_in(&desk), None);
    assert_eq!(desk.core.next_deadline(), None);
    desk.wait(10_000 * MINUTE)
        .take(Input::ProcessExited(CLAUDE));
    assert_eq!(leaves_in(&desk), Some(60 * MINUTE));
}

#[test]
fn a_goodbye_lets_go_too() {
    let mut desk = Desk::new();
    desk.hook(&start());
    desk.wait(MINUTE)
        .hook(&json!({"hook_event_name": "SessionEnd", "reason": "other"}));
    assert_eq!(leaves_in(&desk), Some(60 * MINUTE));
}

#[test]
fn a_session_without_a_process_holds_it_for_the_time_out_after_its_last_report() {
    let mut desk = Desk::new();
    let working = json!({"session": "job", "status": "working"});
    desk.wait(30 * MINUTE).ask("session.set", &working);
    assert_eq!(leaves_in(&desk), Some(60 * MINUTE));
    desk.wait(30 * MINUTE).ask("session.set", &working);
    assert_eq!(leaves_in(&desk), Some(60 * MINUTE));
    // Until then a session was not closed.
    desk.wait(59 * MINUTE).ask(
        "session.set",
        &json!({"session": "job", "status": "closed"}),
    );
    assert_eq!(leaves_in(&desk), Some(60 * MINUTE));
    // One that is closed holds nothing, whatever is said of it.
    desk.wait(MINUTE).ask(
        "session.set",
        &json!({"session": "job", "status": "closed"}),
    );
    assert_eq!(leaves_in(&desk), Some(59 * MINUTE));
    desk.ask("session.remove", &json!({"session": "job"}));
    assert_eq!(leaves_in(&desk), Some(59 * MINUTE));

    desk.ask("session.set", &working);
    desk.wait(30 * MINUTE)
        .ask("session.remove", &json!({"session": "job"}));
    assert_eq!(leaves_in(&desk), Some(60 * MINUTE));
}

#[test]
fn a_process_that_cannot_be_watched_is_as_good_as_none() {
    let mut desk = Desk::new();
    desk.hook(&start());
    desk.wait(MINUTE).take(Input::ProcessUnwatchable(CLAUDE));
    assert_eq!(leaves_in(&desk), Some(60 * MINUTE));
    assert!(desk.core.idle.stale_at().is_some());
}

#[test]
fn dashboards_hold_it_and_the_last_to_go_lets_go() {
    let mut desk = Desk::new();
    assert_eq!(
        names(&subscribe(&mut desk, 1)),
        ["reply", "scan", "subscribed"]
    );
    subscribe(&mut desk, 2);
    assert_eq!(leaves_in(&desk), None);
    desk.wait(500 * MINUTE)
        .take(Input::Disconnected(ClientId(1)));
    assert_eq!(leaves_in(&desk), None);
    desk.wait(MINUTE).take(Input::Disconnected(ClientId(2)));
    assert_eq!(leaves_in(&desk), Some(60 * MINUTE));
    // One that was none lets go of nothing.
    desk.wait(MINUTE).take(Input::Disconnected(ClientId(3)));
    assert_eq!(leaves_in(&desk), Some(59 * MINUTE));
}

#[test]
fn without_a_time_out_it_never_leaves_and_still_closes_what_is_stale() {
    let mut desk = Desk::with(Settings {
        idle_timeout_ms: None,
        ..settings()
    });
    assert_eq!(desk.core.next_deadline(), None);
    desk.ask(
        "session.set",
        &json!({"session": "job", "status": "working"}),
    );
    assert_eq!(desk.core.next_deadline(), Some(STALE_AFTER_MS));
    desk.wait(STALE_AFTER_MS).take(Input::Tick);
    assert_eq!(desk.shown("job"), "closed");
    assert_eq!(desk.core.next_deadline(), None);
}

#[test]
fn a_new_time_out_counts_from_the_same_moment() {
    let mut desk = Desk::new();
    desk.wait(30 * MINUTE);
    let reloaded = |timeout| {
        let settings = Settings {
            idle_timeout_ms: timeout,
            ..settings()
        };
        Input::Reloaded(Ok((settings, None)))
    };
    desk.take(reloaded(Some(40 * MINUTE)));
    assert_eq!(leaves_in(&desk), Some(10 * MINUTE));
    desk.take(reloaded(None));
    assert_eq!(leaves_in(&desk), None);
    desk.take(reloaded(Some(MINUTE)));
    assert_eq!(names(&desk.take(Input::Tick)), ["retire"]);
}

#[test]
fn needed_after_all_it_stays() {
    for need in ["dashboard", "process", "script"] {
        let mut desk = Desk::new();
        desk.wait(60 * MINUTE).take(Input::Tick);
        match need {
            "dashboard" => drop(subscribe(&mut desk, 1)),
            "process" => drop(desk.hook(&start())),
            _ => drop(desk.ask(
                "session.set",
                &json!({"session": "job", "status": "working"}),
            )),
        }
        // The timer is not armed while it is retiring.
        assert_eq!(leaves_in(&desk).is_none(), need != "script", "{need}");
        assert!(desk.take(Input::Tick).is_empty(), "{need}");
        assert_eq!(names(&desk.take(Input::Drained)), ["resume"], "{need}");
        assert!(desk.take(Input::Drained).is_empty(), "{need}");
        // And leaves another time.
        desk.take(Input::Disconnected(ClientId(1)));
        desk.take(Input::ProcessExited(CLAUDE));
        desk.wait(61 * MINUTE);
        assert_eq!(names(&desk.take(Input::Tick)), ["retire"], "{need}");
        assert_eq!(
            names(&desk.take(Input::Drained)),
            ["announce", "exit"],
            "{need}"
        );
    }
}

#[test]
fn a_question_while_it_retires_is_answered_and_does_not_hold_it() {
    let mut desk = Desk::new();
    desk.wait(60 * MINUTE).take(Input::Tick);
    assert_eq!(desk.ask("session.list", &json!({}))["sessions"], json!([]));
    assert_eq!(names(&desk.take(Input::Drained)), ["announce", "exit"]);
}

#[test]
fn stop_answers_tells_retires_and_leaves() {
    let mut desk = Desk::new();
    subscribe(&mut desk, 2);
    let stop = r#"{"jsonrpc":"2.0","id":1,"method":"daemon.stop"}"#;
    let effects = desk.line(stop);
    assert_eq!(names(&effects), ["reply", "announce", "retire for good"]);
    assert_eq!(reason(&effects), "stop");
    assert!(desk.core.is_leaving());
    // Told twice, it leaves once; a signal is no more than that.
    assert_eq!(names(&desk.line(stop)), ["reply"]);
    assert!(desk.take(Input::Terminated).is_empty());
    // What was accepted is served, but nobody subscribes to a daemon that leaves.
    desk.ask(
        "session.set",
        &json!({"session": "job", "status": "working"}),
    );
    let refused = desk.ask("subscribe", &json!({}));
    assert_eq!(refused["code"], -32005);
    assert_eq!(names(&desk.take(Input::Drained)), ["exit"]);
    assert!(desk.take(Input::Drained).is_empty());
}

#[test]
fn stop_while_it_retires_is_for_good() {
    let mut desk = Desk::new();
    desk.wait(60 * MINUTE).take(Input::Tick);
    let effects = desk.take(Input::Terminated);
    assert_eq!(names(&effects), ["announce", "retire for good"]);
    assert_eq!(reason(&effects), "signal");
    desk.hook(&start());
    assert_eq!(names(&desk.take(Input::Drained)), ["exit"]);
}

#[test]
fn by_force_it_leaves_at_once_and_tells_nobody() {
    let mut desk = Desk::new();
    subscribe(&mut desk, 2);
    let effects =
        desk.line(r#"{"jsonrpc":"2.0","id":1,"method":"daemon.stop","params":{"force":true}}"#);
    assert_eq!(names(&effects), ["reply", "exit at once"]);
    assert!(desk.take(Input::Tick).is_empty());
    assert_eq!(desk.core.next_deadline(), None);
}

#[test]
fn a_reload_is_answered_when_the_configuration_was_read() {
    let mut desk = Desk::new();
    subscribe(&mut desk, 2);
    let reload = r#"{"jsonrpc":"2.0","id":9,"method":"daemon.reload"}"#;
    assert_eq!(names(&desk.line(reload)), ["reload"]);
    let effects = desk.take(Input::Reloaded(Ok((
        settings(),
        Some("the socket moved".into()),
    ))));
    assert_eq!(names(&effects), ["reply", "broadcast", "broadcast"]);

    desk.line(reload);
    let effects = desk.take(Input::Reloaded(Err("line 1".into())));
    assert_eq!(names(&effects), ["reply", "broadcast"]);

    // A signal's reload answers nobody; nor does anybody's once they have gone.
    desk.line(reload);
    desk.take(Input::Disconnected(ClientId(1)));
    let effects = desk.take(Input::Reloaded(Ok((settings(), None))));
    assert_eq!(names(&effects), ["broadcast"]);
}
