//! The connected clients: what each is sent, who is subscribed, who is dropped.
//!
//! Owns every connection's outgoing side and the logs of notifications, each of which all subscribers to one form of changes
//! share. Its only decision is
//! which client reads too slowly and is dropped. A closed connection stays in [`Clients::next_gone`] until the event loop
//! has reported it to the core. Called by the event loop.

use std::collections::HashMap;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::connection::{Connection, ConnectionEvent, Scratch};
use super::outbox::{Flushed, MAX_BEHIND, MAX_UNREAD, NotificationLog, Outbox};
use crate::core::ClientId;
use crate::os::memory;
use crate::protocol::Changes;

/// How many bytes of its own answers a client may leave unread before it is dropped: one snapshot of a very busy
/// machine.
const DROP_UNREAD: usize = 8 * 1024 * 1024;

/// The heap is trimmed after a burst of at least this many connections has ended.
const MANY_CONNECTIONS: usize = 64;

/// The heap is trimmed after an answer of at least this many bytes: glibc keeps free memory at the top of the heap, up
/// to twice the largest block that it ever mapped on its own.
const LONG_ANSWER: usize = 64 * 1024;

/// A connection's outgoing side.
#[derive(Debug)]
struct Client {
    connection: Rc<Connection>,
    reader: AbortHandle,
    outbox: Outbox,
    /// Which log it is sent, once it has subscribed.
    changes: Changes,
    /// The task that waits until the socket is writable; `None` while it is.
    blocked: Option<AbortHandle>,
    /// Close the connection once everything is sent.
    closing: bool,
    /// The client has sent at least one line.
    has_sent: bool,
    /// It takes nothing any more. What it sent before it left is read all the same: a hook does not wait.
    is_deaf: bool,
}

impl Client {
    /// True if there is nothing left to send to it.
    fn is_sent(&self, logs: &Logs) -> bool {
        self.outbox.is_empty(logs.of(self.changes))
    }
}

/// The notifications that subscribers have not been sent yet, for each form of changes.
#[derive(Debug, Default)]
struct Logs {
    whole: NotificationLog,
    brief: NotificationLog,
}

impl Logs {
    fn of(&self, changes: Changes) -> &NotificationLog {
        match changes {
            Changes::Whole => &self.whole,
            Changes::Brief => &self.brief,
        }
    }

    fn of_mut(&mut self, changes: Changes) -> &mut NotificationLog {
        match changes {
            Changes::Whole => &mut self.whole,
            Changes::Brief => &mut self.brief,
        }
    }
}

/// Every client, by its number.
#[derive(Debug)]
pub(super) struct Clients {
    all: HashMap<ClientId, Client>,
    last: u64,
    /// The highest number of clients since the heap was last trimmed.
    peak: usize,
    /// An answer of [`LONG_ANSWER`] bytes or more was sent since the heap was last trimmed.
    sent_long_answer: bool,
    dashboards: Vec<ClientId>,
    /// The client whose answers are queued, because more of its requests are about to be handled.
    held: Option<ClientId>,
    logs: Logs,
    event_tx: mpsc::Sender<ConnectionEvent>,
    scratch: Scratch,
    gone: Vec<ClientId>,
}

impl Clients {
    /// No clients yet; the events of each connection are sent to `event_tx`.
    pub(super) fn new(event_tx: mpsc::Sender<ConnectionEvent>) -> Self {
        Self {
            all: HashMap::new(),
            last: 0,
            peak: 0,
            sent_long_answer: false,
            dashboards: Vec::new(),
            held: None,
            logs: Logs::default(),
            event_tx,
            scratch: Scratch::default(),
            gone: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// A client whose connection is closed and which has not been reported to the core.
    pub(super) fn next_gone(&mut self) -> Option<ClientId> {
        self.gone.pop()
    }

    /// Notes that the client has sent a line. False if its connection is closed: the line is dropped.
    pub(super) fn mark_sent(&mut self, client: ClientId) -> bool {
        let entry = self.all.get_mut(&client);
        entry.is_some_and(|entry| {
            entry.has_sent = true;
            true
        })
    }

    /// Sends the client all notifications from here on, with changes in this form.
    pub(super) fn subscribe(&mut self, client: ClientId, changes: Changes) {
        let entry = self.all.get_mut(&client);
        if let Some(entry) = entry.filter(|entry| !entry.is_deaf) {
            entry.changes = changes;
            entry.outbox.subscribe(self.logs.of(changes));
            self.dashboards.push(client);
            let dashboards = self.dashboards.len();
            tracing::info!(client = client.0, dashboards, "a dashboard has subscribed");
        }
    }

    /// Queues a notification for every subscriber; it is sent with the next [`flush_dashboards`](Self::flush_dashboards).
    pub(super) fn broadcast(&mut self, line: &[u8]) {
        self.broadcast_to(Changes::Whole, line);
        self.broadcast_to(Changes::Brief, line);
    }

    /// The same for the subscribers to changes in this form.
    pub(super) fn broadcast_to(&mut self, changes: Changes, line: &[u8]) {
        self.logs.of_mut(changes).append(line);
    }

    /// Sends a line to every client, after the notifications that are queued.
    pub(super) fn announce(&mut self, line: &[u8]) {
        self.flush_dashboards();
        for client in self.all.keys().copied().collect::<Vec<_>>() {
            self.send(client, line);
        }
    }

    /// True if each client has sent something and nothing is left to read from it or to send to it.
    pub(super) fn are_drained(&self) -> bool {
        self.all.values().all(|client| {
            client.has_sent && !client.connection.has_more() && client.is_sent(&self.logs)
        })
    }

    /// True if something that a client has sent is not handled yet, or may be: nothing of a new client was handled so far.
    pub(super) fn have_unread(&self) -> bool {
        let mut clients = self.all.values();
        clients.any(|client| !client.has_sent || client.connection.has_more())
    }

    /// Takes nothing more from any client: what it sends from now on is an error to it, so that a hook knows that it must send
    /// it to the next daemon. What it has sent is read.
    pub(super) fn close_for_reading(&self) {
        for client in self.all.values() {
            // It may have gone.
            let _ = client.connection.socket().shutdown(Shutdown::Read);
        }
    }

    /// True if there is more to send to some client than its socket takes for now.
    pub(super) fn any_blocked(&self) -> bool {
        self.all.values().any(|client| client.blocked.is_some())
    }

    /// Adds an accepted connection and begins to read from it.
    pub(super) fn add(&mut self, socket: UnixStream) {
        let connection = match Connection::new(socket) {
            Ok(connection) => Rc::new(connection),
            Err(error) => {
                tracing::warn!(
                    "cannot register a connection with the reactor, so it is closed: {error}"
                );
                return;
            }
        };
        self.last += 1;
        let client = ClientId(self.last);
        let reader =
            Rc::clone(&connection).read(client, self.event_tx.clone(), self.scratch.clone());
        let reader = tokio::task::spawn_local(reader).abort_handle();
        let outbox = Outbox::default();
        self.all.insert(
            client,
            Client {
                connection,
                reader,
                outbox,
                changes: Changes::Whole,
                blocked: None,
                closing: false,
                has_sent: false,
                is_deaf: false,
            },
        );
        self.peak = self.peak.max(self.all.len());
    }

    /// Sends one line to one client, after what it has been sent before.
    pub(super) fn send(&mut self, client: ClientId, line: &[u8]) {
        let entry = self.all.get_mut(&client);
        let Some(entry) = entry.filter(|entry| !entry.closing && !entry.is_deaf) else {
            return;
        };
        if entry.outbox.unread() > DROP_UNREAD {
            tracing::warn!(
                client = client.0,
                unread = entry.outbox.unread(),
                "dropped a client that does not read its answers"
            );
            return self.remove(client);
        }
        self.sent_long_answer |= line.len() >= LONG_ANSWER;
        let log = self.logs.of(entry.changes);
        if self.held == Some(client) && entry.outbox.unread() + line.len() <= MAX_UNREAD {
            return entry.outbox.queue(line, log);
        }
        let outcome = entry.outbox.send(line, log, entry.connection.socket());
        self.sent(client, outcome);
    }

    /// Queues the client's next answers, up to [`MAX_UNREAD`] bytes, until [`Self::send_held_answers`].
    pub(super) fn hold_answers(&mut self, client: ClientId) {
        if self.held != Some(client) {
            self.send_held_answers();
            self.held = Some(client);
        }
    }

    /// Sends the answers that are queued, in one write.
    pub(super) fn send_held_answers(&mut self) {
        if let Some(client) = self.held.take() {
            self.flush(client);
        }
    }

    /// The client's socket is writable again.
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
        let log = self.logs.of(entry.changes);
        let outcome = entry.outbox.flush(log, entry.connection.socket());
        self.sent(client, outcome);
    }

    fn sent(&mut self, client: ClientId, outcome: std::io::Result<Flushed>) {
        let Some(entry) = self.all.get_mut(&client) else {
            return;
        };
        match outcome {
            Ok(Flushed::All) if entry.closing => self.remove(client),
            Ok(Flushed::All) => entry.connection.pause(false),
            Ok(Flushed::Blocked) => {
                if entry.blocked.is_none() {
                    let writable =
                        Rc::clone(&entry.connection).writable(client, self.event_tx.clone());
                    entry.blocked = Some(tokio::task::spawn_local(writable).abort_handle());
                }
                let behind = entry.outbox.behind(self.logs.of(entry.changes));
                if behind > MAX_BEHIND {
                    tracing::warn!(
                        client = client.0,
                        behind,
                        "dropped a dashboard that does not keep up"
                    );
                    return self.remove(client);
                }
                entry.connection.pause(entry.outbox.unread() > MAX_UNREAD);
            }
            Err(error) => {
                tracing::debug!(client = client.0, %error, "a client has disconnected");
                if entry.closing {
                    return self.remove(client);
                }
                // Its reader posts the rest, then the end.
                entry.is_deaf = true;
                entry.outbox = Outbox::default();
                entry.connection.pause(false);
                if let Some(writer) = entry.blocked.take() {
                    writer.abort();
                }
                self.forget_dashboard(client);
            }
        }
    }

    /// Sends the queued notifications: one write for each subscriber that is behind.
    pub(super) fn flush_dashboards(&mut self) {
        for client in self.dashboards.clone() {
            let Some(entry) = self.all.get(&client) else {
                continue;
            };
            let behind = entry.outbox.behind(self.logs.of(entry.changes));
            if entry.blocked.is_some() && behind > MAX_BEHIND {
                tracing::warn!(
                    client = client.0,
                    behind,
                    "dropped a dashboard that does not keep up"
                );
                self.remove(client);
            } else if behind > 0 {
                self.flush(client);
            }
        }
        for changes in [Changes::Whole, Changes::Brief] {
            let dashboards = self.dashboards.iter();
            let entries = dashboards.filter_map(|client| self.all.get(client));
            let cursors = entries
                .filter(|entry| entry.changes == changes)
                .filter_map(|entry| entry.outbox.cursor());
            let log = self.logs.of_mut(changes);
            let slowest = cursors.min().unwrap_or(log.end());
            log.discard(slowest);
        }
    }

    /// Closes a connection once everything is sent.
    pub(super) fn close_when_sent(&mut self, client: ClientId) {
        let Some(entry) = self.all.get_mut(&client) else {
            return;
        };
        entry.closing = true;
        if entry.is_sent(&self.logs) {
            self.remove(client);
        }
    }

    /// Closes a connection, or removes one that its client has closed.
    pub(super) fn remove(&mut self, client: ClientId) {
        let Some(entry) = self.all.remove(&client) else {
            return;
        };
        // Each task keeps the connection open.
        entry.reader.abort();
        if let Some(writer) = entry.blocked {
            writer.abort();
        }
        self.forget_dashboard(client);
        self.gone.push(client);
    }

    fn forget_dashboard(&mut self, client: ClientId) {
        let is_it = |dashboard: &ClientId| *dashboard == client;
        if let Some(place) = self.dashboards.iter().position(is_it) {
            self.dashboards.swap_remove(place);
            tracing::info!(
                client = client.0,
                dashboards = self.dashboards.len(),
                "a dashboard has disconnected"
            );
        }
    }

    /// Returns to the system what a burst of connections or a long answer took. Call it when the last batch of events was
    /// not full: while it is, more connections are about to close.
    pub(super) fn trim_memory(&mut self) {
        let burst_is_over = self.peak >= MANY_CONNECTIONS && self.all.len() <= self.peak / 8;
        if burst_is_over {
            self.peak = self.all.len();
            self.all.shrink_to_fit();
        }
        if burst_is_over || std::mem::take(&mut self.sent_long_answer) {
            memory::release();
        }
    }
}
