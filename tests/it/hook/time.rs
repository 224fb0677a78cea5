//! The agent waits for no daemon and no input longer than the hook's time limit.

#[cfg(target_os = "linux")]
use std::io::Read;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
#[cfg(target_os = "linux")]
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::Duration;

use agent_console::os::clock::monotonic;
#[cfg(target_os = "linux")]
use agent_console::os::clock::unix_ms;
#[cfg(target_os = "linux")]
use serde_json::json;

use super::{StandIn, finish, hook, run};
use crate::pseudo_terminal::PseudoTerminal;
#[cfg(target_os = "linux")]
use crate::support::{program, until};

/// Fills the daemon's queue of connections with some that send nothing; how many it took.
fn fill(daemon: &StandIn) -> usize {
    rustix::net::listen(&daemon.listener, 0).unwrap();
    let mut taken = 0;
    loop {
        let path = daemon.socket();
        let (sender, receiver) = std::sync::mpsc::channel();
        thread::spawn(move || sender.send(UnixStream::connect(path).map(drop)));
        if receiver.recv_timeout(Duration::from_millis(300)).is_err() {
            return taken;
        }
        taken += 1;
        assert!(taken < 100);
    }
}

#[test]
fn a_daemon_that_hangs_does_not_delay_the_agent() {
    // One that accepts nothing and whose queue is full.
    let daemon = StandIn::new();
    fill(&daemon);
    run(
        hook(&[], &daemon.socket()),
        br#"{"hook_event_name":"Stop"}"#,
    );
}

#[test]
fn a_daemon_that_closes_the_connection_at_once_does_no_harm() {
    let daemon = StandIn::new();
    let socket = daemon.socket();
    let closer = thread::spawn(move || {
        for _ in 0..10 {
            drop(daemon.listener.accept().unwrap());
        }
    });
    for _ in 0..10 {
        run(hook(&[], &socket), br#"{"hook_event_name":"Stop"}"#);
    }
    closer.join().unwrap();
}

/// The agent does not wait, and its event is not lost.
#[cfg(target_os = "linux")]
#[test]
fn an_event_that_takes_longer_comes_late() {
    let daemon = StandIn::new();
    let start = monotonic();
    let before = unix_ms();
    let mut child = hook(&[], &daemon.socket()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(br#"{"hook_event_name":"#).unwrap();
    finish(child, start);
    input.write_all(br#""Stop"}"#).unwrap();
    drop(input);
    let report = daemon.report();
    assert_eq!(report["event"], json!({"hook_event_name": "Stop"}));
    assert_eq!(report["pid"], process::id());
    assert!(
        report["at"].as_u64().unwrap() - before < 90,
        "stamped at the start"
    );

    // The same with a daemon whose queue is full for a while.
    let daemon = StandIn::new();
    let waiting = fill(&daemon);
    run(
        hook(&[], &daemon.socket()),
        br#"{"hook_event_name":"Stop"}"#,
    );
    for _ in 0..waiting {
        drop(daemon.listener.accept().unwrap());
    }
    let arrived = until("the report", || {
        let mut text = String::new();
        let (mut client, _) = daemon.listener.accept().unwrap();
        client.read_to_string(&mut text).unwrap();
        (!text.is_empty()).then_some(text)
    });
    assert!(
        arrived.contains(r#""event":{"hook_event_name":"Stop"}"#),
        "{arrived}"
    );
}

#[test]
fn input_that_never_ends_is_left_in_time() {
    let daemon = StandIn::new();
    let start = monotonic();
    let mut child = hook(&[], &daemon.socket()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(br#"{"hook_event_name":"Stop"}"#).unwrap();
    finish(child, start);
    drop(input);

    // One that never pauses either.
    let start = monotonic();
    let mut child = hook(&[], &daemon.socket()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = thread::spawn(move || while input.write_all(&[b'['; 4096]).is_ok() {});
    finish(child, start);
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
    let start = monotonic();
    let mut child = command.spawn().unwrap();
    let input = child.stdin.take().unwrap();
    finish(child, start);
    drop(input);
}

#[test]
fn a_terminal_as_input_is_left_in_time() {
    let daemon = StandIn::new();
    let terminal = PseudoTerminal::open();
    let start = monotonic();
    let mut command = hook(&[], &daemon.socket());
    command.stdin(terminal.program_end());
    finish(command.spawn().unwrap(), start);
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
        .arg(program())
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
    let start = monotonic();
    finish(shell.spawn().unwrap(), start);
}
