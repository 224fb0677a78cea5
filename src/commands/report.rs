//! `report`: sets a session's status from a script, or creates a session.

use std::io::Write;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::client::Client;
use crate::format;
use crate::protocol::{SessionResult, SetParams, Status, WaitingFor};

/// The options of `report`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// A key, a session id, or 8 or more characters of an open agent's; any other name creates a session with that key
    session: String,
    /// The session's status
    #[arg(value_parser = one_of(&STATUSES, Status::as_str))]
    status: Status,
    /// What the session waits for; only with `waiting`
    #[arg(long, value_name = "WHAT", value_parser = one_of(&WAITING_FOR, WaitingFor::as_str))]
    waiting_for: Option<WaitingFor>,
    /// The reason of the status, in one line
    #[arg(long)]
    reason: Option<String>,
    /// The title of the session, in one line
    #[arg(long)]
    title: Option<String>,
    /// The working directory
    #[arg(long, value_name = "DIRECTORY")]
    cwd: Option<String>,
    /// The name of the agent [default for a new session: script]
    #[arg(long)]
    agent: Option<String>,
    /// The id of the process whose end closes the session
    #[arg(long)]
    pid: Option<u32>,
    /// Print the session's record as JSON
    #[arg(long)]
    json: bool,
}

/// The statuses that a script can set.
const STATUSES: [Status; 5] = [
    Status::Working,
    Status::Waiting,
    Status::Idle,
    Status::Error,
    Status::Closed,
];

/// What a script's session can wait for.
const WAITING_FOR: [WaitingFor; 4] = [
    WaitingFor::Permission,
    WaitingFor::Answer,
    WaitingFor::Plan,
    WaitingFor::Dialog,
];

/// Parses one of `values` by its word on the wire.
fn one_of<T: Copy + Send + Sync + 'static>(
    values: &'static [T],
    word: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    let words = values.iter().map(move |value| word(*value));
    PossibleValuesParser::new(words).try_map(move |chosen| {
        let value = values.iter().find(|value| word(**value) == chosen);
        value.copied().ok_or("no such word")
    })
}

/// Shown below `--help`.
pub(super) const EXAMPLES: &str = "Examples:
  agent-console report build working --reason 'cargo test' --pid $$
  agent-console report deploy waiting --waiting-for answer --reason 'staging?'
  agent-console report build closed       close the session";

pub(super) fn run(
    options: &Options,
    client: &mut Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let params = SetParams {
        session: options.session.clone(),
        agent: options.agent.clone(),
        status: options.status,
        waiting_for: options.waiting_for,
        reason: options.reason.clone(),
        title: options.title.clone(),
        cwd: options.cwd.clone(),
        pid: options.pid,
    };
    let SessionResult { session } =
        client.call::<_, SessionResult<'static>>("session.set", &params)?;
    if options.json {
        format::json(out, &session)?;
    } else {
        writeln!(
            out,
            "{}: {}",
            format::sanitize(&session.key),
            format::status(&session)
        )?;
    }
    Ok(())
}
