//! Splits a process in two: one goes on as before, the other finishes work that must not delay it.
//!
//! Called by `statusline`, whose caller waits for the end of the process, or for a command that replaces it.

use std::io;

/// Which of the two processes this is.
#[derive(Debug)]
pub enum Side {
    /// The one that called [`split`]. The other is no child of it: no signal and no exit status will come.
    Original,
    /// The new one, with a copy of everything. Its standard output and error go nowhere, since a reader may wait for
    /// the ends of the original's.
    Background(Background),
}

/// The right to end the background process.
#[derive(Debug)]
pub struct Background(());

impl Background {
    /// Ends the process without flushing or dropping what it has copied.
    #[expect(
        unsafe_code,
        reason = "std::process::exit would flush the copies of buffers"
    )]
    pub fn end(self) -> ! {
        // SAFETY: _exit(2) takes any status.
        unsafe { libc::_exit(0) }
    }
}

/// Makes the background process. Call it in a process of one thread only: fork(2) copies no other, and what those hold
/// stays locked.
///
/// # Errors
///
/// The system makes no process; then there is only the original.
#[expect(unsafe_code, reason = "fork(2) has no safe wrapper")]
pub fn split() -> io::Result<Side> {
    // SAFETY: the process has one thread, as the documentation requires.
    let child = match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {
            // SAFETY: as above. The first child ends at once, so that the second has another parent.
            match unsafe { libc::fork() } {
                0 => {}
                // SAFETY: _exit(2) takes any status.
                failed => unsafe { libc::_exit(i32::from(failed == -1)) },
            }
            silence();
            return Ok(Side::Background(Background(())));
        }
        child => child,
    };
    let mut status = 0;
    // SAFETY: the pointer is to a local; the child is this process's.
    while unsafe { libc::waitpid(child, &raw mut status, 0) } == -1 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    if status == 0 {
        Ok(Side::Original)
    } else {
        Err(io::Error::other("no second process can be made"))
    }
}

/// Points standard output and error to `/dev/null`.
fn silence() {
    if let Ok(null) = std::fs::File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
}
