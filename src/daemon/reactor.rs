//! Descriptors in the event loop: the one place that registers any.
//!
//! For one direction only: a registration for both would wake the daemon each time that a client reads. Called by
//! the loop, the connections, the exit watcher and the children's pipes.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{ChildStdin, ChildStdout};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A type that owns its descriptor: open and the same for as long as the value lives.
pub(super) trait Owner: AsRawFd {}

impl Owner for OwnedFd {}
impl Owner for UnixStream {}
impl Owner for ChildStdin {}
impl Owner for ChildStdout {}

/// Registers `descriptor`, so that it can be waited for.
///
/// # Errors
///
/// The system has no room for it, or it is of a kind that can't be waited for.
pub(super) fn register<T: Owner>(descriptor: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    #[expect(
        unsafe_code,
        reason = "AsyncFd can't tell that a type owns its descriptor; Owner does"
    )]
    // SAFETY: an Owner keeps its descriptor open and the same until it is dropped, and the AsyncFd owns the Owner.
    let registered = unsafe { AsyncFd::register_with_interest(descriptor, interest) };
    registered.map_err(Into::into)
}
