//! Carries a plan out.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use super::plan::{Move, Plan};
use super::window;
use crate::format::sanitize;
use crate::os::command;

/// How long a program may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the moves, the inner ones first. Does not return where the last one takes over this process's terminal;
/// `before_attach` runs before that.
///
/// # Errors
///
/// A move that fails; those after it are not made.
pub(crate) fn execute(plan: &Plan, before_attach: impl FnOnce()) -> anyhow::Result<()> {
    let mut moves = plan.moves().peekable();
    while let Some(made) = moves.next_if(|made| !matches!(made, Move::Attach(_))) {
        carry_out(made)?;
    }
    before_attach();
    match moves.next() {
        Some(Move::Attach(words)) => attach(words),
        Some(_) | None => Ok(()),
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
    let name = sanitize(program);
    let output = command::output(Command::new(program).args(arguments), TIMEOUT)
        .with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{name} has failed: {}", sanitize(said.trim()));
    }
    Ok(())
}

fn attach(words: &[String]) -> anyhow::Result<()> {
    let [program, arguments @ ..] = words else {
        return Ok(());
    };
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {}", sanitize(program)))
}
