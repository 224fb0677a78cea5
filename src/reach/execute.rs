//! Carries a plan out.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, bail};

use super::plan::{Move, Plan};
use super::window;
use crate::format::sanitize;
use crate::os::command;

/// How long a program may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How much of what a program says of its failure is read, in bytes.
const LONGEST_ERROR: u64 = 4096;

/// Makes the moves, the inner ones first. Does not return where the last one takes over this process's terminal;
/// `before_attach` runs before that.
///
/// # Errors
///
/// A move that fails; those after it are not made.
pub(crate) fn execute(plan: &Plan, before_attach: impl FnOnce()) -> anyhow::Result<()> {
    let last = approach(plan)?;
    before_attach();
    last.map_or(Ok(()), attach)
}

/// Makes the moves that leave this process's terminal alone, the inner ones first, each within a time limit. What is
/// returned is the program that remains to be run on the terminal, if there is one.
///
/// # Errors
///
/// A move that fails; those after it are not made.
pub(crate) fn approach(plan: &Plan) -> anyhow::Result<Option<&[String]>> {
    for made in plan.moves() {
        match made {
            Move::Attach(words) => return Ok(Some(words)),
            Move::Run(_) | Move::Sway { .. } | Move::Hyprland { .. } | Move::X11 { .. } => {
                carry_out(made)?;
            }
        }
    }
    Ok(None)
}

/// A program that runs on this process's terminal, beside this process. That leaves the terminal alone meanwhile.
#[derive(Debug)]
pub(crate) struct Attached {
    program: String,
    child: Child,
    /// What it prints on standard error: the terminal is drawn over when it has ended.
    said: File,
}

impl Attached {
    /// Starts what [`approach`] has returned.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub(crate) fn start(words: &[String]) -> anyhow::Result<Self> {
        let (program, arguments) = words.split_first().context("there is no command")?;
        let start = || {
            let said = tempfile::tempfile()?;
            let mut command = Command::new(program);
            let child = command.args(arguments).stderr(said.try_clone()?).spawn()?;
            Ok((child, said))
        };
        let started: io::Result<_> = start();
        let (child, said) = started.with_context(|| format!("cannot run {}", sanitize(program)))?;
        Ok(Self {
            program: program.clone(),
            child,
            said,
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// It fails.
    pub(crate) fn wait(mut self) -> anyhow::Result<()> {
        if self.child.wait()?.success() {
            return Ok(());
        }
        let mut text = Vec::new();
        self.said.rewind()?;
        self.said.take(LONGEST_ERROR).read_to_end(&mut text)?;
        bail!("{}", failed(&self.program, &text))
    }
}

fn carry_out(made: &Move) -> anyhow::Result<()> {
    match made {
        Move::Run(words) => run(words),
        Move::Attach(words) => attach(words),
        Move::Sway { socket, container } => window::focus_sway(socket, *container),
        Move::Hyprland {
            socket, address, ..
        } => window::focus_hyprland(socket, address),
        Move::X11 { display, window } => window::focus_x11(display, *window),
    }
}

fn run(words: &[String]) -> anyhow::Result<()> {
    let [program, arguments @ ..] = words else {
        return Ok(());
    };
    let output = command::output(Command::new(program).args(arguments), TIMEOUT)
        .with_context(|| format!("cannot run {}", sanitize(program)))?;
    if !output.status.success() {
        bail!("{}", failed(program, &output.stderr));
    }
    Ok(())
}

/// That a program has failed, and what it has said.
fn failed(program: &str, said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let program = sanitize(program);
    match said.trim() {
        "" => format!("{program} has failed"),
        said => format!("{program} has failed: {}", sanitize(said)),
    }
}

fn attach(words: &[String]) -> anyhow::Result<()> {
    let [program, arguments @ ..] = words else {
        return Ok(());
    };
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {}", sanitize(program)))
}
