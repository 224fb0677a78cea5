//! A child process that does one job: started, fed, read, killed, reaped.
//!
//! It is `agent-console`, the program that lies beside this one, so that HTTP, TLS, D-Bus and credentials are never in the
//! daemon, and its memory and threads stay as they are. It gets its input, if any, on standard input, and answers on
//! standard output. Called by `limits_child` and `reminder_child`, on the loop's thread, inside a
//! [`tokio::task::LocalSet`].

use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::rc::Rc;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::reactor::register;
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

/// The child that runs, if one does. Each clone is of the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot(Rc<RefCell<Option<ChildGuard>>>);

/// The ends of a child's pipes.
pub(super) struct Pipes {
    input: Option<ChildStdin>,
    output: ChildStdout,
}

/// A command for the program with the command line.
pub(super) fn command() -> io::Result<Command> {
    let mut command = Command::new(program::client()?);
    command.arg0(NAME);
    Ok(command)
}

impl Slot {
    /// Starts the child, which gets `input` or an empty standard input.
    pub(super) fn spawn(&self, command: &mut Command, input: Stdio) -> io::Result<Pipes> {
        let mut child = command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A signal from the terminal is the daemon's, which ends it.
            .process_group(0)
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        *self.0.borrow_mut() = Some(ChildGuard(child));
        let output = output.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Pipes { input, output })
    }

    /// The child's process id.
    pub(super) fn pid(&self) -> Option<u32> {
        self.0.borrow().as_ref().map(|ChildGuard(child)| child.id())
    }

    /// Kills the child; its end comes from [`run`] all the same.
    pub(super) fn kill(&self) {
        if let Some(child) = self.0.borrow().as_ref() {
            child.kill();
        }
    }

    /// Kills the child and waits for its end.
    pub(super) fn end(&self) {
        if let Some(child) = self.0.borrow_mut().take() {
            let _ = child.reap();
        }
    }

    fn reap(&self) -> Option<io::Result<ExitStatus>> {
        self.0.borrow_mut().take().map(ChildGuard::reap)
    }
}

/// Writes the child's input, reads its output to the end, waits for its exit, and reaps it. Gives the output, and how it has
/// ended in words, for the case that the output says nothing.
pub(super) async fn run(pipes: Pipes, input: &[u8], slot: &Slot) -> (Vec<u8>, String) {
    let exit = exit_of(slot);
    let mut output = Vec::new();
    let Pipes {
        input: stdin,
        output: stdout,
    } = pipes;
    let read = match Output::new(stdout) {
        // The exit ends the output even if another process holds the pipe open.
        Ok(mut stdout) => tokio::select! {
            biased;
            read = async {
                if let Some(stdin) = stdin {
                    // A child that does not read it says so by its end.
                    let _ = write(stdin, input).await;
                }
                stdout.read_to_end(&mut output).await
            } => read,
            () = wait_exit(&exit) => stdout.read_available(&mut output).map(drop),
        },
        Err(error) => Err(error),
    };
    if exit.is_ok() {
        wait_exit(&exit).await;
    }
    let ending = match (slot.reap(), read) {
        (_, Err(error)) => format!("cannot be read: {error}"),
        (Some(Ok(status)), Ok(())) => describe_exit(status),
        (Some(Err(error)), Ok(())) => format!("cannot be waited for: {error}"),
        (None, Ok(())) => "is gone".to_owned(),
    };
    (output, ending)
}

/// A descriptor that becomes readable when the child ends; `None`: it has ended.
fn exit_of(slot: &Slot) -> io::Result<Option<AsyncFd<OwnedFd>>> {
    // Not reaped yet, so the id is its own.
    let found = process::inspect(slot.pid().ok_or(io::ErrorKind::NotFound)?)?;
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

/// Writes all of it, and closes the pipe.
async fn write(stdin: ChildStdin, mut rest: &[u8]) -> io::Result<()> {
    rustix::io::ioctl_fionbio(&stdin, true)?;
    let stdin = register(stdin, Interest::WRITABLE)?;
    while !rest.is_empty() {
        match rustix::io::write(stdin.get_ref(), rest) {
            Ok(count) => rest = &rest[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => stdin.writable().await?.clear_ready(),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
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
pub(super) mod tests {
    use super::*;
    use std::time::Duration;

    /// Runs a shell script in the child's place, with this input, and gives what it has printed and how it has ended.
    pub(in crate::daemon) fn run_script(script: &str, input: &[u8]) -> (Vec<u8>, String) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let slot = Slot::default();
            let mut child = Command::new("sh");
            let pipes = slot.spawn(child.args(["-c", script]), Stdio::piped());
            let ended = run(pipes.unwrap(), input, &slot);
            let ended = tokio::time::timeout(Duration::from_mins(1), ended).await;
            assert!(slot.0.borrow().is_none());
            ended.expect("its end")
        })
    }

    #[test]
    fn output_is_read_until_the_exit() {
        let output = |script| run_script(script, b"").0;
        assert_eq!(output("printf 'a b'; sleep 0.01; echo ' c'"), b"a b c\n");
        // Closed, and not ended at once.
        assert_eq!(output("echo a; exec >&-; sleep 0.01"), b"a\n");
        // Another process keeps it open, and is killed with it.
        assert_eq!(output("sleep 600 & echo a"), b"a\n");
    }

    /// More than a pipe holds; a child that reads nothing, or a part, is not waited for.
    #[test]
    fn input_is_written_whole_unless_the_child_does_not_read_it() {
        let input = vec![b'x'; 300_000];
        let count = run_script("wc -c", &input).0;
        assert_eq!(String::from_utf8(count).unwrap().trim(), "300000");
        assert_eq!(run_script("echo a", &input).0, b"a\n");
        assert_eq!(run_script("head -c 1", &input).0, b"x");
    }

    #[test]
    fn how_it_ended_is_said() {
        let ending = |script| run_script(script, b"").1;
        assert_eq!(ending("exit 3"), "ended without an answer");
        assert_eq!(ending("kill -9 $$"), "was ended by signal 9");
        assert!(ending("exec yes").starts_with("was ended by signal"));
    }
}
