//! The one place where time is read. Called by the shell (daemon, hook, clients); the core gets time as an argument.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch; 0 for a clock set before it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
pub fn unix_ms() -> u64 {
    unix_ms_of(SystemTime::now())
}

/// The same of another moment, such as a file's time.
#[must_use]
pub(crate) fn unix_ms_of(time: SystemTime) -> u64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// [`unix_ms`] and [`boottime`] of one moment. Where the process was interrupted between the two, they are read again: their
/// difference shows whether the wall clock was set.
#[must_use]
pub fn both() -> (u64, Duration) {
    /// Far more than it takes to read them, and far less than a clock is set by.
    const TOGETHER: Duration = Duration::from_millis(5);
    loop {
        let before = boottime();
        let unix_ms = unix_ms();
        let after = boottime();
        if after.saturating_sub(before) < TOGETHER {
            return (unix_ms, after);
        }
    }
}

/// A point on the monotonic clock, for deadlines and intervals.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// The time since the system started, sleep included: `CLOCK_BOOTTIME` on Linux, which is also the clock of the start
/// times of processes; `CLOCK_MONOTONIC` on macOS, where it counts sleep (`clock_gettime(3)`).
#[must_use]
pub fn boottime() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let now = rustix::time::clock_gettime(clock);
    Duration::try_from(now).unwrap_or_default()
}
