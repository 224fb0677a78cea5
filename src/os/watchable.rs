//! Whether the end of a process that a person or a script names by its id can be seen.
//!
//! A session that waits for the end of something else would stay open for good, so what cannot be watched is refused, with
//! the reason. Called by the daemon (`session.set`), by `event` and by the hook. Linux: proc(5), `pidfd_open(2)`; macOS:
//! kqueue(2).

use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::process::{self, ProcessId};

/// Why a process cannot be watched; for people.
#[derive(Debug, thiserror::Error)]
pub enum Unwatchable {
    /// No process has this id.
    #[error("there is no process {0}")]
    Missing(u32),
    /// One has, and the system shows nothing of it to this user (`hidepid`, proc(5)).
    #[error("process {0} is hidden from this user, so its end cannot be seen")]
    Hidden(u32),
    /// It has ended; its parent has not asked how.
    #[error("process {0} has ended")]
    Ended(u32),
    /// The id is that of a thread, whose end no descriptor shows.
    #[error("{thread} is a thread of process {process}; name the process")]
    Thread {
        /// The id.
        thread: u32,
        /// The process that it belongs to.
        process: u32,
    },
    /// The kernel refuses to watch it.
    #[error("process {pid} cannot be watched: {source}")]
    Refused {
        /// The id.
        pid: u32,
        /// The refusal.
        source: io::Error,
    },
}

/// The process with this id here, whose end can be seen. Where only descriptors are lacking, or the kernel is too old to
/// watch any process, that is not the process's fault, and it is returned.
///
/// # Errors
///
/// See [`Unwatchable`].
pub fn find(pid: u32) -> Result<ProcessId, Unwatchable> {
    let id = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let id = id.ok_or(Unwatchable::Missing(pid))?;
    let found = process::inspect(pid).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound if test_kill_process(id) == Err(Errno::PERM) => {
            Unwatchable::Hidden(pid)
        }
        io::ErrorKind::NotFound => Unwatchable::Missing(pid),
        _ => Unwatchable::Refused { pid, source },
    })?;
    if found.zombie {
        return Err(Unwatchable::Ended(pid));
    }
    match process::of_thread(pid) {
        Some(process) if process != pid => {
            return Err(Unwatchable::Thread {
                thread: pid,
                process,
            });
        }
        _ => {}
    }
    match process::exit_fd(found.id) {
        Ok(Some(_)) => Ok(found.id),
        Ok(None) => Err(Unwatchable::Ended(pid)),
        Err(source) => match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES | libc::EINVAL | libc::ENOENT) => {
                Err(Unwatchable::Refused { pid, source })
            }
            _ => Ok(found.id),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::thread;

    fn refusal(pid: u32) -> String {
        find(pid).unwrap_err().to_string()
    }

    #[test]
    fn a_process_that_runs_can_be_watched() {
        let own = std::process::id();
        assert_eq!(find(own).unwrap(), process::inspect(own).unwrap().id);
        assert_eq!(find(1).unwrap().pid, 1);
    }

    #[test]
    fn what_is_no_running_process_is_refused_with_the_reason() {
        for pid in [0, u32::MAX, u32::MAX / 2] {
            assert_eq!(refusal(pid), format!("there is no process {pid}"));
        }
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id();
        while !process::inspect(pid).unwrap().zombie {
            thread::yield_now();
        }
        assert_eq!(refusal(pid), format!("process {pid} has ended"));
        child.wait().unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_is_refused_and_its_process_named() {
        use std::sync::mpsc;

        let (id_tx, id) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let other = thread::spawn(move || {
            id_tx
                .send(rustix::thread::gettid().as_raw_nonzero().get())
                .unwrap();
            let _ = ended.recv();
        });
        let thread = id.recv().unwrap().unsigned_abs();
        let own = std::process::id();
        let expected = format!("{thread} is a thread of process {own}; name the process");
        assert_eq!(refusal(thread), expected);
        drop(end);
        other.join().unwrap();
    }
}
