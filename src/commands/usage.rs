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
    let name = show::window(&window.name);
    let elapsed = window.elapsed_percent(now);
    let reset = match window.resets_at {
        Some(at) if at > now => format!("resets in {}", show::duration(at - now)),
        Some(_) => "has been reset".into(),
        None => String::new(),
    };
    vec![
        name,
        show::gauge(window.used_percent, elapsed, GAUGE),
        format!("{:.0} %", window.used_percent),
        reset,
    ]
}
