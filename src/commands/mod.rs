//! One file a command: what a person types, done with blocking std IO. Called by `main` once clap has read the line.

pub mod config;
