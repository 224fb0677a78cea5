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

/// The process id in a registry file's name, `<pid>.json`; `None` for any other name.
pub(super) fn pid_in(name: &[u8]) -> Option<u32> {
    let digits = name.strip_suffix(b".json")?;
    // One name for each process: no sign, no leading zero.
    if !digits.iter().all(u8::is_ascii_digit) || digits.first() == Some(&b'0') {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_processes_count() {
        assert_eq!(pid_in(b"14.json"), Some(14));
        assert_eq!(pid_in(b"4294967295.json"), Some(u32::MAX));
        for name in [
            "14.ace852e8.key",
            "14.ace852e8.key.tmp.ba7d7b5d",
            "14.json.tmp",
            "14.jsonl",
            "14",
            ".json",
            "0.json",
            "014.json",
            "+14.json",
            "-14.json",
            "14x.json",
            "1 4.json",
            "4294967296.json",
            "\u{661}.json",
        ] {
            assert_eq!(pid_in(name.as_bytes()), None, "{name}");
        }
    }
}
