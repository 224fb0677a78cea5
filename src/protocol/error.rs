//! Errors: the codes, and the object that an error response carries.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Error codes: JSON-RPC's own, and this protocol's from -32000 down. None changes its meaning within version 1;
/// `docs/protocol.md` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum ErrorCode {
    /// Not JSON, or not UTF-8.
    ParseError = -32700,
    /// JSON, but not a request: a batch, no `"jsonrpc":"2.0"`, no method, an id of a wrong type.
    InvalidRequest = -32600,
    /// No such method.
    MethodNotFound = -32601,
    /// The method's parameters are missing or wrong; the message says which.
    InvalidParams = -32602,
    /// No session has that key, id or prefix.
    NoSuchSession = -32001,
    /// More than one session has that prefix or id.
    AmbiguousSession = -32002,
    /// As many sessions are remembered as the daemon will.
    TooManySessions = -32003,
    /// The line is longer than [`MAX_LINE`](super::MAX_LINE); the connection is closed.
    LineTooLong = -32004,
    /// The daemon is leaving.
    Stopping = -32005,
    /// The configuration was refused; the old one stays.
    ConfigRefused = -32006,
    /// The configuration switches the fetching of the account's limits off.
    UsageDisabled = -32007,
}

/// An error's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorObject<'a> {
    /// One of [`ErrorCode`].
    pub code: i32,
    /// What is wrong, for a person.
    pub message: Cow<'a, str>,
}
