//! How things look to a person: text from outside made harmless, times, tables, colours, and JSON for scripts. Used by
//! every command and the dashboard.

use std::fmt::Write as _;
use std::io;

use serde::Serialize;

use crate::config::variable;
use crate::protocol::{SessionRecord, Status};

/// Whether standard output takes colours and wants them: a terminal, and not refused (<https://no-color.org>).
pub(crate) fn coloured() -> bool {
    use std::io::IsTerminal;

    io::stdout().is_terminal()
        && variable("NO_COLOR").is_none_or(|value| value.is_empty())
        && variable("TERM").is_some_and(|terminal| terminal != "dumb")
}

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

/// One line of JSON.
pub(crate) fn json<T: Serialize>(out: &mut impl io::Write, value: &T) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// Control characters (C0, DEL, C1), and the marks of the Unicode Bidirectional Algorithm (UAX #9) that make text look
/// like another.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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

/// A duration for comparing moments: to the tenth of a second below a minute.
pub(crate) fn precise(ms: u64) -> String {
    match ms {
        0..60_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        60_000.. => format!("{}m{:02}s", ms / 60_000, ms / 1000 % 60),
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

/// Rows in columns as wide as they need to be, two blanks apart; nothing is padded at the end of a line.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a string can't fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }

    #[test]
    fn columns_line_up_and_lines_end_where_their_text_ends() {
        let rows = [
            vec!["a".into(), "long".into(), String::new()],
            vec!["bcd".into(), "x".into(), "y".into()],
        ];
        assert_eq!(table(&rows), "a    long\nbcd  x     y\n");
    }
}
