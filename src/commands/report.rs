//! `report`: a script tells of a session of its own, or corrects one.

use std::io::Write;

use clap::{Args, ValueEnum};

use crate::client::Client;
use crate::format;
use crate::protocol::{SessionResult, SetParams, Status, WaitingFor};

/// What to tell.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// A key, a session id or a prefix of at least 8 characters; any other name begins a session of that key
    session: String,
    /// What it is doing
    status: StatusWord,
    /// What it waits for; only with `waiting`
    #[arg(long, value_name = "WHAT")]
    waiting_for: Option<WaitingWord>,
    /// Why, in one line
    #[arg(long)]
    reason: Option<String>,
    /// What it is about, in one line
    #[arg(long)]
    title: Option<String>,
    /// Its working directory
    #[arg(long, value_name = "DIRECTORY")]
    cwd: Option<String>,
    /// Which agent it is [default for a new session: script]
    #[arg(long)]
    agent: Option<String>,
    /// A process whose end closes the session
    #[arg(long)]
    pid: Option<u32>,
    /// Print the session's record
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StatusWord {
    Working,
    Waiting,
    Idle,
    Error,
    Closed,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WaitingWord {
    Permission,
    Answer,
    Plan,
    Dialog,
}

pub(super) fn run(
    options: &Options,
    client: &mut Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let params = SetParams {
        session: options.session.clone(),
        agent: options.agent.clone(),
        status: match options.status {
            StatusWord::Working => Status::Working,
            StatusWord::Waiting => Status::Waiting,
            StatusWord::Idle => Status::Idle,
            StatusWord::Error => Status::Error,
            StatusWord::Closed => Status::Closed,
        },
        waiting_for: options.waiting_for.map(|word| match word {
            WaitingWord::Permission => WaitingFor::Permission,
            WaitingWord::Answer => WaitingFor::Answer,
            WaitingWord::Plan => WaitingFor::Plan,
            WaitingWord::Dialog => WaitingFor::Dialog,
        }),
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
