//! The demo on a terminal: several agents at once, again and again, and a view of them until the person leaves it.
//!
//! The view is a process of its own, so that the demo clears up whatever becomes of it.

use std::process::Child;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

use super::sandbox::{FakeAgent, Sandbox, SandboxDir};
use super::scenario::{SCENARIOS, Scenario};
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

/// How long a project rests before its agent is started again.
const REST: Duration = Duration::from_secs(6);

/// How long the view may take to put the terminal in order.
const LIMIT: Duration = Duration::from_secs(2);

pub(super) fn run(speed: f64) -> anyhow::Result<()> {
    let (sender, signals) = mpsc::channel();
    super::forward_signals(&[SIGINT, SIGTERM, SIGHUP, SIGCHLD], move |signal| {
        sender.send(signal).is_ok()
    })?;
    let mut sandbox = Sandbox::start()?;
    sandbox.connect()?;
    let runners = Runners::start(speed, sandbox.directory())?;
    let seen = View::open(sandbox.directory()).and_then(|view| view.wait(&signals));
    let ran = runners.stop();
    sandbox.stop()?;
    seen.and(ran)
}

/// The agents, each with a thread that plays it until it is to stop.
struct Runners {
    threads: Vec<thread::JoinHandle<anyhow::Result<()>>>,
    /// Nothing is ever sent: dropping it ends their waiting.
    stop: Vec<mpsc::Sender<()>>,
}

impl Runners {
    fn start(speed: f64, directory: &SandboxDir) -> anyhow::Result<Self> {
        let mut runners = Self {
            threads: Vec::new(),
            stop: Vec::new(),
        };
        for scenario in &SCENARIOS {
            let (sender, stop) = mpsc::channel();
            let runner = Runner {
                scenario,
                speed,
                directory: directory.clone(),
                stop,
            };
            let thread = thread::Builder::new().spawn(move || runner.run())?;
            runners.threads.push(thread);
            runners.stop.push(sender);
        }
        Ok(runners)
    }

    /// Ends them all; the first that failed says why.
    fn stop(self) -> anyhow::Result<()> {
        drop(self.stop);
        let ended = self.threads.into_iter().map(thread::JoinHandle::join);
        // One that panicked has ended the program.
        ended.flatten().collect()
    }
}

struct Runner {
    scenario: &'static Scenario,
    speed: f64,
    directory: SandboxDir,
    stop: Receiver<()>,
}

impl Runner {
    fn run(self) -> anyhow::Result<()> {
        let mut begins =
            clock::monotonic() + self.scaled(Duration::from_millis(self.scenario.starts_ms));
        for run in 0.. {
            if !self.wait_until(begins) {
                break;
            }
            let agent = FakeAgent::start(&self.directory)?;
            for step in self.scenario.steps(run) {
                let step = step.context("the recording is damaged")?;
                if !self.wait_until(begins + self.scaled(Duration::from_millis(step.ms))) {
                    return Ok(());
                }
                step.run(&self.directory, &agent)?;
            }
            drop(agent);
            begins = clock::monotonic() + self.scaled(REST);
        }
        Ok(())
    }

    fn scaled(&self, duration: Duration) -> Duration {
        duration.div_f64(self.speed)
    }

    /// False: it is to stop.
    fn wait_until(&self, due: std::time::Instant) -> bool {
        let left = due.saturating_duration_since(clock::monotonic());
        self.stop.recv_timeout(left) == Err(RecvTimeoutError::Timeout)
    }
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
