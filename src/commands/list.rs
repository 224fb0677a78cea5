//! `list`: the sessions, a row or a record each.

use std::io::Write;

use clap::Args;

use crate::client::Client;
use crate::clock;
use crate::protocol::{ListParams, ListResult};
use crate::show;

/// What to list.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Closed sessions too
    #[arg(long)]
    all: bool,
    /// Print an array of session records
    #[arg(long)]
    json: bool,
}

pub(super) fn run(
    options: &Options,
    client: &mut Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let result: ListResult<'static> = client.ask(
        "session.list",
        &ListParams {
            include_closed: options.all,
        },
    )?;
    if options.json {
        show::json(out, &result.sessions)?;
        return Ok(());
    }
    if result.sessions.is_empty() {
        writeln!(out, "no sessions")?;
        return Ok(());
    }
    let now = clock::unix_ms();
    let mut rows = vec![
        ["STATUS", "FOR", "KEY", "DIRECTORY", "ABOUT"]
            .map(String::from)
            .to_vec(),
    ];
    rows.extend(result.sessions.iter().map(|session| {
        vec![
            show::status(session),
            show::ago(session.since, now),
            show::plain(&session.key),
            show::plain(session.cwd.as_deref().unwrap_or("-")),
            show::about(session),
        ]
    }));
    write!(out, "{}", show::table(&rows))?;
    Ok(())
}
