//! Bytes <-> messages: cuts a stream into lines, reads a line as a request, writes replies and notifications.
//!
//! No IO and no rules: what a request means is the core's business. Bad input of any kind becomes a [`Refusal`] that
//! says what is wrong. Called by the connections (in) and the core (out).

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::agents;
use crate::core::{Request, Set};
use crate::event::{Report, ReportedProcess};
use crate::protocol::{
    self, ErrorCode, ErrorObject, KEY_LIMIT, MAX_LINE, NAME_LIMIT, Notification, SetParams, Status,
    TEXT_LIMIT, Terminal, WaitingFor, one_line,
};

/// The longest working directory taken, in bytes: Linux's `PATH_MAX`.
const CWD_LIMIT: usize = 4096;

/// A message as it goes out: one line, its line feed included.
pub type Line = Box<[u8]>;

/// A request's id, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id(Box<str>);

impl Id {
    /// What an answer carries when the request's id could not be read.
    #[must_use]
    pub fn null() -> Self {
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
    fn new(code: ErrorCode, message: impl AsRef<str>) -> Self {
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

    /// For a `session.set` with a process that is not there.
    #[must_use]
    pub fn no_such_process(pid: u32) -> Self {
        Self::new(
            ErrorCode::InvalidParams,
            format!("pid: there is no process {pid}"),
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

/// A line, read.
#[derive(Debug, PartialEq)]
pub struct Decoded {
    /// The request's id, or `null` if the line is no request at all; `None`: a notification, to which nothing is
    /// answered.
    pub id: Option<Id>,
    /// The request, or why it is none.
    pub request: Result<Request, Refusal>,
}

/// Cuts a stream into lines. Holds no memory while no line is unfinished.
#[derive(Debug, Default)]
pub struct Framer {
    partial: Vec<u8>,
}

impl Framer {
    /// Takes in the next bytes and hands each line that they complete, without its line feed, to `line`.
    ///
    /// # Errors
    ///
    /// A line is longer than [`MAX_LINE`]; the stream can't be read on.
    pub fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8])) -> Result<(), Refusal> {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            let (head, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            if self.partial.len() + head.len() >= MAX_LINE {
                return Err(Refusal::too_long());
            }
            if self.partial.is_empty() {
                line(head);
            } else {
                self.partial.extend_from_slice(head);
                line(&std::mem::take(&mut self.partial));
            }
        }
        if self.partial.len() + bytes.len() >= MAX_LINE {
            return Err(Refusal::too_long());
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// True if a line has begun and not ended.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.partial.is_empty()
    }
}

/// A message's frame, before its parts are looked at: each may be of any type, so that a wrong one costs itself only.
/// Present and `null` is not the same as absent.
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

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn string(value: Option<&RawValue>) -> Option<String> {
    value.and_then(|value| serde_json::from_str(value.get()).ok())
}

/// Reads one line as a request.
#[must_use]
pub fn decode(line: &[u8]) -> Decoded {
    // What is no request is answered even without an id: JSON-RPC says with `null`.
    let refused = |id: Option<Id>, code, message: &str| Decoded {
        id: Some(id.unwrap_or_else(Id::null)),
        request: Err(Refusal::new(code, message)),
    };
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
    Decoded {
        id,
        request: request(&method, envelope.params.map_or("{}", RawValue::get)),
    }
}

fn request(method: &str, params: &str) -> Result<Request, Refusal> {
    Ok(match method {
        "session.report" => Request::SessionReport(Box::new(report(params)?)),
        "session.set" => Request::SessionSet(Box::new(set(read(params)?)?)),
        "session.list" => Request::SessionList {
            include_closed: read::<protocol::ListParams>(params)?.include_closed,
        },
        "session.get" => Request::SessionGet {
            session: session_name(params)?,
        },
        "session.explain" => Request::SessionExplain {
            session: session_name(params)?,
        },
        "session.remove" => Request::SessionRemove {
            session: session_name(params)?,
        },
        "subscribe" => {
            no_array(params)?;
            Request::Subscribe
        }
        "usage.get" => {
            no_array(params)?;
            Request::UsageGet
        }
        "usage.refresh" => {
            no_array(params)?;
            Request::UsageRefresh
        }
        "hello" => {
            read::<protocol::HelloParams>(params)?;
            Request::Hello
        }
        "daemon.status" => {
            no_array(params)?;
            Request::DaemonStatus { rss_bytes: None }
        }
        "daemon.stop" => Request::DaemonStop {
            force: read::<protocol::StopParams>(params)?.force,
        },
        "daemon.reload" => {
            no_array(params)?;
            Request::DaemonReload
        }
        unknown => {
            let message = format!("no method {:?}", one_line(unknown, NAME_LIMIT));
            return Err(Refusal::new(ErrorCode::MethodNotFound, message));
        }
    })
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

fn read<T: DeserializeOwned>(params: &str) -> Result<T, Refusal> {
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

fn session_name(params: &str) -> Result<String, Refusal> {
    let session = read::<protocol::SessionParams>(params)?.session;
    name("session", &session, KEY_LIMIT)?;
    Ok(session)
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

fn set(params: SetParams) -> Result<Set, Refusal> {
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
    if params.cwd.as_ref().is_some_and(|cwd| cwd.len() > CWD_LIMIT) {
        return Err(Refusal::new(
            ErrorCode::InvalidParams,
            "cwd may have at most 4096 bytes",
        ));
    }
    if params.pid == Some(0) {
        return Err(Refusal::new(ErrorCode::InvalidParams, "pid must not be 0"));
    }
    Ok(Set {
        params,
        process: None,
    })
}

/// The parameters of `session.report`, which `agent-console hook` sends.
#[derive(Deserialize)]
struct ReportParams<'a> {
    #[serde(borrow)]
    agent: Cow<'a, str>,
    at: u64,
    #[serde(default)]
    pid: Option<u32>,
    #[serde(default)]
    process_start: Option<u64>,
    #[serde(default)]
    pid_namespace: Option<u64>,
    #[serde(default)]
    attended: Option<bool>,
    #[serde(default)]
    terminal: Option<Box<Terminal>>,
    #[serde(borrow, default)]
    config_dir: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
}

fn report(params: &str) -> Result<Report, Refusal> {
    no_array(params)?;
    let params: ReportParams<'_> = serde_json::from_str(params)
        .map_err(|error| Refusal::new(ErrorCode::InvalidParams, plain(&error)))?;
    name("agent", &params.agent, NAME_LIMIT)?;
    Ok(Report {
        at: params.at,
        process: params
            .pid
            .filter(|&pid| pid != 0)
            .map(|pid| ReportedProcess {
                pid,
                start: params.process_start,
                namespace: params.pid_namespace,
            }),
        attended: params.attended,
        terminal: params
            .terminal
            .filter(|terminal| **terminal != Terminal::default()),
        config_dir: params
            .config_dir
            .filter(|directory| directory.len() <= CWD_LIMIT)
            .map(Into::into),
        event: params
            .event
            .and_then(|event| agents::event(&params.agent, event.get())),
        agent: params.agent.into(),
    })
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

/// A request, as clients send it: one line.
#[must_use]
pub fn request_line<T: Serialize>(id: u64, method: &str, params: &T) -> Line {
    let mut line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":")
        .into_bytes();
    line.reserve(128);
    close(line, params)
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

/// What a client reads: an answer to one of its requests, or a notification.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// The result of the request of this id, still to be read.
    Result {
        /// The request's id.
        id: u64,
        /// The result's JSON.
        result: &'a RawValue,
    },
    /// The request of this id was refused; `None`: the daemon could not tell which.
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

/// A message from the daemon, perhaps a later version's: an id that is none of ours is no reason to fail.
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
