//! What happens to files, by inotify(7): Linux. One instance for all.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::future::pending;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{
    CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch,
};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::changes::Event;
use crate::daemon::reactor::register;

/// Room for 15 events with the longest names there can be, and for many more real ones.
const BUFFER: usize = 4096;

const DIRECTORY: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Reported once, so that an agent that writes word by word does not wake the daemon for each. The closing of a file is
/// reported by its directory.
const FILE: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::DONT_FOLLOW)
    .union(WatchFlags::ONESHOT);

/// The path leads to another directory by now.
const LOST: ReadFlags = ReadFlags::MOVE_SELF
    .union(ReadFlags::DELETE_SELF)
    .union(ReadFlags::UNMOUNT)
    .union(ReadFlags::IGNORED);

/// The kernel's watches.
#[derive(Debug)]
pub(super) struct Notifier {
    instance: AsyncFd<OwnedFd>,
    directories: Paths,
    files: Paths,
}

/// The paths of each watch: the kernel gives all paths of one directory or file the same.
type Paths = HashMap<i32, BTreeSet<PathBuf>>;

impl Notifier {
    pub(super) fn new() -> io::Result<Self> {
        let instance = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Self {
            instance: register(instance, Interest::READABLE)?,
            directories: HashMap::new(),
            files: HashMap::new(),
        })
    }

    /// Reports what happens to the names in this directory, and to itself.
    pub(super) fn watch_directory(&mut self, path: &Path) -> io::Result<()> {
        let watch = add_watch(self.instance.get_ref(), path, DIRECTORY)?;
        name_watch(&mut self.directories, watch, path);
        Ok(())
    }

    /// Reports when this file is next written to.
    pub(super) fn watch_file(&mut self, path: &Path) -> io::Result<()> {
        let watch = add_watch(self.instance.get_ref(), path, FILE)?;
        name_watch(&mut self.files, watch, path);
        Ok(())
    }

    /// Ends the watches of directories that are not kept.
    pub(super) fn retain_directories(&mut self, keeps: impl Fn(&Path) -> bool) {
        retain(self.instance.get_ref(), &mut self.directories, keeps);
    }

    pub(super) fn forget_directory(&mut self, path: &Path) {
        self.retain_directories(|watched| watched != path);
    }

    pub(super) fn forget_file(&mut self, path: &Path) {
        retain(self.instance.get_ref(), &mut self.files, |watched| {
            watched != path
        });
    }

    #[cfg(test)]
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        self.directories.values().flatten().cloned().collect()
    }

    /// The next events.
    pub(super) async fn next(&mut self) -> Vec<Event> {
        loop {
            // An error of the reactor means that it is shutting down.
            let Ok(mut ready) = self.instance.readable().await else {
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
        let mut events = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(self.instance.get_ref(), &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                // Nothing but "no more" is documented for a descriptor like this one.
                Err(_) => return events,
            };
            let (watch, flags) = (event.wd(), event.events());
            let name = event
                .file_name()
                .map(|name| OsStr::from_bytes(name.to_bytes()));
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                events.push(Event::Overflow);
            } else if let Some(directories) = self.directories.get(&watch) {
                for directory in directories {
                    if flags.intersects(LOST) {
                        events.push(Event::Lost(directory.clone()));
                    } else if let Some(name) = name {
                        events.extend(named(flags, directory.join(name)));
                    }
                }
            } else if flags.contains(ReadFlags::MODIFY) {
                let files = self.files.remove(&watch).into_iter().flatten();
                events.extend(files.map(Event::Written));
            } else if flags.contains(ReadFlags::IGNORED) {
                self.files.remove(&watch);
            }
        }
    }
}

fn named(flags: ReadFlags, path: PathBuf) -> Option<Event> {
    if flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
        Some(Event::Appeared(path))
    } else if flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
        Some(Event::Removed(path))
    } else if flags.contains(ReadFlags::CLOSE_WRITE) {
        Some(Event::Closed(path))
    } else {
        None
    }
}

/// The path leads to this watch now, and to no other.
fn name_watch(watches: &mut Paths, watch: i32, path: &Path) {
    for (_, paths) in watches.iter_mut().filter(|(other, _)| **other != watch) {
        paths.remove(path);
    }
    watches.entry(watch).or_default().insert(path.to_owned());
}

fn retain(instance: &OwnedFd, watches: &mut Paths, keeps: impl Fn(&Path) -> bool) {
    watches.retain(|watch, paths| {
        paths.retain(|path| keeps(path));
        if paths.is_empty() {
            // The kernel may have removed it.
            let _ = remove_watch(instance, *watch);
        }
        !paths.is_empty()
    });
}
