//! `next`: the session that has needed a person for longest, and where to find it.

use std::io::Write;

use anyhow::bail;
use clap::Args;

use crate::client::Client;
use crate::format::status::{Kind, by_need};
use crate::format::{self, Screen};
use crate::os::clock;
use crate::protocol::{ListParams, ListResult, SessionRecord};

/// How to show it.
#[derive(Debug, Args)]
#[command(after_help = "Exit status 1 if nobody needs you.

Examples:
  agent-console next
  agent-console next --json | jq -r .cwd")]
pub(super) struct Options {
    /// Print the session's record
    #[arg(long)]
    json: bool,
}

pub(super) fn run(
    options: &Options,
    client: &mut Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let params = ListParams {
        include_closed: false,
    };
    let ListResult { sessions } = client.call::<_, ListResult<'static>>("session.list", &params)?;
    let Some(session) = sessions
        .into_iter()
        .filter(|session| session.attention)
        .min_by(by_need)
    else {
        bail!("nobody needs you");
    };
    if options.json {
        format::json(out, &session)?;
    } else {
        let screen = Screen::of_stdout();
        write!(
            out,
            "{}",
            format::table(&rows(&session, clock::unix_ms(), screen))
        )?;
    }
    Ok(())
}

fn rows(session: &SessionRecord<'_>, now: u64, screen: Screen) -> Vec<Vec<String>> {
    let status = screen.paint(format::style(Kind::of(session)), &format::status(session));
    let text = |text: Option<&str>| text.map(format::plain).unwrap_or_default();
    let mut rows = vec![
        ("key", format::plain(&session.key)),
        (
            "status",
            format!("{status} for {}", format::ago(session.since, now)),
        ),
        ("reason", text(session.reason.as_deref())),
        ("title", text(session.title.as_deref())),
    ];
    if session.cwd.is_some() {
        rows.push(("directory", format::directory(session)));
    }
    if let Some(terminal) = &session.terminal {
        rows.extend(format::whereabouts(terminal));
        rows.extend(format::way_there(terminal).map(|command| ("go there", command)));
    }
    rows.into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| vec![name.into(), value])
        .collect()
}
