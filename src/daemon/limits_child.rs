//! The child process that fetches an account's limits: started, read, killed, reaped.
//!
//! One at a time; the core decides when. The child is `agent-console usage --fetch`, the
//! program that lies beside this one, so that HTTP, TLS and credentials are never in the daemon, and its memory and
//! threads stay as they are. Called by the loop, on its thread, inside a [`tokio::task::LocalSet`].

use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::rc::Rc;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::reactor::register;
use crate::agents;
use crate::limits::{Account, FetchFailure, FetchOutcome, FetchProblem};
use crate::os::{process, program};

/// How many bytes of the child's output are read at most: its line has a few hundred.
const MAX_OUTPUT: usize = 16 * 1024;

/// The child's name in the process table.
const NAME: &str = "agent-console";

/// A child that has not been reaped.
#[derive(Debug)]
struct ChildGuard(Child);

impl ChildGuard {
    /// Kills it and what it has started (on macOS, the program that reads the keychain). It leads a process group whose
    /// id cannot be reused before it is reaped.
    fn kill(&self) {
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Kills what is left of its group, and blocks until it has ended.
    fn reap(mut self) -> io::Result<ExitStatus> {
        self.kill();
        self.0.wait()
    }
}

/// An account, and the outcome of its fetch.
type Fetched = (Rc<Account>, FetchOutcome);

/// Starts fetches and returns their results.
#[derive(Debug)]
pub(super) struct Fetcher {
    result_tx: UnboundedSender<Fetched>,
    results: UnboundedReceiver<Fetched>,
    child: Rc<RefCell<Option<ChildGuard>>>,
}

impl Fetcher {
    pub(super) fn new() -> Self {
        let (result_tx, results) = unbounded_channel();
        Self {
            result_tx,
            results,
            child: Rc::default(),
        }
    }

    /// Starts the child for an account. The result comes with [`next`](Self::next), also where it cannot be started.
    pub(super) fn start(&mut self, account: Rc<Account>) {
        let result_tx = self.result_tx.clone();
        let child = match self.spawn(&account) {
            Ok(child) => child,
            Err(error) => {
                let message = format!("cannot start the program that fetches the limits: {error}");
                let failure = FetchFailure::new(FetchProblem::FetchFailed, message);
                // The event loop holds the receiver.
                let _ = result_tx.send((account, FetchOutcome::Failed(failure)));
                return;
            }
        };
        let slot = Rc::clone(&self.child);
        tokio::task::spawn_local(async move {
            let fetched = fetch(child, &slot).await;
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

    fn spawn(&self, account: &Account) -> io::Result<ChildStdout> {
        let mut command = Command::new(program::client()?);
        command
            .arg0(NAME)
            .args(["usage", "--fetch"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A signal from the terminal is the daemon's, which ends it.
            .process_group(0);
        // The daemon's own account is the environment's.
        let agent = agents::find(&account.agent).filter(|_| !account.is_default);
        if let Some(agent) = agent {
            let key = agent.config_dir.variable;
            command
                .args(["--config-dir", &account.directory])
                .env(key, &*account.directory);
        }
        let mut child = command.spawn()?;
        tracing::debug!(pid = child.id(), "asks the account's service");
        let output = child.stdout.take();
        *self.child.borrow_mut() = Some(ChildGuard(child));
        output.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    /// Kills the child; its end comes with [`next`](Self::next).
    pub(super) fn kill(&mut self) {
        if let Some(child) = self.child.borrow().as_ref() {
            child.kill();
        }
    }

    /// The next result: the child's, or how it ended without one.
    pub(super) async fn next(&mut self) -> Option<Fetched> {
        self.results.recv().await
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        if let Some(child) = self.child.borrow_mut().take() {
            let _ = child.reap();
        }
    }
}

/// Reads the child's output to the end, waits for its exit, and reaps it.
async fn fetch(stdout: ChildStdout, slot: &RefCell<Option<ChildGuard>>) -> FetchOutcome {
    let exit = exit_of(slot);
    let mut output = Vec::new();
    let read = match Output::new(stdout) {
        // The exit ends the output even if another process holds the pipe open.
        Ok(mut stdout) => tokio::select! {
            biased;
            read = stdout.read_to_end(&mut output) => read,
            () = wait_exit(&exit) => stdout.read_available(&mut output).map(drop),
        },
        Err(error) => Err(error),
    };
    if exit.is_ok() {
        wait_exit(&exit).await;
    }
    let ending = match slot.borrow_mut().take().map(ChildGuard::reap) {
        Some(Ok(status)) => describe_exit(status),
        Some(Err(error)) => format!("cannot be waited for: {error}"),
        None => "is gone".to_owned(),
    };
    match (serde_json::from_slice(&output), read) {
        (Ok(fetched), _) => fetched,
        (Err(_), Ok(())) => failed(&ending),
        (Err(_), Err(error)) => failed(&format!("cannot be read: {error}")),
    }
}

/// A descriptor that becomes readable when the child ends; `None`: it has ended.
fn exit_of(slot: &RefCell<Option<ChildGuard>>) -> io::Result<Option<AsyncFd<OwnedFd>>> {
    let pid = slot.borrow().as_ref().map(|ChildGuard(child)| child.id());
    // Not reaped yet, so the id is its own.
    let found = process::inspect(pid.ok_or(io::ErrorKind::NotFound)?)?;
    process::exit_fd(found.id)?
        .map(|exit| register(exit, Interest::READABLE))
        .transpose()
}

/// Waits for the exit; for ever where the kernel gives no descriptor.
async fn wait_exit(exit: &io::Result<Option<AsyncFd<OwnedFd>>>) {
    match exit {
        // An error of the reactor means that it is shutting down.
        Ok(Some(exit)) => drop(exit.readable().await),
        Ok(None) => {}
        Err(_) => pending().await,
    }
}

fn describe_exit(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("was ended by signal {signal}"),
        None => "ended without an answer".to_owned(),
    }
}

fn failed(what: &str) -> FetchOutcome {
    let message =
        format!("the process that asks {what}; `agent-console usage --fetch` is the same by hand");
    FetchOutcome::Failed(FetchFailure::new(FetchProblem::FetchFailed, message))
}

/// The child's standard output, non-blocking.
struct Output(AsyncFd<ChildStdout>);

impl Output {
    fn new(output: ChildStdout) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&output, true)?;
        Ok(Self(register(output, Interest::READABLE)?))
    }

    /// Reads until its end or [`MAX_OUTPUT`].
    async fn read_to_end(&mut self, output: &mut Vec<u8>) -> io::Result<()> {
        loop {
            // Cleared first: what arrives during the read makes it ready again.
            self.0.readable().await?.clear_ready();
            if self.read_available(output)? {
                return Ok(());
            }
        }
    }

    /// Reads what is there; true if no more follows.
    fn read_available(&mut self, output: &mut Vec<u8>) -> io::Result<bool> {
        let mut chunk = [0; 1024];
        while output.len() < MAX_OUTPUT {
            match rustix::io::read(self.0.get_ref(), &mut chunk) {
                Ok(0) => return Ok(true),
                Ok(count) => output.extend_from_slice(&chunk[..count]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Runs a shell script in the child's place and returns the result.
    fn fetched_by(script: &str) -> FetchOutcome {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let mut child = Command::new("sh");
            let mut child = child
                .args(["-c", script])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .process_group(0)
                .spawn()
                .unwrap();
            let output = child.stdout.take().unwrap();
            let slot = RefCell::new(Some(ChildGuard(child)));
            let fetched = fetch(output, &slot);
            let fetched = tokio::time::timeout(Duration::from_mins(1), fetched).await;
            assert!(slot.borrow().is_none());
            fetched.expect("its end")
        })
    }

    #[test]
    fn output_is_read_until_the_exit() {
        let none = FetchOutcome::Limits(Vec::new());
        assert_eq!(
            fetched_by("printf '{\"limits\"'; sleep 0.01; echo ':[]}'"),
            none
        );
        // Closed, and not ended at once.
        assert_eq!(
            fetched_by("echo '{\"limits\":[]}'; exec >&-; sleep 0.01"),
            none
        );
        // Another process keeps it open, and is killed with it.
        assert_eq!(fetched_by("sleep 600 & echo '{\"limits\":[]}'"), none);
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
