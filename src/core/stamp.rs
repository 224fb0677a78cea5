//! Stamps: when something happened, by the wall clock of the process that saw it, and how far they can be believed.
//!
//! Stamps are of the wall clock (ms since the epoch), since that is the one clock that an agent, its files, a hook in a
//! container and this daemon have in common: the time since the start of the machine is in no agent's file, and another
//! one in each time namespace. But the wall clock may be set, and that of a container or of another machine may be
//! wrong. So each stamp that comes from outside is judged here, and nowhere else:
//!
//! * [`WallClock::look`] notices that the wall clock was set: it then differs from the uptime by another amount than
//!   before. Everything that is kept moves by as much (the functions named `clock_was_set`), so what was 5 min ago
//!   stays 5 min ago, and the order of what was stamped before and after stays that of the events.
//! * [`WallClock::date`] and [`WallClock::date_after`] move a stamp in the same way that was given before the clock was set and arrives after it. They
//!   serve what may have been so for long: a status in a registry, the start of a session.
//! * [`WallClock::judge`] serves what is reported as soon as it has happened. A stamp of the future, or of too long ago,
//!   is that of a clock that is wrong. What the source has stamped is then corrected by the difference. Only what happened
//!   while this daemon or the whole machine stood still may be old, from a source whose clock was right before.
//!
//! No stamp that leaves here is later than now. Called by [`Core`](super::Core) only; what is kept uses [`shift`].

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Now;

/// How much the wall clock may differ from the uptime before it counts as set, in ms. `ntpd` sets a clock that is wrong
/// by 128 ms and slews otherwise; the two clocks are read within far less.
const STEP_MS: u64 = 100;

/// One part in so many, by which a clock that is slewed may run fast or slow: twice the 500 ppm of `adjtimex(2)`. On
/// Linux the uptime is slewed with it.
const SLEW: u64 = 1000;

/// How long after it has happened an event is reported at most, in ms: a hook sends for 2 s, and a file is read when it
/// is written, on a machine under load some seconds later.
const LATE_MS: u64 = 10_000;

/// How long after the daemon stood still what has happened meanwhile arrives at most, in ms.
const BACKLOG_MS: u64 = 1000;

/// How often the clock may be set, and stamps from before are still recognised.
const MAX_JUMPS: usize = 8;

/// The wall clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Jump {
    /// It was set between these two looks at it, in ms of uptime.
    after: i64,
    before: i64,
    /// How far, in ms.
    by: i64,
}

/// The wall clock, as it was seen since the daemon began.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WallClock {
    /// The last look.
    now: Now,
    /// How it was set, the last time last.
    jumps: VecDeque<Jump>,
    /// The last time without a look that was longer than [`LATE_MS`]: its beginning and its end, in ms of uptime. The
    /// daemon had nothing to do, or stood still.
    pause: (u64, u64),
    /// How far it was set since it was saved, in ms, and when.
    #[serde(skip)]
    unsaved: Option<(i64, Now)>,
}

/// What was added to the stamps of a source, in ms, because its clock is wrong; 0: it is right.
pub(crate) type Skew = i64;

/// A stamp as it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Judged {
    /// In ms since the epoch, not later than now.
    pub(crate) at: u64,
    /// What was added to what the source has stamped, in ms, because its clock is wrong; 0: it is right.
    pub(crate) skew: Skew,
}

impl WallClock {
    /// A clock that is first looked at now.
    pub(crate) fn new(now: Now) -> Self {
        Self {
            now,
            jumps: VecDeque::new(),
            pause: (0, 0),
            unsaved: None,
        }
    }

    /// Looks at the clock. If it was set since the last look, answers how far, in ms: everything kept must move by that.
    pub(crate) fn look(&mut self, now: Now) -> Option<i64> {
        let by = offset(now).saturating_sub(offset(self.now));
        let passed = now.uptime_ms.saturating_sub(self.now.uptime_ms);
        let was_set = by.unsigned_abs() > STEP_MS + passed / SLEW;
        if was_set {
            if self.jumps.len() >= MAX_JUMPS {
                self.jumps.pop_front();
            }
            self.jumps.push_back(Jump {
                after: signed(self.now.uptime_ms),
                before: signed(now.uptime_ms),
                by,
            });
            let before = self.unsaved.map_or(0, |(before, _)| before);
            self.unsaved = Some((before.saturating_add(by), now));
        }
        if passed > LATE_MS {
            self.pause = (self.now.uptime_ms, now.uptime_ms);
        }
        self.now = now;
        was_set.then_some(by)
    }

    /// How far it was set since it was saved, in ms, and when; `None`: it was not. It counts as saved from now on.
    pub(crate) fn take_unsaved(&mut self) -> Option<(i64, Now)> {
        self.unsaved.take()
    }

    /// The moment of a stamp by the wall clock as it is set now; not later than now.
    pub(crate) fn date(&self, stamp: u64) -> u64 {
        self.convert(stamp).unwrap_or(stamp).min(self.now.unix_ms)
    }

    /// The same of what must be later than `last`, since its source has said that before: if it is not, its clock was set.
    pub(crate) fn date_after(&self, last: Option<u64>, stamp: u64) -> u64 {
        let at = self.date(stamp);
        match last {
            Some(last) if at < last => self.now.unix_ms,
            Some(_) | None => at,
        }
    }

    /// When an event happened that is reported at once. `skew`: that of the last event of its source.
    pub(crate) fn judge(&self, stamp: u64, skew: Option<Skew>) -> Judged {
        let now = self.now.unix_ms;
        let is_possible = |at: &u64| (now.saturating_sub(LATE_MS)..=now).contains(at);
        let converted = self.convert(stamp);
        if let Some(at) = converted.filter(is_possible) {
            return Judged { at, skew: 0 };
        }
        match (converted, skew) {
            (Some(at), Some(0)) if self.is_of_pause(at) => return Judged { at, skew: 0 },
            (_, None | Some(0)) => {}
            (_, Some(skew)) => {
                // In the order in which the source has stamped them.
                if let Some(at) = stamp.checked_add_signed(skew).filter(is_possible) {
                    return Judged { at, skew };
                }
            }
        }
        Judged {
            at: now,
            skew: signed(now).saturating_sub(signed(stamp)),
        }
    }

    /// True if the daemon may have stood still since this moment.
    fn is_of_pause(&self, at: u64) -> bool {
        let (began, ended) = self.pause;
        let age = self.now.unix_ms.saturating_sub(at);
        let uptime = self.now.uptime_ms;
        uptime <= ended.saturating_add(BACKLOG_MS) && began.saturating_add(age) <= uptime + LATE_MS
    }

    /// A stamp that was given before the clock was set, by the clock as it is set now: of the latest time at which the
    /// clock may have shown this. `None`: it has never shown this.
    fn convert(&self, stamp: u64) -> Option<u64> {
        let stamp = signed(stamp);
        let present = offset(self.now);
        let mut offset = present;
        let mut until = signed(self.now.uptime_ms);
        for jump in self.jumps.iter().rev() {
            if (jump.after..=until).contains(&stamp.saturating_sub(offset)) {
                break;
            }
            offset = offset.saturating_sub(jump.by);
            until = jump.before;
        }
        let uptime = stamp.saturating_sub(offset);
        (uptime <= until).then(|| u64::try_from(uptime.saturating_add(present)).unwrap_or(0))
    }
}

/// What the wall clock shows more than the uptime, in ms.
fn offset(now: Now) -> i64 {
    signed(now.unix_ms).saturating_sub(signed(now.uptime_ms))
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Moves a moment that is kept, in ms since the epoch, after the wall clock was set by so many ms. 0 stands for never.
pub(crate) fn shift(at: &mut u64, by: i64) {
    if *at != 0 {
        *at = at.saturating_add_signed(by).max(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000;
    const START: Now = Now {
        unix_ms: 1_790_000_000_000,
        uptime_ms: 50_000_000,
    };

    fn later(now: Now, passed: u64, by: i64) -> Now {
        Now {
            unix_ms: (now.unix_ms + passed).saturating_add_signed(by),
            uptime_ms: now.uptime_ms + passed,
        }
    }

    /// A clock that was set by each of these, a minute apart, and a minute ago.
    fn set(jumps: &[i64]) -> WallClock {
        let mut clock = WallClock::new(START);
        for by in jumps {
            let now = later(clock.now, 60_000, *by);
            assert_eq!(clock.look(now), Some(*by));
        }
        assert_eq!(clock.look(later(clock.now, 60_000, 0)), None);
        clock
    }

    #[test]
    fn a_clock_that_is_slewed_is_not_set() {
        let mut clock = WallClock::new(START);
        for (passed, by) in [
            (0, 1),
            (1000, 1),
            (60_000, -30),
            (3_600_000, 1800),
            (28_800_000, -14_400),
        ] {
            let now = later(clock.now, passed, by);
            assert_eq!(clock.look(now), None, "{by} in {passed}");
        }
        assert_eq!(clock.date(clock.now.unix_ms - 77), clock.now.unix_ms - 77);
    }

    #[test]
    fn sleep_sets_no_clock() {
        let mut clock = WallClock::new(START);
        assert_eq!(clock.look(later(START, 8 * 3_600_000, 0)), None);
    }

    #[test]
    fn a_small_step_is_noticed_too() {
        let mut clock = WallClock::new(START);
        for by in [-128, 400] {
            assert_eq!(clock.look(later(clock.now, 10, by)), Some(by));
        }
    }

    #[test]
    fn a_stamp_from_before_moves_with_the_clock() {
        for jumps in [
            &[-HOUR][..],
            &[HOUR],
            &[-HOUR, HOUR],
            &[HOUR, -HOUR],
            &[24 * HOUR, -HOUR],
        ] {
            let clock = set(jumps);
            let sum: i64 = jumps.iter().sum();
            // Half a minute before the first jump.
            let before = START.unix_ms + 30_000;
            assert_eq!(
                clock.date(before),
                before.saturating_add_signed(sum),
                "{jumps:?}"
            );
            // Since the last one.
            let after = clock.now.unix_ms - 30_000;
            assert_eq!(clock.date(after), after, "{jumps:?}");
        }
    }

    #[test]
    fn an_event_counts_from_now_if_its_clock_is_wrong() {
        let clock = set(&[]);
        let now = clock.now.unix_ms;
        for wrong in [
            HOUR,
            -HOUR,
            400 * 24 * HOUR,
            -400 * 24 * HOUR,
            -10_001,
            1000,
        ] {
            let stamp = now.saturating_add_signed(wrong);
            let judged = clock.judge(stamp, None);
            assert_eq!((judged.at, judged.skew), (now, -wrong));
            // One that it has stamped before, and that was overtaken.
            let overtaken = clock.judge(stamp - 80, Some(judged.skew));
            let expected = Judged {
                at: now - 80,
                ..judged
            };
            assert_eq!(overtaken, expected, "{wrong}");
        }
        let right = Judged {
            at: now - 10_000,
            skew: 0,
        };
        assert_eq!(clock.judge(right.at, Some(-5)), right);
    }

    #[test]
    fn a_wrong_clock_may_be_set_right_and_wrong_again() {
        let mut clock = set(&[]);
        let mut skew = None;
        for wrong in [0, -HOUR, -HOUR, 0, HOUR, HOUR, 0, -HOUR, HOUR] {
            clock.look(later(clock.now, 1000, 0));
            let now = clock.now.unix_ms;
            let judged = clock.judge(now.saturating_add_signed(wrong) - 5, skew);
            assert!(now - judged.at <= 5, "{wrong}: {}", now - judged.at);
            skew = Some(judged.skew);
        }
    }

    /// The daemon, or the machine, stood still for an hour; then what has piled up is read.
    #[test]
    fn what_happened_while_all_stood_still_is_as_old_as_it_is() {
        let mut clock = set(&[]);
        let began = clock.now.unix_ms;
        clock.look(later(clock.now, HOUR.unsigned_abs(), 0));
        for stamp in [began - 5, began + 10, began + 1_800_000] {
            clock.look(later(clock.now, 5, 0));
            let judged = clock.judge(stamp, Some(0));
            assert_eq!((judged.at, judged.skew), (stamp, 0));
            // A source whose clock is not known to be right.
            for skew in [None, Some(-7 * HOUR)] {
                assert_eq!(clock.judge(stamp, skew).at, clock.now.unix_ms);
            }
        }
        // Before that, or long after: its clock is wrong.
        let now = clock.now.unix_ms;
        assert_eq!(clock.judge(began - 10_100, Some(0)).at, now);
        clock.look(later(clock.now, BACKLOG_MS, 0));
        assert_eq!(clock.judge(began + 10, Some(0)).at, clock.now.unix_ms);
    }

    proptest! {
        /// Whatever a source says, and however the clock was set: what comes out is past, and an event a recent one.
        #[test]
        fn no_stamp_is_later_than_now(
            stamps in prop::collection::vec((any::<u64>(), any::<i64>()), 1..20),
            steps in prop::collection::vec((0..100_000_u64, -100_000_000..100_000_000_i64), 0..20),
        ) {
            let mut clock = WallClock::new(START);
            for (passed, by) in steps {
                clock.look(later(clock.now, passed, by));
                prop_assert!(clock.jumps.len() <= MAX_JUMPS);
                for (stamp, skew) in &stamps {
                    let near = clock.now.unix_ms.wrapping_add_signed(skew % 200_000_000);
                    for stamp in [*stamp, near, 0, u64::MAX] {
                        prop_assert!(clock.date(stamp) <= clock.now.unix_ms);
                        for skew in [None, Some(0), Some(*skew)] {
                            let at = clock.judge(stamp, skew).at;
                            let age = clock.now.unix_ms.checked_sub(at).unwrap();
                            prop_assert!(age <= LATE_MS || skew == Some(0) && clock.is_of_pause(at));
                        }
                    }
                }
            }
        }

        /// Stamps keep their order, and their distance, however the clock is set by more than they are late.
        #[test]
        fn the_order_of_stamps_outlives_the_clock(
            events in prop::collection::vec(
                (1..2000_u64, 0..2000_u64, prop::sample::select(vec![0, 0, HOUR, -HOUR, 24 * HOUR, -7_000_000, 5000, -5000])),
                1..MAX_JUMPS,
            ),
        ) {
            let mut clock = WallClock::new(START);
            let (mut wall, mut total) = (START, 0);
            let mut pending: Vec<(u64, u64, u64)> = Vec::new();
            for (passed, delay, by) in events {
                wall = later(wall, passed, by);
                total += by;
                // The kernel notifies the loop.
                clock.look(wall);
                pending.push((wall.uptime_ms + delay, wall.uptime_ms, wall.unix_ms));
                pending.retain(|(arrival, happened, stamp)| {
                    let has_come = *arrival <= wall.uptime_ms;
                    if has_come {
                        let true_stamp = happened + (START.unix_ms - START.uptime_ms);
                        assert_eq!(clock.judge(*stamp, None).at, true_stamp.saturating_add_signed(total));
                    }
                    !has_come
                });
            }
        }
    }
}
