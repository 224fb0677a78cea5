//! The account's limits in virtual time: what is told of them and when, and when the service is asked.

use serde_json::{Value, json};

use super::{Desk, Effect, MINUTE, names, settings};
use crate::core::{ClientId, FETCH_LIMIT_MS, Input, Request, SOONEST_MS, Settings};
use crate::limits::{Failure, Fetched, Limit, Problem};

const HOUR: u64 = 60 * MINUTE;
const INTERVAL: u64 = 3 * MINUTE;

impl Desk {
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
        self.take(Input::Fetched(Fetched::Limits(vec![five_hour(
            used, resets_at,
        )])))
    }

    fn failed(&mut self, problem: Problem, retry_after_ms: Option<u64>) -> Vec<Effect> {
        self.take(Input::Fetched(Fetched::Failed(Failure {
            problem,
            message: "for a person".into(),
            retry_after_ms,
        })))
    }

    /// Lets time pass until a child is started.
    fn refused_until_next(&mut self) {
        loop {
            let due = self.core.next_deadline().expect("another try");
            self.wait(due - self.now.uptime_ms);
            if has(&self.take(Input::Tick), "fetch") {
                return;
            }
        }
    }

    /// Lets time pass as a shell does: a tick at each deadline, and a child that has ended at once. Gives how many children
    /// there were.
    fn children_in(&mut self, ms: u64) -> usize {
        let end = self.now.uptime_ms + ms;
        let mut children = 0;
        while let Some(due) = self.core.next_deadline().filter(|due| *due <= end) {
            self.wait(due - self.now.uptime_ms);
            let effects = self.take(Input::Tick);
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
    Limit {
        name: "five_hour".into(),
        used_percent,
        resets_at: Some(resets_at),
    }
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
    let mut desk = Desk::new();
    assert_eq!(desk.usage(), Value::Null);
    desk.told(42.0, super::EPOCH + HOUR);
    let usage = desk.usage();
    assert_eq!(
        (&usage["state"], &usage["source"]),
        (&json!("ok"), &json!("status_line"))
    );
    // Four of five hours are over, and less than half is used.
    assert_eq!(usage["windows"][0]["pace"], json!(42.0 - 80.0));
}

#[test]
fn what_is_old_is_called_stale_and_who_looks_is_told() {
    let mut desk = Desk::new();
    desk.subscribes(1);
    desk.told(42.0, super::EPOCH + HOUR);
    desk.wait(10 * MINUTE - 1);
    assert_eq!(desk.usage()["state"], "ok");
    desk.wait(1);
    assert_eq!(desk.core.next_deadline(), Some(desk.now.uptime_ms));
    let effects = desk.take(Input::Tick);
    assert_eq!(told(&effects)[0].1["usage"]["state"], "stale");
    assert_eq!(desk.usage()["state"], "stale");
    assert_eq!(desk.core.next_deadline(), Some(HOUR));
}

#[test]
fn what_has_not_changed_is_not_told_again() {
    let mut desk = Desk::new();
    desk.subscribes(1);
    let mut pushed = Vec::new();
    for (minute, used) in [(0, 10.0), (0, 10.0), (0, 11.0), (2, 11.0)] {
        desk.wait(minute * MINUTE);
        let effects = desk.told(used, super::EPOCH + HOUR);
        pushed.push(told(&effects).len());
    }
    assert_eq!(pushed, [1, 0, 1, 0]);
    // Who asks is told when it was heard last.
    assert_eq!(desk.usage()["fetched_at"], json!(super::EPOCH + 2 * MINUTE));
}

#[test]
fn an_agent_that_repeats_an_old_figure_says_nothing() {
    let mut desk = Desk::new();
    let reset = super::EPOCH + HOUR;
    desk.told(60.0, reset);
    desk.wait(1000);
    // Another session, idle since an earlier answer; one of yesterday; one whose window is over.
    for (used, reset) in [
        (40.0, reset),
        (90.0, reset - 5 * HOUR),
        (70.0, super::EPOCH),
    ] {
        desk.told(used, reset);
        let usage = desk.usage();
        assert_eq!(usage["windows"][0]["used_percent"], 60.0);
        assert_eq!(usage["fetched_at"], json!(super::EPOCH));
    }
    desk.told(2.0, reset + 5 * HOUR);
    assert_eq!(desk.usage()["windows"][0]["used_percent"], 2.0);
}

#[test]
fn each_figure_is_told_once_for_each_window() {
    let mut desk = Desk::new();
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
        desk.wait(MINUTE);
        reset += if another { 5 * HOUR } else { 20_000 };
        desk.told(used, reset);
    }
    let snapshot = desk.ask("subscribe", &json!({}));
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
    let mut desk = Desk::new();
    desk.subscribes(1);
    desk.told(95.0, super::EPOCH + HOUR);
    desk.wait(HOUR - 1);
    assert!(
        told(&desk.take(Input::Tick))
            .iter()
            .all(|(method, _)| method == "usage.changed")
    );
    desk.wait(1);
    assert_eq!(desk.core.next_deadline(), Some(HOUR));
    let told = told(&desk.take(Input::Tick));
    assert_eq!(told[0].1["message"], "the 5 h limit: reset");
    assert_eq!(told[1].1["usage"]["windows"][0]["used_percent"], 0.0);
    // An agent that still shows the old window does not bring it back, and the next is not a second reset.
    assert!(desk.told(95.0, super::EPOCH + HOUR).is_empty());
    let effects = desk.told(1.0, super::EPOCH + 6 * HOUR);
    assert_eq!(super::names(&effects), ["broadcast"]);
    assert_eq!(desk.core.next_deadline(), Some(HOUR + 10 * MINUTE));
}

#[test]
fn a_window_that_has_not_begun_is_not_the_one_before() {
    let mut desk = Desk::asking();
    desk.subscribes(1);
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
        let effects = desk.take(Input::Fetched(Fetched::Limits(vec![limit])));
        messages.extend(
            told(&effects)
                .into_iter()
                .filter_map(|(_, params)| Some(params["message"].as_str()?.to_owned())),
        );
        desk.wait(INTERVAL).take(Input::Tick);
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
    let mut desk = Desk::asking();
    desk.hook(&json!({"hook_event_name": "SessionStart", "session_id": "s", "source": "startup"}));
    assert_eq!(desk.children_in(HOUR), 0);
}

#[test]
fn the_first_who_looks_has_it_asked_at_once_and_then_again_and_again() {
    let mut desk = Desk::asking();
    assert!(has(&desk.subscribes(1), "fetch"));
    assert!(!has(&desk.subscribes(2), "fetch"));
    let effects = desk.fetched(42.0, super::EPOCH + 2 * HOUR);
    assert_eq!(told(&effects)[0].1["usage"]["source"], "service");
    assert_eq!(desk.usage()["windows"][0]["source"], "service");
    // Two dashboards, one fetch every three minutes.
    assert_eq!(desk.children_in(HOUR), 20);
    desk.leaves(1);
    assert_eq!(desk.children_in(2 * INTERVAL), 2);
    desk.leaves(2);
    assert_eq!(desk.children_in(HOUR), 0);
}

#[test]
fn who_comes_and_goes_has_it_asked_no_more_often() {
    let mut desk = Desk::asking();
    let mut children = 0;
    for _ in 0..60 {
        let effects = desk.subscribes(1);
        if has(&effects, "fetch") {
            children += 1;
            desk.fetched(1.0, super::EPOCH + 100 * HOUR);
        }
        children += desk.children_in(30_000);
        desk.leaves(1);
        desk.wait(30_000);
    }
    assert_eq!(children, 20);
}

#[test]
fn what_comes_when_nobody_looks_any_more_is_kept_and_told_to_nobody() {
    let mut desk = Desk::asking();
    desk.subscribes(1);
    desk.leaves(1);
    assert!(desk.fetched(42.0, super::EPOCH + HOUR).is_empty());
    let snapshot = desk.ask("subscribe", &json!({}));
    assert_eq!(snapshot["usage"]["windows"][0]["used_percent"], 42.0);
}

#[test]
fn one_that_takes_too_long_is_killed_and_counts_no_more() {
    let mut desk = Desk::asking();
    desk.subscribes(1);
    desk.wait(FETCH_LIMIT_MS - 1);
    assert!(desk.take(Input::Tick).is_empty());
    desk.wait(1);
    assert_eq!(desk.core.next_deadline(), Some(desk.now.uptime_ms));
    let effects = desk.take(Input::Tick);
    assert_eq!(names(&effects), ["kill the fetch", "broadcast"]);
    let usage = &told(&effects)[0].1["usage"];
    assert_eq!(
        (&usage["state"], &usage["code"]),
        (&json!("unavailable"), &json!("timed_out"))
    );
    // Not reaped yet: no other one, however long that takes.
    assert_eq!(desk.children_in(HOUR), 0);
    let effects = desk.fetched(42.0, super::EPOCH + 2 * HOUR);
    assert_eq!(names(&effects), ["fetch"]);
    assert_eq!(desk.usage()["windows"], json!([]));
}

#[test]
fn a_failure_is_told_and_hides_nothing() {
    for (problem, state, code) in [
        (Problem::NoCredentials, "unauthorized", "no_credentials"),
        (
            Problem::CredentialsUnreadable,
            "unauthorized",
            "credentials_unreadable",
        ),
        (
            Problem::CredentialsExpired,
            "unauthorized",
            "credentials_expired",
        ),
        (
            Problem::CredentialsRefused,
            "unauthorized",
            "credentials_refused",
        ),
        (Problem::ScopeMissing, "unauthorized", "scope_missing"),
        (Problem::RateLimited, "rate_limited", "rate_limited"),
        (Problem::Network, "unavailable", "network"),
        (Problem::ServerError, "unavailable", "server_error"),
        (
            Problem::UnexpectedAnswer,
            "unavailable",
            "unexpected_answer",
        ),
        (Problem::FetchFailed, "unavailable", "fetch_failed"),
    ] {
        let mut desk = Desk::asking();
        desk.subscribes(1);
        desk.fetched(42.0, super::EPOCH + 2 * HOUR);
        desk.wait(INTERVAL).take(Input::Tick);
        let effects = desk.failed(problem, None);
        let usage = &told(&effects)[0].1["usage"];
        assert_eq!(
            (usage["state"].as_str(), usage["code"].as_str()),
            (Some(state), Some(code))
        );
        assert_eq!(usage["message"], "for a person");
        assert_eq!(usage["windows"][0]["used_percent"], 42.0);
        assert_eq!(usage["fetched_at"], json!(super::EPOCH));
        // The same once more is no news, unless the service is left alone for longer now; the next good word mends it.
        if problem != Problem::RateLimited {
            desk.wait(INTERVAL).take(Input::Tick);
            assert!(desk.failed(problem, None).is_empty());
        }
        desk.wait(INTERVAL).take(Input::Tick);
        let effects = desk.fetched(43.0, super::EPOCH + 2 * HOUR);
        let usage = &told(&effects)[0].1["usage"];
        assert_eq!(
            (&usage["state"], &usage["code"]),
            (&json!("ok"), &Value::Null)
        );
    }
}

#[test]
fn a_status_line_stands_in_for_a_service_that_fails() {
    let mut desk = Desk::asking();
    desk.subscribes(1);
    let effects = desk.failed(Problem::CredentialsExpired, None);
    assert_eq!(told(&effects)[0].1["usage"]["state"], "unauthorized");
    assert_eq!(told(&effects)[0].1["usage"]["fetched_at"], Value::Null);
    let effects = desk.told(42.0, super::EPOCH + 2 * HOUR);
    let usage = &told(&effects)[0].1["usage"];
    assert_eq!(
        (&usage["state"], &usage["code"]),
        (&json!("ok"), &json!("credentials_expired"))
    );
    desk.wait(10 * MINUTE);
    desk.take(Input::Tick);
    desk.failed(Problem::CredentialsExpired, None);
    assert_eq!(desk.usage()["state"], "unauthorized");
}

#[test]
fn the_newer_of_two_words_counts() {
    let mut desk = Desk::asking();
    let reset = super::EPOCH + 2 * HOUR;
    desk.subscribes(1);
    desk.wait(1000);
    desk.fetched(50.0, reset);
    let used = |desk: &mut Desk| desk.usage()["windows"][0]["used_percent"].clone();
    // Stamped before the fetch, arrived after it.
    let late = desk.now.unix_ms - 10;
    desk.hook_at(
        late,
        true,
        &json!({
            "session_id": "s", "model": {"id": "opus"},
            "rate_limits": {"five_hour": {"used_percentage": 80, "resets_at": reset / 1000}},
        }),
    );
    assert_eq!(used(&mut desk), 50.0);
    desk.wait(1000).told(51.0, reset);
    assert_eq!(used(&mut desk), 51.0);
    desk.wait(INTERVAL).take(Input::Tick);
    // The service has the last word, also downwards.
    desk.fetched(30.0, reset);
    assert_eq!(used(&mut desk), 30.0);
}

#[test]
fn the_service_is_left_alone_for_as_long_as_it_wants() {
    let mut desk = Desk::asking();
    desk.subscribes(1);
    let effects = desk.failed(Problem::RateLimited, Some(20 * MINUTE));
    let usage = &told(&effects)[0].1["usage"];
    assert_eq!(usage["retry_at"], json!(super::EPOCH + 20 * MINUTE));
    assert_eq!(desk.children_in(20 * MINUTE - 1), 0);
    // Whoever comes, and whoever asks for it.
    desk.leaves(1);
    assert!(!has(&desk.subscribes(2), "fetch"));
    assert_eq!(names(&desk.asks(2, Request::UsageRefresh)), ["reply"]);
    assert_eq!(desk.children_in(1), 1);
    // A wish of years is not believed, one of nothing is no reason to hurry.
    let mut desk = Desk::asking();
    desk.subscribes(1);
    desk.failed(Problem::RateLimited, Some(u64::MAX));
    assert_eq!(desk.children_in(24 * HOUR - 1), 0);
    assert_eq!(desk.children_in(1), 1);
    let mut desk = Desk::asking();
    desk.subscribes(1);
    desk.failed(Problem::RateLimited, Some(0));
    assert_eq!(desk.children_in(INTERVAL - 1), 0);
    assert_eq!(desk.children_in(1), 1);
}

#[test]
fn a_service_that_refuses_again_and_again_is_left_alone_ever_longer() {
    let mut desk = Desk::asking();
    desk.subscribes(1);
    let mut waits = Vec::new();
    for wish in [None, Some(0), None, Some(50 * MINUTE), None, None, None] {
        let began = desk.now.uptime_ms;
        desk.failed(Problem::RateLimited, wish);
        desk.refused_until_next();
        waits.push((desk.now.uptime_ms - began) / MINUTE);
    }
    assert_eq!(waits, [3, 6, 12, 50, 48, 60, 60]);
    // What tells something ends it, a network that fails does not.
    desk.failed(Problem::Network, None);
    desk.wait(INTERVAL).take(Input::Tick);
    assert_eq!(
        names(&desk.failed(Problem::RateLimited, None)),
        ["broadcast"]
    );
    assert_eq!(desk.usage()["retry_at"], json!(desk.now.unix_ms + HOUR));
    desk.refused_until_next();
    desk.fetched(1.0, super::EPOCH + 100 * HOUR);
    desk.wait(INTERVAL).take(Input::Tick);
    desk.failed(Problem::RateLimited, None);
    assert_eq!(desk.usage()["retry_at"], Value::Null);
}

#[test]
fn a_person_may_ask_at_any_time_and_is_answered_with_the_outcome() {
    let mut desk = Desk::asking();
    assert_eq!(names(&desk.asks(1, Request::UsageRefresh)), ["fetch"]);
    // Another one joins.
    assert!(desk.asks(2, Request::UsageRefresh).is_empty());
    let effects = desk.fetched(42.0, super::EPOCH + HOUR);
    assert_eq!(names(&effects), ["reply", "reply"]);
    // So soon again: what is known is new enough.
    desk.wait(SOONEST_MS - 1);
    assert_eq!(names(&desk.asks(1, Request::UsageRefresh)), ["reply"]);
    desk.wait(1);
    assert_eq!(names(&desk.asks(1, Request::UsageRefresh)), ["fetch"]);
    desk.leaves(1);
    assert!(desk.failed(Problem::Network, None).is_empty());
    // Whoever waits is answered when the time is over, and when the daemon leaves.
    desk.wait(SOONEST_MS).asks(1, Request::UsageRefresh);
    desk.wait(FETCH_LIMIT_MS);
    assert_eq!(names(&desk.take(Input::Tick)), ["kill the fetch", "reply"]);
    desk.fetched(1.0, super::EPOCH + HOUR);
    desk.wait(SOONEST_MS).asks(1, Request::UsageRefresh);
    assert_eq!(
        names(&desk.take(Input::Terminated)),
        ["reply", "announce", "retire for good"]
    );
    assert_eq!(names(&desk.asks(1, Request::UsageRefresh)), ["reply"]);
}

#[test]
fn an_answer_comes_before_what_it_pushes() {
    let mut desk = Desk::asking();
    desk.subscribes(1);
    desk.asks(2, Request::UsageRefresh);
    assert_eq!(
        names(&desk.fetched(80.0, super::EPOCH + HOUR)),
        ["reply", "broadcast", "broadcast"]
    );
}

#[test]
fn a_daemon_that_nobody_needs_stays_for_who_waits() {
    let mut desk = Desk::asking();
    desk.wait(HOUR);
    assert_eq!(names(&desk.take(Input::Tick)), ["retire"]);
    desk.asks(1, Request::UsageRefresh);
    assert_eq!(names(&desk.take(Input::Drained)), ["resume"]);
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
    let state = |desk: &mut Desk| {
        let usage = desk.usage();
        (usage["state"].clone(), usage["code"].clone())
    };
    let disabled = (json!("unavailable"), json!("disabled"));

    let mut desk = Desk::asking();
    desk.subscribes(1);
    desk.failed(Problem::Network, None);
    let effects = desk.take(off());
    assert_eq!(told(&effects)[0].1["usage"]["code"], "disabled");
    assert_eq!(desk.children_in(HOUR), 0);
    assert_eq!(state(&mut desk), disabled);
    let error = desk.ask("usage.refresh", &json!({}));
    assert_eq!(error["code"], -32007);
    // The status line's word is there all the same, and what is old is no more than that.
    desk.told(42.0, super::EPOCH + 3 * HOUR);
    assert_eq!(state(&mut desk), (json!("ok"), Value::Null));
    desk.wait(10 * MINUTE);
    assert_eq!(state(&mut desk), (json!("stale"), json!("disabled")));
    assert!(has(&desk.take(on()), "fetch"));

    // A child that is on its way is called back, and who waits for it is answered.
    let mut desk = Desk::asking();
    desk.subscribes(1);
    desk.asks(2, Request::UsageRefresh);
    let effects = desk.take(off());
    assert_eq!(names(&effects)[0], "kill the fetch");
    assert!(has(&effects, "reply"));
    assert!(desk.fetched(42.0, super::EPOCH + HOUR).is_empty());
    assert_eq!(desk.usage(), Value::Null);

    // What the service has asked for holds, and is told again.
    let mut desk = Desk::asking();
    desk.subscribes(1);
    desk.failed(Problem::RateLimited, Some(HOUR));
    desk.take(off());
    assert_eq!(state(&mut desk), disabled);
    let effects = desk.take(on());
    assert!(!has(&effects, "fetch"));
    assert_eq!(told(&effects)[0].1["usage"]["state"], "rate_limited");
    assert_eq!(desk.children_in(HOUR), 1);
}

#[test]
fn what_became_old_while_the_machine_slept_is_old() {
    let mut desk = Desk::asking();
    desk.subscribes(1);
    desk.fetched(80.0, super::EPOCH + HOUR);
    // Only the clock that people read goes on.
    desk.now.unix_ms += 8 * HOUR;
    assert_eq!(desk.usage()["state"], "stale");
    assert_eq!(desk.usage()["windows"][0]["used_percent"], 0.0);
    // And whoever looks is told at the next turn of the loop's timer.
    let mut desk = Desk::asking();
    desk.subscribes(1);
    desk.fetched(80.0, super::EPOCH + HOUR);
    desk.now.unix_ms += 8 * HOUR;
    desk.wait(INTERVAL);
    let told = told(&desk.take(Input::Tick));
    assert_eq!(told[0].1["message"], "the 5 h limit: reset");
    assert_eq!(told[1].1["usage"]["state"], "stale");
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let mut desk = Desk::new();
    desk.told(50.0, super::EPOCH + 30 * HOUR);
    desk.now.unix_ms -= 24 * HOUR;
    desk.wait(1000).told(60.0, super::EPOCH + 30 * HOUR);
    let usage = desk.usage();
    assert_eq!(
        (&usage["state"], &usage["windows"][0]["used_percent"]),
        (&json!("ok"), &json!(60.0))
    );
    assert_eq!(usage["fetched_at"], json!(desk.now.unix_ms));
}

#[test]
fn what_the_service_has_reset_early_an_idle_agent_does_not_bring_back() {
    let mut desk = Desk::asking();
    let reset = super::EPOCH + 2 * HOUR;
    desk.subscribes(1);
    desk.told(92.0, reset);
    desk.take(Input::Fetched(Fetched::Limits(vec![Limit {
        resets_at: None,
        ..five_hour(0.0, 0)
    }])));
    desk.wait(1000).told(92.0, reset);
    assert_eq!(desk.usage()["windows"][0]["used_percent"], 0.0);
    desk.wait(1000).told(3.0, reset + 5 * HOUR);
    assert_eq!(desk.usage()["windows"][0]["used_percent"], 3.0);
}

#[test]
fn all_who_wait_are_answered_before_anybody_is_told() {
    let mut desk = Desk::asking();
    desk.subscribes(1);
    desk.asks(1, Request::UsageRefresh);
    desk.asks(2, Request::UsageRefresh);
    assert_eq!(
        names(&desk.fetched(80.0, super::EPOCH + HOUR)),
        ["reply", "reply", "broadcast", "broadcast"]
    );
}

#[test]
fn the_last_word_is_the_last() {
    let mut desk = Desk::asking();
    desk.subscribes(1);
    desk.take(Input::Terminated);
    assert!(desk.failed(Problem::FetchFailed, None).is_empty());
}
