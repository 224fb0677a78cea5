use serde_json::json;

use super::*;

/// When each event happened.
const AT: u64 = 1_790_000_000_000;

fn event(payload: &str) -> Option<AgentEvent> {
    super::super::interpret(payload, AT)
}

fn read(payload: &serde_json::Value) -> AgentEvent {
    event(&payload.to_string()).unwrap_or_else(|| panic!("{payload} is not read"))
}

#[test]
fn a_tool_is_shown_with_the_field_that_identifies_the_call() {
    for (tool, input, shown) in [
        (
            "Bash",
            json!({"command": "cargo  test\n--all", "description": "Run"}),
            "Bash: cargo test --all",
        ),
        (
            "Write",
            json!({"file_path": "/src/app/main.rs", "content": "x"}),
            "Write: app/main.rs",
        ),
        (
            "Read",
            json!({"file_path": "/srcs/main.rs"}),
            "Read: /srcs/main.rs",
        ),
        ("Read", json!({"file_path": "/src"}), "Read: /src"),
        (
            "NotebookEdit",
            json!({"notebook_path": "/src/a.ipynb"}),
            "NotebookEdit: a.ipynb",
        ),
        (
            "Grep",
            json!({"pattern": "fn main", "path": "/src"}),
            "Grep: fn main",
        ),
        ("Glob", json!({"path": "/src/lib"}), "Glob: lib"),
        (
            "WebFetch",
            json!({"url": "https://example.org"}),
            "WebFetch: https://example.org",
        ),
        ("WebSearch", json!({"query": "rust"}), "WebSearch: rust"),
        (
            "Agent",
            json!({"description": "look", "prompt": "a secret"}),
            "Agent: look",
        ),
        ("Bash", json!({"command": ""}), "Bash"),
        ("Bash", json!("a string"), "Bash"),
        ("Bash", json!(null), "Bash"),
        ("", json!({}), "tool"),
    ] {
        let payload = json!({
            "hook_event_name": "PreToolUse", "cwd": "/src", "tool_name": tool, "tool_input": input,
        });
        let EventKind::Turn(TurnEvent::ToolStarted { tool, .. }) = read(&payload).kind else {
            panic!("{payload}");
        };
        let label = match tool.detail {
            Some(detail) => format!("{}: {detail}", tool.name),
            None => tool.name.into(),
        };
        assert_eq!(label, shown);
    }
}

#[test]
fn a_field_of_another_type_costs_that_field_only() {
    let event = read(&json!({
        "hook_event_name": "Stop", "session_id": 7, "cwd": ["/src"], "prompt_id": {"a": 1},
        "permission_mode": null, "model": {"id": "opus"}, "agent_id": false, "background_tasks": {"a": 1},
    }));
    assert_eq!(
        (event.session_id, event.cwd, event.model),
        (None, None, None)
    );
    let ended = TurnEvent::Ended {
        remaining: Some(Box::default()),
    };
    assert_eq!(event.kind, EventKind::Turn(ended));
    let tasks = json!([{"id": "a", "type": "subagent", "status": "running"}, 7]);
    read(&json!({"hook_event_name": "Stop", "background_tasks": tasks}));
}

#[test]
fn a_payload_without_an_event_name_is_no_event() {
    for payload in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"hook_event_name":7}"#,
        r#"{"hook_event_name":""}"#,
        "{",
    ] {
        assert_eq!(event(payload), None, "{payload}");
    }
}

#[test]
fn long_texts_are_cut() {
    let event = read(&json!({
        "hook_event_name": "UserPromptSubmit", "prompt": "x".repeat(10_000),
        "session_id": "y".repeat(10_000), "session_title": "z\n".repeat(10_000),
    }));
    assert_eq!(event.session_id.unwrap().chars().count(), NAME_LIMIT);
    assert_eq!(event.title.unwrap().chars().count(), TEXT_LIMIT);
    let EventKind::Turn(TurnEvent::PromptSubmitted {
        text: Some(text), ..
    }) = event.kind
    else {
        panic!("{:?}", event.kind);
    };
    assert_eq!(text.chars().count(), TEXT_LIMIT);
}

/// Every payload of several recorded sessions of 2.1.330 can be read.
#[test]
fn every_recorded_payload_is_read() {
    let recordings = [
        include_str!("../traces/clear.jsonl"),
        include_str!("../traces/errors.jsonl"),
        include_str!("../traces/perm.jsonl"),
        include_str!("../traces/subagent.jsonl"),
    ];
    for line in recordings.iter().flat_map(|recording| recording.lines()) {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(payload) = entry.get("hook") {
            let event = read(payload);
            assert_eq!(payload["hook_event_name"], *event.name);
            assert_eq!(payload["session_id"].as_str(), event.session_id.as_deref());
        }
    }
}

#[test]
fn the_end_of_a_turn_lists_what_goes_on() {
    let task =
        |id: &str, kind: &str, status: &str| json!({"id": id, "type": kind, "status": status});
    let event = read(&json!({
        "hook_event_name": "Stop",
        "background_tasks": [
            task("a", "subagent", "running"), task("b", "shell", "running"), task("c", "monitor", "running"),
            task("d", "shell", "completed"), task("e", "new in 2027", "running"), {"status": "running"},
            task("f", "monitor_mcp", "running"),
        ],
        "session_crons": [
            {"id": "x", "schedule": "* * * * *", "recurring": true, "prompt": "again"},
            {"id": "y", "schedule": "tomorrow"}, {"schedule": 7},
        ],
    }));
    let EventKind::Turn(TurnEvent::Ended {
        remaining: Some(remaining),
    }) = event.kind
    else {
        panic!("{event:?}");
    };
    let subagents: Vec<_> = remaining.subagents.iter().map(|id| &**id).collect();
    assert_eq!(subagents, ["a"]);
    let tasks = remaining.tasks.iter();
    let tasks: Vec<_> = tasks.map(|task| (&*task.id, task.kind)).collect();
    assert_eq!(
        tasks,
        [
            ("b", TaskKind::Shell),
            ("c", TaskKind::Monitor),
            ("e", TaskKind::Other),
            ("", TaskKind::Other),
            ("f", TaskKind::Monitor),
        ]
    );
    let next_minute = AT - AT % 60_000 + 60_000;
    let times: Vec<_> = remaining.schedules.iter().map(|s| s.at).collect();
    assert_eq!(times, [Some(next_minute), None, None]);
}

#[test]
fn the_notice_of_a_task_names_it_and_is_no_persons_prompt() {
    for (prompt, id) in [
        (
            "<task-notification>\n<task-id>b1</task-id>\n<status>completed",
            Some("b1"),
        ),
        ("<task-notification>\n<task-id></task-id>", None),
        ("<task-notification>", None),
    ] {
        let event = read(&json!({"hook_event_name": "UserPromptSubmit", "prompt": prompt}));
        let prompted = TurnEvent::PromptSubmitted {
            text: None,
            origin: PromptOrigin::Task(id.map(Into::into)),
        };
        assert_eq!(event.kind, EventKind::Turn(prompted), "{prompt}");
    }
}
