//! `bar`: one line for a status bar, once or after each change that the line shows.
//!
//! A bar shows a line until the next one, so every case has a line: without a daemon it is empty. [`mod@line`] makes it.

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
use super::agent_filter::AgentFilter;
use crate::client::mirror::Mirror;
use crate::client::subscription::{self, Position, subscribe_forever};
use crate::client::{Client, ClientError};
use crate::format::print_error;
use crate::protocol::{Changes, ListParams, ListResult, Usage, UsageResult};

/// How long `--follow` waits for a daemon before it tries again.
const PAUSE: Duration = Duration::from_secs(1);

/// The options of `bar`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The format of the line
    #[arg(long, value_name = "BAR", default_value = "plain")]
    format: Format,
    #[command(flatten)]
    agent: AgentFilter,
    /// Print another line whenever it changes, until the bar closes the pipe
    #[arg(long)]
    follow: bool,
}

/// Shown below `--help`.
pub(super) const EXAMPLES: &str =
    "docs/integrations.md shows how to use it in tmux, Waybar, polybar, i3blocks and SketchyBar.
Without a daemon the line is empty and the exit status is 0.

Examples:
  agent-console bar                       2 waiting · 5 working
  agent-console bar --format waybar --follow
  set -g status-right '#(agent-console bar --format tmux --follow)'    in ~/.tmux.conf";

pub(super) fn run(options: &Options, socket: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    if options.follow {
        return print_changes(options, socket, out);
    }
    let (state, failure) = match fetch(socket) {
        Ok(state) => (Some(state), None),
        // Not an error: an idle daemon exits.
        Err(ClientError::NoDaemon { .. }) => (None, None),
        Err(error) => (None, Some(error)),
    };
    let sessions = state.as_ref().map(|(list, _)| {
        let sessions = list.sessions.iter();
        sessions.filter(|session| options.agent.keeps(session))
    });
    let usage = state.as_ref().and_then(|(_, usage)| usage.as_ref());
    writeln!(out, "{}", line(options.format, sessions, usage))?;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

type State = (ListResult<'static>, Option<Usage<'static>>);

fn fetch(socket: &Path) -> Result<State, ClientError> {
    let mut client = Client::connect(socket)?;
    let params = ListParams {
        include_closed: false,
        include_history: false,
    };
    let list = client.call("session.list", &params)?;
    let limits: UsageResult<'static> = client.call("usage.get", &serde_json::Map::new())?;
    Ok((list, limits.usage))
}

/// What wakes the printer.
enum Event {
    /// The line for the present state; often the same as before.
    Line(String),
    /// An error for standard error; the line is not affected.
    Failed(ClientError),
    /// The reader of standard output is gone.
    Closed,
}

fn print_changes(options: &Options, socket: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let (sender, events) = mpsc::channel();
    let closed = sender.clone();
    thread::spawn(move || {
        wait_until_closed();
        let _ = closed.send(Event::Closed);
    });
    let socket = socket.to_path_buf();
    let (format, agent) = (options.format, options.agent.clone());
    thread::spawn(move || send_lines(format, &agent, &socket, &sender));
    let mut shown = None;
    let mut last_error = String::new();
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
                let before = std::mem::replace(&mut last_error, error.to_string());
                if last_error != before {
                    print_error(&error.into());
                }
            }
            Event::Closed => break,
        }
    }
    Ok(())
}

/// Waits until the reader of standard output is gone. Without this the end of the bar would show only at the next write.
fn wait_until_closed() {
    let out = io::stdout();
    // poll(2) reports an error and a hang-up without being asked to. A file has neither.
    let mut ends = [PollFd::new(&out, PollFlags::empty())];
    while poll(&mut ends, None).is_err_and(|error| error == rustix::io::Errno::INTR) {}
}

/// Sends a line for each update, for ever: a bar whose command exits starts it again at once, or never.
fn send_lines(format: Format, agent: &AgentFilter, socket: &Path, events: &Sender<Event>) {
    let send = |event| match events.send(event) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    };
    let disconnected = || send(Event::Line(line::disconnected(format)));
    let (mut mirror, mut position) = (Mirror::default(), Position::default());
    loop {
        let before = identity(socket);
        let ended = Client::connect(socket).and_then(|client| {
            let mut attempts = 0;
            subscribe_forever(
                client,
                socket,
                &mut position,
                Changes::Brief,
                |event| match event {
                    subscription::Event::Update(update) => {
                        attempts = 0;
                        mirror.apply(update);
                        send(Event::Line(line(
                            format,
                            Some(mirror.sessions().filter(|session| agent.keeps(session))),
                            mirror.usage(),
                        )))
                    }
                    subscription::Event::Lost { .. } => {
                        attempts += 1;
                        // The first attempt comes after 100 ms: a restart does not show.
                        if attempts > 1 {
                            disconnected()
                        } else {
                            ControlFlow::Continue(())
                        }
                    }
                },
            )
        });
        if disconnected().is_break() {
            return;
        }
        match ended {
            Ok(subscription::End::Cancelled) => return,
            // Under a service manager a connection would start the daemon again. A new socket means that someone else
            // has started it.
            Ok(subscription::End::Stopped) => {
                while before.is_some() && identity(socket) == before {
                    thread::sleep(PAUSE);
                }
            }
            Err(ClientError::NoDaemon { .. }) => thread::sleep(PAUSE),
            Err(error) => {
                if send(Event::Failed(error)).is_break() {
                    return;
                }
                thread::sleep(PAUSE);
            }
        }
    }
}

/// What identifies the socket's file; `None` if there is none.
fn identity(socket: &Path) -> Option<(u64, u64, i64, i64)> {
    let metadata = std::fs::symlink_metadata(socket).ok()?;
    Some((
        metadata.dev(),
        metadata.ino(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    ))
}
