//! Alerts about the account's limits, each sent once: a window has reached 75, 90 or 100 percent, or was reset after
//! that.
//!
//! Called by [`super::value`] only.

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

/// The highest threshold that an alert was sent for in one window.
#[derive(Debug)]
struct Alerted {
    name: Box<str>,
    resets_at: Option<u64>,
    threshold: f64,
}

/// The alerts sent so far, by window.
#[derive(Debug, Default)]
pub(super) struct Alerts(Vec<Alerted>);

impl Alerts {
    /// Adds the alerts that are due for a window to `alerts`; they count as sent. `title` is the window's for people.
    pub(super) fn check(&mut self, title: &str, window: &UsageWindow<'_>, alerts: &mut Vec<Alert>) {
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
        if before.is_some_and(|before| is_later(window.resets_at, before.resets_at)) {
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
        self.0.push(Alerted {
            name: (&*window.name).into(),
            // A window that has not begun has no time; it ends later than the one before all the same.
            resets_at: window.resets_at.or(known_reset),
            threshold: reached.max(threshold),
        });
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
