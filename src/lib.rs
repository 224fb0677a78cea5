//! The resident service that knows what every coding agent on a machine is doing.
//!
//! ```text
//! agent ─hook process─▶ connection ─▶ codec ─▶ mailbox (bounded) ─▶ core.handle(input, now) ─▶ effects
//!                                                                      │ one map, one owner
//! registry files, process exits, timers, signals ─────────────────────▶│
//!                                                                      ▼
//! dashboard ◀─ one write per turn of the loop ◀─ line serialised once ◀─ changed
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`hook`] | an agent's event -> one line -> the socket |
//! | [`agents`] | all that differs from one agent to another: a folder each; pure |
//! | [`event`], [`limits`] | what agents report, in this program's words |
//! | [`notify`] | reminds a person: the desktop's notifications, a command |
//! | [`reminders`] | what passes between the daemon and the child that reminds a person |
//! | [`protocol`], [`codec`] | the messages, which are the specification; bytes <-> messages |
//! | [`mod@core`] | every rule; no IO |
//! | [`daemon`] | listeners, connections, the event loop: does what the core decides |
//! | [`client`] | the other end of the socket |
//! | [`commands`], [`dashboard`] | what a person types; the full-screen view |
//! | [`reach`] | the way to a session's terminal: proven, planned, gone |
//! | [`install`], [`doctor`] | puts the files in place; checks an installation |
//! | [`config`], [`log`], [`os`] | what both ends stand on |

mod agents;
pub mod client;
pub mod codec;
mod commands;
mod config;
#[cfg(test)]
mod conformance;
mod core;
pub mod daemon;
pub mod dashboard;
mod doctor;
mod event;
mod format;
#[cfg(any(test, fuzzing))]
#[path = "../tests/fuzz/mod.rs"]
pub mod fuzz;
pub mod hook;
mod install;
mod limits;
mod log;
mod notify;
pub mod os;
pub mod protocol;
mod reach;
#[cfg(test)]
#[path = "../tests/shared/reexec.rs"]
mod reexec;
mod reminders;

use std::process::ExitCode;

/// The program: the hook first, everything else after it.
#[must_use]
pub fn main() -> ExitCode {
    main_with(daemon::listener::launchd::SYSTEM)
}

/// The program with launchd's call as an argument, so that it can be run where there is no launchd.
#[must_use]
pub fn main_with(launchd: Option<daemon::listener::launchd::ActivateSocket>) -> ExitCode {
    hook::before_main();
    commands::run(launchd)
}
