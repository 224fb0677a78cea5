//! When the daemon leaves, and how.

use serde_json::{Value, json};

use super::lifecycle::STALE_AFTER_MS;
use super::{CLAUDE, CoreHarness, Input, MINUTE, Settings, names, settings};
use crate::codec::Request;
use crate::core::{ClientId, Effect};
use crate::protocol::SubscribeParams;

fn start() -> Value {
    json!({"hook_event_name": "SessionStart", "session_id": "one", "source": "startup"})
}

/// The milliseconds until the daemon exits.
fn leaves_in(core: &CoreHarness) -> Option<u64> {
    let at = core.core.lifecycle.idle_exit_at()?;
    Some(at - core.now.uptime_ms)
}

fn subscribe(core: &mut CoreHarness, client: u64) -> Vec<Effect> {
    core.take(Input::Request {
        client: ClientId(client),
        id: crate::codec::decode(b"{}").id,
        request: Request::Subscribe(SubscribeParams::default()),
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
fn without_clients_the_daemon_exits_after_the_time_out() {
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
fn a_live_process_keeps_the_daemon_until_it_ends() {
    let mut core = CoreHarness::new();
    core.wait(10 * MINUTE).hook(&start());
    assert_eq!(leaves_in(&core), None);
    assert_eq!(core.core.next_timeout(), None);
    core.wait(10_000 * MINUTE)
        .take(Input::ProcessExited(CLAUDE));
    assert_eq!(leaves_in(&core), Some(60 * MINUTE));
}

#[test]
fn the_end_of_a_session_starts_the_time_out() {
    let mut core = CoreHarness::new();
    core.hook(&start());
    core.wait(MINUTE)
        .hook(&json!({"hook_event_name": "SessionEnd", "reason": "other"}));
    assert_eq!(leaves_in(&core), Some(60 * MINUTE));
}

#[test]
fn a_session_without_a_process_keeps_the_daemon_for_the_time_out_after_its_last_report() {
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
fn a_process_that_cannot_be_watched_counts_as_none() {
    let mut core = CoreHarness::new();
    core.hook(&start());
    core.wait(MINUTE).take(Input::ProcessUnwatchable(CLAUDE));
    assert_eq!(leaves_in(&core), Some(60 * MINUTE));
    assert!(core.core.lifecycle.stale_at().is_some());
}

#[test]
fn dashboards_keep_the_daemon_until_the_last_disconnects() {
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
    // The end of a client that was not subscribed changes nothing.
    core.wait(MINUTE).take(Input::Disconnected(ClientId(3)));
    assert_eq!(leaves_in(&core), Some(59 * MINUTE));
}

#[test]
fn without_a_time_out_the_daemon_stays_and_still_closes_stale_sessions() {
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
fn a_changed_time_out_counts_from_the_same_moment() {
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
fn a_draining_daemon_that_is_needed_again_stays() {
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
fn a_request_while_draining_is_answered_and_does_not_stop_the_exit() {
    let mut core = CoreHarness::new();
    core.wait(60 * MINUTE).take(Input::Timeout);
    assert_eq!(core.ask("session.list", &json!({}))["sessions"], json!([]));
    assert_eq!(names(&core.take(Input::Drained)), ["announce", "exit"]);
}

#[test]
fn stop_replies_announces_drains_and_exits() {
    let mut core = CoreHarness::new();
    subscribe(&mut core, 2);
    let stop = r#"{"jsonrpc":"2.0","id":1,"method":"daemon.stop"}"#;
    let effects = core.line(stop);
    assert_eq!(names(&effects), ["reply", "announce", "drain for good"]);
    assert_eq!(reason(&effects), "stop");
    assert!(core.core.is_leaving());
    // A second stop changes nothing; nor does a signal.
    assert_eq!(names(&core.line(stop)), ["reply"]);
    assert!(core.take(Input::Terminated).is_empty());
    // Accepted clients are served, but a draining daemon refuses subscriptions.
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
fn stop_while_draining_is_final() {
    let mut core = CoreHarness::new();
    core.wait(60 * MINUTE).take(Input::Timeout);
    let effects = core.take(Input::Terminated);
    assert_eq!(names(&effects), ["announce", "drain for good"]);
    assert_eq!(reason(&effects), "signal");
    core.hook(&start());
    assert_eq!(names(&core.take(Input::Drained)), ["exit"]);
}

#[test]
fn a_forced_stop_exits_at_once_without_an_announcement() {
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

    // A reload by a signal has no reply; nor has a request whose client has disconnected.
    core.line(reload);
    core.take(Input::Disconnected(ClientId(1)));
    let effects = core.take(Input::Reloaded(Ok((settings(), None))));
    assert_eq!(names(&effects), ["broadcast"]);
}
