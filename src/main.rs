//! The program: see [`agent_console::main`].

use std::process::ExitCode;

// The unwinder, linked in; the same library that Rust takes for a wholly static program. As a library of its own it would
// be loaded at each start for the sake of backtraces alone.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "every foreign library is declared so")]
#[link(name = "gcc_eh", kind = "static", modifiers = "-bundle")]
// SAFETY: nothing is declared, so nothing can be called wrongly.
unsafe extern "C" {}

fn main() -> ExitCode {
    agent_console::main()
}
