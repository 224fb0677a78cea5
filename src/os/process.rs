//! What the kernel says about a process: identity, parent, terminal, whether it still lives.
//!
//! A process id alone names nobody: the kernel gives it to the next process once its owner is reaped. The id together
//! with the moment the process started does, and that pair ([`ProcessId`]) is what the hook sends, what the core keeps
//! and what the exit watcher compares.
//!
//! Called by the hook (once, in its hundred milliseconds), by the daemon and by the clients. Knows nothing of sessions
//! or agents. Blocking calls, each answered by the kernel from memory: `/proc` on Linux (proc(5)), `proc_pidinfo` on
//! macOS.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::Pid;

/// One process, for as long as this machine runs: a process id that was given out again has another `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessId {
    /// The id in the process-id namespace of whoever looked; see [`namespace`].
    pub pid: u32,
    /// When the process started. Linux: clock ticks since boot (field 22 of `/proc/PID/stat`, proc(5)). macOS:
    /// microseconds since the Unix epoch. Only ever compared for equality.
    pub start: u64,
}

/// A process as [`inspect`] found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its identity.
    pub id: ProcessId,
    /// Its parent's process id; 0 where the parent lives outside this namespace, or there is none.
    pub parent: u32,
    /// The device of its controlling terminal, `/dev/pts/3` say; `None` without one, or for a kind of device that has
    /// no well-known name.
    pub tty: Option<String>,
    /// It has ended, and only waits for its parent to ask how. A process whose first thread ended while others run on
    /// (the kernel shows it as a zombie, too) is not one.
    pub zombie: bool,
}

/// Looks a process up.
///
/// # Errors
///
/// [`io::ErrorKind::NotFound`] where no such process exists (or this user may not see it); anything else is the
/// kernel's refusal as it came.
pub fn inspect(pid: u32) -> io::Result<ProcessInfo> {
    platform::inspect(pid).map_err(|error| match error.raw_os_error() {
        // ESRCH: it ended between the opening of the file and the reading.
        Some(libc::ENOENT | libc::ESRCH) => io::Error::new(
            io::ErrorKind::NotFound,
            format!("there is no process {pid}"),
        ),
        _ => error,
    })
}

/// The process-id namespace that this process lives in, as the inode of `/proc/self/ns/pid` (namespaces(7)). Two
/// processes that see different numbers here mean different processes by the same id. `None` where the system has no
/// such thing (macOS) or does not tell.
#[must_use]
pub fn namespace() -> Option<u64> {
    platform::namespace()
}

/// Whether the process, named by its id here, lives in this process's namespace and not in one below it; false where
/// the system does not tell. Where there are no namespaces, always.
#[must_use]
pub fn is_in_namespace(pid: u32) -> bool {
    namespace().is_none_or(|own| platform::namespace_of(pid) == Some(own))
}

/// The memory of this process that is resident now, in bytes; `None` where the system does not tell.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    platform::resident_bytes()
}

#[cfg(target_os = "linux")]
mod platform {
    use super::{ProcessId, ProcessInfo};
    use std::fs::File;
    use std::io::{self, Read};
    use std::os::unix::fs::MetadataExt;

    /// Enough for the first 22 fields whatever they hold (a name of 64 bytes, numbers of 20); the rest is not read.
    const STAT_BYTES: usize = 1024;

    pub(super) fn inspect(pid: u32) -> io::Result<ProcessInfo> {
        let mut buffer = [0; STAT_BYTES];
        let line = read(&format!("/proc/{pid}/stat"), &mut buffer)?;
        parse(pid, line).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("/proc/{pid}/stat does not read as proc(5) says"),
            )
        })
    }

    pub(super) fn namespace() -> Option<u64> {
        Some(std::fs::metadata("/proc/self/ns/pid").ok()?.ino())
    }

    pub(super) fn namespace_of(pid: u32) -> Option<u64> {
        Some(std::fs::metadata(format!("/proc/{pid}/ns/pid")).ok()?.ino())
    }

    pub(super) fn resident_bytes() -> Option<u64> {
        let mut buffer = [0; 128];
        let line = read("/proc/self/statm", &mut buffer).ok()?;
        let pages: u64 = number(line.split(|byte| *byte == b' ').nth(1)?)?;
        pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
    }

    /// The beginning of a file of `/proc`, which gives a line in one read.
    fn read<'a>(path: &str, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
        let count = File::open(path)?.read(buffer)?;
        Ok(&buffer[..count])
    }

    /// Reads a line of `/proc/PID/stat`. The second field is the program's name in parentheses and may itself hold
    /// spaces and parentheses, so the fields are counted from the last closing one.
    pub(super) fn parse(pid: u32, line: &[u8]) -> Option<ProcessInfo> {
        let name_end = line.iter().rposition(|byte| *byte == b')')?;
        let mut fields = line[name_end + 1..]
            .split(u8::is_ascii_whitespace)
            .filter(|field| !field.is_empty());
        // Numbered as in proc(5); `nth` skips what lies between.
        let state = fields.next()?; // 3
        let parent = number(fields.next()?)?; // 4
        let tty: i32 = number(fields.nth(2)?)?; // 7
        let threads: i64 = number(fields.nth(12)?)?; // 20
        let start = number(fields.nth(1)?)?; // 22
        Some(ProcessInfo {
            id: ProcessId { pid, start },
            parent,
            tty: terminal(tty.cast_unsigned()),
            zombie: matches!(state, b"Z" | b"X" | b"x") && threads <= 1,
        })
    }

    fn number<T: std::str::FromStr>(field: &[u8]) -> Option<T> {
        std::str::from_utf8(field).ok()?.parse().ok()
    }

    /// The name of a terminal from its device number as the kernel packs it into `tty_nr` (proc(5)): major in bits 8
    /// to 19, minor in bits 0 to 7 and 20 to 31. The majors are those of the kernel's `devices.txt`.
    pub(super) fn terminal(device: u32) -> Option<String> {
        let major = (device >> 8) & 0xfff;
        let minor = (device & 0xff) | ((device >> 12) & 0xf_ff00);
        match (major, minor) {
            (136..=143, _) => Some(format!("/dev/pts/{}", (major - 136) * 256 + minor)),
            (4, 0..64) => Some(format!("/dev/tty{minor}")),
            (4, 64..256) => Some(format!("/dev/ttyS{}", minor - 64)),
            _ => None,
        }
    }
}

#[cfg(target_os = "macos")]
mod platform {
    use super::{ProcessId, ProcessInfo};
    use std::ffi::{CStr, c_char, c_int, c_void};
    use std::io;
    use std::mem::MaybeUninit;

    #[expect(unsafe_code, reason = "the libc crate does not declare devname_r(3)")]
    unsafe extern "C" {
        fn devname_r(
            device: libc::dev_t,
            kind: libc::mode_t,
            buffer: *mut c_char,
            length: c_int,
        ) -> *mut c_char;
    }

    /// A plain C structure that `proc_pidinfo` fills.
    ///
    /// # Safety
    ///
    /// `FLAVOR` makes the kernel write exactly this structure, and it holds nothing but integers.
    #[expect(unsafe_code, reason = "a promise about the layout of a C structure")]
    unsafe trait Answer {
        const FLAVOR: c_int;
    }

    #[expect(unsafe_code, reason = "a promise about the layout of a C structure")]
    // SAFETY: <sys/proc_info.h> pairs the two.
    unsafe impl Answer for libc::proc_bsdinfo {
        const FLAVOR: c_int = libc::PROC_PIDTBSDINFO;
    }

    #[expect(unsafe_code, reason = "a promise about the layout of a C structure")]
    // SAFETY: <sys/proc_info.h> pairs the two.
    unsafe impl Answer for libc::proc_taskinfo {
        const FLAVOR: c_int = libc::PROC_PIDTASKINFO;
    }

    /// `argument` 1 makes `PROC_PIDTBSDINFO` find zombies, too.
    fn ask<T: Answer>(pid: u32, argument: u64) -> io::Result<T> {
        let pid = c_int::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
        let size = size_of::<T>();
        let mut answer = MaybeUninit::<T>::zeroed();
        #[expect(unsafe_code, reason = "proc_pidinfo has no safe wrapper")]
        // SAFETY: the buffer is valid for `size` bytes, which is what the flavour needs.
        let written = unsafe {
            libc::proc_pidinfo(
                pid,
                T::FLAVOR,
                argument,
                answer.as_mut_ptr().cast::<c_void>(),
                c_int::try_from(size).unwrap_or(c_int::MAX),
            )
        };
        if usize::try_from(written).ok() != Some(size) {
            return Err(io::Error::last_os_error());
        }
        #[expect(unsafe_code, reason = "the kernel filled it")]
        // SAFETY: the kernel wrote the whole structure, and any bytes are a valid value of its integers.
        Ok(unsafe { answer.assume_init() })
    }

    pub(super) fn inspect(pid: u32) -> io::Result<ProcessInfo> {
        let info: libc::proc_bsdinfo = ask(pid, 1)?;
        Ok(ProcessInfo {
            id: ProcessId {
                pid,
                start: info
                    .pbi_start_tvsec
                    .wrapping_mul(1_000_000)
                    .wrapping_add(info.pbi_start_tvusec),
            },
            parent: info.pbi_ppid,
            tty: terminal(info.e_tdev),
            zombie: info.pbi_status == libc::SZOMB,
        })
    }

    pub(super) fn namespace() -> Option<u64> {
        None
    }

    pub(super) fn namespace_of(_pid: u32) -> Option<u64> {
        None
    }

    pub(super) fn resident_bytes() -> Option<u64> {
        let info: libc::proc_taskinfo = ask(std::process::id(), 0).ok()?;
        Some(info.pti_resident_size)
    }

    /// The name of a terminal from its device number; `NODEV` is all ones.
    fn terminal(device: u32) -> Option<String> {
        if device == u32::MAX || device == 0 {
            return None;
        }
        let mut buffer: [c_char; 128] = [0; 128];
        #[expect(unsafe_code, reason = "devname_r(3) has no safe wrapper")]
        // SAFETY: the buffer is valid for the length given; the answer is null or points into it.
        let name = unsafe {
            let name = devname_r(
                device.cast_signed(),
                libc::S_IFCHR,
                buffer.as_mut_ptr(),
                128,
            );
            if name.is_null() {
                return None;
            }
            CStr::from_ptr(name)
        };
        match name.to_str() {
            Ok("" | "??") | Err(_) => None,
            Ok(name) => Some(format!("/dev/{name}")),
        }
    }
}

/// A descriptor that becomes readable when the process ends, reaped or not; `None` if it has ended, or its id went to
/// another. A pidfd (`pidfd_open(2)`, Linux 5.3) or a kqueue with `EVFILT_PROC` (kqueue(2), macOS); closed on exec.
///
/// # Errors
///
/// The kernel gives no descriptor: none is left, or a sandbox or an old kernel forbids it.
pub fn sign_of_exit(process: ProcessId) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else {
        return Ok(None);
    };
    let descriptor = match exit::descriptor(pid) {
        Ok(descriptor) => descriptor,
        Err(Errno::SRCH) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    // The descriptor pins whoever has the id now, so that no moment is left in which it could change hands.
    match inspect(process.pid) {
        Ok(found) if found.id == process => Ok(Some(descriptor)),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(target_os = "linux")]
mod exit {
    use super::{Errno, OwnedFd, Pid};
    use rustix::process::{PidfdFlags, pidfd_open};

    /// The kernel makes it closed on exec.
    pub(super) fn descriptor(pid: Pid) -> Result<OwnedFd, Errno> {
        pidfd_open(pid, PidfdFlags::empty())
    }
}

#[cfg(target_os = "macos")]
mod exit {
    use super::{Errno, OwnedFd, Pid};
    use rustix::event::kqueue::{Event, EventFilter, EventFlags, ProcessEvents, kevent, kqueue};

    /// A queue with the one event, which is never taken out of it. For a process that has ended, reaped or not, the
    /// kernel answers `ESRCH`.
    pub(super) fn descriptor(pid: Pid) -> Result<OwnedFd, Errno> {
        let queue = kqueue()?;
        rustix::io::fcntl_setfd(&queue, rustix::io::FdFlags::CLOEXEC)?;
        let filter = EventFilter::Proc {
            pid,
            flags: ProcessEvents::EXIT,
        };
        let exit = Event::new(filter, EventFlags::ADD, std::ptr::null_mut());
        let mut no_events: [Event; 0] = [];
        #[expect(unsafe_code, reason = "events may name descriptors")]
        // SAFETY: this one names a process.
        unsafe {
            kevent(&queue, &[exit], &mut no_events, None)?;
        }
        Ok(queue)
    }
}

/// Waits until the process has ended, reaped or not; false if it has not within `patience`.
///
/// # Errors
///
/// The kernel gives no way to wait for it.
pub fn wait_for_exit(process: ProcessId, patience: Duration) -> io::Result<bool> {
    let Some(descriptor) = sign_of_exit(process)? else {
        return Ok(true);
    };
    let patience = Timespec::try_from(patience).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut waited = [PollFd::new(&descriptor, PollFlags::IN)];
    let ready = rustix::io::retry_on_intr(|| rustix::event::poll(&mut waited, Some(&patience)))?;
    Ok(ready > 0)
}

/// Lets go of the pages of the files that this process is made of, its own and its libraries': what is used again is
/// mapped again from the page cache (`madvise(2)`, `MADV_DONTNEED`), what only a rare thing needed counts no longer as
/// resident. Half of a daemon's memory was the command line's code, and constants beside those that it uses; starting a
/// child takes half a megabyte. Linux only; elsewhere a no-op.
pub fn let_go_of_files() {
    #[cfg(target_os = "linux")]
    for (start, length) in
        unwritten(&std::fs::read_to_string("/proc/self/smaps").unwrap_or_default())
    {
        #[expect(unsafe_code, reason = "madvise(2) can take memory's contents away")]
        // SAFETY: the range is a private mapping of a file that nobody can write to and of which no page was ever written
        // to, neither resident nor swapped out, so that all of it comes back as it is in the file, also the code that
        // runs this very call.
        let _ = unsafe {
            rustix::mm::madvise(start as *mut _, length, rustix::mm::Advice::LinuxDontNeed)
        };
    }
}

/// Where the parts of files lie that are as the files have them: address and length of each mapping that is private,
/// cannot be written to and has no page of its own (`proc_pid_smaps(5)`). What the loader has changed and then protected
/// is none of them.
#[cfg(target_os = "linux")]
fn unwritten(smaps: &str) -> Vec<(usize, usize)> {
    fn header(line: &str) -> Option<(usize, usize)> {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        let (start, end) = (address(start)?, address(end)?);
        let is_fixed = matches!(fields.next()?, "r-xp" | "r--p");
        let is_file = fields.nth(3).is_some_and(|path| path.starts_with('/'));
        Some((
            start,
            end.saturating_sub(start) * usize::from(is_fixed && is_file),
        ))
    }
    let mut found = Vec::new();
    let (mut mapping, mut is_written) = ((0, 0), true);
    for line in smaps.lines() {
        if let Some(next) = header(line) {
            (mapping, is_written) = (next, true);
        } else if let Some(own) = line.strip_prefix("Anonymous:") {
            is_written = own.trim() != "0 kB";
        } else if let Some(swapped) = line.strip_prefix("Swap:") {
            // What was written and swapped out is not counted as anonymous.
            if !is_written && swapped.trim() == "0 kB" && mapping.1 > 0 {
                found.push(mapping);
            }
        }
    }
    found
}

/// Gives freed memory back to the system: glibc keeps what many small allocations have left until it is told
/// (`malloc_trim(3)`). Elsewhere a no-op.
pub fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "malloc_trim(3) has no safe wrapper")]
    // SAFETY: it takes a number and touches only the allocator's own state, under the allocator's lock.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    /// A child that lives until it is killed or dropped.
    struct Sleeper(Child);

    impl Sleeper {
        fn new(mut command: Command) -> Self {
            Self(command.stdin(Stdio::null()).spawn().unwrap())
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn sleep() -> Sleeper {
        let mut command = Command::new("sleep");
        command.arg("600");
        Sleeper::new(command)
    }

    /// Waits until the process shows as a zombie; the test harness ends a test that never sees it.
    fn until_zombie(pid: u32) -> ProcessInfo {
        loop {
            let info = inspect(pid).unwrap();
            if info.zombie {
                return info;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn own_process_is_found_with_its_parent() {
        let own = inspect(std::process::id()).unwrap();
        assert_eq!(own.id.pid, std::process::id());
        assert_eq!(own.parent, std::os::unix::process::parent_id());
        assert!(own.id.start > 0);
        assert!(!own.zombie);
    }

    #[test]
    fn a_process_keeps_its_identity_until_it_is_reaped() {
        let mut child = sleep();
        let pid = child.0.id();
        let alive = inspect(pid).unwrap();
        assert_eq!(alive.parent, std::process::id());
        assert!(!alive.zombie);

        child.0.kill().unwrap();
        let dead = until_zombie(pid);
        assert_eq!(dead.id, alive.id);

        child.0.wait().unwrap();
        assert_eq!(inspect(pid).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_pid_that_no_process_can_have_is_not_found() {
        for pid in [0x7fff_fff0, u32::MAX] {
            let error = inspect(pid).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
            assert!(error.to_string().contains(&pid.to_string()), "{error}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_with_parentheses_and_spaces_hides_nothing() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a) S 1 (b", ")) Z 7 7 7", "new\nline ("] {
            let program = directory.path().join(name);
            // A copy would be busy for writing while another test's child is between fork and exec; a link is not.
            std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
            let mut command = Command::new(&program);
            // Where one binary is all the core utilities, argv[0] says which.
            std::os::unix::process::CommandExt::arg0(&mut command, "sleep");
            command.arg("600");
            let child = Sleeper::new(command);
            let info = inspect(child.0.id()).unwrap();
            assert_eq!(info.parent, std::process::id(), "{name:?}");
            assert!(!info.zombie, "{name:?}");
            assert!(info.id.start >= inspect(std::process::id()).unwrap().id.start);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn lines_of_stat_are_read_as_proc_5_says() {
        use platform::parse;
        let line = b"7 (a (b) c) S 1 7 7 34819 7 4194304 1 0 0 0 0 0 0 0 20 0 3 0 4242 1 1";
        assert_eq!(
            parse(7, line).unwrap(),
            ProcessInfo {
                id: ProcessId {
                    pid: 7,
                    start: 4242
                },
                parent: 1,
                tty: Some("/dev/pts/3".to_owned()),
                zombie: false,
            }
        );
        // The first thread has ended, two more run.
        let leader_ended = b"7 (x) Z 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 3 0 4242 0 0";
        assert!(!parse(7, leader_ended).unwrap().zombie);
        let zombie = b"7 (x) Z 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        assert!(parse(7, zombie).unwrap().zombie);
        for broken in [&b""[..], b"7 (x", b"7 (x) S 1", b"7 (x) S one 7 7 0"] {
            assert_eq!(parse(7, broken), None);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn terminals_are_named_from_their_device_numbers() {
        use platform::terminal;
        assert_eq!(terminal(0), None);
        assert_eq!(terminal(136 << 8).as_deref(), Some("/dev/pts/0"));
        // Number 300 is 0x12c: more than the low eight bits hold.
        assert_eq!(
            terminal((136 << 8) | 0x2c | (0x100 << 12)).as_deref(),
            Some("/dev/pts/300")
        );
        assert_eq!(terminal((4 << 8) | 2).as_deref(), Some("/dev/tty2"));
        assert_eq!(terminal((4 << 8) | 64).as_deref(), Some("/dev/ttyS0"));
        assert_eq!(terminal((5 << 8) | 1), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_on_a_terminal_names_it() {
        // script(1) gives its child a terminal of its own; the child says which.
        let output = Command::new("script")
            .args(["-qec", "tty; cat /proc/$$/stat", "/dev/null"])
            .stdin(Stdio::null())
            .output()
            .expect("script(1) of bsdutils is needed");
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines = text.lines();
        let tty = lines.next().unwrap().trim_end();
        let info = platform::parse(1, lines.next().unwrap().as_bytes()).unwrap();
        assert_eq!(info.tty.as_deref(), Some(tty));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn processes_of_one_namespace_agree_on_it() {
        let ours = namespace().unwrap();
        let child = sleep();
        let link = std::fs::read_link(format!("/proc/{}/ns/pid", child.0.id())).unwrap();
        assert_eq!(link.to_str().unwrap(), format!("pid:[{ours}]"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_was_let_go_of_comes_back() {
        let code = let_go_of_files as *const () as usize;
        let constant = "a constant of this program".as_ptr() as usize;
        let maps = || unwritten(&std::fs::read_to_string("/proc/self/smaps").unwrap());
        let before = maps();
        let holds = |place| {
            before
                .iter()
                .any(|(start, length)| (*start..start + length).contains(&place))
        };
        assert!(holds(code) && holds(constant), "{before:x?}");
        let_go_of_files();
        assert_eq!(maps(), before);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_what_is_as_in_its_file_is_let_go_of() {
        let mapping_of = |range: &str, rights: &str, path: &str, own: u32, swapped: u32| {
            format!(
                "{range} {rights} 00000000 08:01 42 {path}\nRss: 8 kB\nAnonymous: {own} kB\nSwap: {swapped} kB\nSwapPss: 0 kB\nVmFlags: rd ex\n"
            )
        };
        let mapping = |range: &str, rights: &str, path: &str, own: u32| {
            mapping_of(range, rights, path, own, 0)
        };
        let smaps = [
            mapping("1000-3000", "r-xp", "/bin/a b", 0),
            mapping("3000-4000", "r--p", "/bin/a b", 4),
            mapping("4000-5000", "rw-p", "/bin/a b", 0),
            mapping("5000-6000", "r--s", "/tmp/shared", 0),
            mapping("6000-7000", "r-xp", "[vdso]", 0),
            mapping("7000-8000", "r--p", "", 0),
            mapping_of("8000-9000", "r--p", "/lib/b", 0, 4),
            mapping("7fff00000000-7fff00002000", "r--p", "/lib/b (deleted)", 0),
        ];
        assert_eq!(
            unwritten(&smaps.concat()),
            [(0x1000, 0x2000), (0x7fff_0000_0000, 0x2000)]
        );
        for nonsense in [
            "",
            "Anonymous: 0 kB\nSwap: 0 kB",
            "1000-3000 r-xp 0 08:01 42 /bin/a\nAnonymous: 0 kB",
            "1000-3000 r-xp 0 08:01 42 /bin/a\nSwap: 0 kB",
            "x-y r-xp\nAnonymous: 0 kB",
            "2000",
        ] {
            assert_eq!(unwritten(nonsense), []);
        }
    }

    #[test]
    fn resident_memory_is_that_of_a_living_program() {
        let bytes = resident_bytes().unwrap();
        assert!((100_000..4_000_000_000).contains(&bytes), "{bytes}");
    }
}
