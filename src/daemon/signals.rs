//! The signals that the daemon answers to, as events of the loop.
//!
//! Owns the catching of SIGTERM, SIGINT and SIGHUP; what they mean is the loop's and the core's to say. Made before
//! there is a socket to connect to, so that who can reach the daemon can also tell it to leave in order.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that the daemon answers to.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caught {
    /// SIGTERM or SIGINT: leave.
    Terminated,
    /// SIGHUP: read the configuration again.
    HungUp,
}

impl Signals {
    /// From now on they are caught.
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
    pub(super) async fn next(&mut self) -> Caught {
        tokio::select! {
            _ = self.terminate.recv() => Caught::Terminated,
            _ = self.interrupt.recv() => Caught::Terminated,
            _ = self.hangup.recv() => Caught::HungUp,
        }
    }
}
