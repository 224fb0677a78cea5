//! The log: where the daemon's lines go, and whether a person can read them there.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::daemon::Answers;
use super::{Check, run, within};
use crate::{config, log};

const NAME: &str = "log";

/// Where journald listens (systemd-journald.service(8)).
const JOURNAL: &str = "/run/systemd/journal/socket";

const READ: [&str; 8] = [
    "journalctl",
    "--user",
    "-u",
    "agent-console",
    "-n",
    "1",
    "--no-pager",
    "--quiet",
];

/// Where the lines go, as far as the system tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nobody writes any.
    NoDaemon,
    /// To the journal.
    Journal {
        /// Why a person cannot read it, if so.
        unreadable: Option<String>,
        /// Why nobody can write to it, if so.
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
pub(super) fn look(answers: Option<&Answers>) -> Seen {
    let Some(answers) = answers else {
        return Seen::NoDaemon;
    };
    match &*answers.hello.origin {
        "systemd" => Seen::Journal {
            unreadable: match run(&READ) {
                Ok((status, _)) if status.success() => None,
                Ok((status, said)) => Some(match said.lines().next() {
                    Some(line) => line.to_owned(),
                    None => status.to_string(),
                }),
                Err(error) => Some(format!("journalctl: {error}")),
            },
            unreachable: within(reach)
                .unwrap_or_else(|| Err(std::io::ErrorKind::TimedOut.into()))
                .err()
                .map(|error| error.to_string()),
        },
        "launchd" => match config::variable("HOME") {
            // As the job's file says.
            Some(home) => Seen::File(Path::new(&home).join("Library/Logs/agent-console.log")),
            None => Seen::Unknown,
        },
        _ => standard_error(answers),
    }
}

fn reach() -> std::io::Result<()> {
    UnixDatagram::unbound()?.connect(JOURNAL)
}

/// A daemon in the background has nothing there, and a file instead. proc(5).
fn standard_error(answers: &Answers) -> Seen {
    let link = format!("/proc/{}/fd/2", answers.hello.pid);
    let target = answers.seen.then(|| std::fs::read_link(link).ok());
    match target.flatten() {
        Some(target) if target == Path::new("/dev/null") => {
            log::file_path().map_or(Seen::Unknown, Seen::File)
        }
        Some(target) => Seen::StandardError(target),
        None => Seen::Unknown,
    }
}

pub(super) fn judge(seen: &Seen) -> Check {
    match seen {
        Seen::NoDaemon => Check::note(NAME, "no daemon writes one"),
        Seen::Journal {
            unreachable: Some(why),
            ..
        } => Check::wrong(NAME, format!("the journal cannot be reached: {why}"))
            .mend("sudo systemctl restart systemd-journald.socket systemd-journald.service"),
        // Where the machine keeps no journal for each user, and so for all of a user's services.
        Seen::Journal {
            unreadable: Some(why),
            ..
        } => Check::note(
            NAME,
            format!("the journal takes lines, but you cannot read them: {why}"),
        ),
        Seen::Journal { .. } => Check::ok(NAME, "journalctl --user -u agent-console"),
        Seen::File(path) if path.exists() => Check::ok(NAME, path.display().to_string()),
        Seen::File(path) => Check::note(NAME, format!("{} is not there", path.display())),
        Seen::StandardError(target) => Check::ok(
            NAME,
            format!("the daemon's standard error, {}", target.display()),
        ),
        Seen::Unknown => Check::note(NAME, "cannot be found from here"),
    }
}
