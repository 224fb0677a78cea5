//! The operating system, behind small safe functions: time, processes, memory, a socket's other end.
//!
//! Knows nothing of agents, sessions or messages. Called by every module that does IO.

pub mod background;
pub mod clock;
pub mod command;
pub(crate) mod environment;
pub(crate) mod local_time;
pub mod lock_file;
pub mod machine;
pub mod memory;
pub mod peer;
#[cfg(target_os = "macos")]
mod proc_info;
pub mod process;
pub(crate) mod process_environment;
pub(crate) mod process_table;
pub mod program;
pub(crate) mod random;
pub mod runtime_dir;
pub mod service_manager;
pub mod shell;
pub(crate) mod small_file;
pub mod watchable;
