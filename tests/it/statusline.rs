//! `statusline`: passes a command's output through, reports what the status line knows, never fails over a daemon.

use std::io::Write as _;
use std::process::{Output, Stdio};

use serde_json::json;

use crate::support::{Place, Sleeper, until};

fn draw(place: &Place, agent: &Sleeper, arguments: &[&str], payload: &str) -> Output {
    let mut child = place
        .command([&["statusline"], arguments].concat())
        .env("CLAUDE_PID", agent.pid().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(payload.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

const PAYLOAD: &str = r#"{"session_id":"s","model":{"id":"opus"},"context_window":{"used_percentage":12},
    "cost":{"total_cost_usd":0.5},"rate_limits":{"five_hour":{"used_percentage":42,"resets_at":4102444800}}}"#;

#[test]
fn what_the_status_line_knows_reaches_the_session_and_the_limits() {
    let place = Place::new();
    let agent = Sleeper::start();
    let _daemon = place.daemon();
    assert!(place.ok(&["usage"]).contains("nothing is known"));
    place.hook(
        agent.pid(),
        true,
        r#"{"hook_event_name":"SessionStart","session_id":"s"}"#,
    );
    let output = draw(&place, &agent, &[], PAYLOAD);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "opus · 12 % context · $0.50 · 5h 42 %\n"
    );
    let session = until("the report", || {
        let session = place.json(&["get", "s", "--json"]);
        session["cost_usd"].is_number().then_some(session)
    });
    assert_eq!(session["context_percent"], 12.0);
    assert_eq!(session["status"], "idle");
    let usage = place.json(&["usage", "--json"]);
    assert_eq!(usage["usage"]["windows"][0]["used_percent"], 42.0);
    let said = place.ok(&["usage"]);
    assert!(said.contains("5h") && said.contains("42 %"), "{said}");
}

#[test]
fn a_command_has_the_input_the_last_word_and_its_status() {
    let place = Place::new();
    let agent = Sleeper::start();
    // No daemon: that is nothing to a status line.
    let shell = "cat; printf 'to err' >&2; exit 7";
    let output = draw(&place, &agent, &["--", "sh", "-c", shell], PAYLOAD);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(output.stdout, PAYLOAD.as_bytes());
    assert_eq!(output.stderr, b"to err");
    // One that reads nothing, and one that is killed.
    let large = format!("{PAYLOAD}{}", " ".repeat(300_000));
    let output = draw(&place, &agent, &["--", "printf", "mine"], &large);
    assert_eq!(
        (output.status.code(), &*output.stdout),
        (Some(0), &b"mine"[..])
    );
    let output = draw(&place, &agent, &["--", "sh", "-c", "kill -9 $$"], PAYLOAD);
    assert_eq!(output.status.code(), Some(128 + 9));
    let output = draw(&place, &agent, &["--", "/nonexistent"], PAYLOAD);
    assert_eq!(output.status.code(), Some(1));
    let output = draw(&place, &agent, &[], "nonsense");
    assert_eq!(
        (output.status.code(), &*output.stdout),
        (Some(0), &b"\n"[..])
    );
    assert_eq!(json!(output.stderr.len()), json!(0));
}
