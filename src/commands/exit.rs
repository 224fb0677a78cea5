//! Exit codes.

use std::io;
use std::process::ExitCode;

use super::wait::TimedOut;
use crate::client::ClientError;
use crate::format::print_error;

/// Something failed.
const FAILURE: u8 = 1;
/// The command line is wrong: clap's own code.
pub(super) const USAGE: u8 = 2;
/// No daemon answers.
const NO_DAEMON: u8 = 3;
/// `wait` timed out: the code of timeout(1).
const TIMED_OUT: u8 = 124;

/// Prints the error and returns its exit code: the one table of both.
pub(super) fn report(error: &anyhow::Error) -> ExitCode {
    let broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
        let kind = match cause.downcast_ref::<serde_json::Error>() {
            // Its `source` does not return the IO error.
            Some(error) => error.io_error_kind(),
            None => cause.downcast_ref().map(io::Error::kind),
        };
        kind == Some(io::ErrorKind::BrokenPipe)
    };
    // The reader of standard output has closed it: no failure.
    if error.chain().any(broken_pipe) {
        return ExitCode::SUCCESS;
    }
    print_error(error);
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::NoDaemon { .. }) => ExitCode::from(NO_DAEMON),
        _ if error.is::<TimedOut>() => ExitCode::from(TIMED_OUT),
        _ => ExitCode::from(FAILURE),
    }
}
