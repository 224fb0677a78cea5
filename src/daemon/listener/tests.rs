//! The listener on real sockets and files.

use super::*;
use crate::os::peer::ConnectError;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
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

#[test]
fn a_relative_path_is_made_absolute() {
    let (_directory, path) = place();
    let depth = std::env::current_dir().unwrap().components().count() - 1;
    let relative = Path::new(&"../".repeat(depth)).join(path.strip_prefix("/").unwrap());
    assert!(relative.is_relative());
    let listener = bind(&relative).unwrap();
    assert!(listener.path().is_absolute());
    assert!(path.exists());
}

#[test]
fn a_socket_left_behind_is_replaced() {
    let (_directory, path) = place();
    stale(&path);
    fs::write(lock_of(&path), "").unwrap();
    fs::set_permissions(lock_of(&path), PermissionsExt::from_mode(0o644)).unwrap();
    let listener = bind(&path).unwrap();
    assert_eq!(fs::metadata(lock_of(&path)).unwrap().mode() & 0o777, 0o600);
    peer::connect(&path, SOON).unwrap();
    assert!(listener.accept().unwrap().is_some());
}

#[test]
fn what_is_not_a_socket_is_left_alone() {
    let (directory, path) = place();
    let target = directory.path().join("target");
    stale(&target);
    let refused = |found: &str| {
        let before = fs::symlink_metadata(&path).unwrap().ino();
        let error = bind(&path).unwrap_err();
        assert!(matches!(error, ListenerError::NotASocket { .. }), "{error}");
        assert!(error.to_string().contains(found), "{error}");
        assert_eq!(fs::symlink_metadata(&path).unwrap().ino(), before);
        assert!(!lock_of(&path).exists());
    };
    fs::write(&path, "precious").unwrap();
    refused("a regular file");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused("a directory");
    fs::remove_dir(&path).unwrap();
    symlink(&target, &path).unwrap();
    refused("a symbolic link");
}

#[test]
fn a_socket_of_another_kind_is_left_alone() {
    let (_directory, path) = place();
    let _datagrams = UnixDatagram::bind(&path).unwrap();
    let error = bind(&path).unwrap_err();
    assert!(matches!(error, ListenerError::System { .. }), "{error}");
    assert!(path.exists());
}

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
fn a_lock_file_that_is_none_is_refused() {
    let (directory, path) = place();
    let lock = lock_of(&path);
    let refused = || {
        let error = bind(&path).unwrap_err().to_string();
        assert!(error.contains("socket.lock"), "{error}");
        assert!(!path.exists());
        fs::symlink_metadata(&lock).unwrap();
        error
    };
    fs::create_dir(&lock).unwrap();
    assert!(refused().contains("a directory"));
    fs::remove_dir(&lock).unwrap();

    let target = directory.path().join("target");
    symlink(&target, &lock).unwrap();
    assert!(refused().contains("a symbolic link"));
    assert!(!target.exists());
    fs::remove_file(&lock).unwrap();

    assert!(
        Command::new("mkfifo")
            .arg(&lock)
            .status()
            .unwrap()
            .success()
    );
    assert!(refused().contains("a named pipe"));
}

#[test]
fn a_missing_directory_or_too_long_a_path_is_reported() {
    let (directory, _) = place();
    let error = bind(&directory.path().join("no/socket")).unwrap_err();
    assert!(error.to_string().contains("no/socket"), "{error}");
    let error = bind(&directory.path().join("x".repeat(200))).unwrap_err();
    assert!(error.to_string().contains("bytes long"), "{error}");
    assert_eq!(names(&directory), [""; 0]);
}

#[cfg(target_os = "linux")]
#[test]
fn files_of_another_user_are_left_alone() {
    assert!(
        rustix::process::geteuid().is_root(),
        "run the tests as root: only root can make files of another user"
    );
    let (directory, path) = place();
    let refused = |file: &Path| {
        std::os::unix::fs::lchown(file, Some(4711), None).unwrap();
        let error = bind(&path).unwrap_err();
        assert!(
            matches!(&error, ListenerError::Foreign { uid: 4711, path } if path == file),
            "{error}"
        );
        assert!(file.exists());
        fs::remove_file(file).unwrap();
    };
    stale(&path);
    refused(&path);
    fs::write(lock_of(&path), "").unwrap();
    refused(&lock_of(&path));
    // As in /tmp, where the kernel does not even let root open it.
    fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o1777)).unwrap();
    fs::write(lock_of(&path), "").unwrap();
    refused(&lock_of(&path));
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

#[test]
fn a_managers_socket_is_served_and_never_removed() {
    let (directory, path) = place();
    let fallback = directory.path().join("fallback");
    for origin in [Origin::Systemd, Origin::Launchd] {
        let socket = OwnedFd::from(UnixListener::bind(&path).unwrap());
        let activation = match origin {
            Origin::Systemd => Activation::Systemd(socket),
            _ => Activation::Launchd(socket),
        };
        let mut listener = acquire(activation, &fallback).unwrap();
        assert_eq!(listener.origin(), origin);
        assert_eq!(listener.path(), path);
        assert!(listener.accept().unwrap().is_none());
        let before = listener.as_raw_fd();
        listener.retire();
        peer::connect(&path, SOON).unwrap();
        assert!(listener.accept().unwrap().is_some());
        listener.resume().unwrap();
        assert_eq!(listener.as_raw_fd(), before);
        drop(listener);
        assert_eq!(names(&directory), ["socket"]);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn what_a_manager_passes_wrongly_is_an_error() {
    let (directory, path) = place();
    let connected = UnixStream::pair().unwrap().0;
    let file = fs::File::create(directory.path().join("file")).unwrap();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let datagrams = UnixDatagram::bind(directory.path().join("datagrams")).unwrap();
    let cases: [(OwnedFd, &str); 4] = [
        (file.into(), "is not a socket"),
        (tcp.into(), "not a Unix stream socket"),
        (datagrams.into(), "not a Unix stream socket"),
        (
            connected.into(),
            if cfg!(target_os = "macos") {
                "no path"
            } else {
                "does not listen"
            },
        ),
    ];
    for (socket, problem) in cases {
        let error = acquire(Activation::Launchd(socket), &path)
            .unwrap_err()
            .to_string();
        assert!(error.contains(problem), "{error}");
        assert!(error.contains("launchd"), "{error}");
        assert!(!path.exists());
    }
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("agent-console-test-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
        let socket = UnixListener::bind_addr(&address).unwrap();
        let error = acquire(Activation::Systemd(socket.into()), &path).unwrap_err();
        assert!(error.to_string().contains("no path"), "{error}");
    }
}
