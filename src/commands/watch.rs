//! `watch`: each change as it comes, a line each, until the daemon is stopped on purpose.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use crate::client::{Client, Told};
use crate::clock;
use crate::follow::{Heard, follow};
use crate::protocol::SessionRecord;
use crate::show;

/// How to show it.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Print a JSON object a line: first the snapshot, then each event
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options, socket: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let mut printer = Printer {
        json: options.json,
        began: clock::monotonic(),
        out,
    };
    let mut failure = None;
    let mut lost = false;
    follow(Client::connect(socket)?, socket, |heard| {
        let done = match heard {
            Heard::Told(told) => {
                lost = false;
                printer.print(&told)
            }
            Heard::Lost { .. } if std::mem::replace(&mut lost, true) => Ok(()),
            Heard::Lost { .. } => writeln!(io::stderr(), "the daemon is gone; connecting again"),
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

/// One line of `watch --json`.
#[derive(Serialize)]
struct Event<'a, T> {
    event: &'static str,
    #[serde(flatten)]
    told: &'a T,
}

struct Printer<'a, W> {
    json: bool,
    began: Instant,
    out: &'a mut W,
}

impl<W: Write> Printer<'_, W> {
    fn print(&mut self, told: &Told) -> io::Result<()> {
        if self.json {
            match told {
                Told::Snapshot(told) => self.json("snapshot", told),
                Told::Changed(told) => self.json("session.changed", &**told),
                Told::Removed(told) => self.json("session.removed", told),
                Told::Notice(told) => self.json("daemon.notice", told),
                Told::Stopping(told) => self.json("daemon.stopping", told),
            }?;
        } else {
            match told {
                Told::Snapshot(snapshot) => {
                    for session in &snapshot.sessions {
                        self.session(session)?;
                    }
                    for notice in &snapshot.notices {
                        self.line("notice", &show::plain(&notice.message))?;
                    }
                }
                Told::Changed(changed) => self.session(&changed.session)?,
                Told::Removed(removed) => self.line("removed", &show::plain(&removed.key))?,
                Told::Notice(told) => self.line("notice", &show::plain(&told.notice.message))?,
                Told::Stopping(told) => {
                    self.line("stopping", &format!("{:?}", told.reason).to_lowercase())?;
                }
            }
        }
        self.out.flush()
    }

    fn json<T: Serialize>(&mut self, event: &'static str, told: &T) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, &Event { event, told })?;
        self.out.write_all(b"\n")
    }

    fn session(&mut self, session: &SessionRecord<'_>) -> io::Result<()> {
        let text = format!("{}  {}", show::plain(&session.key), show::about(session));
        self.line(&show::status(session), text.trim_end())
    }

    fn line(&mut self, word: &str, text: &str) -> io::Result<()> {
        let seconds = clock::monotonic()
            .saturating_duration_since(self.began)
            .as_secs_f64();
        writeln!(self.out, "{seconds:8.1}s  {word:<19}  {text}")
    }
}
