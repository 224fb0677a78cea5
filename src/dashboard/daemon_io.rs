//! The two threads that talk to the daemon, so that the thread that draws never waits for it: one subscribes, one sends
//! requests.
//!
//! Each passes events to a function, and knows nothing of what they are used for.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::update::Event;
use crate::client::subscription::{self, End, Position, subscribe_forever};
use crate::client::{Client, ClientError};
use crate::protocol::{Changes, RemoveResult, SessionParams, SessionResult};

/// The first and the longest pause between attempts before the first connection.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// A request to the daemon.
#[derive(Debug)]
pub(super) enum Request {
    /// Return the evidence of the session of this key.
    Explain(String),
    /// A person looks at the session of this key; a change arrives as an update.
    Seen(String),
    /// Forget the session of this key.
    Remove(String),
    /// Look at the process of the session of this key; a change arrives as an update.
    Inspect(String),
}

/// Subscribes to the daemon at `socket` for good. After a deliberate stop or an error it waits for `wake`. Ends when
/// `send` returns false: the receiver is gone.
pub(super) fn subscribe(socket: &Path, wake: &Receiver<()>, mut send: impl FnMut(Event) -> bool) {
    let mut position = Position::default();
    loop {
        let event = match subscribe_once(socket, &mut position, &mut send) {
            Ok(End::Cancelled) => return,
            Ok(End::Stopped) => Event::Stopped,
            Err(error) => Event::Failed(error.to_string()),
        };
        if !send(event) || wake.recv().is_err() {
            return;
        }
    }
}

fn subscribe_once(
    socket: &Path,
    position: &mut Position,
    send: &mut impl FnMut(Event) -> bool,
) -> Result<End, ClientError> {
    let mut pause = PAUSE.0;
    let client = loop {
        match Client::connect(socket) {
            Err(error @ ClientError::NoDaemon { .. }) => {
                let advice = Some(error.to_string());
                if !send(Event::Lost { pause, advice }) {
                    return Ok(End::Cancelled);
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(PAUSE.1);
            }
            other => break other?,
        }
    };
    subscribe_forever(client, socket, position, Changes::Brief, |event| {
        let more = send(match event {
            subscription::Event::Update(update) => Event::Update(update),
            subscription::Event::Lost { pause } => Event::Lost {
                pause,
                advice: None,
            },
        });
        if more {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })
}

/// Sends each request over a connection of its own, until the senders or the receiver are gone.
pub(super) fn serve_requests(
    socket: &Path,
    requests: &Receiver<Request>,
    send: impl Fn(Event) -> bool,
) {
    for request in requests {
        let event = match request {
            Request::Explain(key) => {
                let answer = call(socket, "session.explain", &key);
                Some(Event::Explained(key, answer))
            }
            Request::Seen(key) => {
                see(socket, &key);
                None
            }
            Request::Inspect(key) => {
                let _ = call::<SessionResult<'static>>(socket, "session.get", &key);
                None
            }
            // A success arrives as an update.
            Request::Remove(key) => call::<RemoveResult<'static>>(socket, "session.remove", &key)
                .err()
                .map(Event::NotRemoved),
        };
        if event.is_some_and(|event| !send(event)) {
            return;
        }
    }
}

/// A person looks at the session of this key.
pub(super) fn see(socket: &Path, key: &str) {
    // A daemon of an earlier version does not know the request.
    let _ = call::<SessionResult<'static>>(socket, "session.seen", key);
}

fn call<R: DeserializeOwned>(socket: &Path, method: &str, key: &str) -> Result<R, String> {
    let params = SessionParams {
        session: key.into(),
    };
    Client::connect(socket)
        .and_then(|mut client| client.call(method, &params))
        .map_err(|error| error.to_string())
}
