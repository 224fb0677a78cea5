//! The service: which manager there is for this user, how the service stands with it, and what is to be done.
//!
//! Owns the choice of the manager and the words for what `commands::install` and `commands::uninstall` carry out, and
//! `commands::doctor` looks at. What a manager's files say and which commands it takes is `systemd`'s and `launchd`'s.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use super::file::Change;
use super::program::ServiceProgram;
use super::systemd::Wanted;
use super::{launchd, program, socket, systemd};
use crate::config::{self, DEFAULT_SOCKET};
use crate::os::{peer, process};

/// How long a command may take: a stopping daemon has ten seconds, and systemd may wait for two of them.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long a daemon that runs may take to accept a connection, when it is looked for.
const PROMPT: Duration = Duration::from_secs(1);

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

/// The manager, with what it said of the service, or why there is none.
enum Asked {
    Systemd(Box<systemd::Answer>),
    Launchd,
    None(String),
}

fn ask() -> Asked {
    if cfg!(target_os = "macos") {
        return Asked::Launchd;
    }
    match systemd::ask() {
        Ok(answer) => Asked::Systemd(Box::new(answer)),
        Err(why) => Asked::None(format!("{why:#}")),
    }
}

/// How the service stands, as far as this user's manager tells.
#[must_use]
pub fn state() -> State {
    // As `plan_install` chooses: a variable holds for this process alone.
    let socket = socket::choose(None).map_or_else(|_| DEFAULT_SOCKET.into(), |choice| choice.path);
    // Without a path of our own no file can be current.
    let program = program::path().unwrap_or_default();
    let starts = ServiceProgram::find(&program);
    match ask() {
        Asked::Systemd(answer) => systemd::state(
            &answer,
            Wanted {
                program: &program,
                starts: &starts,
                socket: &socket,
            },
        ),
        Asked::Launchd => launchd::state(&starts, &socket),
        Asked::None(_) => State {
            manager: Manager::None,
            files: Vec::new(),
            active: false,
            enabled: false,
        },
    }
}

/// What it takes for the service manager to start `program` on the first connection. `flag` is `--socket`.
///
/// # Errors
///
/// No socket can be chosen, the manager does not look where this user's files are, a path cannot be written in its
/// files, or they are unreadable.
pub fn plan_install(program: &Path, flag: Option<&Path>) -> anyhow::Result<Plan> {
    let choice = socket::choose(flag)?;
    let mut plan = Plan {
        steps: Vec::new(),
        notes: choice.notes,
    };
    if let Some(change) = choice.change {
        plan.change(change);
    }
    if program::is_built_in_place(program) {
        plan.notes.push(format!(
            "{} lies in a build directory and goes with `cargo clean`; `cargo install --path .` gives it a place to stay",
            program.display()
        ));
    }
    let starts = ServiceProgram::find(program);
    let asked = ask();
    if !matches!(asked, Asked::None(_)) {
        plan.notes.extend(starts.note.clone());
    }
    match asked {
        Asked::Systemd(answer) => {
            let wanted = Wanted {
                program,
                starts: &starts,
                socket: &choice.path,
            };
            systemd::plan_install(&mut plan, &answer, wanted)?;
        }
        Asked::Launchd => launchd::plan_install(&mut plan, program, &starts, &choice.path)?,
        Asked::None(why) => plan.notes.push(format!(
            "no service manager to hold the socket ({why}): start the daemon by hand, `agent-console daemon --daemonize`"
        )),
    }
    Ok(plan)
}

/// What it takes to undo [`plan_install`], whichever version did it.
///
/// # Errors
///
/// There are files of ours for a manager that does not answer; files are unreadable.
pub fn plan_uninstall() -> anyhow::Result<Plan> {
    let mut plan = Plan::default();
    match ask() {
        Asked::Systemd(answer) => systemd::plan_uninstall(&mut plan, &answer)?,
        Asked::Launchd => launchd::plan_uninstall(&mut plan)?,
        Asked::None(why) => {
            systemd::refuse_leftovers(&why)?;
            note_running(&mut plan);
        }
    }
    // After the service: until it is gone its clients should find it.
    if let Some(change) = socket::plan_removal()? {
        plan.change(change);
    }
    Ok(plan)
}

/// One that was started by hand is stopped by hand.
fn note_running(plan: &mut Plan) {
    if let Ok(socket) = config::socket_path(None)
        && peer::connect(&socket.path, PROMPT).is_ok()
    {
        plan.notes.push(format!(
            "a daemon that was started by hand serves {}; `agent-console stop` ends it",
            socket.path.display()
        ));
    }
}

/// A daemon that was started by hand would lose its socket's path to the manager, and nobody would find it again.
pub(super) fn plan_takeover(plan: &mut Plan, program: &Path, socket: &Path) {
    if peer::connect(socket, PROMPT).is_ok() {
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
/// It cannot be started, does not end within a minute, or fails; with what it said.
pub fn run(words: &[String]) -> anyhow::Result<String> {
    let shown = words.join(" ");
    let output = output(words).with_context(|| format!("`{shown}` cannot be run"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{shown}` failed ({}): {}",
            output.status,
            said.trim().replace('\n', "; ")
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn output(words: &[String]) -> anyhow::Result<Output> {
    let (program, arguments) = words.split_first().context("no command")?;
    let mut child = Command::new(program)
        .args(arguments)
        .env("SYSTEMD_COLORS", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // What these commands say fits a pipe, so none waits to be read.
    if let Ok(found) = process::inspect(child.id())
        && !process::wait_for_exit(found.id, PATIENCE)?
    {
        child.kill()?;
        child.wait()?;
        bail!("no end within {} s", PATIENCE.as_secs());
    }
    Ok(child.wait_with_output()?)
}
