//! The listener in processes of their own, with the environment that a service manager makes.

use super::tests::{SOON, place};
use super::*;
use crate::daemon::listener::launchd::SOCKET_NAME;
use crate::daemon::listener::launchd::stand_in::{activate_socket, start_job};
use crate::reexec::{self, this_test};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

/// The part of the tests below that runs in a process of its own, in the environment that they made for it. It prints
/// what came of it.
fn activated(fallback: &str) {
    #[expect(
        clippy::disallowed_methods,
        reason = "set by the test that started this process"
    )]
    let read = |name| std::env::var_os(name);
    let job = read("LISTENER_TEST_LAUNCHD");
    if let Some(path) = &job {
        start_job(SOCKET_NAME, vec![UnixListener::bind(path).unwrap().into()]);
    }
    let activation = take_activation(Some(activate_socket));
    for variable in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
        assert_eq!(read(variable), None);
    }
    match activation.and_then(|activation| acquire(activation, Path::new(fallback))) {
        Ok(listener) => {
            let flags = rustix::io::fcntl_getfd(&listener).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
            let queued = listener.accept().unwrap();
            if let Some(connection) = &queued {
                (&mut &*connection).write_all(b"served").unwrap();
            }
            println!(
                "RESULT {} {} {}",
                listener.origin().as_str(),
                listener.path().display(),
                queued.is_some()
            );
        }
        Err(error) => println!("RESULT error: {error}"),
    }
}

/// Runs the second half of `test` with `socket` as its descriptor 3 and the variables that `environment` (of a shell)
/// sets.
fn activate(test: &str, socket: impl Into<OwnedFd>, environment: &str, fallback: &Path) -> String {
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!(
            "exec 3<&0 </dev/null; {environment} exec \"$0\" \"$@\""
        ))
        .arg(std::env::current_exe().unwrap())
        .stdin(Stdio::from(socket.into()));
    let output = reexec::second_half(&mut shell, test, fallback.to_str().unwrap()).output();
    result(&output.unwrap())
}

fn result(output: &std::process::Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let Some((_, result)) = text.split_once("RESULT ") else {
        panic!("{text}{}", String::from_utf8_lossy(&output.stderr));
    };
    assert!(output.status.success(), "{text}");
    result.lines().next().unwrap().to_owned()
}

#[test]
fn systemds_environment_is_obeyed() {
    if let Some(fallback) = reexec::argument() {
        return activated(&fallback);
    }
    let (directory, path) = place();
    let fallback = directory.path().join("fallback");
    let socket = UnixListener::bind(&path).unwrap();
    let this = this_test!();
    let run =
        |environment: &str| activate(this, socket.try_clone().unwrap(), environment, &fallback);

    let served = format!("systemd {} true", path.display());
    for names in [
        "LISTEN_FDNAMES=agent-console",
        "LISTEN_FDNAMES=agent-console.socket",
        "",
    ] {
        let mut client = peer::connect(&path, SOON).unwrap();
        assert_eq!(run(&format!("LISTEN_FDS=1 LISTEN_PID=$$ {names}")), served);
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "served");
    }
    for (environment, part) in [
        ("LISTEN_FDS=1", "LISTEN_PID is not set"),
        ("LISTEN_FDS=1 LISTEN_PID=1", "LISTEN_PID is \"1\""),
        ("LISTEN_FDS=2 LISTEN_PID=$$", "exactly one socket"),
        ("LISTEN_FDS=x LISTEN_PID=$$", "exactly one socket"),
        (
            "LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=http",
            "FileDescriptorName=",
        ),
    ] {
        let result = run(environment);
        assert!(
            result.starts_with("error: ") && result.contains(part),
            "{result}"
        );
        assert!(!fallback.exists());
    }
    assert!(path.exists());

    let bound = format!("self-bound {} false", fallback.display());
    assert_eq!(run("LISTEN_PID=1"), bound);

    // Not a socket: /dev/null; and a stream socket that is not bound.
    let null = fs::File::open("/dev/null").unwrap();
    let result = activate(this, null, "LISTEN_FDS=1 LISTEN_PID=$$", &fallback);
    assert!(result.contains("is not a socket"), "{result}");
    let stream = UnixStream::pair().unwrap().0;
    let result = activate(this, stream, "LISTEN_FDS=1 LISTEN_PID=$$", &fallback);
    assert!(result.contains("does not listen"), "{result}");
}

#[test]
fn launchds_socket_is_found_where_systemd_passes_none() {
    if let Some(fallback) = reexec::argument() {
        return activated(&fallback);
    }
    let (directory, path) = place();
    let fallback = directory.path().join("fallback");
    let null = || fs::File::open("/dev/null").unwrap();
    let job = format!("LISTENER_TEST_LAUNCHD='{}'", path.display());
    let result = activate(this_test!(), null(), &job, &fallback);
    assert_eq!(result, format!("launchd {} false", path.display()));
    assert!(path.exists());
    let result = activate(this_test!(), null(), "", &fallback);
    assert_eq!(result, format!("self-bound {} false", fallback.display()));
}

#[cfg(target_os = "linux")]
#[test]
fn systemd_socket_activate_starts_it() {
    if let Some(fallback) = reexec::argument() {
        return activated(&fallback);
    }
    let (directory, path) = place();
    let mut activator = Command::new("systemd-socket-activate");
    activator
        .arg("--listen")
        .arg(&path)
        .arg(format!("--setenv={}", reexec::ARGUMENT))
        .arg(std::env::current_exe().unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let fallback = directory.path().join("fallback");
    reexec::second_half(&mut activator, this_test!(), fallback.to_str().unwrap());
    let mut activator = activator
        .spawn()
        .expect("systemd-socket-activate(1) of the package systemd is needed");
    let now = crate::os::clock::monotonic;
    let deadline = now() + SOON;
    let mut client = loop {
        match peer::connect(&path, SOON) {
            Ok(client) => break client,
            Err(error) if now() > deadline => {
                let _ = activator.kill();
                panic!("{error}");
            }
            Err(_) => std::thread::yield_now(),
        }
    };
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert_eq!(text, "served");
    let output = activator.wait_with_output().unwrap();
    assert_eq!(result(&output), format!("systemd {} true", path.display()));
}
