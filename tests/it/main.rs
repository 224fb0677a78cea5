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
#[cfg(target_os = "linux")]
mod again;
mod bad_input;
mod bar;
mod commands;
#[cfg(target_os = "linux")]
mod dashboard;
mod demo;
mod doctor;
#[cfg(target_os = "linux")]
mod ends;
mod hook;
#[cfg(target_os = "linux")]
mod install;
mod lifecycle;
mod lists;
mod load;
#[cfg(target_os = "linux")]
mod managers;
mod next;
mod protocol;
#[cfg(target_os = "linux")]
mod registry;
#[cfg(target_os = "linux")]
mod service;
mod serving;
mod shells;
mod statusline;
mod support;
mod traces;
#[cfg(target_os = "linux")]
mod usage;
#[cfg(target_os = "linux")]
mod users;
mod wait;
