//! When the service is asked, and what its answers and failures change.

use super::*;

#[test]
fn without_a_subscriber_nothing_is_fetched() {
    let mut core = CoreHarness::asking();
    core.hook(&json!({"hook_event_name": "SessionStart", "session_id": "s", "source": "startup"}));
    assert_eq!(core.children_in(HOUR), 0);
}

#[test]
fn the_first_subscriber_starts_a_fetch_at_once_and_then_at_each_interval() {
    let mut core = CoreHarness::asking();
    assert!(has(&core.subscribes(1), "fetch"));
    assert!(!has(&core.subscribes(2), "fetch"));
    let effects = core.fetched(42.0, EPOCH + 2 * HOUR);
    assert_eq!(notifications(&effects)[0].1["usage"]["source"], "service");
    assert_eq!(core.usage()["windows"][0]["source"], "service");
    // Two dashboards, one fetch every three minutes.
    assert_eq!(core.children_in(HOUR), 20);
    core.leaves(1);
    assert_eq!(core.children_in(2 * INTERVAL), 2);
    core.leaves(2);
    assert_eq!(core.children_in(HOUR), 0);
}

#[test]
fn a_subscriber_that_reconnects_causes_no_extra_fetches() {
    let mut core = CoreHarness::asking();
    let mut children = 0;
    for _ in 0..60 {
        let effects = core.subscribes(1);
        if has(&effects, "fetch") {
            children += 1;
            core.fetched(1.0, EPOCH + 100 * HOUR);
        }
        children += core.children_in(30_000);
        core.leaves(1);
        core.wait(30_000);
    }
    assert_eq!(children, 20);
}

#[test]
fn limits_fetched_after_the_last_subscriber_left_are_kept_and_not_sent() {
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.leaves(1);
    assert!(core.fetched(42.0, EPOCH + HOUR).is_empty());
    let snapshot = core.ask("subscribe", &json!({}));
    assert_eq!(snapshot["usage"]["windows"][0]["used_percent"], 42.0);
}

#[test]
fn a_fetch_that_takes_too_long_is_killed_and_its_result_is_ignored() {
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.wait(FETCH_LIMIT_MS - 1);
    assert!(core.take(Input::Timeout).is_empty());
    core.wait(1);
    assert_eq!(core.core.next_timeout(), Some(core.now.uptime_ms));
    let effects = core.take(Input::Timeout);
    assert_eq!(names(&effects), ["kill the fetch", "broadcast"]);
    let usage = &notifications(&effects)[0].1["usage"];
    assert_eq!(
        (&usage["state"], &usage["code"]),
        (&json!("unavailable"), &json!("timed_out"))
    );
    // Not reaped yet: no other one, however long that takes.
    assert_eq!(core.children_in(HOUR), 0);
    let effects = core.fetched(42.0, EPOCH + 2 * HOUR);
    assert_eq!(names(&effects), ["fetch"]);
    assert_eq!(core.usage()["windows"], json!([]));
}

#[test]
fn a_failure_is_sent_and_keeps_the_last_figures() {
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
        core.fetched(42.0, EPOCH + 2 * HOUR);
        core.wait(INTERVAL).take(Input::Timeout);
        let effects = core.failed(problem, None);
        let usage = &notifications(&effects)[0].1["usage"];
        assert_eq!(
            (usage["state"].as_str(), usage["code"].as_str()),
            (Some(state), Some(code))
        );
        assert_eq!(usage["message"], "for a person");
        assert_eq!(usage["windows"][0]["used_percent"], 42.0);
        assert_eq!(usage["fetched_at"], json!(EPOCH));
        // The same failure again is no change, unless the wait has become longer; the next success ends it.
        if problem != FetchProblem::RateLimited {
            core.wait(INTERVAL).take(Input::Timeout);
            assert!(core.failed(problem, None).is_empty());
        }
        core.wait(INTERVAL).take(Input::Timeout);
        let effects = core.fetched(43.0, EPOCH + 2 * HOUR);
        let usage = &notifications(&effects)[0].1["usage"];
        assert_eq!(
            (&usage["state"], &usage["code"]),
            (&json!("ok"), &Value::Null)
        );
    }
}

#[test]
fn a_status_line_replaces_a_service_that_fails() {
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    let effects = core.failed(FetchProblem::CredentialsExpired, None);
    assert_eq!(
        notifications(&effects)[0].1["usage"]["state"],
        "unauthorized"
    );
    assert_eq!(
        notifications(&effects)[0].1["usage"]["fetched_at"],
        Value::Null
    );
    let effects = core.status_line_reports(42.0, EPOCH + 2 * HOUR);
    let usage = &notifications(&effects)[0].1["usage"];
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
fn the_newer_of_two_reports_counts() {
    let mut core = CoreHarness::asking();
    let reset = EPOCH + 2 * HOUR;
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
    core.wait(1000).status_line_reports(51.0, reset);
    assert_eq!(used(&mut core), 51.0);
    core.wait(INTERVAL).take(Input::Timeout);
    // The service has the last word, also downwards.
    core.fetched(30.0, reset);
    assert_eq!(used(&mut core), 30.0);
}

#[test]
fn the_service_is_not_asked_before_its_retry_after_is_over() {
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    let effects = core.failed(FetchProblem::RateLimited, Some(20 * MINUTE));
    let usage = &notifications(&effects)[0].1["usage"];
    assert_eq!(usage["retry_at"], json!(EPOCH + 20 * MINUTE));
    assert_eq!(core.children_in(20 * MINUTE - 1), 0);
    // Neither a new subscriber nor a request shortens the wait.
    core.leaves(1);
    assert!(!has(&core.subscribes(2), "fetch"));
    assert_eq!(names(&core.asks(2, Request::UsageRefresh)), ["reply"]);
    assert_eq!(core.children_in(1), 1);
    // A wait of years is capped, and a wait of zero does not shorten the interval.
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
fn repeated_refusals_lengthen_the_wait() {
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
    // An answer of the service resets the wait; a network failure does not.
    core.failed(FetchProblem::Network, None);
    core.wait(INTERVAL).take(Input::Timeout);
    assert_eq!(
        names(&core.failed(FetchProblem::RateLimited, None)),
        ["broadcast"]
    );
    assert_eq!(core.usage()["retry_at"], json!(core.now.unix_ms + HOUR));
    core.refused_until_next();
    core.fetched(1.0, EPOCH + 100 * HOUR);
    core.wait(INTERVAL).take(Input::Timeout);
    core.failed(FetchProblem::RateLimited, None);
    assert_eq!(core.usage()["retry_at"], Value::Null);
}

#[test]
fn a_refresh_is_possible_at_any_time_and_is_answered_with_the_outcome() {
    let mut core = CoreHarness::asking();
    assert_eq!(names(&core.asks(1, Request::UsageRefresh)), ["fetch"]);
    // Another one joins.
    assert!(core.asks(2, Request::UsageRefresh).is_empty());
    let effects = core.fetched(42.0, EPOCH + HOUR);
    assert_eq!(names(&effects), ["reply", "reply"]);
    // So soon again: what is known is new enough.
    core.wait(MIN_FETCH_INTERVAL_MS - 1);
    assert_eq!(names(&core.asks(1, Request::UsageRefresh)), ["reply"]);
    core.wait(1);
    assert_eq!(names(&core.asks(1, Request::UsageRefresh)), ["fetch"]);
    core.leaves(1);
    assert!(core.failed(FetchProblem::Network, None).is_empty());
    // A waiting request is answered when the time limit is over, and when the daemon exits.
    core.wait(MIN_FETCH_INTERVAL_MS)
        .asks(1, Request::UsageRefresh);
    core.wait(FETCH_LIMIT_MS);
    assert_eq!(
        names(&core.take(Input::Timeout)),
        ["kill the fetch", "reply"]
    );
    core.fetched(1.0, EPOCH + HOUR);
    core.wait(MIN_FETCH_INTERVAL_MS)
        .asks(1, Request::UsageRefresh);
    assert_eq!(
        names(&core.take(Input::Terminated)),
        ["reply", "announce", "drain for good"]
    );
    assert_eq!(names(&core.asks(1, Request::UsageRefresh)), ["reply"]);
}

#[test]
fn an_answer_is_sent_before_the_notifications_that_it_causes() {
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.asks(2, Request::UsageRefresh);
    assert_eq!(
        names(&core.fetched(80.0, EPOCH + HOUR)),
        ["reply", "broadcast", "broadcast"]
    );
}

#[test]
fn an_idle_daemon_stays_while_a_refresh_waits() {
    let mut core = CoreHarness::asking();
    core.wait(HOUR);
    assert_eq!(names(&core.take(Input::Timeout)), ["drain"]);
    core.asks(1, Request::UsageRefresh);
    assert_eq!(names(&core.take(Input::Drained)), ["resume"]);
}

#[test]
fn a_disabled_service_is_not_asked() {
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
    assert_eq!(notifications(&effects)[0].1["usage"]["code"], "disabled");
    assert_eq!(core.children_in(HOUR), 0);
    assert_eq!(state(&mut core), disabled);
    let error = core.ask("usage.refresh", &json!({}));
    assert_eq!(error["code"], -32007);
    // Figures from the status line are still shown, and become stale as usual.
    core.status_line_reports(42.0, EPOCH + 3 * HOUR);
    assert_eq!(state(&mut core), (json!("ok"), Value::Null));
    core.wait(10 * MINUTE);
    assert_eq!(state(&mut core), (json!("stale"), json!("disabled")));
    assert!(has(&core.take(on()), "fetch"));

    // A running fetch is killed, and the requests that wait for it are answered.
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.asks(2, Request::UsageRefresh);
    let effects = core.take(off());
    assert_eq!(names(&effects)[0], "kill the fetch");
    assert!(has(&effects, "reply"));
    assert!(core.fetched(42.0, EPOCH + HOUR).is_empty());
    assert_eq!(core.usage(), Value::Null);

    // The wait that the service asked for still applies, and is sent again.
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.failed(FetchProblem::RateLimited, Some(HOUR));
    core.take(off());
    assert_eq!(state(&mut core), disabled);
    let effects = core.take(on());
    assert!(!has(&effects, "fetch"));
    assert_eq!(
        notifications(&effects)[0].1["usage"]["state"],
        "rate_limited"
    );
    assert_eq!(core.children_in(HOUR), 1);
}

#[test]
fn figures_become_stale_while_the_machine_sleeps() {
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.fetched(80.0, EPOCH + HOUR);
    core.wait(8 * HOUR);
    assert_eq!(core.usage()["state"], "stale");
    assert_eq!(core.usage()["windows"][0]["used_percent"], 0.0);
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.fetched(80.0, EPOCH + HOUR);
    core.wait(8 * HOUR);
    let sent = notifications(&core.take(Input::Timeout));
    assert_eq!(sent[0].1["message"], "the 5 h limit: reset");
    assert_eq!(sent[1].1["usage"]["state"], "stale");
}

/// How old figures are does not change with the clock; when a window ends does.
#[test]
fn figures_are_as_old_whatever_the_clock_shows() {
    for by in [-24 * HOUR.cast_signed(), 3 * HOUR.cast_signed()] {
        let mut core = CoreHarness::asking();
        core.subscribes(1);
        core.fetched(80.0, EPOCH + 2 * HOUR);
        core.wait(MINUTE);
        core.now.unix_ms = core.now.unix_ms.saturating_add_signed(by);
        // Subscribers are notified when the loop notices that the clock was set, before any timer expires.
        let sent = notifications(&core.take(Input::Timeout));
        let (is_over, used) = if by > 0 { (true, 0.0) } else { (false, 80.0) };
        assert_eq!(sent.len(), 1 + usize::from(is_over), "{sent:?}");
        let usage = &sent.last().unwrap().1["usage"];
        assert_eq!(usage["state"], "ok", "{by}");
        assert_eq!(
            usage["fetched_at"],
            json!(core.now.unix_ms - MINUTE),
            "{by}"
        );
        assert_eq!(usage["windows"][0]["used_percent"], json!(used), "{by}");
        core.wait(10 * MINUTE);
        let sent = notifications(&core.take(Input::Timeout));
        assert_eq!(sent.last().unwrap().1["usage"]["state"], "stale", "{by}");
    }
}

#[test]
fn a_window_ends_by_the_clock_as_it_is_set() {
    let mut core = CoreHarness::new();
    core.subscribes(1);
    core.status_line_reports(80.0, EPOCH + 2 * HOUR);
    core.now.unix_ms += HOUR;
    core.take(Input::Timeout);
    // The figures become old.
    core.wait(10 * MINUTE).take(Input::Timeout);
    assert_eq!(core.core.next_timeout(), Some(HOUR));
    let sent = notifications(&core.wait(50 * MINUTE).take(Input::Timeout));
    assert_eq!(sent[0].1["message"], "the 5 h limit: reset");
    assert_eq!(core.usage()["windows"][0]["used_percent"], 0.0);
}

#[test]
fn a_clock_that_is_set_back_does_not_stop_fetches() {
    let mut core = CoreHarness::new();
    core.status_line_reports(50.0, EPOCH + 30 * HOUR);
    core.now.unix_ms -= 24 * HOUR;
    core.wait(1000).status_line_reports(60.0, EPOCH + 30 * HOUR);
    let usage = core.usage();
    assert_eq!(
        (&usage["state"], &usage["windows"][0]["used_percent"]),
        (&json!("ok"), &json!(60.0))
    );
    assert_eq!(usage["fetched_at"], json!(core.now.unix_ms));
}

/// Agents report limits with the stamps of clocks that are wrong.
#[test]
fn figures_with_a_wrong_stamp_are_as_old_as_their_report() {
    for wrong in [HOUR.cast_signed(), -9 * HOUR.cast_signed()] {
        let mut core = CoreHarness::new();
        for used in [50.0, 60.0, 70.0] {
            core.wait(1000);
            let at = core.now.unix_ms.saturating_add_signed(wrong);
            let line = json!({"session_id": "s", "model": {"id": "opus"}, "rate_limits":
                {"five_hour": {"used_percentage": used, "resets_at": (EPOCH + 2 * HOUR) / 1000}}});
            core.hook_at(at, true, &line);
            let usage = core.usage();
            assert_eq!(usage["state"], "ok", "{wrong}");
            assert_eq!(usage["windows"][0]["used_percent"], json!(used), "{wrong}");
            assert_eq!(usage["fetched_at"], json!(core.now.unix_ms), "{wrong}");
        }
    }
}

#[test]
fn an_idle_agents_old_figure_does_not_undo_an_early_reset() {
    let mut core = CoreHarness::asking();
    let reset = EPOCH + 2 * HOUR;
    core.subscribes(1);
    core.status_line_reports(92.0, reset);
    core.take(Input::LimitsFetched(
        crate::core::testing::info().account,
        FetchOutcome::Limits(vec![Limit {
            resets_at: None,
            ..five_hour(0.0, 0)
        }]),
    ));
    core.wait(1000).status_line_reports(92.0, reset);
    assert_eq!(core.usage()["windows"][0]["used_percent"], 0.0);
    core.wait(1000).status_line_reports(3.0, reset + 5 * HOUR);
    assert_eq!(core.usage()["windows"][0]["used_percent"], 3.0);
}

#[test]
fn all_waiting_requests_are_answered_before_subscribers_are_notified() {
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    core.asks(1, Request::UsageRefresh);
    core.asks(2, Request::UsageRefresh);
    assert_eq!(
        names(&core.fetched(80.0, EPOCH + HOUR)),
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
