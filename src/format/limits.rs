//! The account's limits as text: short names of their windows, gauges, and notices about them. Pure.

use super::duration::remaining;
use super::text::sanitize;
use crate::agents::{self, LimitWindow};
use crate::protocol::{Notice, Usage};

/// A window of the account's limits, by a short name: `5h`, `7d`, `7d sonnet`; one that no agent knows by its own.
/// Without characters that a bar or a terminal would interpret.
pub(crate) fn window_name(name: &str) -> String {
    let known = agents::ALL
        .iter()
        .filter_map(|agent| agent.limits.as_ref())
        .find_map(|limits| LimitWindow::find(limits.windows, name));
    match known {
        Some((window, None)) => window.label.into(),
        Some((window, Some(model))) => format!("{} {}", window.label, plain(model)),
        None => plain(name),
    }
}

/// The accounts of which figures are known, each with its name if there are several; without figures, the one that
/// `usage` itself is of.
pub(crate) fn accounts<'a, 'b>(usage: &'a Usage<'b>) -> Vec<(Option<String>, &'a Usage<'b>)> {
    let all = usage.accounts.iter();
    let known: Vec<_> = all
        .filter(|account| !account.usage.windows.is_empty())
        .collect();
    if known.len() < 2 {
        return vec![(None, usage)];
    }
    let named = known.into_iter();
    named
        .map(|account| (Some(account_name(&account.account)), &account.usage))
        .collect()
}

/// An account's name, without characters that a bar or a terminal would interpret.
pub(crate) fn account_name(name: &str) -> String {
    plain(name).replace(' ', "_")
}

/// Letters, digits and what no bar and no shell interprets; `_` stands for the rest.
fn plain(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_.@+~/ ".contains(c);
    name.chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect()
}

/// `width` characters, filled from the left up to `used` (percent), with `|` at `elapsed` (percent).
pub(crate) fn gauge(used: f64, elapsed: Option<f64>, width: usize) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place among a few"
    )]
    let place = |percent: f64| (percent.clamp(0.0, 100.0) / 100.0 * width as f64).round() as usize;
    let mark = elapsed.map(|elapsed| place(elapsed).min(width.saturating_sub(1)));
    let cell = |at| match at {
        _ if mark == Some(at) => '|',
        _ if at < place(used) => '#',
        _ => '.',
    };
    (0..width).map(cell).collect()
}

/// How full a model's context is, as a bar and a figure; any use shows.
pub(crate) fn context_gauge(percent: f32) -> String {
    const CELLS: u8 = 20;
    let full = (0..CELLS)
        .filter(|cell| f32::from(*cell) * 100.0 < percent * f32::from(CELLS))
        .count();
    let rest = usize::from(CELLS) - full;
    format!("{}{} {percent:.0}%", "█".repeat(full), "░".repeat(rest))
}

/// A notice in one line; one about a window of the account's limits says when it resets.
pub(crate) fn notice(notice: &Notice<'_>, now: u64) -> String {
    let text = sanitize(&notice.message);
    let resets_at = notice.window.as_ref().and_then(|window| window.resets_at);
    match resets_at.filter(|at| *at > now) {
        Some(at) => format!("{text}, resets in {}", remaining(at - now)),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_a_short_name() {
        assert_eq!(window_name("five_hour"), "5h");
        assert_eq!(window_name("seven_day_sonnet"), "7d sonnet");
        assert_eq!(window_name("iguana"), "iguana");
        // As a daemon that is not this program's may send it.
        assert_eq!(window_name("a#(b)%{c}\"'<\u{202e}&"), "a__b___c______");
        assert_eq!(window_name("five_hour_#[d]"), "5h __d_");
    }

    #[test]
    fn a_gauge_is_filled_up_to_the_use_and_marked_at_the_elapsed_time() {
        assert_eq!(gauge(0.0, None, 20), "....................");
        assert_eq!(gauge(50.0, Some(25.0), 20), "#####|####..........");
        assert_eq!(gauge(130.0, Some(100.0), 20), "###################|");
        assert_eq!(gauge(50.0, Some(50.0), 0), "");
    }

    #[test]
    fn the_context_is_a_bar_that_is_full_at_a_hundred() {
        assert!(context_gauge(0.0).starts_with("░░"));
        assert_eq!(context_gauge(100.0), "████████████████████ 100%");
        assert_eq!(context_gauge(250.0), "████████████████████ 250%");
    }
}
