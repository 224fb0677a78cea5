//! The client's half: requests out, answers and notifications in.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Line, close, present};
use crate::protocol::{ErrorObject, Notification};

/// A request, as clients send it: one line.
#[must_use]
pub fn request_line<T: Serialize>(id: u64, method: &str, params: &T) -> Line {
    let mut line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":")
        .into_bytes();
    line.reserve(128);
    close(line, params)
}

/// What a client receives: an answer to one of its requests, or a notification.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// The result of the request of this id, still to be read.
    Result {
        /// The request's id.
        id: u64,
        /// The result's JSON.
        result: &'a RawValue,
    },
    /// The request of this id was refused; `None`: its id could not be read.
    Error {
        /// The request's id.
        id: Option<u64>,
        /// Why.
        error: ErrorObject<'a>,
    },
    /// A notification.
    Notification(Notification<'static>),
    /// A message of a kind that this client doesn't know.
    Unknown,
}

/// A message from the daemon, perhaps of a later version: an unknown id is no error.
#[derive(Deserialize)]
struct IncomingEnvelope<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<ErrorObject<'a>>,
}

/// Reads one line from the daemon.
///
/// # Errors
///
/// It is not JSON, or a known message without the fields it must have.
pub fn incoming(line: &str) -> Result<Incoming<'_>, serde_json::Error> {
    let envelope: IncomingEnvelope<'_> = serde_json::from_str(line)?;
    if let Some(error) = envelope.error {
        return Ok(match envelope.id {
            None => Incoming::Error { id: None, error },
            Some(id) => match id.get().parse() {
                Ok(id) => Incoming::Error {
                    id: Some(id),
                    error,
                },
                Err(_) => Incoming::Unknown,
            },
        });
    }
    let id = envelope.id.and_then(|id| id.get().parse().ok());
    if let (Some(id), Some(result)) = (id, envelope.result) {
        return Ok(Incoming::Result { id, result });
    }
    let params = envelope.params.map_or("null", RawValue::get);
    Ok(match envelope.method.as_deref() {
        Some("session.changed") => Incoming::Notification(Notification::SessionChanged(Box::new(
            serde_json::from_str(params)?,
        ))),
        Some("usage.changed") => {
            Incoming::Notification(Notification::UsageChanged(serde_json::from_str(params)?))
        }
        Some("session.removed") => {
            Incoming::Notification(Notification::SessionRemoved(serde_json::from_str(params)?))
        }
        Some("daemon.notice") => {
            Incoming::Notification(Notification::DaemonNotice(serde_json::from_str(params)?))
        }
        Some("daemon.stopping") => {
            Incoming::Notification(Notification::DaemonStopping(serde_json::from_str(params)?))
        }
        Some(_) | None => Incoming::Unknown,
    })
}
