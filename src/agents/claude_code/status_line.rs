//! Claude Code's status line: the JSON that it hands to its `statusLine` command (2.1.330) -> [`AgentEvent`].
//!
//! It says nothing about the status, but what no hook says: the model in use, how full the context is, the cost.

use std::borrow::Cow;

use serde::Deserialize;

use super::tolerant::{Text, tolerant};
use crate::event::{AgentEvent, EventKind};
use crate::limits::Limit;
use crate::protocol::{NAME_LIMIT, TEXT_LIMIT};

#[derive(Deserialize, Default)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct StatusLine<'a> {
    session_id: Text<'a>,
    session_name: Text<'a>,
    cwd: Text<'a>,
    #[serde(deserialize_with = "tolerant")]
    model: Model<'a>,
    #[serde(deserialize_with = "tolerant")]
    context_window: ContextWindow,
    #[serde(deserialize_with = "tolerant")]
    cost: Cost,
    #[serde(deserialize_with = "tolerant")]
    rate_limits: RateLimits,
}

#[derive(Deserialize, Default)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Model<'a> {
    id: Text<'a>,
    display_name: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ContextWindow {
    used_percentage: Option<f32>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Cost {
    total_cost_usd: Option<f64>,
}

/// Only of accounts that have limits, and after the first answer.
#[derive(Deserialize, Default)]
#[serde(default)]
struct RateLimits {
    #[serde(deserialize_with = "tolerant")]
    five_hour: Window,
    #[serde(deserialize_with = "tolerant")]
    seven_day: Window,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Window {
    used_percentage: Option<f64>,
    /// In seconds since the epoch.
    resets_at: Option<f64>,
}

impl Window {
    fn limit(&self, name: &str) -> Option<Limit> {
        let resets_at = self.resets_at.filter(|at| (0.0..1e11).contains(at));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the bounds just checked"
        )]
        let in_ms = |seconds: f64| (seconds * 1000.0) as u64;
        Some(Limit {
            name: name.into(),
            used_percent: self
                .used_percentage
                .filter(|used| (0.0..=1000.0).contains(used))?,
            resets_at: resets_at.map(in_ms),
        })
    }
}

impl StatusLine<'_> {
    fn context_percent(&self) -> Option<f32> {
        let percent = self.context_window.used_percentage;
        percent.filter(|percent| (0.0..=100.0).contains(percent))
    }

    fn cost_usd(&self) -> Option<f64> {
        let cost = self.cost.total_cost_usd;
        cost.filter(|cost| (0.0..1e9).contains(cost))
    }

    fn limits(&self) -> Vec<Limit> {
        let windows = [
            self.rate_limits.five_hour.limit("five_hour"),
            self.rate_limits.seven_day.limit("seven_day"),
        ];
        windows.into_iter().flatten().collect()
    }
}

/// What a person is shown of a status line, as far as it says so.
#[derive(Debug, Default, PartialEq)]
pub struct Shown {
    /// The model, by the name that people know it by.
    pub model: Option<Box<str>>,
    /// How full the model's context is, in percent.
    pub context_percent: Option<f32>,
    /// What the session has cost so far, in US dollars.
    pub cost_usd: Option<f64>,
    /// The account's limits.
    pub limits: Vec<Limit>,
}

/// What a status line shows; of what is none: nothing.
#[must_use]
pub fn shown(payload: &str) -> Shown {
    let line: StatusLine = serde_json::from_str(payload).unwrap_or_default();
    let Model { id, display_name } = &line.model;
    Shown {
        model: display_name.cut(NAME_LIMIT).or_else(|| id.cut(NAME_LIMIT)),
        context_percent: line.context_percent(),
        cost_usd: line.cost_usd(),
        limits: line.limits(),
    }
}

/// What a status line says, or `None` if it is none: it has no event's name, and a session.
pub(super) fn event(payload: &str) -> Option<AgentEvent> {
    let line: StatusLine = serde_json::from_str(payload).ok()?;
    Some(AgentEvent {
        name: Cow::Borrowed("StatusLine"),
        session_id: Some(line.session_id.cut(NAME_LIMIT)?),
        cwd: line.cwd.get().map(Into::into),
        permission_mode: None,
        model: Some(line.model.id.cut(NAME_LIMIT)?),
        title: line.session_name.cut(TEXT_LIMIT),
        subagent: None,
        prompt_id: None,
        context_percent: line.context_percent(),
        cost_usd: line.cost_usd(),
        limits: line.limits(),
        kind: EventKind::Noted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_status_line_is_read() {
        let recording = include_str!("traces/perm.jsonl");
        let mut read = 0;
        for line in recording.lines() {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            if let Some(payload) = entry.get("statusline") {
                let event = event(&payload.to_string()).unwrap();
                assert_eq!(event.session_id.as_deref(), payload["session_id"].as_str());
                assert_eq!(event.model.as_deref(), payload["model"]["id"].as_str());
                assert_eq!(event.cost_usd, payload["cost"]["total_cost_usd"].as_f64());
                read += 1;
            }
        }
        assert!(read > 0);
    }

    #[test]
    fn limits_are_read_as_far_as_they_go() {
        let event = event(
            r#"{"session_id":"s","model":{"id":"opus"},"rate_limits":{
                "five_hour":{"used_percentage":42.5,"resets_at":1790000000},"seven_day":{"used_percentage":"?"}}}"#,
        )
        .unwrap();
        let five_hour = Limit {
            name: "five_hour".into(),
            used_percent: 42.5,
            resets_at: Some(1_790_000_000_000),
        };
        assert_eq!(event.limits, [five_hour]);
    }

    #[test]
    fn a_person_is_shown_the_models_name() {
        let named = |payload: &str| shown(payload).model;
        let both = r#"{"model":{"id":"opus-5","display_name":"Opus 5"}}"#;
        assert_eq!(named(both).as_deref(), Some("Opus 5"));
        let id = r#"{"model":{"id":"opus-5","display_name":""}}"#;
        assert_eq!(named(id).as_deref(), Some("opus-5"));
        for nonsense in ["", "{", "[]", "5", r#"{"model":"opus","cost":[]}"#] {
            assert_eq!(shown(nonsense), Shown::default(), "{nonsense}");
        }
    }

    #[test]
    fn what_makes_no_sense_costs_that_field_only() {
        let event = event(
            r#"{"session_id":"s","model":{"id":"opus"},"cost":7,"context_window":{"used_percentage":1e9}}"#,
        )
        .unwrap();
        assert_eq!((event.cost_usd, event.context_percent), (None, None));
        assert_eq!(event.model.as_deref(), Some("opus"));
        assert_eq!(super::event(r#"{"session_id":"s"}"#), None);
        assert_eq!(super::event("[]"), None);
    }
}
