//! Which machine this is.

use std::sync::OnceLock;

/// The file of machine-id(5).
const FILE: &str = "/etc/machine-id";

/// What identifies this start of the machine: another one has another text. `None` where the system does not say.
#[must_use]
pub fn boot_id() -> Option<Box<str>> {
    platform::boot_id()
}

/// The machine's id, in lower case hexadecimal digits; `None` where it has none. It stays the same as long as the
/// process runs.
#[must_use]
pub fn id() -> Option<&'static str> {
    static ID: OnceLock<Option<Box<str>>> = OnceLock::new();
    let read = || {
        let text = std::fs::read_to_string(FILE).ok()?;
        let id = text.trim();
        (!id.is_empty()).then(|| id.into())
    };
    ID.get_or_init(read).as_deref()
}

/// The machine's name (uname(2)).
#[must_use]
pub fn host_name() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

#[cfg(target_os = "linux")]
mod platform {
    /// random(4)
    pub(super) fn boot_id() -> Option<Box<str>> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(text.trim().into())
    }
}

#[cfg(target_os = "macos")]
mod platform {
    /// `kern.bootsessionuuid` of sysctl(3)
    pub(super) fn boot_id() -> Option<Box<str>> {
        let mut text = [0_u8; 64];
        let mut length = text.len();
        #[expect(unsafe_code, reason = "sysctlbyname(3) has no safe wrapper")]
        // SAFETY: the name ends with NUL, `length` is the size of the buffer, and nothing is set.
        let outcome = unsafe {
            libc::sysctlbyname(
                c"kern.bootsessionuuid".as_ptr(),
                text.as_mut_ptr().cast(),
                &raw mut length,
                std::ptr::null_mut(),
                0,
            )
        };
        let text = text.get(..length).filter(|_| outcome == 0)?;
        let text = std::str::from_utf8(text).ok()?;
        Some(text.trim_end_matches('\0').into())
    }
}
