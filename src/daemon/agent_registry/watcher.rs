//! The registry files of an agent, read each time they change.
//!
//! An agent keeps a file in a directory below its configuration directory while a process runs, and writes it again at each
//! change of its status: the only sign of an interrupt or of an answer. Nothing here depends on what it holds: what is
//! there is reported as it is, what is missing is waited for. A file may be opened without being emptied, written with one
//! `write`, cut to its new length and closed, each time: a read in between finds the new text with the end of the old one
//! behind it. The close is what is reported.
//!
//! Secret keys may lie beside the files: only what the agent's [`Registry`] takes for an entry is ever opened.
//!
//! # What is seen at once, and what with the next scan
//!
//! The kernel watches a directory, not a path. Watched are the registry and the configuration directory, symbolic links
//! followed; where the registry does not exist, the nearest ancestor that does, for the next part of the path to appear. So
//! it is seen at once when either directory is removed, moved, replaced or made again.
//!
//! Not seen at once, while the directories themselves stay: a directory further up is moved, a symbolic link on the path
//! is replaced or removed, the missing target of one appears. [`RegistryWatcher::scan`] resolves the path again; the
//! daemon scans for each new subscriber. What happens below a network file system on another machine is not seen at all.
//!
//! The kernel's means are `inotify` on Linux and `kqueue` on macOS. A directory at rest costs no wake-up.
//!
//! Called by the parent module, on the loop's thread, inside a [`tokio::task::LocalSet`]. Knows nothing of sessions, nor
//! of what the files mean.

#[cfg(test)]
mod tests;

use super::changes::Changes;
#[cfg(target_os = "linux")]
use super::inotify::Watches;
#[cfg(target_os = "macos")]
use super::kqueue::Watches;
use crate::agents::Registry;
use crate::daemon::own_file::{self, is_missing};
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::future::pending;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

/// The longest file that is read, in bytes. Real ones have about 600.
const MAX_BYTES: u64 = 64 * 1024;

/// The most files of one directory that a scan reads, the newest ones: files of killed agents may stay for years. A
/// change of any other is still reported as it happens.
const MAX_FILES: usize = 4096;

/// How many files are read before the rest of the loop has its turn.
const BATCH: usize = 32;

/// How often a path is resolved again because a missing part appeared meanwhile.
const MAX_RESOLVES: usize = 8;

/// One registry file, as it was read after a change or by a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RegistryFileChange {
    /// The agent's configuration directory, as it was given to [`RegistryWatcher::watch`].
    pub(crate) directory: Rc<Path>,
    /// The process that the file is of, by its name.
    pub(crate) pid: u32,
    /// What it holds, at most 64 KiB, perhaps half-written: then another change follows. `None`: it is gone.
    pub(crate) contents: Option<Vec<u8>>,
}

/// Watches the registry files of any number of configuration directories.
///
/// Changes are sent from tasks of the loop, never from inside a method of the watcher. Of several changes to a file at
/// once, the last may be the only one sent. Dropping the watcher ends all watches.
#[derive(Debug)]
pub(crate) struct RegistryWatcher {
    change_tx: UnboundedSender<RegistryFileChange>,
    directories: HashMap<Rc<Path>, WatchTask>,
}

/// The task that watches one directory.
#[derive(Debug)]
struct WatchTask {
    handle: AbortHandle,
    scan: Rc<Notify>,
}

impl RegistryWatcher {
    /// A watcher without watches.
    pub(crate) fn new(change_tx: UnboundedSender<RegistryFileChange>) -> Self {
        Self {
            change_tx,
            directories: HashMap::new(),
        }
    }

    /// Watches the registry below an agent's configuration directory, `directory`, and sends every file that is there now. Neither needs to exist yet, and either may
    /// go and come again. For a known directory nothing changes.
    ///
    /// Where the kernel gives no way to watch (no descriptor left, a limit, no permission), that is logged and changes
    /// are seen by [`scan`](Self::scan) only.
    pub(crate) fn watch(&mut self, directory: &Path, registry: &'static Registry) {
        if self.directories.contains_key(directory) {
            return;
        }
        let scan = Rc::new(Notify::new());
        let directory: Rc<Path> = directory.into();
        let watched =
            WatchedDirectory::new(Rc::clone(&directory), registry, self.change_tx.clone());
        let handle = tokio::task::spawn_local(watched.run(Rc::clone(&scan))).abort_handle();
        self.directories
            .insert(directory, WatchTask { handle, scan });
    }

    /// Resolves the path of each watched directory again and sends every file, also those that were sent before and are
    /// gone.
    pub(crate) fn scan(&mut self) {
        for task in self.directories.values() {
            task.scan.notify_one();
        }
    }
}

impl Drop for RegistryWatcher {
    fn drop(&mut self) {
        for task in self.directories.values() {
            task.handle.abort();
        }
    }
}

/// The receiver of the changes was dropped.
#[derive(Debug)]
struct ChannelClosed;

/// One directory of registry files, and what is known of it.
#[derive(Debug)]
struct WatchedDirectory {
    directory: Rc<Path>,
    registry: &'static Registry,
    /// Where the files are.
    path: PathBuf,
    change_tx: UnboundedSender<RegistryFileChange>,
    /// `None`: the kernel has given no means to watch.
    watches: Option<Watches>,
    /// The files that were sent and are not gone.
    known: BTreeSet<u32>,
    /// Why the directory can't be watched or listed, as it was logged.
    trouble: Option<String>,
}

impl WatchedDirectory {
    fn new(
        directory: Rc<Path>,
        registry: &'static Registry,
        change_tx: UnboundedSender<RegistryFileChange>,
    ) -> Self {
        Self {
            path: directory.join(registry.directory),
            directory,
            registry,
            change_tx,
            watches: None,
            known: BTreeSet::new(),
            trouble: None,
        }
    }

    /// Sends changes until the receiver is dropped.
    async fn run(mut self, scan: Rc<Notify>) {
        let mut changes = Changes::all();
        while self.send_changes(&changes).await.is_ok() {
            changes = tokio::select! {
                () = scan.notified() => Changes::all(),
                changes = next(self.watches.as_mut()) => changes,
            };
        }
    }

    async fn send_changes(&mut self, changes: &Changes) -> Result<(), ChannelClosed> {
        if changes.path {
            let watched = self.resolve();
            let files = self.list();
            self.warn_once(watched.err().as_ref().or(files.as_ref().err()));
            let Ok(mut files) = files else { return Ok(()) };
            files.extend(&self.known);
            return self.send(&files).await;
        }
        if changes.listing
            && let Ok(listed) = self.list()
        {
            let mut files = &listed ^ &self.known;
            files.extend(&changes.files);
            return self.send(&files).await;
        }
        self.send(&changes.files).await
    }

    /// Watches what the path leads to now, instead of what it led to before.
    fn resolve(&mut self) -> io::Result<()> {
        let path = std::path::absolute(&self.path)?;
        let watches = match &mut self.watches {
            Some(watches) => watches,
            none => none.insert(Watches::new(self.registry)?),
        };
        for _ in 0..MAX_RESOLVES {
            watches.clear();
            let missing = match watches.watch_files(&path) {
                Ok(()) => return watch_parent(watches, &path),
                Err(error) if is_missing(&error) => watch_ancestor(watches, &path)?,
                Err(error) => return Err(error),
            };
            // It may have appeared before its ancestor was watched.
            if !missing.is_dir() {
                return Ok(());
            }
        }
        Err(io::Error::other("it comes and goes too fast"))
    }

    /// The files of the directory, the newest [`MAX_FILES`] of them; none where it does not exist.
    fn list(&self) -> io::Result<BTreeSet<u32>> {
        let entries = match std::fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if is_missing(&error) => return Ok(BTreeSet::new()),
            Err(error) => return Err(error),
        };
        let mut files = Vec::new();
        for entry in entries {
            files.extend((self.registry.pid)(&entry?.file_name()));
        }
        if files.len() > MAX_FILES {
            tracing::debug!(
                "{} has {} files, the newest {MAX_FILES} are read",
                self.path.display(),
                files.len()
            );
            files.sort_by_cached_key(|pid| {
                let metadata = std::fs::symlink_metadata(self.file(*pid));
                Reverse(metadata.and_then(|metadata| metadata.modified()).ok())
            });
            files.truncate(MAX_FILES);
        }
        Ok(files.into_iter().collect())
    }

    /// Logs why the directory can't be watched or listed, unless the last attempt failed for the same reason.
    fn warn_once(&mut self, error: Option<&io::Error>) {
        let trouble = error.map(ToString::to_string);
        if let Some(trouble) = &trouble
            && self.trouble.as_ref() != Some(trouble)
        {
            tracing::warn!(
                "cannot watch {}, changes to its files may go unnoticed: {trouble}",
                self.path.display()
            );
        }
        self.trouble = trouble;
    }

    /// Reads the files and sends what they hold.
    async fn send(&mut self, files: &BTreeSet<u32>) -> Result<(), ChannelClosed> {
        for (count, pid) in files.iter().enumerate() {
            if count % BATCH == BATCH - 1 {
                tokio::task::yield_now().await;
            }
            if let Some(change) = self.read_entry(*pid) {
                self.change_tx.send(change).map_err(|_| ChannelClosed)?;
            }
        }
        Ok(())
    }

    /// What a file holds; `None` if there is nothing to send.
    fn read_entry(&mut self, pid: u32) -> Option<RegistryFileChange> {
        let path = self.file(pid);
        // Watched first, so that a change during the read is seen.
        if let Some(watches) = &mut self.watches
            && let Err(error) = watches.watch_file(pid, &path)
        {
            self.warn_once(Some(&error));
        }
        let contents = match read(&path) {
            Ok(contents) => {
                self.known.insert(pid);
                Some(contents)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !self.known.remove(&pid) {
                    return None;
                }
                None
            }
            Err(error) => {
                tracing::debug!("{} is ignored: {error}", path.display());
                return None;
            }
        };
        Some(RegistryFileChange {
            directory: Rc::clone(&self.directory),
            pid,
            contents,
        })
    }

    fn file(&self, pid: u32) -> PathBuf {
        self.path.join((self.registry.file_name)(pid))
    }
}

/// The next changes; without watches, never.
async fn next(watches: Option<&mut Watches>) -> Changes {
    match watches {
        Some(watches) => watches.next().await,
        None => pending().await,
    }
}

/// Watches the directory above `path`.
fn watch_parent(watches: &mut Watches, path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    match watches.watch_parent(parent) {
        // A directory that may be entered but not read cannot be watched: that it is moved is seen with the next scan.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

/// Watches the nearest existing directory above `path` for the next part of the path, which is returned.
fn watch_ancestor(watches: &mut Watches, path: &Path) -> io::Result<PathBuf> {
    let mut missing = path;
    while let (Some(ancestor), Some(name)) = (missing.parent(), missing.file_name()) {
        match watches.watch_creation(ancestor, name) {
            Ok(()) => return Ok(missing.to_owned()),
            Err(error) if is_missing(&error) => missing = ancestor,
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Reads a regular file that belongs to this user or root: no link, no pipe.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = own_file::open(path)?;
    let metadata = file.metadata()?;
    let mut contents = Vec::new();
    // It may grow meanwhile.
    if metadata.len() <= MAX_BYTES {
        (&file).take(MAX_BYTES + 1).read_to_end(&mut contents)?;
    }
    if metadata.len().max(contents.len() as u64) > MAX_BYTES {
        return Err(io::Error::other("it is too long"));
    }
    Ok(contents)
}
