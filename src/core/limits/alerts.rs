//! What people are told of a window once and not again: that it came to 75, 90 or 100 percent, and that it was reset
//! after it had.
//!
//! Called by [`super::Usage`] only.

use super::Known;
use crate::protocol::UsageWindow;

/// The figures at which people are told, in percent.
const THRESHOLDS: [f64; 3] = [75.0, 90.0, 100.0];

/// What there is to tell: a line, and the window as it is.
#[derive(Debug)]
pub(crate) struct Crossing {
    pub(crate) message: String,
    pub(crate) window: UsageWindow<'static>,
}

/// How far a window was when people were last told.
#[derive(Debug)]
struct Told {
    name: Box<str>,
    resets_at: Option<u64>,
    threshold: f64,
}

/// What people were told of each window.
#[derive(Debug, Default)]
pub(super) struct Crossings(Vec<Told>);

impl Crossings {
    /// What is new in a window, noted as told.
    pub(super) fn look(&mut self, known: &Known, crossings: &mut Vec<Crossing>) {
        let limit = &known.limit;
        let place = self.0.iter().position(|told| told.name == limit.name);
        let told = place.map(|place| self.0.swap_remove(place));
        let name = window_name(&limit.name);
        let mut tell = |message: String| {
            crossings.push(Crossing {
                message,
                window: known.record().into_owned(),
            });
        };
        let known_reset = told.as_ref().and_then(|told| told.resets_at);
        let before = match told {
            Some(told) if super::is_later(limit.resets_at, told.resets_at) => {
                if told.threshold > 0.0 {
                    tell(format!("{name}: reset, {:.0} % used", limit.used_percent));
                }
                0.0
            }
            Some(told) => told.threshold,
            None => 0.0,
        };
        let reached = THRESHOLDS
            .into_iter()
            .rfind(|figure| limit.used_percent >= *figure);
        let reached = reached.unwrap_or(0.0);
        if reached > before {
            tell(format!("{name}: {:.0} % used", limit.used_percent));
        }
        self.0.push(Told {
            name: limit.name.clone(),
            // One that has not begun has no time; it ends later than the one before all the same.
            resets_at: limit.resets_at.or(known_reset),
            threshold: reached.max(before),
        });
    }

    /// The window's time is over, and nothing of the next one is known.
    pub(super) fn reset(&mut self, known: &Known, crossings: &mut Vec<Crossing>) {
        let place = self.0.iter().position(|told| told.name == known.limit.name);
        let told = place.map(|place| self.0.swap_remove(place));
        if told.is_some_and(|told| told.threshold > 0.0) {
            crossings.push(Crossing {
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
