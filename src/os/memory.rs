//! This process's memory: how much is resident, and returning what was freed.
//!
//! Called by the daemon, which is meant to stay small for weeks.

/// The resident memory of this process, in bytes; `None` where the system does not say.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    platform::resident_bytes()
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
