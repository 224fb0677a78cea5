//! What the kernel says about a process: identity, parent, terminal, whether it still lives.
//!
//! A process id alone does not identify a process: the kernel reuses it once its owner is reaped. The id together with
//! the start time does, and that pair ([`ProcessId`]) is what the hook sends, what the core keeps and what the exit
//! watcher compares.
//!
//! Called by the hook (once, in its hundred milliseconds), by the daemon and by the clients. Knows nothing of sessions
//! or agents. Blocking calls, each answered by the kernel from memory: `/proc` on Linux (proc(5)), `proc_pidinfo` on
//! macOS.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

/// One process, until the machine restarts: a process id that is reused has another `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// The id in the process-id namespace of the process that looked it up; see [`namespace`].
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
    /// A signal has stopped it (Ctrl-Z), and SIGCONT would continue it. Not that a debugger holds it.
    pub stopped: bool,
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

/// The process that the thread with this id belongs to: for a process, whose id its first thread has, itself. `None` where
/// the system does not tell (macOS, where no id is a thread's), or there is no such thread.
#[must_use]
pub fn of_thread(id: u32) -> Option<u32> {
    platform::of_thread(id)
}

/// The program's name, at most 15 bytes of it on Linux (`/proc/PID/comm`, proc(5)). A process can change its own.
#[must_use]
pub fn name(pid: u32) -> Option<String> {
    platform::name(pid)
}

/// The first 64 of a process's arguments, as far as they are within 4 KiB: the program, and what it runs if it is an
/// interpreter. Empty where the system does not tell (macOS).
#[must_use]
pub fn first_arguments(pid: u32) -> Vec<String> {
    platform::first_arguments(pid)
}

/// Whether a process's standard input and output are terminals; `None` where the system does not tell (macOS, a process of
/// another user).
#[must_use]
pub fn is_on_terminal(pid: u32) -> Option<bool> {
    platform::is_on_terminal(pid)
}

/// How much earlier than the start of its process something may seem to have happened, in ms: the kernel rounds start
/// times, and clocks are adjusted.
pub(crate) const START_TOLERANCE_MS: u64 = 2000;

/// When a process started, in ms since the epoch by the wall clock as it is set now; accurate to 10 ms.
#[must_use]
pub fn started_at(process: ProcessId) -> u64 {
    platform::started_at(process.start)
}

/// The process-id namespace that this process lives in, as the inode of `/proc/self/ns/pid` (namespaces(7)). Two
/// processes that see different numbers here mean different processes by the same id. `None` where the system has no
/// such thing (macOS) or does not tell. A process stays in its own for life (`pid_namespaces(7)`).
#[must_use]
pub fn namespace() -> Option<u64> {
    static NAMESPACE: OnceLock<Option<u64>> = OnceLock::new();
    *NAMESPACE.get_or_init(platform::namespace)
}

/// Whether the process, named by its id here, lives in this process's namespace and not in one below it; false where
/// the system does not tell. Where there are no namespaces, always.
#[must_use]
pub fn is_in_namespace(pid: u32) -> bool {
    namespace().is_none_or(|own| platform::namespace_of(pid) == Some(own))
}

#[cfg(target_os = "linux")]
mod platform {
    use super::{ProcessId, ProcessInfo};
    use crate::os::clock;
    use std::fs::{self, File};
    use std::io::{self, Read};
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    /// Enough for the first 22 fields whatever they hold (a name of 64 bytes, numbers of 20); the rest is not read.
    const STAT_BYTES: usize = 1024;

    /// The major number of `/dev/null` and its like (the kernel's `devices.txt`). Every other character device that a
    /// process has for its standard input is a terminal.
    const MEMORY_DEVICES: u32 = 1;

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

    pub(super) fn of_thread(id: u32) -> Option<u32> {
        let mut buffer = [0; STAT_BYTES];
        let status = read(&format!("/proc/{id}/status"), &mut buffer).ok()?;
        let mut lines = status.split(|byte| *byte == b'\n');
        let process = lines.find_map(|line| line.strip_prefix(b"Tgid:"))?;
        number(process.trim_ascii())
    }

    pub(super) fn name(pid: u32) -> Option<String> {
        let mut buffer = [0; 64];
        let line = read(&format!("/proc/{pid}/comm"), &mut buffer).ok()?;
        Some(String::from_utf8_lossy(line.trim_ascii_end()).into_owned())
    }

    pub(super) fn first_arguments(pid: u32) -> Vec<String> {
        let mut buffer = [0; 4096];
        let line = read(&format!("/proc/{pid}/cmdline"), &mut buffer).unwrap_or_default();
        let arguments = line.split(|byte| *byte == 0).take(64);
        let arguments = arguments.filter(|argument| !argument.is_empty());
        arguments
            .map(|argument| String::from_utf8_lossy(argument).into_owned())
            .collect()
    }

    pub(super) fn is_on_terminal(pid: u32) -> Option<bool> {
        let is_terminal =
            |descriptor: u32| match fs::metadata(format!("/proc/{pid}/fd/{descriptor}")) {
                Ok(file) => {
                    let is_device = file.file_type().is_char_device();
                    Some(is_device && rustix::fs::major(file.rdev()) != MEMORY_DEVICES)
                }
                // It is closed, if its descriptors are shown at all.
                Err(_) => fs::read_dir(format!("/proc/{pid}/fd")).ok().map(|_| false),
            };
        Some(is_terminal(0)? && is_terminal(1)?)
    }

    pub(super) fn started_at(start: u64) -> u64 {
        let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
        let since_boot = start.saturating_mul(1000) / ticks_per_second;
        let up = u64::try_from(clock::boottime().as_millis()).unwrap_or(u64::MAX);
        clock::unix_ms().saturating_sub(up.saturating_sub(since_boot))
    }

    pub(super) fn namespace() -> Option<u64> {
        Some(fs::metadata("/proc/self/ns/pid").ok()?.ino())
    }

    pub(super) fn namespace_of(pid: u32) -> Option<u64> {
        Some(fs::metadata(format!("/proc/{pid}/ns/pid")).ok()?.ino())
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
            stopped: state == b"T",
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
    use crate::os::proc_info;
    use std::ffi::{CStr, c_char, c_int};
    use std::io;

    #[expect(unsafe_code, reason = "the libc crate does not declare devname_r(3)")]
    unsafe extern "C" {
        fn devname_r(
            device: libc::dev_t,
            kind: libc::mode_t,
            buffer: *mut c_char,
            length: c_int,
        ) -> *mut c_char;
    }

    pub(super) fn inspect(pid: u32) -> io::Result<ProcessInfo> {
        let info: libc::proc_bsdinfo = proc_info::query(pid, 1)?;
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
            stopped: info.pbi_status == libc::SSTOP,
            zombie: info.pbi_status == libc::SZOMB,
        })
    }

    pub(super) fn name(pid: u32) -> Option<String> {
        let info: libc::proc_bsdinfo = proc_info::query(pid, 0).ok()?;
        // The longer of two fields; empty in some processes.
        let [long, short] = [&info.pbi_name[..], &info.pbi_comm[..]].map(|name| {
            let bytes = name.iter().map(|byte| byte.cast_unsigned());
            let bytes: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        });
        [long, short].into_iter().find(|name| !name.is_empty())
    }

    pub(super) fn of_thread(_id: u32) -> Option<u32> {
        None
    }

    pub(super) fn first_arguments(_pid: u32) -> Vec<String> {
        Vec::new()
    }

    pub(super) fn is_on_terminal(_pid: u32) -> Option<bool> {
        None
    }

    pub(super) fn started_at(start: u64) -> u64 {
        start / 1000
    }

    pub(super) fn namespace() -> Option<u64> {
        None
    }

    pub(super) fn namespace_of(_pid: u32) -> Option<u64> {
        None
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
pub fn exit_fd(process: ProcessId) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else {
        return Ok(None);
    };
    let descriptor = match exit::descriptor(pid) {
        Ok(descriptor) => descriptor,
        Err(Errno::SRCH) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    // The descriptor now pins the id's owner, so comparing the start time after opening it leaves no race.
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

/// Waits until the process has ended, reaped or not; false if it has not within `timeout`.
///
/// # Errors
///
/// The kernel gives no way to wait for it.
pub fn wait_for_exit(process: ProcessId, timeout: Duration) -> io::Result<bool> {
    let Some(descriptor) = exit_fd(process)? else {
        return Ok(true);
    };
    let timeout = Timespec::try_from(timeout).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut waited = [PollFd::new(&descriptor, PollFlags::IN)];
    let ready = rustix::io::retry_on_intr(|| rustix::event::poll(&mut waited, Some(&timeout)))?;
    Ok(ready > 0)
}

#[cfg(test)]
mod tests;
