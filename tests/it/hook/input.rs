//! What comes on standard input: an event in pieces, slowly, large or repeated; garbage; nothing.

use std::io::Write;
use std::process::{self, Command, Stdio};
#[cfg(target_os = "linux")]
use std::thread;
#[cfg(target_os = "linux")]
use std::time::Duration;

#[cfg(target_os = "linux")]
use agent_console::os::clock::monotonic;
#[cfg(target_os = "linux")]
use serde_json::Value;
use serde_json::json;

use super::{StandIn, finish, hook, run};
use crate::support::hook_program;

#[test]
fn an_event_is_reported_as_soon_as_it_is_whole() {
    let daemon = StandIn::new();
    for input in [
        &br#"{"hook_event_name":"Stop"}"#[..],
        b" \n{\"hook_event_name\":\"Stop\"}\n",
        b"\xef\xbb\xbf{\"hook_event_name\":\"Stop\"}",
        br#"{"hook_event_name":"Stop"}{"hook_event_name":"PreToolUse"}"#,
        b"{\"hook_event_name\":\"Stop\"} garbage \xff",
    ] {
        let mut child = hook(&[], &daemon.socket()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(input).unwrap();
        let report = daemon.report();
        assert_eq!(report["event"], json!({"hook_event_name": "Stop"}));
        pipe.write_all(&vec![b'\n'; 300_000]).unwrap();
        finish(child);
    }
}

/// Later than any time limit of a report: a writer that gets EPIPE may take the hook for failed.
#[cfg(target_os = "linux")]
#[test]
fn the_writer_can_write_long_after_the_event() {
    let daemon = StandIn::new();
    let start = monotonic();
    let mut child = hook(&[], &daemon.socket()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(br#"{"hook_event_name":"Stop"}"#).unwrap();
    daemon.report();
    finish(child);
    while start.elapsed() < Duration::from_millis(2500) {
        pipe.write_all(&vec![b'\n'; 100_000]).unwrap();
        thread::sleep(Duration::from_millis(250));
    }
}

/// Slower than the agent waits for, and than a daemon is waited for.
#[cfg(target_os = "linux")]
#[test]
fn an_event_that_is_written_slowly_arrives() {
    let daemon = StandIn::new();
    let payload = json!({
        "tool_response": (0..50).map(|_| json!({"line": "}".repeat(40_000)})).collect::<Value>(),
        "hook_event_name": "PostToolUse",
    });
    let payload = payload.to_string();
    let start = monotonic();
    let mut child = hook(&[], &daemon.socket()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // Longer than a report may take, before the first byte.
    thread::sleep(Duration::from_millis(2200));
    let pieces = payload.as_bytes().chunks(payload.len() / 50);
    for piece in pieces {
        input.write_all(piece).unwrap();
        thread::sleep(Duration::from_millis(60));
    }
    let report = daemon.report();
    assert!(start.elapsed() > Duration::from_secs(5));
    assert_eq!(report["event"], json!({"hook_event_name": "PostToolUse"}));
    child.wait().unwrap();
    drop(input);
}

#[test]
fn a_large_tool_response_is_taken_whole_and_left_out() {
    let daemon = StandIn::new();
    let payload = json!({
        "tool_response": "line of output\n".repeat(14_000),
        "hook_event_name": "PostToolUse",
        "prompt": "\u{1}".repeat(1000),
    });
    run(hook(&[], &daemon.socket()), payload.to_string().as_bytes());
    let report = daemon.report();
    let event = json!({"hook_event_name": "PostToolUse", "prompt": "\u{1}".repeat(42)});
    assert_eq!(report["event"], event);
}

#[test]
fn an_event_with_a_repeated_key_arrives() {
    let daemon = StandIn::new();
    let payload =
        br#"{"hook_event_name":"Stop","cwd":"/a","cwd":"/b","tool_input":{"path":"p","path":"q"}}"#;
    run(hook(&[], &daemon.socket()), payload);
    let event = json!({"hook_event_name": "Stop", "cwd": "/a", "tool_input": {"path": "p"}});
    assert_eq!(daemon.report()["event"], event);
}

#[test]
fn garbage_is_reported_without_an_event() {
    let daemon = StandIn::new();
    let inputs: [&[u8]; 6] = [
        b"",
        b"garbage",
        b"{\"cwd\":\"/a\"",
        b"[1]",
        &[0xff; 5000],
        b"x{}",
    ];
    for input in inputs {
        run(hook(&[], &daemon.socket()), input);
        let report = daemon.report();
        assert_eq!(report.get("event"), None);
        assert_eq!(report["pid"], process::id());
    }
}

#[test]
fn closed_descriptors_do_no_harm() {
    let daemon = StandIn::new();
    for redirections in ["<&-", ">&- 2>&-", "<&- >&- 2>&-"] {
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg(format!("exec \"$0\" hook --socket \"$1\" {redirections}"))
            .arg(hook_program())
            .arg(daemon.socket())
            .env_clear()
            .env("HOME", "/nonexistent")
            .env("CLAUDECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        // Where it is closed, nothing reads this.
        let _ = input.write_all(b"{\"hook_event_name\":\"Stop\"}");
        drop(input);
        finish(child);
        let report = daemon.report();
        let read = !redirections.contains('<');
        assert_eq!(report.contains_key("event"), read, "{redirections}");
    }
}
