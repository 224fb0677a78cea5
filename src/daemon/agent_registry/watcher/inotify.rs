//! Signs of change by inotify(7): Linux.
//!
//! One instance for each directory of registry files, so that each forgets its watches alone. Only what is waited for
//! is asked for: writing and reading in the directory wake nobody, the closing of a written file does.

use super::{Changes, pid_in};
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

/// What is told of every step of the way. The removal of a directory that somebody still has open, or works in, is
/// told when that ends.
const STEP: WatchFlags = WatchFlags::MOVE_SELF
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::DONT_FOLLOW)
    .union(WatchFlags::MASK_ADD);

const ARRIVAL: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::MASK_ADD);

const FILES: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::MASK_ADD);

/// What the watch is gone with, or about to be.
const LOST: ReadFlags = ReadFlags::MOVE_SELF
    .union(ReadFlags::DELETE_SELF)
    .union(ReadFlags::UNMOUNT)
    .union(ReadFlags::IGNORED);

/// The kernel's watches on the way to one directory and in it.
#[derive(Debug)]
pub(super) struct Signs {
    instance: AsyncFd<OwnedFd>,
    steps: Vec<i32>,
    arrival: Option<(i32, OsString)>,
    files: Option<i32>,
}

impl Signs {
    pub(super) fn new() -> io::Result<Self> {
        let instance = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(|errno| match errno {
            Errno::MFILE => io::Error::other("no open file or no inotify instance is left; raise fs.inotify.max_user_instances"),
            errno => errno.into(),
        })?;
        Ok(Self {
            instance: register(instance, Interest::READABLE)?,
            steps: Vec::new(),
            arrival: None,
            files: None,
        })
    }

    /// Forgets all. What is still told of it is passed over: the kernel does not use a watch's number again.
    pub(super) fn clear(&mut self) {
        let arrival = self.arrival.take().map(|(watch, _)| watch);
        for watch in self.steps.drain(..).chain(arrival).chain(self.files.take()) {
            // Several may share one, and the kernel may have taken it away.
            let _ = remove_watch(self.instance.get_ref(), watch);
        }
    }

    /// Tells when the directory or link at `path` itself is moved or removed.
    pub(super) fn step(&mut self, path: &Path) -> io::Result<()> {
        self.steps.push(self.add(path, STEP)?);
        Ok(())
    }

    /// Tells when `name` appears in `directory`.
    pub(super) fn arrival(&mut self, directory: &Path, name: &OsStr) -> io::Result<()> {
        self.arrival = Some((self.add(directory, ARRIVAL)?, name.to_owned()));
        Ok(())
    }

    /// Tells of the files in `directory`.
    pub(super) fn files(&mut self, directory: &Path) -> io::Result<()> {
        self.files = Some(self.add(directory, FILES)?);
        Ok(())
    }

    /// The directory's watch covers each file.
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "another system's watches each file"
    )]
    pub(super) fn file(&mut self, _pid: u32, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn add(&self, path: &Path, flags: WatchFlags) -> io::Result<i32> {
        add_watch(self.instance.get_ref(), path, flags).map_err(|errno| match errno {
            Errno::NOSPC => io::Error::other(
                "the limit of inotify watches is reached; raise fs.inotify.max_user_watches",
            ),
            errno => errno.into(),
        })
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
            if changes.way || !changes.files.is_empty() {
                return changes;
            }
        }
    }

    /// All that is told by now.
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
                tracing::debug!("more happened than inotify could tell: all is looked at again");
                changes.way = true;
            }
            changes.way |= flags.intersects(LOST) && self.steps.contains(&watch);
            changes.way |= self.arrival.as_ref().is_some_and(|(directory, awaited)| {
                *directory == watch && awaited.as_bytes() == name
            });
            if self.files == Some(watch) {
                changes.files.extend(pid_in(name));
            }
        }
    }
}
