//! `seen`: marks sessions as looked at.

use std::io::Write;

use clap::Args;

use crate::client::Client;
use crate::format;
use crate::protocol::{SessionParams, SessionResult};

/// The options of `seen`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// A key, a session id, or a unique prefix of one of them
    #[arg(required = true, value_name = "SESSION")]
    sessions: Vec<String>,
    /// Print the record of each session as JSON, one per line
    #[arg(long)]
    json: bool,
}

/// Shown below `--help`.
pub(super) const EXAMPLES: &str =
    "A session that waits for an answer, or has failed, still needs you. `go` and the dashboard's
detail mark a session, too.

Examples:
  agent-console seen build                it is done, and you know
  agent-console list --json | jq -r '.[] | select(.status == \"idle\") | .key' |
    xargs -r agent-console seen           all that are done";

pub(super) fn run(
    options: &Options,
    client: &mut Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    for session in &options.sessions {
        let params = SessionParams {
            session: session.clone(),
        };
        let session = client
            .call::<_, SessionResult<'static>>("session.seen", &params)?
            .session;
        if options.json {
            format::json(out, &session)?;
        } else {
            let key = format::sanitize(&session.key);
            writeln!(out, "{key}: {}", format::status(&session))?;
        }
    }
    Ok(())
}
