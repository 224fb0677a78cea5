//! The agents of the demo, each played by a thread of its own. Called by both ways of showing them.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::fake_agent::FakeAgent;
use super::sandbox::SandboxDir;
use super::scenario::{Scenario, scenarios};
use crate::os::clock;

/// How long a project rests before its agent is started again.
const REST: Duration = Duration::from_secs(6);

/// How often each scenario is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runs {
    Once,
    Endless,
}

/// What the person of a recording did, and in which scenario.
pub(super) type OnPerson = dyn Fn(Scenario, String) + Send + Sync;

/// The agents, each with a thread that plays it until it is to stop.
pub(super) struct Runners {
    threads: Vec<thread::JoinHandle<anyhow::Result<()>>>,
    /// Nothing is ever sent: dropping it ends their waiting.
    stop: Vec<mpsc::Sender<()>>,
}

impl Runners {
    pub(super) fn start(
        speed: f64,
        runs: Runs,
        directory: &SandboxDir,
        on_person: &Arc<OnPerson>,
    ) -> anyhow::Result<Self> {
        let mut runners = Self {
            threads: Vec::new(),
            stop: Vec::new(),
        };
        for scenario in scenarios() {
            let (sender, stop) = mpsc::channel();
            let runner = Runner {
                scenario,
                speed,
                runs,
                directory: directory.clone(),
                on_person: on_person.clone(),
                stop,
            };
            let thread = thread::Builder::new().spawn(move || runner.run())?;
            runners.threads.push(thread);
            runners.stop.push(sender);
        }
        Ok(runners)
    }

    /// True when all have ended.
    pub(super) fn are_over(&self) -> bool {
        self.threads.iter().all(thread::JoinHandle::is_finished)
    }

    /// Ends them all; the first that failed says why.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        drop(self.stop);
        let ended = self.threads.into_iter().map(thread::JoinHandle::join);
        // One that panicked has ended the program.
        ended.flatten().collect()
    }
}

struct Runner {
    scenario: Scenario,
    speed: f64,
    runs: Runs,
    directory: SandboxDir,
    on_person: Arc<OnPerson>,
    stop: Receiver<()>,
}

impl Runner {
    fn run(self) -> anyhow::Result<()> {
        let mut begins =
            clock::monotonic() + self.scaled(Duration::from_millis(self.scenario.starts_ms()));
        for run in 0.. {
            if !self.wait_until(begins) {
                break;
            }
            let mut agent = FakeAgent::start(
                &self.directory,
                self.scenario.agent,
                self.scenario.project(),
            )?;
            let steps = self.scenario.steps(run, &agent);
            for step in steps.context("the recording is damaged")? {
                if !self.wait_until(begins + self.scaled(Duration::from_millis(step.ms))) {
                    return Ok(());
                }
                if let Some(action) = step.person() {
                    (self.on_person)(self.scenario, action);
                }
                step.run(&mut agent)?;
            }
            drop(agent);
            if self.runs == Runs::Once {
                break;
            }
            begins = clock::monotonic() + self.scaled(REST);
        }
        Ok(())
    }

    fn scaled(&self, duration: Duration) -> Duration {
        duration.div_f64(self.speed)
    }

    /// False: it is to stop.
    fn wait_until(&self, due: Instant) -> bool {
        let left = due.saturating_duration_since(clock::monotonic());
        self.stop.recv_timeout(left) == Err(RecvTimeoutError::Timeout)
    }
}
