//! The hook's promise to the agent: it is never waited for longer than 100 ms.
//!
//! An interval timer costs nothing until it rings. When it does, the process splits: the one that the agent started
//! ends, and its copy carries on for a while wherever it was, with nothing of the agent's but what is still to be read.
//! So neither a busy machine nor a daemon that restarts costs an event, which is not lost but late; and the daemon
//! orders events by the time stamped at the start. Called by the parent module only.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The agent's process ends after this. The promise is 100 ms; the rest is for exec and exit.
const FIRST_MS: u16 = 90;

/// Its copy ends after this, wherever it is then. Long enough for a daemon to be started anew.
const LAST_MS: u16 = 2000;

/// The longest that anything is worth waiting for.
pub(super) const LAST: Duration = Duration::from_millis(LAST_MS as u64);

/// Whether this is the copy.
static SPLIT: AtomicBool = AtomicBool::new(false);

/// Ends the process with success, at once.
#[expect(
    unsafe_code,
    reason = "no safe wrapper says that it may be called in a handler"
)]
pub(super) fn leave() {
    // SAFETY: _exit(2) is async-signal-safe and takes any status.
    unsafe { libc::_exit(0) }
}

/// From now on the process ends in time, whatever it waits for then, and in silence even where it would panic.
#[expect(unsafe_code, reason = "signals have no safe wrapper")]
pub(super) fn limit() {
    std::panic::set_hook(Box::new(|_| leave()));
    // SAFETY: all-zero bytes are a valid value of both types; the pointers are to locals that outlive each call, and
    // null where the call allows it; `time_is_up` has a handler's signature and does only what a handler may.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = time_is_up as *const () as libc::sighandler_t;
        libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut());

        // A mask is inherited: an alarm that is blocked would never come. Reading a terminal from the background would
        // stop the process, and with it the alarm; with the signal blocked it is an error instead (setpgid(2)).
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut mask);
        libc::sigaddset(&raw mut mask, libc::SIGTTIN);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut());
    }
    ring_after(FIRST_MS);
}

#[expect(unsafe_code, reason = "timers have no safe wrapper")]
fn ring_after(milliseconds: u16) {
    // SAFETY: all-zero bytes are a valid value; the pointer is to a local that outlives the call, the other may be null.
    unsafe {
        let mut timer: libc::itimerval = std::mem::zeroed();
        timer.it_value.tv_sec = libc::time_t::from(milliseconds / 1000);
        timer.it_value.tv_usec = libc::suseconds_t::from(milliseconds % 1000) * 1000;
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
    }
}

/// The alarm. Runs between any two instructions of the rest.
extern "C" fn time_is_up(_: libc::c_int) {
    if SPLIT.swap(true, Ordering::Relaxed) || !split() {
        leave();
    }
}

/// Makes a copy of the process that goes on where this one was interrupted. True in the copy, false in the original and
/// where none can be made.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "processes are not copied by the standard library"
)]
fn split() -> bool {
    // SAFETY: the calls are async-signal-safe (signal-safety(7); a process of one thread need not fear fork(2), which
    // only takes locks where there are more). `errno` is this thread's and is left as the interrupted call set it.
    unsafe {
        let errno = *libc::__errno_location();
        if libc::fork() != 0 {
            return false;
        }
        // The agent may wait for the ends of these.
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        libc::dup2(null, 1);
        libc::dup2(null, 2);
        // A copy has no timer.
        ring_after(LAST_MS);
        *libc::__errno_location() = errno;
    }
    true
}

/// Elsewhere fork(2) may take locks that the interrupted code holds.
#[cfg(not(target_os = "linux"))]
fn split() -> bool {
    false
}
