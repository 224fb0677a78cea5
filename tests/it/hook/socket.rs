//! Which socket the hook connects to, and what it does where no daemon of this user listens.

use std::fs;
#[cfg(target_os = "linux")]
use std::io::Read;
#[cfg(target_os = "linux")]
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
#[cfg(target_os = "linux")]
use std::thread;

use serde_json::json;

use super::{StandIn, hook, run, run_soon};
use crate::support::hook_program;

#[test]
fn the_socket_comes_from_the_environment_or_the_file() {
    let daemon = StandIn::new();
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join(".config/agent-console");
    fs::create_dir_all(&directory).unwrap();
    let settings = format!(
        "socket = {:?}\nidle_timeout = \"wrong\"\n",
        daemon.socket().to_str().unwrap()
    );
    fs::write(directory.join("config.toml"), settings).unwrap();
    let bare = |variable: Option<&Path>| {
        let mut command = Command::new(hook_program());
        command.arg("hook").env_clear().env("HOME", home.path());
        command.env("CLAUDECODE", "1");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(path) = variable {
            command.env("AGENT_CONSOLE_SOCKET", path);
        }
        command
    };
    run(bare(None), b"{}");
    assert_eq!(daemon.report()["event"], json!({}));
    let other = StandIn::new();
    run(bare(Some(&other.socket())), b"{}");
    assert_eq!(other.report()["event"], json!({}));
}

#[test]
fn without_a_daemon_nothing_happens() {
    let directory = tempfile::tempdir().unwrap();
    let payload = br#"{"hook_event_name":"Stop"}"#;
    let path = |name| directory.path().join(name);
    let nothing_happens = |socket: &Path| run_soon(|| hook(&[], socket), payload);
    nothing_happens(&path("none"));

    drop(UnixListener::bind(path("stale")).unwrap());
    nothing_happens(&path("stale"));

    fs::write(path("file"), "").unwrap();
    nothing_happens(&path("file"));
    nothing_happens(&path("file/below"));
    nothing_happens(directory.path());
    nothing_happens(&path(&"long".repeat(1000)));
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_that_another_user_planted_gets_nothing() {
    assert!(
        rustix::process::geteuid().is_root(),
        "run the tests as root: only root can listen as another user"
    );
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let path = directory.path().join("s");
    let planted = thread::spawn({
        let path = path.clone();
        move || {
            #[expect(unsafe_code, reason = "the C library would change every thread")]
            // SAFETY: three plain numbers; the kernel changes this thread's credentials only.
            let result = unsafe { libc::syscall(libc::SYS_setresuid, 4711, 4711, 4711) };
            assert_eq!(result, 0);
            UnixListener::bind(path).unwrap()
        }
    });
    let listener = planted.join().unwrap();
    // The configuration names it: to name it to the hook itself is to trust its owner.
    let config = directory.path().join(".config/agent-console/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(config, format!("socket = {path:?}\n")).unwrap();
    let unnamed = || {
        let mut command = Command::new(hook_program());
        command
            .arg("hook")
            .env_clear()
            .env("HOME", directory.path());
        command.env("CLAUDECODE", "1").stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    run_soon(unnamed, br#"{"hook_event_name":"Stop"}"#);
    listener.set_nonblocking(true).unwrap();
    if let Ok((mut client, _)) = listener.accept() {
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
}
