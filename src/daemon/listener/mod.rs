//! Where connections come from: one listening Unix stream socket of one of three origins.
//!
//! systemd or launchd holds the socket and passes it, or the daemon binds one itself. The origin is detected, never
//! configured: a passed socket is used; none means self-bound; a wrong one is an error, because a daemon that binds
//! another socket than its manager watches has no clients, and the reason would stay hidden.
//!
//! - [`take_activation`] (in `activation.rs`) reads systemd's environment and asks launchd. It changes the environment,
//!   so it comes first, before any thread.
//! - [`acquire`] validates the passed socket, or binds one (in `self_bound.rs`: lock file, stale and foreign sockets).
//! - [`Listener`] accepts, and asks the kernel for the peer's user before a byte is read.
//!
//! A manager's socket is never unlinked or bound again: connections in its queue start the next daemon. For a self-bound
//! socket, shutdown removes the path first ([`Listener::retire`]), then serves the queue, then releases the lock.
//!
//! Called by the daemon's start and its loop. Knows nothing of the protocol, of tokio or of when to leave.

mod activation;
pub mod launchd;
mod self_bound;

pub use activation::{Activation, take_activation};

use self::launchd::LaunchdError;
use crate::os::{clock, peer};
pub use crate::protocol::Origin;
use rustix::io::Errno;
use self_bound::SelfBound;
use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A flood of connections from another user must not flood the log.
const BETWEEN_WARNINGS: Duration = Duration::from_mins(1);

/// Why there is no socket to serve. Each is fatal: the daemon says so and does not start.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    /// A variable of systemd's protocol holds what it can't.
    #[error(
        "{variable} is {}, {expected}; unset LISTEN_FDS to have the daemon bind its socket itself",
        value.as_ref().map_or("not set".into(), |value| format!("{value:?}"))
    )]
    Environment {
        /// The variable.
        variable: &'static str,
        /// What it holds, `None` if it is not set.
        value: Option<String>,
        /// What it should hold, and what follows from that.
        expected: String,
    },
    /// A descriptor of a manager is not what the daemon serves.
    #[error("the descriptor passed by {} {problem}; correct the socket's definition there", origin.as_str())]
    Descriptor {
        /// Who passed it.
        origin: Origin,
        /// What is wrong with it.
        problem: String,
    },
    /// launchd runs this process, but its socket can't be had.
    #[error(transparent)]
    Launchd(#[from] LaunchdError),
    /// Another daemon holds the lock of a self-bound socket.
    #[error(
        "another daemon serves {}, is about to, or is just leaving (it holds {}): \
         use that one, or stop it with `agent-console stop`",
        path.display(),
        lock.display()
    )]
    Locked {
        /// The socket.
        path: PathBuf,
        /// Its lock file.
        lock: PathBuf,
    },
    /// A daemon answers at the path, though it does not hold the lock: a service manager's, most likely.
    #[error(
        "a daemon already answers at {}: use that one, or stop it (and the service manager's socket, \
         if it is one) first",
        path.display()
    )]
    Live {
        /// The socket.
        path: PathBuf,
    },
    /// Something that the daemon did not make, and that it must not remove.
    #[error(
        "{} is {found}, not a socket, and is left alone: remove it or choose another path with --socket",
        path.display()
    )]
    NotASocket {
        /// The path.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// A socket or lock file of another user.
    #[error(
        "{} belongs to user {uid}, not to this one, and is left alone: choose another path with --socket",
        path.display()
    )]
    Foreign {
        /// The path.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// The system refused a step.
    #[error("cannot {step} {}: {source}", path.display())]
    System {
        /// What was to be done, a verb.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// A listening socket. Dropping it removes what the daemon bound itself, and nothing else.
#[derive(Debug)]
pub struct Listener {
    // Closed before the lock goes with `own`.
    socket: OwnedFd,
    path: PathBuf,
    origin: Origin,
    own: Option<SelfBound>,
    warnings: Warnings,
}

/// Takes what was passed, or binds a socket at `self_bound_path` (made absolute from the working directory of now:
/// after a change of directory it would name another file).
///
/// # Errors
///
/// See [`ListenerError`].
pub fn acquire(activation: Activation, self_bound_path: &Path) -> Result<Listener, ListenerError> {
    let (socket, path, origin, own) = match activation {
        Activation::None => {
            let path =
                std::path::absolute(self_bound_path).map_err(|source| ListenerError::System {
                    step: "make absolute the path",
                    path: self_bound_path.to_owned(),
                    source,
                })?;
            let (socket, own) = SelfBound::bind(&path)?;
            (socket, path, Origin::SelfBound, Some(own))
        }
        Activation::Systemd(socket) => {
            let path = activation::validate_socket(&socket, Origin::Systemd)?;
            (socket, path, Origin::Systemd, None)
        }
        Activation::Launchd(socket) => {
            let path = activation::validate_socket(&socket, Origin::Launchd)?;
            (socket, path, Origin::Launchd, None)
        }
    };
    Ok(Listener {
        socket,
        path,
        origin,
        own,
        warnings: Warnings::default(),
    })
}

impl Listener {
    /// Where the socket came from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Where clients find it: absolute for a socket of our own, else as the manager bound it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next connection of this user or of root, non-blocking and closed on exec; `None` if none waits. Connections
    /// of others are closed on the way, unread, with a warning a minute at most.
    ///
    /// # Errors
    ///
    /// The system is out of something (`EMFILE`, `ENFILE`, `ENOMEM`): the connection still waits, and a caller that
    /// tries again at once spins.
    pub fn accept(&self) -> io::Result<Option<UnixStream>> {
        loop {
            let connection = match platform::accept(self.socket.as_fd()) {
                Ok(connection) => connection,
                Err(Errno::AGAIN) => return Ok(None),
                // It ended while it waited: take the next.
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(errno) => return Err(errno.into()),
            };
            match peer::uid(&connection) {
                Ok(uid) if peer::trusted(uid) => return Ok(Some(connection.into())),
                Ok(uid) => self.warnings.refused(uid),
                Err(error) => tracing::debug!(%error, "a connection went before it was served"),
            }
        }
    }

    /// Makes the daemon unreachable, for leaving: a socket of our own loses its path, if that still is the very socket
    /// that was bound there, so that who connects from now on finds no daemon. What was queued before can still be
    /// accepted, but is not worth waiting for: the socket counts as readable for ever. A manager's socket stays as it
    /// is: who connects waits for the next daemon. Again is a no-op.
    pub fn retire(&mut self) {
        if let Some(own) = &mut self.own {
            own.unlink(&self.path, &self.socket);
        }
    }

    /// Takes [`retire`](Self::retire) back: binds a socket of our own anew at the path, under the lock that was kept
    /// all the time. The descriptor is another one then: serve the old one's queue before, take this listener out of
    /// the event loop before, and register it again after. Nothing happens to a manager's socket, nor without a
    /// `retire`.
    ///
    /// # Errors
    ///
    /// See [`ListenerError`]: another process may have taken the path. The listener is as it was, retired.
    pub fn resume(&mut self) -> Result<(), ListenerError> {
        if let Some(own) = &mut self.own
            && let Some(socket) = own.rebind(&self.path)?
        {
            self.socket = socket;
        }
        Ok(())
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // While the socket is open its inode can't be given to another file, so the comparison in there holds.
        self.retire();
    }
}

/// When the last warning about refused connections was written, and how many were refused since.
#[derive(Debug, Default)]
struct Warnings {
    last: Cell<Option<Instant>>,
    unreported: Cell<u64>,
}

impl Warnings {
    fn refused(&self, uid: u32) {
        let now = clock::monotonic();
        self.unreported.set(self.unreported.get() + 1);
        if self
            .last
            .get()
            .is_none_or(|last| now - last >= BETWEEN_WARNINGS)
        {
            let connections = self.unreported.take();
            self.last.set(Some(now));
            tracing::warn!(uid, connections, "refused connections of another user");
        }
    }
}

#[cfg(target_os = "linux")]
mod platform {
    use super::{BorrowedFd, Errno, OwnedFd};
    use rustix::net::SocketFlags;

    pub(super) fn accept(socket: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        rustix::net::accept_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
    }
}

#[cfg(target_os = "macos")]
mod platform {
    use super::{BorrowedFd, Errno, OwnedFd};

    /// accept(2) takes no flags here. SIGPIPE is stopped on the socket, as it is by a flag of send(2) elsewhere.
    pub(super) fn accept(socket: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        let connection = rustix::net::accept(socket)?;
        rustix::io::fcntl_setfd(&connection, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&connection, true)?;
        // Fails for a connection whose other end has gone; reading reports that later.
        let _ = rustix::net::sockopt::set_socket_nosigpipe(&connection, true);
        Ok(connection)
    }
}

#[cfg(test)]
mod activation_tests;
#[cfg(test)]
mod tests;
