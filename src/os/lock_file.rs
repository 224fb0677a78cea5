//! The lock file beside a self-bound socket: where it is, and which process holds it.
//!
//! The daemon that binds the socket holds an exclusive lock on the file (flock(2)) and writes its process id into it. Here
//! is what everything else reads of that: the client's and the daemon's messages, `doctor`, `install`. Asking never changes the
//! file.

use super::process;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A process id in decimal, and more.
const LENGTH: u64 = 32;

/// The process that holds a lock file, and so serves the socket beside it, or should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A process with this id.
    Process(u32),
    /// A process that is not seen from here, as one in another pid namespace, or one whose id is not in the file.
    Unseen,
}

/// The lock file of the socket at `socket`.
#[must_use]
pub fn beside(socket: &Path) -> PathBuf {
    let mut name = socket.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// Who holds the lock file beside `socket`; `None` if no process does, or there is no lock file of this user's.
#[must_use]
pub fn holder(socket: &Path) -> Option<Holder> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(beside(socket), flags, Mode::empty()).ok()?);
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.uid() != rustix::process::geteuid().as_raw() {
        return None;
    }
    // A lock that is had is given back when the file is closed, below. A daemon that starts meanwhile tries again.
    if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        return None;
    }
    let pid = by_kernel(&metadata).or_else(|| by_file(file));
    Some(pid.map_or(Holder::Unseen, Holder::Process))
}

/// The process that holds a lock on the file of this inode. `proc_locks(5)`: `1: FLOCK  ADVISORY  WRITE 708 00:1a:12345 0
/// EOF`, the process before the file's device and inode. Some file systems show another device here than stat(2) does; then
/// the process must be one of this program's.
fn by_kernel(file: &Metadata) -> Option<u32> {
    // As `makedev(3)` puts them together on Linux.
    let device = file.dev();
    let major = (device >> 8 & 0xfff) | (device >> 32 & 0xffff_f000);
    let minor = (device & 0xff) | (device >> 12 & 0xffff_ff00);
    let (device, inode) = (format!("{major:02x}:{minor:02x}"), file.ino().to_string());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let mut words = line
            .split_whitespace()
            .skip_while(|word| *word != "FLOCK")
            .skip(3);
        let pid = words.next()?.parse().ok()?;
        let (on, found) = words.next()?.rsplit_once(':')?;
        let is_it = found == inode && (on == device || is_ours(pid));
        is_it.then_some(pid)
    })
}

/// The process that the file names, if that is one of this program's: the id may be of another pid namespace.
fn by_file(file: File) -> Option<u32> {
    let mut text = String::new();
    file.take(LENGTH).read_to_string(&mut text).ok()?;
    let pid = text.trim_end().parse().ok()?;
    is_ours(pid).then_some(pid)
}

fn is_ours(pid: u32) -> bool {
    process::name(pid).is_some_and(|name| name.starts_with("agent-console"))
}

impl Holder {
    /// Its process id, where that is known.
    #[must_use]
    pub fn pid(self) -> Option<u32> {
        match self {
            Self::Process(pid) => Some(pid),
            Self::Unseen => None,
        }
    }

    /// What to do where it does not answer at the socket: a daemon that is stopped continues and binds the socket again;
    /// any other is ended.
    #[must_use]
    pub fn advice(self) -> String {
        match self {
            Self::Process(pid) if process::inspect(pid).is_ok_and(|found| found.stopped) => {
                format!("it is stopped: continue it with `kill -CONT {pid}`")
            }
            Self::Process(pid) => format!(
                "it listens again within a second if it can; else end it with `kill {pid}`, then start it again with \
                 `agent-console daemon --daemonize`"
            ),
            Self::Unseen => {
                "end it where it runs (in a container?), or choose another path with --socket"
                    .to_owned()
            }
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(pid) => write!(f, "process {pid}"),
            Self::Unseen => f.write_str("a process that is not seen from here"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_holder_is_named_while_it_holds_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        assert_eq!(holder(&socket), None);
        let mut lock = File::create(beside(&socket)).unwrap();
        write!(lock, "1").unwrap();
        assert_eq!(holder(&socket), None);
        lock.try_lock().unwrap();
        let own = Holder::Process(std::process::id());
        let named = holder(&socket).unwrap();
        if cfg!(target_os = "linux") {
            // The kernel's word, not the file's.
            assert_eq!(named, own);
        } else {
            assert_eq!(named, Holder::Unseen);
        }
        assert!(named.to_string().contains("process"));
        drop(lock);
        assert_eq!(holder(&socket), None);
    }
}
