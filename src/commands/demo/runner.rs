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

use super::sandbox::{Actor, Set, Stage};
use super::scenario::{CAST, Part};
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
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn run(speed: f64) -> anyhow::Result<()> {
    let (sender, signals) = mpsc::channel();
    super::forward_signals(&[SIGINT, SIGTERM, SIGHUP, SIGCHLD], move |signal| {
        sender.send(signal).is_ok()
    })?;
    let mut stage = Stage::set()?;
    stage.connect()?;
    let troupe = Troupe::enter(speed, stage.place())?;
    let seen = View::open(stage.place()).and_then(|view| view.wait(&signals));
    let played = troupe.leave();
    stage.strike()?;
    seen.and(played)
}

/// The agents, each with a thread that plays it until the curtain falls.
struct Troupe {
    players: Vec<thread::JoinHandle<anyhow::Result<()>>>,
    /// Nothing is ever sent: dropping it ends their waiting.
    curtain: Vec<mpsc::Sender<()>>,
}

impl Troupe {
    fn enter(speed: f64, set: &Set) -> anyhow::Result<Self> {
        let mut troupe = Self {
            players: Vec::new(),
            curtain: Vec::new(),
        };
        for part in &CAST {
            let (sender, curtain) = mpsc::channel();
            let player = Player {
                part,
                speed,
                set: set.clone(),
                curtain,
            };
            let thread = thread::Builder::new().spawn(move || player.play())?;
            troupe.players.push(thread);
            troupe.curtain.push(sender);
        }
        Ok(troupe)
    }

    /// Ends them all; the first that failed says why.
    fn leave(self) -> anyhow::Result<()> {
        drop(self.curtain);
        let ended = self.players.into_iter().map(thread::JoinHandle::join);
        // One that panicked has ended the program.
        ended.flatten().collect()
    }
}

struct Player {
    part: &'static Part,
    speed: f64,
    set: Set,
    curtain: Receiver<()>,
}

impl Player {
    fn play(self) -> anyhow::Result<()> {
        let mut begins = clock::monotonic() + self.scaled(Duration::from_millis(self.part.comes));
        for run in 0.. {
            if !self.wait_until(begins) {
                break;
            }
            let agent = Actor::enter(&self.set)?;
            for act in self.part.acts(run) {
                let act = act.context("the recording is damaged")?;
                if !self.wait_until(begins + self.scaled(Duration::from_millis(act.ms))) {
                    return Ok(());
                }
                act.perform(&self.set, &agent)?;
            }
            drop(agent);
            begins = clock::monotonic() + self.scaled(REST);
        }
        Ok(())
    }

    fn scaled(&self, duration: Duration) -> Duration {
        duration.div_f64(self.speed)
    }

    /// False: the curtain has fallen.
    fn wait_until(&self, due: std::time::Instant) -> bool {
        let left = due.saturating_duration_since(clock::monotonic());
        self.curtain.recv_timeout(left) == Err(RecvTimeoutError::Timeout)
    }
}

/// The view of them, on the person's terminal.
struct View(Child);

impl View {
    fn open(set: &Set) -> anyhow::Result<Self> {
        let mut view = set.program()?;
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
        let end = clock::monotonic() + PATIENCE;
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
