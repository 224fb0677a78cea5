//! What the service manager is told, over `sd_notify(3)`: ready, reloading, leaving, alive.
//!
//! Without a manager (no `$NOTIFY_SOCKET`) every call is a no-op. A message that can't be sent is a warning: the
//! manager's own time-outs decide what becomes of it. Called by the loop.

use std::time::Duration;

use sd_notify::NotifyState;

/// The listener is registered and the loop runs.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again; [`ready`] ends it. The time is what systemd asks for with it
/// (systemd.service(5), `Type=notify-reload`).
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => {
            tracing::warn!("cannot read the monotonic clock for the service manager: {error}");
        }
    }
}

/// On the way out.
pub(super) fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// The loop turns.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often the manager wants to hear [`alive`], halved as `sd_watchdog_enabled(3)` advises; `None`: not at all.
pub(super) fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
        .map(|limit| limit / 2)
        .filter(|interval| !interval.is_zero())
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("cannot tell the service manager: {error}");
    }
}
