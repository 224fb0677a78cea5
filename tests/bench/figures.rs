//! agent-console beside its peers, in one run: `cargo bench --bench figures [-- SECTION...] [--quick] [--json PATH]`.
//!
//! Everything is measured on processes: the real programs, built as for release, in directories of their own, by a load
//! generator that is not part of them. Absolute times depend on the machine and its load, so the systems take turns, and
//! each line has the figures of peers and of floors: what the machine takes for the same bytes with nothing of a
//! system's in it. `docs/performance.md` explains the sections. Prints Markdown; a lost update is a panic.

#![allow(
    unreachable_pub,
    missing_docs,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "no interface of a library; a measurement reads the clock and fails by panicking"
)]

#[cfg(target_os = "linux")]
mod agents;
#[cfg(target_os = "linux")]
mod daemon;
#[cfg(target_os = "linux")]
mod dashboard;
#[cfg(target_os = "linux")]
mod goals;
#[cfg(target_os = "linux")]
mod growth;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod manager;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod processes;
#[cfg(target_os = "linux")]
#[path = "../shared/pseudo_terminal.rs"]
mod pseudo_terminal;
#[cfg(target_os = "linux")]
mod readers;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod systems;
#[cfg(target_os = "linux")]
mod traffic;

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("figures: reads /proc and uses epoll, so it runs on Linux only");
}
