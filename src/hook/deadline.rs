//! The hook's time limits: the agent never waits longer than 100 ms.
//!
//! An interval timer costs nothing until it fires. When it does, the process forks: the one that the agent started
//! ends, and its copy continues where it was interrupted. So a busy machine, a slow writer or a restart of the daemon
//! makes an event late, and does not lose it; the daemon orders events by the time stamped at the start. Called by the
//! parent module only.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// The agent's process ends after this. The limit is 100 ms; the rest is for exec and exit.
const FIRST_MS: u32 = 90;

/// The copy ends when the input has paused for this long before the event is whole. An agent that dies closes its end, so only a writer that lives
/// and keeps the pipe open without writing reaches this limit.
const INPUT_MS: u32 = 600_000;

/// The copy ends when the input has paused for this long after the report: an agent may keep the pipe open for good, and a
/// process would stay for each event. What may still come is a line's end.
const REST_MS: u32 = 5000;

/// The copy ends after this once it has something to send. Long enough for a daemon to restart.
const SEND_MS: u32 = 2000;

/// The longest wait for the daemon.
pub(super) const SEND: Duration = Duration::from_millis(SEND_MS as u64);

/// Whether this is the copy.
static IS_COPY: AtomicBool = AtomicBool::new(false);

/// How long the copy may take for what it does now, in ms.
static COPY_LIMIT_MS: AtomicU32 = AtomicU32::new(INPUT_MS);

/// Ends the process with success, at once.
#[expect(
    unsafe_code,
    reason = "no safe wrapper says that it may be called in a handler"
)]
pub(super) fn exit_now() {
    // SAFETY: _exit(2) is async-signal-safe and takes any status.
    unsafe { libc::_exit(0) }
}

/// From now on the process ends in time, whatever it waits for then, and prints nothing even where it panics.
#[expect(unsafe_code, reason = "signals have no safe wrapper")]
pub(super) fn arm() {
    std::panic::set_hook(Box::new(|_| exit_now()));
    // SAFETY: all-zero bytes are a valid value of both types; the pointers are to locals that outlive each call, and
    // null where the call allows it; `on_alarm` has a handler's signature and does only what a handler may.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_alarm as *const () as libc::sighandler_t;
        libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut());

        // A mask is inherited: an alarm that is blocked would never come. Reading a terminal from the background would
        // stop the process, and with it the alarm; with the signal blocked it is an error instead (setpgid(2)).
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut mask);
        libc::sigaddset(&raw mut mask, libc::SIGTTIN);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut());
    }
    set_timer(FIRST_MS);
}

/// From now on what follows the event is read. The agent's own process keeps its timer.
pub(super) fn begin_rest() {
    set_copy_limit(REST_MS);
}

/// Bytes have been read: the pause begins anew.
pub(super) fn input_moves() {
    if IS_COPY.load(Ordering::Relaxed) {
        set_timer(COPY_LIMIT_MS.load(Ordering::Relaxed));
    }
}

/// From now on the report is sent.
pub(super) fn begin_send() {
    set_copy_limit(SEND_MS);
}

fn set_copy_limit(milliseconds: u32) {
    COPY_LIMIT_MS.store(milliseconds, Ordering::Relaxed);
    if IS_COPY.load(Ordering::Relaxed) {
        set_timer(milliseconds);
    }
}

#[expect(unsafe_code, reason = "timers have no safe wrapper")]
fn set_timer(milliseconds: u32) {
    // SAFETY: all-zero bytes are a valid value; the pointer is to a local that outlives the call, the other may be null.
    unsafe {
        let mut timer: libc::itimerval = std::mem::zeroed();
        timer.it_value.tv_sec = (milliseconds / 1000).into();
        let rest = u16::try_from(milliseconds % 1000).unwrap_or(0);
        timer.it_value.tv_usec = libc::suseconds_t::from(rest) * 1000;
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
    }
}

/// Ends the process that the agent started, at once; a copy continues where this is called, to send for at most
/// [`SEND`]. Returns in the copy only, or, where none can be made, not at all.
pub(super) fn continue_in_copy() {
    set_timer(0);
    // The alarm may have come before that.
    if !IS_COPY.swap(true, Ordering::Relaxed) && !fork_to_background() {
        exit_now();
    }
    set_timer(SEND_MS);
}

/// The timer's signal handler. Runs between any two instructions of the rest.
extern "C" fn on_alarm(_: libc::c_int) {
    if IS_COPY.swap(true, Ordering::Relaxed) || !fork_in_handler() {
        exit_now();
    }
    // A copy has no timer.
    set_timer(COPY_LIMIT_MS.load(Ordering::Relaxed));
}

/// [`fork_to_background`], which the handler may call: `errno` stays as the interrupted call set it.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "`errno` has no safe wrapper that sets it")]
fn fork_in_handler() -> bool {
    // SAFETY: the pointer is to this thread's `errno`, as long as the thread lives.
    unsafe {
        let errno = *libc::__errno_location();
        let is_copy = fork_to_background();
        *libc::__errno_location() = errno;
        is_copy
    }
}

/// Elsewhere fork(2) may take locks that the interrupted code holds.
#[cfg(not(target_os = "linux"))]
fn fork_in_handler() -> bool {
    false
}

/// Makes a copy of the process that continues where this one was interrupted. True in the copy, false in the original
/// and where none can be made.
#[expect(
    unsafe_code,
    reason = "processes are not copied by the standard library"
)]
fn fork_to_background() -> bool {
    // SAFETY: the calls are async-signal-safe (signal-safety(7); on Linux a process of one thread need not fear fork(2),
    // which only takes locks where there are more).
    unsafe {
        if libc::fork() != 0 {
            return false;
        }
        // The agent may wait for the ends of these.
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        libc::dup2(null, 1);
        libc::dup2(null, 2);
    }
    true
}
