//! `remove`: removes a session from the daemon's memory.

use std::io::Write;

use super::args::OneSession;
use crate::client::Client;
use crate::format;
use crate::protocol::RemoveResult;

/// Shown below `--help`.
pub(super) const EXAMPLES: &str = "A session that still runs appears again with its next event.

Examples:
  agent-console remove build              remove it by its key, or a prefix of it";

pub(super) fn run(
    one: &OneSession,
    client: &mut Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let result: RemoveResult<'static> = client.call("session.remove", &one.params())?;
    if one.json {
        format::json(out, &result)?;
    } else {
        writeln!(out, "removed {}", format::sanitize(&result.removed))?;
    }
    Ok(())
}
