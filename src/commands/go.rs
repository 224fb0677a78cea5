//! `go`: brings a person to a session's terminal.

use std::io::Write;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::agent_filter::AgentFilter;
use super::longest::longest_waiting;
use crate::client::Client;
use crate::format;
use crate::os::machine;
use crate::protocol::{SessionParams, SessionRecord, SessionResult};
use crate::reach::{self, Plan};

/// The options of `go`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// A key, a session id, or a unique prefix of one of them [default: the session that `next` shows]
    session: Option<String>,
    #[command(flatten)]
    agent: AgentFilter,
    #[command(flatten)]
    output: Output,
}

/// What `go` does besides going; `next --go` has it, too.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Output {
    /// Print the commands instead of running them
    #[arg(long)]
    print: bool,
    /// Print the way, and whether it was gone, as JSON
    #[arg(long)]
    json: bool,
}

impl Output {
    pub(super) fn new(print: bool, json: bool) -> Self {
        Self { print, json }
    }
}

/// Shown below `--help`.
pub(super) const EXAMPLES: &str =
    "In tmux the client in which you ask shows the pane, and no other client moves. From
outside, a client that shows it already comes to the front if its window is on your
display; else one is attached in your terminal. The exit status is 1 where no way to the
session can be proven, or no session needs you.

Examples:
  agent-console go                        to the session that has needed you for longest
  agent-console go 19440e85               by a prefix of the session id
  agent-console go --print                show the commands
  bind-key g run-shell 'agent-console go' in ~/.tmux.conf: one key
  bindsym $mod+g exec agent-console go    in sway's configuration";

pub(super) fn run(
    options: &Options,
    client: &mut Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let session = match &options.session {
        Some(session) => {
            let params = SessionParams {
                session: session.clone(),
            };
            client
                .call::<_, SessionResult<'static>>("session.get", &params)?
                .session
        }
        None => longest_waiting(client, &options.agent)?.0,
    };
    go(&session, options.output, client, out)
}

/// Goes to the session's terminal, where the person looks at it.
pub(super) fn go(
    session: &SessionRecord<'_>,
    output: Output,
    client: &mut Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let plan = reach::plan(session, &reach::asker(output.print));
    let goes = plan.is_ok() && !output.print;
    if output.json {
        format::json(out, &value(session, &plan, goes))?;
        out.flush()?;
    }
    let plan = match plan {
        Ok(plan) => plan,
        Err(reasons) => bail!("{}", reach::no_way(session, &reasons)),
    };
    for remains in plan.remains() {
        writeln!(std::io::stderr(), "note: {remains}")?;
    }
    if goes {
        reach::execute(&plan, || {
            let params = SessionParams {
                session: session.key.to_string(),
            };
            // A daemon of an earlier version does not know the request.
            let _ = client.call::<_, SessionResult<'static>>("session.seen", &params);
        })?;
    } else if !output.json && plan.moves().next().is_some() {
        writeln!(out, "{}", plan.shell_line())?;
    }
    Ok(())
}

fn value(session: &SessionRecord<'_>, plan: &Result<Plan, Vec<String>>, goes: bool) -> Value {
    let clean = |text: &str| format::sanitize(text);
    let (places, reasons) = match plan {
        Ok(plan) => (plan.json(), json!([])),
        Err(reasons) => (
            json!([]),
            reasons.iter().map(|reason| clean(reason)).collect(),
        ),
    };
    let terminal = session.terminal.as_deref();
    json!({
        "session": session.key,
        "places": places,
        "goes": goes,
        "reasons": reasons,
        "host": machine::host_name(),
        "terminal": terminal.and_then(|terminal| terminal.tty.as_deref()).map(clean),
        "cwd": session.cwd.as_deref().map(clean),
    })
}
