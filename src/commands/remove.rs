//! `remove`: has the daemon forget a session.

use std::io::Write;

use clap::Args;

use super::show;
use crate::client::Client;
use crate::protocol::{RemoveResult, SessionParams};

/// Which session.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// A key, a session id, or a unique prefix of either
    session: String,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(
    options: &Options,
    client: &mut Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let params = SessionParams {
        session: options.session.clone(),
    };
    let result: RemoveResult<'static> = client.ask("session.remove", &params)?;
    if options.json {
        show::json(out, &result)?;
    } else {
        writeln!(out, "removed {}", show::plain(&result.removed))?;
    }
    Ok(())
}
