//! Several users on one machine: each is served by a daemon of their own alone.
//!
//! Needs root, to be two others.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::reexec::{self, this_test};
use crate::support::{PATIENCE, Place, Sleeper, copy, program, until};

const OWNER: u32 = 4711;
const OTHER: u32 = 4712;

/// A place that both users reach, as in `/tmp`, with the programs in it: a checkout may be readable by root alone.
fn common_place() -> Place {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test runs programs as other users: run it as root"
    );
    let place = Place::new();
    fs::set_permissions(place.path(), Permissions::from_mode(0o1777)).unwrap();
    chown(place.path().join("home"), Some(OWNER), Some(OWNER)).unwrap();
    copy(program(), &place.path().join("agent-console"));
    place
}

/// The place's program as a user without any privilege.
fn as_user(place: &Place, uid: u32, arguments: &[&str]) -> Command {
    become_user(place, uid, "agent-console", arguments)
}

fn become_user(place: &Place, uid: u32, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(place.path().join(program));
    command
        .args(arguments)
        .env_clear()
        .env("HOME", place.path().join("home"))
        .env("AGENT_CONSOLE_SOCKET", place.socket())
        .current_dir("/")
        .uid(uid)
        .gid(uid);
    command
}

/// The second half of `test` as a user without any privilege.
fn again_as(place: &Place, uid: u32, test: &str) -> Command {
    copy(
        &std::env::current_exe().unwrap(),
        &place.path().join("again"),
    );
    let mut command = become_user(place, uid, "again", &[]);
    reexec::second_half(&mut command, test, place.socket().to_str().unwrap());
    command
}

#[test]
fn the_file_mode_keeps_other_users_out() {
    let place = common_place();
    let mut daemon = place.start(as_user(&place, OWNER, &["daemon"]));
    let metadata = fs::symlink_metadata(place.socket()).unwrap();
    assert_eq!(
        (metadata.mode() & 0o7777, metadata.uid()),
        (0o600, OWNER),
        "the socket's mode and owner"
    );

    let own = as_user(&place, OWNER, &["list"]).output().unwrap();
    assert!(own.status.success(), "{own:?}");
    let other = as_user(&place, OTHER, &["list"]).output().unwrap();
    assert_eq!(other.status.code(), Some(1), "{other:?}");
    let said = String::from_utf8_lossy(&other.stderr);
    assert!(said.contains("belongs to user 4711"), "{said}");

    let stopped = as_user(&place, OWNER, &["stop"]).output().unwrap();
    assert!(stopped.status.success(), "{stopped:?}");
    assert_eq!(daemon.wait(), Some(0));
    assert!(!place.socket().exists());
}

/// A hook of root's in a container that has a user's socket mounted, and a command under `sudo`.
#[test]
fn root_uses_a_users_daemon_whose_socket_was_named() {
    let place = common_place();
    let _daemon = place.start(as_user(&place, OWNER, &["daemon"]));
    let list = as_user(&place, 0, &["list", "--json"]).output().unwrap();
    assert_eq!(list.stdout, b"[]\n", "{list:?}");
    let socket = place.socket();
    let flag = ["--socket", socket.to_str().unwrap(), "list", "--json"];
    let mut flag = as_user(&place, 0, &flag);
    let list = flag.env_remove("AGENT_CONSOLE_SOCKET").output().unwrap();
    assert_eq!(list.stdout, b"[]\n", "{list:?}");

    let script = r#"echo '{"session_id":"inside","hook_event_name":"UserPromptSubmit","prompt":"x"}' |
        CLAUDE_PID=1 "$0" hook claude-code"#;
    let mut container = Command::new("unshare");
    container
        .args(["--pid", "--fork", "--kill-child", "--mount-proc", "--"])
        .args(["sh", "-c", script])
        .arg(place.path().join("agent-console"))
        .env("HOME", "/root")
        .env("AGENT_CONSOLE_SOCKET", place.socket());
    let hook = container.output().unwrap();
    assert!(hook.status.success() && hook.stderr.is_empty(), "{hook:?}");
    until("the hook's report", || {
        let list = as_user(&place, OWNER, &["list"]).output().unwrap();
        let text = String::from_utf8(list.stdout).unwrap();
        text.contains("claude-code-1-").then_some(())
    });
    let doctor = as_user(&place, 0, &["doctor"]).output().unwrap();
    let said = String::from_utf8(doctor.stdout).unwrap();
    assert!(said.contains("user 4711's, 0600"), "{said}");
}

/// Any user can take a path that root did not name to the process. To remove what is there would cut off that user's agents.
#[test]
fn root_is_pointed_to_the_daemons_user() {
    let place = common_place();
    let _daemon = place.start(as_user(&place, OWNER, &["daemon"]));
    place.configure(&format!("socket = \"{}\"\n", place.socket().display()));
    for arguments in [&["list"][..], &["doctor"]] {
        let mut command = as_user(&place, 0, arguments);
        let output = command.env_remove("AGENT_CONSOLE_SOCKET").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(
            said.contains("as that user") && said.contains("--user 4711"),
            "{said}"
        );
        assert!(!said.contains("rm ") && !said.contains("remove"), "{said}");
    }
}

/// The processes of a user that run a program of the place's.
fn processes_of(place: &Place, uid: u32) -> usize {
    let program = place.path().join("agent-console");
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .filter(|process| process.metadata().is_ok_and(|found| found.uid() == uid))
        .filter(|process| fs::read_link(process.path().join("exe")).is_ok_and(|exe| exe == program))
        .count()
}

fn hook_of(place: &Place, uid: u32) {
    let mut hook = as_user(place, uid, &["hook", "claude-code"]);
    let hook = hook.env("CLAUDE_PID", std::process::id().to_string());
    let mut hook = hook.stdin(Stdio::piped()).spawn().unwrap();
    let event =
        b"{\"session_id\":\"x\",\"hook_event_name\":\"UserPromptSubmit\",\"prompt\":\"secret\"}";
    // It may end without reading.
    let _ = hook.stdin.take().unwrap().write_all(event);
    assert!(hook.wait().unwrap().success());
}

/// Another user can have a socket at the path whose queue is full: a connect would wait.
#[test]
fn a_path_that_another_user_has_taken_costs_no_wait() {
    let place = common_place();
    let planted = UnixListener::bind(place.socket()).unwrap();
    rustix::net::listen(&planted, 0).unwrap();
    fs::set_permissions(place.socket(), Permissions::from_mode(0o777)).unwrap();
    chown(place.socket(), Some(OTHER), Some(OTHER)).unwrap();
    let mut queued = Vec::new();
    for _ in 0..2 {
        let socket = rustix::net::socket(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::STREAM,
            None,
        );
        let socket = socket.unwrap();
        rustix::io::ioctl_fionbio(&socket, true).unwrap();
        let address = rustix::net::SocketAddrUnix::new(place.socket()).unwrap();
        let _ = rustix::net::connect(&socket, &address);
        queued.push(socket);
    }
    for _ in 0..5 {
        hook_of(&place, OWNER);
        assert_eq!(
            processes_of(&place, OWNER),
            0,
            "a copy waits for the socket"
        );
    }
    let began = Instant::now();
    let list = as_user(&place, OWNER, &["list"]).output().unwrap();
    let said = String::from_utf8_lossy(&list.stderr);
    assert!(said.contains("belongs to user 4712"), "{said}");
    // A connect would have waited for ten seconds.
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

/// The kernel follows it where `fs.protected_symlinks` is 0, and in directories without the sticky bit.
#[test]
fn a_link_of_another_user_is_not_followed() {
    let place = common_place();
    fs::set_permissions(place.path(), Permissions::from_mode(0o777)).unwrap();
    let own = place.path().join("own");
    let listener = UnixListener::bind(&own).unwrap();
    chown(&own, Some(OWNER), Some(OWNER)).unwrap();
    symlink(&own, place.socket()).unwrap();
    lchown(place.socket(), Some(OTHER), Some(OTHER)).unwrap();
    hook_of(&place, OWNER);
    let list = as_user(&place, OWNER, &["list"]).output().unwrap();
    let said = String::from_utf8_lossy(&list.stderr);
    assert!(said.contains("belongs to user 4712"), "{said}");
    let daemon = as_user(&place, OWNER, &["daemon"]).output().unwrap();
    assert_eq!(daemon.status.code(), Some(1), "{daemon:?}");
    listener.set_nonblocking(true).unwrap();
    let error = listener.accept().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

/// One `touch` of another user's keeps a daemon that has no service manager from its path: `install` chooses another.
#[test]
fn a_lock_file_of_another_user_leads_to_another_path() {
    let place = common_place();
    let lock = place.path().join("socket.lock");
    fs::write(&lock, "").unwrap();
    chown(&lock, Some(OTHER), Some(OTHER)).unwrap();
    let daemon = as_user(&place, OWNER, &["daemon"]).output().unwrap();
    assert_eq!(daemon.status.code(), Some(1), "{daemon:?}");
    let said = String::from_utf8_lossy(&daemon.stderr);
    assert!(
        said.contains("socket.lock belongs to user 4712")
            && said.contains("`agent-console install`"),
        "{said}"
    );
    let socket = place.socket();
    let install = ["--socket", socket.to_str().unwrap(), "install", "--dry-run"];
    let install = as_user(&place, OWNER, &install).output().unwrap();
    let said = String::from_utf8_lossy(&install.stderr);
    assert!(
        said.contains("socket.lock belongs to user 4712") && said.contains("choose another path"),
        "{install:?}"
    );
}

/// Root's daemon at a path that the user also uses.
#[test]
fn a_socket_of_roots_is_called_that() {
    let place = common_place();
    let _daemon = place.daemon();
    let list = as_user(&place, OWNER, &["list"]).output().unwrap();
    assert_eq!(list.status.code(), Some(1), "{list:?}");
    let said = String::from_utf8_lossy(&list.stderr);
    assert!(
        said.contains("belongs to root") && said.contains("choose another path"),
        "{said}"
    );
    let doctor = as_user(&place, OWNER, &["doctor"]).output().unwrap();
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(said.contains("belongs to root"), "{said}");
}

#[test]
fn another_user_whom_the_mode_lets_in_is_dropped_unread() {
    if let Some(socket) = reexec::argument() {
        let mut visitor = UnixStream::connect(socket).unwrap();
        visitor.set_read_timeout(Some(PATIENCE)).unwrap();
        // Whichever of the two finds out that the daemon has closed.
        let _ = visitor.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"daemon.stop\"}\n");
        let mut answer = Vec::new();
        match visitor.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
        assert_eq!(answer, b"");
        return;
    }
    let place = common_place();
    let mut daemon = place.start(as_user(&place, OWNER, &["daemon"]));
    fs::set_permissions(place.socket(), Permissions::from_mode(0o666)).unwrap();
    reexec::assert_passed(&again_as(&place, OTHER, this_test!()).output().unwrap());

    assert!(daemon.runs());
    until("the warning", || {
        let log = daemon.log();
        let warned = log.contains("refused connections of another user") && log.contains("4712");
        warned.then_some(())
    });
    let own = as_user(&place, OWNER, &["list"]).output().unwrap();
    assert!(own.status.success(), "{own:?}");
}

#[test]
fn a_client_sends_nothing_to_a_socket_that_another_user_planted() {
    if let Some(socket) = reexec::argument() {
        return plant(Path::new(&socket));
    }
    let place = common_place();
    let planted = again_as(&place, OTHER, this_test!())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut planted = Sleeper(planted.unwrap());
    until("the socket to be planted", || {
        assert_eq!(planted.0.try_wait().unwrap(), None);
        place.socket().exists().then_some(())
    });

    let list = as_user(&place, OWNER, &["list"]).output().unwrap();
    assert_eq!(list.status.code(), Some(1), "{list:?}");
    let said = String::from_utf8_lossy(&list.stderr);
    assert!(said.contains("belongs to user 4712"), "{said}");
    let daemon = as_user(&place, OWNER, &["daemon"]).output().unwrap();
    assert_eq!(daemon.status.code(), Some(1), "{daemon:?}");
    let said = String::from_utf8_lossy(&daemon.stderr);
    assert!(said.contains("belongs to user 4712"), "{said}");

    fs::write(place.socket().with_extension("done"), "").unwrap();
    until("the other user's end", || planted.0.try_wait().unwrap());
    reexec::assert_passed(&planted.output());
}

/// Listens where the daemon's socket would be, open to everybody, until a file says that the callers are done; none of
/// them has connected.
fn plant(path: &Path) {
    let beside: PathBuf = path.with_extension("planted");
    let listener = UnixListener::bind(&beside).unwrap();
    fs::set_permissions(&beside, Permissions::from_mode(0o666)).unwrap();
    fs::rename(&beside, path).unwrap();
    until("the callers", || {
        path.with_extension("done").exists().then_some(())
    });
    listener.set_nonblocking(true).unwrap();
    let error = listener.accept().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

/// As in a container that has the socket mounted: neither end sees the other's process.
#[test]
fn the_same_user_in_another_pid_namespace_is_served() {
    let place = Place::new();
    let elsewhere = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command
            .args(["--pid", "--fork", "--kill-child", "--mount-proc", "--"])
            .arg(program())
            .args(arguments)
            .env("HOME", place.path())
            .env("AGENT_CONSOLE_SOCKET", place.socket());
        command
    };
    let mut daemon = place.daemon();
    let inside = elsewhere(&["report", "inside", "working"])
        .output()
        .unwrap();
    assert!(inside.status.success(), "{inside:?}");
    assert_eq!(place.json(&["list", "--json"])[0]["key"], "inside");
    place.ok(&["stop"]);
    assert_eq!(daemon.wait(), Some(0));

    let mut daemon = place.start(elsewhere(&["daemon"]));
    assert_eq!(place.json(&["list", "--json"]), serde_json::json!([]));
    place.ok(&["stop"]);
    assert_eq!(daemon.wait(), Some(0));
}
