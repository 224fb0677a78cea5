//! Text as it goes into a cell: harmless, and exactly as wide as there is room, in terminal columns (UAX #11). Pure.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::format;
use crate::protocol::{SessionRecord, Status};

/// The columns that `text` takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// `text`, cut at the right to at most `room` columns; an ellipsis stands for what is missing.
pub(super) fn fit(text: &str, room: usize) -> Cow<'_, str> {
    if text.width() <= room {
        return Cow::Borrowed(text);
    }
    let mut kept = String::new();
    let mut left = room.saturating_sub(1);
    for symbol in symbols(text) {
        match left.checked_sub(symbol.width()) {
            Some(rest) => left = rest,
            None => break,
        }
        kept.push_str(symbol);
    }
    if room > 0 {
        kept.push('…');
    }
    Cow::Owned(kept)
}

/// The same, cut at the left: the end of a path says more than its beginning.
pub(super) fn fit_end(text: &str, room: usize) -> Cow<'_, str> {
    if text.width() <= room {
        return Cow::Borrowed(text);
    }
    let mut kept = Vec::new();
    let mut left = room.saturating_sub(1);
    for symbol in symbols(text).rev() {
        match left.checked_sub(symbol.width()) {
            Some(rest) => left = rest,
            None => break,
        }
        kept.push(symbol);
    }
    let ellipsis = if room > 0 { "…" } else { "" };
    Cow::Owned(
        std::iter::once(ellipsis)
            .chain(kept.into_iter().rev())
            .collect(),
    )
}

/// `text` in lines of at most `room` columns, broken at blanks where there are any.
pub(super) fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.width() + 1 + word.width() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for symbol in symbols(word) {
            if !line.is_empty() && line.width() + symbol.width() > room {
                lines.push(std::mem::take(&mut line));
            }
            line.push_str(symbol);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// What a person takes for one character each.
fn symbols(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.graphemes(true)
}

/// A directory as a person writes it: harmless, the home directory as `~`.
pub(super) fn directory(path: &str, home: Option<&str>) -> String {
    let below = home
        .filter(|home| home.len() > 1)
        .and_then(|home| path.strip_prefix(home.trim_end_matches('/')))
        .filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match below {
        Some(rest) => format!("~{}", format::plain(rest)),
        None => format::plain(path),
    }
}

/// A model's name without what all of them share: `claude-opus-4-1-20250805` is `opus-4-1`.
pub(super) fn model(name: &str) -> String {
    let name = name.strip_prefix("claude-").unwrap_or(name);
    let date = |part: &str| part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_digit());
    let name = match name.rsplit_once('-') {
        Some((short, last)) if date(last) => short,
        _ => name,
    };
    format::plain(name)
}

/// Why a session is as it is, in one line; a waiting one begins with what it waits for.
pub(super) fn why(session: &SessionRecord<'_>) -> String {
    let reason = match session.status {
        Status::Closed => session.end_reason.as_deref(),
        _ => session.reason.as_deref(),
    };
    let reason = format::plain(reason.unwrap_or_default());
    match session.waiting_for.map(crate::protocol::WaitingFor::as_str) {
        Some(what) if reason.is_empty() => what.into(),
        Some(what) if !reason.starts_with(what) => format!("{what}: {reason}"),
        _ => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_columns_not_bytes() {
        assert_eq!(fit("short", 5), "short");
        assert_eq!(fit("longer", 5), "long…");
        // Each of these is two columns wide: a half one is never drawn.
        assert_eq!(fit("日本語日本語", 6), "日本…");
        assert_eq!(fit("👩‍👩‍👧‍👦 family", 4), "👩‍👩‍👧‍👦 …");
        assert_eq!(fit("anything", 0), "");
        assert_eq!(fit_end("~/src/project", 9), "…/project");
        assert_eq!(fit_end("~/日本語", 5), "…本語");
        for room in 0..20 {
            for text in ["日本語 text 👩‍👩‍👧‍👦 e\u{301}", "plain ascii text, long enough"]
            {
                assert!(width(&fit(text, room)) <= room, "{text} {room}");
                assert!(width(&fit_end(text, room)) <= room, "{text} {room}");
            }
        }
    }

    #[test]
    fn text_is_wrapped_at_blanks_and_long_words_anywhere() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("", 3), Vec::<String>::new());
    }

    #[test]
    fn paths_and_models_are_short() {
        assert_eq!(directory("/home/ada/src", Some("/home/ada")), "~/src");
        assert_eq!(directory("/home/ada", Some("/home/ada/")), "~");
        assert_eq!(directory("/home/adam", Some("/home/ada")), "/home/adam");
        assert_eq!(directory("/a\u{1b}[2J", None), "/a\u{fffd}[2J");
        assert_eq!(directory("/srv", Some("/")), "/srv");
        assert_eq!(model("claude-opus-4-1-20250805"), "opus-4-1");
        assert_eq!(model("gpt-5"), "gpt-5");
    }
}
