//! JSON that is safe on a terminal: the same values, without characters that could steer it. What commands print as JSON
//! comes from here, for bars too.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::text::is_unsafe;

/// Writes one line of JSON. A character that could steer a terminal becomes an escape, which JSON reads as the same text.
pub(crate) fn json<T: Serialize>(out: &mut impl io::Write, value: &T) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(&mut *out, Harmless))?;
    out.write_all(b"\n")
}

/// The same as a text, without the line feed; empty for a value that JSON has no form for, such as a map whose keys are no
/// strings.
pub(crate) fn json_text<T: Serialize>(value: &T) -> String {
    let mut line = Vec::new();
    if json(&mut line, value).is_err() {
        return String::new();
    }
    line.pop();
    String::from_utf8(line).unwrap_or_default()
}

/// Compact, as [`serde_json::ser::CompactFormatter`] is, which escapes only what JSON itself forbids in a string.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_unsafe(*c)) {
            // All of them are below U+10000, so one escape is enough for each.
            write!(out, "{}\\u{:04x}", &rest[..at], u32::from(c))?;
            rest = &rest[at + c.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_same_values_and_steers_no_terminal() {
        let value = serde_json::json!({
            "a\u{9b}2J": ["\u{202e}日\u{7f}\"\\", "\u{1b}\n\u{61c}"], "n": [1, 0.5, null, true, {}],
        });
        let mut line = Vec::new();
        json(&mut line, &value).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(json_text(&value) + "\n", line);
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
}
