//! The service.

pub mod launchd;
