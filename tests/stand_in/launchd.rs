//! launchd, as a process that it started sees it: a function of the type of `launch_activate_socket(3)` with the answers
//! that its manual page gives. What it has to hand out belongs to the thread that [`start_job`] was called on.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::os::fd::{IntoRawFd, OwnedFd};

/// The size of the array that a call allocates, in bytes: far more than it needs, so that a caller which forgets to
/// free it grows visibly.
const ARRAY_BYTES: usize = 1 << 20;

struct Job {
    name: CString,
    sockets: Option<Vec<OwnedFd>>,
}

thread_local! {
    static JOB: RefCell<Option<Job>> = const { RefCell::new(None) };
}

/// From now on this thread belongs to a job whose `Sockets` dictionary has the one entry `name`.
pub(crate) fn start_job(name: &CStr, sockets: Vec<OwnedFd>) {
    JOB.set(Some(Job {
        name: name.to_owned(),
        sockets: Some(sockets),
    }));
}

/// `launch_activate_socket(3)`: `ESRCH` without a job, `ENOENT` for another name, `EALREADY` the second time.
///
/// # Safety
///
/// As the manual page says: a C string, and two places to write to.
#[expect(unsafe_code, reason = "it stands for a C function")]
pub(crate) unsafe extern "C" fn activate_socket(
    name: *const c_char,
    fds: *mut *mut c_int,
    count: *mut usize,
) -> c_int {
    JOB.with_borrow_mut(|job| {
        let Some(job) = job else {
            return libc::ESRCH;
        };
        // SAFETY: the caller passes a C string.
        if unsafe { CStr::from_ptr(name) } != job.name.as_c_str() {
            return libc::ENOENT;
        }
        let Some(sockets) = job.sockets.take() else {
            return libc::EALREADY;
        };
        assert!(sockets.len() * size_of::<c_int>() <= ARRAY_BYTES);
        // SAFETY: the array is as large as it says, and the caller's places are valid for writing.
        unsafe {
            let array: *mut c_int = libc::malloc(ARRAY_BYTES).cast();
            assert!(!array.is_null());
            array.cast::<u8>().write_bytes(0xff, ARRAY_BYTES);
            *count = sockets.len();
            for (index, socket) in sockets.into_iter().enumerate() {
                array.add(index).write(socket.into_raw_fd());
            }
            *fds = array;
        }
        0
    })
}
