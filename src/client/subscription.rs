//! A subscription that outlives the daemon it began with: connects again after a crash or a restart, later and later,
//! but not after a deliberate stop, because the connection would start the daemon again.
//!
//! Used by whoever watches for long: `watch`, `wait`, `bar --follow`, the dashboard. Blocking; knows nothing of what is
//! done with what it hears.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use crate::client::{Client, ClientError, Told};
use crate::protocol::{ErrorCode, StopReason};

/// The first and the longest pause before connecting again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What a follower hears.
#[derive(Debug)]
pub enum Heard {
    /// What the daemon told: a snapshot first, and again after each connection.
    Told(Told),
    /// The daemon is gone and does not answer; it is tried again after this pause.
    Lost {
        /// How long that is.
        pause: Duration,
    },
}

/// Why the following came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The follower has had enough.
    Enough,
    /// The daemon was stopped, or left because nobody needed it.
    Stopped,
}

/// Follows the daemon at `socket`, beginning with `client`, until `each` breaks or the daemon is stopped on purpose.
///
/// # Errors
///
/// The daemon refuses, or the connection fails otherwise than by its end.
pub fn follow(
    mut client: Client,
    socket: &Path,
    mut each: impl FnMut(Heard) -> ControlFlow<()>,
) -> Result<Ended, ClientError> {
    loop {
        let mut enough = false;
        let ended = client.subscribe(|told| {
            enough = each(Heard::Told(told)).is_break();
            !enough
        });
        if enough {
            return Ok(Ended::Enough);
        }
        match ended {
            Ok(Some(StopReason::Stop | StopReason::Idle)) => return Ok(Ended::Stopped),
            // Dropped, crashed, restarted, or leaving as it was subscribed to.
            Ok(Some(StopReason::Signal | StopReason::Unknown) | None)
            | Err(ClientError::Closed { .. } | ClientError::Io { .. }) => {}
            // Reached while it leaves for good: it is being stopped.
            Err(ClientError::Refused { code, .. }) if code == ErrorCode::Stopping as i32 => {
                return Ok(Ended::Stopped);
            }
            Err(error) => return Err(error),
        }
        let mut pause = PAUSE.0;
        client = loop {
            if each(Heard::Lost { pause }).is_break() {
                return Ok(Ended::Enough);
            }
            std::thread::sleep(pause);
            match Client::connect(socket) {
                Err(ClientError::NoDaemon { .. }) => pause = (pause * 2).min(PAUSE.1),
                other => break other?,
            }
        };
    }
}
