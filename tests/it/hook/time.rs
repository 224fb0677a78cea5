//! The agent waits for no daemon and no input longer than the hook's time limit.

#[cfg(target_os = "linux")]
use std::io::Read;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
#[cfg(target_os = "linux")]
use std::process::{self, Command, Stdio};
use std::thread;
#[cfg(target_os = "linux")]
use std::time::Duration;

#[cfg(target_os = "linux")]
use agent_console::os::clock::{monotonic, unix_ms};
use rustix::io::FdFlags;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket};
#[cfg(target_os = "linux")]
use serde_json::json;

#[cfg(target_os = "linux")]
use super::run;
use super::{StandIn, finish, hook, run_soon};
use crate::pseudo_terminal::PseudoTerminal;
#[cfg(target_os = "linux")]
use crate::support::{hook_program, until};

/// Fills the daemon's queue of connections with some that send nothing.
fn fill(daemon: &StandIn) -> Vec<OwnedFd> {
    rustix::net::listen(&daemon.listener, 0).unwrap();
    let address = SocketAddrUnix::new(daemon.socket()).unwrap();
    let mut queued = Vec::new();
    loop {
        let client = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        rustix::io::fcntl_setfd(&client, FdFlags::CLOEXEC).unwrap();
        // A full queue is an error where the client does not wait.
        rustix::io::ioctl_fionbio(&client, true).unwrap();
        if connect(&client, &address).is_err() {
            return queued;
        }
        queued.push(client);
        assert!(queued.len() < 100);
    }
}

#[test]
fn a_daemon_that_hangs_does_not_delay_the_agent() {
    // One that accepts nothing and whose queue is full.
    let daemon = StandIn::new();
    let _queued = fill(&daemon);
    run_soon(
        || hook(&[], &daemon.socket()),
        br#"{"hook_event_name":"Stop"}"#,
    );
}

#[test]
fn a_daemon_that_closes_the_connection_at_once_does_no_harm() {
    let StandIn {
        directory,
        listener,
    } = StandIn::new();
    let socket = directory.path().join("s");
    thread::spawn(move || listener.incoming().for_each(drop));
    for _ in 0..10 {
        run_soon(|| hook(&[], &socket), br#"{"hook_event_name":"Stop"}"#);
    }
}

/// The agent does not wait, and its event is not lost.
#[cfg(target_os = "linux")]
#[test]
fn an_event_that_takes_longer_comes_late() {
    /// After this the agent's process has ended, in ms.
    const LIMIT_MS: u64 = 90;
    let daemon = StandIn::new();
    let mut child = hook(&[], &daemon.socket()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(br#"{"hook_event_name":"#).unwrap();
    finish(child);
    let ended = unix_ms();
    input.write_all(br#""Stop"}"#).unwrap();
    drop(input);
    let report = daemon.report();
    assert_eq!(report["event"], json!({"hook_event_name": "Stop"}));
    assert_eq!(report["pid"], process::id());
    // Two clocks, and one of them in whole milliseconds.
    let began_before = ended.saturating_sub(report["at"].as_u64().unwrap());
    assert!(began_before >= LIMIT_MS - 5, "stamped at the start");
}

/// A daemon whose queue is full for a while, which may be too long where the machine is busy.
#[cfg(target_os = "linux")]
#[test]
fn an_event_waits_for_room_in_the_daemons_queue() {
    /// The hook tries for two seconds.
    const TRIED_FOR: Duration = Duration::from_secs(5);
    let arrived = until("a report", || {
        let daemon = StandIn::new();
        let queued = fill(&daemon);
        run(
            hook(&[], &daemon.socket()),
            br#"{"hook_event_name":"Stop"}"#,
        );
        for _ in &queued {
            drop(daemon.listener.accept().unwrap());
        }
        daemon.listener.set_nonblocking(true).unwrap();
        let start = monotonic();
        while start.elapsed() < TRIED_FOR {
            let Ok((mut client, _)) = daemon.listener.accept() else {
                thread::sleep(Duration::from_millis(2));
                continue;
            };
            client.set_nonblocking(false).unwrap();
            let mut text = String::new();
            client.read_to_string(&mut text).unwrap();
            return Some(text);
        }
        None
    });
    assert!(
        arrived.contains(r#""event":{"hook_event_name":"Stop"}"#),
        "{arrived}"
    );
}

#[test]
fn input_that_never_ends_is_left_in_time() {
    let daemon = StandIn::new();
    let mut child = hook(&[], &daemon.socket()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(br#"{"hook_event_name":"Stop"}"#).unwrap();
    finish(child);
    drop(input);

    // One that never pauses either.
    let mut child = hook(&[], &daemon.socket()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = thread::spawn(move || while input.write_all(&[b'['; 4096]).is_ok() {});
    finish(child);
    writer.join().unwrap();
}

#[test]
#[expect(unsafe_code, reason = "a signal mask is set between fork and exec")]
fn a_blocked_sigalrm_still_ends_the_hook() {
    let daemon = StandIn::new();
    let mut command = hook(&[], &daemon.socket());
    // SAFETY: the closure only calls functions that are async-signal-safe, on locals.
    unsafe {
        command.pre_exec(|| {
            let mut all: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            if libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut()) == 0 {
                Ok(())
            } else {
                Err(io::Error::last_os_error())
            }
        });
    }
    let mut child = command.spawn().unwrap();
    let input = child.stdin.take().unwrap();
    finish(child);
    drop(input);
}

#[test]
fn a_terminal_as_input_is_left_in_time() {
    let daemon = StandIn::new();
    let terminal = PseudoTerminal::open();
    let mut command = hook(&[], &daemon.socket());
    command.stdin(terminal.program_end());
    finish(command.spawn().unwrap());
}

/// Where reading the terminal would stop the process, and the alarm with it.
#[cfg(target_os = "linux")]
#[test]
#[expect(unsafe_code, reason = "a terminal is taken between fork and exec")]
fn the_background_of_a_terminal_is_left_in_time() {
    let daemon = StandIn::new();
    let terminal = PseudoTerminal::open();
    let script = r#""$0" hook --socket "$1" < "$2" & pid=$!; wait $pid"#;
    let mut shell = Command::new("sh");
    shell
        .args(["-m", "-c", script])
        .arg(hook_program())
        .arg(daemon.socket())
        .arg("/proc/self/fd/0")
        .env_clear()
        .env("HOME", "/nonexistent")
        .stdin(terminal.program_end())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    // SAFETY: setsid(2) and ioctl(2) are async-signal-safe, and take no pointers here.
    unsafe {
        shell.pre_exec(|| {
            libc::setsid();
            libc::ioctl(0, libc::TIOCSCTTY, 0);
            Ok(())
        });
    }
    finish(shell.spawn().unwrap());
}
