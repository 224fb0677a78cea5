//! `list`: a row or a record for each session. For people the rows are in [`attention_order`] and cut to the width of
//! the terminal; scripts get the records in the daemon's order.

use std::io::Write;

use clap::Args;

use super::agent_filter::AgentFilter;
use crate::client::Client;
use crate::format::status::{Counts, DisplayStatus, attention_order};
use crate::format::{self, Cell, Column, Cut, StdoutStyle};
use crate::os::clock;
use crate::protocol::{ListParams, ListResult, SessionRecord};

/// The options of `list`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// List closed sessions, too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    agent: AgentFilter,
    /// Print a JSON array of session records
    #[arg(long)]
    json: bool,
}

/// Shown below `--help`.
pub(super) const EXAMPLES: &str =
    "The sessions that need a person come first, marked with `!`, then those at work. Where there are several agents, each
row has the sign of its agent.

Examples:
  agent-console list                                 list the open sessions
  agent-console list --all                           list closed sessions, too
  agent-console list --json | jq -r '.[].cwd'        for a script; the oldest session first";

/// From this width on an agent's name is beside its sign.
const NAMED: usize = 100;

/// The columns. On a narrow terminal the directory is dropped first, then the summary, then the time.
const COLUMNS: [Column; 6] = [
    Column::WHOLE,
    Column::WHOLE.drop_priority(2),
    Column::WHOLE,
    // The width of a key that is made of a process.
    Column::cut(Cut::End, 18),
    Column::cut(Cut::Start, 12).drop_priority(0),
    Column::cut(Cut::End, 10).drop_priority(1),
];

pub(super) fn run(
    options: &Options,
    client: &mut Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut fetch = |include_closed| {
        let params = ListParams {
            include_closed,
            include_history: options.json,
        };
        client.call::<_, ListResult<'static>>("session.list", &params)
    };
    let ListResult { mut sessions } = fetch(options.all)?;
    sessions.retain(|session| options.agent.keeps(&session.agent));
    if options.json {
        format::json(out, &sessions)?;
        return Ok(());
    }
    let stdout = StdoutStyle::detect();
    if sessions.is_empty() {
        writeln!(out, "no sessions")?;
        if stdout.terminal {
            let closed = if options.all {
                0
            } else {
                fetch(true)?.sessions.len()
            };
            writeln!(out, "{}", hint(closed))?;
        }
        return Ok(());
    }
    sessions.sort_by(attention_order);
    write!(out, "{}", page(&sessions, clock::unix_ms(), stdout))?;
    Ok(())
}

/// What to do next if there are no sessions.
fn hint(closed: usize) -> String {
    if closed > 0 {
        return format!("`agent-console list --all` shows {closed} closed");
    }
    "An agent shows up once its hooks are in place: `agent-console install` puts them there,\n\
     `agent-console doctor` says what is missing."
        .into()
}

fn page(sessions: &[SessionRecord<'_>], now: u64, stdout: StdoutStyle) -> String {
    let is_named = stdout.columns.is_none_or(|columns| columns >= NAMED);
    let agent = (format::agent_names(sessions).len() > 1).then_some(if is_named {
        format::signed_agent as fn(&str) -> String
    } else {
        format::agent_sign
    });
    let heading = match agent {
        Some(_) if is_named => "AGENT",
        Some(_) => "AG",
        None => "",
    };
    let header = ["  STATUS", "FOR", heading, "KEY", "DIRECTORY", "ABOUT"];
    let mut rows = vec![header.map(Cell::from).to_vec()];
    rows.extend(sessions.iter().map(|session| row(session, agent, now)));
    let mut page = format::render(&COLUMNS, &rows, stdout);
    if stdout.terminal && sessions.len() > 1 {
        let counts = format!("  {}", Counts::of(sessions).words());
        let room = stdout.columns.unwrap_or(usize::MAX);
        page = format!("{page}\n{}\n", format::truncate(&counts, room));
    }
    page
}

/// `agent`: how the session's agent is shown, if it is.
fn row(session: &SessionRecord<'_>, agent: Option<fn(&str) -> String>, now: u64) -> Vec<Cell> {
    vec![
        Cell {
            text: format!("{} {}", format::marker(session), format::status(session)),
            style: DisplayStatus::of(session).sgr(),
        },
        format::ago(session.since, now).into(),
        agent
            .map_or_else(String::new, |shown| shown(&session.agent))
            .into(),
        format::sanitize(&session.key).into(),
        format::directory(session).into(),
        format::summary(session, Some(now)).into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_the_agent_where_there_are_several() {
        let session = |agent: &str| -> SessionRecord<'static> {
            let record = serde_json::json!({"key": format!("of-{agent}"), "agent": agent, "status": "idle",
                "since": 0, "started_at": 0});
            serde_json::from_value(record).unwrap()
        };
        let sessions = ["codex", "make", "codex"].map(session);
        let shown = |sessions: &[SessionRecord<'static>], columns| {
            let stdout = StdoutStyle {
                columns,
                ..StdoutStyle::default()
            };
            page(sessions, 0, stdout)
        };
        assert_eq!(
            shown(&sessions[..2], None),
            "  STATUS  FOR  AGENT         KEY       DIRECTORY  ABOUT\n\
             \x20 idle    0s   CX Codex CLI  of-codex  -\n\
             \x20 idle    0s   ma make       of-make   -\n"
        );
        assert!(shown(&sessions[..2], Some(80)).contains("0s   CX  of-codex"));
        let alone = shown(&sessions[..1], None);
        assert!(!alone.contains("AG") && !alone.contains("CX"), "{alone}");
    }
}
