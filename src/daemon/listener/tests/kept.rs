//! A socket of its own while the daemon runs: retired and resumed, kept at its path, bound again where it was removed.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;

use super::super::{Kept, Listener, ListenerError};
use super::{SOON, bind, lock_of, names, place, stale};
use crate::os::peer::{self, ConnectError};

#[test]
fn retired_it_serves_only_its_queue_until_it_resumes() {
    let (directory, path) = place();
    let mut listener = bind(&path).unwrap();
    let _queued = peer::connect(&path, SOON).unwrap();
    listener.retire();
    listener.retire();
    assert!(matches!(
        peer::connect(&path, SOON),
        Err(ConnectError::NoDaemon { .. })
    ));
    // The lock stays, so no other daemon takes the path meanwhile.
    assert!(matches!(
        bind(&path),
        Err(ListenerError::Unreachable { .. })
    ));
    assert!(listener.accept().unwrap().is_some());

    listener.resume().unwrap();
    let before = listener.as_raw_fd();
    listener.resume().unwrap();
    assert_eq!(listener.as_raw_fd(), before);
    let _new = peer::connect(&path, SOON).unwrap();
    assert!(listener.accept().unwrap().is_some());

    // A process that ignores the lock was faster.
    listener.retire();
    let _other = UnixListener::bind(&path).unwrap();
    assert!(matches!(listener.resume(), Err(ListenerError::Live { .. })));
    drop(listener);
    assert_eq!(names(&directory), ["socket"]);
}

#[test]
fn what_took_the_place_of_our_files_is_not_removed() {
    let (directory, path) = place();
    let listener = bind(&path).unwrap();
    for file in [&path, &lock_of(&path)] {
        fs::remove_file(file).unwrap();
        fs::write(file, "another's").unwrap();
    }
    drop(listener);
    assert_eq!(names(&directory), ["socket", "socket.lock"]);
}

#[test]
fn a_socket_that_was_removed_or_replaced_is_bound_again() {
    let (directory, path) = place();
    let mut listener = bind(&path).unwrap();
    assert_eq!(listener.keep().unwrap(), Kept::Unchanged);
    let serves = |listener: &Listener| {
        let _client = peer::connect(&path, SOON).unwrap();
        listener.accept().unwrap().is_some()
    };
    for removed in [&[&path][..], &[&path, &lock_of(&path)]] {
        for file in removed {
            fs::remove_file(file).unwrap();
        }
        assert_eq!(listener.keep().unwrap(), Kept::BoundAgain(()));
        assert!(serves(&listener));
        assert!(matches!(bind(&path), Err(ListenerError::Locked { .. })));
        assert!(listener.accept().unwrap().is_some());
    }
    // The lock file alone.
    fs::rename(lock_of(&path), directory.path().join("elsewhere")).unwrap();
    assert_eq!(listener.keep().unwrap(), Kept::Unchanged);
    assert_eq!(names(&directory), ["elsewhere", "socket", "socket.lock"]);
    let pid = fs::read_to_string(lock_of(&path)).unwrap();
    assert_eq!(pid, format!("{}\n", std::process::id()));
    fs::remove_file(directory.path().join("elsewhere")).unwrap();
    // A dead socket in its place.
    fs::remove_file(&path).unwrap();
    stale(&path);
    assert_eq!(listener.keep().unwrap(), Kept::BoundAgain(()));
    assert!(serves(&listener));

    // What is another's is left alone, and waited for.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "another's").unwrap();
    for _ in 0..2 {
        let error = listener.keep().unwrap_err();
        assert!(matches!(error, ListenerError::NotASocket { .. }), "{error}");
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(listener.keep().unwrap(), Kept::BoundAgain(()));
    listener.retire();
    assert_eq!(listener.keep().unwrap(), Kept::Unchanged);
    assert!(!path.exists());
    drop(listener);
    assert_eq!(names(&directory), [""; 0]);
}

#[test]
fn a_directory_that_is_made_again_is_bound_in_again() {
    let (directory, _) = place();
    let inner = directory.path().join("run");
    let path = inner.join("socket");
    fs::create_dir(&inner).unwrap();
    let mut listener = bind(&path).unwrap();
    fs::rename(&inner, directory.path().join("moved")).unwrap();
    assert!(matches!(listener.keep(), Err(ListenerError::System { .. })));
    fs::create_dir(&inner).unwrap();
    assert_eq!(listener.keep().unwrap(), Kept::BoundAgain(()));
    let _client = peer::connect(&path, SOON).unwrap();
    assert!(listener.accept().unwrap().is_some());
    drop(listener);
    assert!(!path.exists() && !lock_of(&path).exists());
}
