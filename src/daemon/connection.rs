//! One connection: reads what a client sends, decodes it, adds what only the shell knows, posts it to the loop.
//!
//! Reading only: what goes out is the loop's business. Registered for readability alone, because a client's `read()`
//! makes its socket writable again and would wake the daemon for nothing. Holds no read buffer: all connections read
//! into one scratch, and only an unfinished line is kept ([`codec::Framer`]). Knows nothing of what requests mean.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;

use super::reactor::register;
use crate::agents;
use crate::codec::{self, Decoded, Framer, Message, Refusal};
use crate::core::{ClientId, Input};
use crate::event::ReportedProcess;
use crate::os::{memory, peer, process, watchable};
use crate::protocol::ErrorCode;

/// What is read at a time: a few hundred hooks' worth of one connection, without starving the others.
const SCRATCH: usize = 16 * 1024;

/// What a connection posts to the loop.
#[derive(Debug)]
pub(super) enum ConnectionEvent {
    /// A client sent a message.
    Received(ClientId, Input),
    /// A client sends no more; it may still read.
    Ended(ClientId),
    /// A client has disconnected.
    Gone(ClientId),
    /// A client's socket takes bytes again.
    Writable(ClientId),
}

impl ConnectionEvent {
    /// True if it is a message of this client.
    pub(super) fn is_from(&self, client: ClientId) -> bool {
        matches!(self, Self::Received(sender, _) if *sender == client)
    }
}

/// The buffer that all connections read into, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Scratch(Rc<RefCell<Box<[u8]>>>);

impl Default for Scratch {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(vec![0; SCRATCH].into())))
    }
}

/// A connection, as its reader and the loop share it.
#[derive(Debug)]
pub(super) struct Connection {
    socket: AsyncFd<UnixStream>,
    /// The loop wants no more of this client's requests for now.
    paused: Cell<bool>,
    resumed: Notify,
    /// A line has begun and not ended.
    partial: Cell<bool>,
}

impl Connection {
    /// # Errors
    ///
    /// The socket can't be registered with the loop.
    pub(super) fn new(socket: UnixStream) -> std::io::Result<Self> {
        Ok(Self {
            socket: register(socket, Interest::READABLE)?,
            paused: Cell::new(false),
            resumed: Notify::new(),
            partial: Cell::new(false),
        })
    }

    pub(super) fn socket(&self) -> &UnixStream {
        self.socket.get_ref()
    }

    /// Reads no more requests, or does again.
    pub(super) fn pause(&self, paused: bool) {
        if self.paused.replace(paused) && !paused {
            self.resumed.notify_one();
        }
    }

    /// True if the client has begun a line, or sent something that has not been read.
    pub(super) fn has_more(&self) -> bool {
        self.partial.get() || rustix::io::ioctl_fionread(self.socket()).is_ok_and(|bytes| bytes > 0)
    }

    /// Reads until the client goes or sends what can't be read on; posts all to `events`.
    pub(super) async fn read(
        self: Rc<Self>,
        client: ClientId,
        events: Sender<ConnectionEvent>,
        scratch: Scratch,
    ) {
        let mut framer = Framer::default();
        loop {
            while self.paused.get() {
                self.resumed.notified().await;
            }
            let Ok(mut ready) = self.socket.readable().await else {
                break;
            };
            let mut inputs = Vec::new();
            let outcome = {
                let mut buffer = scratch.0.borrow_mut();
                let outcome = self.socket().read(&mut buffer);
                if let Ok(count) = outcome {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    let pushed = framer.push(bytes, |line| {
                        if !line.is_empty() {
                            inputs.push(input(client, self.socket(), codec::decode(line)));
                        }
                    });
                    // A short read has emptied the socket: another read would only return `EAGAIN`.
                    if count > 0 && count < buffer.len() {
                        ready.clear_ready();
                    }
                    pushed.map(|()| count)
                } else {
                    match outcome.map_err(|error| error.kind()) {
                        Err(ErrorKind::WouldBlock) => ready.clear_ready(),
                        Err(ErrorKind::Interrupted) => {}
                        Ok(_) | Err(_) => break,
                    }
                    continue;
                }
            };
            self.partial.set(framer.is_partial());
            let ended = outcome == Ok(0);
            if ended && framer.is_partial() {
                let refused = Decoded::refused(None, Refusal::unfinished());
                inputs.push(input(client, self.socket(), refused));
            }
            let unreadable = outcome.err();
            let stop = unreadable.is_some();
            inputs.extend(unreadable.map(|refusal| {
                let refused = Decoded::refused(None, refusal);
                input(client, self.socket(), refused)
            }));
            for input in inputs {
                let received = ConnectionEvent::Received(client, input);
                if events.send(received).await.is_err() {
                    return;
                }
            }
            if stop {
                // The loop closes the connection once the error has been sent.
                return;
            }
            if ended {
                let _ = events.send(ConnectionEvent::Ended(client)).await;
                return;
            }
        }
        // The loop has ended if it takes no more events.
        let _ = events.send(ConnectionEvent::Gone(client)).await;
    }

    /// Posts when the socket takes bytes again. A registration of its own on a duplicate of the descriptor, for as
    /// long as it is needed.
    pub(super) async fn writable(
        self: Rc<Self>,
        client: ClientId,
        events: Sender<ConnectionEvent>,
    ) {
        let duplicate = self.socket().try_clone();
        let registered = duplicate.and_then(|socket| register(socket, Interest::WRITABLE));
        let event = match registered {
            Ok(socket) => socket
                .writable()
                .await
                .map(|_| ConnectionEvent::Writable(client)),
            Err(error) => Err(error),
        };
        if let Err(error) = &event {
            tracing::debug!(client = client.0, %error, "cannot wait for a client");
        }
        let _ = events
            .send(event.unwrap_or(ConnectionEvent::Gone(client)))
            .await;
    }
}

/// A message as the core takes it, with what only the shell can find out: what an agent's event means, whether a process
/// exists, how much memory the daemon has.
fn input(client: ClientId, socket: &UnixStream, decoded: Decoded<'_>) -> Input {
    let Decoded {
        id,
        method,
        message,
    } = decoded;
    if let Some(method) = method {
        tracing::debug!(client = client.0, method = &*method, "request");
    }
    match message {
        Message::Report(params) => {
            let mut report = agents::interpret(*params);
            if let Some(process) = &mut report.process {
                find_start(process, socket);
            }
            Input::Reported {
                client,
                id,
                report: Box::new(report),
            }
        }
        Message::Set(params) => {
            let process = match params.pid.map(watchable::find).transpose() {
                Ok(process) => process,
                Err(why) => {
                    let error = Refusal::new(ErrorCode::InvalidParams, format!("pid: {why}"));
                    return Input::Refused { client, id, error };
                }
            };
            Input::Set {
                client,
                id,
                params,
                process,
                // The loop adds them: only the core knows which.
                running: Vec::new(),
            }
        }
        Message::Status => Input::StatusAsked {
            client,
            id,
            rss_bytes: memory::resident_bytes(),
        },
        Message::Request(request) => Input::Request {
            client,
            id,
            request,
        },
        Message::Refused(error) => {
            let code = error.code as i32;
            tracing::debug!(client = client.0, code, "request refused");
            Input::Refused { client, id, error }
        }
    }
}

/// Adds when the process started, where a process reports itself and cannot read that (a plugin on macOS).
fn find_start(process: &mut ReportedProcess, socket: &UnixStream) {
    let is_itself = || peer::pid(socket) == process.pid;
    let is_here = process.namespace == process::namespace();
    if process.start.is_none() && is_here && is_itself() {
        process.start = process::inspect(process.pid)
            .ok()
            .map(|found| found.id.start);
    }
}
