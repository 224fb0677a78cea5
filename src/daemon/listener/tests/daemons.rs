//! Several daemons at one path: one of them serves, and the others leave.

use std::fs;
use std::os::unix::net::UnixListener;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
#[cfg(target_os = "linux")]
use std::time::Duration;

use super::super::{Activation, Kept, ListenerError, acquire_within};
use super::{SOON, bind, lock_of, names, place, stale, until_refused};
use crate::os::peer;

#[test]
fn a_live_daemon_is_refused_with_and_without_our_lock() {
    let (_directory, path) = place();
    let first = bind(&path).unwrap();
    let error = bind(&path).unwrap_err();
    assert!(matches!(error, ListenerError::Locked { .. }), "{error}");
    // Still reachable, and still the first one's. (The other one looked whether it is.)
    peer::connect(&path, SOON).unwrap();
    assert!(first.accept().unwrap().is_some());
    assert!(first.accept().unwrap().is_some());
    drop(first);

    let manager = UnixListener::bind(&path).unwrap();
    let error = bind(&path).unwrap_err();
    assert!(matches!(error, ListenerError::Live { .. }), "{error}");
    assert!(!lock_of(&path).exists());
    drop(manager);
    until_refused(&path);
    bind(&path).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_daemon_whose_queue_is_full_is_live() {
    let (_directory, path) = place();
    let manager = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&manager, 0).unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = peer::connect(&path, Duration::ZERO) {
        queued.push(stream);
    }
    let error = bind(&path).unwrap_err();
    assert!(matches!(error, ListenerError::Live { .. }), "{error}");
}

#[test]
fn of_daemons_that_start_at_once_exactly_one_wins() {
    const DAEMONS: usize = 4;
    for left_behind in (0..50).map(|turn| turn % 2 == 0) {
        let (directory, path) = place();
        if left_behind {
            stale(&path);
        }
        let (start, end) = (Barrier::new(DAEMONS), Barrier::new(DAEMONS));
        let winners = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..DAEMONS {
                scope.spawn(|| {
                    start.wait();
                    let listener = bind(&path);
                    if let Err(error) = &listener {
                        // Before or after the winner listens.
                        let is_held = matches!(
                            error,
                            ListenerError::Locked { .. } | ListenerError::Unreachable { .. }
                        );
                        assert!(is_held, "{error}");
                    } else {
                        winners.fetch_add(1, Ordering::Relaxed);
                    }
                    end.wait();
                    if let Ok(listener) = listener {
                        peer::connect(&path, SOON).unwrap();
                        assert!(listener.accept().unwrap().is_some());
                    }
                });
            }
        });
        assert_eq!(winners.into_inner(), 1);
        assert_eq!(names(&directory), [""; 0]);
    }
}

#[test]
fn daemons_that_come_and_go_never_serve_at_the_same_time() {
    let (directory, path) = place();
    let serving = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..300 {
                    if let Ok(listener) = bind(&path) {
                        assert_eq!(serving.fetch_add(1, Ordering::SeqCst), 0);
                        assert!(path.exists());
                        serving.fetch_sub(1, Ordering::SeqCst);
                        drop(listener);
                    }
                }
            });
        }
    });
    assert_eq!(names(&directory), [""; 0]);
}

#[test]
fn of_two_daemons_with_a_lock_each_the_unreachable_one_learns_of_the_other() {
    let (_directory, path) = place();
    let mut first = bind(&path).unwrap();
    for file in [&path, &lock_of(&path)] {
        fs::remove_file(file).unwrap();
    }
    let mut second = bind(&path).unwrap();
    let error = first.keep().unwrap_err();
    assert!(matches!(error, ListenerError::Locked { .. }), "{error}");
    drop(first);
    assert_eq!(second.keep().unwrap(), Kept::Unchanged);
    peer::connect(&path, SOON).unwrap();
    drop(second);

    // Its socket is at the path, the lock is another's: that one finds it, and leaves.
    let mut first = bind(&path).unwrap();
    fs::remove_file(lock_of(&path)).unwrap();
    let other = fs::File::create(lock_of(&path)).unwrap();
    other.try_lock().unwrap();
    assert_eq!(first.keep().unwrap(), Kept::Unlocked);
    drop(other);
    assert_eq!(first.keep().unwrap(), Kept::Unchanged);
    let error = bind(&path).unwrap_err();
    assert!(matches!(error, ListenerError::Locked { .. }), "{error}");
}

#[test]
fn the_lock_of_a_daemon_that_is_leaving_is_waited_for() {
    let (_directory, path) = place();
    let first = bind(&path).unwrap();
    let lock = fs::File::open(lock_of(&path)).unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    lock.set_modified(long_ago).unwrap();
    std::thread::scope(|scope| {
        let next = scope.spawn(|| acquire_within(Activation::None, &path, SOON));
        // It asks the first one to make sure that it can be reached.
        while lock.metadata().unwrap().modified().unwrap() == long_ago && !next.is_finished() {
            std::thread::yield_now();
        }
        assert!(!next.is_finished());
        drop(first);
        next.join().unwrap().unwrap();
    });
}
