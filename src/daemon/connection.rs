//! One connection: reads what a client sends, has it decoded, posts it to the loop.
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
use crate::codec::{self, Decoded, Framer, Id, Refusal};
use crate::core::ClientId;

/// What is read at a time: a few hundred hooks' worth of one connection, without starving the others.
const SCRATCH: usize = 16 * 1024;

/// What a connection posts to the loop.
#[derive(Debug)]
pub(super) enum Mail {
    /// A client sent a line.
    Line(ClientId, Decoded),
    /// A client sends no more; it may still read.
    Ended(ClientId),
    /// A client has gone.
    Gone(ClientId),
    /// A client's socket takes bytes again.
    Writable(ClientId),
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

    /// Reads until the client goes or sends what can't be read on; posts all to `mailbox`.
    pub(super) async fn read(
        self: Rc<Self>,
        client: ClientId,
        mailbox: Sender<Mail>,
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
            let mut lines = Vec::new();
            let outcome = {
                let mut buffer = scratch.0.borrow_mut();
                let outcome = self.socket().read(&mut buffer);
                if let Ok(count) = outcome {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    let pushed = framer.push(bytes, |line| {
                        if !line.is_empty() {
                            lines.push(codec::decode(line));
                        }
                    });
                    // A short read has emptied the socket: asking again would only be told so.
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
                lines.push(refused(Refusal::unfinished()));
            }
            let unreadable = outcome.err();
            let stop = unreadable.is_some();
            lines.extend(unreadable.map(refused));
            for line in lines {
                if mailbox.send(Mail::Line(client, line)).await.is_err() {
                    return;
                }
            }
            if stop {
                // The loop closes the connection once the error has been sent.
                return;
            }
            if ended {
                let _ = mailbox.send(Mail::Ended(client)).await;
                return;
            }
        }
        // The loop has ended if it takes no more mail.
        let _ = mailbox.send(Mail::Gone(client)).await;
    }

    /// Posts when the socket takes bytes again. A registration of its own on a duplicate of the descriptor, for as
    /// long as it is needed.
    pub(super) async fn writable(self: Rc<Self>, client: ClientId, mailbox: Sender<Mail>) {
        let duplicate = self.socket().try_clone();
        let registered = duplicate.and_then(|socket| register(socket, Interest::WRITABLE));
        let mail = match registered {
            Ok(socket) => socket.writable().await.map(|_| Mail::Writable(client)),
            Err(error) => Err(error),
        };
        if let Err(error) = &mail {
            tracing::debug!(client = client.0, %error, "cannot wait for a client");
        }
        let _ = mailbox.send(mail.unwrap_or(Mail::Gone(client))).await;
    }
}

/// A line that is no request and whose id can't be known.
fn refused(refusal: Refusal) -> Decoded {
    Decoded {
        id: Some(Id::null()),
        request: Err(refusal),
    }
}
