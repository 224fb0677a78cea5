//! Which login a configuration directory has, by the id of its account (0.171.0).
//!
//! No other file names it than the one with the credentials: `auth.json`, `{"tokens": {"access_token": …, "account_id":
//! …}, …}`. So the file is read in pieces of a few bytes, each overwritten by the next and the last one cleared: never is
//! a token as a whole in memory. What is kept is one number, a hash of the id. Without an id, with an API key, there is
//! no login, and the service states no limits.

use std::hash::{DefaultHasher, Hasher};
use std::hint::black_box;
use std::io::Read;

use crate::limits::Login;

pub(super) const FILE: &str = "auth.json";

const KEY: &[u8] = b"\"account_id\"";

/// How much of the file is read at most, in bytes: several times what four tokens take.
const MAX_BYTES: u64 = 256 * 1024;

/// How much of it is in memory at a time, in bytes: a small part of a token.
const PIECE: usize = 32;

/// The longest id that is believed, in bytes: a UUID has 36.
const MAX_ID: usize = 128;

/// What the bytes read so far end with.
#[derive(Clone, Copy)]
enum Place {
    /// So many bytes of the key.
    Key(usize),
    /// The key; perhaps the colon.
    Colon,
    /// The colon; the value follows.
    Value,
    /// So many bytes of the id.
    Id(usize),
    /// The value; `true`: it is an id.
    Over(bool),
}

/// The login that such a file names; `None`: none, or not in a known form.
pub(super) fn read(file: &mut dyn Read) -> Option<Login> {
    let mut file = file.take(MAX_BYTES);
    let mut piece = [0; PIECE];
    let mut place = Place::Key(0);
    let mut hasher = DefaultHasher::new();
    while !matches!(place, Place::Over(_))
        && let Ok(count @ 1..) = file.read(&mut piece)
    {
        for byte in piece.iter().take(count) {
            place = place.after(*byte, &mut hasher);
        }
    }
    piece.fill(0);
    // The compiler must take it that the cleared piece is read, and so not leave the clearing out.
    black_box(&piece);
    matches!(place, Place::Over(true)).then(|| Login(hasher.finish()))
}

impl Place {
    /// What they end with after this byte.
    fn after(self, byte: u8, hasher: &mut DefaultHasher) -> Self {
        let is_quote = byte == b'"';
        match self {
            Self::Over(_) => self,
            Self::Key(known) if KEY.get(known) == Some(&byte) => match known + 1 {
                whole if whole == KEY.len() => Self::Colon,
                part => Self::Key(part),
            },
            Self::Colon | Self::Value if byte.is_ascii_whitespace() => self,
            Self::Colon if byte == b':' => Self::Value,
            // This may be the first byte of the key.
            Self::Key(_) | Self::Colon => Self::Key(usize::from(is_quote)),
            Self::Value if is_quote => Self::Id(0),
            Self::Id(length) if is_quote => Self::Over(length > 0),
            Self::Value | Self::Id(MAX_ID) => Self::Over(false),
            Self::Id(length) => {
                hasher.write_u8(byte);
                Self::Id(length + 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(text: &str) -> Option<Login> {
        read(&mut text.as_bytes())
    }

    fn file(id: &str, token: &str) -> String {
        let tokens = json!({"id_token": token, "access_token": token, "refresh_token": token, "account_id": id});
        let file = json!({"OPENAI_API_KEY": null, "tokens": tokens, "last_refresh": "2026-11-27T00:00:00Z"});
        serde_json::to_string_pretty(&file).unwrap()
    }

    #[test]
    fn a_login_is_the_account_whatever_its_tokens() {
        let login = of(&file("0b1c", "secret"));
        assert!(login.is_some());
        assert_eq!(of(&file("0b1c", &"x".repeat(4000))), login);
        assert_ne!(of(&file("0b1d", "secret")), login);
        assert_eq!(of(r#"{"tokens":{"account_id":"0b1c"}}"#), login);
        // Wherever the pieces are cut.
        for length in 0..2 * PIECE {
            assert_eq!(of(&file("0b1c", &"x".repeat(length))), login, "{length}");
        }
    }

    #[test]
    fn what_names_no_account_has_no_login() {
        for text in [
            "",
            "{}",
            r#"{"OPENAI_API_KEY":"sk-secret"}"#,
            r#"{"tokens":{"account_id":null}}"#,
            r#"{"tokens":{"account_id":""}}"#,
            r#"{"tokens":{"account_id":7}}"#,
            r#"{"tokens":{"account_id":"0b1c"#,
            r#"{"note":"account_id","x":"\"account_id\" : 5"}"#,
        ] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(of(&file(&"x".repeat(MAX_ID + 1), "secret")), None);
    }
}
