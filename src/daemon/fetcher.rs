//! The child that asks the account's service: started, read, killed, reaped.
//!
//! One at a time, as the core wants it; this module has no opinion on when. The child is this very program, started anew
//! (`usage --fetch`), so that HTTP, TLS and credentials are never in the daemon, and its memory and threads stay as they
//! are. Called by the loop, on its thread, inside a [`tokio::task::LocalSet`].

use std::cell::RefCell;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::rc::Rc;

use tokio::io::Interest;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::reactor::{self, register};
use crate::core::{Failure, Fetched, Problem};
use crate::process;

/// The most that is read of what the child says, in bytes: its line has some hundred.
const LONGEST: usize = 16 * 1024;

/// The name by which the child is seen in the process table.
const NAME: &str = "agent-console";

/// A child that has not been reaped: whoever drops it kills and reaps it.
#[derive(Debug)]
struct Asking(Child);

impl Drop for Asking {
    fn drop(&mut self) {
        // Both do nothing for one that was reaped.
        let _ = self.0.kill();
        let _ = self.0.wait();
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
            slot.borrow_mut().take();
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
        let mut child = Command::new(program()?)
            .arg0(NAME)
            .args(["usage", "--fetch"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        tracing::debug!(pid = child.id(), "asks the account's service");
        let output = child.stdout.take();
        *self.child.borrow_mut() = Some(Asking(child));
        output.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    /// Kills the child; its end comes with [`next`](Self::next).
    pub(super) fn kill(&mut self) {
        if let Some(Asking(child)) = self.child.borrow_mut().as_mut() {
            // It may have ended by itself.
            let _ = child.kill();
        }
    }

    /// What a child said; or how it ended without a word.
    pub(super) async fn next(&mut self) -> Option<Fetched> {
        self.told.recv().await
    }
}

/// This very program, also where its file was replaced since.
fn program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        Ok("/proc/self/exe".into())
    } else {
        std::env::current_exe()
    }
}

/// Hears the child out, and waits for its end.
async fn ask(output: ChildStdout, slot: &RefCell<Option<Asking>>) -> Fetched {
    let said = read(output).await;
    let ended = match reap(slot).await {
        Ok(status) => status,
        Err(error) => return failed(&format!("cannot be waited for: {error}")),
    };
    match said {
        Ok(line) => serde_json::from_slice(&line).unwrap_or_else(|_| failed(&how(ended))),
        Err(error) => failed(&format!("cannot be heard: {error}")),
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

/// All that it says, or as much as may be.
async fn read(output: ChildStdout) -> io::Result<Vec<u8>> {
    rustix::io::ioctl_fionbio(&output, true)?;
    let output = register(output, Interest::READABLE)?;
    let mut said = Vec::new();
    let mut chunk = [0; 1024];
    while said.len() < LONGEST {
        let mut ready = output.readable().await?;
        match ready.try_io(|output| Ok(rustix::io::read(output, &mut chunk)?)) {
            Ok(Ok(0)) => break,
            Ok(Ok(count)) => said.extend_from_slice(&chunk[..count]),
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(error)) => return Err(error),
            Err(_would_block) => {}
        }
    }
    Ok(said)
}

/// Waits for its end, and asks how it was.
async fn reap(slot: &RefCell<Option<Asking>>) -> io::Result<ExitStatus> {
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let pid = slot.borrow().as_ref().ok_or_else(gone)?.0.id();
    // Not reaped yet, so the id is its own.
    if let Some(sign) = process::sign_of_exit(process::inspect(pid)?.id)? {
        let sign = reactor::register(sign, Interest::READABLE)?;
        drop(sign.readable().await?);
    }
    slot.borrow_mut().as_mut().ok_or_else(gone)?.0.wait()
}
