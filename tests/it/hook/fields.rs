//! Which fields of an event arrive: those of the allow-list, and nothing of the environment.

use std::path::{Path, PathBuf};
use std::{fs, process};

use agent_console::os::clock::unix_ms;
use agent_console::os::process::{inspect, namespace};
use serde_json::{Map, Value, json};

use super::{StandIn, hook, run};

/// The hook events of a recorded run, with the agent's process id and whether a person sat there.
fn recorded(file: &Path) -> Vec<Value> {
    fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|record: &Value| record.get("hook").is_some())
        .collect()
}

fn traces() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/agents/claude_code/traces")
}

/// All that may be kept of a recorded event, and the longest text in bytes of JSON. A dot leads into an object or into
/// each element of an array.
const ALLOWED: &[(&str, usize)] = &[
    ("hook_event_name", 64),
    ("session_id", 128),
    ("cwd", 4096),
    ("prompt_id", 64),
    ("permission_mode", 32),
    ("agent_id", 64),
    ("source", 32),
    ("trigger", 32),
    ("reason", 64),
    ("model", 64),
    ("session_title", 256),
    ("prompt", 256),
    ("tool_name", 128),
    ("tool_input.command", 256),
    ("tool_input.file_path", 512),
    ("tool_input.notebook_path", 512),
    ("tool_input.path", 512),
    ("tool_input.pattern", 256),
    ("tool_input.url", 256),
    ("tool_input.query", 256),
    ("tool_input.description", 256),
    ("tool_input.questions.question", 256),
    ("tool_input.questions.options.label", 64),
    ("tool_input.plan", 256),
    ("notification_type", 64),
    ("error", 64),
    ("background_tasks.id", 64),
    ("background_tasks.type", 32),
    ("background_tasks.status", 32),
    ("session_crons.schedule", 64),
];

/// What may be kept of `object` where `prefix` leads to it.
fn allowed(object: &Map<String, Value>, prefix: &str) -> Map<String, Value> {
    let mut kept = Map::new();
    for (path, limit) in ALLOWED {
        let Some(rest) = path.strip_prefix(prefix) else {
            continue;
        };
        let step = rest.split('.').next().unwrap();
        let inside = format!("{prefix}{step}.");
        let value: Value = match object.get(step) {
            Some(Value::String(text)) if rest == step => cut(text, *limit).into(),
            Some(Value::Object(object)) if rest != step => allowed(object, &inside).into(),
            Some(Value::Array(elements)) if rest != step => elements
                .iter()
                .map(|element| allowed(element.as_object().unwrap(), &inside))
                .collect(),
            _ => continue,
        };
        if ![json!(""), json!({}), json!([])].contains(&value) {
            kept.insert(step.to_owned(), value);
        }
    }
    kept
}

fn cut(text: &str, limit: usize) -> String {
    let mut length = 0;
    text.chars()
        .take_while(|char| {
            length += json!(char).to_string().len() - 2;
            length <= limit
        })
        .collect()
}

#[test]
fn every_recorded_event_arrives_with_its_fields_and_no_others() {
    let daemon = StandIn::new();
    let pid = process::id();
    let mut files: Vec<_> = fs::read_dir(traces())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "jsonl"))
        .collect();
    files.sort();
    assert_eq!(files.len(), 8);
    let mut count = 0;
    for record in files.iter().flat_map(|file| recorded(file)) {
        let attended = record["attended"].as_bool().unwrap();
        let mut command = hook(&[], &daemon.socket());
        command.env("CLAUDE_PID", pid.to_string()).env(
            "CLAUDE_CODE_SESSION_ATTENDED",
            if attended { "1" } else { "0" },
        );
        let before = unix_ms();
        run(command, record["hook"].to_string().as_bytes());
        let after = unix_ms();

        let mut report = daemon.report();
        let at = report.remove("at").unwrap().as_u64().unwrap();
        assert!((before..=after).contains(&at));
        report.remove("terminal");
        let expected = json!({
            "agent": "claude-code",
            "pid": pid,
            "process_start": inspect(pid).unwrap().id.start,
            "pid_namespace": namespace(),
            "attended": attended,
            "config_dir": "/nonexistent/.claude",
            "event": allowed(record["hook"].as_object().unwrap(), ""),
        });
        assert_eq!(Value::Object(report), expected);
        count += 1;
    }
    assert!(count > 150, "{count}");
}

#[test]
fn a_permission_request_reads_as_expected() {
    let daemon = StandIn::new();
    let record = recorded(&traces().join("perm.jsonl"))
        .into_iter()
        .find(|record| record["hook"]["hook_event_name"] == "PermissionRequest")
        .unwrap();
    let payload = &record["hook"];
    run(
        hook(&["claude-code"], &daemon.socket()),
        payload.to_string().as_bytes(),
    );
    let report = daemon.report();
    // No variable has the agent's process id, so it is the process that started the hook.
    assert_eq!(report["pid"], process::id());
    assert_eq!(report.get("attended"), None);
    let event = report["event"].as_object().unwrap();
    for key in [
        "session_id",
        "cwd",
        "hook_event_name",
        "tool_name",
        "prompt_id",
    ] {
        assert_eq!(event[key], payload[key]);
    }
    assert_eq!(
        event["tool_input"]["command"],
        payload["tool_input"]["command"]
    );
    assert_eq!(event.get("transcript_path"), None);
}

#[test]
fn the_environment_is_not_sent() {
    let daemon = StandIn::new();
    let mut command = hook(&[], &daemon.socket());
    command
        .env("CLAUDE_CODE_MESSAGING_TOKEN", "secret-one")
        .env("ANTHROPIC_API_KEY", "secret-two")
        .env("TMUX", "/tmp/tmux-1/default,77,3")
        .env("TMUX_PANE", "%3")
        .env("TERM_PROGRAM", "a\"b");
    let payload = json!({
        "hook_event_name": "PostToolUse", "tool_name": "Write",
        "tool_input": {"file_path": "/a", "content": "secret-three"},
        "tool_response": {"stdout": "secret-four", "command": "secret-five"},
        "transcript_path": "secret-six",
    });
    run(command, payload.to_string().as_bytes());
    let text = daemon.next();
    assert!(!text.contains("secret"), "{text}");
    let message: Value = serde_json::from_str(&text).unwrap();
    let mut terminal = message["params"]["terminal"].clone();
    terminal.as_object_mut().unwrap().remove("tty");
    let expected = json!({"term_program": "a\"b", "tmux": "/tmp/tmux-1/default", "tmux_pid": 77, "tmux_pane": "%3"});
    assert_eq!(terminal, expected);
    let event = json!({"hook_event_name": "PostToolUse", "tool_name": "Write", "tool_input": {"file_path": "/a"}});
    assert_eq!(message["params"]["event"], event);
}
