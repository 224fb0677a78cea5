//! What is wrong with this installation, and what mends it: one [`Check`] a question.
//!
//! | file | asks |
//! |---|---|
//! | `programs` | is the service's program there, of this version? |
//! | `service` | are the service manager's files right, does it hold the socket? |
//! | `socket` | is it there, whose is it, who listens? |
//! | `daemon` | does it answer, is it this version, what has it had to say? |
//! | `config` | is the file right, is it the one the daemon reads? |
//! | `log` | does the log reach its place? |
//! | `hooks` | do the agents call this program? |
//! | `latency` | what does that cost them? |
//! | `registry` | can the agents' own registry be read? |
//! | `sessions` | which of those that run have silent hooks? |
//!
//! Each file looks first, then judges what it saw: the judging is pure. Every question stands on its own, so that one
//! that has no answer costs no other, and nothing here waits longer than [`LIMIT`] for anything. Changes nothing, except
//! that its connection starts the daemon where a manager holds the socket, which is what shows that it would. Called by
//! `commands::doctor`, which prints; texts from outside are cleaned there.

mod config;
mod daemon;
mod hooks;
mod latency;
mod log;
mod programs;
mod registry;
mod service;
mod sessions;
mod socket;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use daemon::Answers;
use serde::Serialize;

use crate::config::Source;
use crate::install;
use crate::install::service::{Manager, State};
use crate::os::process;
use crate::protocol::HelloResult;

/// The longest wait for one answer: of a command, a connection, a file on a disk that hangs.
pub const LIMIT: Duration = Duration::from_secs(2);

/// This program's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Not wrong, and worth knowing.
    Note,
    /// Wrong: something that should work does not.
    Wrong,
}

impl Level {
    /// The word that is printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Wrong => "wrong",
        }
    }
}

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at; never changes, for scripts.
    pub name: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was seen, in one line for a person. May hold text from outside as it came.
    pub what: String,
    /// The command that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Check {
    fn ok(name: &'static str, what: impl Into<String>) -> Self {
        Self::new(name, Level::Ok, what)
    }

    fn note(name: &'static str, what: impl Into<String>) -> Self {
        Self::new(name, Level::Note, what)
    }

    fn wrong(name: &'static str, what: impl Into<String>) -> Self {
        Self::new(name, Level::Wrong, what)
    }

    fn new(name: &'static str, level: Level, what: impl Into<String>) -> Self {
        Self {
            name,
            level,
            what: what.into(),
            mend: None,
        }
    }

    fn mend(mut self, command: impl Into<String>) -> Self {
        self.mend = Some(command.into());
        self
    }
}

/// Asks every question, always the same ones in the same order; `flag` is `--socket`.
#[must_use]
pub fn examine(flag: Option<&Path>) -> Vec<Check> {
    let state = within(install::service::state);
    let edited = state.as_ref().map(service::edited);
    let service = service::judge(state.as_ref(), &edited.unwrap_or_default());
    let ([socket, daemon], asked) = find(flag, state.as_ref());
    let answers = asked.as_ref().map(|(answers, _)| answers);
    let daemons = asked.as_ref().map(|(answers, ways)| (answers, ways));

    let claude = install::hooks::config_dir();
    let seen = hooks::look(claude.clone());
    let hooks = hooks::judge(&seen);
    let hooked = hooks.level == Level::Ok;
    vec![
        programs::evaluate(&programs::probe()),
        service,
        socket,
        daemon,
        daemon::notices(daemons),
        config::judge(&config::look(answers), daemons),
        log::judge(&log::look(answers)),
        hooks,
        latency::judge(&latency::measure(seen.program())),
        registry::judge(&registry::look(claude)),
        sessions::judge(answers.map(|answers| &*answers.snapshot.sessions), hooked),
    ]
}

/// Finds the daemon: what is to be said of its socket and of itself, and its answers if it gave any.
fn find(flag: Option<&Path>, state: Option<&State>) -> ([Check; 2], Option<(Answers, Ways)>) {
    let choice = match crate::config::socket_path(flag) {
        Ok(choice) => choice,
        Err(error) => return ([socket::no_choice(&error), unasked(daemon::NAME)], None),
    };
    let ways = Ways::new(&choice, state);
    let (seen, connection) = socket::look(&choice);
    let answers = connection.map(|connection| daemon::ask(&choice.path, connection));
    let answered = answers.as_ref().and_then(|answers| answers.as_ref().ok());
    let checks = [
        socket::judge(&seen, answered, &ways),
        match &answers {
            Some(answers) => daemon::judge(answers.as_ref(), &seen, &ways),
            None => unasked(daemon::NAME),
        },
    ];
    let answers = answers.and_then(Result::ok);
    (checks, answers.map(|answers| (answers, ways)))
}

/// For what only a daemon can tell.
fn unasked(name: &'static str) -> Check {
    Check::note(name, "there is no daemon to ask")
}

/// The commands that fit how the daemon is started here.
#[derive(Debug, Clone)]
struct Ways {
    /// Appended to our own commands where the socket was named on the command line.
    flag: String,
    /// Starts it where nobody answers.
    start: String,
    /// Where the socket comes from if nobody says so.
    origin: &'static str,
}

impl Ways {
    fn new(choice: &crate::config::SocketChoice, service: Option<&State>) -> Self {
        let flag = match choice.source {
            Source::Flag => format!(" --socket {}", quoted(&choice.path)),
            Source::Environment | Source::File | Source::Default => String::new(),
        };
        // A manager's socket is where the files say, which no flag or variable moves.
        let service = match choice.source {
            Source::Flag | Source::Environment => None,
            Source::File | Source::Default => service,
        };
        let start = service.and_then(service::start);
        let origin = match service
            .filter(|state| state.active)
            .map(|state| state.manager)
        {
            Some(Manager::Systemd) => "systemd",
            Some(Manager::Launchd) => "launchd",
            Some(Manager::None) | None => daemon::SELF_BOUND,
        };
        Self {
            start: start.unwrap_or_else(|| format!("agent-console daemon --daemonize{flag}")),
            flag,
            origin,
        }
    }

    /// Restarts a daemon of this origin.
    fn restart(&self, origin: &str) -> String {
        match origin {
            "systemd" => format!("systemctl --user restart {}", service::UNIT),
            "launchd" => {
                format!("launchctl kickstart -k gui/$(id -u)/{}", service::JOB)
            }
            _ => format!(
                "agent-console stop{flag} && agent-console daemon --daemonize{flag}",
                flag = self.flag
            ),
        }
    }

    /// Restarts whoever listens as process `pid` and does not answer, so that it cannot be asked to leave. The
    /// kernel takes a moment to let go of what a killed process holds.
    fn replace(&self, pid: u32) -> String {
        match self.origin {
            daemon::SELF_BOUND if pid != 0 => format!(
                "kill -9 {pid} && sleep 1 && agent-console daemon --daemonize{}",
                self.flag
            ),
            origin => self.restart(origin),
        }
    }
}

/// Has the daemon read its configuration again.
fn reload(hello: &HelloResult<'_>) -> String {
    match &*hello.origin {
        "systemd" => format!("systemctl --user reload {}", service::UNIT),
        "launchd" => format!("launchctl kill HUP gui/$(id -u)/{}", service::JOB),
        _ => format!("kill -HUP {}", hello.pid),
    }
}

/// What `work` gives, or `None` if it takes longer than [`LIMIT`]: its thread is left behind then, and ends with the
/// process.
fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(LIMIT).ok()
}

/// How a child ended; one that takes longer than [`LIMIT`] is killed.
fn end_of(child: &mut Child) -> io::Result<ExitStatus> {
    let ended = process::inspect(child.id())
        .and_then(|found| process::wait_for_exit(found.id, LIMIT))
        .and_then(|ended| {
            let late = || io::Error::new(io::ErrorKind::TimedOut, "it took longer than 2 s");
            ended.then_some(()).ok_or_else(late)
        });
    if ended.is_err() {
        let _ = child.kill();
    }
    let status = child.wait()?;
    ended.map(|()| status)
}

/// Runs a command whose output is short: one that fills a pipe counts as one that hangs. How it ended, and what it said
/// on standard error.
fn run(words: &[&str]) -> io::Result<(ExitStatus, String)> {
    let mut words = words.iter();
    let mut child = Command::new(words.next().copied().unwrap_or_default())
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let status = end_of(&mut child)?;
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        // It has ended, but a child of its own may hold the pipe: what is there is enough.
        rustix::io::ioctl_fionbio(&stderr, true)?;
        let _ = stderr.take(4096).read_to_string(&mut said);
    }
    Ok((status, said))
}

/// This program's own files: itself and what lies beside it under the other name. One is as good as the other.
fn own_programs() -> Vec<PathBuf> {
    let Ok(own) = std::env::current_exe() else {
        return Vec::new();
    };
    let beside = ["agent-console", "acd"].map(|name| own.with_file_name(name));
    let mut programs = vec![own];
    programs.extend(beside.into_iter().filter(|path| path.is_file()));
    programs.dedup();
    programs
}

/// A path as a word for a shell.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A number with its noun.
fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The command by which a person mends a file that no program may.
fn edit(path: &Path) -> String {
    format!("${{EDITOR:-vi}} {}", quoted(path))
}

#[cfg(test)]
mod tests;
