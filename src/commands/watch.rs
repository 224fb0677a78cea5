//! `watch`: each change as it comes, a line each, until the daemon is stopped on purpose.
//!
//! Scripts get every notification. People get a line where what they would see has changed: most notifications only
//! bring new evidence for a status that stays.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use crate::client::subscription::{Heard, follow};
use crate::client::{Client, Told};
use crate::format::status::{Kind, by_need};
use crate::format::{self, Cell, Column, Cut, Screen};
use crate::os::clock;
use crate::protocol::{SessionRecord, Snapshot, Status};

/// How to show it.
#[derive(Debug, Args)]
#[command(
    after_help = "Begins with the sessions that are open; the first column is the time since then. Ends when the
daemon is stopped, not when it is restarted.

Examples:
  agent-console watch
  agent-console watch --json | jq -r 'select(.session.attention) | .session.cwd'"
)]
pub(super) struct Options {
    /// Print a JSON object a line: first the snapshot, then each event
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options, socket: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let mut people = People {
        began: clock::monotonic(),
        shown: BTreeMap::new(),
        begun: false,
        key_width: KEY_WIDTH.0,
        page: String::new(),
    };
    let mut failure = None;
    let mut lost = false;
    follow(Client::connect(socket)?, socket, |heard| {
        let done = match heard {
            Heard::Told(told) => {
                lost = false;
                if options.json {
                    json(&told, out)
                } else {
                    out.write_all(people.tell(&told).as_bytes())
                        .and_then(|()| out.flush())
                }
            }
            Heard::Lost { .. } if std::mem::replace(&mut lost, true) => Ok(()),
            Heard::Lost { .. } => writeln!(io::stderr(), "{LOST}"),
        };
        failure = done.err();
        if failure.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// What is said once for each time that the daemon is gone.
pub(super) const LOST: &str = "the daemon is gone; connecting again";

/// One line of `watch --json`.
#[derive(Serialize)]
struct Event<'a, T> {
    event: &'static str,
    #[serde(flatten)]
    told: &'a T,
}

fn json(told: &Told, out: &mut impl Write) -> io::Result<()> {
    fn event<T: Serialize>(event: &'static str, told: &T, out: &mut impl Write) -> io::Result<()> {
        format::json(out, &Event { event, told })
    }
    match told {
        Told::Snapshot(told) => event("snapshot", told, out),
        Told::Changed(told) => event("session.changed", &**told, out),
        Told::Removed(told) => event("session.removed", told, out),
        Told::Usage(told) => event("usage.changed", told, out),
        Told::Notice(told) => event("daemon.notice", told, out),
        Told::Stopping(told) => event("daemon.stopping", told, out),
    }?;
    out.flush()
}

/// The widest time: `11h59m59s`.
const TIME_WIDTH: usize = 9;

/// The widest status and its sign: `! waiting: permission`.
const STATUS_WIDTH: usize = 21;

/// How wide the column of keys is at least and at most: one of a process in another namespace fits.
const KEY_WIDTH: (usize, usize) = (8, 32);

/// What people see, line by line.
struct People {
    began: Instant,
    /// What was shown of each session last: its status and what it is about.
    shown: BTreeMap<String, [String; 2]>,
    /// The first snapshot has been told.
    begun: bool,
    /// How wide the column of keys is.
    key_width: usize,
    /// The lines that are to be shown now.
    page: String,
}

impl People {
    /// The lines for what was told.
    fn tell(&mut self, told: &Told) -> String {
        match told {
            Told::Snapshot(snapshot) => self.snapshot(snapshot),
            Told::Changed(changed) => self.session(&changed.session),
            Told::Removed(removed) => {
                self.shown.remove(&*removed.key);
                self.line("  removed", &format::plain(&removed.key));
            }
            // Bars and dashboards show them; here they would drown what happens.
            Told::Usage(_) => {}
            Told::Notice(told) => {
                self.line("  notice", &format::notice(&told.notice, clock::unix_ms()));
            }
            Told::Stopping(told) => {
                self.line("  stopping", &format!("{:?}", told.reason).to_lowercase());
            }
        }
        std::mem::take(&mut self.page)
    }

    fn snapshot(&mut self, snapshot: &Snapshot<'_>) {
        let mut sessions: Vec<_> = snapshot.sessions.iter().collect();
        sessions.sort_by(|a, b| by_need(a, b));
        if self.begun {
            let count = sessions.len();
            let s = if count == 1 { "" } else { "s" };
            self.line("  connected", &format!("{count} session{s}"));
        } else {
            for notice in &snapshot.notices {
                self.line("  notice", &format::notice(notice, clock::unix_ms()));
            }
        }
        // All at once, so that the keys line up from the first line on.
        for session in &sessions {
            self.make_room(session);
        }
        for session in sessions {
            // What was over before is no news.
            if session.status == Status::Closed && !self.shown.contains_key(&*session.key) {
                self.shown.insert(session.key.to_string(), seen(session));
            } else {
                self.session(session);
            }
        }
        self.begun = true;
    }

    /// A line, if what a person sees of the session has changed.
    fn session(&mut self, session: &SessionRecord<'_>) {
        let now = seen(session);
        if self.shown.get(&*session.key) == Some(&now) {
            return;
        }
        self.make_room(session);
        let [status, about] = now.clone();
        self.shown.insert(session.key.to_string(), now);
        let status = Cell {
            text: status,
            style: format::style(Kind::of(session)),
        };
        let key = Column::cut(Cut::End, 12).padded(self.key_width);
        let columns = [key, Column::cut(Cut::End, 10).leaving(0)];
        let rest = [format::plain(&session.key).into(), about.into()];
        self.cells(status, &columns, rest);
    }

    fn make_room(&mut self, session: &SessionRecord<'_>) {
        if session.status != Status::Closed {
            let width = format::width(&format::plain(&session.key));
            self.key_width = self.key_width.max(width.min(KEY_WIDTH.1));
        }
    }

    fn line(&mut self, word: &str, text: &str) {
        self.cells(word.into(), &[Column::cut(Cut::End, 10)], [text.into()]);
    }

    /// A line of the time, a word and what else there is.
    fn cells<const N: usize>(&mut self, word: Cell, columns: &[Column; N], rest: [Cell; N]) {
        let elapsed = clock::monotonic().saturating_duration_since(self.began);
        let elapsed = format::precise(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        let time = format!("{elapsed:>TIME_WIDTH$}");
        let mut all = vec![Column::WHOLE, Column::WHOLE.padded(STATUS_WIDTH)];
        all.extend(columns);
        let mut row = vec![time.into(), word];
        row.extend(rest);
        // Asked anew for each line: a person changes the window's size.
        self.page += &format::fitted(&all, &[row], Screen::of_stdout());
    }
}

/// What a person sees of a session, beside its key.
fn seen(session: &SessionRecord<'_>) -> [String; 2] {
    [
        format!("{} {}", format::sign(session), format::status(session)),
        format::about(session),
    ]
}
