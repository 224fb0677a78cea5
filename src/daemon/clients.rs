//! The connected clients: what each is sent, who is subscribed, who is dropped.
//!
//! Owns every connection's outgoing side and the log of notifications that subscribers share. Carries out, decides only
//! who reads too slowly to be kept; whoever has gone, by their own doing or ours, waits in [`Clients::next_gone`] until
//! the core is told. Called by the loop.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::connection::{Connection, ConnectionEvent, Scratch};
use super::outbox::{Flushed, Log, MAX_BEHIND, MAX_UNREAD, Outbox};
use crate::core::ClientId;
use crate::os::memory;

/// How much of its own answers a client may leave unread before it is dropped: one snapshot of a very busy machine.
const MOST_UNREAD: usize = 8 * 1024 * 1024;

/// From how many connections on their end is worth giving memory back to the system.
const MANY_CONNECTIONS: usize = 64;

/// From which length on an answer's memory is worth giving back: glibc keeps what lay at the heap's top up to twice the
/// largest block that it ever mapped on its own.
const LONG_ANSWER: usize = 64 * 1024;

/// A connection's outgoing side.
#[derive(Debug)]
struct Client {
    connection: Rc<Connection>,
    reader: AbortHandle,
    outbox: Outbox,
    /// Its socket takes no more; this task waits until it does.
    blocked: Option<AbortHandle>,
    /// To be closed once everything is sent.
    closing: bool,
    /// It has sent something.
    spoke: bool,
}

/// Every client, by its number.
#[derive(Debug)]
pub(super) struct Clients {
    all: HashMap<ClientId, Client>,
    last: u64,
    /// How many there were at most since memory was last given back.
    most: usize,
    /// A long answer was sent since.
    answered_at_length: bool,
    dashboards: Vec<ClientId>,
    log: Log,
    post: mpsc::Sender<ConnectionEvent>,
    scratch: Scratch,
    gone: Vec<ClientId>,
}

impl Clients {
    /// None yet; their mail will go to `post`.
    pub(super) fn new(post: mpsc::Sender<ConnectionEvent>) -> Self {
        Self {
            all: HashMap::new(),
            last: 0,
            most: 0,
            answered_at_length: false,
            dashboards: Vec::new(),
            log: Log::default(),
            post,
            scratch: Scratch::default(),
            gone: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// One that has gone and of whom the core has not been told.
    pub(super) fn next_gone(&mut self) -> Option<ClientId> {
        self.gone.pop()
    }

    /// It has sent something. False if it has gone meanwhile: what it sent is nobody's.
    pub(super) fn has_sent(&mut self, client: ClientId) -> bool {
        let entry = self.all.get_mut(&client);
        entry.is_some_and(|entry| {
            entry.spoke = true;
            true
        })
    }

    /// From here on it is sent what is broadcast.
    pub(super) fn subscribe(&mut self, client: ClientId) {
        if let Some(entry) = self.all.get_mut(&client) {
            entry.outbox.subscribe(&self.log);
            self.dashboards.push(client);
            let dashboards = self.dashboards.len();
            tracing::info!(client = client.0, dashboards, "a dashboard has subscribed");
        }
    }

    /// To every subscriber, with the next [`flush_dashboards`](Self::flush_dashboards).
    pub(super) fn broadcast(&mut self, line: &[u8]) {
        self.log.append(line);
    }

    /// To every client, after what was broadcast.
    pub(super) fn announce(&mut self, line: &[u8]) {
        self.flush_dashboards();
        for client in self.all.keys().copied().collect::<Vec<_>>() {
            self.send(client, line);
        }
    }

    /// True if each has been served and nothing is left to read from it or to send to it.
    pub(super) fn are_drained(&self) -> bool {
        self.all.values().all(|client| {
            client.spoke && !client.connection.has_more() && client.outbox.is_empty(&self.log)
        })
    }

    /// True if one is to be sent more than its socket takes for now.
    pub(super) fn any_blocked(&self) -> bool {
        self.all.values().any(|client| client.blocked.is_some())
    }

    /// Takes a connection in and begins to read from it.
    pub(super) fn add(&mut self, socket: UnixStream) {
        let connection = match Connection::new(socket) {
            Ok(connection) => Rc::new(connection),
            Err(error) => {
                tracing::warn!("cannot watch a connection: {error}");
                return;
            }
        };
        self.last += 1;
        let client = ClientId(self.last);
        let reader = Rc::clone(&connection).read(client, self.post.clone(), self.scratch.clone());
        let reader = tokio::task::spawn_local(reader).abort_handle();
        let outbox = Outbox::default();
        self.all.insert(
            client,
            Client {
                connection,
                reader,
                outbox,
                blocked: None,
                closing: false,
                spoke: false,
            },
        );
        self.most = self.most.max(self.all.len());
    }

    /// Sends one line to one client, after what it has been sent before.
    pub(super) fn send(&mut self, client: ClientId, line: &[u8]) {
        let Some(entry) = self.all.get_mut(&client).filter(|entry| !entry.closing) else {
            return;
        };
        if entry.outbox.unread() > MOST_UNREAD {
            tracing::warn!(
                client = client.0,
                unread = entry.outbox.unread(),
                "dropped a client that does not read"
            );
            return self.forget(client);
        }
        self.answered_at_length |= line.len() >= LONG_ANSWER;
        let outcome = entry
            .outbox
            .send(line, &self.log, entry.connection.socket());
        self.sent(client, outcome);
    }

    /// Its socket takes bytes again.
    pub(super) fn unblocked(&mut self, client: ClientId) {
        if let Some(entry) = self.all.get_mut(&client) {
            entry.blocked = None;
            self.flush(client);
        }
    }

    fn flush(&mut self, client: ClientId) {
        let Some(entry) = self
            .all
            .get_mut(&client)
            .filter(|entry| entry.blocked.is_none())
        else {
            return;
        };
        let outcome = entry.outbox.flush(&self.log, entry.connection.socket());
        self.sent(client, outcome);
    }

    fn sent(&mut self, client: ClientId, outcome: std::io::Result<Flushed>) {
        let Some(entry) = self.all.get_mut(&client) else {
            return;
        };
        match outcome {
            Ok(Flushed::All) if entry.closing => self.forget(client),
            Ok(Flushed::All) => entry.connection.pause(false),
            Ok(Flushed::Blocked) => {
                if entry.blocked.is_none() {
                    let writable = Rc::clone(&entry.connection).writable(client, self.post.clone());
                    entry.blocked = Some(tokio::task::spawn_local(writable).abort_handle());
                }
                let behind = entry.outbox.behind(&self.log);
                if behind > MAX_BEHIND {
                    tracing::warn!(
                        client = client.0,
                        behind,
                        "dropped a dashboard that does not keep up"
                    );
                    return self.forget(client);
                }
                entry.connection.pause(entry.outbox.unread() > MAX_UNREAD);
            }
            Err(error) => {
                tracing::debug!(client = client.0, %error, "a client is gone");
                self.forget(client);
            }
        }
    }

    /// One write for each subscriber that is behind.
    pub(super) fn flush_dashboards(&mut self) {
        if self.dashboards.is_empty() {
            return self.log.forget(self.log.end());
        }
        for client in self.dashboards.clone() {
            let Some(entry) = self.all.get(&client) else {
                continue;
            };
            let behind = entry.outbox.behind(&self.log);
            if entry.blocked.is_some() && behind > MAX_BEHIND {
                tracing::warn!(
                    client = client.0,
                    behind,
                    "dropped a dashboard that does not keep up"
                );
                self.forget(client);
            } else if behind > 0 {
                self.flush(client);
            }
        }
        let cursors = self
            .dashboards
            .iter()
            .filter_map(|client| self.all.get(client)?.outbox.cursor());
        let slowest = cursors.min().unwrap_or(self.log.end());
        self.log.forget(slowest);
    }

    /// Ends a connection once the client has been sent all there is.
    pub(super) fn close_when_sent(&mut self, client: ClientId) {
        let Some(entry) = self.all.get_mut(&client) else {
            return;
        };
        entry.closing = true;
        if entry.outbox.is_empty(&self.log) {
            self.forget(client);
        }
    }

    /// Ends a connection, from this side or because it has ended.
    pub(super) fn forget(&mut self, client: ClientId) {
        let Some(entry) = self.all.remove(&client) else {
            return;
        };
        // Each holds the connection open.
        entry.reader.abort();
        if let Some(writer) = entry.blocked {
            writer.abort();
        }
        if let Some(place) = self
            .dashboards
            .iter()
            .position(|dashboard| *dashboard == client)
        {
            self.dashboards.swap_remove(place);
            tracing::info!(
                client = client.0,
                dashboards = self.dashboards.len(),
                "a dashboard has gone"
            );
        }
        self.gone.push(client);
    }

    /// Gives back what a burst of connections or a long answer took. To be called when the mailbox was not full: while
    /// it is, more of them are about to go.
    pub(super) fn give_memory_back(&mut self) {
        let have_gone = self.most >= MANY_CONNECTIONS && self.all.len() <= self.most / 8;
        if have_gone {
            self.most = self.all.len();
            self.all.shrink_to_fit();
        }
        if have_gone || std::mem::take(&mut self.answered_at_length) {
            memory::trim_heap();
        }
    }
}
