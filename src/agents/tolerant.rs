//! Field types for JSON that a program of another version wrote. The payloads' allow-lists consist of them.
//!
//! A field of an unexpected type counts as absent; the others are kept. A text is cut while it is read, so a value that
//! was read can be written unchanged. Pure; knows no agent. Used by the agents' folders and, for its own texts, by
//! `hook`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
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
        let raw = <&RawValue>::deserialize(deserializer)?;
        let mut text = serde_json::Deserializer::from_str(raw.get());
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

/// A number that a double can hold, spelled as it was; none where there was a value of another type.
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
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(raw.get()).ok()))
    }
}

/// An object; the default where there was a value of another type.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Part<T>(pub(super) T);

impl<'de, T: DeserializeOwned + Default> Deserialize<'de> for Part<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // In one pass: a raw value would be scanned twice, and may be as large as a file.
        deserializer.deserialize_any(PartVisitor(PhantomData))
    }
}

struct PartVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned + Default> Visitor<'de> for PartVisitor<T> {
    type Value = Part<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Part<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Part)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Part<T>, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Part::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Part<T>, E> {
        Ok(Part::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Part<T>, E> {
        Ok(Part::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Part<T>, E> {
        Ok(Part::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Part<T>, E> {
        Ok(Part::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Part<T>, E> {
        Ok(Part::default())
    }

    fn visit_unit<E>(self) -> Result<Part<T>, E> {
        Ok(Part::default())
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
