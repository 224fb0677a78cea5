//! The socket from a manager, without the manager: `systemd-socket-activate(1)`, and a stand-in for launchd.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Place, Sleeper, executable, program, service, until};

/// `systemd-socket-activate` with these options, then `command`; the daemon would bind the place's socket `own`, if
/// it bound one.
fn activator(place: &Place, options: &[&str], command: &[&str]) -> Command {
    let mut activator = Command::new("systemd-socket-activate");
    let variable = |name: &str, path: &Path| format!("--setenv={name}={}", path.display());
    activator
        .args(options)
        .arg(variable("AGENT_CONSOLE_SOCKET", &place.path().join("own")))
        .arg(variable("HOME", &place.path().join("home")))
        .args(command)
        .stdin(Stdio::null());
    activator
}

/// Starts a process that is to end by itself; killed if the test gives up before.
fn spawn(mut command: Command) -> Sleeper {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("systemd-socket-activate(1), of the package systemd, is needed");
    Sleeper(child)
}

/// Waits for its end. It must have failed, with `message`, and have bound no socket.
#[track_caller]
fn assert_refused(place: &Place, mut daemon: Sleeper, message: &str) {
    until("the daemon to give up", || daemon.0.try_wait().unwrap());
    let output = daemon.output();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(output.stdout, b"");
    assert!(stderr.contains(message), "{message:?} not in: {stderr}");
    assert!(!place.path().join("own").exists(), "{stderr}");
}

#[test]
fn systemd_socket_activate_passes_the_socket() {
    let place = Place::new();
    let (socket, daemon) = (place.socket(), program().to_str().unwrap());
    let options = [
        "--listen",
        socket.to_str().unwrap(),
        "--fdname=agent-console",
    ];
    let mut daemon = place.start(activator(&place, &options, &[daemon, "daemon"]));
    let status = place.json(&["status", "--json"]);
    assert_eq!(status["origin"], "systemd");
    assert_eq!(status["socket"], socket.to_str().unwrap());
    assert_eq!(status["pid"], daemon.pid());
    assert_eq!(executable(daemon.pid()), service());

    assert!(place.run(&["stop"]).status.success());
    assert_eq!(daemon.wait(), Some(0));
    assert!(socket.exists(), "the socket is its manager's");
    assert!(!place.path().join("own").exists());
}

#[test]
fn what_systemd_passes_wrongly_is_fatal() {
    let program = program().to_str().unwrap();
    let daemon = [program, "daemon"];
    let in_a_shell = ["sh", "-c", "\"$0\" daemon; exit $?", program];
    let in_the_background = [program, "daemon", "--daemonize"];
    let ours = "--fdname=agent-console";
    let second = format!("--listen=@agent-console-test-{}", std::process::id());
    let two = ["--fdname=agent-console:agent-console", &second];
    let wrong: [(&[&str], &[&str], &str); 5] = [
        (&[ours], &in_a_shell, "LISTEN_PID is "),
        (&two, &daemon, "LISTEN_FDS is \"2\""),
        (&["--fdname=http"], &daemon, "LISTEN_FDNAMES is \"http\""),
        (
            &[ours, "--seqpacket"],
            &daemon,
            "not a valid unix stream socket",
        ),
        (&[ours], &in_the_background, "leave the flag out"),
    ];
    for (options, command, message) in wrong {
        let place = Place::new();
        let socket = place.socket();
        let listen = format!("--listen={}", socket.display());
        let options = [&[listen.as_str()], options].concat();
        let daemon = spawn(activator(&place, &options, command));
        until("the activator to be called", || {
            if options.contains(&"--seqpacket") {
                return call_seqpacket(&socket);
            }
            UnixStream::connect(&socket).is_ok().then_some(())
        });
        assert_refused(&place, daemon, message);
        assert!(socket.exists());
    }
}

fn call_seqpacket(socket: &Path) -> Option<()> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
    let caller = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    rustix::net::connect(&caller, &SocketAddrUnix::new(socket).unwrap()).ok()
}

#[test]
fn a_socket_without_a_file_mode_is_fatal() {
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .unwrap();
    let daemon = [program().to_str().unwrap(), "daemon"];

    let place = Place::new();
    let listen = format!("--listen={port}");
    let tcp = spawn(activator(
        &place,
        &[&listen, "--fdname=agent-console"],
        &daemon,
    ));
    until("the activator to be called", || {
        TcpStream::connect(port).ok()
    });
    assert_refused(&place, tcp, "not a valid unix stream socket");

    let place = Place::new();
    let name = format!("agent-console-test-pathless-{}", std::process::id());
    let listen = format!("--listen=@{name}");
    let r#abstract = spawn(activator(
        &place,
        &[&listen, "--fdname=agent-console"],
        &daemon,
    ));
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    until("the activator to be called", || {
        UnixStream::connect_addr(&address).ok()
    });
    assert_refused(&place, r#abstract, "has no path");
}

/// The program as a process that launchd may have started. Standard input is the socket that it passes.
fn job(place: &Place, sockets: Option<&str>, listener: &UnixListener) -> Command {
    let stand_in = program().with_file_name("examples/launchd-stand-in");
    assert!(
        stand_in.exists(),
        "{} is missing: run all of `cargo test`, or first `cargo build --example launchd-stand-in`",
        stand_in.display()
    );
    let mut command = Command::new(stand_in);
    command
        .arg("daemon")
        .env_clear()
        .env("HOME", place.path().join("home"))
        .env("AGENT_CONSOLE_SOCKET", place.path().join("own"))
        .env("XDG_RUNTIME_DIR", place.runtime_dir())
        .envs(sockets.map(|sockets| ("LAUNCHD_SOCKETS", sockets)))
        .stdin(OwnedFd::from(listener.try_clone().unwrap()));
    command
}

#[test]
fn launchd_passes_the_socket_and_keeps_it() {
    let place = Place::new();
    let listener = UnixListener::bind(place.socket()).unwrap();
    let ours = Some("agent-console=1");
    for _ in 0..2 {
        let mut daemon = place.start(job(&place, ours, &listener));
        let status = place.json(&["status", "--json"]);
        assert_eq!(status["origin"], "launchd");
        assert_eq!(status["socket"], place.socket().to_str().unwrap());
        assert_eq!(status["pid"], daemon.pid());
        assert!(place.run(&["stop"]).status.success());
        assert_eq!(daemon.wait(), Some(0));
        assert!(place.socket().exists(), "the socket is launchd's");
    }

    // Who connects between two daemons is served by the next.
    let mut early = place.connect();
    early.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\"}\n");
    let daemon = place.start(job(&place, ours, &listener));
    assert_eq!(early.next().unwrap()["result"]["pid"], daemon.pid());
    assert!(!place.path().join("own").exists());
}

#[test]
fn outside_launchd_the_daemon_binds_its_socket() {
    let place = Place::new();
    let unused = UnixListener::bind(place.path().join("unused")).unwrap();
    let mut command = job(&place, None, &unused);
    command.env("AGENT_CONSOLE_SOCKET", place.socket());
    let _daemon = place.start(command);
    assert_eq!(place.json(&["status", "--json"])["origin"], "self-bound");
}

#[test]
fn what_launchd_passes_wrongly_is_fatal() {
    let wrong = [
        ("Listeners=1", false, "no socket named \"agent-console\""),
        ("agent-console=1", true, "already taken"),
        ("agent-console=2", false, "passes 2 descriptors"),
        ("agent-console=0", false, "passes 0 descriptors"),
    ];
    for (sockets, taken, message) in wrong {
        let place = Place::new();
        let listener = UnixListener::bind(place.socket()).unwrap();
        let mut command = job(&place, Some(sockets), &listener);
        if taken {
            command.env("LAUNCHD_TAKEN", "1");
        }
        assert_refused(&place, spawn(command), message);
        assert!(place.socket().exists());
    }

    let place = Place::new();
    let listener = UnixListener::bind(place.socket()).unwrap();
    let mut command = job(&place, Some("agent-console=1"), &listener);
    command.arg("--daemonize");
    assert_refused(&place, spawn(command), "leave the flag out");

    let datagrams = UnixDatagram::bind(place.path().join("datagrams")).unwrap();
    let mut command = job(&place, Some("agent-console=1"), &listener);
    command.stdin(OwnedFd::from(datagrams));
    assert_refused(&place, spawn(command), "not a Unix stream socket");
}
