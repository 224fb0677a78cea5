//! What the kernel reports of files, in the same terms on every system. Made by `inotify` and `kqueue`, read by `watcher`.

use std::path::PathBuf;

/// What has happened, as the kernel reports it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A name has appeared in a directory, or another file has it now.
    #[cfg(target_os = "linux")]
    Appeared(PathBuf),
    /// A name is gone.
    Removed(PathBuf),
    /// A file was closed that was open for writing.
    #[cfg(target_os = "linux")]
    Closed(PathBuf),
    /// A file was written to.
    Written(PathBuf),
    /// Names of this directory may have appeared or gone.
    #[cfg(target_os = "macos")]
    Listing(PathBuf),
    /// This directory is another one by now, or gone.
    Lost(PathBuf),
    /// Events were lost.
    #[cfg(target_os = "linux")]
    Overflow,
}
