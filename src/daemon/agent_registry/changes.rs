//! What the kernel reports of one directory of registry files, in the same terms on every system. Filled by `inotify`
//! and `kqueue`, read by `watcher`.

use std::collections::BTreeSet;

/// What has happened since the last report.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Processes whose files may have changed, appeared or gone.
    pub(super) files: BTreeSet<u32>,
    /// Files may have appeared or gone; the kernel does not say which.
    pub(super) listing: bool,
    /// The path may lead to another directory, or events were lost: resolve it again and read everything.
    pub(super) path: bool,
}

impl Changes {
    /// Nothing is known: resolve the path and read everything.
    pub(super) fn all() -> Self {
        Self {
            path: true,
            ..Self::default()
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && !self.listing && !self.path
    }
}
