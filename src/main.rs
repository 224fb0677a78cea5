//! The program: see [`agent_console::main`]. And what makes its `hook` start as fast as a program can.
//!
//! An agent runs the hook on each event and waits for it, so a tenth of a millisecond counts. With glibc two of them
//! are saved before `main`, together a quarter of the whole run: the standard library's preparations, which read the
//! memory map to guard the stack of a program that runs for long (the hook leaves before they begin), and the loading
//! of `libgcc_s`, which only serves to print backtraces (its static form does that as well). Elsewhere, and under the
//! short name, the hook is simply the first branch in `main`.

use std::process::ExitCode;

/// Called before `main`. Not in the test harness, whose first argument is a test's name, which may be "hook".
#[cfg(all(target_os = "linux", target_env = "gnu", not(test)))]
#[expect(
    unsafe_code,
    reason = "the table of functions to call has no safe name"
)]
// SAFETY: glibc calls each entry of this section once, in order, on the only thread; the function has the type of one
// that takes no argument and returns, and needs nothing that is only set up later.
#[unsafe(link_section = ".init_array")]
#[used]
static HOOK_FIRST: extern "C" fn() = agent_console::hook::before_main;

// The unwinder, linked in; the same library that Rust takes for a wholly static program.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "every foreign library is declared so")]
#[link(name = "gcc_eh", kind = "static", modifiers = "-bundle")]
// SAFETY: nothing is declared, so nothing can be called wrongly.
unsafe extern "C" {}

fn main() -> ExitCode {
    agent_console::main()
}
