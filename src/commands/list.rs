//! `list`: the sessions, a row or a record each. People see them in the order of [`board`](crate::format::status), cut to the
//! width of their terminal; scripts as the daemon tells them.

use std::io::Write;

use clap::Args;

use crate::client::Client;
use crate::format::status::{Kind, Tally, by_need};
use crate::format::{self, Cell, Column, Cut, Screen};
use crate::os::clock;
use crate::protocol::{ListParams, ListResult, SessionRecord};

/// What to list.
#[derive(Debug, Args)]
#[command(
    after_help = "Who needs a person comes first, marked with a `!`, then who works.

Examples:
  agent-console list                                 what runs now
  agent-console list --all                           closed sessions, too
  agent-console list --json | jq -r '.[].cwd'        for a script, oldest first"
)]
pub(super) struct Options {
    /// Closed sessions too
    #[arg(long)]
    all: bool,
    /// Print an array of session records
    #[arg(long)]
    json: bool,
}

/// The columns; where there is no room the directory goes first, then what the session is about, then the time.
const COLUMNS: [Column; 5] = [
    Column::WHOLE,
    Column::WHOLE.leaving(2),
    // As much as names a process.
    Column::cut(Cut::End, 18),
    Column::cut(Cut::Start, 12).leaving(0),
    Column::cut(Cut::End, 10).leaving(1),
];

pub(super) fn run(
    options: &Options,
    client: &mut Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut fetch = |include_closed| {
        client.call::<_, ListResult<'static>>("session.list", &ListParams { include_closed })
    };
    let ListResult { mut sessions } = fetch(options.all)?;
    if options.json {
        format::json(out, &sessions)?;
        return Ok(());
    }
    let screen = Screen::of_stdout();
    if sessions.is_empty() {
        writeln!(out, "no sessions")?;
        if screen.terminal {
            let closed = if options.all {
                0
            } else {
                fetch(true)?.sessions.len()
            };
            writeln!(out, "{}", what_next(closed))?;
        }
        return Ok(());
    }
    sessions.sort_by(by_need);
    write!(out, "{}", page(&sessions, clock::unix_ms(), screen))?;
    Ok(())
}

/// What a person who sees no session may want to do.
fn what_next(closed: usize) -> String {
    if closed > 0 {
        return format!("`agent-console list --all` shows {closed} closed");
    }
    "An agent shows up once its hooks are in place: `agent-console install` puts them there,\n\
     `agent-console doctor` says what is missing."
        .into()
}

fn page(sessions: &[SessionRecord<'_>], now: u64, screen: Screen) -> String {
    let header = ["  STATUS", "FOR", "KEY", "DIRECTORY", "ABOUT"];
    let mut rows = vec![header.map(Cell::from).to_vec()];
    rows.extend(sessions.iter().map(|session| row(session, now)));
    let mut page = format::fitted(&COLUMNS, &rows, screen);
    if screen.terminal && sessions.len() > 1 {
        let tally = format!("  {}", format::tally(&Tally::of(sessions)));
        let room = screen.columns.unwrap_or(usize::MAX);
        page = format!("{page}\n{}\n", format::shorten(&tally, room, Cut::End));
    }
    page
}

fn row(session: &SessionRecord<'_>, now: u64) -> Vec<Cell> {
    vec![
        Cell {
            text: format!("{} {}", format::sign(session), format::status(session)),
            style: format::style(Kind::of(session)),
        },
        format::ago(session.since, now).into(),
        format::plain(&session.key).into(),
        format::directory(session).into(),
        format::about(session).into(),
    ]
}
