//! Several users on one machine: each is served by a daemon of their own alone.
//!
//! Needs root, to be two others.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

/// As in a container that has a user's socket mounted: to remove it would cut off the user's agents.
#[test]
fn root_is_pointed_to_the_daemons_user() {
    let place = common_place();
    let _daemon = place.start(as_user(&place, OWNER, &["daemon"]));
    for arguments in [&["list"][..], &["doctor"]] {
        let output = as_user(&place, 0, arguments).output().unwrap();
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

    until("the other user's end", || planted.0.try_wait().unwrap());
    reexec::assert_passed(&planted.output());
}

/// Listens where the daemon's socket would be, open to everybody, and makes sure that the one caller says nothing.
fn plant(path: &Path) {
    let beside: PathBuf = path.with_extension("planted");
    let listener = UnixListener::bind(&beside).unwrap();
    fs::set_permissions(&beside, Permissions::from_mode(0o666)).unwrap();
    fs::rename(&beside, path).unwrap();
    let (mut caller, _) = listener.accept().unwrap();
    caller.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut said = Vec::new();
    caller.read_to_end(&mut said).unwrap();
    assert_eq!(said, b"");
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
