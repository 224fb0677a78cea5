//! `status`: the state of the daemon.

use std::io::Write;

use super::args::Json;
use crate::client::Client;
use crate::format;
use crate::protocol::StatusResult;

/// Shown below `status --help`.
pub(super) const EXAMPLES: &str = "Examples:
  agent-console status
  agent-console status --json | jq .sessions.waiting";

pub(super) fn run(options: &Json, client: &mut Client, out: &mut impl Write) -> anyhow::Result<()> {
    let status: StatusResult<'static> = client.call("daemon.status", &serde_json::Map::new())?;
    if options.json {
        format::json(out, &status)?;
        return Ok(());
    }
    let sessions = status.sessions;
    let memory = status
        .rss_bytes
        .map_or("unknown".into(), |bytes| format!("{} KiB", bytes / 1024));
    let idle = match status.idle_timeout_ms {
        Some(ms) => format!(
            "after {} without dashboards and live sessions",
            format::duration(ms)
        ),
        None => "never".into(),
    };
    let mut rows = vec![
        (
            "daemon",
            format!(
                "{}, process {}, up {}",
                format::sanitize(&status.version),
                status.pid,
                format::duration(status.uptime_ms)
            ),
        ),
        (
            "socket",
            format!(
                "{} ({})",
                format::sanitize(&status.socket),
                status.origin.as_str()
            ),
        ),
        (
            "sessions",
            format!(
                "{} working, {} waiting, {} idle, {} error, {} closed",
                sessions.working, sessions.waiting, sessions.idle, sessions.error, sessions.closed
            ),
        ),
        ("dashboards", status.dashboards.to_string()),
        ("events", status.reports.to_string()),
        ("memory", memory),
        ("leaves", idle),
    ];
    if status.unknown_events > 0 {
        let count = status.unknown_events;
        rows.push(("unknown", format!("{count} events of a newer agent")));
    }
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, value)| vec![name.into(), value])
        .collect();
    write!(out, "{}", format::table(&rows))?;
    Ok(())
}
