//! The real program, from outside: processes, sockets, managers, terminals. One crate, one builder ([`support`]).
//!
//! Every test has a directory, a home and a socket of its own. Children are killed when their test ends, and a failing
//! test shows what its daemon logged. Nothing waits by sleeping: events, or [`support::until`] a deadline.

#![allow(
    unreachable_pub,
    missing_docs,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    clippy::similar_names,
    reason = "nobody else's interface; tests wait for real and fail by panicking"
)]

#[cfg(target_os = "linux")]
mod activation;
mod background;
mod bad_input;
mod bar;
mod commands;
mod completions;
#[cfg(target_os = "linux")]
mod dashboard;
mod demo;
mod doctor;
mod hook;
mod idle_exit;
#[cfg(target_os = "linux")]
mod install;
mod lifecycle;
mod list_watch;
mod load;
mod next;
#[cfg(target_os = "linux")]
mod process_exit;
mod protocol;
#[cfg(target_os = "linux")]
mod reexec;
#[cfg(target_os = "linux")]
mod registry;
mod smoke;
mod statusline;
mod support;
#[cfg(target_os = "linux")]
mod systemd;
mod traces;
#[cfg(target_os = "linux")]
mod usage;
#[cfg(target_os = "linux")]
mod usage_server;
#[cfg(target_os = "linux")]
mod users;
mod wait;
