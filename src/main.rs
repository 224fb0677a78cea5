//! The program: see [`agent_console::main`].

use std::process::ExitCode;

fn main() -> ExitCode {
    agent_console::main()
}
