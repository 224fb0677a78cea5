//! When a scheduled prompt comes next: the next minute that a cron expression names.
//!
//! `session_crons` of a `Stop` has expressions of five fields in local time (2.1.332): minute, hour, day of the month,
//! month, day of the week, each `*` or a list of numbers and ranges, with steps; names (`mon`) were not observed and are
//! not read. If both days are restricted, one of them is enough (crontab(5)). Pure, but for the time zone, which is an
//! argument.

use crate::os::local_time::LocalTime;

const MINUTE: u64 = 60;

/// How far ahead a time is looked for: long enough for each day of a year, a leap day apart.
const HORIZON: u64 = 367 * 24 * 60 * MINUTE;

/// The times that an expression names, a bit for each value.
#[derive(Debug, PartialEq, Eq)]
struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Either day is enough.
    any_day: bool,
}

/// The first moment after `after` that `expression` names, in ms since the epoch; `None` if it cannot be read, or names
/// none within a year. `local` is the local time at some seconds since the epoch.
pub(super) fn next(
    expression: &str,
    after: u64,
    local: impl Fn(u64) -> Option<LocalTime>,
) -> Option<u64> {
    let cron = Cron::parse(expression)?;
    let first = (after / 1000 / MINUTE + 1) * MINUTE;
    let mut seconds = first;
    while seconds < first + HORIZON {
        let time = local(seconds)?;
        if !cron.has_hour(time) {
            // To the next full hour, which daylight saving may have moved.
            seconds += u64::from(60 - time.minute) * MINUTE;
        } else if !has(cron.minutes, time.minute) {
            seconds += MINUTE;
        } else {
            return Some(seconds * 1000);
        }
    }
    None
}

impl Cron {
    fn parse(expression: &str) -> Option<Self> {
        let fields: Vec<_> = expression.split_ascii_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = *fields.as_slice() else {
            return None;
        };
        let mut cron = Self {
            minutes: parse_field(minutes, 0, 59)?,
            hours: parse_field(hours, 0, 23)?,
            days: parse_field(days, 1, 31)?,
            months: parse_field(months, 1, 12)?,
            weekdays: parse_field(weekdays, 0, 7)?,
            any_day: !days.starts_with('*') && !weekdays.starts_with('*'),
        };
        // 7 is Sunday, too.
        cron.weekdays |= cron.weekdays >> 7;
        Some(cron)
    }

    fn has_hour(&self, time: LocalTime) -> bool {
        let day = has(self.days, time.day);
        let weekday = has(self.weekdays, time.weekday);
        let is_day = if self.any_day {
            day || weekday
        } else {
            day && weekday
        };
        has(self.months, time.month) && is_day && has(self.hours, time.hour)
    }
}

fn has(set: u64, value: u8) -> bool {
    set >> value & 1 == 1
}

/// A list of `N`, `A-B`, `*`, each with `/STEP` or without.
fn parse_field(text: &str, least: u8, most: u8) -> Option<u64> {
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (from.parse().ok()?, to.parse().ok()?),
            None if range == "*" => (least, most),
            // `5/10` is from 5 on.
            None if part.contains('/') => (range.parse().ok()?, most),
            None => (range.parse().ok()?, range.parse().ok()?),
        };
        if from < least || to > most || from > to {
            return None;
        }
        for value in (from..=to).step_by(step) {
            set |= 1_u64 << value;
        }
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Datelike, FixedOffset, TimeZone, Timelike};

    use super::*;

    /// Local time is two hours ahead of UTC in summer, and one in winter.
    fn local(seconds: u64) -> Option<LocalTime> {
        let date = |text| DateTime::parse_from_rfc3339(text).unwrap().timestamp();
        let seconds = seconds.cast_signed();
        let summer = date("2026-03-29T01:00:00Z")..date("2026-10-25T01:00:00Z");
        let hours = if summer.contains(&seconds) { 2 } else { 1 };
        let offset = FixedOffset::east_opt(hours * 3600).unwrap();
        let time = offset.timestamp_opt(seconds, 0).single()?;
        let part = |value: u32| u8::try_from(value).unwrap();
        Some(LocalTime {
            minute: part(time.minute()),
            hour: part(time.hour()),
            day: part(time.day()),
            month: part(time.month()),
            year: 1970,
            weekday: part(time.weekday().num_days_from_sunday()),
        })
    }

    #[track_caller]
    fn check(expression: &str, after: &str, expected: Option<&str>) {
        let unix_ms = |text: &str| {
            DateTime::parse_from_rfc3339(text)
                .unwrap()
                .timestamp_millis()
        };
        let next = next(expression, unix_ms(after).cast_unsigned(), local);
        assert_eq!(
            next,
            expected.map(|text| unix_ms(text).cast_unsigned()),
            "{expression}"
        );
    }

    #[test]
    fn the_next_time_is_found() {
        // A Monday.
        let now = "2026-07-06T12:34:56.789+02:00";
        for (expression, expected) in [
            ("* * * * *", "2026-07-06T12:35:00+02:00"),
            ("32 6 * * *", "2026-07-07T06:32:00+02:00"),
            ("34 12 * * *", "2026-07-07T12:34:00+02:00"),
            ("35 12 * * *", "2026-07-06T12:35:00+02:00"),
            ("*/15 * * * *", "2026-07-06T12:45:00+02:00"),
            ("5/20 13,14 * * *", "2026-07-06T13:05:00+02:00"),
            ("0 9-17/4 * * *", "2026-07-06T13:00:00+02:00"),
            ("0 0 1 * *", "2026-08-01T00:00:00+02:00"),
            ("0 9 * * 1-5", "2026-07-07T09:00:00+02:00"),
            ("0 9 * * 0", "2026-07-12T09:00:00+02:00"),
            ("0 9 * * 7", "2026-07-12T09:00:00+02:00"),
            // Either day.
            ("0 9 13 * 5", "2026-07-10T09:00:00+02:00"),
            ("0 9 8 * 5", "2026-07-08T09:00:00+02:00"),
            ("0 0 1 1 *", "2027-01-01T00:00:00+01:00"),
        ] {
            check(expression, now, Some(expected));
        }
    }

    #[test]
    fn daylight_saving_is_local_time_too() {
        check(
            "30 2 * * *",
            "2026-03-28T12:00:00+01:00",
            Some("2026-03-30T02:30:00+02:00"),
        );
        check(
            "30 3 * * *",
            "2026-03-29T01:30:00+01:00",
            Some("2026-03-29T03:30:00+02:00"),
        );
        check(
            "0 12 * * *",
            "2026-10-24T13:00:00+02:00",
            Some("2026-10-25T12:00:00+01:00"),
        );
    }

    #[test]
    fn what_cannot_be_read_has_no_time() {
        for expression in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "a * * * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "-1 * * * *",
            ", * * * *",
            "* * * * mon",
            "@daily",
            "256 * * * *",
            "*/99999999999999999999 * * * *",
        ] {
            check(expression, "2026-07-06T12:00:00+02:00", None);
        }
        // A day that does not come.
        check("0 0 31 2 *", "2026-07-06T12:00:00+02:00", None);
    }
}
