//! How the loop ends: it accepts no new connection, serves the accepted ones, and leaves. Called by the loop.

use std::time::{Duration, Instant};

use super::{ControlFlow, EventLoop, GRACE};
use crate::core::Input;
use crate::daemon::connection::ConnectionEvent;
use crate::daemon::listener::{Origin, Watch};
use crate::daemon::ready::{at, listen};
use crate::daemon::sd_notify;
use crate::os::clock;

/// Whether the clients' connections are closed for reading before the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// They are not: the daemon may stay.
    Never,
    /// They will be.
    Ahead,
    /// They are, since then.
    Begun(Instant),
}

/// How long a daemon that leaves for good reads what was sent before.
const READING: Duration = Duration::from_secs(2);

impl EventLoop {
    pub(super) fn drain(&mut self, for_good: bool) {
        if for_good {
            sd_notify::stopping("stopping");
        }
        // Connections in a service manager's queue start the next daemon; our own queue is emptied in the next turns.
        self.listening = None;
        self.path_watch = Watch::nothing();
        self.look_at = None;
        self.listener.retire();
        self.draining_since = Some(clock::monotonic());
        self.closing = if for_good {
            Closing::Ahead
        } else {
            Closing::Never
        };
    }

    pub(super) fn resume(&mut self) {
        self.draining_since = None;
        let again = self.listener.resume().map_err(anyhow::Error::from);
        match again.and_then(|()| Ok(listen(&self.listener)?)) {
            Ok(listening) => self.listening = Some(listening),
            // The connected clients are served meanwhile.
            Err(error) => tracing::warn!("cannot listen again yet: {error}"),
        }
        self.look_at = Some(clock::monotonic());
        tracing::info!("not idle any more: the daemon stays");
    }

    /// True if every accepted client has been served and nothing is left to read.
    pub(super) fn is_drained(&mut self) -> bool {
        if self.listener.origin() == Origin::SelfBound {
            self.accept();
        }
        if matches!(self.closing, Closing::Begun(_)) {
            // Those that have just been accepted.
            self.clients.close_for_reading();
        }
        self.events.is_empty() && self.clients.are_drained()
    }

    /// Nothing is left to read, or [`GRACE`] is over. A daemon that leaves for good first reads what was sent until now and
    /// refuses the rest: an event that was sent between this and the end would be lost.
    pub(super) fn drained(&mut self) -> ControlFlow {
        let now = clock::monotonic();
        if self.closing == Closing::Ahead {
            self.closing = Closing::Begun(now);
        }
        // What was sent is here: only a busy machine delays it.
        if let Closing::Begun(since) = self.closing
            && !self.is_drained()
            && self.clients.have_unread()
            && now < since + READING
        {
            self.draining_since = Some(now);
            return ControlFlow::Continue;
        }
        // The grace period is used up: the core now exits, or it resumes.
        self.draining_since = None;
        self.handle(Input::Drained)
    }

    /// Sends what is unsent, until [`GRACE`] is over or a second signal arrives.
    pub(super) async fn leave(mut self, flush: bool) {
        sd_notify::stopping("stopped");
        tracing::info!(flush, "leaving");
        let end = clock::monotonic() + GRACE;
        while flush && self.clients.any_blocked() {
            tokio::select! {
                Some(event) = self.events.recv() => match event {
                    ConnectionEvent::Writable(client) => self.clients.unblocked(client),
                    ConnectionEvent::Ended(client) => self.clients.close_when_sent(client),
                    ConnectionEvent::Gone(client) => self.clients.remove(client),
                    ConnectionEvent::Received(..) => {}
                },
                _ = self.signals.next() => break,
                () = at(Some(end)) => break,
            }
        }
    }
}
