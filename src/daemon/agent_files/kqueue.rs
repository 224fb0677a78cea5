//! What happens to files, by kqueue(2): macOS. One queue for all.
//!
//! The kernel watches what a descriptor is open for. A directory's event says that names appeared or went, but not which.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::kqueue::{EventFilter, VnodeEvents, kevent};
use rustix::fs::OFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::changes::Event;
use crate::daemon::agent_registry::kqueue::{add, new_queue};
use crate::daemon::reactor::register;

/// How many events are taken at a time.
const BATCH: usize = 64;

/// The path may lead elsewhere by now.
const LOST: VnodeEvents = VnodeEvents::DELETE
    .union(VnodeEvents::RENAME)
    .union(VnodeEvents::REVOKE);

const DIRECTORY: VnodeEvents = VnodeEvents::WRITE.union(LOST);

const FILE: VnodeEvents = VnodeEvents::WRITE.union(VnodeEvents::EXTEND).union(LOST);

/// The kernel's watches.
#[derive(Debug)]
pub(super) struct Notifier {
    queue: AsyncFd<OwnedFd>,
    directories: HashMap<PathBuf, OwnedFd>,
    files: HashMap<PathBuf, OwnedFd>,
}

impl Notifier {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            queue: register(new_queue()?, Interest::READABLE)?,
            directories: HashMap::new(),
            files: HashMap::new(),
        })
    }

    /// Reports what happens to the names in this directory, and to itself.
    pub(super) fn watch_directory(&mut self, path: &Path) -> io::Result<()> {
        if !self.directories.contains_key(path) {
            let watch = self.add(path, OFlags::DIRECTORY, DIRECTORY)?;
            self.directories.insert(path.to_owned(), watch);
        }
        Ok(())
    }

    /// Reports when this file is next written to.
    pub(super) fn watch_file(&mut self, path: &Path) -> io::Result<()> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let watch = self.add(path, flags, FILE)?;
        // Another file may have the name by now.
        self.files.insert(path.to_owned(), watch);
        Ok(())
    }

    /// Ends the watches of directories that are not kept.
    pub(super) fn retain_directories(&mut self, keeps: impl Fn(&Path) -> bool) {
        self.directories.retain(|path, _| keeps(path));
    }

    #[cfg(test)]
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        self.directories.keys().cloned().collect()
    }

    pub(super) fn forget_directory(&mut self, path: &Path) {
        self.directories.remove(path);
    }

    pub(super) fn forget_file(&mut self, path: &Path) {
        self.files.remove(path);
    }

    fn add(&self, path: &Path, flags: OFlags, events: VnodeEvents) -> io::Result<OwnedFd> {
        add(self.queue.get_ref(), path, flags, events)
    }

    /// The next events.
    pub(super) async fn next(&mut self) -> Vec<Event> {
        loop {
            // An error of the reactor means that it is shutting down.
            let Ok(mut ready) = self.queue.readable().await else {
                pending().await
            };
            ready.clear_ready();
            drop(ready);
            let events = self.take();
            if !events.is_empty() {
                return events;
            }
        }
    }

    fn take(&mut self) -> Vec<Event> {
        let mut found = Vec::new();
        loop {
            let mut events = Vec::with_capacity(BATCH);
            let room = rustix::buffer::spare_capacity(&mut events);
            #[expect(unsafe_code, reason = "events may name descriptors")]
            // SAFETY: none is given, they are only taken.
            let taken = unsafe { kevent(self.queue.get_ref(), &[], room, Some(Duration::ZERO)) };
            match taken {
                Err(rustix::io::Errno::INTR) => continue,
                Ok(0) | Err(_) => return found,
                Ok(_) => {}
            }
            for event in events {
                if let EventFilter::Vnode { vnode, flags } = event.filter() {
                    let is = |watch: &OwnedFd| watch.as_raw_fd() == vnode;
                    let named = |watches: &HashMap<PathBuf, OwnedFd>| {
                        let named = watches.iter().find(|(_, watch)| is(watch));
                        named.map(|(path, _)| path.clone())
                    };
                    if let Some(path) = named(&self.directories) {
                        found.push(if flags.intersects(LOST) {
                            Event::Lost(path)
                        } else {
                            Event::Listing(path)
                        });
                    } else if let Some(path) = named(&self.files) {
                        // Reported once, so that an agent that writes word by word does not wake the daemon for each.
                        self.files.remove(&path);
                        found.push(if flags.intersects(LOST) {
                            Event::Removed(path)
                        } else {
                            Event::Written(path)
                        });
                    }
                }
            }
        }
    }
}
