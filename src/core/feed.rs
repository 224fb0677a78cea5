//! Who is subscribed, and the number of the last notification.
//!
//! Numbers rise by one with each notification, whether anybody is subscribed or not: a snapshot tells the number it
//! stands at, and what follows continues from there. Called by [`super::Core`] only; what a subscriber has not read
//! yet is the shell's business.

use std::collections::HashSet;

use super::ClientId;

/// The subscribers.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    clients: HashSet<ClientId>,
    seq: u64,
}

impl Subscribers {
    /// True if the client was not subscribed before.
    pub(crate) fn add(&mut self, client: ClientId) -> bool {
        self.clients.insert(client)
    }

    pub(crate) fn remove(&mut self, client: ClientId) {
        self.clients.remove(&client);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.clients.len()).unwrap_or(u32::MAX)
    }

    /// The number of the last notification.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// The number of the next one.
    pub(crate) fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }
}
