//! The two threads that talk to the daemon, so that the one that draws never waits for it: one listens, one asks.
//!
//! Each hands what it hears to a function and knows nothing of what is done with it.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::app::Event;
use crate::client::subscription::{self, End, subscribe_forever};
use crate::client::{Client, ClientError};
use crate::protocol::{RemoveResult, SessionParams};

/// The first and the longest pause while there is no daemon to begin with.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// A question to the daemon.
#[derive(Debug)]
pub(super) enum Question {
    /// The evidence of the session of this key.
    Explain(String),
    /// Forget the session of this key.
    Remove(String),
}

/// Follows the daemon at `socket` for good. After a deliberate stop, and where trying again makes no sense, it waits
/// for `wake`. Ends when `tell` says that nobody listens any more (`false`).
pub(super) fn listen(socket: &Path, wake: &Receiver<()>, mut tell: impl FnMut(Event) -> bool) {
    loop {
        let event = match hear(socket, &mut tell) {
            Ok(End::Cancelled) => return,
            Ok(End::Stopped) => Event::Stopped,
            Err(error) => Event::Failed(error.to_string()),
        };
        if !tell(event) || wake.recv().is_err() {
            return;
        }
    }
}

fn hear(socket: &Path, tell: &mut impl FnMut(Event) -> bool) -> Result<End, ClientError> {
    let mut pause = PAUSE.0;
    let client = loop {
        match Client::connect(socket) {
            Err(error @ ClientError::NoDaemon { .. }) => {
                let advice = Some(error.to_string());
                if !tell(Event::Lost { pause, advice }) {
                    return Ok(End::Cancelled);
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(PAUSE.1);
            }
            other => break other?,
        }
    };
    subscribe_forever(client, socket, |event| {
        let more = tell(match event {
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

/// Asks what is to be asked, each over a connection of its own, until there is nobody to answer.
pub(super) fn ask(socket: &Path, questions: &Receiver<Question>, tell: impl Fn(Event) -> bool) {
    for question in questions {
        let event = match question {
            Question::Explain(key) => {
                let answer = asked(socket, "session.explain", &key);
                Some(Event::Explained(key, answer))
            }
            // That it is gone is told to everybody.
            Question::Remove(key) => asked::<RemoveResult<'static>>(socket, "session.remove", &key)
                .err()
                .map(Event::NotRemoved),
        };
        if event.is_some_and(|event| !tell(event)) {
            return;
        }
    }
}

fn asked<R: DeserializeOwned>(socket: &Path, method: &str, key: &str) -> Result<R, String> {
    let params = SessionParams {
        session: key.into(),
    };
    Client::connect(socket)
        .and_then(|mut client| client.call(method, &params))
        .map_err(|error| error.to_string())
}
