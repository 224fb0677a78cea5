//! When a daemon of this user last left its socket, noted for hooks: an event that finds no daemon a moment later may wait for
//! the next one (`agent-console stop && agent-console daemon`).
//!
//! The note is the modification time of one empty file in a directory that only this user can write to. Lock and socket
//! cannot serve for it: both are removed, so that another user may take the path. Written by the daemon, read by the hook.

use std::fs::{self, DirBuilder, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::runtime_path;
use crate::os::clock;

/// For this long after the note the exit was just now. Long enough to start a daemon.
const RECENT: Duration = Duration::from_secs(2);

/// Notes that a daemon leaves now.
///
/// # Errors
///
/// The file cannot be written, or its directory is not this user's alone. Then events are lost that come before the next
/// daemon listens.
pub(crate) fn note() -> io::Result<()> {
    note_in(&directory())
}

/// Whether a daemon of this user has left within the last two seconds.
#[must_use]
pub(crate) fn is_recent() -> bool {
    is_recent_in(&directory())
}

/// `agent-console` in the runtime directory; without one a directory in `/tmp` with the user's id in its name. Not in
/// `$TMPDIR`, which may be another one in an agent's environment.
fn directory() -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    runtime_path::directory().map_or_else(
        || Path::new("/tmp").join(format!("agent-console-{user}")),
        |directory| directory.join("agent-console"),
    )
}

fn file(directory: &Path) -> PathBuf {
    directory.join("last-exit")
}

fn note_in(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(directory)?;
    if !found.is_dir() || !is_own(&found) {
        let directory = directory.display();
        let what = format!("{directory} is not a directory that only this user can write to");
        return Err(io::Error::other(what));
    }
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(file(directory))?
        .set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(clock::unix_ms()))
}

fn is_recent_in(directory: &Path) -> bool {
    let Ok(found) = fs::symlink_metadata(file(directory)) else {
        return false;
    };
    let now = i64::try_from(clock::unix_ms()).unwrap_or(i64::MAX);
    let at = found.mtime() * 1000 + found.mtime_nsec() / 1_000_000;
    // A note of the future is from before the clock was set back.
    let since = u64::try_from(now.saturating_sub(at));
    is_own(&found) && since.is_ok_and(|ms| Duration::from_millis(ms) <= RECENT)
}

/// Whether only this user can write to it.
fn is_own(found: &Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_exit_is_recent_for_two_seconds() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("agent-console");
        assert!(!is_recent_in(&directory));
        note_in(&directory).unwrap();
        assert!(is_recent_in(&directory));
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(clock::unix_ms());
        let file = fs::File::options()
            .write(true)
            .open(file(&directory))
            .unwrap();
        for another in [now - 2 * RECENT, now + Duration::from_hours(1)] {
            file.set_modified(another).unwrap();
            assert!(!is_recent_in(&directory));
        }
        note_in(&directory).unwrap();
        assert!(is_recent_in(&directory));
    }

    #[test]
    fn a_directory_of_others_is_not_used() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("agent-console");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o777)).unwrap();
        assert!(note_in(&directory).is_err());
        fs::remove_dir(&directory).unwrap();
        std::os::unix::fs::symlink(place.path(), &directory).unwrap();
        assert!(note_in(&directory).is_err());
        assert!(!is_recent_in(&directory));
    }
}
