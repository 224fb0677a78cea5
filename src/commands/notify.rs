//! `notify`: reminds a person of sessions, as the daemon orders it on standard input; `notify --hold` holds a notification.
//! People do not run it.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use clap::Args;

use crate::format;
use crate::notify;

/// The options of `notify`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Show the notification on standard input, and hold it until it is closed
    #[arg(long)]
    hold: bool,
}

pub(super) fn run(options: &Options, socket: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    if options.hold {
        return notify::hold(socket, out);
    }
    let order = serde_json::from_reader(io::stdin().lock());
    let order = order.context("standard input has no order of the daemon's")?;
    format::json(out, &notify::carry_out(&order, socket))?;
    Ok(())
}
