//! `bar`: one line for a status bar, once or anew with each change that shows.
//!
//! What a bar shows stands there until the next line, so there is one for every case: where no daemon runs it is an empty
//! one. [`mod@line`] says what is in it.

mod line;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};

use self::line::{Format, line};
use crate::client::mirror::Mirror;
use crate::client::subscription::{Ended, Heard, follow};
use crate::client::{Client, ClientError};
use crate::protocol::{ListParams, ListResult, Usage, UsageResult};

/// How long `--follow` waits where nobody answers, before it looks again.
const PAUSE: Duration = Duration::from_secs(1);

/// How to print it.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// For which bar
    #[arg(long, value_name = "BAR", default_value = "plain")]
    format: Format,
    /// Print another line whenever it changes, until the bar closes its end
    #[arg(long)]
    follow: bool,
}

pub(super) fn run(options: &Options, socket: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    if options.follow {
        return print_changes(options.format, socket, out);
    }
    let (told, failure) = match ask(socket) {
        Ok(result) => (Some(result), None),
        // Not an error: the daemon leaves when nobody needs it.
        Err(ClientError::NoDaemon { .. }) => (None, None),
        Err(error) => (None, Some(error)),
    };
    let sessions = told.as_ref().map(|(list, _)| list.sessions.iter());
    let usage = told.as_ref().and_then(|(_, usage)| usage.as_ref());
    writeln!(out, "{}", line(options.format, sessions, usage))?;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

type Told = (ListResult<'static>, Option<Usage<'static>>);

fn ask(socket: &Path) -> Result<Told, ClientError> {
    let mut client = Client::connect(socket)?;
    let include_closed = false;
    let list = client.ask("session.list", &ListParams { include_closed })?;
    let limits: UsageResult<'static> = client.ask("usage.get", &serde_json::Map::new())?;
    Ok((list, limits.usage))
}

/// What wakes the printer.
enum Event {
    /// The line as it is to be now; often it is the one that stands there.
    Line(String),
    /// Not worth a line, but somebody who reads a log should know.
    Failed(ClientError),
    /// Nobody reads any more.
    Closed,
}

fn print_changes(format: Format, socket: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let (sender, events) = mpsc::channel();
    let closed = sender.clone();
    thread::spawn(move || {
        wait_until_closed();
        let _ = closed.send(Event::Closed);
    });
    let socket = socket.to_path_buf();
    thread::spawn(move || listen(format, &socket, &sender));
    let mut shown = None;
    let mut complaint = String::new();
    for event in events {
        match event {
            Event::Line(line) => {
                if shown.as_ref() != Some(&line) {
                    writeln!(out, "{line}")?;
                    out.flush()?;
                    shown = Some(line);
                }
            }
            Event::Failed(error) => {
                let again = std::mem::replace(&mut complaint, error.to_string());
                if complaint != again {
                    super::complain(&error.into());
                }
            }
            Event::Closed => break,
        }
    }
    Ok(())
}

/// Waits until nobody can read standard output any more: the bar has gone, and would not be missed before the next change
/// otherwise.
fn wait_until_closed() {
    let out = io::stdout();
    // Nothing is asked for: an error and a hang-up are told unasked. A file has neither.
    let mut ends = [PollFd::new(&out, PollFlags::empty())];
    while poll(&mut ends, None).is_err_and(|error| error == rustix::io::Errno::INTR) {}
}

/// Tells of every line, and never gives up: a bar that its command has left starts it again at once, or never.
fn listen(format: Format, socket: &Path, events: &Sender<Event>) {
    let tell = |event| match events.send(event) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    };
    let off = || tell(Event::Line(line::off(format)));
    loop {
        let before = identity(socket);
        let ended = Client::connect(socket).and_then(|client| {
            let mut mirror = Mirror::default();
            let mut attempts = 0;
            follow(client, socket, |heard| match heard {
                Heard::Told(told) => {
                    attempts = 0;
                    mirror.apply(told);
                    tell(Event::Line(line(
                        format,
                        Some(mirror.sessions()),
                        mirror.usage(),
                    )))
                }
                Heard::Lost { .. } => {
                    attempts += 1;
                    // The first attempt comes in no time, and a restart is nothing to see.
                    if attempts > 1 {
                        off()
                    } else {
                        ControlFlow::Continue(())
                    }
                }
            })
        });
        if off().is_break() {
            return;
        }
        match ended {
            Ok(Ended::Enough) => return,
            // A connection would start it again where a manager holds the socket. One that is bound anew is a sign that
            // it is wanted again.
            Ok(Ended::Stopped) => {
                while before.is_some() && identity(socket) == before {
                    thread::sleep(PAUSE);
                }
            }
            Err(ClientError::NoDaemon { .. }) => thread::sleep(PAUSE),
            Err(error) => {
                if tell(Event::Failed(error)).is_break() {
                    return;
                }
                thread::sleep(PAUSE);
            }
        }
    }
}

/// Which socket it is; `None`: there is none.
fn identity(socket: &Path) -> Option<(u64, u64, i64, i64)> {
    let found = std::fs::symlink_metadata(socket).ok()?;
    Some((found.dev(), found.ino(), found.ctime(), found.ctime_nsec()))
}
