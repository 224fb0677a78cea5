//! Signs of change by kqueue(2): macOS.
//!
//! The kernel watches what a descriptor is open for: one for each step of the way, one for the directory, which tells
//! that names came or went but not which, and one for each file. They are open for events only (`O_EVTONLY`, open(2)):
//! no file system is kept from being unmounted, nothing is read.

use super::Changes;
use super::path_watch::is_way;
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
const AT_ONCE: usize = 64;

/// What is told of every step of the way.
const STEP: VnodeEvents = LOST;

/// What is told of a directory in which names may come and go: each is a write.
const NAMES: VnodeEvents = VnodeEvents::WRITE.union(LOST);

/// What is told of a file. Cutting it to a length changes its attributes and is no write.
const FILE: VnodeEvents = VnodeEvents::WRITE
    .union(VnodeEvents::EXTEND)
    .union(VnodeEvents::ATTRIBUTES)
    .union(LOST);

/// The path leads elsewhere by now.
const LOST: VnodeEvents = VnodeEvents::DELETE
    .union(VnodeEvents::RENAME)
    .union(VnodeEvents::REVOKE);

/// The kernel's watches on the way to one directory and in it.
#[derive(Debug)]
pub(super) struct Signs {
    queue: AsyncFd<OwnedFd>,
    steps: Vec<OwnedFd>,
    arrival: Option<(OwnedFd, PathBuf)>,
    names: Option<OwnedFd>,
    files: HashMap<u32, OwnedFd>,
}

impl Signs {
    pub(super) fn new() -> io::Result<Self> {
        let queue = kqueue()?;
        rustix::io::fcntl_setfd(&queue, rustix::io::FdFlags::CLOEXEC)?;
        Ok(Self {
            queue: register(queue, Interest::READABLE)?,
            steps: Vec::new(),
            arrival: None,
            names: None,
            files: HashMap::new(),
        })
    }

    /// Forgets all: closing a descriptor ends its watch and takes back what is told of it.
    pub(super) fn clear(&mut self) {
        self.steps.clear();
        self.arrival = None;
        self.names = None;
        self.files.clear();
    }

    /// Tells when the directory or link at `path` itself is moved or removed.
    pub(super) fn step(&mut self, path: &Path) -> io::Result<()> {
        self.steps.push(self.add(path, OFlags::SYMLINK, STEP)?);
        Ok(())
    }

    /// Tells when `name` appears in `directory`.
    pub(super) fn arrival(&mut self, directory: &Path, name: &OsStr) -> io::Result<()> {
        let watch = self.add(directory, OFlags::DIRECTORY, NAMES)?;
        self.arrival = Some((watch, directory.join(name)));
        Ok(())
    }

    /// Tells that names came or went in `directory`.
    pub(super) fn files(&mut self, directory: &Path) -> io::Result<()> {
        self.names = Some(self.add(directory, OFlags::DIRECTORY, NAMES)?);
        Ok(())
    }

    /// Tells when the file at `path` changes or goes. One that is watched already stays so; one that is not there
    /// needs none.
    pub(super) fn file(&mut self, pid: u32, path: &Path) -> io::Result<()> {
        if self.files.contains_key(&pid) {
            return Ok(());
        }
        match self.add(path, OFlags::NOFOLLOW | OFlags::NONBLOCK, FILE) {
            Ok(watch) => {
                self.files.insert(pid, watch);
                Ok(())
            }
            // The reading tells of it.
            Err(error) if !is_shortage(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn add(&self, path: &Path, flags: OFlags, events: VnodeEvents) -> io::Result<OwnedFd> {
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
            kevent(self.queue.get_ref(), &[change], &mut no_events, None)?;
        }
        Ok(watch)
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
            if changes.way || changes.listing || !changes.files.is_empty() {
                return changes;
            }
        }
    }

    /// All that is told by now.
    fn take(&mut self) -> Changes {
        let mut changes = Changes::default();
        loop {
            let mut events = Vec::with_capacity(AT_ONCE);
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
                    self.told(vnode, flags, &mut changes);
                }
            }
        }
    }

    fn told(&mut self, watch: RawFd, flags: VnodeEvents, changes: &mut Changes) {
        let is = |descriptor: &OwnedFd| descriptor.as_raw_fd() == watch;
        let lost = flags.intersects(LOST);
        if let Some((directory, awaited)) = &self.arrival
            && is(directory)
        {
            changes.way |= lost || is_way(awaited);
        } else if self.names.as_ref().is_some_and(is) {
            changes.way |= lost;
            changes.listing = true;
        } else if self.steps.iter().any(is) {
            changes.way = true;
        } else if let Some(pid) = self
            .files
            .iter()
            .find_map(|(pid, file)| is(file).then_some(*pid))
        {
            changes.files.insert(pid);
            if lost {
                // Another may have taken its name: to be watched when it is looked at.
                self.files.remove(&pid);
            }
        }
    }
}

/// Whether the system has no descriptor or memory left.
fn is_shortage(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM)
    )
}
