//! `next`: the session that has needed a person for longest, and where to find it.

use std::io::Write;

use anyhow::bail;
use clap::Args;

use crate::board::{Kind, by_need};
use crate::client::Client;
use crate::clock;
use crate::protocol::{ListParams, ListResult, SessionRecord};
use crate::show::{self, Screen};

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
    let ListResult { sessions } = client.ask::<_, ListResult<'static>>("session.list", &params)?;
    let Some(session) = sessions
        .into_iter()
        .filter(|session| session.attention)
        .min_by(by_need)
    else {
        bail!("nobody needs you");
    };
    if options.json {
        show::json(out, &session)?;
    } else {
        let screen = Screen::of_stdout();
        write!(
            out,
            "{}",
            show::table(&rows(&session, clock::unix_ms(), screen))
        )?;
    }
    Ok(())
}

fn rows(session: &SessionRecord<'_>, now: u64, screen: Screen) -> Vec<Vec<String>> {
    let status = screen.paint(show::style(Kind::of(session)), &show::status(session));
    let text = |text: Option<&str>| text.map(show::plain).unwrap_or_default();
    let mut rows = vec![
        ("key", show::plain(&session.key)),
        (
            "status",
            format!("{status} for {}", show::ago(session.since, now)),
        ),
        ("reason", text(session.reason.as_deref())),
        ("title", text(session.title.as_deref())),
    ];
    if session.cwd.is_some() {
        rows.push(("directory", show::directory(session)));
    }
    if let Some(terminal) = &session.terminal {
        rows.extend(show::whereabouts(terminal));
        rows.extend(show::way_there(terminal).map(|command| ("go there", command)));
    }
    rows.into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| vec![name.into(), value])
        .collect()
}
