//! Clients, neighbours, files and environments that mean harm or are broken: after each, another client gets right
//! answers at once, and the daemon's descriptors and memory are as before. What a wrong line is answered is
//! `bad_input`'s; other users are `users`'.

mod clients;
#[cfg(target_os = "linux")]
mod environment;
mod files;
#[cfg(target_os = "linux")]
mod hook;
#[cfg(target_os = "linux")]
mod proc;

use crate::support::{Bystanders, Daemon, until};

/// How much more memory of its own the daemon may have after the harm, in KiB: what the allocator keeps.
const KEPT: u64 = 2048;

/// What the daemon uses.
struct Usage {
    descriptors: usize,
    memory: u64,
}

impl Usage {
    fn of(daemon: &Daemon) -> Self {
        Self {
            descriptors: daemon.descriptors(),
            memory: daemon.memory(),
        }
    }

    /// The daemon comes back to it, and serves.
    #[track_caller]
    fn is_restored(&self, daemon: &Daemon, bystanders: &mut Bystanders) {
        bystanders.are_served();
        self.is_left(daemon);
        bystanders.are_served();
    }

    /// The daemon comes back to it.
    #[track_caller]
    fn is_left(&self, daemon: &Daemon) {
        until("the descriptors to be closed", || {
            (daemon.descriptors() <= self.descriptors).then_some(())
        });
        // What was freed goes back to the system at the end of a turn of its loop.
        until("the memory to be returned", || {
            (daemon.memory().saturating_sub(self.memory) < KEPT).then_some(())
        });
    }
}
