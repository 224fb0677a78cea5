//! The signals that the daemon handles, as events of the loop.
//!
//! Owns the handlers of SIGTERM, SIGINT and SIGHUP; the loop and the core decide what follows. Created before the socket
//! accepts connections, so that a process that can reach the daemon can also stop it cleanly.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The handled signals.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignalEvent {
    /// SIGTERM or SIGINT: shut down.
    Terminated,
    /// SIGHUP: read the configuration again.
    HungUp,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> SignalEvent {
        tokio::select! {
            _ = self.terminate.recv() => SignalEvent::Terminated,
            _ = self.interrupt.recv() => SignalEvent::Terminated,
            _ = self.hangup.recv() => SignalEvent::HungUp,
        }
    }
}
