//! One file's change: its contents before and after, and the replacement, which happens whole or not at all.
//!
//! Owns the rules for changing a file that other programs write, too: symbolic links are followed and stay; mode and owner
//! are kept; what another program wrote since the change was planned is never overwritten. Knows nothing of what the bytes
//! mean. `hooks` and
//! `service` plan the changes, `commands::install` and `commands::uninstall` show or apply them.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{
    DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown,
};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, OFlags, access};
use rustix::io::Errno;
use tempfile::NamedTempFile;
use thiserror::Error;

/// The largest file that is read or written, in bytes: far above any settings file, far below what memory holds.
pub(crate) const LIMIT: u64 = 16 * 1024 * 1024;

/// How the names of the temporary files begin; letters and digits follow.
pub(crate) const TEMPORARY: &str = ".agent-console-";

/// How often [`apply_all`] plans before it gives up on a file that other programs keep writing.
pub(crate) const TRIES: usize = 5;

/// Symbolic links followed one after the other; Linux's own limit.
const LINKS: usize = 40;

/// A change that is planned for one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// The file as a person names it; may be a symbolic link, which stays one.
    pub path: PathBuf,
    /// Its contents when the change was planned; `None`: there was no file.
    pub before: Option<Vec<u8>>,
    /// Its contents afterwards; `None`: it is removed.
    pub after: Option<Vec<u8>>,
    /// The mode of a new file, such as 0o600; a file that is there keeps its own.
    pub mode: u32,
    /// Directories that were made for the file and are removed with it, in this order, as far as they are empty.
    pub prune: Vec<PathBuf>,
}

/// Why a file was not changed.
#[derive(Debug, Error)]
pub(crate) enum FileError {
    /// Another program has written it since the change was planned: plan again.
    #[error("{} was changed by another program meanwhile", path.display())]
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// It is no file, larger than [`LIMIT`], or another user's.
    #[error("{} {why}", path.display())]
    Refused {
        /// Which.
        path: PathBuf,
        /// Why, such as `is a directory, not a file`.
        why: String,
    },
    /// The file to which a symbolic link leads cannot be written.
    #[error("cannot write {}, to which {} leads: {source}", path.display(), link.display())]
    Linked {
        /// The file.
        path: PathBuf,
        /// The link.
        link: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A system call failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried, such as `read`.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Its error.
        source: io::Error,
    },
}

/// A file's contents, through symbolic links; `None` without a file (also behind a dangling link).
///
/// # Errors
///
/// The system refuses, it is no regular file, or it is larger than [`LIMIT`].
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let failed = |why| io_error("read", path, why);
    // Checked first, because opening a device can have effects, and again on what was opened.
    let Some(found) = if_found(fs::metadata(path)).map_err(failed)? else {
        return Ok(None);
    };
    regular(path, &found)?;
    let opened = File::options()
        .read(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed())
        .open(path);
    let Some(file) = if_found(opened).map_err(failed)? else {
        return Ok(None);
    };
    regular(path, &file.metadata().map_err(failed)?)?;
    let mut bytes = Vec::new();
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    within_limit(path, &bytes)?;
    Ok(Some(bytes))
}

/// Plans and applies, and plans again where another program has written since, [`TRIES`] times in all. Returns the
/// changes that were made, in order. All new contents are written under temporary names before the first file is
/// replaced, so that a file that cannot be written leaves nothing behind.
///
/// # Errors
///
/// The plan fails; a change fails.
pub(crate) fn apply_all(
    mut plan: impl FnMut() -> anyhow::Result<Vec<Change>>,
) -> anyhow::Result<Vec<Change>> {
    let mut made = Vec::new();
    let mut tries = 0;
    loop {
        tries += 1;
        let changes = plan()?;
        let missing = changes
            .iter()
            .map(|change| missing_directories(&change.path));
        let missing: Vec<_> = missing.collect();
        match apply_each(changes, &mut made) {
            Ok(()) => return Ok(made),
            Err(FileError::Changed { .. }) if tries < TRIES => {}
            Err(error) => {
                for directories in &missing {
                    prune(directories);
                }
                return Err(error.into());
            }
        }
    }
}

fn apply_each(changes: Vec<Change>, made: &mut Vec<Change>) -> Result<(), FileError> {
    let prepared: Result<Vec<_>, _> = changes.iter().map(Change::prepare_any).collect();
    for (change, prepared) in changes.into_iter().zip(prepared?) {
        change.finish(prepared)?;
        made.push(change);
    }
    Ok(())
}

/// Why this user cannot change the file at `path`, and the file at the end of its links; `None` if they can.
#[must_use]
pub(crate) fn refusal(path: &Path) -> Option<(PathBuf, io::Error)> {
    let target = resolve(path).ok()?;
    let is_there = |path: &&Path| fs::symlink_metadata(path).is_ok();
    let around = directory_of(&target).ancestors().find(is_there);
    let needed = [Some(&*target).filter(is_there), around];
    let mut refused = needed.into_iter().flatten();
    let why = refused.find_map(|needed| access(needed, Access::WRITE_OK).err())?;
    Some((target.clone(), why.into()))
}

/// Removes the directories in this order, as far as they are empty.
fn prune(directories: &[PathBuf]) {
    for directory in directories {
        // One that is not empty stays, and so do those around it.
        if fs::remove_dir(directory).is_err() {
            break;
        }
    }
}

/// The directories that must be made before a file at `path`, the deepest first; a later [`Change::prune`] removes them
/// again. Follows `path` if it is a dangling link.
#[must_use]
pub(crate) fn missing_directories(path: &Path) -> Vec<PathBuf> {
    let Ok(target) = resolve(path) else {
        return Vec::new();
    };
    directory_of(&target)
        .ancestors()
        .filter(|directory| !directory.as_os_str().is_empty())
        .take_while(|directory| fs::symlink_metadata(directory).is_err())
        .map(Path::to_owned)
        .collect()
}

/// A change that is ready.
enum Prepared {
    /// Nothing changes.
    Nothing,
    /// The file at the end of the links, and its new contents.
    Replacement(PathBuf, NamedTempFile),
    /// The file that is removed.
    Removal(PathBuf),
}

impl Change {
    /// True if nothing would change.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.before == self.after
    }

    /// Carries it out: into a temporary file beside the target, which then takes its place, with its mode and owner.
    /// Missing directories are made (0700). What root makes belongs to the owner of the directory around it.
    ///
    /// # Errors
    ///
    /// [`FileError::Changed`] if the file no longer holds `before`; a system call fails. The file is then as it was.
    pub(crate) fn apply(&self) -> Result<(), FileError> {
        let missing = missing_directories(&self.path);
        let done = self
            .prepare_any()
            .and_then(|prepared| self.finish(prepared));
        if done.is_err() {
            prune(&missing);
        }
        done
    }

    fn prepare_any(&self) -> Result<Prepared, FileError> {
        if self.is_empty() {
            return Ok(Prepared::Nothing);
        }
        let target = resolve(&self.path)?;
        match &self.after {
            Some(after) => {
                let temporary = self.prepare(&target, after)?;
                Ok(Prepared::Replacement(target, temporary))
            }
            None => Ok(Prepared::Removal(target)),
        }
    }

    fn finish(&self, prepared: Prepared) -> Result<(), FileError> {
        match prepared {
            Prepared::Nothing => Ok(()),
            Prepared::Replacement(target, temporary) => self.replace(&target, temporary),
            Prepared::Removal(target) => self.remove(&target),
        }
    }

    /// The new file, beside the target under a temporary name; removed when dropped.
    fn prepare(&self, target: &Path, after: &[u8]) -> Result<NamedTempFile, FileError> {
        within_limit(&self.path, after)?;
        self.unchanged(target)?;
        let directory = directory_of(target);
        if self.before.is_none() {
            make_directories(target)?;
        } else {
            // A rename would ignore the file's own mode.
            access(target, Access::WRITE_OK).map_err(|why| self.write_error(target, why.into()))?;
        }
        let beside = |why| io_error("write into", directory, without_temp_path(why));
        let mut temporary = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .tempfile_in(directory)
            .map_err(beside)?;
        let file = temporary.as_file_mut();
        file.write_all(after).map_err(beside)?;
        self.copy_owner_and_mode(file, target)?;
        file.sync_all().map_err(beside)?;
        Ok(temporary)
    }

    /// Names the file at the end of the links, too: that is the one that cannot be written.
    fn write_error(&self, target: &Path, why: io::Error) -> FileError {
        if target == self.path {
            return io_error("write", target, why);
        }
        FileError::Linked {
            path: target.to_owned(),
            link: self.path.clone(),
            source: why,
        }
    }

    /// The last check and the rename. A new file never replaces another; for a file that is there, microseconds remain
    /// between the two, which no portable system call closes.
    fn replace(&self, target: &Path, temporary: NamedTempFile) -> Result<(), FileError> {
        self.unchanged(target)?;
        let replaced = match self.before {
            None => temporary.persist_noclobber(target),
            Some(_) => temporary.persist(target),
        };
        replaced.map_err(|error| match error.error.kind() {
            ErrorKind::AlreadyExists => self.changed(),
            _ => io_error("write", &self.path, error.error),
        })?;
        sync(directory_of(target))
    }

    fn remove(&self, target: &Path) -> Result<(), FileError> {
        self.unchanged(target)?;
        fs::remove_file(target).map_err(|why| io_error("remove", &self.path, why))?;
        sync(directory_of(target))?;
        prune(&self.prune);
        Ok(())
    }

    /// Gives the new file the owner and the mode of the one that it replaces, or those that a new one gets.
    fn copy_owner_and_mode(&self, file: &File, target: &Path) -> Result<(), FileError> {
        let failed = |why| io_error("write", &self.path, why);
        let new = file.metadata().map_err(failed)?;
        let (owner, group, mode) = if self.before.is_some() {
            let old = fs::metadata(target).map_err(|_| self.changed())?;
            (old.uid(), old.gid(), old.mode() & 0o7777)
        } else {
            let (owner, group) =
                inherited_owner(directory_of(target)).unwrap_or((new.uid(), new.gid()));
            (owner, group, self.mode)
        };
        if new.uid() != owner && fchown(file, Some(owner), None).is_err() {
            let why = format!("belongs to user {owner}; run this as that user");
            return Err(refused(&self.path, why));
        }
        let mut mode = mode;
        if new.gid() != group && fchown(file, None, Some(group)).is_err() {
            // Not a member of its group: the user's own group must not get the rights of that group.
            mode &= !0o070 | ((mode & 0o007) << 3);
        }
        // After the owner: changing that clears bits.
        file.set_permissions(Permissions::from_mode(mode))
            .map_err(failed)
    }

    /// The file still holds what the plan was made from, at the same place.
    fn unchanged(&self, target: &Path) -> Result<(), FileError> {
        if read(target)? == self.before && resolve(&self.path)? == target {
            Ok(())
        } else {
            Err(self.changed())
        }
    }

    fn changed(&self) -> FileError {
        FileError::Changed {
            path: self.path.clone(),
        }
    }
}

impl FileError {
    /// True if the system does not let this user write the file.
    #[must_use]
    pub(crate) fn is_refused(&self) -> bool {
        match self {
            Self::Io { source, .. } | Self::Linked { source, .. } => matches!(
                source.kind(),
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
            ),
            Self::Refused { .. } | Self::Changed { .. } => false,
        }
    }
}

fn io_error(what: &'static str, path: &Path, source: io::Error) -> FileError {
    FileError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

fn refused(path: &Path, why: String) -> FileError {
    FileError::Refused {
        path: path.to_owned(),
        why,
    }
}

/// `None` where there is nothing of that name.
fn if_found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// The error without the temporary file's path, which means nothing to a person.
fn without_temp_path(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::StorageFull
        | ErrorKind::QuotaExceeded => error.kind().into(),
        _ => error,
    }
}

fn regular(path: &Path, found: &Metadata) -> Result<(), FileError> {
    let kind = found.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let what = if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(refused(path, format!("is {what}, not a file")))
}

fn within_limit(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= LIMIT) {
        return Ok(());
    }
    let limit = LIMIT / 1024 / 1024;
    let why = format!("is larger than {limit} MiB; nothing that belongs there is");
    Err(refused(path, why))
}

/// Where the links end: the file's own path, whether it is there or not.
///
/// # Errors
///
/// The system refuses, or the links lead in a circle.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf, FileError> {
    let mut target = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&target) {
            Ok(next) => target = directory_of(&target).join(next),
            // No link, or nothing there at all.
            Err(error) => match error.kind() {
                ErrorKind::InvalidInput | ErrorKind::NotFound => return Ok(target),
                _ => return Err(io_error("read", path, error)),
            },
        }
    }
    Err(io_error("read", path, Errno::LOOP.into()))
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The owner and group of a file that root makes in `directory`: an installer run with `sudo` must not leave settings
/// that their user cannot read. `None` for other users.
fn inherited_owner(directory: &Path) -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let around = fs::metadata(directory).ok()?;
    Some((around.uid(), around.gid()))
}

/// Makes the directories that a file at `target` needs.
fn make_directories(target: &Path) -> Result<(), FileError> {
    for directory in missing_directories(target).iter().rev() {
        let failed = |why| io_error("make the directory", directory, why);
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            made => made.map_err(failed)?,
        }
        if let Some((owner, group)) = inherited_owner(directory_of(directory)) {
            lchown(directory, Some(owner), Some(group)).map_err(failed)?;
        }
    }
    Ok(())
}

/// Makes a directory's entries survive a crash.
fn sync(directory: &Path) -> Result<(), FileError> {
    match File::open(directory).and_then(|opened| opened.sync_all()) {
        // Some file systems have no fsync for directories; one may write to a directory that one may not read.
        Err(error)
            if !matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied
            ) =>
        {
            Err(io_error("write into", directory, error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
