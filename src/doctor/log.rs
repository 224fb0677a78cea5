//! The log: where the daemon's lines go, and whether a person can read them there.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::probe::DaemonProbe;
use super::{Check, LIMIT, within};
use crate::os::command;
use crate::os::service_manager::JOURNAL_SOCKET;
use crate::protocol::Origin;
use crate::{config, log};

const NAME: &str = "log";

const READ: [&str; 7] = [
    "--user",
    "-u",
    "agent-console",
    "-n",
    "1",
    "--no-pager",
    "--quiet",
];

/// Where the lines go, as far as the system says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Probe {
    /// No daemon runs, so there is no log.
    NoDaemon,
    /// To the journal.
    Journal {
        /// Why a person cannot read it, if so.
        unreadable: Option<String>,
        /// Why the daemon cannot write to it, if so.
        unreachable: Option<String>,
    },
    /// To a file, which may be missing.
    File(PathBuf),
    /// To whatever the daemon's standard error is.
    StandardError(PathBuf),
    /// The system does not tell.
    Unknown,
}

/// Looks where a daemon of that origin logs to.
pub(super) fn probe(answers: Option<&DaemonProbe>) -> Probe {
    let Some(answers) = answers else {
        return Probe::NoDaemon;
    };
    match answers.hello.origin {
        Origin::Systemd => Probe::Journal {
            unreadable: match command::output(Command::new("journalctl").args(READ), LIMIT) {
                Ok(output) if output.status.success() => None,
                Ok(output) => {
                    let message = String::from_utf8_lossy(&output.stderr);
                    let line = message.lines().next().map(str::to_owned);
                    Some(line.unwrap_or_else(|| output.status.to_string()))
                }
                Err(error) => Some(format!("journalctl: {error}")),
            },
            unreachable: within(reach)
                .unwrap_or_else(|| Err(std::io::ErrorKind::TimedOut.into()))
                .err()
                .map(|error| error.to_string()),
        },
        Origin::Launchd => match config::variable("HOME") {
            // As the job's file says.
            Some(home) => Probe::File(Path::new(&home).join("Library/Logs/agent-console.log")),
            None => Probe::Unknown,
        },
        _ => standard_error(answers),
    }
}

fn reach() -> std::io::Result<()> {
    UnixDatagram::unbound()?.connect(JOURNAL_SOCKET)
}

/// A daemon in the background has nothing there, and a file instead. proc(5).
fn standard_error(answers: &DaemonProbe) -> Probe {
    let link = format!("/proc/{}/fd/2", answers.hello.pid);
    let target = answers.visible.then(|| std::fs::read_link(link).ok());
    match target.flatten() {
        Some(target) if target == Path::new("/dev/null") => {
            log::file_path().map_or(Probe::Unknown, Probe::File)
        }
        Some(target) => Probe::StandardError(target),
        None => Probe::Unknown,
    }
}

pub(super) fn evaluate(seen: &Probe) -> Check {
    match seen {
        Probe::NoDaemon => Check::note(NAME, "no daemon writes one"),
        Probe::Journal {
            unreachable: Some(why),
            ..
        } => Check::wrong(NAME, format!("the journal cannot be reached: {why}"))
            .fix("sudo systemctl restart systemd-journald.socket systemd-journald.service"),
        // Where the machine keeps no journal for each user, and so for all of a user's services.
        Probe::Journal {
            unreadable: Some(why),
            ..
        } => Check::note(
            NAME,
            format!("the journal takes lines, but you cannot read them: {why}"),
        ),
        Probe::Journal { .. } => Check::ok(NAME, "journalctl --user -u agent-console"),
        Probe::File(path) if path.is_file() => Check::ok(NAME, path.display().to_string()),
        Probe::File(path) if path.exists() => Check::note(
            NAME,
            format!(
                "{} is not a regular file, so the daemon writes no log",
                path.display()
            ),
        ),
        Probe::File(path) => Check::note(NAME, format!("{} is not there", path.display())),
        Probe::StandardError(target) => Check::ok(
            NAME,
            format!("the daemon's standard error, {}", target.display()),
        ),
        Probe::Unknown => Check::note(NAME, "cannot be found from here"),
    }
}
