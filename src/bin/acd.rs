//! The same program under its short name.

use std::process::ExitCode;

fn main() -> ExitCode {
    agent_console::main()
}
