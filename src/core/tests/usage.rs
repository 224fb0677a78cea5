//! The account's limits in virtual time: what is told of them, and when.

use serde_json::{Value, json};

use super::{Desk, Effect, MINUTE, names};
use crate::core::{ClientId, Input, Request};

const HOUR: u64 = 60 * MINUTE;

impl Desk {
    fn subscribes(&mut self, client: u64) {
        self.take(Input::Request {
            client: ClientId(client),
            id: None,
            request: Request::Subscribe,
        });
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
    assert_eq!(desk.usage()["state"], "stale");
    assert_eq!(desk.core.next_deadline(), Some(desk.now.uptime_ms));
    assert_eq!(names(&desk.take(Input::Tick)), ["broadcast"]);
    assert_eq!(desk.core.next_deadline(), None);
}

#[test]
fn what_has_not_changed_is_not_told_again() {
    let mut desk = Desk::new();
    desk.subscribes(1);
    let pushed = |effects: &[Effect]| {
        names(effects)
            .iter()
            .filter(|name| **name == "broadcast")
            .count()
    };
    let mut told = Vec::new();
    for (minute, used) in [(0, 10.0), (0, 10.0), (0, 11.0), (2, 11.0)] {
        desk.wait(minute * MINUTE);
        let effects = desk.told(used, super::EPOCH + HOUR);
        told.push(pushed(&effects));
    }
    // The last says the same, but is younger by more than a moment.
    assert_eq!(told, [1, 0, 1, 1]);
    assert_eq!(desk.usage()["source"], "status_line");
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
}
