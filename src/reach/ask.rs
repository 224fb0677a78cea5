//! A question to a program that prints JSON, or a few lines.

use std::io::{ErrorKind, Read, Seek};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::os::command;

/// How long the program may take: kitty's needs a second to start on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest answer, in bytes: kitty's has each window's environment in it.
const LIMIT: u64 = 16 * 1024 * 1024;

/// What the program prints. An answer may be longer than a pipe holds, so it goes to a file.
///
/// # Errors
///
/// Why there is none; `None` where there is no such program.
pub(super) fn ask(command: &mut Command) -> Result<String, Option<String>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => None,
        _ => Some(format!("{program} cannot be asked: {error}")),
    };
    let mut file = tempfile::tempfile().map_err(failed)?;
    let output = file.try_clone().map_err(failed)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let status = command::wait(&mut child, TIMEOUT).map_err(failed)?;
    if !status.success() {
        return Err(Some(format!("{program} gives no answer")));
    }
    let mut text = String::new();
    file.rewind().map_err(failed)?;
    file.take(LIMIT).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}
