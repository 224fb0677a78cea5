//! Which processes of this user run, and which of them holds a lock. Looks at all of them: for rare questions only.

use std::path::{Path, PathBuf};

use super::process::ProcessInfo;

/// A process, as the process table has it.
#[derive(Debug, Clone)]
pub(crate) struct RunningProcess {
    /// Id, start, parent and terminal.
    pub info: ProcessInfo,
    /// Its arguments, cut at 4 KiB.
    pub arguments: Vec<String>,
    /// Its working directory.
    pub cwd: Option<PathBuf>,
}

/// The processes of this user whose names and arguments match, newest first. Empty where the system does not show them.
#[must_use]
pub(crate) fn find(matches: fn(&[String], &[String]) -> bool) -> Vec<RunningProcess> {
    platform::find(matches)
}

/// The process that holds a lock on this file, made by flock(2) or fcntl(2); `None` where the system does not show it.
#[must_use]
pub(crate) fn lock_holder(path: &Path) -> Option<u32> {
    platform::lock_holder(path)
}

#[cfg(target_os = "linux")]
mod platform {
    use std::cmp::Reverse;
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use super::RunningProcess;
    use crate::os::process;

    /// The longest command line that is read, in bytes.
    const MAX_ARGUMENTS: u64 = 4096;

    /// The longest list of locks that is read, in bytes.
    const MAX_LOCKS: u64 = 1024 * 1024;

    pub(super) fn find(matches: fn(&[String], &[String]) -> bool) -> Vec<RunningProcess> {
        let mut found: Vec<_> = own_processes()
            .filter_map(|pid| {
                let arguments = arguments(pid)?;
                let last_part = |argument: &String| argument.rsplit('/').next().map(str::to_owned);
                let names = process::name(pid).into_iter();
                let names: Vec<_> = names.chain(arguments.first().and_then(last_part)).collect();
                if !matches(&names, &arguments) {
                    return None;
                }
                Some(RunningProcess {
                    info: process::inspect(pid).ok()?,
                    cwd: fs::read_link(format!("/proc/{pid}/cwd")).ok(),
                    arguments,
                })
            })
            .filter(|process| !process.info.zombie)
            .collect();
        found.sort_by_key(|process| Reverse((process.info.id.start, process.info.id.pid)));
        found
    }

    fn arguments(pid: u32) -> Option<Vec<String>> {
        let mut line = Vec::new();
        let file = fs::File::open(format!("/proc/{pid}/cmdline")).ok()?;
        file.take(MAX_ARGUMENTS).read_to_end(&mut line).ok()?;
        let arguments = line.split(|byte| *byte == 0);
        let arguments = arguments.filter(|argument| !argument.is_empty());
        let arguments: Vec<_> = arguments
            .map(|argument| String::from_utf8_lossy(argument).into_owned())
            .collect();
        (!arguments.is_empty()).then_some(arguments)
    }

    /// A line of `/proc/locks` (`proc_locks(5)`): `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`; with `->` after the
    /// number, the process waits for the lock. A lock of an open file description has the process id -1. Some file
    /// systems (btrfs, overlayfs) have another device there than in stat(2).
    pub(super) fn lock_holder(path: &Path) -> Option<u32> {
        let file = identity(&fs::metadata(path).ok()?);
        let (device, inode) = file;
        let mut locks = String::new();
        let list = fs::File::open("/proc/locks").ok()?;
        list.take(MAX_LOCKS).read_to_string(&mut locks).ok()?;
        let inode = format!(":{inode}");
        let held: Vec<(&str, &str)> = locks
            .lines()
            .filter_map(|line| {
                let mut fields = line.split_whitespace().skip(1).peekable();
                if fields.peek() == Some(&"->") {
                    return None;
                }
                let mut fields = fields.skip(3);
                Some((fields.next()?, fields.next()?))
            })
            .filter(|(_, id)| id.ends_with(&inode))
            .collect();
        if held.is_empty() {
            return None;
        }
        let listed = held.iter().filter_map(|(pid, _)| pid.parse().ok());
        // A process may have let another inherit the lock, and have ended.
        let found = listed.chain(own_processes()).find(|pid| holds(*pid, file));
        found.or_else(|| {
            // A process may hide what it has open.
            let major_minor = (rustix::fs::major(device), rustix::fs::minor(device));
            let id = format!("{:02x}:{:02x}{inode}", major_minor.0, major_minor.1);
            held.iter()
                .filter(|(_, listed)| *listed == id)
                .find_map(|(pid, _)| pid.parse().ok())
        })
    }

    /// Whether the process holds a lock on the file by a descriptor of its own (`proc_pid_fdinfo(5)`).
    fn holds(pid: u32, file: (u64, u64)) -> bool {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
        descriptors
            .into_iter()
            .flatten()
            .flatten()
            .any(|descriptor| {
                // Of a link there, this is the open file.
                let is_file = fs::metadata(descriptor.path()).is_ok_and(|it| identity(&it) == file);
                let number = descriptor.file_name();
                let info = is_file.then(|| {
                    fs::read(format!("/proc/{pid}/fdinfo/{}", number.to_string_lossy())).ok()
                });
                let info = info.flatten().unwrap_or_default();
                info.split(|byte| *byte == b'\n')
                    .any(|line| line.starts_with(b"lock:"))
            })
    }

    fn identity(metadata: &fs::Metadata) -> (u64, u64) {
        (metadata.dev(), metadata.ino())
    }

    fn own_processes() -> impl Iterator<Item = u32> {
        let own = rustix::process::geteuid().as_raw();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(move |entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            (entry.metadata().ok()?.uid() == own).then_some(pid)
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::path::Path;

    use super::RunningProcess;

    pub(super) fn find(_matches: fn(&[String], &[String]) -> bool) -> Vec<RunningProcess> {
        Vec::new()
    }

    pub(super) fn lock_holder(_path: &Path) -> Option<u32> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;
    use std::process::{Command, Stdio};

    use rustix::fs::FlockOperation;

    use super::*;

    #[expect(unsafe_code, reason = "rustix has no locks of open file descriptions")]
    fn ofd_lock(file: &File) {
        use std::os::fd::AsRawFd;

        let lock = libc::flock {
            l_type: i16::try_from(libc::F_WRLCK).expect("it is small"),
            l_whence: i16::try_from(libc::SEEK_SET).expect("it is small"),
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        // SAFETY: the descriptor is open, and the kernel reads the structure only during the call.
        let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
        assert_eq!(result, 0);
    }

    #[test]
    fn a_lock_is_that_of_the_process_that_holds_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let file = File::create(&path).unwrap();
        assert_eq!(lock_holder(&path), None);
        rustix::fs::flock(&file, FlockOperation::LockExclusive).unwrap();
        assert_eq!(lock_holder(&path), Some(std::process::id()));
        drop(file);
        // A child that another test starts holds it until it has exec'd.
        while lock_holder(&path).is_some() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_lock_of_an_open_file_description_is_that_of_the_process_that_has_it_open() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let file = File::create(&path).unwrap();
        ofd_lock(&file);
        assert_eq!(lock_holder(&path), Some(std::process::id()));
    }

    #[test]
    fn a_process_that_waits_for_a_lock_does_not_hold_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let file = File::create(&path).unwrap();
        ofd_lock(&file);
        // Python's lockf() asks for a lock of the process.
        let mut waits = Command::new("python3")
            .args([
                "-c",
                "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'w'), fcntl.LOCK_EX)",
            ])
            .arg(&path)
            .spawn()
            .unwrap();
        let end = crate::os::clock::monotonic() + std::time::Duration::from_secs(30);
        let waiting = format!("-> POSIX  ADVISORY  WRITE {} ", waits.id());
        let is_waiting = || {
            let locks = std::fs::read_to_string("/proc/locks").unwrap();
            locks.contains(&waiting)
        };
        while !is_waiting() && crate::os::clock::monotonic() < end {
            std::thread::yield_now();
        }
        let was_waiting = is_waiting();
        let holder = lock_holder(&path);
        waits.kill().unwrap();
        waits.wait().unwrap();
        assert!(was_waiting);
        assert_eq!(holder, Some(std::process::id()));
    }

    #[test]
    fn a_process_is_found_by_its_arguments_with_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new("sleep")
            .arg("98765.25")
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let is_it = |_: &[String], arguments: &[String]| {
            arguments.iter().any(|argument| argument == "98765.25")
        };
        // Another run of this test may be under way.
        let find_own = || {
            let mut found = find(is_it);
            found.retain(|process| process.info.parent == std::process::id());
            found
        };
        let end = crate::os::clock::monotonic() + std::time::Duration::from_mins(1);
        // Between fork and exec the child has this process's arguments.
        while find_own().is_empty() && crate::os::clock::monotonic() < end {
            std::thread::yield_now();
        }
        let found = find_own();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].info.id.pid, child.id());
        let cwd = found[0].cwd.as_deref().unwrap();
        assert_eq!(cwd, directory.path().canonicalize().unwrap());
    }
}
