//! The service: see [`agent_console::daemon::program`]. Calls the daemon's code alone, so that the linker leaves out
//! everything that serves a person (`.ci/check-size` looks).

use std::process::ExitCode;

// The unwinder, linked in: as a library of its own it would be loaded for the sake of backtraces alone.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "every foreign library is declared so")]
#[link(name = "gcc_eh", kind = "static", modifiers = "-bundle")]
// SAFETY: nothing is declared, so nothing can be called wrongly.
unsafe extern "C" {}

fn main() -> ExitCode {
    agent_console::daemon::program::main(agent_console::daemon::listener::launchd::SYSTEM)
}
