//! `proc_pidinfo`, the macOS counterpart of `/proc`: one typed, safe call. Called by [`super::process`] and
//! [`super::memory`].

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;

/// A plain C structure that `proc_pidinfo` fills.
///
/// # Safety
///
/// `FLAVOR` makes the kernel write exactly this structure, and it holds nothing but integers.
#[expect(unsafe_code, reason = "a promise about the layout of a C structure")]
pub(super) unsafe trait Answer {
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

/// Asks for one structure about a process. `argument` 1 makes `PROC_PIDTBSDINFO` find zombies, too.
///
/// # Errors
///
/// `ESRCH` where there is no such process; else the kernel's refusal.
pub(super) fn query<T: Answer>(pid: u32, argument: u64) -> io::Result<T> {
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
