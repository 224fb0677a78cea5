//! Descriptors that connections and watched processes leave free: for what the daemon opens for a moment, such as the
//! state of a process that a client names. Without one, it would take that process for one that does not exist. Called by
//! the loop and the exit watcher.

use std::os::fd::AsRawFd;

use rustix::process::{Resource, getrlimit};

/// How many are left free.
const KEPT: u64 = 4;

/// True if `descriptor` is one of the last that the process may have: the system gives out the lowest number that is free.
pub(super) fn is_last(descriptor: &impl AsRawFd) -> bool {
    let number = u64::try_from(descriptor.as_raw_fd()).unwrap_or(0);
    let limit = getrlimit(Resource::Nofile).current;
    limit.is_some_and(|limit| number + KEPT >= limit)
}
