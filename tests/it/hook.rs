//! The real `agent-console hook` against a socket that stands in for the daemon: what arrives there, and that nothing
//! that can go wrong ever affects the agent.

mod caller;
mod fields;
mod input;
#[cfg(target_os = "linux")]
mod nested;
#[cfg(target_os = "linux")]
mod restart;
mod socket;
mod time;

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agent_console::os::clock::monotonic;
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::support::{PATIENCE, hook_program, until};

/// The promise is 100 ms; a busy machine may take longer to start and reap a process at all. A hook that waited for a
/// daemon would take two seconds.
const SOON: Duration = Duration::from_secs(1);

/// A stand-in for the daemon.
struct StandIn {
    directory: TempDir,
    listener: UnixListener,
}

impl StandIn {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("s")).unwrap();
        Self {
            directory,
            listener,
        }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    /// All that the next client sends until it closes.
    fn next(&self) -> String {
        self.listener.set_nonblocking(true).unwrap();
        let (mut client, _) = until("the hook to connect", || self.listener.accept().ok());
        client.set_nonblocking(false).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        text
    }

    /// The parameters of the one report that the next client sends.
    fn report(&self) -> Map<String, Value> {
        let text = self.next();
        let line = text.strip_suffix('\n').unwrap();
        assert!(!line.contains('\n'), "{text}");
        let mut message: Map<String, Value> = serde_json::from_str(line).unwrap();
        assert_eq!(message["jsonrpc"], "2.0");
        assert_eq!(message["method"], "session.report");
        assert_eq!(message.len(), 3, "{text}");
        let params = message.remove("params").unwrap();
        serde_json::from_value(params).unwrap()
    }
}

/// The hook with an environment of nothing but a home directory without configuration.
fn hook(arguments: &[&str], socket: &Path) -> Command {
    let mut command = Command::new(hook_program());
    command.arg("hook").args(arguments);
    command.arg("--socket").arg(socket);
    command.env_clear().env("HOME", "/nonexistent");
    // As the agent marks what it starts; the caller is this process.
    command.env("CLAUDECODE", "1");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Waits for the hook: it must have succeeded, and said nothing.
fn finish(mut child: Child) {
    let status = until("the hook to end", || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
    let mut said = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut said).unwrap();
    }
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut said).unwrap();
    }
    assert_eq!(said, "");
}

/// Runs the hook with `input`, which it must take to the end.
fn run(mut command: Command, input: &[u8]) {
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    finish(child);
}

/// The same, and it ends soon: on a busy machine at one of several tries.
#[track_caller]
fn run_soon(command: impl Fn() -> Command, input: &[u8]) {
    until("a hook that ends in time", || {
        let start = monotonic();
        run(command(), input);
        (start.elapsed() < SOON).then_some(())
    });
}
