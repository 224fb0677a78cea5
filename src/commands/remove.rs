//! `remove`: has the daemon forget a session.

use std::io::Write;

use super::OneSession;
use crate::client::Client;
use crate::format;
use crate::protocol::RemoveResult;

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
