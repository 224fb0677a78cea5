//! `remove`: has the daemon forget a session.

use std::io::Write;

use super::OneSession;
use crate::client::Client;
use crate::protocol::RemoveResult;
use crate::show;

pub(super) fn run(
    one: &OneSession,
    client: &mut Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let result: RemoveResult<'static> = client.ask("session.remove", &one.params())?;
    if one.json {
        show::json(out, &result)?;
    } else {
        writeln!(out, "removed {}", show::plain(&result.removed))?;
    }
    Ok(())
}
