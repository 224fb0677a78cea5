//! `next`: the session that has needed a person for longest, and its terminal.

use std::io::Write;

use clap::Args;

use super::agent_filter::AgentFilter;
use super::go;
use super::longest::longest_waiting;
use crate::client::Client;
use crate::format::{self, Field, StdoutStyle};
use crate::os::clock;
use crate::protocol::SessionRecord;
use crate::reach;

/// The options of `next`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    agent: AgentFilter,
    /// Print the session's record as JSON
    #[arg(long)]
    json: bool,
    /// Go to the session's terminal, as `go` does
    #[arg(long)]
    go: bool,
    /// With `--go`: print the commands instead of running them
    #[arg(long, requires = "go")]
    print: bool,
}

/// Shown below `--help`.
pub(super) const EXAMPLES: &str = "The exit status is 1 if no session needs you.

Examples:
  agent-console next
  agent-console next --json | jq -r .cwd
  agent-console next --go                 go to its terminal";

pub(super) fn run(
    options: &Options,
    client: &mut Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let (session, has_several) = longest_waiting(client, &options.agent)?;
    if options.go {
        let output = go::Output::new(options.print, options.json);
        return go::go(&session, output, client, out);
    }
    if options.json {
        format::json(out, &session)?;
    } else {
        write!(
            out,
            "{}",
            format::table(&rows(
                &session,
                has_several,
                clock::unix_ms(),
                StdoutStyle::detect()
            ))
        )?;
    }
    Ok(())
}

/// `has_several`: sessions of several agents are there.
fn rows(
    session: &SessionRecord<'_>,
    has_several: bool,
    now: u64,
    stdout: StdoutStyle,
) -> Vec<Vec<String>> {
    const FIELDS: [(&str, Field); 5] = [
        ("key", Field::Key),
        ("status", Field::Status),
        ("reason", Field::Reason),
        ("question", Field::Question),
        ("title", Field::Title),
    ];
    let mut rows: Vec<_> = format::fields(&FIELDS, session, now).collect();
    if has_several {
        rows.insert(1, ("agent", format::signed_agent(&session.agent)));
    }
    if session.cwd.is_some() {
        rows.push(("directory", format::directory(session)));
    }
    rows.extend(reach::rows(session));
    format::named_rows(rows, session, stdout)
}
