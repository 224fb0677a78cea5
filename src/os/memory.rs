//! This process's memory: how much is resident, and returning what was freed.
//!
//! Called by the daemon, which is meant to stay small for weeks.

/// The resident memory of this process, in bytes; `None` where the system does not say.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    platform::resident_bytes()
}

/// Returns what is not needed to the system, after work that comes rarely and takes much: freed memory, and the code that
/// did it.
pub fn release() {
    trim_heap();
    unmap_code();
}

/// Returns freed memory to the system: glibc keeps what many small allocations have left behind until it is asked
/// (`malloc_trim(3)`). Elsewhere a no-op.
pub fn trim_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "malloc_trim(3) has no safe wrapper")]
    // SAFETY: it takes a number and touches only the allocator's own state, under the allocator's lock.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Takes the pages of the program and of its libraries out of this process's memory; what runs next brings its own back
/// from the page cache. Most of what is resident otherwise is the code of the start, which never runs again, with the
/// pages around it that the kernel maps along. Costs some tens of page faults, a microsecond each. Elsewhere than on
/// Linux a no-op.
pub fn unmap_code() {
    #[cfg(target_os = "linux")]
    code::unmap();
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "dl_iterate_phdr(3) and madvise(2) have no safe wrappers"
)]
mod code {
    use std::ffi::{c_int, c_void};

    use libc::{PF_W, PT_LOAD, dl_phdr_info};
    use rustix::mm::{Advice, madvise};
    use rustix::param::page_size;

    /// Every segment of every loaded object that nothing can have written to.
    pub(super) fn unmap() {
        // SAFETY: the callback matches the declared type and does not unwind.
        unsafe { libc::dl_iterate_phdr(Some(unmap_object), std::ptr::null_mut()) };
    }

    unsafe extern "C" fn unmap_object(
        object: *mut dl_phdr_info,
        _size: usize,
        _data: *mut c_void,
    ) -> c_int {
        // SAFETY: dl_iterate_phdr(3) passes a valid object, whose headers stay while it is loaded.
        let (base, headers) = unsafe {
            let object = &*object;
            let count = usize::from(object.dlpi_phnum);
            (
                object.dlpi_addr,
                std::slice::from_raw_parts(object.dlpi_phdr, count),
            )
        };
        for header in headers {
            let is_constant = header.p_type == PT_LOAD && header.p_flags & PF_W == 0;
            let (Ok(start), Ok(length)) = (
                usize::try_from(base + header.p_vaddr),
                usize::try_from(header.p_memsz),
            ) else {
                continue;
            };
            if !is_constant {
                continue;
            }
            let first = start & !(page_size() - 1);
            // SAFETY: a private mapping of a file that is never written to: each page reads the same after it was taken
            // out. Its last page may also be the first of a writable segment in the file, and is another page here.
            let _ = unsafe {
                madvise(
                    std::ptr::with_exposed_provenance_mut(first),
                    start + length - first,
                    Advice::LinuxDontNeed,
                )
            };
        }
        0
    }
}

#[cfg(target_os = "linux")]
mod platform {
    /// The second field of `/proc/self/statm` (proc(5)), in pages.
    pub(super) fn resident_bytes() -> Option<u64> {
        let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
        let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
        pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
    }
}

#[cfg(target_os = "macos")]
mod platform {
    use crate::os::proc_info;

    pub(super) fn resident_bytes() -> Option<u64> {
        let info: libc::proc_taskinfo = proc_info::query(std::process::id(), 0).ok()?;
        Some(info.pti_resident_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_that_of_a_living_program() {
        let bytes = resident_bytes().unwrap();
        assert!((100_000..4_000_000_000).contains(&bytes), "{bytes}");
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn freed_memory_is_returned() {
        // Many small blocks with one kept above them: free(3) alone returns none of it.
        let blocks: Vec<Box<[u8; 1024]>> = (0..32 * 1024).map(|_| Box::new([1; 1024])).collect();
        let top = Box::new([1_u8; 1024]);
        drop(blocks);
        let freed = resident_bytes().unwrap();
        trim_heap();
        let trimmed = resident_bytes().unwrap();
        assert!(trimmed + 16 * 1024 * 1024 < freed, "{freed} {trimmed}");
        drop(top);
    }
}
