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
//! | [`hook`] | an agent's event -> one line -> the socket; the first thing that `main` looks for |
//! | [`agents`] | an agent's payloads and registry -> our events; pure |
//! | [`protocol`], [`codec`] | the messages, which are the specification; bytes <-> messages |
//! | [`mod@core`] | every rule; no IO |
//! | [`daemon`] | the listener's origins, connections, the loop: does what the core decides |
//! | [`client`], [`follow`], [`mirror`], [`board`], [`commands`] | the other end of the socket |
//! | [`dashboard`] | the full-screen view |
//! | [`fetch`] | asks the account's service, in a process of its own |
//! | [`doctor`] | what is wrong with an installation, and what mends it |
//! | [`config`], [`log`], [`peer`], [`process`], [`clock`] | what both ends stand on |

pub mod agents;
pub mod board;
pub mod client;
pub mod clock;
pub mod codec;
pub mod commands;
pub mod config;
pub mod core;
pub mod daemon;
pub mod dashboard;
pub mod doctor;
pub mod fetch;
pub mod follow;
pub mod hook;
pub mod install;
pub mod log;
pub mod mirror;
pub mod peer;
pub mod process;
pub mod protocol;
mod show;

use std::process::ExitCode;

/// The program: the hook first, everything else after it.
#[must_use]
pub fn main() -> ExitCode {
    main_with(daemon::launchd::SYSTEM)
}

/// The program with launchd's call as an argument, so that it can be run where there is no launchd.
#[must_use]
pub fn main_with(launchd: Option<daemon::launchd::ActivateSocket>) -> ExitCode {
    hook::before_main();
    commands::run(launchd)
}
