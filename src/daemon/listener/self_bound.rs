//! A socket that the daemon binds itself: one daemon to a path, no other's file removed.
//!
//! The path alone cannot decide who serves it: two daemons that both find no answer, unlink and bind would take the
//! socket away from each other. So all of it happens under a lock file beside the socket, held as long as the daemon
//! lives (flock(2): the kernel releases it however the daemon dies). Under the lock, what is at the path is
//!
//! - nothing: bind;
//! - a socket of ours that refuses connections, left by a daemon that was killed: unlink, bind;
//! - a socket that answers, or whose queue is full: served without our lock (by a service manager's daemon): refuse;
//! - anything else, or another user's: not ours to remove: refuse.
//!
//! While the daemon runs, its files may be removed, or others put in their place. It holds what it held, but no client finds
//! it: so it takes the lock and the path again, by the same rules ([`SelfBound::keep`]).

use super::ListenerError;
use super::lock::{FileId, Lock, held, kind, system, vet_owner};
use super::watch::Watch;
use crate::config::last_exit;
use crate::os::peer::{self, ConnectError};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketType};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

/// Connections that may wait while the loop is busy; beyond, a client waits inside connect(2), and a hook gives up.
/// The kernel takes the smaller of this and `net.core.somaxconn` (4096 since Linux 5.4; 128 on macOS).
const BACKLOG: i32 = 4096;

/// Only this user opens the socket. (The peer's user is checked all the same.)
const MODE: u32 = 0o600;

/// Where the socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the path, as this file, unless that was removed since.
    Bound(FileId),
    /// Nowhere: the path was given up.
    Retired,
    /// Nowhere: the path was lost, and could not be had again.
    Lost,
}

/// How lock and path were found, and what was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept<T> {
    /// The lock is ours, and so is the path.
    Unchanged,
    /// The path is ours. Another process holds the lock by a new file: look again soon.
    Unlocked,
    /// The path was not ours and is again, by another socket.
    BoundAgain(T),
}

/// What belongs to a socket of our own besides its descriptor: the lock, and which file at the path is ours.
#[derive(Debug)]
pub(super) struct SelfBound {
    place: Place,
    lock: Lock,
}

impl SelfBound {
    /// Binds at `path`, which is absolute, once the lock is free; waits for it as long as `lock_wait`.
    pub(super) fn bind(path: &Path, lock_wait: Duration) -> Result<(OwnedFd, Self), ListenerError> {
        // Before the lock file is made: its name would be too long, too.
        address(path)?;
        let lock = Lock::take(path, lock_wait)?;
        let (socket, id) = bind(path)?;
        let place = Place::Bound(id);
        Ok((socket, Self { place, lock }))
    }

    /// Binds again after an [`unlink`](Self::unlink); `None` if the socket still is at its path.
    pub(super) fn rebind(&mut self, path: &Path) -> Result<Option<OwnedFd>, ListenerError> {
        match self.place {
            Place::Bound(_) => Ok(None),
            Place::Retired | Place::Lost => self.bind_again(path).map(Some),
        }
    }

    /// Takes lock and path again if they are not ours any more; with the new socket, if it is another.
    pub(super) fn keep(&mut self, path: &Path) -> Result<Kept<OwnedFd>, ListenerError> {
        let is_reachable = match self.place {
            Place::Retired => return Ok(Kept::Unchanged),
            Place::Bound(id) => id.is_at(path),
            Place::Lost => false,
        };
        if !self.lock.is_in_place() && !self.lock.take_again(path)? {
            if is_reachable {
                // A daemon that starts: it finds ours at the path, and leaves. The lock is free again after that.
                return Ok(Kept::Unlocked);
            }
            self.place = Place::Lost;
            return Err(held(path));
        }
        if is_reachable {
            return Ok(Kept::Unchanged);
        }
        self.bind_again(path).map(Kept::BoundAgain)
    }

    fn bind_again(&mut self, path: &Path) -> Result<OwnedFd, ListenerError> {
        self.place = Place::Lost;
        let (socket, id) = bind(path)?;
        self.place = Place::Bound(id);
        Ok(socket)
    }

    /// See [`super::Listener::watch`].
    pub(super) fn watch(&self, path: &Path) -> io::Result<Watch> {
        Watch::new(path, &self.lock)
    }

    /// Removes the path if it still names `socket`, which is the one that was bound, and has the kernel refuse who
    /// looked the path up before and connects only now. What is queued stays queued.
    pub(super) fn unlink(&mut self, path: &Path, socket: &OwnedFd) {
        if let Place::Bound(id) = self.place {
            // Before the path is gone: a hook that does not find it looks for the note.
            if let Err(error) = last_exit::note() {
                tracing::debug!("hooks will not wait for the next daemon: {error}");
            }
            id.unlink(path);
            // Linux answers ECONNREFUSED from here on; elsewhere nothing happens.
            let _ = rustix::net::shutdown(socket, Shutdown::Read);
        }
        self.place = Place::Retired;
    }
}

/// Makes room at `path` and binds a listening socket there. The lock is held.
fn bind(path: &Path) -> Result<(OwnedFd, FileId), ListenerError> {
    make_room(path)?;
    let address = address(path)?;
    let socket = socket().map_err(|errno| system("make a socket for", path, errno.into()))?;
    // On Linux the file gets the mode of the socket, less the umask; elsewhere this is refused and changes nothing.
    let _ = rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR);
    rustix::net::bind(&socket, &address)
        .map_err(|errno| system("bind the socket", path, errno.into()))?;
    let metadata =
        fs::symlink_metadata(path).map_err(|source| system("examine the socket", path, source))?;
    let id = FileId::of(&metadata);
    // No client can connect before listen(2), so until here it does not matter whom the mode lets in. The umask, which would
    // do it as well, belongs to the whole process: files that other threads make now would come out unreadable.
    let listening = if metadata.mode() & 0o777 == MODE {
        Ok(())
    } else {
        fs::set_permissions(path, fs::Permissions::from_mode(MODE))
    }
    .and_then(|()| Ok(rustix::net::listen(&socket, BACKLOG)?));
    if let Err(source) = listening {
        id.unlink(path);
        return Err(system("listen on the socket", path, source));
    }
    Ok((socket, id))
}

/// Leaves nothing at `path`, or says why what is there stays.
fn make_room(path: &Path) -> Result<(), ListenerError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(system("examine", path, source)),
    };
    if !metadata.file_type().is_socket() {
        return Err(ListenerError::NotASocket {
            path: path.to_owned(),
            found: kind(metadata.file_type()),
        });
    }
    vet_owner(path, &metadata)?;
    match peer::connect(path, Duration::ZERO) {
        Ok(_) | Err(ConnectError::Busy { .. }) => Err(ListenerError::Live {
            path: path.to_owned(),
        }),
        Err(ConnectError::Foreign { path, uid }) => Err(ListenerError::Foreign { path, uid }),
        Err(ConnectError::Roots { path }) => Err(ListenerError::Foreign { path, uid: 0 }),
        Err(ConnectError::NoDaemon { .. }) => {
            tracing::info!("replaces {}, which its daemon left behind", path.display());
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(system("remove the abandoned socket", path, error))
                }
                _ => Ok(()),
            }
        }
        Err(ConnectError::Other { path, source }) => {
            Err(system("tell whether a daemon serves", &path, source))
        }
    }
}

fn address(path: &Path) -> Result<rustix::net::SocketAddrUnix, ListenerError> {
    peer::address(path).map_err(|source| system("bind the socket", path, source))
}

#[cfg(target_os = "linux")]
fn socket() -> Result<OwnedFd, Errno> {
    use rustix::net::SocketFlags;
    rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
}

#[cfg(target_os = "macos")]
fn socket() -> Result<OwnedFd, Errno> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}
