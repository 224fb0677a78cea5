//! `wait`: blocks until sessions are in the wanted state, then prints them.
//!
//! It waits for a state, not for a change: a session that is in the state already ends the wait at once. It does not
//! poll: a thread subscribes to the daemon, and the main thread sleeps until an update arrives or the time is over. The
//! rules are in [`condition`], and with `--exec` in [`episodes`], on what [`sessions`] knows; they are pure, except that
//! processes are looked up. [`exits`] watches the processes of sessions that a restarted daemon does not know.

mod condition;
mod episodes;
mod exits;
mod sessions;

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::bail;
use clap::{Args, ValueEnum};
use thiserror::Error;

use self::condition::{Verdict, Wait};
use self::episodes::Episodes;
use self::exits::Exits;
use self::sessions::{Forgotten, Target};
use super::agent_filter::AgentFilter;
use super::exec::Runner;
use crate::client::subscription::{self, LOST, Position, subscribe_forever};
use crate::client::{Client, ClientError, start_hint};
use crate::format;
use crate::os::clock;
use crate::os::process::ProcessId;
use crate::protocol::{Changes, RemoveResult, SessionParams, SessionResult, Status};

/// The options of `wait`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Keys, session ids, or unique prefixes of them; waits for all of them, unless --any is given
    #[arg(value_name = "SESSION")]
    sessions: Vec<String>,
    /// Wait for any one of the sessions; without SESSION for any open or new one [default without SESSION]
    #[arg(long, conflicts_with = "all")]
    any: bool,
    /// Wait until all of the sessions are in the state at the same time; without SESSION all that are open now
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    agent: AgentFilter,
    /// The state to wait for
    #[arg(long = "for", value_name = "WHAT", default_value = "attention")]
    what: What,
    /// The time limit: seconds, or a duration such as 90s or 5min [default: none]
    #[arg(long, value_name = "DURATION", value_parser = duration, allow_negative_numbers = true)]
    timeout: Option<Duration>,
    /// Print the sessions' records, one JSON object per line
    #[arg(long)]
    json: bool,
    /// Run COMMAND with `sh` each time that a session comes into the state, one after the other, with the line of --json on
    /// standard input; each session counts by itself, and the wait goes on
    #[arg(long, value_name = "COMMAND", conflicts_with = "all")]
    exec: Option<String>,
}

/// Shown below `--help`.
pub(super) const EXAMPLES: &str =
    "A session that is in the state already ends the wait at once. `wait` prints a line for each session that ended the
wait: one with --any, else all; with --json its record. `idle` includes failed and closed sessions, `closed` includes
removed ones (with --json: {\"removed\": KEY}).

With --exec a session that is in the state already counts once, and again each time that it has left the state and is in it
again. The wait ends with the time-out, when the daemon is stopped, or when all sessions that are named are closed; commands
that are due still run.

Exit status: 0, with --exec if the command has run; else 124 after the time-out, 1 if the state can no longer be reached or
the daemon was stopped.

Examples:
  agent-console wait && notify-send 'an agent needs you'
  agent-console wait build --for idle --timeout 10min
  agent-console wait --all --for idle && systemctl suspend
  agent-console wait --exec 'notify-send \"$(jq -r .cwd)\" \"an agent needs you\"'      each time";

/// The wanted state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// It needs a person: it waits, has failed, or has finished a turn since a person last typed
    Attention,
    /// It neither works nor waits: it is idle, failed or closed
    Idle,
    /// It waits for a person's answer
    Waiting,
    /// It is closed
    Closed,
}

impl What {
    /// Whether a session of this status is in the state; of [`Self::Attention`]: whether it may be.
    fn includes(self, status: Status) -> bool {
        match self {
            Self::Attention => matches!(status, Status::Waiting | Status::Error | Status::Idle),
            Self::Idle => matches!(status, Status::Idle | Status::Error | Status::Closed),
            Self::Waiting => status == Status::Waiting,
            Self::Closed => status == Status::Closed,
        }
    }
}

/// The time is over. Has an exit code of its own.
#[derive(Debug, Error)]
#[error("not within {}{pending}", humantime::format_duration(*timeout))]
pub(super) struct TimedOut {
    timeout: Duration,
    /// The sessions that are not in the wanted state, and the state that each is in.
    pending: String,
}

/// What the threads send.
enum Event {
    Subscription(subscription::Event),
    Ended(Result<subscription::End, ClientError>),
    /// The process of a session that the daemon does not know has ended.
    Exited(ProcessId),
}

/// How a wait ends.
enum End {
    True,
    TimedOut(TimedOut),
    /// The condition can no longer come true; the message says why.
    Never(String),
    /// The daemon was stopped.
    Stopped,
}

pub(super) fn run(options: &Options, socket: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let mut commands = options.exec.clone().map(Commands::start);
    let end = follow(options, socket, commands.as_mut(), out);
    let has_run = commands.is_some_and(Commands::finish);
    match end? {
        End::True => Ok(()),
        End::TimedOut(_) | End::Never(_) | End::Stopped if has_run => Ok(()),
        End::TimedOut(error) => Err(error.into()),
        End::Never(why) => bail!("{why}"),
        End::Stopped => bail!(
            "the daemon was stopped before it came true; {}",
            start_hint()
        ),
    }
}

/// Waits, and prints what has ended the wait. With `commands`: runs and prints each, until nothing more can come true.
fn follow(
    options: &Options,
    socket: &Path,
    mut commands: Option<&mut Commands>,
    out: &mut impl Write,
) -> anyhow::Result<End> {
    let began = clock::monotonic();
    let deadline = options
        .timeout
        .and_then(|timeout| began.checked_add(timeout));
    let mut client = Client::connect(socket)?;
    let mut wait = Wait::new(options.what, target(options, &mut client)?);
    let (sender, events) = mpsc::channel();
    let mut exits = Exits::new(sender.clone());
    subscribe(client, socket, sender);
    let mut lost = false;
    let mut filter = options.agent.updates();
    loop {
        let event = match deadline {
            // Not before the first snapshot: a state that holds already counts, however short the time.
            Some(deadline) if wait.sessions.has_snapshot() => {
                let left = deadline.saturating_duration_since(clock::monotonic());
                match events.recv_timeout(left) {
                    Err(RecvTimeoutError::Timeout) => {
                        let timeout = options.timeout.unwrap_or_default();
                        let pending = wait.pending_message();
                        return Ok(End::TimedOut(TimedOut { timeout, pending }));
                    }
                    event => event.ok(),
                }
            }
            _ => events.recv().ok(),
        };
        match event {
            Some(Event::Subscription(subscription::Event::Update(update))) => {
                lost = false;
                let Some(update) = filter.apply(update) else {
                    continue;
                };
                wait.sessions.apply(update);
                watch(&mut wait, &mut exits)?;
            }
            Some(Event::Exited(process)) => {
                exits.reported(process);
                wait.sessions.exited(process);
            }
            Some(Event::Subscription(subscription::Event::Lost { .. })) => {
                wait.sessions.reconnect();
                if !std::mem::replace(&mut lost, true) {
                    writeln!(io::stderr(), "{LOST}")?;
                }
            }
            Some(Event::Ended(Err(error))) => return Err(error.into()),
            Some(Event::Ended(Ok(_))) | None => return Ok(End::Stopped),
        }
        if let Some(commands) = &mut commands {
            commands.run(options, &mut wait, out)?;
            if !wait.sessions.are_over() {
                continue;
            }
        }
        match (wait.verdict(), &commands) {
            (Verdict::Pending, _) => {}
            (Verdict::True(_), Some(_)) => return Ok(End::True),
            (Verdict::True(keys), None) => {
                print(options, &wait, &keys, out)?;
                return Ok(End::True);
            }
            (Verdict::Never(why), _) => return Ok(End::Never(why)),
        }
    }
}

/// The commands of `--exec`.
struct Commands {
    runner: Runner,
    episodes: Episodes,
    /// One was run.
    has_run: bool,
}

impl Commands {
    fn start(command: String) -> Self {
        Self {
            runner: Runner::start(command),
            episodes: Episodes::default(),
            has_run: false,
        }
    }

    /// Runs the command for each session that has come into the state with the last update, and prints them.
    fn run(
        &mut self,
        options: &Options,
        wait: &mut Wait,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let keys = self.episodes.begin(wait);
        print(options, wait, &keys, out)?;
        out.flush()?;
        for key in keys {
            self.has_run = true;
            match wait.sessions.get(&key) {
                Some(session) => self.runner.run(session)?,
                None => self.runner.run(&RemoveResult {
                    removed: key.into(),
                })?,
            }
        }
        self.episodes.forget_gone(wait);
        Ok(())
    }

    /// Waits until all have run. True if there was one.
    fn finish(self) -> bool {
        self.runner.finish();
        self.has_run
    }
}

/// Watches the processes of the sessions that a restarted daemon does not know: their end ends the sessions. Says which
/// cannot be watched.
fn watch(wait: &mut Wait, exits: &mut Exits) -> io::Result<()> {
    /// The most sessions that are named.
    const NAMED: usize = 3;
    let mut unseen: usize = 0;
    for Forgotten { key, process, seen } in wait.sessions.take_forgotten() {
        let why = if seen {
            match exits.watch(process) {
                Ok(()) => continue,
                Err(error) => error.to_string(),
            }
        } else {
            "it has ended, or is in another pid namespace".into()
        };
        unseen += 1;
        if unseen > NAMED {
            continue;
        }
        let key = format::sanitize(&key);
        let pid = process.pid;
        writeln!(
            io::stderr(),
            "{key} is not reported since the daemon's restart, and the end of its process {pid} is not seen: {why}"
        )?;
    }
    if unseen > NAMED {
        writeln!(
            io::stderr(),
            "the same holds for {} more sessions",
            unseen - NAMED
        )?;
    }
    exits.start();
    Ok(())
}

/// The sessions that the command line names; the daemon resolves each name, or refuses it.
fn target(options: &Options, client: &mut Client) -> Result<Target, ClientError> {
    if options.sessions.is_empty() {
        return Ok(if options.all {
            Target::AllOpen
        } else {
            Target::AnySession
        });
    }
    let mut sessions = Vec::new();
    for name in &options.sessions {
        let params = SessionParams {
            session: name.clone(),
        };
        let found: SessionResult<'static> = client.call("session.get", &params)?;
        sessions.push(found.session);
    }
    Ok(if options.any || options.exec.is_some() {
        Target::AnyOf(sessions)
    } else {
        Target::AllOf(sessions)
    })
}

/// Subscribes on a thread of its own, which ends with the process if not before.
fn subscribe(client: Client, socket: &Path, sender: mpsc::Sender<Event>) {
    let socket = socket.to_owned();
    std::thread::spawn(move || {
        let ended = subscribe_forever(
            client,
            &socket,
            &mut Position::default(),
            Changes::Brief,
            |event| match sender.send(Event::Subscription(event)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            },
        );
        // An error means that the receiver is gone, and the process with it.
        let _ = sender.send(Event::Ended(ended));
    });
}

fn print(
    options: &Options,
    wait: &Wait,
    keys: &[String],
    out: &mut impl Write,
) -> anyhow::Result<()> {
    for key in keys {
        match wait.sessions.get(key) {
            Some(session) if options.json => format::json(out, session)?,
            Some(session) => {
                let summary = format::summary(session, None);
                let line = format!(
                    "{}  {}  {}  {summary}",
                    format::sanitize(key),
                    format::status(session),
                    format::directory(session),
                );
                writeln!(out, "{}", line.trim_end())?;
            }
            None if options.json => {
                let removed = key.into();
                format::json(out, &RemoveResult { removed })?;
            }
            None => writeln!(out, "{}  gone", format::sanitize(key))?,
        }
    }
    Ok(())
}

/// Seconds, or a duration with its unit.
fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string());
    }
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write seconds, or one like 90s, 5min or 2h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_or_have_a_unit() {
        for (text, ms) in [
            ("90", 90_000),
            ("0.5", 500),
            ("90s", 90_000),
            ("5min", 300_000),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "soon", "-1", "inf", "NaN", "5 parsecs", "1e99"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
