//! Bytes <-> messages: cuts a stream into lines, reads lines, writes lines.
//!
//! No IO and no rules: what a request means is the core's business, what an agent's event means is `agents`'. Bad input
//! of any kind becomes a [`Refusal`] that says what is wrong. Called by the daemon's connections (in), the core (out)
//! and the clients.

mod client;
mod framer;
mod request;
mod server;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

pub use self::client::{Incoming, incoming, request_line};
pub use self::framer::Framer;
pub use self::request::{Message, Request};
pub use self::server::{Decoded, decode, error, notification, reply};
use crate::protocol::{ErrorCode, MAX_LINE, TEXT_LIMIT, one_line};

/// A message as it goes out: one line, its line feed included.
pub type Line = Box<[u8]>;

/// A request's id, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id(Box<str>);

impl Id {
    /// What an answer carries when the request's id could not be read.
    fn null() -> Self {
        Self("null".into())
    }
}

/// Why a line is not a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The error's code.
    pub code: ErrorCode,
    /// What is wrong, for a person: one line.
    pub message: String,
}

impl Refusal {
    /// The parser's errors quote what was sent, however long it is: cut.
    pub(crate) fn new(code: ErrorCode, message: impl AsRef<str>) -> Self {
        let message = one_line(message.as_ref(), 2 * TEXT_LIMIT);
        Self { code, message }
    }

    /// For a line longer than [`MAX_LINE`].
    #[must_use]
    pub fn too_long() -> Self {
        Self::new(
            ErrorCode::LineTooLong,
            format!("a line may have at most {MAX_LINE} bytes"),
        )
    }

    /// For a connection that ended in the middle of a line.
    #[must_use]
    pub fn unfinished() -> Self {
        Self::new(
            ErrorCode::ParseError,
            "the connection ended in the middle of a line",
        )
    }
}

/// The value, the closing brace and the line feed. Our own types can't fail to be written: they have no maps with
/// keys that are not text, and a vector takes all bytes.
fn close<T: Serialize>(mut line: Vec<u8>, value: &T) -> Line {
    let start = line.len();
    if serde_json::to_writer(&mut line, value).is_err() {
        line.truncate(start);
        line.extend_from_slice(b"null");
    }
    line.extend_from_slice(b"}\n");
    line.into_boxed_slice()
}

/// For a member that may be `null`, which is not the same as absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}
