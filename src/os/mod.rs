//! The operating system, behind small safe functions: time, processes, a socket's other end.
//!
//! Knows nothing of agents, sessions or messages. Called by every module that does IO.

pub mod clock;
pub mod command;
pub mod peer;
pub mod process;
pub mod program;
pub mod service_manager;
pub mod shell;
