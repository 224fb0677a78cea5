//! Watches directories, files and growing files for the readers, by their paths.
//!
//! A path need not exist: the nearest directory above it that does is watched for what appears there. What the kernel
//! reports is compared with what the readers have asked for; nothing is read without an event. Changes on another machine
//! of a network file system are not seen. Called by the parent module, on the loop's thread.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::future::pending;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::changes::Event;
use super::follower::Follower;
#[cfg(target_os = "linux")]
use super::inotify::Notifier;
#[cfg(target_os = "macos")]
use super::kqueue::Notifier;
use crate::agents::files::{FileChange, LinesFrom};
use crate::daemon::own_file::{is_missing, open};
use crate::os::clock;

/// The most files and directories that are watched; those that were asked for first are dropped.
const MAX_WATCHED: usize = 1024;

/// The longest file that is read whole, in bytes.
const MAX_WHOLE: u64 = 64 * 1024;

/// The most names that are read of a directory.
const MAX_NAMES: usize = 4096;

/// How long the next read of a growing file waits after one, so that an agent that writes word by word does not cost a
/// read for each.
const PAUSE: Duration = Duration::from_millis(20);

/// A change, for the reader of this number.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) reader: usize,
    pub(super) change: Change,
}

/// [`FileChange`] with what it borrows.
#[derive(Debug)]
pub(super) enum Change {
    Appeared(PathBuf),
    Removed(PathBuf),
    Contents(PathBuf, Vec<u8>),
    Line(PathBuf, Vec<u8>),
}

impl Change {
    pub(super) fn as_change(&self) -> FileChange<'_> {
        match self {
            Self::Appeared(path) => FileChange::Appeared(path),
            Self::Removed(path) => FileChange::Removed(path),
            Self::Contents(path, contents) => FileChange::Contents(path, contents),
            Self::Line(path, line) => FileChange::Line(path, line),
        }
    }
}

/// What a reader watches at a path.
#[derive(Debug)]
enum Kind {
    Directory {
        wanted: fn(&OsStr) -> bool,
        /// The names that the reader knows.
        names: BTreeSet<PathBuf>,
    },
    Whole,
    Lines {
        follower: Follower,
        /// When it was read last.
        read_at: Option<Instant>,
        /// It was written to since.
        is_due: bool,
    },
}

#[derive(Debug)]
struct Watched {
    reader: usize,
    path: PathBuf,
    kind: Kind,
}

/// All that is watched.
#[derive(Debug)]
pub(super) struct Watcher {
    /// `None`: the kernel gives no way to watch, which was logged.
    notifier: Option<Notifier>,
    watched: Vec<Watched>,
}

impl Watcher {
    pub(super) fn new() -> Self {
        let notifier = Notifier::new().inspect_err(|error| {
            tracing::warn!("cannot watch the files of agents: {error}");
        });
        Self {
            notifier: notifier.ok(),
            watched: Vec::new(),
        }
    }

    /// Watches a directory; what is there has appeared.
    pub(super) fn directory(
        &mut self,
        reader: usize,
        path: PathBuf,
        wanted: fn(&OsStr) -> bool,
    ) -> Vec<Found> {
        let kind = Kind::Directory {
            wanted,
            names: BTreeSet::new(),
        };
        self.add(reader, path, kind)
    }

    /// Watches a file; what it holds now is found.
    pub(super) fn whole(&mut self, reader: usize, path: PathBuf) -> Vec<Found> {
        self.add(reader, path, Kind::Whole)
    }

    /// Follows a file; what it holds already is found as far as `from` says.
    pub(super) fn lines(&mut self, reader: usize, path: PathBuf, from: LinesFrom) -> Vec<Found> {
        let kind = Kind::Lines {
            follower: Follower::new(from),
            read_at: None,
            is_due: false,
        };
        self.add(reader, path, kind)
    }

    /// Ends the watch of this path for this reader.
    pub(super) fn forget(&mut self, reader: usize, path: &Path) {
        self.watched
            .retain(|watched| watched.reader != reader || watched.path != path);
        self.release(path);
    }

    fn add(&mut self, reader: usize, path: PathBuf, kind: Kind) -> Vec<Found> {
        let is_same = |watched: &Watched| {
            watched.reader == reader
                && watched.path == path
                && std::mem::discriminant(&watched.kind) == std::mem::discriminant(&kind)
        };
        if !path.is_absolute() || self.watched.iter().any(is_same) {
            return Vec::new();
        }
        if self.watched.len() == MAX_WATCHED {
            let dropped = self.watched.remove(0).path;
            tracing::warn!(
                "too many files of agents are watched; {} is dropped",
                dropped.display()
            );
            self.release(&dropped);
        }
        self.watched.push(Watched { reader, path, kind });
        let last = self.watched.len() - 1;
        self.watch(last);
        self.look(last)
    }

    /// Has the kernel watch what a path needs.
    fn watch(&mut self, place: usize) {
        let (Some(notifier), Some(watched)) = (&mut self.notifier, self.watched.get(place)) else {
            return;
        };
        let is_directory = matches!(watched.kind, Kind::Directory { .. });
        let directory = if is_directory {
            Some(&*watched.path)
        } else {
            watched.path.parent()
        };
        let mut missing = directory;
        while let Some(directory) = missing {
            match notifier.watch_directory(directory) {
                Ok(()) => break,
                Err(error) if is_missing(&error) => missing = directory.parent(),
                Err(error) => {
                    tracing::debug!("cannot watch {}: {error}", directory.display());
                    break;
                }
            }
        }
        if matches!(watched.kind, Kind::Lines { .. } | Kind::Whole)
            && let Err(error) = notifier.watch_file(&watched.path)
            && !is_missing(&error)
        {
            tracing::debug!("cannot watch {}: {error}", watched.path.display());
        }
    }

    /// Ends the kernel's watches that nothing needs any more.
    fn release(&mut self, path: &Path) {
        let is_needed = |directory: &Path| {
            let below = |watched: &Watched| watched.path.starts_with(directory);
            self.watched.iter().any(below)
        };
        if let Some(notifier) = &mut self.notifier {
            notifier.forget_file(path);
            let unneeded = path.ancestors().filter(|directory| !is_needed(directory));
            for directory in unneeded {
                notifier.forget_directory(directory);
            }
        }
    }

    /// Looks at what a path is now.
    fn look(&mut self, place: usize) -> Vec<Found> {
        let Some(watched) = self.watched.get_mut(place) else {
            return Vec::new();
        };
        let changes = match &mut watched.kind {
            Kind::Directory { wanted, names } => list(&watched.path, *wanted, names),
            Kind::Whole => contents(&watched.path),
            Kind::Lines {
                follower,
                read_at,
                is_due,
            } => {
                let found = follower.read(&watched.path);
                *read_at = Some(clock::monotonic());
                *is_due = found.more;
                let line = |line| Change::Line(watched.path.clone(), line);
                found.lines.into_iter().map(line).collect()
            }
        };
        let reader = watched.reader;
        let found = |change| Found { reader, change };
        changes.into_iter().map(found).collect()
    }

    /// The next changes. Dropped before it ends, it loses none.
    pub(super) async fn next(&mut self) -> Vec<Found> {
        loop {
            let due = self.next_due();
            let Some(notifier) = &mut self.notifier else {
                return pending().await;
            };
            let pause = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => pending().await,
                }
            };
            let events = tokio::select! {
                events = notifier.next() => events,
                () = pause => Vec::new(),
            };
            let mut found = Vec::new();
            for event in events {
                found.extend(self.apply(&event));
            }
            found.extend(self.read_due());
            if !found.is_empty() {
                return found;
            }
        }
    }

    /// When a growing file that was written to is read.
    fn next_due(&self) -> Option<Instant> {
        let due = self
            .watched
            .iter()
            .filter_map(|watched| match watched.kind {
                Kind::Lines {
                    read_at,
                    is_due: true,
                    ..
                } => Some(read_at.map_or_else(clock::monotonic, |at| at + PAUSE)),
                _ => None,
            });
        due.min()
    }

    fn read_due(&mut self) -> Vec<Found> {
        let now = clock::monotonic();
        let is_due = |watched: &Watched| match watched.kind {
            Kind::Lines {
                read_at,
                is_due: true,
                ..
            } => read_at.is_none_or(|at| at + PAUSE <= now),
            _ => false,
        };
        let due: Vec<_> = (0..self.watched.len())
            .filter(|place| self.watched.get(*place).is_some_and(is_due))
            .collect();
        due.into_iter().flat_map(|place| self.look(place)).collect()
    }

    fn apply(&mut self, event: &Event) -> Vec<Found> {
        match event {
            #[cfg(target_os = "linux")]
            Event::Appeared(path) => {
                let mut found = self.named(path, true);
                // A directory on the way to what is watched, or a file that is watched itself.
                found.extend(self.look_below(path));
                found
            }
            Event::Removed(path) => {
                if let Some(notifier) = &mut self.notifier {
                    notifier.forget_file(path);
                }
                let mut found = self.named(path, false);
                found.extend(self.look_below(path));
                found
            }
            #[cfg(target_os = "linux")]
            Event::Closed(path) => self.written(path),
            Event::Written(path) => self.written(path),
            #[cfg(target_os = "macos")]
            Event::Listing(path) => {
                let here = |watched: &Watched| match watched.kind {
                    Kind::Directory { .. } => watched.path == *path,
                    Kind::Whole | Kind::Lines { .. } => watched.path.parent() == Some(path),
                };
                let mut found = self.watch_again(here);
                found.extend(self.look_below(path));
                found
            }
            Event::Lost(path) => {
                if let Some(notifier) = &mut self.notifier {
                    notifier.forget_directory(path);
                }
                self.look_below(path)
            }
            #[cfg(target_os = "linux")]
            Event::Overflow => {
                tracing::debug!("events of files were lost: everything is read again");
                self.watch_again(|_| true)
            }
        }
    }

    /// A file was written to.
    fn written(&mut self, path: &Path) -> Vec<Found> {
        self.mark_due(path);
        self.look_at(|watched| watched.path == *path && matches!(watched.kind, Kind::Whole))
    }

    /// A name has appeared in a watched directory, or is gone.
    fn named(&mut self, path: &Path, appeared: bool) -> Vec<Found> {
        let mut found = Vec::new();
        for watched in &mut self.watched {
            let Kind::Directory { wanted, names } = &mut watched.kind else {
                continue;
            };
            let is_wanted =
                path.parent() == Some(&watched.path) && path.file_name().is_some_and(*wanted);
            if !is_wanted {
                continue;
            }
            let change = if appeared && names.len() < MAX_NAMES {
                names.insert(path.to_owned());
                Change::Appeared(path.to_owned())
            } else if names.remove(path) {
                Change::Removed(path.to_owned())
            } else {
                continue;
            };
            let reader = watched.reader;
            found.push(Found { reader, change });
        }
        found
    }

    fn mark_due(&mut self, path: &Path) {
        for watched in self.watched.iter_mut().filter(|one| one.path == *path) {
            if let Kind::Lines { is_due, .. } = &mut watched.kind {
                *is_due = true;
            }
        }
    }

    /// Watches and looks at everything at this path and below it again.
    fn look_below(&mut self, path: &Path) -> Vec<Found> {
        self.watch_again(|watched| watched.path.starts_with(path))
    }

    fn watch_again(&mut self, which: impl Fn(&Watched) -> bool) -> Vec<Found> {
        for place in 0..self.watched.len() {
            if self.watched.get(place).is_some_and(&which) {
                self.watch(place);
            }
        }
        self.look_at(which)
    }

    fn look_at(&mut self, which: impl Fn(&Watched) -> bool) -> Vec<Found> {
        let mut found = Vec::new();
        for place in 0..self.watched.len() {
            if self.watched.get(place).is_some_and(&which) {
                found.extend(self.look(place));
            }
        }
        found
    }
}

/// How the names of a directory differ from those that are known.
fn list(path: &Path, wanted: fn(&OsStr) -> bool, names: &mut BTreeSet<PathBuf>) -> Vec<Change> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let here: BTreeSet<_> = entries
        .filter(|entry| wanted(&entry.file_name()))
        .map(|entry| entry.path())
        .take(MAX_NAMES)
        .collect();
    let removed = names.difference(&here).cloned().map(Change::Removed);
    let appeared = here.difference(names).cloned().map(Change::Appeared);
    let changes = removed.chain(appeared).collect();
    *names = here;
    changes
}

/// What a file holds.
fn contents(path: &Path) -> Vec<Change> {
    let read = || -> io::Result<Vec<u8>> {
        let file = open(path)?;
        let mut contents = Vec::new();
        (&file).take(MAX_WHOLE + 1).read_to_end(&mut contents)?;
        if contents.len() as u64 > MAX_WHOLE {
            return Err(io::Error::other("it is too long"));
        }
        Ok(contents)
    };
    match read() {
        Ok(contents) => vec![Change::Contents(path.to_owned(), contents)],
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::debug!("{} is ignored: {error}", path.display());
            }
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests;
