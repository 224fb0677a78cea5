//! The service.

pub mod daemonize;
pub mod exits;
pub mod launchd;
pub mod listener;
