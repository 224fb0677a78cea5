//! Sockets of this user, of others and of none.

use super::*;
use std::io::{Read, Write};
#[cfg(target_os = "linux")]
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use tempfile::TempDir;

const SOON: Duration = Duration::from_mins(1);

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    (directory, path)
}

/// A listener whose queue is full, and the connections that fill it.
#[cfg(target_os = "linux")]
fn full(path: &Path) -> (OwnedFd, Vec<UnixStream>) {
    let listener = platform::socket().unwrap();
    rustix::net::bind(&listener, &address(path).unwrap()).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = connect(path, Duration::ZERO) {
        queued.push(stream);
        assert!(queued.len() < 1000);
    }
    (listener, queued)
}

#[test]
fn a_listener_of_this_user_is_reached_and_speaks() {
    let (_directory, path) = place();
    let listener = UnixListener::bind(&path).unwrap();
    let mut client = connect(&path, SOON).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    assert_eq!(uid(&client).unwrap(), rustix::process::geteuid().as_raw());
    assert_eq!(uid(&server).unwrap(), rustix::process::geteuid().as_raw());

    client.write_all(b"x").unwrap();
    let mut byte = [0];
    server.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
    assert_eq!(client.read_timeout().unwrap(), Some(SOON));
    assert_eq!(client.write_timeout().unwrap(), Some(SOON));
    let flags = rustix::io::fcntl_getfd(&client).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn a_silent_daemon_costs_no_more_than_the_time_limit() {
    let (_directory, path) = place();
    let _listener = UnixListener::bind(&path).unwrap();
    let mut client = connect(&path, Duration::from_millis(30)).unwrap();
    let started = clock::monotonic();
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert!(started.elapsed() >= Duration::from_millis(25));
    assert!(started.elapsed() < SOON);
}

#[test]
fn no_listener_is_no_daemon() {
    let (_directory, path) = place();
    let error = connect(&path, SOON).unwrap_err();
    assert!(matches!(error, ConnectError::NoDaemon { .. }), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()));

    drop(UnixListener::bind(&path).unwrap());
    // A child that another test starts holds the listener until it has exec'd.
    let error = loop {
        if let Err(error) = connect(&path, SOON) {
            break error;
        }
    };
    assert!(matches!(error, ConnectError::NoDaemon { .. }), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_queue_is_busy_after_the_time_limit_and_not_later() {
    let (_directory, path) = place();
    let (_listener, _queued) = full(&path);
    for limit in [Duration::ZERO, Duration::from_millis(50)] {
        let started = clock::monotonic();
        let error = connect(&path, limit).unwrap_err();
        let took = started.elapsed();
        assert!(matches!(error, ConnectError::Busy { .. }), "{error}");
        assert!(took >= limit.mul_f32(0.8), "{took:?}");
        assert!(took < limit + SOON, "{took:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn room_in_the_queue_lets_a_waiting_client_in() {
    let (_directory, path) = place();
    let (listener, _queued) = full(&path);
    let waiting = std::thread::spawn({
        let path = path.clone();
        move || connect(&path, SOON).map(drop)
    });
    let _accepted = rustix::net::accept(&listener).unwrap();
    waiting.join().unwrap().unwrap();
}

#[test]
fn without_a_time_limit_to_spend_nothing_waits() {
    let (_directory, path) = place();
    let _listener = UnixListener::bind(&path).unwrap();
    let mut client = connect(&path, Duration::ZERO).unwrap();
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_path_too_long_is_reported() {
    let long = Path::new("/tmp").join("x".repeat(LONGEST_PATH));
    let error = connect(&long, SOON).unwrap_err().to_string();
    assert!(error.contains(&LONGEST_PATH.to_string()), "{error}");
    let fits = Path::new("/").join("x".repeat(LONGEST_PATH - 1));
    assert!(matches!(
        connect(&fits, SOON),
        Err(ConnectError::NoDaemon { .. })
    ));
}

#[test]
fn only_this_user_and_root_are_trusted() {
    let own = rustix::process::geteuid().as_raw();
    assert!(trusted(own));
    assert!(trusted(0));
    assert!(!trusted(own.wrapping_add(12_345)));
}

/// Another user, as far as the kernel is concerned: only this thread changes its user, and ends.
#[cfg(target_os = "linux")]
pub(crate) fn as_user<T: Send + 'static>(uid: u32, work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(move || {
        #[expect(unsafe_code, reason = "the C library would change every thread")]
        // SAFETY: three plain numbers; the kernel changes this thread's credentials only.
        let result = unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) };
        assert_eq!(result, 0);
        work()
    })
    .join()
    .unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_that_another_user_planted_is_refused() {
    assert!(
        rustix::process::geteuid().is_root(),
        "run the tests as root: only root can listen as another user"
    );
    let (directory, path) = place();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let listener = as_user(4711, {
        let path = path.clone();
        move || UnixListener::bind(path).unwrap()
    });
    let error = connect(&path, SOON).unwrap_err();
    assert!(
        matches!(error, ConnectError::Foreign { uid: 4711, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("4711"), "{error}");
    // It was not even connected to.
    listener.set_nonblocking(true).unwrap();
    let error = listener.accept().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);

    // A third user, who may not even open it, learns whose it is, too.
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let error = as_user(4712, move || connect(&path, SOON).unwrap_err());
    assert!(
        matches!(error, ConnectError::Foreign { uid: 4711, .. }),
        "{error}"
    );
}

/// As any user can do in `/tmp`: its owner is named at once, though its queue is full.
#[cfg(target_os = "linux")]
#[test]
fn a_foreign_socket_costs_no_wait() {
    let (_directory, path) = place();
    let (_listener, _queued) = full(&path);
    std::os::unix::fs::lchown(&path, Some(4712), None).unwrap();
    let began = clock::monotonic();
    let error = connect(&path, SOON).unwrap_err();
    assert!(
        matches!(error, ConnectError::Foreign { uid: 4712, .. }),
        "{error}"
    );
    assert!(began.elapsed() < SOON / 2);
}

/// With `fs.protected_symlinks=0` the kernel follows it in `/tmp`, too; in a directory like this one always.
#[cfg(target_os = "linux")]
#[test]
fn a_foreign_link_is_not_followed() {
    let (directory, path) = place();
    let own = directory.path().join("own");
    let listener = UnixListener::bind(&own).unwrap();
    std::os::unix::fs::symlink(&own, &path).unwrap();
    connect(&path, SOON).unwrap();
    listener.accept().unwrap();

    std::os::unix::fs::lchown(&path, Some(4712), None).unwrap();
    let error = connect(&path, SOON).unwrap_err();
    assert!(
        matches!(error, ConnectError::Foreign { uid: 4712, .. }),
        "{error}"
    );
    listener.set_nonblocking(true).unwrap();
    let error = listener.accept().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);

    // An own link to a foreign socket is no better.
    std::os::unix::fs::lchown(&path, Some(0), None).unwrap();
    std::os::unix::fs::lchown(&own, Some(4712), None).unwrap();
    let error = connect(&path, SOON).unwrap_err();
    assert!(
        matches!(error, ConnectError::Foreign { uid: 4712, .. }),
        "{error}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_of_roots_is_called_that() {
    let (directory, path) = place();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let _listener = UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let error = as_user(4712, move || connect(&path, SOON).unwrap_err());
    assert!(matches!(error, ConnectError::Roots { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("belongs to root"), "{said}");
}
