//! How things look to a person: text from outside made harmless, times, tables, colours, and JSON for scripts. Used by
//! every command, the dashboard and the service's program.

mod error;
mod json;
mod location;
pub(crate) mod status;
mod stdout;
mod table;

pub(crate) use self::error::print_error;
pub(crate) use self::json::json;
pub(crate) use self::location::{directory, way_there, whereabouts};
pub(crate) use self::stdout::{Screen, coloured, style};
pub(crate) use self::table::{Cell, Column, Cut, fitted, shorten, table, width};

use crate::format::status::Tally;
use crate::protocol::{Notice, SessionRecord, Status};

/// Text from outside as it may go to a terminal: what could move the cursor, change colours or turn the reading
/// direction becomes `\u{fffd}`.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| {
            if is_harmful(c) {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// The same for text of several lines.
pub(crate) fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// Control characters (C0, DEL, C1), and the marks of the Unicode Bidirectional Algorithm (UAX #9) that make text look
/// like another.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// How long ago `then` was, in the largest whole unit.
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

/// A duration that runs out, in its two largest units: `42s`, `3m 20s`, `2h 10m`, `5d 3h`.
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

/// A duration for comparing moments: to the second, and to its tenth below a minute.
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

/// The status in a person's words: `waiting: permission`.
pub(crate) fn status(session: &SessionRecord<'_>) -> String {
    match session.waiting_for {
        Some(what) => format!("{}: {}", session.status.as_str(), what.as_str()),
        None => session.status.as_str().into(),
    }
}

/// What to say about a session in one line: why it is as it is, else what it is about.
pub(crate) fn about(session: &SessionRecord<'_>) -> String {
    let text = match session.status {
        Status::Closed => session.end_reason.as_deref(),
        _ => session.reason.as_deref().or(session.title.as_deref()),
    };
    plain(text.unwrap_or_default())
}

/// What begins a line about a session: a sign if a person should look, so that colour is never alone in saying so.
pub(crate) fn sign(session: &SessionRecord<'_>) -> char {
    if session.attention { '!' } else { ' ' }
}

/// How many there are of each kind: `2 waiting · 5 working`.
pub(crate) fn tally(tally: &Tally) -> String {
    let counts = [
        (tally.waiting, "waiting"),
        (tally.failed, "failed"),
        (tally.finished, "finished"),
        (tally.working, "working"),
        (tally.idle, "idle"),
        (tally.closed, "closed"),
    ];
    let words = counts.iter().filter(|(count, _)| *count > 0);
    let words: Vec<_> = words
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    words.join(" · ")
}

/// A notice in one line; one about a window of the account's limits says when that begins anew.
pub(crate) fn notice(notice: &Notice<'_>, now: u64) -> String {
    let text = plain(&notice.message);
    let resets_at = notice.window.as_ref().and_then(|window| window.resets_at);
    match resets_at.filter(|at| *at > now) {
        Some(at) => format!("{text}, resets in {}", remaining(at - now)),
        None => text,
    }
}

/// A window of the account's limits, by a short name: `5h`, `7d`, `7d sonnet`.
pub(crate) fn window(name: &str) -> String {
    match name {
        "five_hour" => "5h".into(),
        "seven_day" => "7d".into(),
        other => plain(&other.replacen("seven_day_", "7d ", 1)),
    }
}

/// `width` characters, filled from the left as far as `used` (percent), with `|` where `elapsed` (percent) stands.
pub(crate) fn gauge(used: f64, elapsed: Option<f64>, width: usize) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place among a few"
    )]
    let place = |percent: f64| (percent.clamp(0.0, 100.0) / 100.0 * width as f64).round() as usize;
    let mark = elapsed.map(|elapsed| place(elapsed).min(width.saturating_sub(1)));
    let cell = |at| match at {
        _ if mark == Some(at) => '|',
        _ if at < place(used) => '#',
        _ => '.',
    };
    (0..width).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_filled_as_far_as_used_and_marked_where_time_stands() {
        assert_eq!(gauge(0.0, None, 20), "....................");
        assert_eq!(gauge(50.0, Some(25.0), 20), "#####|####..........");
        assert_eq!(gauge(130.0, Some(100.0), 20), "###################|");
        assert_eq!(gauge(50.0, Some(50.0), 0), "");
    }

    #[test]
    fn what_could_steer_a_terminal_is_made_harmless() {
        assert_eq!(
            plain("a\u{1b}[2Jb\u{9b}c\u{202e}d\u{7f}"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}"
        );
        assert_eq!(plain_lines("a\nb\u{1b}"), "a\nb\u{fffd}");
        assert_eq!(plain("für 日本"), "für 日本");
    }

    #[test]
    fn what_runs_out_is_in_two_units() {
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

    #[test]
    fn json_says_the_same_and_steers_no_terminal() {
        let value = serde_json::json!({
            "a\u{9b}2J": ["\u{202e}日\u{7f}\"\\", "\u{1b}\n\u{61c}"], "n": [1, 0.5, null, true, {}],
        });
        let mut line = Vec::new();
        json(&mut line, &value).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(
            line,
            "{\"a\\u009b2J\":[\"\\u202e日\\u007f\\\"\\\\\",\"\\u001b\\n\\u061c\"],\
             \"n\":[1,0.5,null,true,{}]}\n"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&line).unwrap(),
            value
        );
    }

    #[test]
    fn a_tally_leaves_out_what_there_is_none_of() {
        let two = Tally {
            waiting: 2,
            working: 5,
            ..Tally::default()
        };
        assert_eq!(tally(&two), "2 waiting · 5 working");
        assert_eq!(tally(&Tally::default()), "");
    }
}
