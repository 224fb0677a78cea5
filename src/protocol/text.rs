//! Text that fits on one line of a dashboard.

/// `text`, cut at `limit` characters with an ellipsis in place of the rest, on one line: what is white space or a
/// control character becomes a blank.
#[must_use]
pub fn one_line(text: &str, limit: usize) -> String {
    if text.len() <= limit && is_plain_line(text) {
        return text.to_owned();
    }
    let mut line = String::with_capacity(text.len().min(limit * 4));
    let mut words = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty());
    if let Some(first) = words.next() {
        line.push_str(first);
    }
    for word in words {
        // Beyond the limit nothing is kept, so a long text is not copied to be cut.
        if line.len() > limit * 4 {
            break;
        }
        line.push(' ');
        line.push_str(word);
    }
    if let Some((cut, _)) = line.char_indices().nth(limit) {
        let keep = line
            .char_indices()
            .nth(limit.saturating_sub(1))
            .map_or(cut, |(at, _)| at);
        line.truncate(keep);
        line.push('…');
    }
    line
}

/// True if it is a line already, by its bytes: printable ASCII, with single blanks between words. Most names and ids are.
fn is_plain_line(text: &str) -> bool {
    let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    is_printable && !text.starts_with(' ') && !text.ends_with(' ') && !text.contains("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_cuts_at_characters_and_folds_white_space() {
        assert_eq!(one_line("  a\n\tb\u{7}c  ", 120), "a b c");
        assert_eq!(one_line("ääääää", 4), "äää…");
        assert_eq!(one_line("abcd", 4), "abcd");
        assert_eq!(one_line("abcde", 4), "abc…");
        assert_eq!(one_line("a b  c d", 8), "a b c d");
        assert_eq!(one_line(" a", 8), "a");
        assert_eq!(one_line("a ", 8), "a");
        assert_eq!(one_line("", 4), "");
        assert_eq!(one_line(&"x".repeat(100_000), 120).chars().count(), 120);
    }
}
