//! The environment with which another process of this user was started, and the sockets at which it listens. Called where
//! a session's terminal is looked for; only variables that name a place are read there, and none is logged.
//!
//! Linux only: elsewhere nothing is known.

use std::ffi::OsString;
use std::path::PathBuf;

/// The variables of a process as it was started. What it has changed since is not seen (proc(5)).
pub(crate) struct ProcessEnvironment(Vec<u8>);

impl ProcessEnvironment {
    /// Reads it; `None` where the system does not show it: another user's process, one with set-user-ID or set-group-ID.
    #[must_use]
    pub(crate) fn of(pid: u32) -> Option<Self> {
        platform::environment(pid).map(Self)
    }

    /// A variable; an empty one counts as unset.
    #[must_use]
    pub(crate) fn variable(&self, name: &str) -> Option<OsString> {
        use std::os::unix::ffi::OsStringExt;

        let value = self.0.split(|byte| *byte == 0).find_map(|entry| {
            let value = entry.strip_prefix(name.as_bytes())?;
            value.strip_prefix(b"=")
        })?;
        (!value.is_empty()).then(|| OsString::from_vec(value.to_vec()))
    }
}

/// The paths at which the process listens for connections to Unix sockets.
#[must_use]
pub(crate) fn listening_sockets(pid: u32) -> Vec<PathBuf> {
    platform::listening_sockets(pid)
}

/// The terminals that the process has open, besides its own: `/dev/pts/3`.
#[must_use]
pub(crate) fn open_terminals(pid: u32) -> Vec<PathBuf> {
    platform::open_terminals(pid)
}

#[cfg(target_os = "linux")]
mod platform {
    use std::collections::BTreeSet;
    use std::fs::{self, File};
    use std::io::Read;
    use std::path::PathBuf;

    /// The largest environment that is read, and the longest list of sockets, in bytes.
    const LIMIT: u64 = 4 * 1024 * 1024;

    /// The flag of a socket that listens (`__SO_ACCEPTCON`), in the fourth field of a line of `/proc/net/unix`.
    const LISTENS: &str = "00010000";

    fn read(path: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)
            .ok()?
            .take(LIMIT)
            .read_to_end(&mut bytes)
            .ok()?;
        Some(bytes)
    }

    pub(super) fn environment(pid: u32) -> Option<Vec<u8>> {
        read(&format!("/proc/{pid}/environ"))
    }

    /// What the descriptors of a process are links to.
    fn descriptors(pid: u32) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten();
        entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
    }

    /// `/proc/PID/net/unix` (proc(5)): address, reference count, protocol, flags, type, state, inode, path.
    pub(super) fn listening_sockets(pid: u32) -> Vec<PathBuf> {
        let inodes: BTreeSet<String> = descriptors(pid)
            .filter_map(|link| {
                let inode = link.to_str()?.strip_prefix("socket:[")?;
                Some(inode.strip_suffix(']')?.to_owned())
            })
            .collect();
        let table = read(&format!("/proc/{pid}/net/unix")).unwrap_or_default();
        let lines = String::from_utf8_lossy(&table);
        let paths = lines.lines().filter_map(|line| {
            let mut fields = line.splitn(7, ' ');
            let listens = fields.nth(3)? == LISTENS;
            // The inode is padded with blanks.
            let rest = fields.nth(2)?.trim_start();
            let (inode, path) = rest.split_once(' ')?;
            (listens && inodes.contains(inode) && path.starts_with('/')).then(|| path.into())
        });
        paths.collect()
    }

    pub(super) fn open_terminals(pid: u32) -> Vec<PathBuf> {
        let terminals: BTreeSet<_> = descriptors(pid)
            .filter(|link| link.starts_with("/dev/pts"))
            .collect();
        terminals
            .into_iter()
            .filter(|path| !path.ends_with("ptmx"))
            .collect()
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::path::PathBuf;

    pub(super) fn environment(_pid: u32) -> Option<Vec<u8>> {
        None
    }

    pub(super) fn listening_sockets(_pid: u32) -> Vec<PathBuf> {
        Vec::new()
    }

    pub(super) fn open_terminals(_pid: u32) -> Vec<PathBuf> {
        Vec::new()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_variable_is_that_of_the_start() {
        let own = ProcessEnvironment::of(std::process::id()).unwrap();
        let path = crate::os::environment::variable("PATH");
        assert_eq!(own.variable("PATH"), path);
        let environment = ProcessEnvironment(b"PLACE=a=b\0EMPTY=\0".to_vec());
        let variable = |name| environment.variable(name);
        assert_eq!(variable("PLACE"), Some("a=b".into()));
        assert_eq!((variable("EMPTY"), variable("PLAC")), (None, None));
    }

    #[test]
    fn a_socket_is_found_by_the_process_that_listens() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a socket");
        let listener = UnixListener::bind(&path).unwrap();
        let _connected = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let found = listening_sockets(std::process::id());
        assert_eq!(found.iter().filter(|found| **found == path).count(), 1);
        drop(listener);
        assert!(!listening_sockets(std::process::id()).contains(&path));
    }
}
