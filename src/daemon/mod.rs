//! The service.

pub mod exits;
pub mod launchd;
pub mod listener;
