//! The child process that fetches an account's limits.
//!
//! One at a time; the core decides when. The child is `agent-console usage --fetch` ([`super::child`]). Called by the loop,
//! on its thread, inside a [`tokio::task::LocalSet`].

use std::io;
use std::process::Stdio;
use std::rc::Rc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::child::{self, Pipes, Slot};
use crate::agents;
use crate::limits::{Account, FetchFailure, FetchOutcome, FetchProblem};

/// An account, and the outcome of its fetch.
type Fetched = (Rc<Account>, FetchOutcome);

/// Starts fetches and returns their results.
#[derive(Debug)]
pub(super) struct Fetcher {
    result_tx: UnboundedSender<Fetched>,
    results: UnboundedReceiver<Fetched>,
    child: Slot,
}

impl Fetcher {
    pub(super) fn new() -> Self {
        let (result_tx, results) = unbounded_channel();
        Self {
            result_tx,
            results,
            child: Slot::default(),
        }
    }

    /// Starts the child for an account. The result comes with [`next`](Self::next), also where it cannot be started.
    pub(super) fn start(&mut self, account: Rc<Account>) {
        let result_tx = self.result_tx.clone();
        let pipes = match self.spawn(&account) {
            Ok(pipes) => pipes,
            Err(error) => {
                let message = format!("cannot start the program that fetches the limits: {error}");
                let failure = FetchFailure::new(FetchProblem::FetchFailed, message);
                // The event loop holds the receiver.
                let _ = result_tx.send((account, FetchOutcome::Failed(failure)));
                return;
            }
        };
        let slot = self.child.clone();
        tokio::task::spawn_local(async move {
            let (output, ending) = child::run(pipes, b"", &slot).await;
            let fetched = outcome(&output, &ending);
            match &fetched {
                FetchOutcome::Limits(limits) => {
                    tracing::debug!(windows = limits.len(), "the account's limits were fetched");
                }
                // People read why in the limits themselves; here it would be a line every three minutes.
                FetchOutcome::Failed(failure) => {
                    tracing::debug!(code = failure.problem.as_str(), "nothing was fetched");
                }
            }
            // It fails only if the loop has ended.
            let _ = result_tx.send((account, fetched));
        });
    }

    fn spawn(&self, account: &Account) -> io::Result<Pipes> {
        let mut command = child::command()?;
        command.args(["usage", "--fetch"]);
        // The daemon's own account is the environment's.
        let agent = agents::find(&account.agent).filter(|_| !account.is_default);
        if let Some(agent) = agent {
            let key = agent.config_dir.variable;
            command
                .args(["--config-dir", &account.directory])
                .env(key, &*account.directory);
        }
        let pipes = self.child.spawn(&mut command, Stdio::null())?;
        tracing::debug!(pid = self.child.pid(), "asks the account's service");
        Ok(pipes)
    }

    /// Kills the child; its end comes with [`next`](Self::next).
    pub(super) fn kill(&mut self) {
        self.child.kill();
    }

    /// The next result: the child's, or how it ended without one.
    pub(super) async fn next(&mut self) -> Option<Fetched> {
        self.results.recv().await
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.child.end();
    }
}

/// What the child has printed, or how it ended without an answer.
fn outcome(output: &[u8], ending: &str) -> FetchOutcome {
    serde_json::from_slice(output).unwrap_or_else(|_| {
        let message = format!(
            "the process that asks {ending}; `agent-console usage --fetch` is the same by hand"
        );
        FetchOutcome::Failed(FetchFailure::new(FetchProblem::FetchFailed, message))
    })
}

#[cfg(test)]
mod tests {
    use super::super::child::tests::run_script;
    use super::*;

    /// Runs a shell script in the child's place and returns the result.
    fn fetched_by(script: &str) -> FetchOutcome {
        let (output, ending) = run_script(script, b"");
        outcome(&output, &ending)
    }

    #[test]
    fn a_line_is_the_result_however_the_child_ends() {
        let none = FetchOutcome::Limits(Vec::new());
        assert_eq!(fetched_by("echo '{\"limits\":[]}'"), none);
        assert_eq!(fetched_by("echo '{\"limits\":[]}'; kill -9 $$"), none);
    }

    #[test]
    fn a_child_without_a_result_is_a_failure_that_says_how_it_ended() {
        let message = |script| match fetched_by(script) {
            FetchOutcome::Failed(failure) => {
                assert_eq!(failure.problem, FetchProblem::FetchFailed);
                failure.message.into_string()
            }
            FetchOutcome::Limits(limits) => panic!("{limits:?}"),
        };
        assert!(message("exit 3").contains("ended without an answer"));
        assert!(message("echo '{\"limits\"'; exit 0").contains("ended without an answer"));
        assert!(message("kill -9 $$").contains("ended by signal 9"));
        assert!(message("exec yes").contains("ended by signal"));
    }
}
