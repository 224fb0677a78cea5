//! The other end of a socket: who it is, and how a client reaches it without ever hanging.
//!
//! `/tmp` belongs to everybody: anyone can plant a socket there before the daemon does, and a daemon can hang. So a
//! client's way in is here, once, for the hook, the commands and the dashboard: the owner of the file, then a connect with
//! a time limit, then the kernel's word on who listens, before a byte is sent. The daemon asks the same question of each
//! client that it accepts. The daemon's listener also probes with [`connect`] whether a socket file has a listener behind it.
//!
//! Trusted are this process's own user and root. Root also trusts the owner of a socket that was named to this very process
//! ([`trust_owner`]), so that root in a container, or under `sudo`, reports to the daemon of the user whose socket it was
//! given. Nothing else makes root trust another user: any user can put a socket at the default path, and what root's
//! hooks send has words of root's prompts in it.
//!
//! Standard library and system calls only: the hook pays for each of them. Knows nothing of the protocol, nor of what
//! to run where none answers: the caller decides that.

use crate::os::clock;
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// The socket whose owner root trusts; see [`trust_owner`].
static NAMED: OnceLock<PathBuf> = OnceLock::new();

/// The user id by which a user namespace shows every user whom it does not map (`/proc/sys/kernel/overflowuid`, proc(5)):
/// it does not say who that is.
const UNMAPPED: u32 = 65_534;

/// The longest path that fits a Unix socket's address with its closing NUL, in bytes: 107 on Linux (unix(7)), 103 on
/// macOS (unix(4)).
pub const LONGEST_PATH: usize =
    size_of::<libc::sockaddr_un>() - std::mem::offset_of!(libc::sockaddr_un, sun_path) - 1;

/// Why [`connect`] brought no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No process listens there: no such file, or a socket that its daemon left behind. The one case in which starting a
    /// daemon helps. (macOS also refuses so where the queue of a hung daemon is full.)
    #[error("no daemon answers at {}: {source}", path.display())]
    NoDaemon {
        /// Where one was looked for.
        path: PathBuf,
        /// `ENOENT` or `ECONNREFUSED`.
        source: io::Error,
    },
    /// Another user listens there, or owns what is there (the socket, or a link to one), so nothing was sent.
    #[error(
        "the socket {} belongs to user {uid}, neither this one nor root, and is not trusted; {}",
        path.display(),
        foreign_advice(path, *uid)
    )]
    Foreign {
        /// The socket.
        path: PathBuf,
        /// The other's user id.
        uid: u32,
    },
    /// Root owns the socket, and this user may not open it.
    #[error(
        "the socket {} belongs to root, whose daemon serves root alone; {CHOOSE}",
        path.display()
    )]
    Roots {
        /// The socket.
        path: PathBuf,
    },
    /// A daemon listens, but its queue of connections stayed full for the whole time limit: it hangs or is overrun.
    #[error(
        "the daemon at {} does not accept connections; if that lasts, restart it",
        path.display()
    )]
    Busy {
        /// The socket.
        path: PathBuf,
    },
    /// Anything else, as the system says it.
    #[error("cannot connect to {}: {source}", path.display())]
    Other {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// How a user comes by another socket.
pub const CHOOSE: &str =
    "choose another path: `agent-console install` does, or give one with --socket";

/// What to do about another user's socket. Never to remove it: it may be the one of a daemon that others use, as in a
/// container whose root has it mounted.
fn foreign_advice(path: &Path, uid: u32) -> String {
    if uid == UNMAPPED || !rustix::process::geteuid().is_root() {
        return CHOOSE.to_owned();
    }
    format!(
        "to use that user's daemon all the same, name its socket (--socket {0}, or AGENT_CONSOLE_SOCKET={0} in the \
         environment), or run this as that user (in a container: `--user {uid}`); to have one of your own, {CHOOSE}",
        path.display()
    )
}

/// The effective user id of the process at the other end, as the kernel noted it when the connection was made: for a
/// client, the one that called listen(2); for the daemon, the one that called connect(2). `SO_PEERCRED` (unix(7)) on
/// Linux, getpeereid(3) on macOS.
///
/// # Errors
///
/// The system's refusal: not a connected Unix socket.
pub fn uid(socket: impl AsFd) -> io::Result<u32> {
    platform::peer_uid(socket.as_fd())
}

/// The process at the other end, noted as [`uid`] is; 0 where the system does not say, or the process is in a pid
/// namespace that is not seen from here.
pub fn pid(socket: impl AsFd) -> u32 {
    platform::peer_pid(socket.as_fd())
}

/// Whether `uid` may be at the other end: this process's own effective user, or root.
#[must_use]
pub fn trusted(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// Has root trust the owner of the socket at `path`, because that socket was named to this process, on the
/// command line or in its environment. Neither the default path nor the configuration does so: what `install` writes
/// there may be a path that another user takes first. Only the first call counts.
pub fn trust_owner(path: &Path) {
    // One that is set already stays.
    let _ = NAMED.set(path.to_owned());
}

/// Whether `uid` may own the socket at `path`, and listen there.
fn trusted_at(path: &Path, uid: u32) -> bool {
    let is_named = || NAMED.get().is_some_and(|named| named == path);
    trusted(uid) || (uid != UNMAPPED && rustix::process::geteuid().is_root() && is_named())
}

/// The address of a socket at `path`.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidInput`] for a path longer than [`LONGEST_PATH`] or one with a NUL in it.
pub fn address(path: &Path) -> io::Result<SocketAddrUnix> {
    let length = path.as_os_str().as_bytes().len();
    if length > LONGEST_PATH {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "the path is {length} bytes long and a socket's may have {LONGEST_PATH}; choose a shorter one"
            ),
        ));
    }
    Ok(SocketAddrUnix::new(path)?)
}

/// Connects to the daemon's socket at `path` and makes sure that this user or root listens there; for root, the owner of
/// a socket that was [named](trust_owner) may, too.
///
/// What belongs to another user is refused before the connect: its queue may be kept full, and a link of another user's
/// may lead to another service of this user's.
///
/// Takes at most `timeout`, even where a hung daemon's queue is full, and each later read or write of the stream takes
/// at most `timeout`, too (it fails with [`io::ErrorKind::WouldBlock`] then). With a `timeout` of zero nothing ever
/// waits: a full queue is [`ConnectError::Busy`] at once and the stream is non-blocking. The descriptor is closed on
/// exec.
///
/// # Errors
///
/// See [`ConnectError`].
pub fn connect(path: &Path, timeout: Duration) -> Result<UnixStream, ConnectError> {
    let other = |source| ConnectError::Other {
        path: path.to_owned(),
        source,
    };
    let foreign = |uid| ConnectError::Foreign {
        path: path.to_owned(),
        uid,
    };
    let address = address(path).map_err(other)?;
    let owner = owner(path).map_err(|errno| failure(path, errno))?;
    if !trusted_at(path, owner) {
        return Err(foreign(owner));
    }
    let socket = stream_socket(timeout).map_err(|errno| other(errno.into()))?;
    connect_within(&socket, &address, timeout).map_err(|errno| failure(path, errno))?;
    let uid = uid(&socket).map_err(other)?;
    if trusted(uid) || (uid == owner && trusted_at(path, uid)) {
        Ok(UnixStream::from(socket))
    } else {
        Err(foreign(uid))
    }
}

/// Who owns the socket at `path`. Of a symbolic link that this process does not trust, the link's owner.
fn owner(path: &Path) -> Result<u32, Errno> {
    let found = rustix::fs::lstat(path)?;
    let is_link = FileType::from_raw_mode(found.st_mode) == FileType::Symlink;
    if is_link && trusted_at(path, found.st_uid) {
        return Ok(rustix::fs::stat(path)?.st_uid);
    }
    Ok(found.st_uid)
}

/// The connect itself. Linux waits for room in the queue as long as the socket's send timeout says, then answers
/// `EAGAIN` (`unix_stream_connect` in the kernel; observed on 6.x): no polling. macOS never waits. A signal in between
/// costs no more than the time that is left.
fn connect_within(
    socket: &OwnedFd,
    address: &SocketAddrUnix,
    timeout: Duration,
) -> Result<(), Errno> {
    let started = clock::monotonic();
    loop {
        match rustix::net::connect(socket, address) {
            Err(Errno::INTR) => {
                let left = timeout.saturating_sub(started.elapsed());
                if left.is_zero() {
                    return Err(Errno::AGAIN);
                }
                set_timeout(socket, Timeout::Send, left)?;
            }
            result => return result,
        }
    }
}

/// A stream socket, closed on exec, whose every call waits at most `timeout`; zero makes it non-blocking.
fn stream_socket(timeout: Duration) -> Result<OwnedFd, Errno> {
    let socket = platform::socket()?;
    if timeout.is_zero() {
        rustix::io::ioctl_fionbio(&socket, true)?;
    } else {
        set_timeout(&socket, Timeout::Send, timeout)?;
        set_timeout(&socket, Timeout::Recv, timeout)?;
    }
    Ok(socket)
}

/// The kernel reads a timeout of zero, which is also what less than a microsecond becomes, as "for ever".
fn set_timeout(socket: &OwnedFd, which: Timeout, timeout: Duration) -> Result<(), Errno> {
    sockopt::set_socket_timeout(socket, which, Some(timeout.max(Duration::from_micros(1))))
}

fn failure(path: &Path, errno: Errno) -> ConnectError {
    let path = path.to_owned();
    match errno {
        Errno::NOENT | Errno::CONNREFUSED => ConnectError::NoDaemon {
            path,
            source: errno.into(),
        },
        Errno::AGAIN => ConnectError::Busy { path },
        Errno::ACCESS => match owner(&path) {
            Ok(0) if !rustix::process::geteuid().is_root() => ConnectError::Roots { path },
            _ => ConnectError::Other {
                path,
                source: errno.into(),
            },
        },
        _ => ConnectError::Other {
            path,
            source: errno.into(),
        },
    }
}

#[cfg(target_os = "linux")]
mod platform {
    use super::{AddressFamily, Errno, OwnedFd, SocketType, io};
    use rustix::net::SocketFlags;
    use std::os::fd::{AsRawFd, BorrowedFd};

    pub(super) fn socket() -> Result<OwnedFd, Errno> {
        rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
    }

    pub(super) fn peer_uid(socket: BorrowedFd<'_>) -> io::Result<u32> {
        Ok(credentials(socket)?.uid)
    }

    pub(super) fn peer_pid(socket: BorrowedFd<'_>) -> u32 {
        credentials(socket).map_or(0, |peer| peer.pid.unsigned_abs())
    }

    /// Not by rustix: its type can't hold the process id 0, which the kernel gives for a process in a pid namespace that
    /// this one does not see, and a container's client would be refused with the error "Success".
    fn credentials(socket: BorrowedFd<'_>) -> io::Result<libc::ucred> {
        let mut peer = libc::ucred {
            pid: 0,
            uid: libc::uid_t::MAX,
            gid: libc::gid_t::MAX,
        };
        #[expect(clippy::cast_possible_truncation, reason = "twelve")]
        let mut length = size_of::<libc::ucred>() as libc::socklen_t;
        #[expect(unsafe_code, reason = "the safe wrapper knows no process id 0")]
        // SAFETY: the descriptor is open, both pointers are valid for the call, and the length is that of the value,
        // which is plain numbers.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                (&raw mut peer).cast(),
                &raw mut length,
            )
        };
        if result == 0 {
            Ok(peer)
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

#[cfg(target_os = "macos")]
mod platform {
    use super::{AddressFamily, Errno, OwnedFd, SocketType, io};
    use std::os::fd::{AsRawFd, BorrowedFd};

    /// socket(2) takes no flags here: closed on exec a moment later, and no SIGPIPE, which a flag of send(2) stops
    /// elsewhere.
    pub(super) fn socket() -> Result<OwnedFd, Errno> {
        let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        rustix::net::sockopt::set_socket_nosigpipe(&socket, true)?;
        Ok(socket)
    }

    pub(super) fn peer_pid(_socket: BorrowedFd<'_>) -> u32 {
        0
    }

    pub(super) fn peer_uid(socket: BorrowedFd<'_>) -> io::Result<u32> {
        let mut uid = libc::uid_t::MAX;
        let mut gid = libc::gid_t::MAX;
        #[expect(unsafe_code, reason = "getpeereid(3) has no safe wrapper")]
        // SAFETY: the descriptor is open, and both pointers are valid for the call.
        let result = unsafe { libc::getpeereid(socket.as_raw_fd(), &raw mut uid, &raw mut gid) };
        if result == 0 {
            Ok(uid)
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
