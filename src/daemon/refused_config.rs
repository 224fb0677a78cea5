//! The wait for a configuration that can be used, where a service manager has started the daemon.
//!
//! A daemon that ended would be started again by the manager, at once where a connection waits, and fail again: the log
//! would fill, or the manager would give the socket up. So the process stays. What connects meanwhile waits in the
//! manager's queue, and hooks do not wait at all: no report is lost. A client that gets no answer reads the configuration
//! itself, and says what is wrong with it.
//!
//! Called by the daemon's start. Knows nothing of what the settings mean.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use signal_hook::consts::SIGHUP;

use super::sd_notify;
use crate::config::{Config, ConfigError};

/// From the correction of the file until the daemon serves, at most.
const PAUSE: Duration = Duration::from_secs(1);

/// Returns the configuration once it can be used. `refused` is why it cannot be yet.
pub(super) fn wait(refused: &ConfigError) -> Config {
    // A reload asks for what happens anyway, and would end the process.
    let ignored = Arc::new(AtomicBool::new(false));
    if let Err(error) = signal_hook::flag::register(SIGHUP, ignored) {
        tracing::warn!("cannot catch SIGHUP: {error}");
    }
    let mut why = refused.to_string();
    report(&why);
    loop {
        thread::sleep(PAUSE);
        sd_notify::alive();
        match Config::load() {
            Ok(config) => {
                tracing::info!("the configuration can be used now");
                return config;
            }
            Err(error) => {
                let now = error.to_string();
                if now != why {
                    report(&now);
                    why = now;
                }
            }
        }
    }
}

fn report(why: &str) {
    tracing::error!("cannot serve until the configuration is corrected: {why}");
    sd_notify::ready(&format!("not serving: {why}"));
}
