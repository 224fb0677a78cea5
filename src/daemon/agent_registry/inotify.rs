//! The kernel's watches by inotify(7): Linux.
//!
//! One instance for each directory of registry files, so that each drops its watches alone. Only the events that matter
//! are requested: writing and reading in the directory cause no wake-up, closing a written file does.
//! [`NewNames`] is one more instance, for the directories in which others may appear.

use super::changes::Changes;
use crate::agents::Registry;
use crate::daemon::reactor::register;
use rustix::fs::inotify::{
    CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch,
};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::future::pending;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Room for 15 events with the longest names there can be, and for many more real ones.
const BUFFER: usize = 4096;

/// The directory itself was moved or removed, or its watch is gone. The removal of a directory that a process still has
/// open, or works in, is reported when that ends.
const ITSELF: WatchFlags = WatchFlags::MOVE_SELF
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::MASK_ADD);

const CREATION: WatchFlags = WatchFlags::CREATE.union(WatchFlags::MOVED_TO).union(ITSELF);

const FILES: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(ITSELF);

/// The path may lead elsewhere by now.
const INVALIDATED: ReadFlags = ReadFlags::MOVE_SELF
    .union(ReadFlags::DELETE_SELF)
    .union(ReadFlags::UNMOUNT)
    .union(ReadFlags::IGNORED);

/// The kernel's watches for one directory of registry files.
#[derive(Debug)]
pub(super) struct Watches {
    registry: &'static Registry,
    instance: AsyncFd<OwnedFd>,
    files: Option<i32>,
    parent: Option<i32>,
    creation: Option<(i32, OsString)>,
}

impl Watches {
    /// Without watches. `registry` says which files are entries.
    pub(super) fn new(registry: &'static Registry) -> io::Result<Self> {
        Ok(Self {
            registry,
            instance: register(new_instance()?, Interest::READABLE)?,
            files: None,
            parent: None,
            creation: None,
        })
    }

    /// Drops all watches. Events of theirs that are still queued are ignored: the kernel does not reuse a watch's number.
    pub(super) fn clear(&mut self) {
        for watch in self.all() {
            // Two may be the same, and the kernel may have removed it.
            let _ = remove_watch(self.instance.get_ref(), watch);
        }
        (self.files, self.parent, self.creation) = (None, None, None);
    }

    fn all(&self) -> impl Iterator<Item = i32> + use<> {
        let creation = self.creation.as_ref().map(|(watch, _)| *watch);
        [self.files, self.parent, creation].into_iter().flatten()
    }

    /// Reports when the directory at `path` itself is moved or removed.
    pub(super) fn watch_parent(&mut self, path: &Path) -> io::Result<()> {
        self.parent = Some(self.add(path, ITSELF)?);
        Ok(())
    }

    /// Reports when `name` appears in `directory`, and when that itself is moved or removed.
    pub(super) fn watch_creation(&mut self, directory: &Path, name: &OsStr) -> io::Result<()> {
        self.creation = Some((self.add(directory, CREATION)?, name.to_owned()));
        Ok(())
    }

    /// Reports changes of the files in `directory`, and when that itself is moved or removed.
    pub(super) fn watch_files(&mut self, directory: &Path) -> io::Result<()> {
        self.files = Some(self.add(directory, FILES)?);
        Ok(())
    }

    /// The directory's watch covers each file.
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "kqueue watches each file"
    )]
    pub(super) fn watch_file(&mut self, _pid: u32, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn add(&self, path: &Path, flags: WatchFlags) -> io::Result<i32> {
        add(self.instance.get_ref(), path, flags)
    }

    /// The next changes that matter.
    pub(super) async fn next(&mut self) -> Changes {
        loop {
            // An error of the reactor means that it is shutting down.
            let Ok(mut ready) = self.instance.readable().await else {
                pending().await
            };
            ready.clear_ready();
            drop(ready);
            let changes = self.take();
            if !changes.is_empty() {
                return changes;
            }
        }
    }

    /// All that is queued by now.
    fn take(&self) -> Changes {
        let mut changes = Changes::default();
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(self.instance.get_ref(), &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                // Nothing but "no more" is documented for a descriptor like this one.
                Err(_) => return changes,
            };
            let (watch, flags) = (event.wd(), event.events());
            let name = event.file_name().map_or(&b""[..], |name| name.to_bytes());
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                tracing::debug!("the inotify queue overflowed: everything is read again");
                changes.path = true;
            }
            changes.path |= flags.intersects(INVALIDATED) && self.all().any(|own| own == watch);
            changes.path |= self.creation.as_ref().is_some_and(|(directory, awaited)| {
                *directory == watch && awaited.as_bytes() == name
            });
            if self.files == Some(watch) {
                changes
                    .files
                    .extend((self.registry.pid)(OsStr::from_bytes(name)));
            }
        }
    }
}

/// Names that appear in directories. Registered for waiting only while [`wait`](Self::wait) runs: what appears at other
/// times is queued by the kernel and causes no wake-up.
#[derive(Debug)]
pub(super) struct NewNames {
    instance: OwnedFd,
}

impl NewNames {
    /// Without watches.
    pub(super) fn new() -> io::Result<Self> {
        let instance = new_instance()?;
        Ok(Self { instance })
    }

    /// Watches `directory` too. For one that is watched already nothing changes.
    pub(super) fn watch(&mut self, directory: &Path) -> io::Result<()> {
        let appearing = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        add(&self.instance, directory, appearing).map(drop)
    }

    /// Waits until a name has appeared.
    pub(super) async fn wait(&self) -> io::Result<()> {
        // A duplicate: what the reactor registers, it owns.
        let instance = register(self.instance.try_clone()?, Interest::READABLE)?;
        instance.readable().await.map(drop)
    }

    /// Forgets the names so far; true if one of them may be awaited.
    pub(super) fn take(&mut self, is_awaited: impl Fn(&OsStr) -> bool) -> bool {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(&self.instance, &mut buffer);
        let mut any = false;
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map_or(&b""[..], |name| name.to_bytes());
                    any |= event.events().contains(ReadFlags::QUEUE_OVERFLOW)
                        || is_awaited(OsStr::from_bytes(name));
                }
                Err(Errno::INTR) => {}
                Err(_) => return any,
            }
        }
    }
}

fn new_instance() -> io::Result<OwnedFd> {
    init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(|errno| match errno {
        Errno::MFILE => io::Error::other(
            "no open file or no inotify instance is left; raise fs.inotify.max_user_instances",
        ),
        errno => errno.into(),
    })
}

fn add(instance: &OwnedFd, path: &Path, flags: WatchFlags) -> io::Result<i32> {
    add_watch(instance, path, flags).map_err(|errno| match errno {
        Errno::NOSPC => io::Error::other(
            "the limit of inotify watches is reached; raise fs.inotify.max_user_watches",
        ),
        errno => errno.into(),
    })
}
