//! JSON that may go to a terminal: the same values, with nothing in them that could steer it.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::is_harmful;

/// One line of JSON. What could steer a terminal is written as an escape, which JSON reads as the same text.
pub(crate) fn json<T: Serialize>(out: &mut impl io::Write, value: &T) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(&mut *out, Harmless))?;
    out.write_all(b"\n")
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
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_harmful(*c)) {
            // All of them are below U+10000, so one escape says each.
            write!(out, "{}\\u{:04x}", &rest[..at], u32::from(c))?;
            rest = &rest[at + c.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}
