//! `watch`: each change as it comes, a line each, until the daemon is stopped on purpose.
//!
//! A daemon that has crashed or is being restarted is connected to again, later and later; one that was stopped is not,
//! because the connection would start it again.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::show;
use crate::client::{Client, ClientError, Told};
use crate::clock;
use crate::protocol::{ErrorCode, SessionRecord, StopReason};

/// The first and the longest pause before connecting again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How to show it.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Print a JSON object a line: first the snapshot, then each event
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options, socket: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let mut client = Client::connect(socket)?;
    let mut printer = Printer {
        json: options.json,
        began: clock::monotonic(),
        out,
    };
    loop {
        let mut failure = None;
        let ended = client.subscribe(|told| match printer.print(&told) {
            Ok(()) => true,
            Err(error) => {
                failure = Some(error);
                false
            }
        });
        if let Some(error) = failure {
            return Err(error.into());
        }
        match ended {
            Ok(Some(StopReason::Stop | StopReason::Idle)) => return Ok(()),
            // Dropped, crashed, restarted, or leaving as it was subscribed to.
            Ok(Some(StopReason::Signal | StopReason::Unknown) | None)
            | Err(ClientError::Closed { .. } | ClientError::Io { .. }) => {}
            // Reached while it leaves for good: it is being stopped.
            Err(ClientError::Refused { code, .. }) if code == ErrorCode::Stopping as i32 => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        writeln!(io::stderr(), "the daemon is gone; connecting again")?;
        client = again(socket)?;
    }
}

/// Connects, however long it takes.
fn again(socket: &Path) -> Result<Client, ClientError> {
    let mut pause = PAUSE.0;
    loop {
        std::thread::sleep(pause);
        match Client::connect(socket) {
            Err(ClientError::NoDaemon { .. }) => pause = (pause * 2).min(PAUSE.1),
            other => return other,
        }
    }
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
