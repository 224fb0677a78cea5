//! Text from outside on a terminal: made harmless, measured, cut and wrapped. Pure.
//!
//! Widths are terminal columns: a CJK character or an emoji takes two (UAX #11). Text is cut between grapheme clusters
//! (UAX #29), so no character is drawn in part.

use std::borrow::Cow;

use unicode_truncate::UnicodeTruncateStr;
use unicode_width::UnicodeWidthStr;

/// Stands for the part that was cut off.
const ELLIPSIS: char = '…';

/// Text that is safe on a terminal: each character that could move the cursor, change colours or turn the reading
/// direction becomes `\u{fffd}`. Line feeds are such characters, too.
pub(crate) fn sanitize(text: &str) -> String {
    text.chars()
        .map(|c| {
            if is_unsafe(c) {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// The same for text of several lines.
pub(crate) fn sanitize_lines(text: &str) -> String {
    text.lines().map(sanitize).collect::<Vec<_>>().join("\n")
}

/// Control characters (C0, DEL, C1), and the marks of the Unicode Bidirectional Algorithm (UAX #9), which can make text
/// look like other text.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control() || is_bidi(c)
}

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A line of the log, whose control characters are escaped already: marks of the Bidirectional Algorithm become
/// `\u{202e}` and the like, too.
pub(crate) fn escape_bidi(line: &str) -> Cow<'_, str> {
    if !line.contains(is_bidi) {
        return Cow::Borrowed(line);
    }
    let mut escaped = String::with_capacity(line.len() + 8);
    for c in line.chars() {
        if is_bidi(c) {
            escaped.extend(c.escape_unicode());
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// The number of columns that `text` takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// `text`, cut at its end to at most `room` columns; an ellipsis stands for the rest.
pub(crate) fn truncate(text: &str, room: usize) -> Cow<'_, str> {
    if text.width() <= room {
        return Cow::Borrowed(text);
    }
    let Some(budget) = room.checked_sub(1) else {
        return Cow::Borrowed("");
    };
    let (kept, _) = text.unicode_truncate(budget);
    Cow::Owned(format!("{kept}{ELLIPSIS}"))
}

/// The same, cut at its start: the end of a path says more than its beginning.
pub(crate) fn truncate_start(text: &str, room: usize) -> Cow<'_, str> {
    if text.width() <= room {
        return Cow::Borrowed(text);
    }
    let Some(budget) = room.checked_sub(1) else {
        return Cow::Borrowed("");
    };
    let (kept, _) = text.unicode_truncate_start(budget);
    Cow::Owned(format!("{ELLIPSIS}{kept}"))
}

/// `text` in lines of at most `room` columns, broken at blanks, and within words that are longer than a line.
pub(crate) fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.width() + 1 + word.width() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        let mut rest = word;
        while line.width() + rest.width() > room {
            let (part, _) = rest.unicode_truncate(room - line.width().min(room));
            if part.is_empty() && line.is_empty() {
                // One character is wider than the room.
                break;
            }
            rest = &rest[part.len()..];
            lines.push(std::mem::take(&mut line) + part);
        }
        line.push_str(rest);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_could_steer_a_terminal_is_made_harmless() {
        assert_eq!(
            sanitize("a\u{1b}[2Jb\u{9b}c\u{202e}d\u{7f}"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}"
        );
        assert_eq!(sanitize_lines("a\nb\u{1b}"), "a\nb\u{fffd}");
        assert_eq!(sanitize("für 日本"), "für 日本");
    }

    #[test]
    fn text_is_cut_at_columns_and_ends_in_an_ellipsis() {
        for (text, room, cut) in [
            ("short", 5, "short"),
            ("longer", 5, "long…"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
            // Each of these is two columns wide: a half one is never drawn.
            ("日本語", 4, "日…"),
            ("日本語日本語", 6, "日本…"),
            ("👩‍💻👩‍💻", 3, "👩‍💻…"),
            ("👩‍👩‍👧‍👦 family", 4, "👩‍👩‍👧‍👦 …"),
            ("☁\u{fe0f}☁\u{fe0f}☁\u{fe0f}", 5, "☁\u{fe0f}☁\u{fe0f}…"),
        ] {
            assert_eq!(truncate(text, room), cut);
        }
        for (text, room, cut) in [
            ("abcdef", 4, "…def"),
            ("日本語", 4, "…語"),
            ("ae\u{301}b", 2, "…b"),
            ("~/src/project", 9, "…/project"),
            ("~/日本語", 5, "…本語"),
            ("abc", 0, ""),
        ] {
            assert_eq!(truncate_start(text, room), cut);
        }
        for room in 0..20 {
            for text in ["日本語 text 👩‍👩‍👧‍👦 e\u{301}", "plain ascii text, long enough"]
            {
                assert!(width(&truncate(text, room)) <= room, "{text} {room}");
                assert!(width(&truncate_start(text, room)) <= room, "{text} {room}");
            }
        }
    }

    #[test]
    fn text_is_wrapped_at_blanks_and_long_words_anywhere() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("", 3), Vec::<String>::new());
        // Too narrow for a character is no reason to loop or to lose it.
        assert_eq!(wrap("日本", 1), ["日本"]);
        assert_eq!(wrap("a b", 0), ["a", "b"]);
    }
}
