//! The listener on real sockets and files.

mod daemons;
mod files;
mod kept;
mod passed;

use super::*;
use crate::os::peer::ConnectError;
use std::fs;
use std::io::{Read, Write};
#[cfg(target_os = "linux")]
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use tempfile::TempDir;

pub(super) const SOON: Duration = Duration::from_mins(1);

pub(super) fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    (directory, path)
}

fn lock_of(path: &Path) -> PathBuf {
    path.with_file_name("socket.lock")
}

/// Without a wait for the lock.
fn bind(path: &Path) -> Result<Listener, ListenerError> {
    acquire_within(Activation::None, path, Duration::ZERO)
}

fn names(directory: &TempDir) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Makes a socket file whose listener is gone.
fn stale(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
    until_refused(path);
}

/// A child that another test starts holds a closed listener until it has exec'd.
fn until_refused(path: &Path) {
    while !matches!(
        peer::connect(path, Duration::ZERO),
        Err(ConnectError::NoDaemon { .. })
    ) {
        std::thread::yield_now();
    }
}

#[test]
fn binds_for_this_user_only_serves_and_cleans_up() {
    let (directory, path) = place();
    let listener = bind(&path).unwrap();
    assert_eq!(listener.origin().as_str(), "self-bound");
    assert_eq!(listener.path(), path);
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    for file in [&path, &lock_of(&path)] {
        assert_eq!(fs::metadata(file).unwrap().mode() & 0o7777, 0o600);
    }
    assert!(listener.accept().unwrap().is_none());

    let mut client = peer::connect(&path, SOON).unwrap();
    client.write_all(b"x").unwrap();
    let mut server = listener.accept().unwrap().unwrap();
    let mut byte = [0];
    server.read_exact(&mut byte).unwrap();
    assert_eq!(
        server.read(&mut byte).unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
    for fd in [server.as_fd(), listener.as_fd()] {
        let flags = rustix::io::fcntl_getfd(fd).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }

    drop(listener);
    assert_eq!(names(&directory), [""; 0]);
}

#[test]
fn many_can_queue_before_the_loop_runs() {
    let (_directory, path) = place();
    let listener = bind(&path).unwrap();
    // Few enough for a limit of 1024 descriptors, more than the backlog of the standard library's listener.
    let clients: Vec<_> = (0..200)
        .map(|_| peer::connect(&path, Duration::ZERO).unwrap())
        .collect();
    for _ in &clients {
        assert!(listener.accept().unwrap().is_some());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn connections_of_another_user_are_closed_unread() {
    assert!(
        rustix::process::geteuid().is_root(),
        "run the tests as root: only root can connect as another user"
    );
    let (directory, path) = place();
    let listener = bind(&path).unwrap();
    for (file, mode) in [(directory.path(), 0o755), (&path, 0o666)] {
        fs::set_permissions(file, PermissionsExt::from_mode(mode)).unwrap();
    }
    let intruders = peer::tests::as_user(4711, {
        let path = path.clone();
        move || [(); 3].map(|()| UnixStream::connect(&path).unwrap())
    });
    let _own = peer::connect(&path, SOON).unwrap();
    assert!(listener.accept().unwrap().is_some());
    assert!(listener.accept().unwrap().is_none());
    for mut intruder in intruders {
        assert_eq!(intruder.read(&mut [0]).unwrap(), 0);
    }
    // The first was logged at once, the others wait for the minute to pass.
    assert_eq!(listener.refused.unreported(), 2);
}
