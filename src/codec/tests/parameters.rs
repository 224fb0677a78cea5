//! The parameters of each request: what is read, what is refused and how that is said.

use super::*;

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn what_is_wrong_with_the_parameters_is_said() {
    let long = "x".repeat(KEY_LIMIT + 1);
    for (method, params, code, says) in [
        (
            "session.jump",
            json!({}),
            -32601,
            "no method \"session.jump\"",
        ),
        ("", json!({}), -32601, "no method"),
        ("hello", json!([]), -32602, "params must be an object"),
        (
            "subscribe",
            json!(["a"]),
            -32602,
            "params must be an object",
        ),
        (
            "subscribe",
            json!({"since": {"epoch": 1}}),
            -32602,
            "missing field `seq`",
        ),
        (
            "subscribe",
            json!({"since": {"epoch": -1, "seq": 1}}),
            -32602,
            "invalid value",
        ),
        (
            "daemon.status",
            json!(null),
            -32602,
            "params must be an object",
        ),
        (
            "daemon.reload",
            json!("a"),
            -32602,
            "params must be an object",
        ),
        ("session.get", json!({}), -32602, "missing field `session`"),
        (
            "session.get",
            json!({"session": 7}),
            -32602,
            "invalid type: integer `7`",
        ),
        (
            "session.get",
            json!({"session": ""}),
            -32602,
            "session must not be empty",
        ),
        (
            "session.get",
            json!({"session": long}),
            -32602,
            "session may have at most 257",
        ),
        (
            "session.remove",
            json!({"session": "a\u{1b}"}),
            -32602,
            "control characters",
        ),
        (
            "session.list",
            json!({"include_closed": "yes"}),
            -32602,
            "expected a boolean",
        ),
        (
            "session.set",
            json!({"session": "a"}),
            -32602,
            "missing field `status`",
        ),
        (
            "session.set",
            json!({"session": "a", "status": "busy"}),
            -32602,
            "status must be one of",
        ),
        (
            "session.set",
            json!({"session": "a", "status": "idle", "agent": ""}),
            -32602,
            "agent must not",
        ),
        (
            "session.set",
            json!({"session": "a", "status": "idle", "waiting_for": "plan"}),
            -32602,
            "goes with status waiting only",
        ),
        (
            "session.set",
            json!({"session": "a", "status": "waiting", "waiting_for": "godot"}),
            -32602,
            "waiting_for must be one of",
        ),
        (
            "session.set",
            json!({"session": "a", "status": "idle", "pid": 0}),
            -32602,
            "pid must not be 0",
        ),
        (
            "session.set",
            json!({"session": "a", "status": "idle", "pid": -1}),
            -32602,
            "invalid value",
        ),
        (
            "session.set",
            json!({"session": "a", "status": "idle", "cwd": "x".repeat(5000)}),
            -32602,
            "cwd may have at most 4096 bytes",
        ),
        (
            "session.report",
            json!({"at": 1}),
            -32602,
            "missing field `agent`",
        ),
        (
            "session.report",
            json!({"agent": "a"}),
            -32602,
            "missing field `at`",
        ),
        (
            "session.report",
            json!({"agent": "a", "at": "x".repeat(60_000)}),
            -32602,
            "invalid type",
        ),
        (
            "daemon.stop",
            json!({"force": 1}),
            -32602,
            "expected a boolean",
        ),
    ] {
        let (id, number, message) = refused(call(method, &params));
        assert_eq!((&*id, number), ("1", code), "{method}: {message}");
        assert!(message.contains(says), "{method}: {message}");
        assert!(message.len() < 1000, "{method}: {} bytes", message.len());
        assert!(!message.contains(" at line "), "{method}: {message}");
        // A notification with the same fault goes unanswered.
        let line = json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string();
        assert_eq!(decode(line.as_bytes()).id, None);
    }
}

#[test]
fn what_is_not_known_is_passed_over() {
    let line = r#"{"jsonrpc":"2.0","id":1,"method":"hello","new":{},"params":{"client":"x","colour":"red"}}"#;
    assert_hello(&decode(line.as_bytes()).message);
    for (line, unknown) in [
        (
            r#"{"jsonrpc":"2.0","method":"session.renamed","params":{"seq":7}}"#,
            true,
        ),
        (
            r#"{"jsonrpc":"2.0","id":"srv-1","method":"client.ping"}"#,
            true,
        ),
        (
            r#"{"jsonrpc":"2.0","id":"srv-1","error":{"code":1,"message":"x"}}"#,
            true,
        ),
        (r#"{"jsonrpc":"2.0","id":-1,"result":{}}"#, true),
        (r#"{"jsonrpc":"2.0","id":1,"result":null}"#, false),
        (
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x","data":{}}}"#,
            false,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"daemon.stopping","params":{"seq":1,"reason":"bored"}}"#,
            false,
        ),
    ] {
        let read = incoming(line).unwrap();
        assert_eq!(
            matches!(read, Incoming::Unknown),
            unknown,
            "{line}: {read:?}"
        );
    }
    // A known message without what it must have is an error, not a guess.
    incoming(r#"{"jsonrpc":"2.0","method":"session.removed","params":{}}"#).unwrap_err();
}

#[test]
fn a_report_is_read_with_all_that_names_the_process() {
    let report = |fields: Value| -> Report {
        let mut params =
            json!({"agent": "claude-code", "at": 5, "event": {"hook_event_name": "Stop"}});
        for (key, value) in fields.as_object().unwrap() {
            params[key] = value.clone();
        }
        match decode(call("session.report", &params).as_bytes()).message {
            Message::Report(params) => agents::interpret(*params),
            other => panic!("{other:?}"),
        }
    };
    let full = report(
        json!({"pid": 7, "process_start": 8, "pid_namespace": 9, "attended": false, "terminal": {"tmux_pane": "%3"}}),
    );
    assert_eq!(
        full.process,
        Some(ReportedProcess {
            pid: 7,
            start: Some(8),
            namespace: Some(9)
        })
    );
    assert_eq!(full.attended, Some(false));
    assert_eq!(full.terminal.unwrap().tmux_pane.as_deref(), Some("%3"));
    let bare = report(json!({"pid": 0, "terminal": {}}));
    assert_eq!((bare.process, bare.terminal), (None, None));
    // The core refuses an invalid event, because it also sends a notice.
    for event in [
        json!(null),
        json!([]),
        json!({}),
        json!({"hook_event_name": ""}),
    ] {
        assert_eq!(report(json!({"event": event})).event, None);
    }
    assert_eq!(report(json!({"agent": "another"})).event, None);
}
