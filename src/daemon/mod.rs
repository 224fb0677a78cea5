//! The service.

pub mod launchd;
pub mod listener;
