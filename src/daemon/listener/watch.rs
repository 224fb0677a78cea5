//! Watches the files of a self-bound socket: whether the socket, its lock file or a directory on the way to them is
//! removed, renamed or replaced.
//!
//! The files themselves are watched, not the names in their directory: the directory may be `/tmp`, in which files come and
//! go all day. A directory on the way counts only for its own removal or renaming. What this does not see, such as a file
//! system that is mounted over the path, a daemon that starts points out by the lock file's times (`lock.rs`), and a
//! person by SIGHUP.
//!
//! Called by `self_bound.rs` and the event loop. Knows nothing of what follows.

use super::lock::Lock;
use crate::daemon::reactor::register;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The kernel's watches on the files as they are now. After a change it has done its work: make a new one.
#[derive(Debug)]
pub(in crate::daemon) struct Watch(Option<Watches>);

#[derive(Debug)]
struct Watches {
    queue: AsyncFd<OwnedFd>,
    /// What is watched by an open descriptor.
    #[cfg(target_os = "macos")]
    _watched: Vec<OwnedFd>,
}

impl Watch {
    /// Watches nothing: a manager's socket is the manager's.
    pub(in crate::daemon) fn nothing() -> Self {
        Self(None)
    }

    /// Watches the socket at `path`, which is absolute, and its lock. What is not there is not watched.
    pub(super) fn new(path: &Path, lock: &Lock) -> io::Result<Self> {
        platform::watches(path, lock).map(|watches| Self(Some(watches)))
    }

    /// Resolves once something was changed.
    pub(in crate::daemon) async fn changed(&self) {
        match &self.0 {
            // An error of the reactor means that it is shutting down.
            Some(watches) if watches.queue.readable().await.is_ok() => {}
            _ => pending().await,
        }
    }
}

fn queue(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    register(descriptor, Interest::READABLE)
}

#[cfg(target_os = "linux")]
mod platform {
    use super::{Lock, Path, Watches, io, queue};
    use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
    use rustix::io::Errno;

    /// The file loses its last name (its attributes change, since a bound socket keeps it), or its name changes. By
    /// its attributes a daemon that starts also asks for attention.
    const FILE: WatchFlags = WatchFlags::ATTRIB
        .union(WatchFlags::MOVE_SELF)
        .union(WatchFlags::DELETE_SELF)
        .union(WatchFlags::DONT_FOLLOW);

    const DIRECTORY: WatchFlags = WatchFlags::MOVE_SELF.union(WatchFlags::DELETE_SELF);

    pub(super) fn watches(path: &Path, lock: &Lock) -> io::Result<Watches> {
        let instance = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let add = |path: &Path, flags| match add_watch(&instance, path, flags) {
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP) => Ok(()),
            Err(errno) => Err(io::Error::from(errno)),
        };
        add(path, FILE)?;
        add(lock.path(), FILE)?;
        for directory in path.ancestors().skip(1) {
            // Where it is a symbolic link: where that leads, and the link.
            add(directory, DIRECTORY)?;
            add(directory, DIRECTORY | WatchFlags::DONT_FOLLOW)?;
        }
        Ok(Watches {
            queue: queue(instance)?,
        })
    }
}

#[cfg(target_os = "macos")]
mod platform {
    use super::{Lock, Path, Watches, io, queue};
    use crate::daemon::agent_registry::kqueue::{add, new_queue};
    use rustix::event::kqueue::VnodeEvents;
    use rustix::fs::OFlags;

    const MOVED: VnodeEvents = VnodeEvents::DELETE
        .union(VnodeEvents::RENAME)
        .union(VnodeEvents::REVOKE);

    /// A socket cannot be opened, and so not be watched: its directory is, which reports every name that comes or goes.
    pub(super) fn watches(path: &Path, lock: &Lock) -> io::Result<Watches> {
        let instance = new_queue()?;
        let mut watched = Vec::new();
        // What is not there, or may not be opened, is not watched.
        let file = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let events = MOVED | VnodeEvents::ATTRIBUTES;
        watched.extend(add(&instance, lock.path(), file, events));
        let mut events = MOVED | VnodeEvents::WRITE;
        for directory in path.ancestors().skip(1) {
            watched.extend(add(&instance, directory, OFlags::DIRECTORY, events));
            events = MOVED;
        }
        Ok(Watches {
            queue: queue(instance)?,
            _watched: watched,
        })
    }
}
