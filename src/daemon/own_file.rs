//! Opening a file that a program of this user writes. Called by what reads agents' files.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::os::peer;

/// Opens a regular file that belongs to this user or root: no link, no pipe.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if !peer::trusted(metadata.uid()) {
        return Err(io::Error::other("it belongs to another user"));
    }
    Ok(file)
}

/// Whether the path leads to nothing: a part is missing, is no directory, or is a link to itself.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP)
    )
}
