//! Tests of the real program from outside: processes, sockets, service managers, terminals. One crate, one builder
//! ([`support`]).
//!
//! Every test has a directory, a home and a socket of its own. Children are killed when their test ends, and a failing
//! test shows what its daemon logged. Tests wait for events, or poll with [`support::until`] to a deadline; a sleep
//! synchronises nothing.

#![allow(
    unreachable_pub,
    missing_docs,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    clippy::similar_names,
    reason = "used by this crate alone; tests wait in real time and fail by panicking"
)]

// What runs on Linux only, such as what needs systemd, is type-checked for every system: clippy gets all modules but the
// one that needs the standard library's Linux parts.
#[cfg(target_os = "linux")]
mod activation;
mod agent_files;
mod agent_filter;
mod background;
mod bad_input;
mod bar;
#[cfg(any(target_os = "linux", clippy))]
mod clock;
mod commands;
mod completions;
#[cfg(any(target_os = "linux", clippy))]
mod dashboard;
mod demo;
mod doctor;
mod event;
mod go;
mod harmless;
mod hook;
#[cfg(any(target_os = "linux", clippy))]
mod hostile;
mod idle_exit;
mod in_tmux;
#[cfg(any(target_os = "linux", clippy))]
mod install;
mod lifecycle;
mod list_watch;
mod load;
mod next;
#[cfg(target_os = "linux")]
mod notify;
mod opencode;
#[cfg(any(target_os = "linux", clippy))]
mod own_path;
#[cfg(any(target_os = "linux", clippy))]
mod process_exit;
#[cfg(target_os = "linux")]
mod programs;
mod protocol;
#[path = "../shared/pseudo_terminal.rs"]
mod pseudo_terminal;
#[cfg(any(target_os = "linux", clippy))]
#[path = "../shared/reexec.rs"]
mod reexec;
#[cfg(any(target_os = "linux", clippy))]
mod registry;
mod smoke;
mod state;
mod statusline;
#[cfg(any(target_os = "linux", clippy))]
mod stopped;
mod support;
#[cfg(any(target_os = "linux", clippy))]
mod systemd;
mod traces;
#[cfg(any(target_os = "linux", clippy))]
mod usage;
#[cfg(any(target_os = "linux", clippy))]
mod usage_server;
#[cfg(any(target_os = "linux", clippy))]
mod users;
mod wait;
