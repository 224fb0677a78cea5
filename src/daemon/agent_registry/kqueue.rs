//! The kernel's watches by kqueue(2): macOS.
//!
//! The kernel watches what a descriptor is open for: one for the directory, which reports that names appeared or went but
//! not which, one for its parent, and one for each file. They are open for events only (`O_EVTONLY`, open(2)): they keep
//! no file system from being unmounted and read nothing. [`NewNames`] is one more queue, for the directories in which
//! others may appear.

use super::changes::Changes;
use crate::agents::Registry;
use crate::daemon::reactor::register;
use rustix::event::kqueue::{Event, EventFilter, EventFlags, VnodeEvents, kevent, kqueue};
use rustix::fs::{Mode, OFlags};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::future::pending;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How many events are taken at a time.
const BATCH: usize = 64;

/// Names that appear or go in a directory are writes to it.
const NAMES: VnodeEvents = VnodeEvents::WRITE.union(INVALIDATED);

/// Changes of a file. Cutting it to a length changes its attributes and is no write.
const FILE: VnodeEvents = VnodeEvents::WRITE
    .union(VnodeEvents::EXTEND)
    .union(VnodeEvents::ATTRIBUTES)
    .union(INVALIDATED);

/// The path may lead elsewhere by now.
const INVALIDATED: VnodeEvents = VnodeEvents::DELETE
    .union(VnodeEvents::RENAME)
    .union(VnodeEvents::REVOKE);

/// The kernel's watches for one directory of registry files.
#[derive(Debug)]
pub(super) struct Watches {
    queue: AsyncFd<OwnedFd>,
    names: Option<OwnedFd>,
    parent: Option<OwnedFd>,
    creation: Option<(OwnedFd, PathBuf)>,
    files: HashMap<u32, OwnedFd>,
}

impl Watches {
    /// Without watches. The kernel names no files, so that it does not matter which are entries.
    pub(super) fn new(_registry: &'static Registry) -> io::Result<Self> {
        Ok(Self {
            queue: register(new_queue()?, Interest::READABLE)?,
            names: None,
            parent: None,
            creation: None,
            files: HashMap::new(),
        })
    }

    /// Drops all watches: closing a descriptor also removes its queued events.
    pub(super) fn clear(&mut self) {
        self.names = None;
        self.parent = None;
        self.creation = None;
        self.files.clear();
    }

    /// Reports when the directory at `path` itself is moved or removed.
    pub(super) fn watch_parent(&mut self, path: &Path) -> io::Result<()> {
        self.parent = Some(self.add(path, OFlags::DIRECTORY, INVALIDATED)?);
        Ok(())
    }

    /// Reports when `name` appears in `directory`, and when that itself is moved or removed.
    pub(super) fn watch_creation(&mut self, directory: &Path, name: &OsStr) -> io::Result<()> {
        let watch = self.add(directory, OFlags::DIRECTORY, NAMES)?;
        self.creation = Some((watch, directory.join(name)));
        Ok(())
    }

    /// Reports that names appeared or went in `directory`, and when that itself is moved or removed.
    pub(super) fn watch_files(&mut self, directory: &Path) -> io::Result<()> {
        self.names = Some(self.add(directory, OFlags::DIRECTORY, NAMES)?);
        Ok(())
    }

    /// Reports when the file at `path` changes or goes. One that is watched already stays so; one that is not there
    /// needs no watch.
    pub(super) fn watch_file(&mut self, pid: u32, path: &Path) -> io::Result<()> {
        if self.files.contains_key(&pid) {
            return Ok(());
        }
        match self.add(path, OFlags::NOFOLLOW | OFlags::NONBLOCK, FILE) {
            Ok(watch) => {
                self.files.insert(pid, watch);
                Ok(())
            }
            // Reading it reports the error.
            Err(error) if !is_shortage(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn add(&self, path: &Path, flags: OFlags, events: VnodeEvents) -> io::Result<OwnedFd> {
        add(self.queue.get_ref(), path, flags, events)
    }

    /// The next changes that matter.
    pub(super) async fn next(&mut self) -> Changes {
        loop {
            // An error of the reactor means that it is shutting down.
            let Ok(mut ready) = self.queue.readable().await else {
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
    fn take(&mut self) -> Changes {
        let mut changes = Changes::default();
        loop {
            let mut events = Vec::with_capacity(BATCH);
            let room = rustix::buffer::spare_capacity(&mut events);
            #[expect(unsafe_code, reason = "events may name descriptors")]
            // SAFETY: none is given, they are only taken.
            let taken = unsafe { kevent(self.queue.get_ref(), &[], room, Some(Duration::ZERO)) };
            match taken {
                Err(rustix::io::Errno::INTR) => continue,
                Ok(0) | Err(_) => return changes,
                Ok(_) => {}
            }
            for event in events {
                if let EventFilter::Vnode { vnode, flags } = event.filter() {
                    self.apply_event(vnode, flags, &mut changes);
                }
            }
        }
    }

    fn apply_event(&mut self, watch: RawFd, flags: VnodeEvents, changes: &mut Changes) {
        let is = |descriptor: &OwnedFd| descriptor.as_raw_fd() == watch;
        let invalidated = flags.intersects(INVALIDATED);
        if let Some((directory, awaited)) = &self.creation
            && is(directory)
        {
            changes.path |= invalidated || awaited.is_dir();
        } else if self.names.as_ref().is_some_and(is) {
            changes.path |= invalidated;
            changes.listing = true;
        } else if self.parent.as_ref().is_some_and(is) {
            changes.path = true;
        } else if let Some(pid) = self
            .files
            .iter()
            .find_map(|(pid, file)| is(file).then_some(*pid))
        {
            changes.files.insert(pid);
            if invalidated {
                // Another file may have its name by now: that one is watched when it is read.
                self.files.remove(&pid);
            }
        }
    }
}

/// Names that appear in directories. Registered for waiting only while [`wait`](Self::wait) runs: what appears at other
/// times is noted by the kernel and causes no wake-up.
#[derive(Debug)]
pub(super) struct NewNames {
    queue: OwnedFd,
    directories: HashMap<PathBuf, OwnedFd>,
}

impl NewNames {
    /// Without watches.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            queue: new_queue()?,
            directories: HashMap::new(),
        })
    }

    /// Watches `directory` too. For one that is watched already nothing changes.
    pub(super) fn watch(&mut self, directory: &Path) -> io::Result<()> {
        if !self.directories.contains_key(directory) {
            let watch = add(&self.queue, directory, OFlags::DIRECTORY, NAMES)?;
            self.directories.insert(directory.to_owned(), watch);
        }
        Ok(())
    }

    /// Waits until a name has appeared.
    pub(super) async fn wait(&self) -> io::Result<()> {
        // A duplicate: what the reactor registers, it owns.
        let queue = register(self.queue.try_clone()?, Interest::READABLE)?;
        queue.readable().await.map(drop)
    }

    /// Forgets the names so far; true if one of them may be awaited: the kernel names none.
    pub(super) fn take(&mut self, _is_awaited: impl Fn(&OsStr) -> bool) -> bool {
        let mut events = Vec::with_capacity(BATCH);
        let room = rustix::buffer::spare_capacity(&mut events);
        #[expect(unsafe_code, reason = "events may name descriptors")]
        // SAFETY: none is given, they are only taken. Each directory has one event at most.
        let taken = unsafe { kevent(&self.queue, &[], room, Some(Duration::ZERO)) };
        for event in &events {
            if let EventFilter::Vnode { vnode, flags } = event.filter()
                && flags.intersects(INVALIDATED)
            {
                // Another directory may have its path by now: that one is watched again with the next scan.
                self.directories
                    .retain(|_, watch| watch.as_raw_fd() != vnode);
            }
        }
        taken.is_ok_and(|count| count > 0)
    }
}

pub(in crate::daemon) fn new_queue() -> io::Result<OwnedFd> {
    let queue = kqueue()?;
    rustix::io::fcntl_setfd(&queue, rustix::io::FdFlags::CLOEXEC)?;
    Ok(queue)
}

pub(in crate::daemon) fn add(
    queue: &OwnedFd,
    path: &Path,
    flags: OFlags,
    events: VnodeEvents,
) -> io::Result<OwnedFd> {
    let only_events = OFlags::from_bits_retain(libc::O_EVTONLY.cast_unsigned());
    let watch = rustix::fs::open(path, only_events | flags | OFlags::CLOEXEC, Mode::empty())?;
    let filter = EventFilter::Vnode {
        vnode: watch.as_raw_fd(),
        flags: events,
    };
    let change = Event::new(
        filter,
        EventFlags::ADD | EventFlags::CLEAR,
        std::ptr::null_mut(),
    );
    let mut no_events: [Event; 0] = [];
    #[expect(unsafe_code, reason = "events name descriptors")]
    // SAFETY: the one that is named is open; closing it takes it out of the queue.
    unsafe {
        kevent(queue, &[change], &mut no_events, None)?;
    }
    Ok(watch)
}

/// Whether the system has no descriptor or memory left.
fn is_shortage(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM)
    )
}
