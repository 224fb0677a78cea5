//! Notifications to the service manager, over `sd_notify(3)`: ready, reloading, stopping, alive.
//!
//! Without a manager (no `$NOTIFY_SOCKET`) every call is a no-op. A message that can't be sent is a warning: the
//! manager's own time-outs decide what follows. Called by the loop.

use std::time::Duration;

use sd_notify::NotifyState;

/// The listener is registered and the loop runs.
pub(super) fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again; [`ready`] ends it. The time is what systemd asks for with it
/// (systemd.service(5), `Type=notify-reload`).
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => {
            tracing::warn!("cannot read the monotonic clock for the service manager: {error}");
        }
    }
}

/// The daemon shuts down.
pub(super) fn stopping(status: &str) {
    notify(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// The event loop runs (the watchdog's sign of life).
pub(super) fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// How often to send [`alive`]: half the manager's limit, as `sd_watchdog_enabled(3)` advises; `None`: never.
pub(super) fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
        .map(|limit| limit / 2)
        .filter(|interval| !interval.is_zero())
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("cannot notify the service manager: {error}");
    }
}
