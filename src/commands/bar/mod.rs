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

use self::line::{Content, Format, line};
use super::agent_filter::AgentFilter;
use crate::client::mirror::Mirror;
use crate::client::subscription::{self, Position, subscribe_forever};
use crate::client::{Client, ClientError};
use crate::format::print_error;
use crate::protocol::{
    Changes, CountResult, ErrorCode, ListParams, ListResult, Usage, UsageResult,
};

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
    let (state, failure) = match fetch(options, socket) {
        Ok(state) => (Some(state), None),
        // Not an error: an idle daemon exits.
        Err(ClientError::NoDaemon { .. }) => (None, None),
        Err(error) => (None, Some(error)),
    };
    let content = state.as_ref().map(|state| state.content(&options.agent));
    let usage = state.as_ref().and_then(|state| state.usage.as_ref());
    writeln!(out, "{}", line(options.format, content.as_ref(), usage))?;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// What the daemon has said.
struct State {
    sessions: Sessions,
    usage: Option<Usage<'static>>,
}

/// The sessions, or how many there are: an answer of a hundredth of the size.
enum Sessions {
    Each(ListResult<'static>),
    Counted(CountResult<'static>),
}

impl State {
    fn content(&self, agent: &AgentFilter) -> Content<'_> {
        match &self.sessions {
            Sessions::Each(list) => {
                let sessions = list.sessions.iter();
                Content::of_sessions(sessions.filter(|session| agent.keeps(&session.agent)))
            }
            Sessions::Counted(counted) => {
                let groups = counted.groups.iter();
                let groups = groups.filter(|group| agent.keeps(&group.agent));
                Content::of_groups(groups.cloned().collect())
            }
        }
    }
}

fn fetch(options: &Options, socket: &Path) -> Result<State, ClientError> {
    let mut client = Client::connect(socket)?;
    let sessions = fetch_sessions(options.format, &mut client)?;
    let limits: UsageResult<'static> = client.call("usage.get", &serde_json::Map::new())?;
    Ok(State {
        sessions,
        usage: limits.usage,
    })
}

fn fetch_sessions(format: Format, client: &mut Client) -> Result<Sessions, ClientError> {
    if !format.names_sessions() {
        match client.call("session.count", &serde_json::Map::new()) {
            // A daemon of an earlier version, until it is restarted.
            Err(ClientError::Refused { code, .. }) if code == ErrorCode::MethodNotFound as i32 => {}
            counted => return counted.map(Sessions::Counted),
        }
    }
    let params = ListParams {
        include_closed: false,
        include_history: false,
    };
    client.call("session.list", &params).map(Sessions::Each)
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
                        let sessions = mirror.sessions();
                        let sessions = sessions.filter(|session| agent.keeps(&session.agent));
                        let content = Content::of_sessions(sessions);
                        send(Event::Line(line(format, Some(&content), mirror.usage())))
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
