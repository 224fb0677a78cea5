//! The resident service that knows what every coding agent on a machine is doing.

pub mod agents;
pub mod clock;
pub mod codec;
pub mod commands;
pub mod config;
pub mod core;
pub mod daemon;
pub mod log;
pub mod peer;
pub mod process;
pub mod protocol;

use std::process::ExitCode;

/// The program: the hook first, everything else after it.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
