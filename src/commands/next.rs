//! `next`: the session that has needed a person for longest, and its terminal.

use std::io::Write;

use anyhow::bail;
use clap::Args;

use super::agent_filter::AgentFilter;
use super::place;
use crate::client::Client;
use crate::format::status::attention_order;
use crate::format::{self, Field, StdoutStyle};
use crate::os::clock;
use crate::protocol::{ListParams, ListResult, SessionRecord};

/// The options of `next`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    agent: AgentFilter,
    /// Print the session's record as JSON
    #[arg(long)]
    json: bool,
}

/// Shown below `--help`.
pub(super) const EXAMPLES: &str = "The exit status is 1 if no session needs you.

Examples:
  agent-console next
  agent-console next --json | jq -r .cwd";

pub(super) fn run(
    options: &Options,
    client: &mut Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let params = ListParams {
        include_closed: false,
    };
    let ListResult { sessions } = client.call::<_, ListResult<'static>>("session.list", &params)?;
    let has_several = format::agent_names(&sessions).len() > 1;
    let Some(session) = sessions
        .into_iter()
        .filter(|session| session.attention && options.agent.keeps(session))
        .min_by(attention_order)
    else {
        bail!("no session needs you");
    };
    if options.json {
        format::json(out, &session)?;
    } else {
        write!(
            out,
            "{}",
            format::table(&rows(
                &session,
                has_several,
                clock::unix_ms(),
                StdoutStyle::detect()
            ))
        )?;
    }
    Ok(())
}

/// `has_several`: sessions of several agents are there.
fn rows(
    session: &SessionRecord<'_>,
    has_several: bool,
    now: u64,
    stdout: StdoutStyle,
) -> Vec<Vec<String>> {
    const FIELDS: [(&str, Field); 5] = [
        ("key", Field::Key),
        ("status", Field::Status),
        ("reason", Field::Reason),
        ("question", Field::Question),
        ("title", Field::Title),
    ];
    let mut rows: Vec<_> = format::fields(&FIELDS, session, now).collect();
    if has_several {
        rows.insert(1, ("agent", format::signed_agent(&session.agent)));
    }
    if session.cwd.is_some() {
        rows.push(("directory", format::directory(session)));
    }
    if let Some(terminal) = &session.terminal {
        rows.extend(place::rows(terminal));
    }
    format::named_rows(rows, session, stdout)
}
