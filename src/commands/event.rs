//! `event`: passes on the neutral events of an agent that is not in the table of agents.

use std::io::{self, BufRead, Write};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::value::RawValue;

use crate::agents;
use crate::client::Client;
use crate::hook;
use crate::os::{clock, watchable};
use crate::protocol::ReportParams;

/// The options of `event`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The agent's name
    #[arg(long, value_name = "NAME")]
    agent: String,
    /// The agent's process, whose end closes the session [default: the process that runs this command]
    #[arg(long)]
    pid: Option<u32>,
    /// No person sits at the session: it never waits for one
    #[arg(long)]
    unattended: bool,
}

/// Shown below `--help`.
pub(super) const EXAMPLES: &str = "Each line of standard input is one event, a JSON object; docs/protocol.md lists them.

Examples:
  echo '{\"event\":\"turn_started\",\"session_id\":\"1\",\"prompt\":\"Fix it\"}' | agent-console event --agent mine
  echo '{\"event\":\"asked\",\"session_id\":\"1\",\"waiting_for\":\"answer\"}' | agent-console event --agent mine
  echo '{\"event\":\"turn_ended\",\"session_id\":\"1\"}' | agent-console event --agent mine --pid 4711";

pub(super) fn run(
    options: &Options,
    client: &mut Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if let Some(agent) = agents::find(&options.agent) {
        bail!(
            "{} reports by its hooks: `agent-console install`",
            agent.title
        );
    }
    let pid = match options.pid {
        Some(pid) => watchable::find(pid).context("--pid")?.pid,
        None => std::os::unix::process::parent_id(),
    };
    for line in io::stdin().lock().lines() {
        let line = line.context("cannot read standard input")?;
        if line.trim().is_empty() {
            continue;
        }
        let event: &RawValue = serde_json::from_str(&line).context("an event is no JSON")?;
        let params = ReportParams {
            attended: Some(!options.unattended),
            event: Some(event),
            ..hook::params_of_process(&options.agent, pid, clock::unix_ms())
        };
        client.call::<_, serde_json::Value>("session.report", &params)?;
    }
    out.flush()?;
    Ok(())
}
