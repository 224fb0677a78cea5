//! The local time of a moment, by the system's time zone (`TZ`, else `/etc/localtime`).

/// The parts of a local time that a calendar rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocalTime {
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 23.
    pub hour: u8,
    /// Of the month, 1 to 31.
    pub day: u8,
    /// 1 to 12.
    pub month: u8,
    /// 0 to 6, from Sunday.
    pub weekday: u8,
    /// Of the calendar.
    pub year: i32,
}

/// The local time at `seconds` since the epoch; `None` for a year that the system cannot name.
#[must_use]
pub(crate) fn local_time(seconds: u64) -> Option<LocalTime> {
    let seconds = libc::time_t::try_from(seconds).ok()?;
    let mut parts = std::mem::MaybeUninit::<libc::tm>::uninit();
    #[expect(unsafe_code, reason = "localtime_r(3) has no safe wrapper")]
    // SAFETY: both pointers are valid for the call, and where the function returns no null it has written `parts`. The
    // environment, which it may read, is changed only before other threads exist.
    let parts = unsafe {
        if libc::localtime_r(&raw const seconds, parts.as_mut_ptr()).is_null() {
            return None;
        }
        parts.assume_init()
    };
    let part = |value: libc::c_int| u8::try_from(value).ok();
    Some(LocalTime {
        minute: part(parts.tm_min)?,
        hour: part(parts.tm_hour)?,
        day: part(parts.tm_mday)?,
        month: part(parts.tm_mon + 1)?,
        weekday: part(parts.tm_wday)?,
        year: parts.tm_year + 1900,
    })
}
