//! The agents' own registry files, told the moment they change.
//!
//! Claude Code keeps `sessions/<pid>.json` in its configuration directory while a process runs, and writes it anew at
//! each change of its status: the only sign there is of an interrupt or of an answer. It is undocumented, so nothing
//! here rests on it: what is there is told as it is, what is not is waited for. As seen with 2.1.330, the file is opened
//! without being emptied, written with one `write`, cut to its new length and closed, each time: whoever looks in between
//! finds the new text with the end of the old one behind it. The closing is what is told.
//!
//! Beside each file lies a key that is nobody's business: only names of the form `<pid>.json` are ever looked at.
//!
//! The kernel tells of changes in one directory at a time and by what it is, not by its path. So the way to it is
//! walked ([`path_watch`]) and each step of it watched, for being moved or removed; and where it ends too early, the last
//! directory that exists, for the next step to appear. Whatever happens on the way, it is walked again. The kernel's
//! means: `inotify` on Linux, `kqueue` on macOS. What happens below a network's file system elsewhere is not told
//! by either. A directory at rest costs no wake-up.
//!
//! Called by the daemon's loop, on its thread, inside a [`tokio::task::LocalSet`]. Knows nothing of sessions, nor of
//! what the files hold.

#[cfg(target_os = "linux")]
mod inotify;
#[cfg(target_os = "macos")]
mod kqueue;
mod path_watch;
#[cfg(test)]
mod tests;

#[cfg(target_os = "linux")]
use self::inotify::Signs;
#[cfg(target_os = "macos")]
use self::kqueue::Signs;
use crate::os::peer;
use rustix::fs::{Mode, OFlags};
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::future::pending;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

/// The directory of the files, in an agent's configuration directory.
const SESSIONS: &str = "sessions";

/// The longest file that is read, in bytes. Real ones have about 600; what is longer is none.
const LONGEST: u64 = 64 * 1024;

/// How many files of one directory are told of when all are. Files of killed agents stay, for years perhaps: of more
/// than these the newest are. A change of any other is still told as it happens.
const MOST_FILES: usize = 4096;

/// How many files are read before the rest of the loop has its turn.
const AT_ONCE: usize = 32;

/// What was seen of one registry file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// The agent's configuration directory, as it was given to [`RegistryWatcher::watch`].
    pub(crate) directory: Rc<Path>,
    /// The process id in the file's name, `<pid>.json`.
    pub(crate) pid: u32,
    /// What it holds, at most 64 KiB, perhaps half-written: then a further sighting follows. `None`: it is gone.
    pub(crate) contents: Option<Vec<u8>>,
}

/// Watches the registry files of any number of configuration directories.
///
/// Sightings are sent from tasks of the loop, never from inside a method of the watcher. Of several changes to a file
/// at once, the last may be all that is told. Dropping the watcher ends all watches.
#[derive(Debug)]
pub(crate) struct RegistryWatcher {
    tell: UnboundedSender<Sighting>,
    watches: HashMap<Rc<Path>, Watch>,
}

/// The task that watches one directory.
#[derive(Debug)]
struct Watch {
    task: AbortHandle,
    again: Rc<Notify>,
}

impl RegistryWatcher {
    /// A watcher without watches.
    pub(crate) fn new(tell: UnboundedSender<Sighting>) -> Self {
        Self {
            tell,
            watches: HashMap::new(),
        }
    }

    /// Watches `<directory>/sessions` and tells of every file that is there now. Neither needs to exist yet, and either
    /// may go and come again; symbolic links are followed. For a known directory nothing changes.
    ///
    /// Where the kernel gives no way to watch (no descriptor left, a limit, no permission), that is logged and only
    /// [`scan`](Self::scan) tells.
    pub(crate) fn watch(&mut self, directory: &Path) {
        if self.watches.contains_key(directory) {
            return;
        }
        let again = Rc::new(Notify::new());
        let directory: Rc<Path> = directory.into();
        let registry = Registry::new(Rc::clone(&directory), self.tell.clone());
        let task = tokio::task::spawn_local(registry.attend(Rc::clone(&again))).abort_handle();
        self.watches.insert(directory, Watch { task, again });
    }

    /// Tells of every file in every watched directory again, also of those that were told of and are gone.
    pub(crate) fn scan(&mut self) {
        for watch in self.watches.values() {
            watch.again.notify_one();
        }
    }
}

impl Drop for RegistryWatcher {
    fn drop(&mut self) {
        for watch in self.watches.values() {
            watch.task.abort();
        }
    }
}

/// What the kernel has told since it was last asked.
#[derive(Debug, Default)]
struct Changes {
    /// Files that may have changed, come or gone.
    files: BTreeSet<u32>,
    /// Files may have come or gone, and which is not told.
    listing: bool,
    /// Something happened on the way to the directory, or events were lost: all is to be looked at again.
    way: bool,
}

/// Nobody takes what is told any more.
#[derive(Debug)]
struct Deaf;

/// One directory of registry files, and what is known of it.
#[derive(Debug)]
struct Registry {
    directory: Rc<Path>,
    sessions: PathBuf,
    tell: UnboundedSender<Sighting>,
    /// `None`: the kernel has given no means to watch.
    signs: Option<Signs>,
    /// The files that were told of and are not gone.
    known: BTreeSet<u32>,
    /// Why the directory can't be watched or listed, as it was logged.
    trouble: Option<String>,
}

impl Registry {
    fn new(directory: Rc<Path>, tell: UnboundedSender<Sighting>) -> Self {
        Self {
            sessions: directory.join(SESSIONS),
            directory,
            tell,
            signs: None,
            known: BTreeSet::new(),
            trouble: None,
        }
    }

    /// Watches for as long as anybody takes what is told.
    async fn attend(mut self, again: Rc<Notify>) {
        let mut changes = Changes {
            way: true,
            ..Changes::default()
        };
        while self.look(&changes).await.is_ok() {
            changes = tokio::select! {
                () = again.notified() => Changes { way: true, ..Changes::default() },
                changes = next(self.signs.as_mut()) => changes,
            };
        }
    }

    /// Looks at what may have changed and tells of it.
    async fn look(&mut self, changes: &Changes) -> Result<(), Deaf> {
        if changes.way {
            let watched = self.walk();
            let files = self.list();
            self.complain(watched.err().as_ref().or(files.as_ref().err()));
            let Ok(mut files) = files else { return Ok(()) };
            files.extend(&self.known);
            return self.tell_of(&files).await;
        }
        if changes.listing
            && let Ok(listed) = self.list()
        {
            let mut files = &listed ^ &self.known;
            files.extend(&changes.files);
            return self.tell_of(&files).await;
        }
        self.tell_of(&changes.files).await
    }

    /// Has the kernel tell of every step to the directory and of what happens in it.
    fn walk(&mut self) -> io::Result<()> {
        let path = std::path::absolute(&self.sessions)?;
        let signs = match &mut self.signs {
            Some(signs) => {
                signs.clear();
                signs
            }
            none => none.insert(Signs::new()?),
        };
        path_watch::walk(signs, &path)
    }

    /// The files there are, the newest of them if they are too many.
    fn list(&self) -> io::Result<BTreeSet<u32>> {
        let entries = match std::fs::read_dir(&self.sessions) {
            Ok(entries) => entries,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(BTreeSet::new());
            }
            Err(error) => return Err(error),
        };
        let mut files = Vec::new();
        for entry in entries {
            files.extend(pid_in(entry?.file_name().as_encoded_bytes()));
        }
        if files.len() > MOST_FILES {
            tracing::debug!(
                "{} has {} files, the newest {MOST_FILES} are read",
                self.sessions.display(),
                files.len()
            );
            files.sort_by_cached_key(|pid| {
                let metadata = std::fs::symlink_metadata(self.file(*pid));
                Reverse(metadata.and_then(|metadata| metadata.modified()).ok())
            });
            files.truncate(MOST_FILES);
        }
        Ok(files.into_iter().collect())
    }

    /// Logs what stands in the way, once.
    fn complain(&mut self, error: Option<&io::Error>) {
        let trouble = error.map(ToString::to_string);
        if let Some(trouble) = &trouble
            && self.trouble.as_ref() != Some(trouble)
        {
            tracing::warn!(
                "cannot watch {}, changes to its files may go unnoticed: {trouble}",
                self.sessions.display()
            );
        }
        self.trouble = trouble;
    }

    async fn tell_of(&mut self, files: &BTreeSet<u32>) -> Result<(), Deaf> {
        for (count, pid) in files.iter().enumerate() {
            if count % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            if let Some(sighting) = self.see(*pid) {
                self.tell.send(sighting).map_err(|_| Deaf)?;
            }
        }
        Ok(())
    }

    /// What is to be told of a file; `None`: nothing.
    fn see(&mut self, pid: u32) -> Option<Sighting> {
        let path = self.file(pid);
        // First, for a change while it is read.
        if let Some(signs) = &mut self.signs
            && let Err(error) = signs.file(pid, &path)
        {
            self.complain(Some(&error));
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
                tracing::debug!("{} is left alone: {error}", path.display());
                return None;
            }
        };
        Some(Sighting {
            directory: Rc::clone(&self.directory),
            pid,
            contents,
        })
    }

    fn file(&self, pid: u32) -> PathBuf {
        self.sessions.join(format!("{pid}.json"))
    }
}

/// The next changes; never without signs.
async fn next(signs: Option<&mut Signs>) -> Changes {
    match signs {
        Some(signs) => signs.next().await,
        None => pending().await,
    }
}

/// The process id in a registry file's name; `None` for any other name.
fn pid_in(name: &[u8]) -> Option<u32> {
    let digits = name.strip_suffix(b".json")?;
    // One name for each process: no sign, no leading zero.
    if !digits.iter().all(u8::is_ascii_digit) || digits.first() == Some(&b'0') {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Reads a file that this user or root has put there, and nothing else: no link, no pipe, nobody else's.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if !peer::trusted(metadata.uid()) {
        return Err(io::Error::other("it belongs to another user"));
    }
    let mut contents = Vec::new();
    // It may grow meanwhile.
    if metadata.len() <= LONGEST {
        (&file).take(LONGEST + 1).read_to_end(&mut contents)?;
    }
    if metadata.len().max(contents.len() as u64) > LONGEST {
        return Err(io::Error::other("it is too long"));
    }
    Ok(contents)
}
