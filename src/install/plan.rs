//! The plan for the service, in order: files and commands, planned before the first is touched. And the words for
//! how the service stands.
//!
//! `service` chooses the manager, `systemd` and `launchd` fill the plan in, `commands::install` carries it out.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use super::file::{self, Change};
use super::program::ServiceProgram;
use super::stamp::{self, Found};
use crate::os::{command, peer};

/// How long a command may take: a stopping daemon has ten seconds, and systemd may wait for two of them.
const LIMIT: Duration = Duration::from_mins(1);

/// How long a daemon that runs may take to accept a connection, when it is looked for.
pub(super) const ACCEPT_LIMIT: Duration = Duration::from_secs(1);

/// Who starts services for this user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manager {
    /// A systemd user manager answers.
    Systemd,
    /// launchd.
    Launchd,
    /// No manager: the daemon is started by hand.
    None,
}

/// How the service stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// Who starts it.
    pub manager: Manager,
    /// Its files, and whether each is there and as this program would write it.
    pub files: Vec<(PathBuf, FileState)>,
    /// The manager holds the socket now (systemd: `is-active agent-console.socket`; launchd: the job is loaded).
    pub active: bool,
    /// The manager holds it after the next login, too.
    pub enabled: bool,
    /// The manager stays after the user's last logout.
    pub lingers: bool,
}

/// A service file's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileState {
    /// As it should be.
    Current,
    /// There, but different.
    Different,
    /// Not there.
    Missing,
}

impl FileState {
    pub(super) fn of_present(current: bool) -> Self {
        if current {
            Self::Current
        } else {
            Self::Different
        }
    }
}

/// What the service files say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// `agent-console`.
    pub(super) program: &'a Path,
    /// What the service manager starts.
    pub(super) starts: &'a ServiceProgram,
    pub(super) socket: &'a Path,
}

/// Ends the note about a service file of the user's.
pub(super) const MOVE_AWAY: &str = "; to have it written anew, move it away and install again";

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A file is written or removed.
    Change(Change),
    /// A command is run, given as its words: `systemctl --user daemon-reload`.
    Run(Vec<String>),
}

/// The steps, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// None at all: everything is as it should be.
    pub steps: Vec<Step>,
    /// Lines for the person: what was decided and why, what is left for them to do.
    pub notes: Vec<String>,
    /// Why no manager will start the service, if so.
    pub unmanaged: Option<String>,
}

impl Plan {
    pub(super) fn run(&mut self, words: &[&str]) {
        let words = words.iter().map(|&word| word.to_owned()).collect();
        self.steps.push(Step::Run(words));
    }

    /// Adds the change unless it is empty; true if it is added.
    pub(super) fn change(&mut self, change: Change) -> bool {
        let changes = !change.is_empty();
        if changes {
            self.steps.push(Step::Change(change));
        }
        changes
    }

    /// What `install` overwrites at `path`, and how many directories are made for the file. `None` if the file is the
    /// user's, with a note that ends in `remark`.
    pub(super) fn replaceable(
        &mut self,
        path: &Path,
        found: Found,
        remark: &str,
    ) -> Option<(Option<Vec<u8>>, usize)> {
        match found {
            Found::Nothing => Some((None, file::missing_directories(path).len())),
            Found::Ours(bytes, directories) => Some((Some(bytes), directories)),
            Found::Theirs => {
                self.notes.push(format!(
                    "{} is yours, or was edited, and stays as it is{remark}",
                    path.display()
                ));
                None
            }
        }
    }

    /// Writes a service file that has its stamp; true if that changes it.
    pub(super) fn write_file(
        &mut self,
        path: &Path,
        before: Option<Vec<u8>>,
        text: String,
    ) -> bool {
        self.change(Change {
            path: path.to_owned(),
            before,
            after: Some(text.into_bytes()),
            mode: 0o644,
            ..Change::default()
        })
    }

    /// Removes the service file if `install` manages it; true if so.
    pub(super) fn remove_file(&mut self, path: PathBuf, found: Found) -> bool {
        match found {
            Found::Ours(before, directories) => self.change(Change {
                prune: stamp::made_for(&path, directories),
                path,
                before: Some(before),
                ..Change::default()
            }),
            Found::Theirs => {
                self.notes.push(format!(
                    "{} is yours, or was edited, and stays; remove it yourself",
                    path.display()
                ));
                false
            }
            Found::Nothing => false,
        }
    }

    /// Stops a daemon that was started by hand: the manager would take its socket's path, and no client would find it.
    pub(super) fn take_over(&mut self, wanted: Wanted<'_>) {
        if peer::connect(wanted.socket, ACCEPT_LIMIT).is_ok() {
            let [program, socket] = [wanted.program, wanted.socket].map(Path::to_string_lossy);
            self.notes.push(format!(
                "a daemon that was started by hand serves {socket}: it is stopped, and the service takes over"
            ));
            self.run(&[&program, "--socket", &socket, "stop"]);
        }
    }
}

/// A path as a service file can hold it: UTF-8 without control characters, and `accepted`. Else the error says `refusal`.
pub(super) fn path_text<'a>(
    path: &'a Path,
    accepted: impl FnOnce(&str) -> bool,
    refusal: &str,
) -> anyhow::Result<&'a str> {
    path.to_str()
        .filter(|text| !text.contains(char::is_control) && accepted(text))
        .with_context(|| format!("{}: {refusal}", path.display()))
}

/// Runs a command to its end and gives its standard output.
///
/// # Errors
///
/// It cannot be started, does not end within a minute, or fails; with what it printed.
pub(crate) fn run(words: &[String]) -> anyhow::Result<String> {
    let shown = words.join(" ");
    let (program, arguments) = words.split_first().context("no command")?;
    let mut child = Command::new(program);
    child.args(arguments).env("SYSTEMD_COLORS", "0");
    let output =
        command::output(&mut child, LIMIT).with_context(|| format!("`{shown}` cannot be run"))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{shown}` failed ({}): {}",
            output.status,
            message.trim().replace('\n', "; ")
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
