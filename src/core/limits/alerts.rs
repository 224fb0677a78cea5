//! Alerts about an account's limits, each sent once: a window has reached 75, 90 or 100 percent, or was reset after
//! that.
//!
//! Called by [`super::value`] only.

use serde::{Deserialize, Serialize};

use super::is_later;
use crate::protocol::UsageWindow;

/// The figures that cause an alert, in percent.
const THRESHOLDS: [f64; 3] = [75.0, 90.0, 100.0];

/// An alert: one line for a person, and the window as it is.
#[derive(Debug)]
pub(crate) struct Alert {
    pub(crate) message: String,
    pub(crate) window: UsageWindow<'static>,
}

/// The highest threshold that an alert was sent for in one window, and what that was compared with.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Alerted {
    name: Box<str>,
    resets_at: Option<u64>,
    /// The most that was used of it.
    peak: f64,
    threshold: f64,
}

/// The alerts sent so far, by window.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Alerts(Vec<Alerted>);

impl Alerts {
    /// Adds the alerts that are due for a window to `alerts`; they count as sent. `title` is the window's for people, with
    /// its account's where there are several, `now` in ms since the epoch. True if what is remembered of the window has
    /// changed.
    pub(super) fn check(
        &mut self,
        title: &str,
        window: &UsageWindow<'_>,
        now: u64,
        alerts: &mut Vec<Alert>,
    ) -> bool {
        let before = self.take(&window.name);
        let used = window.used_percent;
        let known_reset = before.as_ref().and_then(|before| before.resets_at);
        let mut threshold = before.as_ref().map_or(0.0, |before| before.threshold);
        let mut push = |message: String| {
            alerts.push(Alert {
                message,
                window: window.clone().into_owned(),
            });
        };
        // An end that moves while nothing else changes is no reset.
        let mut peak = before.as_ref().map_or(0.0, |before| before.peak);
        let is_reset = before.as_ref().is_some_and(|before| {
            let is_over = before.resets_at.is_some_and(|at| at <= now);
            is_later(window.resets_at, before.resets_at) && (is_over || used < before.peak)
        });
        if is_reset {
            peak = 0.0;
            if threshold > 0.0 {
                push(format!("the {title}: reset, {used:.0} % used"));
            }
            threshold = 0.0;
        }
        let reached = THRESHOLDS.into_iter().rfind(|figure| used >= *figure);
        let reached = reached.unwrap_or(0.0);
        if reached > threshold {
            push(format!("the {title}: {used:.0} % used"));
        }
        let after = Alerted {
            name: (&*window.name).into(),
            // A window that has not begun has no time; it ends later than the one before all the same.
            resets_at: window.resets_at.or(known_reset),
            peak: used.max(peak),
            threshold: reached.max(threshold),
        };
        let is_changed = before.as_ref() != Some(&after);
        self.0.push(after);
        is_changed
    }

    /// The window's time is over, and nothing of the next one is known.
    pub(super) fn reset(&mut self, title: &str, window: &UsageWindow<'_>, alerts: &mut Vec<Alert>) {
        let before = self.take(&window.name);
        if before.is_some_and(|before| before.threshold > 0.0) {
            alerts.push(Alert {
                message: format!("the {title}: reset"),
                window: window.clone().into_owned(),
            });
        }
    }

    fn take(&mut self, name: &str) -> Option<Alerted> {
        let place = self.0.iter().position(|alerted| *alerted.name == *name);
        place.map(|place| self.0.swap_remove(place))
    }
}
