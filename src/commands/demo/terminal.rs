//! The demo on a terminal: several agents at once, again and again, and a view of them until the person leaves it.
//!
//! The view is a process of its own, so that the demo clears up whatever becomes of it.

use std::process::Child;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

use super::runners::{OnPerson, Runners, Runs};
use super::sandbox::{Sandbox, SandboxDir};
use crate::config::variable;
use crate::os::clock;

/// The command that shows the agents.
const VIEW: &str = "dashboard";

/// What of the person's environment is the terminal's and the language's, not the configuration's.
const TERMINAL: [&str; 9] = [
    "TERM",
    "COLORTERM",
    "TERM_PROGRAM",
    "NO_COLOR",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LINES",
    "COLUMNS",
];

/// How long the view may take to put the terminal in order.
const LIMIT: Duration = Duration::from_secs(2);

pub(super) fn run(speed: f64) -> anyhow::Result<()> {
    let (sender, signals) = mpsc::channel();
    super::forward_signals(&[SIGINT, SIGTERM, SIGHUP, SIGCHLD], move |signal| {
        sender.send(signal).is_ok()
    })?;
    let mut sandbox = Sandbox::start()?;
    sandbox.connect()?;
    // The screen shows what comes of it.
    let on_person: Arc<OnPerson> = Arc::new(|_, _| {});
    let runners = Runners::start(speed, Runs::Endless, sandbox.directory(), &on_person)?;
    let seen = View::open(sandbox.directory()).and_then(|view| view.wait(&signals));
    let ran = runners.stop();
    sandbox.stop()?;
    seen.and(ran)
}

/// The view of them, on the person's terminal.
struct View(Child);

impl View {
    fn open(directory: &SandboxDir) -> anyhow::Result<Self> {
        let mut view = directory.program()?;
        for name in TERMINAL {
            if let Some(value) = variable(name) {
                view.env(name, value);
            }
        }
        view.arg(VIEW)
            .spawn()
            .map(Self)
            .context("cannot open the view")
    }

    /// Waits until the person leaves it, or a signal ends the demo.
    fn wait(mut self, signals: &Receiver<i32>) -> anyhow::Result<()> {
        for signal in signals {
            if signal != SIGCHLD {
                bail!("interrupted by signal {signal}");
            }
            // Most often it was a hook.
            if let Some(status) = self.0.try_wait()? {
                if !status.success() {
                    bail!("the view has ended: {status}");
                }
                break;
            }
        }
        Ok(())
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.0.id()).ok().and_then(Pid::from_raw)
    }
}

impl Drop for View {
    /// Asks it to leave, so that it puts the terminal in order.
    fn drop(&mut self) {
        let end = clock::monotonic() + LIMIT;
        if let Some(view) = self.pid()
            && matches!(self.0.try_wait(), Ok(None))
        {
            let _ = kill_process(view, Signal::TERM);
        }
        while matches!(self.0.try_wait(), Ok(None)) {
            if clock::monotonic() >= end {
                let _ = self.0.kill();
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}
