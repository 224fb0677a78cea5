//! `stop`: ends the daemon, after a warning if dashboards are connected.

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

use anyhow::bail;
use clap::Args;

use crate::client::Client;
use crate::format;
use crate::os::process;
use crate::protocol::{StatusResult, StopParams, StopResult};

/// How long the daemon may take to be gone once it has said that it stops.
const PATIENCE: Duration = Duration::from_secs(10);

/// How to stop.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// At once: no question, nobody is told
    #[arg(long)]
    force: bool,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(
    options: &Options,
    mut client: Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let status: StatusResult<'static> = client.call("daemon.status", &serde_json::Map::new())?;
    if !options.force && status.dashboards > 0 {
        let (are, s) = if status.dashboards == 1 {
            ("is", "")
        } else {
            ("are", "s")
        };
        writeln!(
            io::stderr(),
            "{} dashboard{s} {are} connected and will be told",
            status.dashboards
        )?;
        if io::stdin().is_terminal() && io::stderr().is_terminal() && !agreed()? {
            bail!("not stopped");
        }
    }
    // Named before it goes, so that its end can be waited for whoever gets its id next.
    let daemon = client
        .sees_daemon()
        .then(|| process::inspect(status.pid).map(|process| process.id));
    let stopped: StopResult = client.call(
        "daemon.stop",
        &StopParams {
            force: options.force,
        },
    )?;
    client.wait_until_closed();
    // A daemon in another pid namespace can't be seen; its closed connection has to do.
    if let Some(Ok(daemon)) = daemon
        && !process::wait_for_exit(daemon, PATIENCE)?
    {
        bail!(
            "process {} said that it stops and is still there; `kill -9 {}` ends it",
            status.pid,
            status.pid
        );
    }
    if options.json {
        format::json(out, &stopped)?;
    } else {
        writeln!(out, "stopped (process {})", status.pid)?;
    }
    Ok(())
}

fn agreed() -> io::Result<bool> {
    write!(io::stderr(), "Stop the daemon? [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
