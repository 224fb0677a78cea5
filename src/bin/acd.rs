//! The short name: runs the hook, and executes the `agent-console` beside it with the same arguments for all else.
//!
//! An agent runs the hook on each event and waits for it, so a tenth of a millisecond counts. This program is small: the
//! dynamic loader has few addresses to write into it and few pages to read. With glibc two more tenths are saved before
//! `main`, together a quarter of the whole run: the standard library's preparations, which read the memory map to guard
//! the stack of a program that runs for long (the hook leaves before they begin), and the loading of `libgcc_s`, which
//! only serves to print backtraces (its static form does that as well).

use std::process::ExitCode;

use agent_console::hook;
use agent_console::os::program::{CLIENT, beside, exec};

/// Called before `main`.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(
    unsafe_code,
    reason = "the table of functions to call has no safe name"
)]
// SAFETY: glibc calls each entry of this section once, in order, on the only thread; the function has the type of one
// that takes no argument and returns, and needs nothing that is only set up later.
#[unsafe(link_section = ".init_array")]
#[used]
static HOOK_FIRST: extern "C" fn() = hook::before_main;

// The unwinder, linked in; the same library that Rust takes for a wholly static program.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "every foreign library is declared so")]
#[link(name = "gcc_eh", kind = "static", modifiers = "-bundle")]
// SAFETY: nothing is declared, so nothing can be called wrongly.
unsafe extern "C" {}

fn main() -> ExitCode {
    hook::before_main();
    let Some(program) = beside(CLIENT) else {
        eprintln!("acd: there is no {CLIENT} beside this program: install both into one directory");
        return ExitCode::FAILURE;
    };
    let error = exec(&program, std::env::args_os().skip(1));
    eprintln!("acd: {}: {error}", program.display());
    ExitCode::FAILURE
}
