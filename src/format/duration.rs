//! Durations and ages in a few characters. Pure; all times are milliseconds.

/// How long ago `then` was, in the largest whole unit; `0s` if it is in the future.
pub(crate) fn ago(then: u64, now: u64) -> String {
    duration(now.saturating_sub(then))
}

/// A duration in the largest whole unit: `42s`, `3m`, `2h`, `5d`.
pub(crate) fn duration(ms: u64) -> String {
    match ms / 1000 {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// The time left until something, in its two largest units: `42s`, `3m 20s`, `2h 10m`, `5d 3h`.
pub(crate) fn remaining(ms: u64) -> String {
    let seconds = ms / 1000;
    let (large, small) = match seconds {
        0..60 => return format!("{seconds}s"),
        60..3600 => ((60, 'm'), (1, 's')),
        3600..86_400 => ((3600, 'h'), (60, 'm')),
        _ => ((86_400, 'd'), (3600, 'h')),
    };
    let rest = seconds % large.0 / small.0;
    let whole = format!("{}{}", seconds / large.0, large.1);
    match rest {
        0 => whole,
        _ => format!("{whole} {rest}{}", small.1),
    }
}

/// A duration to the second, and to a tenth of a second below a minute.
pub(crate) fn precise(ms: u64) -> String {
    match ms {
        0..60_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        60_000..3_600_000 => format!("{}m{:02}s", ms / 60_000, ms / 1000 % 60),
        3_600_000.. => format!(
            "{}h{:02}m{:02}s",
            ms / 3_600_000,
            ms / 60_000 % 60,
            ms / 1000 % 60
        ),
    }
}

/// When [`ago`] of `then` next gives another text than at `now` (ms since the Unix epoch).
pub(crate) fn next_ago_change(then: u64, now: u64) -> u64 {
    const SECOND: u64 = 1000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let age = now.saturating_sub(then);
    let unit = match age {
        0..MINUTE => SECOND,
        MINUTE..HOUR => MINUTE,
        HOUR..DAY => HOUR,
        DAY.. => DAY,
    };
    then.saturating_add((age / unit + 1) * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_in_two_units() {
        let minutes = |count: u64| remaining(count * 60_000);
        let texts = [0, 59, 60, 130, 1440, 1441, 5040].map(minutes);
        assert_eq!(texts, ["0s", "59m", "1h", "2h 10m", "1d", "1d", "3d 12h"]);
        assert_eq!(remaining(200_999), "3m 20s");
    }

    #[test]
    fn durations_are_in_the_largest_whole_unit() {
        let cases = [
            (0, "0s"),
            (59_999, "59s"),
            (60_000, "1m"),
            (7_199_999, "1h"),
            (90_000_000, "1d"),
        ];
        for (ms, text) in cases {
            assert_eq!(duration(ms), text);
        }
        assert_eq!(ago(5000, 4000), "0s");
        assert_eq!(precise(59_999), "59.9s");
        assert_eq!(precise(65_000), "1m05s");
        assert_eq!(precise(7_265_000), "2h01m05s");
    }
}
