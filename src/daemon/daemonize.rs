//! `daemon --daemonize`: a child in the background, and a parent that exits once the child can be reached.
//!
//! A script that starts the daemon and then talks to it must not have to wait and try: the parent's exit status says
//! whether the daemon listens. So the two share a pipe: the child writes that it is ready, or why it is not; if it dies
//! first, the pipe closes and the parent says how it died.
//!
//! The steps are those of daemon(7), less the second fork: the daemon leads its session without a terminal, and opens
//! none. Called by the command line, first thing. Knows nothing of sockets or logs.

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, WaitOptions, WaitStatus};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Write};

/// First byte on the pipe: the daemon listens. What a person should know follows as text.
const READY: u8 = b'+';
/// First byte on the pipe: the start failed, for the reason that follows as text.
const FAILED: u8 = b'-';

/// Which of the two processes this is.
#[derive(Debug)]
pub enum Fork {
    /// The one that was started: it waits for the child, prints the outcome, and exits.
    Parent(Startup),
    /// The one that stays.
    Child(Readiness),
}

/// The parent's end.
#[derive(Debug)]
#[must_use = "the daemon is in the background only once it said so"]
pub struct Startup {
    child: Pid,
    pipe: File,
}

/// The child's end. Dropped without a message it counts as a failure.
#[derive(Debug)]
#[must_use = "the parent waits for it"]
pub struct Readiness {
    // Taken by the first message.
    pipe: Option<File>,
}

/// Why there is no daemon in the background.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The reason that the child gave.
    #[error("{0}")]
    Failed(String),
    /// It ended before it sent anything.
    #[error("the daemon {0} before it listened; run it in the foreground to see why")]
    Died(String),
}

/// Forks. The child leads a session of its own, works in `/`, makes files for its user only (umask 077) and has
/// `/dev/null` for its standard input, output and error.
///
/// Call it before the process has a second thread: a fork copies only the thread that calls it, and what the others
/// held stays locked for ever. What is relative to the working directory (the socket's path) must be made absolute
/// before; what a service manager passed must be taken before, since it was meant for this process id.
///
/// # Errors
///
/// In the parent only: no `/dev/null`, no pipe, no process to be had.
pub fn daemonize() -> io::Result<Fork> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    // A pipe of the standard library's: closed on exec on every system.
    let (reader, writer) = io::pipe()?;
    // Otherwise both processes write what is buffered.
    io::stdout().flush()?;
    #[expect(unsafe_code, reason = "fork(2) has no safe wrapper")]
    // SAFETY: the caller has only this thread, so the child is a whole copy.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop(reader);
            let readiness = Readiness {
                pipe: Some(File::from(std::os::fd::OwnedFd::from(writer))),
            };
            if let Err(errno) = detach(&null) {
                readiness.failed(&format_args!("cannot leave the terminal: {errno}"));
                std::process::exit(1);
            }
            Ok(Fork::Child(readiness))
        }
        pid => Ok(Fork::Parent(Startup {
            child: Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?,
            pipe: File::from(std::os::fd::OwnedFd::from(reader)),
        })),
    }
}

fn detach(null: &std::os::fd::OwnedFd) -> rustix::io::Result<()> {
    rustix::process::setsid()?;
    rustix::process::chdir("/")?;
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    rustix::stdio::dup2_stdin(null)?;
    rustix::stdio::dup2_stdout(null)?;
    rustix::stdio::dup2_stderr(null)
}

impl Startup {
    /// Waits until the child listens, and gives its process id, and what a person should know.
    ///
    /// # Errors
    ///
    /// See [`StartupError`]. There is no child left then, or it is about to leave.
    pub fn wait(mut self) -> Result<(u32, String), StartupError> {
        let mut kind = [0];
        if self.pipe.read_exact(&mut kind).is_err() {
            return Err(StartupError::Died(self.describe_exit()));
        }
        let mut text = Vec::new();
        // Cut short if the child dies in the middle; the part that came is still the best reason there is.
        let _ = self.pipe.read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        if kind == [READY] {
            Ok((self.child.as_raw_pid().unsigned_abs(), text))
        } else {
            Err(StartupError::Failed(text))
        }
    }

    /// How the child ended. The pipe is closed and empty, so it is dead or dying.
    fn describe_exit(&self) -> String {
        let waited = rustix::io::retry_on_intr(|| {
            rustix::process::waitpid(Some(self.child), WaitOptions::empty())
        });
        match waited {
            Ok(Some((_, status))) => describe(status),
            _ => "ended".to_owned(),
        }
    }
}

fn describe(status: WaitStatus) -> String {
    if let Some(signal) = status.terminating_signal() {
        format!("was killed by signal {signal}")
    } else if let Some(code) = status.exit_status() {
        format!("ended with exit status {code}")
    } else {
        "ended".to_owned()
    }
}

impl Readiness {
    /// Reports that the daemon listens: the parent prints the process id and exits. `note` is for the person who started
    /// it, or empty.
    pub fn ready(mut self, note: &str) {
        self.send(READY, note);
    }

    /// Reports the failure to the parent, which prints it and exits with an error. The child is expected to end.
    pub fn failed(mut self, reason: &dyn Display) {
        self.send(FAILED, &reason.to_string());
    }

    fn send(&mut self, kind: u8, text: &str) {
        if let Some(mut pipe) = self.pipe.take() {
            let mut message = vec![kind];
            message.extend_from_slice(text.as_bytes());
            // The parent may have been interrupted; the daemon serves all the same.
            let _ = pipe.write_all(&message);
        }
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        self.send(FAILED, "the daemon gave up without saying why");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reexec::{self, this_test};
    use std::process::{Command, Stdio};

    /// The part of the tests below that runs in a process of its own, since it forks: what the child does, and a file
    /// for its report.
    fn forked(argument: &str) {
        let (role, report_to) = argument.split_once(' ').unwrap();
        print!("printed before");
        let readiness = match daemonize().unwrap() {
            Fork::Parent(startup) => {
                match startup.wait() {
                    Ok((pid, note)) => println!("RESULT ok {pid}\n{note}"),
                    Err(error) => println!("RESULT error {error}"),
                }
                return;
            }
            Fork::Child(readiness) => readiness,
        };
        match role {
            "ready" => {
                println!("not to be seen");
                let pid = rustix::process::getpid();
                let umask = rustix::process::umask(Mode::empty());
                let report = format!(
                    "{} {} {:?} {:o} {:?}",
                    pid,
                    rustix::process::getsid(None).unwrap(),
                    std::env::current_dir().unwrap(),
                    umask.bits(),
                    [0, 1, 2].map(|fd| std::fs::read_link(format!("/dev/fd/{fd}")).ok()),
                );
                std::fs::write(report_to, report).unwrap();
                readiness.ready("a note");
            }
            "failed" => readiness.failed(&"the socket is taken\nby another"),
            "silent" => drop(readiness),
            "killed" => {
                let pid = rustix::process::getpid();
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            _ => std::mem::forget(readiness),
        }
        std::process::exit(3);
    }

    fn fork(this: &str, role: &str, report: &std::path::Path) -> String {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let argument = format!("{role} {}", report.display());
        let output = reexec::second_half(&mut command, this, &argument)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text.matches("printed before").count(), 1, "{text}");
        assert!(!text.contains("not to be seen"), "{text}");
        let (_, result) = text.split_once("RESULT ").unwrap();
        result.split("\ntest ").next().unwrap().to_owned()
    }

    #[test]
    fn the_parent_leaves_once_the_child_is_ready() {
        if let Some(argument) = reexec::argument() {
            return forked(&argument);
        }
        let directory = tempfile::tempdir().unwrap();
        let report = directory.path().join("report");
        let result = fork(this_test!(), "ready", &report);
        let mut lines = result.strip_prefix("ok ").unwrap().lines();
        let (pid, note) = (lines.next().unwrap(), lines.next());
        assert_eq!(note, Some("a note"));
        let report = std::fs::read_to_string(report).unwrap();
        let null = "Some(\"/dev/null\")";
        let expected = format!("{pid} {pid} \"/\" 77 [{null}, {null}, {null}]");
        if cfg!(target_os = "linux") {
            assert_eq!(report, expected);
        } else {
            // /dev/fd holds no links there.
            assert!(report.starts_with(&format!("{pid} {pid} \"/\" 77 ")));
        }
    }

    #[test]
    fn the_parent_prints_the_childs_reason() {
        if let Some(argument) = reexec::argument() {
            return forked(&argument);
        }
        let result = fork(this_test!(), "failed", std::path::Path::new("/nonexistent"));
        assert!(
            result.starts_with("error the socket is taken\nby another\n"),
            "{result}"
        );
        let result = fork(this_test!(), "silent", std::path::Path::new("/nonexistent"));
        assert!(result.contains("without saying why"), "{result}");
    }

    #[test]
    fn the_parent_prints_how_the_child_died() {
        if let Some(argument) = reexec::argument() {
            return forked(&argument);
        }
        let result = fork(this_test!(), "killed", std::path::Path::new("/nonexistent"));
        assert!(result.contains("was killed by signal 9"), "{result}");
        let result = fork(
            this_test!(),
            "forgets",
            std::path::Path::new("/nonexistent"),
        );
        assert!(result.contains("ended with exit status 3"), "{result}");
    }
}
