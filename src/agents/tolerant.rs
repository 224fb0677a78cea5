//! Field types for JSON that a program of another version wrote. The payloads' allow-lists consist of them.
//!
//! A field of an unexpected type counts as absent; the others are kept. A number may be spelled as a text, a time in
//! seconds, in milliseconds or by ISO 8601. A text is cut while it is read, so a value that was read can be written
//! unchanged. Pure; knows no agent. Used by the agents' folders and, for its own texts, by
//! `hook`.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, FixedOffset, NaiveDateTime};
use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::protocol::one_line;

/// A text whose spelling in JSON takes at most `N` bytes between its quotes; the rest is cut off, between characters.
/// Empty where there was none, or a value of another type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Text<const N: usize>(Box<str>);

impl<const N: usize> Text<N> {
    /// The beginning of `bytes`; invalid UTF-8 becomes U+FFFD.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self::cut(String::from_utf8_lossy(bytes).chars())
    }

    fn cut(chars: impl Iterator<Item = char>) -> Self {
        let mut length = 0;
        let fits = |char: &char| {
            length += json_length(*char);
            length <= N
        };
        Self(chars.take_while(fits).collect::<String>().into())
    }

    /// The text, if there is one.
    pub(super) fn get(&self) -> Option<&str> {
        Some(&*self.0).filter(|text| !text.is_empty())
    }

    /// The text on one line of at most `limit` characters.
    pub(super) fn one_line(&self, limit: usize) -> Option<Box<str>> {
        self.get().map(|text| one_line(text, limit).into())
    }

    pub(crate) fn into_inner(self) -> Box<str> {
        self.0
    }
}

/// The number of bytes that `serde_json` writes for a character of a text.
fn json_length(char: char) -> usize {
    match char {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..'\u{20}' => 6,
        _ => char.len_utf8(),
    }
}

impl<'de, const N: usize> Deserialize<'de> for Text<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        if let Some(text) = plain_text(raw) {
            return Ok(Self(text[..text.floor_char_boundary(N)].into()));
        }
        let mut text = serde_json::Deserializer::from_str(raw);
        // As bytes, which may hold half a surrogate pair.
        Ok(text.deserialize_bytes(TextVisitor).unwrap_or_default())
    }
}

struct TextVisitor<const N: usize>;

impl<const N: usize> Visitor<'_> for TextVisitor<N> {
    type Value = Text<N>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text<N>, E> {
        let chars = bytes.utf8_chunks().flat_map(|chunk| {
            // Half a surrogate pair, the only thing here that is not UTF-8, is the byte 0xED and two more.
            let half = (chunk.invalid() == [0xed]).then_some(char::REPLACEMENT_CHARACTER);
            chunk.valid().chars().chain(half)
        });
        Ok(Text::cut(chars))
    }
}

/// A number that a double can hold, spelled as it was or as a text; none where there was a value of another type.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Number(Option<serde_json::Number>);

impl Number {
    pub(super) fn as_f64(&self) -> Option<f64> {
        self.0.as_ref()?.as_f64()
    }

    pub(super) fn as_u64(&self) -> Option<u64> {
        self.0.as_ref()?.as_u64()
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let read = serde_json::from_str(raw).ok();
        Ok(Self(read.or_else(|| {
            serde_json::from_str(short_text(raw)?.trim()).ok()
        })))
    }
}

/// The contents of a JSON string without escapes, which is spelled as it reads; `None` for any other value.
fn plain_text(raw: &str) -> Option<&str> {
    let text = raw.strip_prefix('"')?.strip_suffix('"')?;
    (!text.contains('\\')).then_some(text)
}

/// The same, if it is short.
fn short_text(raw: &str) -> Option<&str> {
    const LONGEST: usize = 64;
    plain_text(raw).filter(|text| text.len() <= LONGEST)
}

/// A moment, in any spelling that is understood; none where there was another value.
///
/// A number is in seconds or in milliseconds since the epoch, whichever makes it a year before 5138: a moment after 1973
/// is meant. A text is such a number, or a date and a time by ISO 8601, in UTC if it names no zone.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Time(Number);

/// What is less is in seconds.
const LEAST_MS: f64 = 1e11;

/// What is more is no moment.
const MOST_MS: f64 = 1e14;

impl Time {
    /// In ms since the epoch.
    pub(super) fn as_ms(&self) -> Option<u64> {
        let number = self.0.as_f64().filter(|number| *number >= 0.0)?;
        if number >= LEAST_MS {
            let whole = self.0.as_u64();
            return whole.or(Some(to_u64(number))).filter(|_| number < MOST_MS);
        }
        Some(to_u64((number * 1000.0).round()))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and 1e14"
)]
fn to_u64(number: f64) -> u64 {
    number as u64
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let number: Number = serde_json::from_str(raw).unwrap_or_default();
        if number != Number::default() {
            return Ok(Self(number));
        }
        let ms = short_text(raw).and_then(|text| iso_ms(text.trim()));
        Ok(Self(Number(ms.and_then(number_of_seconds))))
    }
}

/// A date and a time by ISO 8601, in ms since the epoch; `None` for any other text, and before the epoch.
fn iso_ms(text: &str) -> Option<u64> {
    let with_zone = || {
        Some(
            text.parse::<DateTime<FixedOffset>>()
                .ok()?
                .timestamp_millis(),
        )
    };
    let without = || {
        let time = text.parse::<NaiveDateTime>().ok()?;
        Some(time.and_utc().timestamp_millis())
    };
    u64::try_from(with_zone().or_else(without)?).ok()
}

/// Written in seconds: a small number of milliseconds would be read as seconds.
fn number_of_seconds(ms: u64) -> Option<serde_json::Number> {
    if ms.is_multiple_of(1000) {
        return Some((ms / 1000).into());
    }
    #[expect(clippy::cast_precision_loss, reason = "less than 2^53")]
    serde_json::Number::from_f64(ms as f64 / 1000.0)
}

/// An object; the default where there was a value of another type.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Part<T>(pub(super) T);

impl<'de, T: DeserializeOwned + Default> Deserialize<'de> for Part<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The value is scanned first, so that a number out of range or half a surrogate pair costs this field only.
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(object(raw.get().as_bytes()).unwrap_or_default()))
    }
}

/// The first `N` objects of an array; empty where there was a value of another type.
#[derive(Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct List<T, const N: usize>(pub(super) Vec<T>);

impl<T, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: DeserializeOwned, const N: usize> Deserialize<'de> for List<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        let mut list = serde_json::Deserializer::from_str(raw.get());
        let visitor = ListVisitor(Self::default());
        Ok(list.deserialize_seq(visitor).unwrap_or_default())
    }
}

struct ListVisitor<T, const N: usize>(List<T, N>);

impl<'de, T: DeserializeOwned, const N: usize> Visitor<'de> for ListVisitor<T, N> {
    type Value = List<T, N>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<List<T, N>, A::Error> {
        let kept = &mut self.0.0;
        while let Some(element) = elements.next_element::<&RawValue>()? {
            if kept.len() < N {
                kept.extend(object(element.get().as_bytes()));
            }
        }
        Ok(self.0)
    }
}

/// Whether a field is absent, so that it need not be written.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Reads an object. An array is an error, although derived code would read its elements as the fields in order.
///
/// # Errors
///
/// `json` is not an object of this type.
pub(super) fn object<T: DeserializeOwned>(json: &[u8]) -> serde_json::Result<T> {
    match json.trim_ascii_start().first() {
        Some(b'{') | None => serde_json::from_slice(json),
        Some(_) => Err(serde_json::Error::custom("not an object")),
    }
}

/// Reduces `payload` to the fields of `T`. If invalid UTF-8 or control characters in a text make it invalid JSON, they
/// are replaced first.
///
/// # Errors
///
/// `payload` is not exactly one object.
pub(super) fn filter<T: DeserializeOwned + Serialize>(
    payload: &[u8],
) -> serde_json::Result<Box<RawValue>> {
    let read: T = match object(payload) {
        Err(error) if error.is_syntax() => object(repair(payload).as_bytes())?,
        read => read?,
    };
    to_raw_value(&read)
}

fn repair(payload: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(payload);
    if text.contains(|char| char < ' ') {
        text.replace(|char| char < ' ', " ").into()
    } else {
        text
    }
}

#[cfg(test)]
mod tests;
