//! A stopped process, and a session that gives no sign for long.

use serde_json::json;

use super::rules::{event, prompt, stop, tool};
use super::*;

const TEN_MINUTES: u64 = 10 * MINUTE;

fn stopped(core: &mut CoreHarness, stopped: bool) -> Vec<Effect> {
    core.take(Input::ProcessesSeen(vec![(CLAUDE, stopped)]))
}

fn subscribe(core: &mut CoreHarness) {
    core.ask("subscribe", &json!({}));
}

#[test]
fn a_stopped_process_needs_a_person_until_it_runs_again() {
    let mut core = CoreHarness::new();
    core.hook(&prompt("p1", "a"));
    core.hook(&tool("p1", "make"));
    let since = core.get(KEY).since;
    core.wait(1000);
    stopped(&mut core, true);
    assert_eq!(core.shown(KEY), "working!: stopped: `fg` continues it");
    let session = core.get(KEY);
    assert_eq!(session.since, since);
    assert_eq!(session.stopped_since, Some(core.now.unix_ms));
    core.wait(1000);
    stopped(&mut core, false);
    assert_eq!(core.shown(KEY), "working: Bash: make");
    assert_eq!(core.get(KEY).stopped_since, None);
    core.hook(&stop("p1", &json!([])));
    stopped(&mut core, true);
    core.take(Input::ProcessExited(CLAUDE));
    assert_eq!(core.shown(KEY), "closed");
    assert_eq!(core.get(KEY).stopped_since, None);
}

#[test]
fn a_run_without_a_person_never_needs_one() {
    let ended = event("StopFailure", &json!({"error": "rate_limit"}));
    for (last, shown) in [
        (stop("p1", &json!([])), "idle"),
        (ended, "error: rate limited"),
    ] {
        let mut core = CoreHarness::with(Settings {
            quiet_after_ms: Some(TEN_MINUTES),
            attention: AttentionRules {
                quiet: true,
                ..settings().attention
            },
            ..settings()
        });
        let mut report = |payload: &Value| {
            let at = core.now.unix_ms;
            core.hook_at(at, false, payload);
            let attention = core.get(KEY).attention;
            assert!(!attention, "{payload}");
        };
        report(&prompt("p1", "a"));
        report(&tool("p1", "make"));
        report(&last);
        assert_eq!(core.shown(KEY), shown);
        stopped(&mut core, true);
        assert!(!core.get(KEY).attention);
    }
}

/// The processes of the answer's sessions, so that the answer is right.
#[test]
fn a_request_that_shows_sessions_has_their_processes_looked_at() {
    let mut core = CoreHarness::new();
    core.hook(&prompt("p1", "a"));
    let asked = |core: &CoreHarness, line: &str| {
        let codec::Message::Request(request) = codec::decode(line.as_bytes()).message else {
            panic!("{line}");
        };
        core.core.processes_of(&request)
    };
    let line = |method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
    };
    for (method, params) in [
        ("session.list", "{}"),
        ("subscribe", "{}"),
        ("session.get", r#"{"session":"one"}"#),
        ("session.explain", r#"{"session":"claude-code-855"}"#),
    ] {
        assert_eq!(asked(&core, &line(method, params)), [CLAUDE], "{method}");
    }
    let other = line("session.get", r#"{"session":"other"}"#);
    assert_eq!(asked(&core, &other), []);
    assert_eq!(asked(&core, &line("usage.get", "{}")), []);
    core.take(Input::ProcessExited(CLAUDE));
    assert_eq!(asked(&core, &line("session.list", "{}")), []);
}

#[test]
fn with_a_subscriber_each_event_has_the_processes_looked_at_once_a_second_at_most() {
    let mut core = CoreHarness::new();
    let looks = |effects: Vec<Effect>| {
        let is_look = |effect: &&Effect| matches!(effect, Effect::Inspect(_));
        effects.iter().filter(is_look).count()
    };
    // Without a subscriber nothing shows it.
    assert_eq!(looks(core.hook(&prompt("p1", "a"))), 0);
    assert_eq!(core.core.next_timeout(), None);
    subscribe(&mut core);
    core.wait(5000);
    assert_eq!(looks(core.hook(&tool("p1", "make"))), 1);
    assert_eq!(core.core.next_timeout(), None);
    core.wait(400);
    assert_eq!(looks(core.hook(&tool("p1", "test"))), 0);
    // What this event may have changed shows once the second is over.
    core.wait(600);
    assert_eq!(core.core.next_timeout(), Some(core.now.uptime_ms));
    assert_eq!(looks(core.take(Input::Timeout)), 1);
    assert_eq!(core.core.next_timeout(), None);
    core.wait(90_000);
    assert_eq!(looks(core.take(Input::Timeout)), 0, "a spurious one");
    assert_eq!(looks(core.take(Input::Watchdog)), 1);
    assert_eq!(core.core.next_timeout(), None);
}

#[test]
fn a_session_at_work_without_a_sign_is_quiet_until_the_next() {
    let mut core = CoreHarness::with(Settings {
        quiet_after_ms: Some(TEN_MINUTES),
        ..settings()
    });
    core.hook(&prompt("p1", "a"));
    core.wait(MINUTE);
    core.hook(&tool("p1", "make"));
    let sign = core.now.unix_ms;
    assert_eq!(
        core.core.next_timeout(),
        Some(core.now.uptime_ms + TEN_MINUTES)
    );
    subscribe(&mut core);
    core.wait(TEN_MINUTES);
    let effects = core.take(Input::Timeout);
    assert!(names(&effects).contains(&"broadcast"), "{effects:?}");
    assert_eq!(core.get(KEY).quiet_since, Some(sign));
    assert_eq!(core.shown(KEY), "working: Bash: make");
    core.wait(MINUTE);
    core.hook(&tool("p1", "test"));
    assert_eq!(core.get(KEY).quiet_since, None);
    // A session that is not at work owes no sign.
    core.hook(&stop("p1", &json!([])));
    core.wait(1000);
    core.take(Input::Timeout);
    core.wait(2 * TEN_MINUTES);
    core.take(Input::Timeout);
    assert_eq!(core.get(KEY).quiet_since, None);
}

#[test]
fn a_quiet_session_needs_a_person_if_the_configuration_says_so() {
    let needs = Settings {
        quiet_after_ms: Some(TEN_MINUTES),
        attention: AttentionRules {
            quiet: true,
            ..settings().attention
        },
        ..settings()
    };
    let mut core = CoreHarness::with(needs);
    core.hook(&prompt("p1", "a"));
    core.wait(TEN_MINUTES);
    core.take(Input::Timeout);
    assert!(core.get(KEY).attention);
    let reload = |core: &mut CoreHarness, settings| {
        core.take(Input::Reloaded(Ok((settings, None))));
        let session = core.get(KEY);
        (session.quiet_since.is_some(), session.attention)
    };
    let shown = Settings {
        attention: settings().attention,
        ..needs
    };
    assert_eq!(reload(&mut core, shown), (true, false));
    assert_eq!(reload(&mut core, settings()), (false, false));
    assert_eq!(core.core.next_timeout(), None);
    // The time counts from the last sign, whenever the setting came.
    reload(&mut core, needs);
    core.take(Input::Timeout);
    assert!(core.get(KEY).attention);
}
