//! The hook in broken surroundings: it exits with 0 and prints nothing, whatever they are, and the event arrives where
//! that is possible at all.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use crate::support::{Daemon, Place, program, until};

const EVENT: &str = r#"{"session_id":"s","hook_event_name":"UserPromptSubmit","prompt":"p"}"#;

/// How many events the daemon has received.
fn received(place: &Place) -> u64 {
    place.json(&["status", "--json"])["reports"]
        .as_u64()
        .unwrap()
}

/// The hook by way of a shell that first does `before`; standard input is the event.
fn shell(place: &Place, before: &str) -> Command {
    let event = place.path().join("event.json");
    fs::write(&event, EVENT).unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{before}\nexec \"$0\" hook claude-code")])
        .arg(program())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", place.path().join("home"))
        .env("AGENT_CONSOLE_SOCKET", place.socket())
        .env("CLAUDE_PID", std::process::id().to_string())
        .current_dir(place.path())
        .stdin(fs::File::open(event).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it: 0, and not a word.
#[track_caller]
fn is_silent(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    assert!(
        output.stdout.is_empty() && output.stderr.is_empty(),
        "{command:?}: {output:?}"
    );
}

#[track_caller]
fn arrives(place: &Place, command: Command) {
    let before = received(place);
    let what = format!("the event of {command:?}");
    is_silent(command);
    until(&what, || (received(place) > before).then_some(()));
}

fn with_daemon() -> (Place, Daemon) {
    let place = Place::new();
    let daemon = place.daemon();
    (place, daemon)
}

#[test]
fn limits_of_the_process_do_not_stop_it() {
    let (place, _daemon) = with_daemon();
    // No file may grow, few descriptors, a small stack, little memory, no core; signals that are ignored.
    for before in [
        "ulimit -f 0",
        "ulimit -n 4",
        "ulimit -s 256",
        "ulimit -v 100000",
        "ulimit -c 0",
        "trap '' ALRM PIPE TERM HUP",
        "umask 777",
    ] {
        arrives(&place, shell(&place, before));
    }
}

#[test]
fn a_broken_environment_does_not_stop_it() {
    let (place, _daemon) = with_daemon();
    let long = "y".repeat(100_000);
    let raw = OsStr::from_bytes(b"\xff\xfe\x1b[2J\n");
    for (name, value) in [
        ("TMUX", OsStr::new(&long)),
        ("TMUX", OsStr::new(",,")),
        ("TMUX", raw),
        ("TERM_PROGRAM", raw),
        ("CLAUDE_CONFIG_DIR", raw),
        ("CLAUDE_CONFIG_DIR", OsStr::new(&long)),
        ("STY", OsStr::new("")),
        ("HOME", OsStr::new("")),
        ("HOME", raw),
        ("XDG_CONFIG_HOME", OsStr::new("relative")),
        ("XDG_RUNTIME_DIR", OsStr::new("/nonexistent")),
        ("CLAUDE_PID", OsStr::new("4194303")),
        ("LD_LIBRARY_PATH", OsStr::new("/nonexistent")),
        ("RUST_BACKTRACE", OsStr::new("full")),
    ] {
        let mut command = shell(&place, "");
        command.env(name, value);
        arrives(&place, command);
    }
}

#[test]
fn where_it_cannot_report_it_is_silent() {
    let (place, _daemon) = with_daemon();
    let long = format!("/{}", "x".repeat(200));
    for (name, value) in [
        ("AGENT_CONSOLE_SOCKET", &*long),
        ("AGENT_CONSOLE_SOCKET", "relative/socket"),
        ("AGENT_CONSOLE_SOCKET", "/dev/null"),
        ("AGENT_CONSOLE_SOCKET", "/"),
        ("AGENT_CONSOLE_SOCKET", "/proc/self/mem"),
    ] {
        let mut command = shell(&place, "");
        command.env(name, value);
        is_silent(command);
    }
    for before in [
        // Standard descriptors that are closed, or lead nowhere.
        "exec <&-",
        "exec <&- >&- 2>&-",
        "exec </",
        "exec >/dev/full 2>&1",
        // No descriptor is left for a socket.
        "ulimit -n 3",
    ] {
        let output = shell(&place, before).output().unwrap();
        // Where the loader has no descriptor for a library, the program cannot start.
        let is_fine = output.status.success()
            || (before.contains("-n 3") && output.status.code() == Some(127));
        assert!(is_fine, "{before}: {output:?}");
        assert!(output.stdout.is_empty(), "{before}: {output:?}");
    }
}

#[test]
fn a_directory_that_is_gone_does_not_stop_it() {
    let (place, _daemon) = with_daemon();
    arrives(
        &place,
        shell(&place, "mkdir gone && cd gone && rmdir ../gone"),
    );
    let raw = place.path().join(OsStr::from_bytes(b"\xff\xfe"));
    fs::create_dir(&raw).unwrap();
    let mut command = shell(&place, "");
    command.current_dir(raw);
    arrives(&place, command);
}

#[test]
fn a_configuration_that_cannot_be_read_does_not_stop_it() {
    let (place, _daemon) = with_daemon();
    for make in [
        "mkfifo home/.config/agent-console/config.toml",
        "mkdir home/.config/agent-console/config.toml",
        "ln -s /dev/zero home/.config/agent-console/config.toml",
        "ln -s config.toml home/.config/agent-console/config.toml",
    ] {
        let before = format!("rm -rf home/.config/agent-console/config.toml; {make}");
        // By the variable.
        arrives(&place, shell(&place, &before));
        // Without it the file is read for the socket.
        let mut command = shell(&place, &before);
        command.env_remove("AGENT_CONSOLE_SOCKET");
        command.env("HOME", place.path().join("home"));
        is_silent(command);
    }
}
