//! How the loop keeps a socket of the daemon's own at its path: anything may remove or replace the file, the lock file, or
//! a directory on the way to them. Called by the loop. What has to be done is the listener's.

use std::time::Duration;

use super::{ControlFlow, EventLoop};
use crate::core::Input;
use crate::daemon::listener::{Kept, ListenerError, Watch};
use crate::daemon::ready::listen;
use crate::os::clock;
use crate::protocol::NoticeCode;

/// From a change of the files to the look at them: what removes a directory removes its files first, and would fail if
/// they came again meanwhile.
pub(super) const SETTLE: Duration = Duration::from_millis(200);

/// Between two attempts to have lock and path again, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The same while another process serves the path: an attempt connects, and a service manager starts a daemon for that.
const LONGEST_PAUSE_SERVED: Duration = Duration::from_mins(1);

/// Between two looks where the system watches no files for us.
const UNWATCHED_PAUSE: Duration = Duration::from_mins(1);

impl EventLoop {
    /// Something was changed at the path, or may have been.
    pub(super) fn path_changed(&mut self) -> ControlFlow {
        // It has done its work; the look sets up another.
        self.path_watch = Watch::nothing();
        self.look_at = Some(clock::monotonic() + SETTLE);
        ControlFlow::Continue
    }

    /// Has lock and path taken again, if they are not the daemon's any more. If they cannot be had, tries again later; if
    /// another daemon has them, leaves.
    pub(super) fn keep_path(&mut self) -> ControlFlow {
        self.look_at = None;
        if self.draining_since.is_some() {
            return ControlFlow::Continue;
        }
        // Who has connected to a socket that is lost is served.
        if let exit @ ControlFlow::Exit { .. } = self.accept() {
            return exit;
        }
        loop {
            // Before the look: what changes after it is reported.
            self.watch_path();
            match self.listener.keep() {
                Ok(Kept::Unchanged) => {
                    self.path_pause = SETTLE;
                    break;
                }
                Ok(Kept::Unlocked) => {
                    self.look_again_later(LONGEST_PAUSE);
                    break;
                }
                Ok(Kept::BoundAgain(())) => {
                    self.listening = None;
                    let path = self.listener.path().display();
                    let message =
                        format!("{path} was removed or replaced: the daemon listens there again");
                    self.path_notice(NoticeCode::SocketRestored, message);
                }
                Err(error @ ListenerError::Locked { .. }) => {
                    self.state.abandon();
                    self.path_notice(NoticeCode::SocketLost, format!("leaves: {error}"));
                    return self.handle(Input::Terminated);
                }
                Err(error) => {
                    self.look_again_later(match error {
                        ListenerError::Live { .. } => LONGEST_PAUSE_SERVED,
                        _ => LONGEST_PAUSE,
                    });
                    let path = self.listener.path().display();
                    let message = format!(
                        "no client finds the daemon at {path}, and it tries to bind it again: {error}"
                    );
                    self.path_notice(NoticeCode::SocketLost, message);
                    return ControlFlow::Continue;
                }
            }
        }
        self.listen_again();
        ControlFlow::Continue
    }

    fn look_again_later(&mut self, longest: Duration) {
        let pause = self.path_pause.min(longest);
        self.look_at = Some(clock::monotonic() + pause);
        self.path_pause = pause * 2;
    }

    fn watch_path(&mut self) {
        self.path_watch = self.listener.watch().unwrap_or_else(|error| {
            self.look_at = Some(clock::monotonic() + UNWATCHED_PAUSE);
            tracing::debug!("cannot watch the socket's files: {error}");
            Watch::nothing()
        });
    }

    /// Waits for connections on a socket that has just been bound.
    fn listen_again(&mut self) {
        if self.listening.is_none() {
            match listen(&self.listener) {
                Ok(listening) => self.listening = Some(listening),
                Err(error) => {
                    let message = format!("cannot wait for connections: {error}");
                    self.path_notice(NoticeCode::SocketLost, message);
                    self.look_at = Some(clock::monotonic() + LONGEST_PAUSE);
                }
            }
        }
    }

    fn path_notice(&mut self, code: NoticeCode, message: String) {
        if let Some(times) = self.path_warnings.next() {
            tracing::warn!(times, "{message}");
        }
        self.handle(Input::Notice { code, message });
    }
}
