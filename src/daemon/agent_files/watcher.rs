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

/// The most files and directories that are watched; of the files, the one that changed longest ago is dropped.
const MAX_WATCHED: usize = 1024;

/// The most growing files among them.
const MAX_GROWING: usize = 256;

/// How often the way to a path is walked again because it has changed meanwhile.
const MAX_WALKS: usize = 16;

/// The longest file that is read whole, in bytes.
const MAX_WHOLE: u64 = 64 * 1024;

/// The most names that are read of a directory.
const MAX_NAMES: usize = 4096;

/// How long the next read of a file waits after one, so that an agent that writes word by word does not cost a
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
    EarlierLine(PathBuf, Vec<u8>),
    Message(Vec<u8>),
    Disconnected(PathBuf),
}

impl Change {
    pub(super) fn as_change(&self) -> FileChange<'_> {
        match self {
            Self::Appeared(path) => FileChange::Appeared(path),
            Self::Removed(path) => FileChange::Removed(path),
            Self::Contents(path, contents) => FileChange::Contents(path, contents),
            Self::Line(path, line) => FileChange::Line(path, line),
            Self::EarlierLine(path, line) => FileChange::EarlierLine(path, line),
            Self::Message(text) => FileChange::Message(text),
            Self::Disconnected(path) => FileChange::Disconnected(path),
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
    Lines(Follower),
}

#[derive(Debug)]
struct Watched {
    reader: usize,
    path: PathBuf,
    kind: Kind,
    /// The directory that the kernel watches for it: its own, or the nearest one above it that is there.
    directory: Option<PathBuf>,
    /// When it was read last.
    read_at: Option<Instant>,
    /// When it is read next; `None`: it was not written to since.
    due: Option<Instant>,
    /// When something was last found in it.
    changed_at: Instant,
}

impl Watched {
    fn written(&mut self) {
        let now = clock::monotonic();
        let earliest = self.read_at.map_or(now, |at| at + PAUSE);
        self.due.get_or_insert(earliest.max(now));
    }
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
        self.add(reader, path, Kind::Lines(Follower::new(from)))
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
        if !path.is_absolute() || self.watched.iter().any(is_same) || !self.make_room(&kind) {
            return Vec::new();
        }
        self.watched.push(Watched {
            reader,
            path,
            kind,
            directory: None,
            read_at: None,
            due: None,
            changed_at: clock::monotonic(),
        });
        let last = self.watched.len() - 1;
        self.watch(last);
        self.release_directories();
        self.look(last)
    }

    /// Drops a file if there are too many; false if there is none to drop. Directories stay: they say which files begin.
    fn make_room(&mut self, kind: &Kind) -> bool {
        let is_growing = |watched: &Watched| matches!(watched.kind, Kind::Lines(_));
        let growing = self.watched.iter().filter(|one| is_growing(one)).count();
        let only_growing = matches!(kind, Kind::Lines(_)) && growing >= MAX_GROWING;
        if !only_growing && self.watched.len() < MAX_WATCHED {
            return true;
        }
        let may_go = |watched: &Watched| match watched.kind {
            Kind::Directory { .. } => false,
            Kind::Whole => !only_growing,
            Kind::Lines(_) => true,
        };
        let files = self.watched.iter().enumerate();
        let files = files.filter(|(_, watched)| may_go(watched));
        let Some((oldest, _)) = files.min_by_key(|(_, watched)| watched.changed_at) else {
            tracing::warn!("too many directories of agents are watched");
            return false;
        };
        let dropped = self.watched.remove(oldest).path;
        tracing::debug!(
            "too many files of agents are watched; {} is dropped",
            dropped.display()
        );
        self.release(&dropped);
        true
    }

    /// Has the kernel watch the directory that a path needs.
    fn watch(&mut self, place: usize) {
        let (Some(notifier), Some(watched)) = (&mut self.notifier, self.watched.get_mut(place))
        else {
            return;
        };
        let directory = if matches!(watched.kind, Kind::Directory { .. }) {
            Some(&*watched.path)
        } else {
            watched.path.parent()
        };
        watched.directory = directory.and_then(|directory| watch_nearest(notifier, directory));
    }

    /// Ends the kernel's watches that nothing needs any more.
    fn release(&mut self, path: &Path) {
        let is_needed = self.watched.iter().any(|watched| watched.path == path);
        if let Some(notifier) = self.notifier.as_mut().filter(|_| !is_needed) {
            notifier.forget_file(path);
        }
        self.release_directories();
    }

    fn release_directories(&mut self) {
        let directories = self.watched.iter();
        let directories = directories.filter_map(|watched| watched.directory.as_deref());
        let needed: BTreeSet<_> = directories.collect();
        if let Some(notifier) = &mut self.notifier {
            notifier.retain_directories(|directory| needed.contains(directory));
        }
    }

    /// Looks at what a path is now.
    fn look(&mut self, place: usize) -> Vec<Found> {
        let Some(watched) = self.watched.get_mut(place) else {
            return Vec::new();
        };
        // Before the read: what is written after it is reported.
        if let Some(notifier) = &mut self.notifier {
            watch_file(notifier, watched);
        }
        let now = clock::monotonic();
        watched.read_at = Some(now);
        watched.due = None;
        let changes = match &mut watched.kind {
            Kind::Directory { wanted, names } => list(&watched.path, *wanted, names),
            Kind::Whole => contents(&watched.path),
            Kind::Lines(follower) => {
                let found = follower.read(&watched.path);
                watched.due = found.more.then_some(now);
                let of_line = if found.are_earlier {
                    Change::EarlierLine
                } else {
                    Change::Line
                };
                let lines = found.lines.into_iter();
                lines
                    .map(|line| of_line(watched.path.clone(), line))
                    .collect()
            }
        };
        if !changes.is_empty() {
            watched.changed_at = now;
        }
        let reader = watched.reader;
        let found = |change| Found { reader, change };
        changes.into_iter().map(found).collect()
    }

    /// The next changes: those of one file, or of the names that have come and gone; there may be none. Dropped before it
    /// ends, it loses none.
    pub(super) async fn next(&mut self) -> Vec<Found> {
        let due = self.next_due();
        let Some(notifier) = &mut self.notifier else {
            return pending().await;
        };
        let pause = async {
            match due {
                Some((due, place)) => {
                    if due > clock::monotonic() {
                        tokio::time::sleep_until(due.into()).await;
                    }
                    place
                }
                None => pending().await,
            }
        };
        let events = tokio::select! {
            events = notifier.next() => events,
            place = pause => return self.look(place),
        };
        let found = events.iter().flat_map(|event| self.apply(event)).collect();
        self.release_directories();
        found
    }

    /// Which file is read next, and when.
    fn next_due(&self) -> Option<(Instant, usize)> {
        let files = self.watched.iter().enumerate();
        let due = files.filter_map(|(place, watched)| Some((watched.due?, place)));
        due.min()
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
        self.read_soon(|watched| watched.path == *path)
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
        self.read_soon(which)
    }

    /// Lists directories; files are read one at a time, by [`Self::next`].
    fn read_soon(&mut self, which: impl Fn(&Watched) -> bool) -> Vec<Found> {
        let mut found = Vec::new();
        for place in 0..self.watched.len() {
            match self.watched.get_mut(place) {
                Some(watched) if which(watched) => match watched.kind {
                    Kind::Directory { .. } => found.extend(self.look(place)),
                    Kind::Whole | Kind::Lines(_) => watched.written(),
                },
                _ => {}
            }
        }
        found
    }
}

/// Has the kernel report the next write to a file.
fn watch_file(notifier: &mut Notifier, watched: &Watched) {
    if matches!(watched.kind, Kind::Lines(_) | Kind::Whole)
        && let Err(error) = notifier.watch_file(&watched.path)
        && !is_missing(&error)
    {
        tracing::debug!("cannot watch {}: {error}", watched.path.display());
    }
}

/// Has the kernel watch a directory, or the nearest one above it that is there; which one it is.
fn watch_nearest(notifier: &mut Notifier, directory: &Path) -> Option<PathBuf> {
    let mut nearest = None;
    for _ in 0..MAX_WALKS {
        let mut below: Option<&Path> = None;
        nearest = None;
        for ancestor in directory.ancestors() {
            match notifier.watch_directory(ancestor) {
                Ok(()) => {
                    nearest = Some(ancestor.to_owned());
                    break;
                }
                Err(error) if is_missing(&error) => below = Some(ancestor),
                Err(error) => {
                    tracing::debug!("cannot watch {}: {error}", ancestor.display());
                    break;
                }
            }
        }
        // It may have come before the one above was watched.
        if !below.is_some_and(Path::is_dir) {
            break;
        }
    }
    nearest
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
