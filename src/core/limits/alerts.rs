//! What people are alerted of a window once and not again: that it came to 75, 90 or 100 percent, and that it was reset
//! after it had.
//!
//! Called by [`super::Usage`] only.

use super::value::{Window, is_later};
use crate::protocol::UsageWindow;

/// The figures at which people are alerted, in percent.
const THRESHOLDS: [f64; 3] = [75.0, 90.0, 100.0];

/// What there is to tell: a line, and the window as it is.
#[derive(Debug)]
pub(crate) struct Alert {
    pub(crate) message: String,
    pub(crate) window: UsageWindow<'static>,
}

/// How far a window was when people were last alerted.
#[derive(Debug)]
struct Alerted {
    name: Box<str>,
    resets_at: Option<u64>,
    threshold: f64,
}

/// What people were alerted of each window.
#[derive(Debug, Default)]
pub(super) struct Alerts(Vec<Alerted>);

impl Alerts {
    /// What is new in a window, noted as alerted.
    pub(super) fn check(&mut self, known: &Window, alerts: &mut Vec<Alert>) {
        let limit = &known.limit;
        let place = self.0.iter().position(|alerted| alerted.name == limit.name);
        let alerted = place.map(|place| self.0.swap_remove(place));
        let name = window_name(&limit.name);
        let mut tell = |message: String| {
            alerts.push(Alert {
                message,
                window: known.record().into_owned(),
            });
        };
        let known_reset = alerted.as_ref().and_then(|alerted| alerted.resets_at);
        let before = match alerted {
            Some(alerted) if is_later(limit.resets_at, alerted.resets_at) => {
                if alerted.threshold > 0.0 {
                    tell(format!("{name}: reset, {:.0} % used", limit.used_percent));
                }
                0.0
            }
            Some(alerted) => alerted.threshold,
            None => 0.0,
        };
        let reached = THRESHOLDS
            .into_iter()
            .rfind(|figure| limit.used_percent >= *figure);
        let reached = reached.unwrap_or(0.0);
        if reached > before {
            tell(format!("{name}: {:.0} % used", limit.used_percent));
        }
        self.0.push(Alerted {
            name: limit.name.clone(),
            // One that has not begun has no time; it ends later than the one before all the same.
            resets_at: limit.resets_at.or(known_reset),
            threshold: reached.max(before),
        });
    }

    /// The window's time is over, and nothing of the next one is known.
    pub(super) fn reset(&mut self, known: &Window, alerts: &mut Vec<Alert>) {
        let place = self
            .0
            .iter()
            .position(|alerted| alerted.name == known.limit.name);
        let alerted = place.map(|place| self.0.swap_remove(place));
        if alerted.is_some_and(|alerted| alerted.threshold > 0.0) {
            alerts.push(Alert {
                message: format!("{}: reset", window_name(&known.limit.name)),
                window: known.record().into_owned(),
            });
        }
    }
}

/// A person's words for a window.
fn window_name(name: &str) -> String {
    match name {
        "five_hour" => "the 5 h limit".into(),
        "seven_day" => "the 7 d limit".into(),
        other => match other.strip_prefix("seven_day_") {
            Some(model) => format!("the 7 d limit for {model}"),
            None => format!("the limit {other}"),
        },
    }
}
