//! A socket that a service manager passes.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use super::super::{Activation, Origin, acquire};
use super::{SOON, names, place};
use crate::os::peer;

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
