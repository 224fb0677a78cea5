//! When the daemon leaves, and how.

use serde_json::{Value, json};

use super::lifecycle::STALE_AFTER_MS;
use super::{CLAUDE, CoreHarness, Input, MINUTE, Settings, names, settings};
use crate::codec::Request;
use crate::core::{ClientId, Effect};

fn start() -> Value {
    json!({"hook_event_name": "SessionStart", "session_id": "one", "source": "startup"})
}

/// The time until the daemon would leave, from now.
fn leaves_in(core: &CoreHarness) -> Option<u64> {
    let at = core.core.lifecycle.idle_exit_at()?;
    Some(at - core.now.uptime_ms)
}

fn subscribe(core: &mut CoreHarness, client: u64) -> Vec<Effect> {
    core.take(Input::Request {
        client: ClientId(client),
        id: crate::codec::decode(b"{}").id,
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
    let mut core = CoreHarness::new();
    assert_eq!(core.core.next_timeout(), Some(60 * MINUTE));
    // Being asked does not hold it.
    core.wait(59 * MINUTE).ask("session.list", &json!({}));
    assert_eq!(leaves_in(&core), Some(MINUTE));
    assert!(core.wait(MINUTE - 1).take(Input::Timeout).is_empty());
    assert_eq!(names(&core.wait(1).take(Input::Timeout)), ["drain"]);
    assert_eq!(core.core.next_timeout(), None);
    assert!(!core.core.is_leaving());
    let effects = core.take(Input::Drained);
    assert_eq!(names(&effects), ["announce", "exit"]);
    assert_eq!(reason(&effects), "idle");
    assert!(core.core.is_leaving());
    assert!(
        core.line(r#"{"jsonrpc":"2.0","id":1,"method":"hello"}"#)
            .is_empty()
    );
}

#[test]
fn a_live_process_holds_it_and_its_end_lets_go() {
    let mut core = CoreHarness::new();
    core.wait(10 * MINUTE).hook(&start());
    assert_eq!(leaves_in(&core), None);
    assert_eq!(core.core.next_timeout(), None);
    core.wait(10_000 * MINUTE)
        .take(Input::ProcessExited(CLAUDE));
    assert_eq!(leaves_in(&core), Some(60 * MINUTE));
}

#[test]
fn a_goodbye_lets_go_too() {
    let mut core = CoreHarness::new();
    core.hook(&start());
    core.wait(MINUTE)
        .hook(&json!({"hook_event_name": "SessionEnd", "reason": "other"}));
    assert_eq!(leaves_in(&core), Some(60 * MINUTE));
}

#[test]
fn a_session_without_a_process_holds_it_for_the_time_out_after_its_last_report() {
    let mut core = CoreHarness::new();
    let working = json!({"session": "job", "status": "working"});
    core.wait(30 * MINUTE).ask("session.set", &working);
    assert_eq!(leaves_in(&core), Some(60 * MINUTE));
    core.wait(30 * MINUTE).ask("session.set", &working);
    assert_eq!(leaves_in(&core), Some(60 * MINUTE));
    // Until then a session was not closed.
    core.wait(59 * MINUTE).ask(
        "session.set",
        &json!({"session": "job", "status": "closed"}),
    );
    assert_eq!(leaves_in(&core), Some(60 * MINUTE));
    // One that is closed holds nothing, whatever is said of it.
    core.wait(MINUTE).ask(
        "session.set",
        &json!({"session": "job", "status": "closed"}),
    );
    assert_eq!(leaves_in(&core), Some(59 * MINUTE));
    core.ask("session.remove", &json!({"session": "job"}));
    assert_eq!(leaves_in(&core), Some(59 * MINUTE));

    core.ask("session.set", &working);
    core.wait(30 * MINUTE)
        .ask("session.remove", &json!({"session": "job"}));
    assert_eq!(leaves_in(&core), Some(60 * MINUTE));
}

#[test]
fn a_process_that_cannot_be_watched_is_as_good_as_none() {
    let mut core = CoreHarness::new();
    core.hook(&start());
    core.wait(MINUTE).take(Input::ProcessUnwatchable(CLAUDE));
    assert_eq!(leaves_in(&core), Some(60 * MINUTE));
    assert!(core.core.lifecycle.stale_at().is_some());
}

#[test]
fn dashboards_hold_it_and_the_last_to_go_lets_go() {
    let mut core = CoreHarness::new();
    assert_eq!(
        names(&subscribe(&mut core, 1)),
        ["reply", "scan", "subscribe"]
    );
    subscribe(&mut core, 2);
    assert_eq!(leaves_in(&core), None);
    core.wait(500 * MINUTE)
        .take(Input::Disconnected(ClientId(1)));
    assert_eq!(leaves_in(&core), None);
    core.wait(MINUTE).take(Input::Disconnected(ClientId(2)));
    assert_eq!(leaves_in(&core), Some(60 * MINUTE));
    // One that was none lets go of nothing.
    core.wait(MINUTE).take(Input::Disconnected(ClientId(3)));
    assert_eq!(leaves_in(&core), Some(59 * MINUTE));
}

#[test]
fn without_a_time_out_it_never_leaves_and_still_closes_what_is_stale() {
    let mut core = CoreHarness::with(Settings {
        idle_timeout_ms: None,
        ..settings()
    });
    assert_eq!(core.core.next_timeout(), None);
    core.ask(
        "session.set",
        &json!({"session": "job", "status": "working"}),
    );
    assert_eq!(core.core.next_timeout(), Some(STALE_AFTER_MS));
    core.wait(STALE_AFTER_MS).take(Input::Timeout);
    assert_eq!(core.shown("job"), "closed");
    assert_eq!(core.core.next_timeout(), None);
}

#[test]
fn a_new_time_out_counts_from_the_same_moment() {
    let mut core = CoreHarness::new();
    core.wait(30 * MINUTE);
    let reloaded = |timeout| {
        let settings = Settings {
            idle_timeout_ms: timeout,
            ..settings()
        };
        Input::Reloaded(Ok((settings, None)))
    };
    core.take(reloaded(Some(40 * MINUTE)));
    assert_eq!(leaves_in(&core), Some(10 * MINUTE));
    core.take(reloaded(None));
    assert_eq!(leaves_in(&core), None);
    core.take(reloaded(Some(MINUTE)));
    assert_eq!(names(&core.take(Input::Timeout)), ["drain"]);
}

#[test]
fn needed_after_all_it_stays() {
    for need in ["dashboard", "process", "script"] {
        let mut core = CoreHarness::new();
        core.wait(60 * MINUTE).take(Input::Timeout);
        match need {
            "dashboard" => drop(subscribe(&mut core, 1)),
            "process" => drop(core.hook(&start())),
            _ => drop(core.ask(
                "session.set",
                &json!({"session": "job", "status": "working"}),
            )),
        }
        // The timer is not armed while it drains.
        assert_eq!(leaves_in(&core), None, "{need}");
        assert!(core.take(Input::Timeout).is_empty(), "{need}");
        assert_eq!(names(&core.take(Input::Drained)), ["resume"], "{need}");
        assert!(core.take(Input::Drained).is_empty(), "{need}");
        // And leaves another time.
        core.take(Input::Disconnected(ClientId(1)));
        core.take(Input::ProcessExited(CLAUDE));
        core.wait(61 * MINUTE);
        assert_eq!(names(&core.take(Input::Timeout)), ["drain"], "{need}");
        assert_eq!(
            names(&core.take(Input::Drained)),
            ["announce", "exit"],
            "{need}"
        );
    }
}

#[test]
fn a_question_while_it_retires_is_answered_and_does_not_hold_it() {
    let mut core = CoreHarness::new();
    core.wait(60 * MINUTE).take(Input::Timeout);
    assert_eq!(core.ask("session.list", &json!({}))["sessions"], json!([]));
    assert_eq!(names(&core.take(Input::Drained)), ["announce", "exit"]);
}

#[test]
fn stop_answers_tells_retires_and_leaves() {
    let mut core = CoreHarness::new();
    subscribe(&mut core, 2);
    let stop = r#"{"jsonrpc":"2.0","id":1,"method":"daemon.stop"}"#;
    let effects = core.line(stop);
    assert_eq!(names(&effects), ["reply", "announce", "drain for good"]);
    assert_eq!(reason(&effects), "stop");
    assert!(core.core.is_leaving());
    // Told twice, it leaves once; a signal is no more than that.
    assert_eq!(names(&core.line(stop)), ["reply"]);
    assert!(core.take(Input::Terminated).is_empty());
    // What was accepted is served, but nobody subscribes to a daemon that leaves.
    core.ask(
        "session.set",
        &json!({"session": "job", "status": "working"}),
    );
    let refused = core.ask("subscribe", &json!({}));
    assert_eq!(refused["code"], -32005);
    assert_eq!(names(&core.take(Input::Drained)), ["exit"]);
    assert!(core.take(Input::Drained).is_empty());
}

#[test]
fn stop_while_it_retires_is_for_good() {
    let mut core = CoreHarness::new();
    core.wait(60 * MINUTE).take(Input::Timeout);
    let effects = core.take(Input::Terminated);
    assert_eq!(names(&effects), ["announce", "drain for good"]);
    assert_eq!(reason(&effects), "signal");
    core.hook(&start());
    assert_eq!(names(&core.take(Input::Drained)), ["exit"]);
}

#[test]
fn by_force_it_leaves_at_once_and_tells_nobody() {
    let mut core = CoreHarness::new();
    subscribe(&mut core, 2);
    let effects =
        core.line(r#"{"jsonrpc":"2.0","id":1,"method":"daemon.stop","params":{"force":true}}"#);
    assert_eq!(names(&effects), ["reply", "exit at once"]);
    assert!(core.take(Input::Timeout).is_empty());
    assert_eq!(core.core.next_timeout(), None);
}

#[test]
fn a_reload_is_answered_when_the_configuration_was_read() {
    let mut core = CoreHarness::new();
    subscribe(&mut core, 2);
    let reload = r#"{"jsonrpc":"2.0","id":9,"method":"daemon.reload"}"#;
    assert_eq!(names(&core.line(reload)), ["reload"]);
    let effects = core.take(Input::Reloaded(Ok((
        settings(),
        Some("the socket moved".into()),
    ))));
    assert_eq!(names(&effects), ["reply", "broadcast", "broadcast"]);

    core.line(reload);
    let effects = core.take(Input::Reloaded(Err("line 1".into())));
    assert_eq!(names(&effects), ["reply", "broadcast"]);

    // A signal's reload answers nobody; nor does anybody's once they have gone.
    core.line(reload);
    core.take(Input::Disconnected(ClientId(1)));
    let effects = core.take(Input::Reloaded(Ok((settings(), None))));
    assert_eq!(names(&effects), ["broadcast"]);
}
