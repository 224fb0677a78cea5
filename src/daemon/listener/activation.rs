//! What the service manager passed: systemd's environment, or launchd's answer.
//!
//! systemd's protocol (`sd_listen_fds(3)`): `LISTEN_FDS` descriptors from number 3 on, meant for the process
//! `LISTEN_PID`, with the names in `LISTEN_FDNAMES`, separated by colons. The `listenfd` crate takes the descriptors;
//! it ignores the names and a missing `LISTEN_PID`, so both are checked first. All the variables are removed: a child of
//! the daemon must not take them for its own.

use super::{ListenerError, Origin};
use crate::daemon::listener::launchd::{self, ActivateSocket};
use listenfd::ListenFd;
use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The names that our socket may have: what packaging gives it, what systemd gives a socket unit of our name without
/// `FileDescriptorName=` (systemd.socket(5)), and what stands for "no name" (`sd_listen_fds_with_names(3)`).
const NAMES: [&str; 4] = ["agent-console", "agent-console.socket", "unknown", ""];

/// `LISTEN_PIDFDID` is systemd's since version 258; `LISTEN_FDS_FIRST_FD` is an addition that `listenfd` reads.
const VARIABLES: [&str; 5] = [
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
    "LISTEN_FDS_FIRST_FD",
];

/// The socket that a service manager passed. The descriptor is closed on exec; [`acquire`](super::acquire) checks the rest.
#[derive(Debug)]
pub enum Activation {
    /// No manager passed one: the daemon binds a socket itself.
    None,
    /// A descriptor of systemd's.
    Systemd(OwnedFd),
    /// A descriptor of launchd's.
    Launchd(OwnedFd),
}

/// Takes the socket that systemd or launchd passed, if any; `launchd` is [`launchd::SYSTEM`] outside of tests.
///
/// Call it once, before the process has a second thread and before it forks (`LISTEN_PID` names the process that the
/// manager started): it removes variables from the environment.
///
/// # Errors
///
/// [`ListenerError::Environment`], [`ListenerError::Descriptor`] and [`ListenerError::Launchd`] for something passed
/// that is not one socket for this very process.
pub fn take_activation(launchd: Option<ActivateSocket>) -> Result<Activation, ListenerError> {
    let from_systemd = from_environment();
    clear_environment();
    if let Some(socket) = from_systemd? {
        return Ok(Activation::Systemd(socket));
    }
    let Some(activate_socket) = launchd else {
        return Ok(Activation::None);
    };
    Ok(launchd::activate(launchd::SOCKET_NAME, activate_socket)?
        .map_or(Activation::None, Activation::Launchd))
}

fn from_environment() -> Result<Option<OwnedFd>, ListenerError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "systemd speaks through the environment"
    )]
    let read = |name| std::env::var_os(name);
    let Some(fds) = read("LISTEN_FDS") else {
        return Ok(None);
    };
    validate_env(
        &fds,
        read("LISTEN_PID").as_deref(),
        read("LISTEN_FDNAMES").as_deref(),
        std::process::id(),
    )?;
    let listener = ListenFd::from_env()
        .take_unix_listener(0)
        .map_err(|error| ListenerError::Descriptor {
            origin: Origin::Systemd,
            problem: format!("can't be served: {error}"),
        })?;
    Ok(listener.map(OwnedFd::from))
}

#[expect(
    unsafe_code,
    reason = "changing the environment races with other threads"
)]
fn clear_environment() {
    for variable in VARIABLES {
        // SAFETY: `take_activation` is called before the process has a second thread.
        unsafe { std::env::remove_var(variable) };
    }
}

/// Whether the variables announce exactly one socket, of our name, for the process `own_pid`.
fn validate_env(
    fds: &OsStr,
    pid: Option<&OsStr>,
    names: Option<&OsStr>,
    own_pid: u32,
) -> Result<(), ListenerError> {
    let wrong = |variable, value: Option<&OsStr>, expected: String| {
        let value = value.map(|value| value.to_string_lossy().into_owned());
        Err(ListenerError::Environment {
            variable,
            value,
            expected,
        })
    };
    let number = |value: &OsStr| value.to_str().and_then(|text| text.parse::<u32>().ok());

    if pid.and_then(number) != Some(own_pid) {
        let expected = format!(
            "but this process is {own_pid}: the sockets were meant for another, so start the daemon as the \
             service's own process"
        );
        return wrong("LISTEN_PID", pid, expected);
    }
    if number(fds) != Some(1) {
        let expected =
            "but the daemon serves exactly one socket: leave one ListenStream= in its socket unit";
        return wrong("LISTEN_FDS", Some(fds), expected.to_owned());
    }
    if let Some(names) = names
        && !NAMES.iter().any(|name| names == *name)
    {
        let expected = "but the daemon's socket is called agent-console: set FileDescriptorName=agent-console in its socket unit";
        return wrong("LISTEN_FDNAMES", Some(names), expected.to_owned());
    }
    Ok(())
}

/// Checks that a passed descriptor is a listening Unix stream socket with a path, makes it non-blocking, and returns the
/// path.
pub(super) fn validate_socket(socket: &OwnedFd, origin: Origin) -> Result<PathBuf, ListenerError> {
    let wrong = |problem: &str| ListenerError::Descriptor {
        origin,
        problem: problem.to_owned(),
    };
    let refused = |errno: rustix::io::Errno| wrong(&format!("can't be examined: {errno}"));

    let kind = sockopt::socket_type(socket).map_err(|_| wrong("is not a socket"))?;
    let address = rustix::net::getsockname(socket).map_err(refused)?;
    if address.address_family() != AddressFamily::UNIX || kind != SocketType::STREAM {
        return Err(wrong(
            "is not a Unix stream socket (ListenStream= with a path)",
        ));
    }
    // macOS has the option's name, but does not answer it; launchd listens on all that it passes.
    #[cfg(not(target_os = "macos"))]
    if !sockopt::socket_acceptconn(socket).map_err(refused)? {
        return Err(wrong(
            "does not listen (a socket unit needs Accept=no, which is its default)",
        ));
    }
    let address = SocketAddrUnix::try_from(address).map_err(refused)?;
    let path = address
        .path_bytes()
        .filter(|path| !path.is_empty())
        .ok_or_else(|| wrong("has no path in the file system, so its mode protects nothing"))?;
    let path = PathBuf::from(OsString::from_vec(path.to_vec()));
    rustix::io::ioctl_fionbio(socket, true).map_err(refused)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validated(fds: &str, pid: Option<&str>, names: Option<&str>) -> Result<(), String> {
        validate_env(
            OsStr::new(fds),
            pid.map(OsStr::new),
            names.map(OsStr::new),
            7,
        )
        .map_err(|error| error.to_string())
    }

    #[test]
    fn one_socket_of_our_name_for_this_process_is_right() {
        for names in [
            Some("agent-console"),
            Some("agent-console.socket"),
            Some("unknown"),
            Some(""),
            None,
        ] {
            validated("1", Some("7"), names).unwrap();
        }
    }

    #[test]
    fn sockets_of_another_process_are_refused() {
        for pid in [None, Some(""), Some("8"), Some("seven"), Some("-7")] {
            let error = validated("1", pid, None).unwrap_err();
            let shown = pid.map_or("not set".to_owned(), |pid| format!("{pid:?}"));
            assert!(
                error.starts_with(&format!("LISTEN_PID is {shown}, ")),
                "{error}"
            );
            assert!(error.contains("this process is 7"), "{error}");
        }
    }

    #[test]
    fn any_number_of_sockets_but_one_is_refused() {
        for fds in ["0", "2", "-1", "", "one", "1 ", "99999999999"] {
            let error = validated(fds, Some("7"), None).unwrap_err();
            assert!(
                error.starts_with(&format!("LISTEN_FDS is {fds:?}, ")),
                "{error}"
            );
        }
    }

    #[test]
    fn another_name_is_refused() {
        for names in ["http", "agent-console:agent-console", "connection", ":"] {
            let error = validated("1", Some("7"), Some(names)).unwrap_err();
            assert!(
                error.starts_with(&format!("LISTEN_FDNAMES is {names:?}, ")),
                "{error}"
            );
            assert!(error.contains("FileDescriptorName="), "{error}");
        }
    }
}
