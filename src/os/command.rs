//! A child process with a time limit. Called by the installer and `doctor`, for service managers and this crate's own
//! programs.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use super::process;

/// Runs a command with empty standard input to its end, and gives how it ended and what it printed. One that takes longer
/// than `limit` is killed.
///
/// For short answers: what it prints is read once it has ended, so a command that fills a pipe (64 KiB on Linux) waits
/// until it is killed.
///
/// # Errors
///
/// It cannot be started, or takes longer (`TimedOut`).
pub fn output(command: &mut Command, limit: Duration) -> io::Result<Output> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let status = wait(&mut child, limit)?;
    Ok(Output {
        status,
        stdout: child.stdout.take().map_or(Ok(Vec::new()), read_available)?,
        stderr: child.stderr.take().map_or(Ok(Vec::new()), read_available)?,
    })
}

/// Waits for the end of a child and reaps it. One that takes longer than `limit` is killed.
///
/// # Errors
///
/// It takes longer (`TimedOut`), or cannot be waited for.
pub fn wait(child: &mut Child, limit: Duration) -> io::Result<ExitStatus> {
    let ended = process::inspect(child.id())
        .and_then(|found| process::wait_for_exit(found.id, limit))
        .and_then(|ended| {
            let late = format!("it took longer than {} s", limit.as_secs());
            ended
                .then_some(())
                .ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, late))
        });
    if ended.is_err() {
        let _ = child.kill();
    }
    let status = child.wait()?;
    ended.map(|()| status)
}

/// What is in the pipe of a child that has ended. A child of its own may hold the pipe open.
fn read_available(mut pipe: impl Read + std::os::fd::AsFd) -> io::Result<Vec<u8>> {
    rustix::io::ioctl_fionbio(&pipe, true)?;
    let mut bytes = Vec::new();
    match pipe.read_to_end(&mut bytes) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        Ok(_) | Err(_) => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn shell(script: &str, limit: Duration) -> io::Result<Output> {
        output(Command::new("sh").args(["-c", script]), limit)
    }

    #[test]
    fn what_it_prints_and_how_it_ends_is_given() {
        let output = shell("echo out; echo err >&2; exit 3", LONG).unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(
            (&*output.stdout, &*output.stderr),
            (&b"out\n"[..], &b"err\n"[..])
        );
    }

    #[test]
    fn one_that_leaves_a_child_behind_is_not_waited_for() {
        let output = shell("sleep 600 & echo $!", LONG).unwrap();
        let pid = String::from_utf8(output.stdout).unwrap();
        let killed = Command::new("kill").arg(pid.trim()).status().unwrap();
        assert!(killed.success());
    }

    #[test]
    fn one_that_takes_too_long_is_killed() {
        let late = shell("exec sleep 600", Duration::from_millis(50)).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        // It fills its pipe.
        let late = shell("exec yes", Duration::from_millis(200)).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }
}
