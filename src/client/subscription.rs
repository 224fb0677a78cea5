//! A subscription that outlives the daemon: it reconnects after a crash or a restart, with growing pauses, but not after
//! a deliberate stop, because under a service manager the connection would start the daemon again. After a reconnection
//! it asks for what has changed only, so the caller keeps its copy.
//!
//! Used by `watch`, `wait`, `bar --follow` and the dashboard. Blocking; knows nothing of what the updates are used for.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use crate::client::{Client, ClientError, Update};
use crate::protocol::{Changes, ErrorCode, Since, StopReason, SubscribeParams};

/// The first and the longest pause before a reconnection.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The message for people when the connection is lost: once per loss, not once per attempt.
pub const LOST: &str = "the daemon is gone; connecting again";

/// How far the caller's copy goes. Keep it for as long as the copy, from one subscription to the next.
#[derive(Debug, Default)]
pub struct Position(Option<Since>);

impl Position {
    /// The copy holds this update, too.
    fn advance(&mut self, update: &Update) {
        match (update, &mut self.0) {
            // A daemon without an epoch knows nothing of the past.
            (Update::Snapshot(snapshot), _) => {
                let seq = snapshot.seq;
                self.0 = snapshot.epoch.map(|epoch| Since { epoch, seq });
            }
            (Update::Notification(notification), Some(since)) => {
                since.seq = since.seq.max(notification.seq());
            }
            (Update::Notification(_), None) => {}
        }
    }
}

/// What a subscription reports.
#[derive(Debug)]
pub enum Event {
    /// An update: a snapshot first, and again after each connection. One that is partial continues the copy as it was.
    Update(Update),
    /// The daemon is gone and does not answer.
    Lost {
        /// How long until the next attempt.
        pause: Duration,
    },
}

/// Why a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The caller cancelled it.
    Cancelled,
    /// The daemon was stopped, or exited because it was idle.
    Stopped,
}

/// Subscribes to the daemon at `socket` over `client`, and again after each loss, until `on_event` breaks or the daemon
/// is stopped on purpose. Each subscription goes on from `position`, with changes in the form of `changes`.
///
/// # Errors
///
/// The daemon refuses, or the connection fails otherwise than by its end.
pub fn subscribe_forever(
    mut client: Client,
    socket: &Path,
    position: &mut Position,
    changes: Changes,
    mut on_event: impl FnMut(Event) -> ControlFlow<()>,
) -> Result<End, ClientError> {
    loop {
        let mut cancelled = false;
        let params = SubscribeParams {
            since: position.0,
            changes,
        };
        let ended = client.subscribe(params, |update| {
            position.advance(&update);
            cancelled = on_event(Event::Update(update)).is_break();
            !cancelled
        });
        if cancelled {
            return Ok(End::Cancelled);
        }
        match ended {
            Ok(Some(StopReason::Stop | StopReason::Idle)) => return Ok(End::Stopped),
            // Dropped, crashed or restarted, or it exited while the subscription was made.
            Ok(Some(StopReason::Signal | StopReason::Unknown) | None)
            | Err(ClientError::Closed { .. } | ClientError::Io { .. }) => {}
            // It accepted the connection while it was being stopped.
            Err(ClientError::Refused { code, .. }) if code == ErrorCode::Stopping as i32 => {
                return Ok(End::Stopped);
            }
            Err(error) => return Err(error),
        }
        let mut pause = PAUSE.0;
        client = loop {
            if on_event(Event::Lost { pause }).is_break() {
                return Ok(End::Cancelled);
            }
            std::thread::sleep(pause);
            match Client::connect(socket) {
                Err(ClientError::NoDaemon { .. }) => pause = (pause * 2).min(PAUSE.1),
                other => break other?,
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;

    use serde_json::{Value, json};

    use super::*;

    /// A daemon that answers `subscribe` on each connection with one of these results, sends a notification of this
    /// number, and closes the connection. Returns what it was asked.
    fn daemon(listener: &UnixListener, answers: &[(Value, u64)]) -> Vec<Value> {
        let answers = answers.iter().map(|(result, seq)| {
            let (mut socket, _) = listener.accept().unwrap();
            let mut line = String::new();
            let mut reader = BufReader::new(socket.try_clone().unwrap());
            reader.read_line(&mut line).unwrap();
            let request: Value = serde_json::from_str(&line).unwrap();
            let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": result});
            let params = json!({"seq": seq, "key": "k"});
            let removed = json!({"jsonrpc": "2.0", "method": "session.removed", "params": params});
            write!(socket, "{answer}\n{removed}\n").unwrap();
            request["params"].clone()
        });
        answers.collect()
    }

    #[test]
    fn each_connection_goes_on_where_the_one_before_ended() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let full = |epoch: Option<u64>| json!({"seq": 3, "epoch": epoch, "sessions": []});
        let answers = [
            (full(Some(5)), 4),
            // Its snapshot holds the notification already.
            (
                json!({"seq": 9, "epoch": 5, "partial": true, "sessions": []}),
                8,
            ),
            (full(Some(6)), 4),
            // An older daemon.
            (full(None), 4),
            (full(Some(7)), 4),
        ];
        let connections = answers.len();
        let daemon = std::thread::spawn(move || daemon(&listener, &answers));
        let client = Client::connect(&socket).unwrap();
        let (mut position, mut notifications) = (Position::default(), 0);
        let end = subscribe_forever(client, &socket, &mut position, Changes::Whole, |event| {
            notifications += usize::from(matches!(event, Event::Update(Update::Notification(_))));
            if notifications == connections {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert_eq!(end.unwrap(), End::Cancelled);
        assert_eq!(
            daemon.join().unwrap(),
            [
                json!({}),
                json!({"since": {"epoch": 5, "seq": 4}}),
                json!({"since": {"epoch": 5, "seq": 9}}),
                json!({"since": {"epoch": 6, "seq": 4}}),
                json!({}),
            ]
        );
        assert_eq!(position.0, Some(Since { epoch: 7, seq: 4 }));
    }
}
