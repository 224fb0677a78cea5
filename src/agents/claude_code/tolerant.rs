//! Reading what a program of another version wrote: a field of an unexpected type costs that field and nothing else.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::protocol::one_line;

/// A text that is there and not empty; anything else of any type counts as absent, so that a later version which
/// gives a field another type costs that field and not the event.
#[derive(Default)]
pub(super) struct Text<'a>(Option<Cow<'a, str>>);

impl Text<'_> {
    pub(super) fn get(&self) -> Option<&str> {
        self.0.as_deref().filter(|text| !text.is_empty())
    }

    /// On one line, of at most `limit` characters.
    pub(super) fn cut(&self, limit: usize) -> Option<Box<str>> {
        self.get().map(|text| one_line(text, limit).into())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        // Most texts have no escape: their quotes are all there is to take off.
        let plain = raw
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .filter(|text| !text.contains('\\'));
        Ok(Self(match plain {
            Some(plain) => Some(Cow::Borrowed(plain)),
            None => serde_json::from_str::<String>(raw).ok().map(Cow::Owned),
        }))
    }
}

/// A value of the expected shape, or the default.
pub(super) fn tolerant<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}
