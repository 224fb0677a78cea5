//! Reads a small file that a person or another program has written: never more than a limit, and never waits for one.
//!
//! For files whose path another program may have made lead anywhere: to a pipe that has no writer, to a device without
//! an end. Called by the configuration, and by the agents' own settings and credentials.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// The contents of the file.
///
/// # Errors
///
/// As the system says; [`ErrorKind::InvalidInput`] for a pipe; [`ErrorKind::FileTooLarge`] for more than `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // Before it is opened, because that wakes a pipe's writer.
    if fs::metadata(path)?.file_type().is_fifo() {
        return Err(ErrorKind::InvalidInput.into());
    }
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        Ok(bytes)
    } else {
        Err(ErrorKind::FileTooLarge.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_within_the_limit_is_read_whole_and_more_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read(&path, 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
        let endless = read(Path::new("/dev/zero"), 4096);
        assert_eq!(endless.unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read(Path::new("/dev/null"), 0).unwrap(), b"");
        let missing = read(&path.with_extension("gone"), 5);
        assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
    }
}
