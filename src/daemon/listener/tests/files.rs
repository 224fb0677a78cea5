//! What lies at the paths of a socket and of its lock before they are bound: a dead socket is replaced, and anything else
//! is left alone.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use super::super::ListenerError;
use super::{SOON, bind, lock_of, names, place, stale};
use crate::os::peer;

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
