//! What the event loop waits for besides its channels: a connection, a moment, a tick. Each never resolves where there is
//! nothing to wait for.

use std::future::{pending, poll_fn};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::listener::Listener;
use super::reactor::register;

/// A duplicate of the descriptor: the listener may take a new socket when it resumes.
pub(super) fn listen(listener: &Listener) -> std::io::Result<AsyncFd<OwnedFd>> {
    register(listener.as_fd().try_clone_to_owned()?, Interest::READABLE)
}

/// Resolves when a connection may be waiting to be accepted.
pub(super) async fn acceptable(listening: Option<&AsyncFd<OwnedFd>>) {
    match listening {
        // An error of the reactor means that it is shutting down.
        Some(listening) => match listening.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            Err(_) => pending().await,
        },
        None => pending().await,
    }
}

pub(super) async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => pending().await,
    }
}

pub(super) async fn tick(interval: Option<&mut tokio::time::Interval>) {
    match interval {
        Some(interval) => drop(poll_fn(|context| interval.poll_tick(context)).await),
        None => pending().await,
    }
}
