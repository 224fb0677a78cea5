//! The process that stands for an agent: reads orders from standard input and carries them out, until that ends.

use std::fs::File;
use std::io::{self, BufRead, Write};
use std::process::{Command, Stdio};

use super::stand_in::{DONE, Order};
use crate::os::program;

pub(super) fn serve(out: &mut impl Write) -> anyhow::Result<()> {
    // A lock is held for as long as its file is open.
    let mut locked = Vec::new();
    for line in io::stdin().lock().lines() {
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
            Ok(()) => writeln!(out, "{DONE}")?,
            Err(error) => writeln!(out, "{error}")?,
        }
        out.flush()?;
    }
    Ok(())
}
