//! `demo`: recorded runs of real agents, played at their own pace into a private daemon, through the real `hook` command
//! and files like their own, by processes of their names. All at once: on a terminal with the dashboard on it, otherwise
//! with a line for each change. Touches nothing of the user's and leaves nothing behind.

mod fake_agent;
mod plain;
mod runners;
mod sandbox;
mod scenario;
mod stand_in;
mod stand_in_process;
mod terminal;

use std::io::{self, IsTerminal, Write};
use std::thread;

use clap::Args;
use signal_hook::iterator::Signals;

/// How to play.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// How many times as fast as it was recorded
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// Line by line, as where there is no terminal
    #[arg(long)]
    plain: bool,
    /// Stand for an agent: carry out the orders on standard input
    #[arg(long, hide = true)]
    stand_in: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.1..=1000.0).contains(&speed) => Ok(speed),
        _ => Err("from 0.1 to 1000".into()),
    }
}

/// Shown below `--help`.
pub(super) const EXAMPLES: &str = "The demo does not touch your files, and leaves nothing behind.

Examples:
  agent-console demo                      play every agent, with the dashboard, again and again
  agent-console demo --plain              play each once, with a line for each change
  agent-console demo --plain --speed 4    play them four times as fast as they were recorded";

pub(super) fn run(options: &Options, out: &mut impl Write) -> anyhow::Result<()> {
    if options.stand_in {
        return stand_in_process::serve();
    }
    if options.plain || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        plain::run(options.speed, out)?;
    } else {
        terminal::run(options.speed)?;
    }
    writeln!(
        out,
        "\nThe private daemon is gone. `agent-console list` asks the one that your agents report to."
    )?;
    Ok(())
}

/// Forwards each of these signals until the receiver has gone: those that would end the demo end it in order, so that
/// the daemon and the directory go too.
fn forward_signals(signals: &[i32], send: impl Fn(i32) -> bool + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new(signals)?;
    thread::spawn(move || {
        for signal in signals.forever() {
            if !send(signal) {
                return;
            }
        }
    });
    Ok(())
}
