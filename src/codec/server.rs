//! The daemon's half: a line in, read as one message; replies and notifications out.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::request::{Message, Request};
use super::{Id, Line, Refusal, close, present};
use crate::protocol::{
    ErrorCode, ErrorObject, KEY_LIMIT, NAME_LIMIT, Notification, PATH_LIMIT, ReportParams,
    SessionParams, SetParams, Status, WaitingFor, one_line,
};

/// A line, read.
#[derive(Debug)]
pub struct Decoded<'a> {
    /// The request's id, or `null` if the line is no request at all; `None`: a notification, which gets no answer.
    pub id: Option<Id>,
    /// The method, where the message is one that it has.
    pub method: Option<Cow<'a, str>>,
    /// The message.
    pub message: Message<'a>,
}

impl Decoded<'_> {
    /// A line that is no request is answered even without an id: with `null` (JSON-RPC 2.0, section 5).
    pub fn refused(id: Option<Id>, refusal: Refusal) -> Self {
        Self {
            id: Some(id.unwrap_or_else(Id::null)),
            method: None,
            message: Message::Refused(refusal),
        }
    }
}

/// A message's frame. Members are left unparsed, so a wrong type in one does not hide the others. Present and `null` is
/// not the same as absent.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
}

fn string(value: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let spelled = value?.get();
    let plain = spelled
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match plain.filter(|text| !text.contains('\\')) {
        Some(text) => Some(Cow::Borrowed(text)),
        None => serde_json::from_str(spelled).ok().map(Cow::Owned),
    }
}

/// Reads one line as a message.
#[must_use]
pub fn decode(line: &[u8]) -> Decoded<'_> {
    let refused = |id, code, message: &str| Decoded::refused(id, Refusal::new(code, message));
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("not UTF-8 at byte {}", error.valid_up_to());
            return refused(None, ErrorCode::ParseError, &message);
        }
    };
    if text.trim_start().starts_with('[') {
        let message = "batches are not supported: one message a line";
        return refused(None, ErrorCode::InvalidRequest, message);
    }
    let envelope: Envelope<'_> = match serde_json::from_str(text) {
        Ok(envelope) => envelope,
        Err(error) if error.is_data() => {
            let message = format!("not a request: {}", plain(&error));
            return refused(None, ErrorCode::InvalidRequest, &message);
        }
        Err(error) => {
            return refused(None, ErrorCode::ParseError, &format!("not JSON: {error}"));
        }
    };
    let id = match envelope.id.map(RawValue::get) {
        None => None,
        Some(id)
            if id.starts_with(['"', '-'])
                || id.starts_with(|c: char| c.is_ascii_digit())
                || id == "null" =>
        {
            Some(Id(id.into()))
        }
        Some(_) => {
            let message = "id must be a string, a number or null";
            return refused(None, ErrorCode::InvalidRequest, message);
        }
    };
    if string(envelope.jsonrpc).as_deref() != Some("2.0") {
        return refused(id, ErrorCode::InvalidRequest, "jsonrpc must be \"2.0\"");
    }
    let Some(method) = string(envelope.method) else {
        return refused(id, ErrorCode::InvalidRequest, "method must be a string");
    };
    match message(&method, envelope.params.map_or("{}", RawValue::get)) {
        Ok(message) => Decoded {
            id,
            method: Some(method),
            message,
        },
        // A notification gets no answer, not even for wrong parameters.
        Err(refusal) => Decoded {
            id,
            method: None,
            message: Message::Refused(refusal),
        },
    }
}

fn message<'a>(method: &str, params: &'a str) -> Result<Message<'a>, Refusal> {
    Ok(Message::Request(match method {
        "session.report" => return Ok(Message::Report(Box::new(report(params)?))),
        "session.set" => return Ok(Message::Set(Box::new(set(params)?))),
        "daemon.status" => {
            no_array(params)?;
            return Ok(Message::Status);
        }
        "session.list" => Request::SessionList(read(params)?),
        "session.count" => without(params, Request::SessionCount)?,
        "session.get" => Request::SessionGet(session(params)?),
        "session.explain" => Request::SessionExplain(session(params)?),
        "session.seen" => Request::SessionSeen(session(params)?),
        "session.remove" => Request::SessionRemove(session(params)?),
        "subscribe" => Request::Subscribe(read(params)?),
        "usage.get" => without(params, Request::UsageGet)?,
        "usage.refresh" => without(params, Request::UsageRefresh)?,
        "hello" => Request::Hello(read(params)?),
        "daemon.stop" => Request::DaemonStop(read(params)?),
        "daemon.reload" => without(params, Request::DaemonReload)?,
        unknown => {
            let message = format!("no method {:?}", one_line(unknown, NAME_LIMIT));
            return Err(Refusal::new(ErrorCode::MethodNotFound, message));
        }
    }))
}

/// A request that needs no parameters; those it has are ignored.
fn without(params: &str, request: Request) -> Result<Request, Refusal> {
    no_array(params)?;
    Ok(request)
}

/// Parameters by position are not part of this protocol; serde would take them.
fn no_array(params: &str) -> Result<(), Refusal> {
    if params.starts_with('{') {
        Ok(())
    } else {
        Err(Refusal::new(
            ErrorCode::InvalidParams,
            "params must be an object",
        ))
    }
}

fn read<'a, T: Deserialize<'a>>(params: &'a str) -> Result<T, Refusal> {
    no_array(params)?;
    serde_json::from_str(params)
        .map_err(|error| Refusal::new(ErrorCode::InvalidParams, plain(&error)))
}

/// An error of the parser without its position, which is one in the parameters and means nothing to the sender.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ")
        .map_or(text.clone(), |(what, _)| what.into())
}

fn session(params: &str) -> Result<SessionParams, Refusal> {
    let params: SessionParams = read(params)?;
    name("session", &params.session, KEY_LIMIT)?;
    Ok(params)
}

/// A name that can be shown, found and typed again.
fn name(field: &str, text: &str, limit: usize) -> Result<(), Refusal> {
    let wrong = if text.is_empty() {
        format!("{field} must not be empty")
    } else if text.chars().count() > limit {
        format!("{field} may have at most {limit} characters")
    } else if text.chars().any(char::is_control) {
        format!("{field} must not have control characters")
    } else {
        return Ok(());
    };
    Err(Refusal::new(ErrorCode::InvalidParams, wrong))
}

fn set(params: &str) -> Result<SetParams, Refusal> {
    let params: SetParams = read(params)?;
    name("session", &params.session, KEY_LIMIT)?;
    if let Some(agent) = &params.agent {
        name("agent", agent, NAME_LIMIT)?;
    }
    if params.status == Status::Unknown {
        let message = "status must be one of working, waiting, idle, error, closed";
        return Err(Refusal::new(ErrorCode::InvalidParams, message));
    }
    match params.waiting_for {
        Some(WaitingFor::Unknown) => {
            let message = "waiting_for must be one of permission, answer, plan, dialog";
            return Err(Refusal::new(ErrorCode::InvalidParams, message));
        }
        Some(_) if params.status != Status::Waiting => {
            let message = "waiting_for goes with status waiting only";
            return Err(Refusal::new(ErrorCode::InvalidParams, message));
        }
        Some(_) | None => {}
    }
    if params
        .cwd
        .as_ref()
        .is_some_and(|cwd| cwd.len() > PATH_LIMIT)
    {
        return Err(Refusal::new(
            ErrorCode::InvalidParams,
            "cwd may have at most 4096 bytes",
        ));
    }
    if params.pid == Some(0) {
        return Err(Refusal::new(ErrorCode::InvalidParams, "pid must not be 0"));
    }
    Ok(params)
}

fn report(params: &str) -> Result<ReportParams<'_>, Refusal> {
    let params: ReportParams<'_> = read(params)?;
    name("agent", &params.agent, NAME_LIMIT)?;
    Ok(params)
}

/// A success: one line.
#[must_use]
pub fn reply<T: Serialize>(id: &Id, result: &T) -> Line {
    answer(id, "result", result)
}

/// An error: one line.
#[must_use]
pub fn error(id: &Id, code: ErrorCode, message: &str) -> Line {
    answer(
        id,
        "error",
        &ErrorObject {
            code: code as i32,
            message: Cow::Borrowed(message),
        },
    )
}

fn answer<T: Serialize>(id: &Id, member: &str, value: &T) -> Line {
    let mut line = Vec::with_capacity(256);
    for part in ["{\"jsonrpc\":\"2.0\",\"id\":", &id.0, ",\"", member, "\":"] {
        line.extend_from_slice(part.as_bytes());
    }
    close(line, value)
}

/// A notification: one line.
#[must_use]
pub fn notification(notification: &Notification<'_>) -> Line {
    match notification {
        Notification::SessionChanged(params) => push("session.changed", params),
        Notification::SessionRemoved(params) => push("session.removed", params),
        Notification::UsageChanged(params) => push("usage.changed", params),
        Notification::DaemonNotice(params) => push("daemon.notice", params),
        Notification::DaemonStopping(params) => push("daemon.stopping", params),
    }
}

fn push<T: Serialize>(method: &str, params: &T) -> Line {
    let mut line = Vec::with_capacity(1024);
    for part in [
        "{\"jsonrpc\":\"2.0\",\"method\":\"",
        method,
        "\",\"params\":",
    ] {
        line.extend_from_slice(part.as_bytes());
    }
    close(line, params)
}
