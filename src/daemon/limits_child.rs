//! The child that asks the account's service: started, read, killed, reaped.
//!
//! One at a time, as the core wants it; this module has no opinion on when. The child is `agent-console usage --fetch`, the
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
use crate::limits::{Failure, Fetched, Problem};
use crate::os::{process, program};

/// The most that is read of what the child says, in bytes: its line has some hundred.
const LONGEST: usize = 16 * 1024;

/// The name by which the child is seen in the process table.
const NAME: &str = "agent-console";

/// A child that has not been reaped: whoever drops it kills and reaps it.
#[derive(Debug)]
struct Asking(Child);

impl Asking {
    /// And whatever it has started (on macOS, what reads the keychain): its group is its own, and as long as it is not
    /// reaped nobody else's.
    fn kill(&self) {
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// To be called once it has ended, or will at once.
    fn reap(mut self) -> io::Result<ExitStatus> {
        self.kill();
        self.0.wait()
    }
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Fetcher {
    tell: UnboundedSender<Fetched>,
    told: UnboundedReceiver<Fetched>,
    child: Rc<RefCell<Option<Asking>>>,
}

impl Fetcher {
    pub(super) fn new() -> Self {
        let (tell, told) = unbounded_channel();
        Self {
            tell,
            told,
            child: Rc::default(),
        }
    }

    /// Starts the child. Its word comes with [`next`](Self::next), also where it cannot be started.
    pub(super) fn start(&mut self) {
        let tell = self.tell.clone();
        let child = match self.spawn() {
            Ok(child) => child,
            Err(error) => {
                let message = format!("the program cannot be started to ask: {error}");
                let failure = Failure::new(Problem::FetchFailed, message);
                // The loop holds the other end.
                let _ = tell.send(Fetched::Failed(failure));
                return;
            }
        };
        let slot = Rc::clone(&self.child);
        tokio::task::spawn_local(async move {
            let fetched = ask(child, &slot).await;
            match &fetched {
                Fetched::Limits(limits) => {
                    tracing::debug!(windows = limits.len(), "the account's service has told");
                }
                // People read why in the limits themselves; here it would be a line every three minutes.
                Fetched::Failed(failure) => {
                    tracing::debug!(code = failure.problem.code(), "nothing was fetched");
                }
            }
            // The loop has ended if nobody takes it.
            let _ = tell.send(fetched);
        });
    }

    fn spawn(&self) -> io::Result<ChildStdout> {
        let mut child = Command::new(program::client()?)
            .arg0(NAME)
            .args(["usage", "--fetch"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A signal from the terminal is the daemon's, which ends it.
            .process_group(0)
            .spawn()?;
        tracing::debug!(pid = child.id(), "asks the account's service");
        let output = child.stdout.take();
        *self.child.borrow_mut() = Some(Asking(child));
        output.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    /// Kills the child; its end comes with [`next`](Self::next).
    pub(super) fn kill(&mut self) {
        if let Some(child) = self.child.borrow().as_ref() {
            child.kill();
        }
    }

    /// What a child said; or how it ended without a word.
    pub(super) async fn next(&mut self) -> Option<Fetched> {
        self.told.recv().await
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        if let Some(child) = self.child.borrow_mut().take() {
            // Nobody is left to be told how it was.
            let _ = child.reap();
        }
    }
}

/// Hears the child out, waits for its end, and reaps it.
async fn ask(output: ChildStdout, slot: &RefCell<Option<Asking>>) -> Fetched {
    let end = end_of(slot);
    let mut said = Vec::new();
    let heard = match Output::new(output) {
        // Its end is the end of what it says, whoever else may hold the pipe open.
        Ok(mut output) => tokio::select! {
            biased;
            heard = output.until_end(&mut said) => heard,
            () = comes(&end) => output.take(&mut said).map(drop),
        },
        Err(error) => Err(error),
    };
    if end.is_ok() {
        comes(&end).await;
    }
    let how = match slot.borrow_mut().take().map(Asking::reap) {
        Some(Ok(status)) => how(status),
        Some(Err(error)) => format!("cannot be waited for: {error}"),
        None => "is gone".to_owned(),
    };
    match (serde_json::from_slice(&said), heard) {
        (Ok(fetched), _) => fetched,
        (Err(_), Ok(())) => failed(&how),
        (Err(_), Err(error)) => failed(&format!("cannot be heard: {error}")),
    }
}

/// What becomes readable when the child ends; `None`: it has ended.
fn end_of(slot: &RefCell<Option<Asking>>) -> io::Result<Option<AsyncFd<OwnedFd>>> {
    let pid = slot.borrow().as_ref().map(|Asking(child)| child.id());
    // Not reaped yet, so the id is its own.
    let found = process::inspect(pid.ok_or(io::ErrorKind::NotFound)?)?;
    let sign = process::sign_of_exit(found.id)?;
    sign.map(|sign| register(sign, Interest::READABLE))
        .transpose()
}

/// Waits for the end; for ever where the kernel does not tell.
async fn comes(end: &io::Result<Option<AsyncFd<OwnedFd>>>) {
    match end {
        // An error of the reactor means that it is shutting down.
        Ok(Some(sign)) => drop(sign.readable().await),
        Ok(None) => {}
        Err(_) => pending().await,
    }
}

fn how(ended: ExitStatus) -> String {
    match ended.signal() {
        Some(signal) => format!("was ended by signal {signal}"),
        None => "ended without an answer".to_owned(),
    }
}

fn failed(what: &str) -> Fetched {
    let message =
        format!("the process that asks {what}; `agent-console usage --fetch` is the same by hand");
    Fetched::Failed(Failure::new(Problem::FetchFailed, message))
}

/// What the child says.
struct Output(AsyncFd<ChildStdout>);

impl Output {
    fn new(output: ChildStdout) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&output, true)?;
        Ok(Self(register(output, Interest::READABLE)?))
    }

    /// Waits for all of it, or as much as may be.
    async fn until_end(&mut self, said: &mut Vec<u8>) -> io::Result<()> {
        loop {
            // Cleared before it is read: what comes meanwhile makes it ready again.
            self.0.readable().await?.clear_ready();
            if self.take(said)? {
                return Ok(());
            }
        }
    }

    /// Takes what is there; true if there will be no more.
    fn take(&mut self, said: &mut Vec<u8>) -> io::Result<bool> {
        let mut chunk = [0; 1024];
        while said.len() < LONGEST {
            match rustix::io::read(self.0.get_ref(), &mut chunk) {
                Ok(0) => return Ok(true),
                Ok(count) => said.extend_from_slice(&chunk[..count]),
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

    /// Runs a shell in the child's place to its end and gives what came of it.
    fn asked(script: &str) -> Fetched {
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
            let slot = RefCell::new(Some(Asking(child)));
            let fetched = ask(output, &slot);
            let fetched = tokio::time::timeout(Duration::from_secs(20), fetched).await;
            assert!(slot.borrow().is_none());
            fetched.expect("its end")
        })
    }

    #[test]
    fn what_it_says_is_heard_until_it_ends() {
        let none = Fetched::Limits(Vec::new());
        assert_eq!(asked("printf '{\"limits\"'; sleep 0.01; echo ':[]}'"), none);
        // Closed, and not ended at once.
        assert_eq!(asked("echo '{\"limits\":[]}'; exec >&-; sleep 0.01"), none);
        // Somebody else keeps it open, and is ended with it.
        assert_eq!(asked("sleep 600 & echo '{\"limits\":[]}'"), none);
    }

    #[test]
    fn what_it_does_not_say_is_told_with_how_it_ended() {
        let message = |script| match asked(script) {
            Fetched::Failed(failure) => {
                assert_eq!(failure.problem, Problem::FetchFailed);
                failure.message.into_string()
            }
            Fetched::Limits(limits) => panic!("{limits:?}"),
        };
        assert!(message("exit 3").contains("ended without an answer"));
        assert!(message("echo '{\"limits\"'; exit 0").contains("ended without an answer"));
        assert!(message("kill -9 $$").contains("ended by signal 9"));
        assert!(message("exec yes").contains("ended by signal"));
    }
}
