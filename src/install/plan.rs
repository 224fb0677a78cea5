//! What is to be done for the service, in order: files and commands, planned before the first is touched. And the words for
//! how the service stands.
//!
//! `service` chooses the manager, `systemd` and `launchd` fill the plan in, `commands::install` carries it out.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use super::file::Change;
use crate::os::{command, peer};

/// How long a command may take: a stopping daemon has ten seconds, and systemd may wait for two of them.
const LIMIT: Duration = Duration::from_mins(1);

/// How long a daemon that runs may take to accept a connection, when it is looked for.
pub(super) const ACCEPT_LIMIT: Duration = Duration::from_secs(1);

/// Who starts services for this user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// A systemd user manager answers.
    Systemd,
    /// launchd.
    Launchd,
    /// Nobody: the daemon is started by hand.
    None,
}

/// How the service stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Who starts it.
    pub manager: Manager,
    /// Its files, and whether each is there and as this program would write it.
    pub files: Vec<(PathBuf, FileState)>,
    /// The manager holds the socket now (systemd: `is-active agent-console.socket`; launchd: the job is loaded).
    pub active: bool,
    /// The manager holds it after the next login, too.
    pub enabled: bool,
}

/// A service file's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// As it should be.
    Current,
    /// There, but different.
    Different,
    /// Not there.
    Missing,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A file is written or removed.
    Change(Change),
    /// A command is run, given as its words: `systemctl --user daemon-reload`.
    Run(Vec<String>),
}

/// What is to be done, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// None at all: everything is as it should be.
    pub steps: Vec<Step>,
    /// Lines for the person: what was decided and why, what is left for them to do.
    pub notes: Vec<String>,
}

impl Plan {
    pub(super) fn run(&mut self, words: &[&str]) {
        let words = words.iter().map(|&word| word.to_owned()).collect();
        self.steps.push(Step::Run(words));
    }

    pub(super) fn change(&mut self, change: Change) {
        if !change.is_empty() {
            self.steps.push(Step::Change(change));
        }
    }
}

/// Stops a daemon that was started by hand: it would lose its socket's path to the manager, and no client would find it.
pub(super) fn plan_takeover(plan: &mut Plan, program: &Path, socket: &Path) {
    if peer::connect(socket, ACCEPT_LIMIT).is_ok() {
        let [program, socket] = [program, socket].map(Path::to_string_lossy);
        plan.notes.push(format!(
            "a daemon that was started by hand serves {socket}: it is stopped, and the service takes over"
        ));
        plan.run(&[&program, "--socket", &socket, "stop"]);
    }
}

/// Runs a command to its end and gives its standard output.
///
/// # Errors
///
/// It cannot be started, does not end within a minute, or fails; with what it printed.
pub fn run(words: &[String]) -> anyhow::Result<String> {
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
