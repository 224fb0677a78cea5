//! Windows as agents report them: staleness, thresholds, resets.

use super::*;

#[test]
fn a_status_line_reports_the_limits_and_their_pace() {
    let mut core = CoreHarness::new();
    assert_eq!(core.usage(), Value::Null);
    core.status_line_reports(42.0, EPOCH + HOUR);
    let usage = core.usage();
    assert_eq!(
        (&usage["state"], &usage["source"]),
        (&json!("ok"), &json!("status_line"))
    );
    // Four of five hours are over, and less than half is used.
    assert_eq!(usage["windows"][0]["pace"], json!(42.0 - 80.0));
}

#[test]
fn old_figures_become_stale_and_subscribers_are_notified() {
    let mut core = CoreHarness::new();
    core.subscribes(1);
    core.status_line_reports(42.0, EPOCH + HOUR);
    core.wait(10 * MINUTE - 1);
    assert_eq!(core.usage()["state"], "ok");
    core.wait(1);
    assert_eq!(core.core.next_timeout(), Some(core.now.uptime_ms));
    let effects = core.take(Input::Timeout);
    assert_eq!(notifications(&effects)[0].1["usage"]["state"], "stale");
    assert_eq!(core.usage()["state"], "stale");
    assert_eq!(core.core.next_timeout(), Some(HOUR));
}

#[test]
fn unchanged_figures_are_not_sent_again() {
    let mut core = CoreHarness::new();
    core.subscribes(1);
    let mut pushed = Vec::new();
    for (minute, used) in [(0, 10.0), (0, 10.0), (0, 11.0), (2, 11.0)] {
        core.wait(minute * MINUTE);
        let effects = core.status_line_reports(used, EPOCH + HOUR);
        pushed.push(notifications(&effects).len());
    }
    assert_eq!(pushed, [1, 0, 1, 0]);
    // The answer to a request has the time of the last report.
    assert_eq!(core.usage()["fetched_at"], json!(EPOCH + 2 * MINUTE));
}

#[test]
fn an_agent_that_repeats_an_old_figure_changes_nothing() {
    let mut core = CoreHarness::new();
    let reset = EPOCH + HOUR;
    core.status_line_reports(60.0, reset);
    core.wait(1000);
    // Another session, idle since an earlier answer; one of yesterday; one whose window is over.
    for (used, reset) in [(40.0, reset), (90.0, reset - 5 * HOUR), (70.0, EPOCH)] {
        core.status_line_reports(used, reset);
        let usage = core.usage();
        assert_eq!(usage["windows"][0]["used_percent"], 60.0);
        assert_eq!(usage["fetched_at"], json!(EPOCH));
    }
    core.status_line_reports(2.0, reset + 5 * HOUR);
    assert_eq!(core.usage()["windows"][0]["used_percent"], 2.0);
}

#[test]
fn each_threshold_is_announced_once_per_window() {
    let mut core = CoreHarness::new();
    let mut reset = EPOCH + HOUR;
    let mut messages = Vec::new();
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
        core.status_line_reports(used, reset);
    }
    let snapshot = core.ask("subscribe", &json!({}));
    for notice in snapshot["notices"].as_array().unwrap() {
        assert_eq!(notice["code"], "usage_crossed");
        assert_eq!(notice["window"]["name"], "five_hour");
        messages.push(notice["message"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        messages,
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
fn a_reset_is_announced_at_its_time() {
    let mut core = CoreHarness::new();
    core.subscribes(1);
    core.status_line_reports(95.0, EPOCH + HOUR);
    core.wait(HOUR - 1);
    assert!(
        notifications(&core.take(Input::Timeout))
            .iter()
            .all(|(method, _)| method == "usage.changed")
    );
    core.wait(1);
    assert_eq!(core.core.next_timeout(), Some(HOUR));
    let sent = notifications(&core.take(Input::Timeout));
    assert_eq!(sent[0].1["message"], "the 5 h limit: reset");
    assert_eq!(sent[1].1["usage"]["windows"][0]["used_percent"], 0.0);
    // An agent that still shows the old window does not bring it back, and the next is not a second reset.
    assert!(core.status_line_reports(95.0, EPOCH + HOUR).is_empty());
    let effects = core.status_line_reports(1.0, EPOCH + 6 * HOUR);
    assert_eq!(super::super::names(&effects), ["broadcast"]);
    assert_eq!(core.core.next_timeout(), Some(HOUR + 10 * MINUTE));
}

#[test]
fn a_reset_is_announced_at_its_time_by_a_clock_that_is_slewed() {
    let mut core = CoreHarness::new();
    core.subscribes(1);
    core.status_line_reports(95.0, EPOCH + HOUR);
    core.wait(30 * MINUTE).take(Input::Timeout);
    core.now.unix_ms += 1000;
    core.take(Input::Watchdog);
    assert_eq!(core.core.next_timeout(), Some(HOUR - 1000));
    core.wait(30 * MINUTE - 1000);
    let sent = notifications(&core.take(Input::Timeout));
    assert_eq!(sent[0].1["message"], "the 5 h limit: reset");
}

#[test]
fn a_window_that_has_not_started_differs_from_the_previous_one() {
    let mut core = CoreHarness::asking();
    core.subscribes(1);
    let mut messages = Vec::new();
    let window = |used_percent, hours: Option<u64>| Limit {
        resets_at: hours.map(|hours| EPOCH + hours * HOUR),
        ..five_hour(used_percent, 0)
    };
    for limit in [
        window(92.0, Some(2)),
        window(0.0, None),
        window(76.0, Some(6)),
    ] {
        let effects = core.take(Input::LimitsFetched(
            crate::core::testing::info().account,
            FetchOutcome::Limits(vec![limit]),
        ));
        messages.extend(
            notifications(&effects)
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

/// An error of its source must not stand in the way of a true figure.
#[test]
fn a_limit_that_cannot_be_is_dropped_and_the_others_are_kept() {
    let names = |used: f64, resets_at: u64| {
        let mut core = CoreHarness::new();
        core.hook(
            &json!({"session_id": "s", "model": {"id": "opus"}, "rate_limits": {
                "five_hour": {"used_percentage": used, "resets_at": resets_at / 1000},
                "seven_day": {"used_percentage": 7, "resets_at": (EPOCH + 100 * HOUR) / 1000},
            }}),
        );
        let usage = core.usage();
        let windows = usage["windows"].as_array().unwrap().iter();
        let names = windows.map(|window| window["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(42.0, EPOCH + 5 * HOUR), ["five_hour", "seven_day"]);
    // It ends in ten years, it is used a thousand million times, it ends in ten days.
    assert_eq!(names(42.0, EPOCH + 87_600 * HOUR), ["seven_day"]);
    assert_eq!(names(1e9, EPOCH + 5 * HOUR), ["seven_day"]);
    assert_eq!(names(42.0, EPOCH + 240 * HOUR), ["seven_day"]);
}
