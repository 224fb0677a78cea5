//! `usage`: the account's limits, as a line with a gauge each, or as an object.

use std::io::Write;

use super::Json;
use crate::client::Client;
use crate::clock;
use crate::protocol::{Usage, UsageResult, UsageState, UsageWindow};
use crate::show;

/// Examples for `usage --help`.
pub(super) const EXAMPLES: &str = "Examples:
  agent-console usage              what is known of the account's limits
  agent-console usage --json | jq '.usage.windows[] | select(.used_percent > 90)'";

/// Characters that a gauge is wide.
const GAUGE: usize = 20;

pub(super) fn run(options: &Json, client: &mut Client, out: &mut impl Write) -> anyhow::Result<()> {
    let result: UsageResult<'static> = client.ask("usage.get", &serde_json::Map::new())?;
    if options.json {
        show::json(out, &result)?;
    } else {
        write!(out, "{}", page(result.usage.as_ref(), clock::unix_ms()))?;
    }
    Ok(())
}

fn page(usage: Option<&Usage<'_>>, now: u64) -> String {
    let Some(usage) = usage else {
        return "nothing is known yet: Claude Code's status line tells it, see `agent-console statusline --help`\n".into();
    };
    let mut rows: Vec<_> = usage
        .windows
        .iter()
        .map(|window| row(window, now))
        .collect();
    let word = match usage.state {
        UsageState::Ok => "ok",
        UsageState::Stale => "stale",
        UsageState::Unknown => "unknown",
    };
    let age = show::ago(usage.fetched_at, now);
    rows.push(vec!["state".into(), format!("{word}, {age} old")]);
    show::table(&rows)
}

/// A window: its name, a gauge with a mark for how far it has run, the figure, when it begins anew.
fn row(window: &UsageWindow<'_>, now: u64) -> Vec<String> {
    let name = match &*window.name {
        "five_hour" => "5 h".into(),
        "seven_day" => "7 d".into(),
        other => show::plain(&other.replacen("seven_day_", "7 d ", 1)),
    };
    let elapsed = window.elapsed_percent(now);
    let reset = match window.resets_at {
        Some(at) if at > now => format!("resets in {}", show::duration(at - now)),
        Some(_) => "has been reset".into(),
        None => String::new(),
    };
    vec![
        name,
        gauge(window.used_percent, elapsed),
        format!("{:.0} %", window.used_percent),
        reset,
    ]
}

/// `used` filled from the left, and `|` where the window stands in time.
fn gauge(used: f64, elapsed: Option<f64>) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place among twenty"
    )]
    let place =
        |percent: f64| ((percent.clamp(0.0, 100.0) / 100.0 * GAUGE as f64).round()) as usize;
    let mark = elapsed.map(|elapsed| place(elapsed).min(GAUGE - 1));
    let cell = |at| match at {
        _ if mark == Some(at) => '|',
        _ if at < place(used) => '#',
        _ => '.',
    };
    (0..GAUGE).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_filled_as_far_as_used_and_marked_where_time_stands() {
        assert_eq!(gauge(0.0, None), "....................");
        assert_eq!(gauge(50.0, Some(25.0)), "#####|####..........");
        assert_eq!(gauge(130.0, Some(100.0)), "###################|");
    }
}
