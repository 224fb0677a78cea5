//! The process that stands for an agent: reads orders from standard input and carries them out, until that ends. Like an
//! agent that a person sits at, it has a terminal as standard input and output.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio::{dup2_stdin, dup2_stdout};

use super::stand_in::{DONE, Order};
use crate::os::program;

/// The lowest descriptor that is none of the standard ones.
const FIRST: i32 = 3;

pub(super) fn serve() -> anyhow::Result<()> {
    let own =
        |descriptor: &dyn AsFd| fcntl_dupfd_cloexec(descriptor.as_fd(), FIRST).map(File::from);
    let orders = BufReader::new(own(&io::stdin())?);
    let mut answers = own(&io::stdout())?;
    let terminal = File::options().read(true).write(true).open("/dev/ptmx")?;
    dup2_stdin(&terminal)?;
    dup2_stdout(&terminal)?;
    // A lock is held for as long as its file is open.
    let mut locked = Vec::new();
    for line in orders.lines() {
        let done = match serde_json::from_str(&line?)? {
            Order::Lock(path) => File::create(path).and_then(|file| {
                file.lock()?;
                locked.push(file);
                Ok(())
            }),
            Order::Hook {
                arguments,
                variables,
                payload,
            } => Command::new(program::client()?)
                .arg("hook")
                .args(arguments)
                .envs(variables)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .and_then(|mut hook| {
                    if let Some(mut input) = hook.stdin.take() {
                        // It may have read enough; the daemon shows what came of it.
                        let _ = input.write_all(payload.as_bytes());
                    }
                    let status = hook.wait()?;
                    status.success().then_some(()).ok_or_else(|| {
                        io::Error::other(format!("the hook has ended with {status}"))
                    })
                }),
        };
        match done {
            Ok(()) => writeln!(answers, "{DONE}")?,
            Err(error) => writeln!(answers, "{error}")?,
        }
    }
    Ok(())
}
