//! A JSON string letter by letter: what it says, and how each part of that is written. `settings` is the only caller.

use std::ops::Range;

use super::json::Node;

/// A string, taken apart.
pub(super) struct Letters<'a> {
    raw: &'a str,
    /// What it says; for half a surrogate pair, which no text can hold, the sign for it.
    text: String,
    /// Where each letter is written, and where the last one ends.
    starts: Vec<usize>,
}

impl<'a> Letters<'a> {
    /// Of a string; `None` of anything else.
    pub(super) fn of(node: &Node<'a>) -> Option<Self> {
        let raw = node.raw;
        let end = raw.strip_prefix('"')?.strip_suffix('"')?.len() + 1;
        let (mut text, mut starts, mut at) = (String::new(), Vec::new(), 1);
        while at < end {
            let (letter, length) = first_letter(&raw[at..end])?;
            starts.push(at);
            text.push(letter);
            at += length;
        }
        starts.push(end);
        Some(Self { raw, text, starts })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Where the part of the text is written, from the opening quote on.
    pub(super) fn place(&self, part: Range<usize>) -> Range<usize> {
        let before = self.text[..part.start].chars().count();
        let within = self.text[part].chars().count();
        self.starts[before]..self.starts[before + within]
    }

    /// How the part of the text is written.
    pub(super) fn written(&self, part: Range<usize>) -> &'a str {
        &self.raw[self.place(part)]
    }

    /// Each letter from there on, with how it is written.
    pub(super) fn from(&self, start: usize) -> impl Iterator<Item = (char, &'a str)> {
        let before = self.text[..start].chars().count();
        let places = self.starts[before..].windows(2);
        let raw = self.raw;
        self.text[start..]
            .chars()
            .zip(places.map(|place| &raw[place[0]..place[1]]))
    }
}

/// What valid JSON says first within a string, and the length of that.
fn first_letter(raw: &str) -> Option<(char, usize)> {
    let mut letters = raw.chars();
    let letter = letters.next()?;
    if letter != '\\' {
        return Some((letter, letter.len_utf8()));
    }
    let unit = |at: usize| {
        let digits = raw.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    Some(match letters.next()? {
        'b' => ('\u{8}', 2),
        'f' => ('\u{c}', 2),
        'n' => ('\n', 2),
        'r' => ('\r', 2),
        't' => ('\t', 2),
        'u' => {
            let first = unit(0)?;
            let mut pair = char::decode_utf16([first].into_iter().chain(unit(6)));
            match pair.next()? {
                Ok(letter) => (letter, 6 * letter.len_utf16()),
                Err(_) => (char::REPLACEMENT_CHARACTER, 6),
            }
        }
        itself => (itself, 1 + itself.len_utf8()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_letter_is_read() {
        let raw = r#""a\n\u00e9\/\ud83d\ude00ü\ud800x\udc00\"""#;
        let letters = Letters::of(&Node::read(raw).unwrap()).unwrap();
        assert_eq!(letters.text(), "a\né/😀ü\u{fffd}x\u{fffd}\"");
        let written: Vec<_> = letters.from(0).map(|(_, raw)| raw).collect();
        assert_eq!(
            written,
            [
                "a",
                r"\n",
                r"\u00e9",
                r"\/",
                r"\ud83d\ude00",
                "ü",
                r"\ud800",
                "x",
                r"\udc00",
                "\\\""
            ]
        );
        assert_eq!(letters.written(1..4), r"\n\u00e9");
        assert_eq!(
            letters.written(0..letters.text().len()),
            &raw[1..raw.len() - 1]
        );
        assert!(Letters::of(&Node::read("5").unwrap()).is_none());
    }
}
