//! The short name: executes the `agent-console` beside it with the same arguments.

use std::process::ExitCode;

use agent_console::os::program::{CLIENT, beside, exec};

fn main() -> ExitCode {
    let Some(program) = beside(CLIENT) else {
        eprintln!("acd: there is no {CLIENT} beside this program");
        return ExitCode::FAILURE;
    };
    let error = exec(&program, std::env::args_os().skip(1));
    eprintln!("acd: {}: {error}", program.display());
    ExitCode::FAILURE
}
