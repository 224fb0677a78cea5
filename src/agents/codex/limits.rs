//! The limits in a line of Codex CLI's rollouts: `rate_limits` of `token_count`, which the service sends with each answer
//! (0.171.0). With an API key there are none.

use super::super::LimitWindow;
use super::rollout::{RateLimits, RateWindow};
use crate::limits::Limit;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// The windows that Codex CLI's own screens have words for. The service names them by rank and length.
pub(super) const WINDOWS: &[LimitWindow] = &[
    LimitWindow {
        name: "five_hour",
        label: "5h",
        title: "5 h limit",
        length_ms: 5 * HOUR_MS,
    },
    LimitWindow {
        name: "one_day",
        label: "1d",
        title: "1 d limit",
        length_ms: DAY_MS,
    },
    LimitWindow {
        name: "seven_day",
        label: "7d",
        title: "7 d limit",
        length_ms: 7 * DAY_MS,
    },
    LimitWindow {
        name: "thirty_day",
        label: "30d",
        title: "30 d limit",
        length_ms: 30 * DAY_MS,
    },
];

/// How much shorter or longer a window may be stated: the service has been seen to round down.
const ROUNDING_MS: u64 = 3 * MINUTE_MS;

/// The limit that is for no single model.
const GENERAL: &str = "codex";

impl RateLimits {
    /// The windows, of a line that was written at `at`, in ms since the epoch. One that ended before is left out.
    pub(super) fn limits(&self, at: u64) -> Vec<Limit> {
        let id = self.limit_id.get().filter(|id| *id != GENERAL);
        let model = id.map(|id| self.limit_name.get().unwrap_or(id));
        let windows = [
            ("primary", &self.primary.0),
            ("secondary", &self.secondary.0),
        ];
        let limits = windows
            .into_iter()
            .filter_map(|(rank, window)| window.limit(rank, model, at));
        limits.collect()
    }
}

impl RateWindow {
    fn limit(&self, rank: &str, model: Option<&str>, at: u64) -> Option<Limit> {
        let used = self.used_percent.as_f64()?;
        let minutes = self.window_minutes.as_u64().filter(|minutes| *minutes > 0);
        let length_ms = minutes.map(|minutes| minutes.saturating_mul(MINUTE_MS));
        let has_length = |window: &&LimitWindow| {
            length_ms.is_some_and(|length| window.length_ms.abs_diff(length) <= ROUNDING_MS)
        };
        let known = WINDOWS.iter().find(has_length);
        let name = known.map_or(rank, |window| window.name);
        let name = model.map_or_else(|| name.to_owned(), |model| format!("{name}_{model}"));
        let left = self.resets_in_seconds.as_u64();
        let left = left.map(|seconds| at.saturating_add(seconds.saturating_mul(1000)));
        let resets_at = self.resets_at.as_ms().or(left);
        let limit = LimitWindow::limit(WINDOWS, &name, used, resets_at)?;
        let limit = Limit {
            length_ms: limit.length_ms.or(length_ms),
            ..limit
        };
        let is_over = resets_at.is_some_and(|reset| reset <= at);
        (!is_over && limit.is_possible(at)).then_some(limit)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const AT: u64 = 1_795_800_000_000;
    const IN_AN_HOUR: u64 = AT + HOUR_MS;

    fn read(limits: &Value) -> Vec<Limit> {
        let limits: RateLimits = serde_json::from_str(&limits.to_string()).unwrap();
        limits.limits(AT)
    }

    /// The name, the figure, the time of reset and the length of each window.
    fn figures(limits: &Value) -> Vec<(String, f64, Option<u64>, Option<u64>)> {
        let limits = read(limits).into_iter();
        let figures = limits.map(|one| {
            (
                one.name.into(),
                one.used_percent,
                one.resets_at,
                one.length_ms,
            )
        });
        figures.collect()
    }

    #[test]
    fn the_windows_of_a_recorded_line() {
        // As in every recording with limits.
        let recorded = json!({"limit_id": "codex", "limit_name": null,
            "primary": {"used_percent": 12.5, "window_minutes": 300, "resets_at": 1_800_000_000},
            "secondary": {"used_percent": 3.0, "window_minutes": 10080, "resets_at": 1_800_500_000},
            "credits": null, "individual_limit": null, "plan_type": null, "rate_limit_reached_type": null});
        let limits: RateLimits = serde_json::from_str(&recorded.to_string()).unwrap();
        let limits = limits.limits(1_799_999_000_000);
        let titles: Vec<_> = limits.iter().map(|limit| &*limit.title).collect();
        assert_eq!(titles, ["5 h limit", "7 d limit"]);
        let (used, reset) = (limits[0].used_percent, limits[0].resets_at);
        assert_eq!((used, reset), (12.5, Some(1_800_000_000_000)));
        assert_eq!(limits[1].length_ms, Some(7 * DAY_MS));
    }

    #[test]
    fn what_is_not_stated_is_absent() {
        let none = json!({"limit_id": "codex", "primary": null, "secondary": null});
        assert_eq!(figures(&none), []);
        assert_eq!(figures(&json!({})), []);
        // The figure is missing: it is not 0.
        let length = json!({"primary": {"window_minutes": 300, "resets_at": IN_AN_HOUR / 1000}});
        assert_eq!(figures(&length), []);
        let figure = json!({"primary": null, "secondary": {"used_percent": 7}});
        assert_eq!(figures(&figure), [("secondary".into(), 7.0, None, None)]);
    }

    #[test]
    fn a_time_of_reset_is_spelled_in_several_ways() {
        let reset = |window: Value| figures(&json!({"primary": window}))[0].2;
        let at = Some(IN_AN_HOUR);
        let minutes = 300;
        assert_eq!(
            reset(
                json!({"used_percent": "4.5", "window_minutes": "300", "resets_at": "1795803600"})
            ),
            at
        );
        assert_eq!(
            reset(
                json!({"used_percent": 4, "window_minutes": minutes, "resets_at": "2026-11-27T18:20:00Z"})
            ),
            at
        );
        // As 0.40 to 0.60 had it, by the source.
        assert_eq!(
            reset(json!({"used_percent": 4, "window_minutes": minutes, "resets_in_seconds": 3600})),
            at
        );
        assert_eq!(
            reset(json!({"used_percent": 4, "window_minutes": minutes, "resets_at": []})),
            None
        );
    }

    #[test]
    fn a_window_is_known_by_its_length() {
        let name = |minutes: u64| {
            let window = json!({"used_percent": 1, "window_minutes": minutes});
            figures(&json!({"secondary": window}))[0].0.clone()
        };
        assert_eq!(
            [name(299), name(300), name(10_079)],
            ["five_hour", "five_hour", "seven_day"]
        );
        assert_eq!(
            [name(43_200), name(90), name(0)],
            ["thirty_day", "secondary", "secondary"]
        );
    }

    #[test]
    fn a_limit_of_one_model_is_a_window_of_its_own() {
        let of = |name: Value| {
            let window = json!({"used_percent": 1, "window_minutes": 300});
            figures(&json!({"limit_id": "codex_other", "limit_name": name, "primary": window}))[0]
                .0
                .clone()
        };
        assert_eq!(of(json!("GPT-Spark")), "five_hour_GPT-Spark");
        assert_eq!(of(Value::Null), "five_hour_codex_other");
    }

    #[test]
    fn a_window_that_is_over_or_impossible_is_left_out() {
        let window = |used: Value, resets_at: u64| {
            figures(
                &json!({"primary": {"used_percent": used, "window_minutes": 300, "resets_at": resets_at / 1000}}),
            )
        };
        assert_eq!(window(json!(99), IN_AN_HOUR).len(), 1);
        assert_eq!(window(json!(99), AT - 1000), []);
        assert_eq!(window(json!(99), AT + 30 * DAY_MS), []);
        assert_eq!(window(json!(-1), IN_AN_HOUR), []);
        assert_eq!(window(json!("much"), IN_AN_HOUR), []);
    }
}
