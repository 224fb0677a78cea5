//! The short name: executes the `agent-console` beside it with the same arguments.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use agent_console::os::program::{CLIENT, beside};

fn main() -> ExitCode {
    let Some(program) = beside(CLIENT) else {
        eprintln!("acd: there is no {CLIENT} beside this program");
        return ExitCode::FAILURE;
    };
    let error = Command::new(&program)
        .args(std::env::args_os().skip(1))
        .exec();
    eprintln!("acd: {}: {error}", program.display());
    ExitCode::FAILURE
}
