//! Which process runs the hook: it reports the agent that it is registered for, and no other.

#[cfg(target_os = "linux")]
use std::io::Write;
#[cfg(target_os = "linux")]
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

#[cfg(target_os = "linux")]
use super::finish;
use super::{StandIn, hook, run};
#[cfg(target_os = "linux")]
use crate::support::copy;
use crate::support::hook_program;

#[test]
fn an_unknown_agents_hook_does_nothing() {
    let daemon = StandIn::new();
    for input in [&br#"{"hook_event_name":"Stop"}"#[..], &vec![b'x'; 300_000]] {
        run(hook(&["unheard-of"], &daemon.socket()), input);
    }
    // The only line is that of a known one.
    run(hook(&[], &daemon.socket()), b"{}");
    assert_eq!(daemon.report()["agent"], "claude-code");
}

/// Each as its own hooks see it, without a word of the agent that the hook is registered for.
#[test]
fn a_hook_that_another_program_runs_does_nothing() {
    let daemon = StandIn::new();
    let event =
        br#"{"hook_event_name":"PreToolUse","session_id":"g","tool_name":"run_terminal_command"}"#;
    let marks = [
        &[][..],
        &[("GROK_SESSION_ID", "g"), ("GROK_HOOK_EVENT", "PreToolUse")],
        // Inherited from the agent that has started it.
        &[("GROK_HOOK_EVENT", "PreToolUse"), ("CLAUDECODE", "1")],
        &[("DEVIN_SESSION_ID", "d"), ("CLAUDE_PID", "1")],
        &[("CLAUDE_PROJECT_DIR", "/w")],
        &[("CLAUDE_PID", "0")],
    ];
    for marks in marks {
        let mut command = hook(&[], &daemon.socket());
        command.env_remove("CLAUDECODE").envs(marks.iter().copied());
        run(command, event);
        // By a shell that ends at once.
        let mut shell = Command::new("sh");
        shell
            .args(["-c", r#""$0" hook claude-code --socket "$1"; :"#])
            .arg(hook_program())
            .arg(daemon.socket())
            .env_clear()
            .env("HOME", "/nonexistent")
            .envs(marks.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        run(shell, event);
    }
    // The only line is that of the agent.
    run(hook(&[], &daemon.socket()), b"{}");
    assert_eq!(daemon.report()["event"], json!({}));
}

/// A version that sets no variable of its own, with a shell between it and the hook.
#[cfg(target_os = "linux")]
#[test]
fn an_agent_without_variables_is_known_by_its_program() {
    let daemon = StandIn::new();
    let claude = daemon.directory.path().join("claude");
    copy(Path::new("/bin/sh"), &claude);
    let mut agent = Command::new(&claude);
    agent
        .args(["-c", r#"sh -c '"$0" hook --socket "$1"; :' "$0" "$1"; :"#])
        .arg(hook_program())
        .arg(daemon.socket())
        .env_clear()
        .env("HOME", "/nonexistent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut agent = agent.spawn().unwrap();
    let pid = agent.id();
    let mut input = agent.stdin.take().unwrap();
    input.write_all(br#"{"hook_event_name":"Stop"}"#).unwrap();
    drop(input);
    finish(agent);
    let report = daemon.report();
    assert_eq!(report["pid"], pid);
    assert_eq!(report["event"], json!({"hook_event_name": "Stop"}));
}
