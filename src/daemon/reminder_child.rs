//! The child process that reminds a person of sessions.
//!
//! One at a time; the core decides when and of what. The child is `agent-console notify` ([`super::child`]). A failure is no
//! reason to do anything else: it is logged, once a minute at most. Called by the loop, on its thread, inside a
//! [`tokio::task::LocalSet`].

use std::io;
use std::path::Path;
use std::process::Stdio;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::child::{self, Pipes, Slot};
use super::occasional::Occasional;
use crate::config::Notify;
use crate::reminders::{Answer, Job, Order, Outcome};

/// What the child has answered, or why there is no answer.
type Ended = Result<Answer, String>;

/// Starts the children and returns what they answer.
#[derive(Debug)]
pub(super) struct Reminding {
    ended_tx: UnboundedSender<Ended>,
    ended: UnboundedReceiver<Ended>,
    child: Slot,
    failures: Occasional,
}

impl Reminding {
    pub(super) fn new() -> Self {
        let (ended_tx, ended) = unbounded_channel();
        Self {
            ended_tx,
            ended,
            child: Slot::default(),
            failures: Occasional::default(),
        }
    }

    /// Starts the child for a job. The outcome comes with [`next`](Self::next), also where it cannot be started.
    pub(super) fn start(&mut self, job: Job, notify: &Notify, socket: &Path) {
        let order = Order {
            desktop: notify.desktop,
            command: notify.command.clone(),
            job,
        };
        let ended_tx = self.ended_tx.clone();
        let started = self.spawn(socket).and_then(|pipes| {
            let mut line = serde_json::to_vec(&order)?;
            line.push(b'\n');
            Ok((pipes, line))
        });
        let (pipes, line) = match started {
            Ok(started) => started,
            Err(error) => {
                let why = format!("the program that does it cannot be started: {error}");
                // The event loop holds the receiver.
                let _ = ended_tx.send(Err(why));
                return;
            }
        };
        let slot = self.child.clone();
        tokio::task::spawn_local(async move {
            let (output, ending) = child::run(pipes, &line, &slot).await;
            // It fails only if the loop has ended.
            let _ = ended_tx.send(answer(&output, &ending));
        });
    }

    fn spawn(&self, socket: &Path) -> io::Result<Pipes> {
        let mut command = child::command()?;
        // What it starts connects to this daemon.
        command.arg("--socket").arg(socket).arg("notify");
        let pipes = self.child.spawn(&mut command, Stdio::piped())?;
        tracing::debug!(pid = self.child.pid(), "reminds a person");
        Ok(pipes)
    }

    /// Kills the child; its end comes with [`next`](Self::next).
    pub(super) fn kill(&mut self) {
        self.child.kill();
    }

    /// The next outcome.
    pub(super) async fn next(&mut self) -> Option<Outcome> {
        let (outcome, problem) = match self.ended.recv().await? {
            Ok(answer) => (Outcome::Shown(answer.shown), answer.problem),
            Err(why) => (Outcome::Failed, Some(why.into())),
        };
        if let Some(problem) = problem
            && let Some(count) = self.failures.next()
        {
            tracing::warn!(
                "a reminder was not shown ({count} since the last such line): {problem}"
            );
        }
        Some(outcome)
    }
}

/// What the child has printed, or how it ended without an answer.
fn answer(output: &[u8], ending: &str) -> Ended {
    serde_json::from_slice(output).map_err(|_| format!("the process that shows it {ending}"))
}

#[cfg(test)]
mod tests {
    use super::super::child::tests::run_script;
    use super::*;

    #[test]
    fn the_child_answers_with_a_line_or_not_at_all() {
        let answered = |script| {
            let (output, ending) = run_script(script, b"{}");
            answer(&output, &ending).map(|answer| answer.shown)
        };
        let line = r#"echo '{"shown":[7,null]}'"#;
        assert_eq!(answered(line), Ok(vec![Some(7), None]));
        let why = answered("kill -9 $$").unwrap_err();
        assert_eq!(why, "the process that shows it was ended by signal 9");
        assert!(answered("echo '{'").is_err());
    }
}
