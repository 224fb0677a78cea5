//! The socket that launchd holds for this job, by `launch_activate_socket(3)`.
//!
//! launchd passes no environment variable to look at: a job asks for its sockets by the name they have in its property
//! list, and whether it is a job at all is one of the answers. The function lives in macOS's libSystem and nowhere
//! else, so it is an argument here: everything but the symbol itself is compiled, and tested against a stand-in, on
//! every Unix.
//!
//! Called once, at start-up, by the listener, which decides what a socket must be. Knows nothing of what it is for.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// The key of our entry in the `Sockets` dictionary of the property list (launchd.plist(5)).
pub const SOCKET_NAME: &CStr = c"agent-console";

/// The type of `launch_activate_socket(3)`: writes an array of `count` descriptors, to be freed with free(3), and
/// answers 0 or an error number.
///
/// A function of this type must keep that contract: the descriptors are open and become the caller's own.
pub type ActivateSocket =
    unsafe extern "C" fn(name: *const c_char, fds: *mut *mut c_int, count: *mut usize) -> c_int;

#[cfg(target_os = "macos")]
#[expect(unsafe_code, reason = "the libc crate does not declare it")]
unsafe extern "C" {
    fn launch_activate_socket(
        name: *const c_char,
        fds: *mut *mut c_int,
        count: *mut usize,
    ) -> c_int;
}

/// This system's own; `None` where there is no launchd.
#[cfg(target_os = "macos")]
pub const SYSTEM: Option<ActivateSocket> = Some(launch_activate_socket);

/// This system's own; `None` where there is no launchd.
#[cfg(not(target_os = "macos"))]
pub const SYSTEM: Option<ActivateSocket> = None;

/// Why launchd's socket can't be used although launchd runs this process. All are mistakes in the job, so none of them
/// may lead to a socket bound by the daemon itself.
#[derive(Debug, thiserror::Error)]
pub enum LaunchdError {
    /// `ENOENT`.
    #[error(
        "launchd has no socket named {name:?} for this job: give its property list a Sockets entry of that name \
         and load it again"
    )]
    NoSuchName {
        /// The name that was asked for.
        name: String,
    },
    /// `EALREADY`.
    #[error("launchd's socket {name:?} was already taken by this process")]
    AlreadyTaken {
        /// The name that was asked for.
        name: String,
    },
    /// The entry stands for none, or for several (one for each address family, or a list).
    #[error(
        "launchd passes {count} descriptors for the socket {name:?}, and the daemon serves exactly one: \
         leave one Unix stream socket in the Sockets entry of the property list"
    )]
    Count {
        /// The name that was asked for.
        name: String,
        /// How many there were.
        count: usize,
    },
    /// Anything else, as the system says it.
    #[error("cannot take the socket {name:?} from launchd: {source}")]
    System {
        /// The name that was asked for.
        name: String,
        /// The system's error.
        source: io::Error,
    },
}

/// Takes the socket called `name` from launchd, closed on exec; `None` if launchd does not run this process (`ESRCH`),
/// as for a daemon that a person starts in a shell.
///
/// # Errors
///
/// See [`LaunchdError`]. No descriptor stays open then.
pub fn activate(
    name: &CStr,
    activate_socket: ActivateSocket,
) -> Result<Option<OwnedFd>, LaunchdError> {
    let mut array: *mut c_int = std::ptr::null_mut();
    let mut count: usize = 0;
    #[expect(unsafe_code, reason = "a C function")]
    // SAFETY: a C string and two places to write to, valid for the call; the function keeps its type's contract.
    let result = unsafe { activate_socket(name.as_ptr(), &raw mut array, &raw mut count) };

    let shown = || name.to_string_lossy().into_owned();
    match result {
        0 => {}
        libc::ESRCH => return Ok(None),
        libc::ENOENT => return Err(LaunchdError::NoSuchName { name: shown() }),
        libc::EALREADY => return Err(LaunchdError::AlreadyTaken { name: shown() }),
        errno => {
            return Err(LaunchdError::System {
                name: shown(),
                source: io::Error::from_raw_os_error(errno),
            });
        }
    }

    let mut sockets = adopt(array, count);
    let (Some(socket), true) = (sockets.pop(), sockets.is_empty()) else {
        return Err(LaunchdError::Count {
            name: shown(),
            count,
        });
    };
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC).map_err(|errno| {
        LaunchdError::System {
            name: shown(),
            source: errno.into(),
        }
    })?;
    Ok(Some(socket))
}

/// Makes the descriptors of a successful call our own and frees their array.
fn adopt(array: *mut c_int, count: usize) -> Vec<OwnedFd> {
    if array.is_null() {
        return Vec::new();
    }
    let sockets = (0..count)
        .map(|index| {
            #[expect(unsafe_code, reason = "an array of a C function")]
            // SAFETY: the array holds `count` open descriptors, which are ours to close.
            unsafe {
                OwnedFd::from_raw_fd(array.add(index).read())
            }
        })
        .collect();
    #[expect(unsafe_code, reason = "an array of a C function")]
    // SAFETY: the manual page has the caller free it; nothing refers to it any more.
    unsafe {
        libc::free(array.cast::<c_void>());
    }
    sockets
}

#[cfg(test)]
#[path = "../../../tests/stand_in/launchd.rs"]
pub(crate) mod stand_in;

#[cfg(test)]
mod tests {
    use super::stand_in::{activate_socket, start_job};
    use super::*;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    /// One end to give to launchd, and one that sees when the first is closed.
    fn pair() -> (OwnedFd, UnixStream) {
        let (given, kept) = UnixStream::pair().unwrap();
        (given.into(), kept)
    }

    /// Whether the other end is closed, or will be: a child that another test starts holds it until it has exec'd.
    fn closed(kept: &UnixStream) -> bool {
        kept.set_read_timeout(Some(std::time::Duration::from_secs(10)))
            .unwrap();
        matches!(std::io::Read::read(&mut &*kept, &mut [0]), Ok(0))
    }

    fn open(kept: &UnixStream) -> bool {
        kept.set_nonblocking(true).unwrap();
        std::io::Read::read(&mut &*kept, &mut [0]).is_err()
    }

    #[test]
    fn outside_launchd_there_is_no_socket_and_no_error() {
        assert!(activate(SOCKET_NAME, activate_socket).unwrap().is_none());
    }

    #[test]
    fn the_jobs_one_socket_is_taken_once() {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("socket")).unwrap();
        let given = listener.as_raw_fd();
        rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
        start_job(SOCKET_NAME, vec![listener.into()]);

        let taken = activate(SOCKET_NAME, activate_socket).unwrap().unwrap();
        assert_eq!(taken.as_raw_fd(), given);
        let flags = rustix::io::fcntl_getfd(&taken).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));

        let error = activate(SOCKET_NAME, activate_socket).unwrap_err();
        assert!(
            matches!(error, LaunchdError::AlreadyTaken { .. }),
            "{error}"
        );
    }

    #[test]
    fn a_name_that_the_property_list_lacks_is_an_error() {
        let (given, kept) = pair();
        start_job(c"Listeners", vec![given]);
        let error = activate(SOCKET_NAME, activate_socket).unwrap_err();
        assert!(matches!(error, LaunchdError::NoSuchName { .. }), "{error}");
        assert!(error.to_string().contains("agent-console"), "{error}");
        assert!(open(&kept));
    }

    #[test]
    fn several_descriptors_are_an_error_and_all_closed() {
        let (one, one_kept) = pair();
        let (two, two_kept) = pair();
        start_job(SOCKET_NAME, vec![one, two]);
        let error = activate(SOCKET_NAME, activate_socket).unwrap_err();
        assert!(
            matches!(error, LaunchdError::Count { count: 2, .. }),
            "{error}"
        );
        assert!(closed(&one_kept) && closed(&two_kept));

        start_job(SOCKET_NAME, Vec::new());
        let error = activate(SOCKET_NAME, activate_socket).unwrap_err();
        assert!(
            matches!(error, LaunchdError::Count { count: 0, .. }),
            "{error}"
        );
    }

    #[test]
    fn another_error_number_is_passed_on() {
        #[expect(unsafe_code, reason = "it stands for a C function")]
        unsafe extern "C" fn refuse(_: *const c_char, _: *mut *mut c_int, _: *mut usize) -> c_int {
            libc::EPERM
        }
        let error = activate(SOCKET_NAME, refuse).unwrap_err();
        assert!(matches!(error, LaunchdError::System { .. }), "{error}");
    }

    #[test]
    fn the_array_is_freed() {
        let before = crate::os::memory::resident_bytes().unwrap();
        for _ in 0..256 {
            let (given, _kept) = pair();
            start_job(SOCKET_NAME, vec![given]);
            activate(SOCKET_NAME, activate_socket).unwrap().unwrap();
        }
        let grown = crate::os::memory::resident_bytes()
            .unwrap()
            .saturating_sub(before);
        // Each call of the stand-in allocates a mebibyte.
        assert!(grown < 128 << 20, "grown by {grown} bytes");
    }
}
