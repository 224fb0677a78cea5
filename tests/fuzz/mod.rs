//! Fuzz targets: what must hold for any bytes that come from outside the program. A target is a function of bytes that
//! panics where something does not hold.
//!
//! The same targets run in two ways: by libFuzzer, which looks for inputs that reach new code (`.ci/fuzz`, or
//! `cargo fuzz run --fuzz-dir tests/fuzz/cargo-fuzz -s none TARGET`), and in every `cargo test` with a fixed number of
//! random changes to the inputs in `corpus/TARGET` (`bounded`). `dictionary` holds the words that both insert.
//!
//! Part of the crate, because the targets call what no other crate can; compiled for tests and for fuzzing only.

#![allow(
    missing_docs,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "no part of the program: a target fails by panicking"
)]

mod agent_files;
#[cfg(test)]
mod bounded;
mod config;
mod daemon;
mod driver;
mod hook;
mod registry;
mod settings;
mod state;

/// A target's name, and its function.
type Target = (&'static str, fn(&[u8]));

/// Every target. Each has a directory in `corpus/` and a program in `cargo-fuzz/Cargo.toml`.
const TARGETS: &[Target] = &[
    ("agent_files", agent_files::target),
    ("config", config::target),
    ("daemon", daemon::target),
    ("hook", hook::target),
    ("registry", registry::target),
    ("settings", settings::target),
    ("state", state::target),
];

/// Runs a target on one input.
pub fn run(name: &str, data: &[u8]) {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = found.expect("a target of this name");
    target(data);
}

/// The first byte, which chooses among `choices`, and the rest.
fn choose<'a, 'd, T>(choices: &'a [T], data: &'d [u8]) -> Option<(&'a T, &'d [u8])> {
    let (first, rest) = data.split_first()?;
    Some((choices.get(usize::from(*first) % choices.len())?, rest))
}
