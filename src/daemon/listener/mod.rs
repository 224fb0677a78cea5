//! Where connections come from: one listening Unix stream socket of one of three origins.
//!
//! systemd or launchd holds the socket and passes it, or the daemon binds one itself. The origin is detected, never
//! configured: a passed socket is used; none means self-bound; a wrong one is an error, because a daemon that binds
//! another socket than its manager watches has no clients, and the reason would stay hidden.
//!
//! - [`take_activation`] (in `activation.rs`) reads systemd's environment and asks launchd. It changes the environment,
//!   so it comes first, before any thread.
//! - [`acquire`] validates the passed socket, or binds one (in `self_bound.rs`: stale and foreign sockets; in `lock.rs`: the
//!   lock file).
//! - [`Listener`] accepts, and asks the kernel for the peer's user before a byte is read.
//!
//! A manager's socket is never unlinked or bound again: connections in its queue start the next daemon. For a self-bound
//! socket, shutdown removes the path first ([`Listener::retire`]), then serves the queue, then releases the lock.
//!
//! Anything may remove or replace the files of a self-bound socket. [`Watch`] reports that without a wake-up at other
//! times, and [`Listener::keep`] then takes the lock and binds again.
//!
//! Called by the daemon's start and its loop. Knows nothing of the protocol, of tokio or of when to leave.

mod activation;
pub mod launchd;
mod lock;
mod self_bound;
mod watch;

pub use activation::{Activation, take_activation};
pub use self_bound::Kept;
pub(super) use watch::Watch;

use self::launchd::LaunchdError;
use super::occasional::Occasional;
use crate::os::lock_file::{self, Holder};
use crate::os::peer;
pub use crate::protocol::Origin;
use rustix::io::Errno;
use self_bound::SelfBound;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a daemon that starts waits for the lock: one that was sent a signal just before needs a moment to leave.
const LOCK_WAIT: Duration = Duration::from_millis(500);

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
    /// Another daemon holds the lock of a self-bound socket, and answers there.
    #[error(
        "another daemon serves {}, {} (it holds {}): use that one, or stop it with `agent-console stop`",
        path.display(),
        holder,
        lock_file::beside(path).display()
    )]
    Locked {
        /// The socket.
        path: PathBuf,
        /// The other daemon.
        holder: Holder,
    },
    /// Another process holds the lock of a self-bound socket, and does not answer there.
    #[error(
        "{} holds {} and cannot be reached at {}; {}",
        holder,
        lock_file::beside(path).display(),
        path.display(),
        holder.advice()
    )]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// The other process.
        holder: Holder,
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
        "{} belongs to user {uid}, not to this one, and is left alone; {}",
        path.display(),
        peer::CHOOSE
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
    refused: Occasional,
}

/// Takes what was passed, or binds a socket at `self_bound_path` (made absolute from the working directory of now:
/// after a change of directory it would name another file).
///
/// # Errors
///
/// See [`ListenerError`].
pub fn acquire(activation: Activation, self_bound_path: &Path) -> Result<Listener, ListenerError> {
    acquire_within(activation, self_bound_path, LOCK_WAIT)
}

/// The same with a time limit of its own for the lock.
fn acquire_within(
    activation: Activation,
    self_bound_path: &Path,
    lock_wait: Duration,
) -> Result<Listener, ListenerError> {
    let (socket, path, origin, own) = match activation {
        Activation::None => {
            let path =
                std::path::absolute(self_bound_path).map_err(|source| ListenerError::System {
                    step: "make absolute the path",
                    path: self_bound_path.to_owned(),
                    source,
                })?;
            let (socket, own) = SelfBound::bind(&path, lock_wait)?;
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
        refused: Occasional::default(),
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
                Ok(uid) => {
                    if let Some(connections) = self.refused.next() {
                        tracing::warn!(uid, connections, "refused connections of another user");
                    }
                }
                Err(error) => tracing::debug!(%error, "a connection went before it was served"),
            }
        }
    }

    /// Makes sure that clients find a socket of our own: takes the lock again if the lock file was removed or replaced, and
    /// binds anew if the path does not name our socket any more. The socket may be another one then: as for
    /// [`resume`](Self::resume), serve the old one's queue and take it out of the event loop before. Nothing happens to a
    /// manager's socket, nor to a retired one.
    ///
    /// # Errors
    ///
    /// See [`ListenerError`]. [`ListenerError::Locked`]: another daemon serves the path, so that this one is of no more
    /// use. Else the caller tries again later.
    pub fn keep(&mut self) -> Result<Kept<()>, ListenerError> {
        let Some(own) = &mut self.own else {
            return Ok(Kept::Unchanged);
        };
        Ok(match own.keep(&self.path)? {
            Kept::Unchanged => Kept::Unchanged,
            Kept::Unlocked => Kept::Unlocked,
            Kept::BoundAgain(socket) => {
                self.socket = socket;
                Kept::BoundAgain(())
            }
        })
    }

    /// What reports that [`keep`](Self::keep) may have something to do: begin to watch, then call it once.
    ///
    /// # Errors
    ///
    /// The system cannot watch the files.
    pub(super) fn watch(&self) -> io::Result<Watch> {
        match &self.own {
            Some(own) => own.watch(&self.path),
            None => Ok(Watch::nothing()),
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
