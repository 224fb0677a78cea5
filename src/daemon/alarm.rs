//! The one timer of the event loop: it counts sleep, and notices that the wall clock was set.
//!
//! The runtime's own timers run on `CLOCK_MONOTONIC`, which stands still while the machine sleeps: an hour's timer set
//! before a night fires up to an hour after waking. On Linux a timer of `CLOCK_BOOTTIME` (`timerfd_create(2)`) fires as
//! soon as the machine wakes. A second one, of `CLOCK_REALTIME` with `TFD_TIMER_CANCEL_ON_SET`, ends when the clock is
//! set, since a moment of the wall clock may then have passed; waking counts as setting. Neither causes a wake-up before.
//!
//! macOS has no such timers for tokio. There a wait is interrupted each minute, while something is waited for.
//! Called by [`super::event_loop`].

use std::io;
use std::time::Duration;

#[cfg(target_os = "linux")]
pub(super) use self::linux::Alarm;
#[cfg(not(target_os = "linux"))]
pub(super) use self::other::Alarm;

#[cfg(target_os = "linux")]
mod linux {
    use super::{Duration, io};
    use std::future::pending;
    use std::os::fd::OwnedFd;

    use rustix::io::Errno;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    use crate::daemon::reactor::register;

    /// In seconds since the epoch: the year 9999.
    const NEVER: i64 = 253_402_300_799;

    /// See the module.
    pub(in crate::daemon) struct Alarm {
        timer: AsyncFd<OwnedFd>,
        clock: AsyncFd<OwnedFd>,
        armed: Option<Duration>,
    }

    impl Alarm {
        pub(in crate::daemon) fn new() -> io::Result<Self> {
            let create = |clock| {
                let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
                register(timerfd_create(clock, flags)?, Interest::READABLE)
            };
            let clock = create(TimerfdClockId::Realtime)?;
            let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
            let never = Timespec {
                tv_sec: NEVER,
                tv_nsec: 0,
            };
            timerfd_settime(clock.get_ref(), flags, &once(never))?;
            Ok(Self {
                timer: create(TimerfdClockId::Boottime)?,
                clock,
                armed: None,
            })
        }

        /// Resolves when `due` has come, counted as [`crate::os::clock::boottime`] is, or the wall clock has been set.
        /// `None`: only then.
        pub(in crate::daemon) async fn at(&mut self, due: Option<Duration>) {
            self.arm(due);
            tokio::select! {
                () = expired(&self.timer) => self.armed = None,
                () = expired(&self.clock) => {}
            }
        }

        fn arm(&mut self, due: Option<Duration>) {
            if self.armed == due {
                return;
            }
            // A value of 0 disarms.
            let due = due.map(|due| due.max(Duration::from_nanos(1)));
            let value = due.map_or(Ok(Timespec::default()), Timespec::try_from);
            let value = value.unwrap_or_default();
            let flags = TimerfdTimerFlags::ABSTIME;
            match timerfd_settime(self.timer.get_ref(), flags, &once(value)) {
                Ok(_) => self.armed = due,
                Err(error) => tracing::error!("cannot set the timer: {error}"),
            }
        }
    }

    fn once(it_value: Timespec) -> Itimerspec {
        Itimerspec {
            it_interval: Timespec::default(),
            it_value,
        }
    }

    /// Resolves when the timer has expired or was cancelled.
    async fn expired(timer: &AsyncFd<OwnedFd>) {
        loop {
            // An error of the reactor means that it is shutting down.
            let Ok(mut ready) = timer.readable().await else {
                return pending().await;
            };
            match rustix::io::read(timer.get_ref(), &mut [0_u8; 8]) {
                Err(Errno::AGAIN) => ready.clear_ready(),
                // The count of expirations, or ECANCELED.
                Ok(_) | Err(_) => return,
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use super::{Duration, io};
    use std::future::pending;

    use crate::os::clock;

    /// How long a wait lasts at most: after waking, what is due is late by no more.
    const LONGEST: Duration = Duration::from_mins(1);

    /// See the module.
    pub(in crate::daemon) struct Alarm;

    impl Alarm {
        #[expect(clippy::unnecessary_wraps, reason = "on Linux it can fail")]
        pub(in crate::daemon) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// Resolves when `due` has come, counted as [`clock::boottime`] is, or earlier. `None`: never.
        pub(in crate::daemon) async fn at(&mut self, due: Option<Duration>) {
            match due {
                Some(due) => {
                    let left = due.saturating_sub(clock::boottime());
                    tokio::time::sleep(left.min(LONGEST)).await;
                }
                None => pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::clock;

    fn run<T>(body: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(body)
    }

    #[test]
    fn it_resolves_when_the_moment_has_come_and_not_before() {
        run(async {
            let mut alarm = Alarm::new().unwrap();
            for wait in [0, 1, 40] {
                let due = clock::boottime() + Duration::from_millis(wait);
                alarm.at(Some(due)).await;
                assert!(clock::boottime() >= due);
            }
            // What has passed is due at once, also the beginning of time.
            alarm.at(Some(Duration::ZERO)).await;
        });
    }

    #[test]
    fn a_wait_that_was_given_up_can_begin_again() {
        run(async {
            let mut alarm = Alarm::new().unwrap();
            let hour = clock::boottime() + Duration::from_hours(1);
            for due in [Some(hour), None, Some(hour)] {
                let waits = alarm.at(due);
                let waited = tokio::time::timeout(Duration::from_millis(20), waits).await;
                assert!(waited.is_err(), "{due:?}");
            }
            let soon = clock::boottime() + Duration::from_millis(20);
            alarm.at(Some(soon)).await;
            assert!(clock::boottime() >= soon);
        });
    }
}
