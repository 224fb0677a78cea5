//! `stop`: stops the daemon, after a warning if dashboards are connected.

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

use anyhow::bail;
use clap::Args;

use crate::client::Client;
use crate::format;
use crate::os::process;
use crate::protocol::{StatusResult, StopParams, StopResult};

/// How long the daemon's process may take to end after it has announced its stop.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The options of `stop`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Stop at once: no question, and no message to the dashboards
    #[arg(long)]
    force: bool,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// Shown below `--help`.
pub(super) const EXAMPLES: &str =
    "If systemd or launchd holds the socket, the next connection starts the daemon again.

Examples:
  agent-console stop                      stop it; ask first if dashboards are connected
  agent-console stop --force              stop it at once, without a message to the dashboards";

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
            "{} dashboard{s} {are} connected and will get a message",
            status.dashboards
        )?;
        if io::stdin().is_terminal() && io::stderr().is_terminal() && !confirm()? {
            bail!("not stopped");
        }
    }
    // Identified before it ends, because its process id may be reused.
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
    // A daemon in another pid namespace can't be watched; its closed connection must do.
    if let Some(Ok(daemon)) = daemon
        && !process::wait_for_exit(daemon, EXIT_TIMEOUT)?
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

fn confirm() -> io::Result<bool> {
    write!(io::stderr(), "Stop the daemon? [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
