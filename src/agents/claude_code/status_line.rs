//! Claude Code's status line: the JSON on its `statusLine` command's input (2.1.330) -> [`AgentEvent`], [`StatusLine`].
//!
//! It does not affect a session's status. Unlike a hook, it has the model in use, the fill level of the
//! context and the cost. Pure.

use std::borrow::Cow;

use super::super::tolerant::{Part, object};
use super::super::{LimitWindow, StatusLine};
use super::WINDOWS;
use super::payload::{Payload, Window};
use crate::event::{AgentEvent, EventKind};
use crate::limits::Limit;
use crate::protocol::{NAME_LIMIT, TEXT_LIMIT};

impl Window {
    fn limit(&self, name: &str) -> Option<Limit> {
        let used = self.used_percentage.as_f64()?;
        LimitWindow::limit(WINDOWS, name, used, self.resets_at.as_ms())
    }
}

impl Payload {
    fn context_percent(&self) -> Option<f32> {
        let percent = self.context_window.0.used_percentage.as_f64();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "within the bounds just checked"
        )]
        let single = |percent: f64| percent as f32;
        percent
            .filter(|percent| (0.0..=100.0).contains(percent))
            .map(single)
    }

    fn cost_usd(&self) -> Option<f64> {
        let cost = self.cost.0.total_cost_usd.as_f64();
        cost.filter(|cost| (0.0..1e9).contains(cost))
    }

    fn limits(&self) -> Vec<Limit> {
        let windows = &self.rate_limits.0;
        let windows = [
            windows.five_hour.0.limit("five_hour"),
            windows.seven_day.0.limit("seven_day"),
        ];
        windows.into_iter().flatten().collect()
    }
}

/// What a status line shows; empty if the payload is not an object.
pub(super) fn read(payload: &str) -> StatusLine {
    let line: Payload = object(payload.as_bytes()).unwrap_or_default();
    StatusLine {
        model: line.model.parts().and_then(|model| {
            let name = model.display_name.one_line(NAME_LIMIT);
            name.or_else(|| model.id.one_line(NAME_LIMIT))
        }),
        context_percent: line.context_percent(),
        cost_usd: line.cost_usd(),
        limits: line.limits(),
    }
}

/// Converts a status line; `None` if no field says that it is one.
pub(super) fn event(line: &Payload) -> Option<AgentEvent> {
    let model = line.model.parts();
    let is_status_line = model.is_some()
        || line.context_window != Part::default()
        || line.cost != Part::default()
        || line.rate_limits != Part::default();
    is_status_line.then(|| AgentEvent {
        question: None,
        name: Cow::Borrowed("StatusLine"),
        session_id: line.session_id.one_line(NAME_LIMIT),
        cwd: line.cwd.get().map(Into::into),
        permission_mode: None,
        model: model.and_then(|model| model.id.one_line(NAME_LIMIT)),
        title: line.session_name.one_line(TEXT_LIMIT),
        subagent: None,
        prompt_id: None,
        context_percent: line.context_percent(),
        cost_usd: line.cost_usd(),
        limits: line.limits(),
        attended: None,
        transcript: None,
        kind: EventKind::Noted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(payload: &str) -> Option<AgentEvent> {
        super::super::interpret(payload, 0)
    }

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
            title: "5 h limit".into(),
            used_percent: 42.5,
            resets_at: Some(1_790_000_000_000),
            length_ms: Some(18_000_000),
        };
        assert_eq!(event.limits, [five_hour]);
    }

    #[test]
    fn a_limit_is_read_in_other_spellings() {
        let limit = |used: &str, resets_at: &str| {
            let window = format!(r#"{{"used_percentage":{used},"resets_at":{resets_at}}}"#);
            let line = read(&format!(r#"{{"rate_limits":{{"five_hour":{window}}}}}"#));
            let limit = line.limits.into_iter().next().unwrap();
            (limit.used_percent, limit.resets_at)
        };
        let at = Some(1_796_137_200_000);
        assert_eq!(limit("42.3", r#""2026-12-01T15:00:00Z""#), (42.3, at));
        assert_eq!(limit(r#""42.3""#, "1796137200000"), (42.3, at));
        assert_eq!(limit("42.3", r#""soon""#), (42.3, None));
        assert_eq!(limit("42.3", "[]"), (42.3, None));
    }

    #[test]
    fn a_status_line_needs_neither_a_session_id_nor_a_model() {
        let event = event(r#"{"session_id":5,"model":true,"cost":{"total_cost_usd":"0.5"}}"#);
        let event = event.unwrap();
        assert_eq!((event.session_id, event.model), (None, None));
        assert_eq!(event.cost_usd, Some(0.5));
    }

    #[test]
    fn a_person_is_shown_the_models_name() {
        let named = |payload: &str| read(payload).model;
        let both = r#"{"model":{"id":"opus-5","display_name":"Opus 5"}}"#;
        assert_eq!(named(both).as_deref(), Some("Opus 5"));
        let id = r#"{"model":{"id":"opus-5","display_name":""}}"#;
        assert_eq!(named(id).as_deref(), Some("opus-5"));
        for nonsense in ["", "{", "[]", "5", r#"{"model":"opus","cost":[]}"#] {
            assert_eq!(read(nonsense), StatusLine::default(), "{nonsense}");
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
        assert_eq!(self::event(r#"{"session_id":"s"}"#), None);
        assert_eq!(self::event("[]"), None);
    }
}
