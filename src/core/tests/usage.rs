//! The account's limits in virtual time: what is told of them and when, and when the service is asked.

use serde_json::{Value, json};

use super::{CoreHarness, Effect, MINUTE, names, settings};
use crate::agents::{self, LimitWindow};
use crate::codec::Request;
use crate::core::{ClientId, Input, Settings};
use crate::limits::{FetchFailure, FetchOutcome, FetchProblem, Limit};
use crate::protocol::{FETCH_LIMIT_MS, MIN_FETCH_INTERVAL_MS};

const HOUR: u64 = 60 * MINUTE;
const INTERVAL: u64 = 3 * MINUTE;

impl CoreHarness {
    /// A daemon that may ask the service.
    fn asking() -> Self {
        Self::with(Settings {
            usage_interval_ms: Some(INTERVAL),
            ..settings()
        })
    }

    fn asks(&mut self, client: u64, request: Request) -> Vec<Effect> {
        let id = crate::codec::decode(br#"{"jsonrpc":"2.0","id":9,"method":"hello"}"#).id;
        self.take(Input::Request {
            client: ClientId(client),
            id,
            request,
        })
    }

    fn subscribes(&mut self, client: u64) -> Vec<Effect> {
        self.asks(client, Request::Subscribe)
    }

    fn leaves(&mut self, client: u64) -> Vec<Effect> {
        self.take(Input::Disconnected(ClientId(client)))
    }

    fn usage(&mut self) -> Value {
        self.ask("usage.get", &json!({}))["usage"].clone()
    }

    /// An agent's status line tells how much of the five hours is used.
    fn told(&mut self, used: f64, resets_at: u64) -> Vec<Effect> {
        let line = json!({
            "session_id": "s", "model": {"id": "opus"},
            "rate_limits": {"five_hour": {"used_percentage": used, "resets_at": resets_at / 1000}},
        });
        self.hook(&line)
    }

    /// The child ends, having been told how much of the five hours is used.
    fn fetched(&mut self, used: f64, resets_at: u64) -> Vec<Effect> {
        self.take(Input::LimitsFetched(FetchOutcome::Limits(vec![five_hour(
            used, resets_at,
        )])))
    }

    fn failed(&mut self, problem: FetchProblem, retry_after_ms: Option<u64>) -> Vec<Effect> {
        self.take(Input::LimitsFetched(FetchOutcome::Failed(FetchFailure {
            problem,
            message: "for a person".into(),
            retry_after_ms,
        })))
    }

    /// Lets time pass until a child is started.
    fn refused_until_next(&mut self) {
        loop {
            let due = self.core.next_timeout().expect("another try");
            self.wait(due - self.now.uptime_ms);
            if has(&self.take(Input::Timeout), "fetch") {
                return;
            }
        }
    }

    /// Lets time pass as a shell does: a tick at each deadline, and a child that has ended at once. Gives how many children
    /// there were.
    fn children_in(&mut self, ms: u64) -> usize {
        let end = self.now.uptime_ms + ms;
        let mut children = 0;
        while let Some(due) = self.core.next_timeout().filter(|due| *due <= end) {
            self.wait(due - self.now.uptime_ms);
            let effects = self.take(Input::Timeout);
            if names(&effects).contains(&"fetch") {
                children += 1;
                self.fetched(1.0, super::EPOCH + 100 * HOUR);
            }
        }
        self.wait(end - self.now.uptime_ms);
        children
    }
}

fn five_hour(used_percent: f64, resets_at: u64) -> Limit {
    let windows = agents::DEFAULT.limits.as_ref().unwrap().windows;
    LimitWindow::limit(windows, "five_hour", used_percent, Some(resets_at)).unwrap()
}

fn has(effects: &[Effect], name: &str) -> bool {
    names(effects).contains(&name)
}

/// What of the effects tells those who look: a notification's method and its parameters.
fn told(effects: &[Effect]) -> Vec<(String, Value)> {
    let lines = effects.iter().filter_map(|effect| match effect {
        Effect::Broadcast(line) => serde_json::from_slice::<Value>(line).ok(),
        _ => None,
    });
    let parts = lines.map(|line| {
        (
            line["method"].as_str().unwrap().to_owned(),
            line["params"].clone(),
        )
    });
    parts.collect()
}

#[test]
fn a_status_line_tells_the_limits_and_how_they_keep_pace() {
    let mut core = CoreHarness::new();
    assert_eq!(core.usage(), Value::Null);
    core.told(42.0, super::EPOCH + HOUR);
    let usage = core.usage();
    assert_eq!(
        (&usage["state"], &usage["source"]),
        (&json!("ok"), &json!("status_line"))
    );
    // Four of five hours are over, and less than half is used.
    assert_eq!(usage["windows"][0]["pace"], json!(42.0 - 80.0));
}

#[test]
fn what_is_old_is_called_stale_and_who_looks_is_told() {
    let mut core = CoreHarness::new();
    core.subscribes(1);
    core.told(42.0, super::EPOCH + HOUR);
    core.wait(10 * MINUTE - 1);
    assert_eq!(core.usage()["state"], "ok");
    core.wait(1);
    assert_eq!(core.core.next_timeout(), Some(core.now.uptime_ms));
    let effects = core.take(Input::Timeout);
    assert_eq!(told(&effects)[0].1["usage"]["state"], "stale");
    assert_eq!(core.usage()["state"], "stale");
    assert_eq!(core.core.next_timeout(), Some(HOUR));
}

#[test]
fn what_has_not_changed_is_not_told_again() {
    let mut core = CoreHarness::new();
    core.subscribes(1);
    let mut pushed = Vec::new();
    for (minute, used) in [(0, 10.0), (0, 10.0), (0, 11.0), (2, 11.0)] {
        core.wait(minute * MINUTE);
        let effects = core.told(used, super::EPOCH + HOUR);
        pushed.push(told(&effects).len());
    }
    assert_eq!(pushed, [1, 0, 1, 0]);
    // Who asks is told when it was heard last.
    assert_eq!(core.usage()["fetched_at"], json!(super::EPOCH + 2 * MINUTE));
}

#[test]
fn an_agent_that_repeats_an_old_figure_says_nothing() {
    let mut core = CoreHarness::new();
    let reset = super::EPOCH + HOUR;
    core.told(60.0, reset);
    core.wait(1000);
    // Another session, idle since an earlier answer; one of yesterday; one whose window is over.
    for (used, reset) in [
        (40.0, reset),
        (90.0, reset - 5 * HOUR),
        (70.0, super::EPOCH),
    ] {
        core.told(used, reset);
        let usage = core.usage();
        assert_eq!(usage["windows"][0]["used_percent"], 60.0);
        assert_eq!(usage["fetched_at"], json!(super::EPOCH));
    }
    core.told(2.0, reset + 5 * HOUR);
    assert_eq!(core.usage()["windows"][0]["used_percent"], 2.0);
}

#[test]
fn each_figure_is_told_once_for_each_window() {
    let mut core = CoreHarness::new();
    let mut reset = super::EPOCH + HOUR;
    let mut told = Vec::new();
    for (used, another) in [
        (50.0, false),
        (76.0, false),
        (80.0, false),
        (100.0, false),
        (100.0, false),
        (3.0, true),
        (91.0, false),
    ] {
        core.wait(MINUTE);
        reset += if another { 5 * HOUR } else { 20_000 };
        core.told(used, reset);
    }
    let snapshot = core.ask("subscribe", &json!({}));
    for notice in snapshot["notices"].as_array().unwrap() {
        assert_eq!(notice["code"], "usage_crossed");
        assert_eq!(notice["window"]["name"], "five_hour");
        told.push(notice["message"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        told,
        [
            "the 5 h limit: 76 % used",
            "the 5 h limit: 100 % used",
            "the 5 h limit: reset, 3 % used",
            "the 5 h limit: 91 % used"
        ]
    );
    let last = &snapshot["notices"][3]["window"];
    assert_eq!(
        (&last["used_percent"], &last["resets_at"]),
        (&json!(91.0), &json!(reset / 1000 * 1000))
    );
}

#[test]
fn a_reset_is_told_when_its_time_has_come() {
    let mut core = CoreHarness::new();
    core.subscribes(1);
    core.told(95.0, super::EPOCH + HOUR);
    core.wait(HOUR - 1);
    assert!(
        told(&core.take(Input::Timeout))
            .iter()
            .all(|(method, _)| method == "usage.changed")
    );
    core.wait(1);
    assert_eq!(core.core.next_timeout(), Some(HOUR));
    let told = told(&core.take(Input::Timeout));
    assert_eq!(told[0].1["message"], "the 5 h limit: reset");
    assert_eq!(told[1].1["usage"]["windows"][0]["used_percent"], 0.0);
    // An agent that still shows the old window does not bring it back, and the next is not a second reset.
    assert!(core.told(95.0, super::EPOCH + HOUR).is_empty());
    let effects = core.told(1.0, super::EPOCH + 6 * HOUR);
    assert_eq!(super::names(&effects), ["broadcast"]);
    assert_eq!(core.core.next_timeout(), Some(HOUR + 10 * MINUTE));
}

#[test]
fn a_window_that_has_not_begun_is_not_the_one_before() {
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    let mut messages = Vec::new();
    let window = |used_percent, hours: Option<u64>| Limit {
        resets_at: hours.map(|hours| super::EPOCH + hours * HOUR),
        ..five_hour(used_percent, 0)
    };
    for limit in [
        window(92.0, Some(2)),
        window(0.0, None),
        window(76.0, Some(6)),
    ] {
        let effects = core.take(Input::LimitsFetched(FetchOutcome::Limits(vec![limit])));
        messages.extend(
            told(&effects)
                .into_iter()
                .filter_map(|(_, params)| Some(params["message"].as_str()?.to_owned())),
        );
        core.wait(INTERVAL).take(Input::Timeout);
    }
    assert_eq!(
        messages,
        [
            "the 5 h limit: 92 % used",
            "the 5 h limit: reset, 76 % used",
            "the 5 h limit: 76 % used"
        ]
    );
}

#[test]
fn nobody_looks_and_nobody_asks() {
    let mut core = CoreHarness::asking();
    core.hook(&json!({"hook_event_name": "SessionStart", "session_id": "s", "source": "startup"}));
    assert_eq!(core.children_in(HOUR), 0);
}

#[test]
fn the_first_who_looks_has_it_asked_at_once_and_then_again_and_again() {
    let mut core = CoreHarness::asking();
    assert!(has(&core.subscribes(1), "fetch"));
    assert!(!has(&core.subscribes(2), "fetch"));
    let effects = core.fetched(42.0, super::EPOCH + 2 * HOUR);
    assert_eq!(told(&effects)[0].1["usage"]["source"], "service");
    assert_eq!(core.usage()["windows"][0]["source"], "service");
    // Two dashboards, one fetch every three minutes.
    assert_eq!(core.children_in(HOUR), 20);
    core.leaves(1);
    assert_eq!(core.children_in(2 * INTERVAL), 2);
    core.leaves(2);
    assert_eq!(core.children_in(HOUR), 0);
}

#[test]
fn who_comes_and_goes_has_it_asked_no_more_often() {
    let mut core = CoreHarness::asking();
    let mut children = 0;
    for _ in 0..60 {
        let effects = core.subscribes(1);
        if has(&effects, "fetch") {
            children += 1;
            core.fetched(1.0, super::EPOCH + 100 * HOUR);
        }
        children += core.children_in(30_000);
        core.leaves(1);
        core.wait(30_000);
    }
    assert_eq!(children, 20);
}

#[test]
fn what_comes_when_nobody_looks_any_more_is_kept_and_told_to_nobody() {
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.leaves(1);
    assert!(core.fetched(42.0, super::EPOCH + HOUR).is_empty());
    let snapshot = core.ask("subscribe", &json!({}));
    assert_eq!(snapshot["usage"]["windows"][0]["used_percent"], 42.0);
}

#[test]
fn one_that_takes_too_long_is_killed_and_counts_no_more() {
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.wait(FETCH_LIMIT_MS - 1);
    assert!(core.take(Input::Timeout).is_empty());
    core.wait(1);
    assert_eq!(core.core.next_timeout(), Some(core.now.uptime_ms));
    let effects = core.take(Input::Timeout);
    assert_eq!(names(&effects), ["kill the fetch", "broadcast"]);
    let usage = &told(&effects)[0].1["usage"];
    assert_eq!(
        (&usage["state"], &usage["code"]),
        (&json!("unavailable"), &json!("timed_out"))
    );
    // Not reaped yet: no other one, however long that takes.
    assert_eq!(core.children_in(HOUR), 0);
    let effects = core.fetched(42.0, super::EPOCH + 2 * HOUR);
    assert_eq!(names(&effects), ["fetch"]);
    assert_eq!(core.usage()["windows"], json!([]));
}

#[test]
fn a_failure_is_told_and_hides_nothing() {
    for (problem, state, code) in [
        (
            FetchProblem::NoCredentials,
            "unauthorized",
            "no_credentials",
        ),
        (
            FetchProblem::CredentialsUnreadable,
            "unauthorized",
            "credentials_unreadable",
        ),
        (
            FetchProblem::CredentialsExpired,
            "unauthorized",
            "credentials_expired",
        ),
        (
            FetchProblem::CredentialsRefused,
            "unauthorized",
            "credentials_refused",
        ),
        (FetchProblem::ScopeMissing, "unauthorized", "scope_missing"),
        (FetchProblem::RateLimited, "rate_limited", "rate_limited"),
        (FetchProblem::Network, "unavailable", "network"),
        (FetchProblem::ServerError, "unavailable", "server_error"),
        (
            FetchProblem::UnexpectedAnswer,
            "unavailable",
            "unexpected_answer",
        ),
        (FetchProblem::FetchFailed, "unavailable", "fetch_failed"),
    ] {
        let mut core = CoreHarness::asking();
        core.subscribes(1);
        core.fetched(42.0, super::EPOCH + 2 * HOUR);
        core.wait(INTERVAL).take(Input::Timeout);
        let effects = core.failed(problem, None);
        let usage = &told(&effects)[0].1["usage"];
        assert_eq!(
            (usage["state"].as_str(), usage["code"].as_str()),
            (Some(state), Some(code))
        );
        assert_eq!(usage["message"], "for a person");
        assert_eq!(usage["windows"][0]["used_percent"], 42.0);
        assert_eq!(usage["fetched_at"], json!(super::EPOCH));
        // The same once more is no news, unless the service is left alone for longer now; the next good word mends it.
        if problem != FetchProblem::RateLimited {
            core.wait(INTERVAL).take(Input::Timeout);
            assert!(core.failed(problem, None).is_empty());
        }
        core.wait(INTERVAL).take(Input::Timeout);
        let effects = core.fetched(43.0, super::EPOCH + 2 * HOUR);
        let usage = &told(&effects)[0].1["usage"];
        assert_eq!(
            (&usage["state"], &usage["code"]),
            (&json!("ok"), &Value::Null)
        );
    }
}

#[test]
fn a_status_line_stands_in_for_a_service_that_fails() {
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    let effects = core.failed(FetchProblem::CredentialsExpired, None);
    assert_eq!(told(&effects)[0].1["usage"]["state"], "unauthorized");
    assert_eq!(told(&effects)[0].1["usage"]["fetched_at"], Value::Null);
    let effects = core.told(42.0, super::EPOCH + 2 * HOUR);
    let usage = &told(&effects)[0].1["usage"];
    assert_eq!(
        (&usage["state"], &usage["code"]),
        (&json!("ok"), &json!("credentials_expired"))
    );
    core.wait(10 * MINUTE);
    core.take(Input::Timeout);
    core.failed(FetchProblem::CredentialsExpired, None);
    assert_eq!(core.usage()["state"], "unauthorized");
}

#[test]
fn the_newer_of_two_words_counts() {
    let mut core = CoreHarness::asking();
    let reset = super::EPOCH + 2 * HOUR;
    core.subscribes(1);
    core.wait(1000);
    core.fetched(50.0, reset);
    let used = |core: &mut CoreHarness| core.usage()["windows"][0]["used_percent"].clone();
    // Stamped before the fetch, arrived after it.
    let late = core.now.unix_ms - 10;
    core.hook_at(
        late,
        true,
        &json!({
            "session_id": "s", "model": {"id": "opus"},
            "rate_limits": {"five_hour": {"used_percentage": 80, "resets_at": reset / 1000}},
        }),
    );
    assert_eq!(used(&mut core), 50.0);
    core.wait(1000).told(51.0, reset);
    assert_eq!(used(&mut core), 51.0);
    core.wait(INTERVAL).take(Input::Timeout);
    // The service has the last word, also downwards.
    core.fetched(30.0, reset);
    assert_eq!(used(&mut core), 30.0);
}

#[test]
fn the_service_is_left_alone_for_as_long_as_it_wants() {
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    let effects = core.failed(FetchProblem::RateLimited, Some(20 * MINUTE));
    let usage = &told(&effects)[0].1["usage"];
    assert_eq!(usage["retry_at"], json!(super::EPOCH + 20 * MINUTE));
    assert_eq!(core.children_in(20 * MINUTE - 1), 0);
    // Whoever comes, and whoever asks for it.
    core.leaves(1);
    assert!(!has(&core.subscribes(2), "fetch"));
    assert_eq!(names(&core.asks(2, Request::UsageRefresh)), ["reply"]);
    assert_eq!(core.children_in(1), 1);
    // A wish of years is not believed, one of nothing is no reason to hurry.
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.failed(FetchProblem::RateLimited, Some(u64::MAX));
    assert_eq!(core.children_in(24 * HOUR - 1), 0);
    assert_eq!(core.children_in(1), 1);
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.failed(FetchProblem::RateLimited, Some(0));
    assert_eq!(core.children_in(INTERVAL - 1), 0);
    assert_eq!(core.children_in(1), 1);
}

#[test]
fn a_service_that_refuses_again_and_again_is_left_alone_ever_longer() {
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    let mut waits = Vec::new();
    for wish in [None, Some(0), None, Some(50 * MINUTE), None, None, None] {
        let began = core.now.uptime_ms;
        core.failed(FetchProblem::RateLimited, wish);
        core.refused_until_next();
        waits.push((core.now.uptime_ms - began) / MINUTE);
    }
    assert_eq!(waits, [3, 6, 12, 50, 48, 60, 60]);
    // What tells something ends it, a network that fails does not.
    core.failed(FetchProblem::Network, None);
    core.wait(INTERVAL).take(Input::Timeout);
    assert_eq!(
        names(&core.failed(FetchProblem::RateLimited, None)),
        ["broadcast"]
    );
    assert_eq!(core.usage()["retry_at"], json!(core.now.unix_ms + HOUR));
    core.refused_until_next();
    core.fetched(1.0, super::EPOCH + 100 * HOUR);
    core.wait(INTERVAL).take(Input::Timeout);
    core.failed(FetchProblem::RateLimited, None);
    assert_eq!(core.usage()["retry_at"], Value::Null);
}

#[test]
fn a_person_may_ask_at_any_time_and_is_answered_with_the_outcome() {
    let mut core = CoreHarness::asking();
    assert_eq!(names(&core.asks(1, Request::UsageRefresh)), ["fetch"]);
    // Another one joins.
    assert!(core.asks(2, Request::UsageRefresh).is_empty());
    let effects = core.fetched(42.0, super::EPOCH + HOUR);
    assert_eq!(names(&effects), ["reply", "reply"]);
    // So soon again: what is known is new enough.
    core.wait(MIN_FETCH_INTERVAL_MS - 1);
    assert_eq!(names(&core.asks(1, Request::UsageRefresh)), ["reply"]);
    core.wait(1);
    assert_eq!(names(&core.asks(1, Request::UsageRefresh)), ["fetch"]);
    core.leaves(1);
    assert!(core.failed(FetchProblem::Network, None).is_empty());
    // Whoever waits is answered when the time is over, and when the daemon leaves.
    core.wait(MIN_FETCH_INTERVAL_MS)
        .asks(1, Request::UsageRefresh);
    core.wait(FETCH_LIMIT_MS);
    assert_eq!(
        names(&core.take(Input::Timeout)),
        ["kill the fetch", "reply"]
    );
    core.fetched(1.0, super::EPOCH + HOUR);
    core.wait(MIN_FETCH_INTERVAL_MS)
        .asks(1, Request::UsageRefresh);
    assert_eq!(
        names(&core.take(Input::Terminated)),
        ["reply", "announce", "drain for good"]
    );
    assert_eq!(names(&core.asks(1, Request::UsageRefresh)), ["reply"]);
}

#[test]
fn an_answer_comes_before_what_it_pushes() {
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.asks(2, Request::UsageRefresh);
    assert_eq!(
        names(&core.fetched(80.0, super::EPOCH + HOUR)),
        ["reply", "broadcast", "broadcast"]
    );
}

#[test]
fn a_daemon_that_nobody_needs_stays_for_who_waits() {
    let mut core = CoreHarness::asking();
    core.wait(HOUR);
    assert_eq!(names(&core.take(Input::Timeout)), ["drain"]);
    core.asks(1, Request::UsageRefresh);
    assert_eq!(names(&core.take(Input::Drained)), ["resume"]);
}

#[test]
fn what_is_switched_off_is_not_asked() {
    let off = || {
        Input::Reloaded(Ok((
            Settings {
                usage_interval_ms: None,
                ..settings()
            },
            None,
        )))
    };
    let on = || {
        Input::Reloaded(Ok((
            Settings {
                usage_interval_ms: Some(INTERVAL),
                ..settings()
            },
            None,
        )))
    };
    let state = |core: &mut CoreHarness| {
        let usage = core.usage();
        (usage["state"].clone(), usage["code"].clone())
    };
    let disabled = (json!("unavailable"), json!("disabled"));

    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.failed(FetchProblem::Network, None);
    let effects = core.take(off());
    assert_eq!(told(&effects)[0].1["usage"]["code"], "disabled");
    assert_eq!(core.children_in(HOUR), 0);
    assert_eq!(state(&mut core), disabled);
    let error = core.ask("usage.refresh", &json!({}));
    assert_eq!(error["code"], -32007);
    // The status line's word is there all the same, and what is old is no more than that.
    core.told(42.0, super::EPOCH + 3 * HOUR);
    assert_eq!(state(&mut core), (json!("ok"), Value::Null));
    core.wait(10 * MINUTE);
    assert_eq!(state(&mut core), (json!("stale"), json!("disabled")));
    assert!(has(&core.take(on()), "fetch"));

    // A child that is on its way is called back, and who waits for it is answered.
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.asks(2, Request::UsageRefresh);
    let effects = core.take(off());
    assert_eq!(names(&effects)[0], "kill the fetch");
    assert!(has(&effects, "reply"));
    assert!(core.fetched(42.0, super::EPOCH + HOUR).is_empty());
    assert_eq!(core.usage(), Value::Null);

    // What the service has asked for holds, and is told again.
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.failed(FetchProblem::RateLimited, Some(HOUR));
    core.take(off());
    assert_eq!(state(&mut core), disabled);
    let effects = core.take(on());
    assert!(!has(&effects, "fetch"));
    assert_eq!(told(&effects)[0].1["usage"]["state"], "rate_limited");
    assert_eq!(core.children_in(HOUR), 1);
}

#[test]
fn what_became_old_while_the_machine_slept_is_old() {
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.fetched(80.0, super::EPOCH + HOUR);
    // Only the clock that people read goes on.
    core.now.unix_ms += 8 * HOUR;
    assert_eq!(core.usage()["state"], "stale");
    assert_eq!(core.usage()["windows"][0]["used_percent"], 0.0);
    // And whoever looks is told at the next turn of the loop's timer.
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.fetched(80.0, super::EPOCH + HOUR);
    core.now.unix_ms += 8 * HOUR;
    core.wait(INTERVAL);
    let told = told(&core.take(Input::Timeout));
    assert_eq!(told[0].1["message"], "the 5 h limit: reset");
    assert_eq!(told[1].1["usage"]["state"], "stale");
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let mut core = CoreHarness::new();
    core.told(50.0, super::EPOCH + 30 * HOUR);
    core.now.unix_ms -= 24 * HOUR;
    core.wait(1000).told(60.0, super::EPOCH + 30 * HOUR);
    let usage = core.usage();
    assert_eq!(
        (&usage["state"], &usage["windows"][0]["used_percent"]),
        (&json!("ok"), &json!(60.0))
    );
    assert_eq!(usage["fetched_at"], json!(core.now.unix_ms));
}

#[test]
fn what_the_service_has_reset_early_an_idle_agent_does_not_bring_back() {
    let mut core = CoreHarness::asking();
    let reset = super::EPOCH + 2 * HOUR;
    core.subscribes(1);
    core.told(92.0, reset);
    core.take(Input::LimitsFetched(FetchOutcome::Limits(vec![Limit {
        resets_at: None,
        ..five_hour(0.0, 0)
    }])));
    core.wait(1000).told(92.0, reset);
    assert_eq!(core.usage()["windows"][0]["used_percent"], 0.0);
    core.wait(1000).told(3.0, reset + 5 * HOUR);
    assert_eq!(core.usage()["windows"][0]["used_percent"], 3.0);
}

#[test]
fn all_who_wait_are_answered_before_anybody_is_told() {
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.asks(1, Request::UsageRefresh);
    core.asks(2, Request::UsageRefresh);
    assert_eq!(
        names(&core.fetched(80.0, super::EPOCH + HOUR)),
        ["reply", "reply", "broadcast", "broadcast"]
    );
}

#[test]
fn the_last_word_is_the_last() {
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.take(Input::Terminated);
    assert!(core.failed(FetchProblem::FetchFailed, None).is_empty());
}
