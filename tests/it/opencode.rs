//! The plugin for opencode under Node.js: what arrives at the socket, and that nothing that can go wrong ever affects the
//! program that it runs in.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use agent_console::os::clock::{monotonic, unix_ms};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::support::{PATIENCE, PROMPT, Place};

const PLUGIN: &str = include_str!("../../src/agents/opencode/plugin.js");
const DRIVER: &str = include_str!("opencode/driver.mjs");

/// Where the plugin lies, and a socket.
struct Program {
    directory: TempDir,
}

impl Program {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("plugin.mjs"), PLUGIN).unwrap();
        fs::write(directory.path().join("driver.mjs"), DRIVER).unwrap();
        Self { directory }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    /// Node.js with the driver, as `opencode WORDS` would run the plugin.
    fn command(&self, socket: &Path, words: &[&str]) -> Command {
        let mut command = Command::new("node");
        command.arg(self.directory.path().join("driver.mjs"));
        command
            .arg(self.directory.path().join("plugin.mjs"))
            .args(words);
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", path)
            .env("AGENT_CONSOLE_SOCKET", socket);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the steps: the program must end soon and well, and print nothing.
    fn run(mut command: Command, steps: &Value) {
        let start = monotonic();
        let mut child = command
            .spawn()
            .expect("Node.js, which these tests need, as `node`");
        let text = steps.to_string();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().unwrap();
        let said =
            String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
        assert!(status.success() && said.is_empty(), "{status}: {said}");
        assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    }

    /// The parameters of the reports that arrive while the steps run.
    fn reports(&self, words: &[&str], steps: &Value) -> Vec<Map<String, Value>> {
        let listener = UnixListener::bind(self.socket()).unwrap();
        let (done, ended) = std::sync::mpsc::channel::<()>();
        let reader = thread::spawn(move || {
            listener.set_nonblocking(true).unwrap();
            let mut text = String::new();
            // What was sent before the end is in the listener's queue after it.
            let mut is_last = false;
            loop {
                match listener.accept() {
                    Ok((client, _)) => text += &read(client),
                    Err(error) if error.kind() == ErrorKind::WouldBlock && is_last => break text,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        let wait = ended.recv_timeout(Duration::from_millis(5));
                        is_last = wait != Err(std::sync::mpsc::RecvTimeoutError::Timeout);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
        Self::run(self.command(&self.socket(), words), steps);
        done.send(()).unwrap();
        let text = reader.join().unwrap();
        fs::remove_file(self.socket()).unwrap();
        text.lines().map(report).collect()
    }
}

fn read(mut client: UnixStream) -> String {
    client.set_nonblocking(false).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    text
}

/// The parameters of a line.
fn report(line: &str) -> Map<String, Value> {
    let mut message: Map<String, Value> = serde_json::from_str(line).unwrap();
    assert_eq!(message["jsonrpc"], "2.0");
    assert_eq!(message["method"], "session.report");
    assert_eq!(message.len(), 3, "{line}");
    serde_json::from_value(message.remove("params").unwrap()).unwrap()
}

/// The names of the events.
fn names(reports: &[Map<String, Value>]) -> Vec<&str> {
    reports
        .iter()
        .map(|report| report["event"]["event"].as_str().unwrap())
        .collect()
}

fn event(kind: &str, properties: Value) -> Value {
    json!({"event": {"type": kind, "properties": properties}})
}

fn status(session: &str, status: &str) -> Value {
    event(
        "session.status",
        json!({"sessionID": session, "status": {"type": status, "message": "overloaded"}}),
    )
}

fn created(session: &str, parent: Option<&str>) -> Value {
    event(
        "session.created",
        json!({"sessionID": session, "info": {"id": session, "parentID": parent, "directory": "/w",
            "title": "New session - 2026-11-27T06:12:26.169Z", "agent": "build",
            "model": {"id": "m1", "providerID": "p"}, "cost": 0}}),
    )
}

fn prompt(session: &str, message: &str) -> Value {
    event(
        "message.updated",
        json!({"sessionID": session, "info": {"id": message, "role": "user",
            "time": {"created": unix_ms()}}}),
    )
}

#[test]
fn a_turn_is_reported_without_any_of_its_texts() {
    let program = Program::new();
    let tool = |status: &str| {
        event(
            "message.part.updated",
            json!({"sessionID": "ses_1", "part": {"type": "tool", "tool": "write", "callID": "c1", "state":
                {"status": status, "input": {"filePath": "/w/src/a.rs", "content": "SECRET"}, "output": "SECRET"}}}),
        )
    };
    let before = unix_ms();
    let reports = program.reports(
        &[],
        &json!([
            {"init": "/w"},
            created("ses_1", None),
            prompt("ses_1", "msg_1"),
            event("message.part.updated", json!({"part": {"type": "text", "sessionID": "ses_1", "text": "SECRET"}})),
            status("ses_1", "busy"),
            event("message.part.delta", json!({"sessionID": "ses_1", "delta": "SECRET"})),
            event("permission.asked", json!({"id": "per_1", "sessionID": "ses_1", "permission": "edit",
                "patterns": ["a.rs"], "metadata": {"filepath": "/w/src/a.rs", "diff": "SECRET"}})),
            event("permission.replied", json!({"sessionID": "ses_1", "requestID": "per_1", "reply": "once"})),
            tool("running"),
            tool("running"),
            tool("completed"),
            event("session.diff", json!({"sessionID": "ses_1", "diff": "SECRET"})),
            event("session.updated", json!({"sessionID": "ses_1", "info": {"id": "ses_1", "title": "A title",
                "directory": "/w", "cost": 0.5, "summary": "SECRET"}})),
            status("ses_1", "idle"),
            event("session.idle", json!({"sessionID": "ses_1"})),
            // Late: the turn is over.
            tool("running"),
            {"dispose": 0},
        ]),
    );
    let names = names(&reports);
    let expected = [
        "init",
        "session.created",
        "message.updated",
        "session.status",
        "permission.asked",
        "permission.replied",
        "message.part.updated",
        "message.part.updated",
        "session.updated",
        "session.status",
        "dispose",
    ];
    assert_eq!(names, expected);
    let text = serde_json::to_string(&reports).unwrap();
    assert!(!text.contains("SECRET"), "{text}");
    let asked = &reports[4]["event"];
    let expected = json!({"event": "permission.asked", "session_id": "ses_1", "request_id": "per_1",
        "tool": "edit", "detail": "src/a.rs"});
    assert_eq!(asked, &expected);
    assert_eq!(reports[8]["event"]["title"], "A title");
    assert_eq!(reports[1]["event"].get("title"), None, "not named yet");
    for report in &reports {
        assert_eq!(report["agent"], "opencode");
        assert_eq!(report["attended"], true);
        let at = report["at"].as_u64().unwrap();
        assert!((before..=unix_ms()).contains(&at), "{at}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_is_named_as_the_kernel_does() {
    use agent_console::os::process::{inspect, namespace};
    let program = Program::new();
    let listener = UnixListener::bind(program.socket()).unwrap();
    let mut command = program.command(&program.socket(), &[]);
    command.env("TMUX", "/tmp/a,b,77,0").env("TMUX_PANE", "%3");
    let mut child = command.spawn().unwrap();
    // It waits for the steps, so it still runs.
    let found = inspect(child.id()).unwrap();
    let steps = json!([{"init": "/w"}, {"dispose": 0}]).to_string();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(steps.as_bytes())
        .unwrap();
    let (client, _) = listener.accept().unwrap();
    let text = read(client);
    let report = report(text.lines().next().unwrap());
    assert_eq!(report["pid"], child.id());
    assert_eq!(report["process_start"], found.id.start);
    assert_eq!(report["pid_namespace"].as_u64(), namespace());
    let terminal = &report["terminal"];
    assert_eq!(terminal["tmux"], "/tmp/a,b");
    assert_eq!(terminal["tmux_pid"], 77);
    assert_eq!(terminal["tmux_pane"], "%3");
    assert_eq!(terminal["tty"].as_str(), found.tty.as_deref());
    drop(listener);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_subagent_and_a_hidden_session_never_move_the_shown_one() {
    let program = Program::new();
    let reports = program.reports(
        &[],
        &json!([
            {"init": "/w"},
            created("ses_1", None),
            prompt("ses_1", "msg_1"),
            status("ses_1", "busy"),
            created("ses_2", Some("ses_1")),
            status("ses_2", "busy"),
            event("permission.asked", json!({"id": "per_1", "sessionID": "ses_2", "permission": "bash"})),
            event("permission.replied", json!({"sessionID": "ses_2", "requestID": "per_1", "reply": "once"})),
            event("session.error", json!({"sessionID": "ses_2", "error": {"name": "APIError"}})),
            status("ses_2", "idle"),
            // Another session while the first one works on.
            created("ses_3", None),
            prompt("ses_3", "msg_2"),
            status("ses_3", "busy"),
            status("ses_1", "busy"),
            status("ses_1", "idle"),
            status("ses_3", "idle"),
            // Back to the first, which copies a message of the past.
            event("message.updated", json!({"sessionID": "ses_3", "info": {"id": "msg_0", "role": "user",
                "time": {"created": 1}}})),
            prompt("ses_1", "msg_3"),
        ]),
    );
    let events: Vec<_> = reports
        .iter()
        .map(|report| {
            let event = &report["event"];
            let field = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
            [field("event"), field("session_id"), field("subagent")].join(" ")
        })
        .collect();
    let expected = [
        "init - -",
        "session.created ses_1 -",
        "message.updated ses_1 -",
        "session.status ses_1 -",
        "session.created ses_1 ses_2",
        "session.status ses_1 ses_2",
        "permission.asked ses_1 ses_2",
        "permission.replied ses_1 ses_2",
        "session.status ses_1 ses_2",
        "session.created ses_3 -",
        "message.updated ses_3 -",
        "session.status ses_3 -",
        "session.status ses_3 -",
        "session.selected ses_1 -",
        "message.updated ses_1 -",
    ];
    assert_eq!(events, expected);
}

#[test]
fn how_a_turn_came_to_its_end_is_added() {
    let program = Program::new();
    let error = |name: &str| {
        event(
            "session.error",
            json!({"sessionID": "ses_1", "error": {"name": name, "data": {"statusCode": 401, "message": "SECRET"}}}),
        )
    };
    let reply = |kind: &str, reply: &str| {
        event(
            kind,
            json!({"sessionID": "ses_1", "requestID": "r", "reply": reply}),
        )
    };
    let (busy, idle) = (status("ses_1", "busy"), status("ses_1", "idle"));
    let ended = |steps: &[Value]| {
        let mut all = vec![json!({"init": "/w"}), busy.clone()];
        all.extend_from_slice(steps);
        all.extend([idle.clone(), idle.clone()]);
        let reports = program.reports(&[], &json!(all));
        let idles: Vec<_> = reports
            .iter()
            .map(|report| &report["event"])
            .filter(|event| event["status"] == "idle")
            .collect();
        // The second one changes nothing.
        assert_eq!(idles.len(), 1, "{reports:?}");
        idles[0]["outcome"].as_str().map(str::to_owned)
    };
    let interrupted = Some("interrupted".to_owned());
    assert_eq!(ended(&[]), None);
    assert_eq!(ended(&[error("MessageAbortedError")]), interrupted);
    // While the session starts, only the answer has the error.
    let answer = event(
        "message.updated",
        json!({"sessionID": "ses_1", "info": {"role": "assistant", "error": {"name": "MessageAbortedError"}}}),
    );
    assert_eq!(ended(&[answer]), interrupted);
    assert_eq!(ended(&[error("APIError")]), Some("failed".to_owned()));
    assert_eq!(ended(&[status("ses_1", "retry")]), interrupted);
    assert_eq!(ended(&[status("ses_1", "retry"), busy.clone()]), None);
    let rejected = reply("permission.replied", "reject");
    assert_eq!(ended(std::slice::from_ref(&rejected)), interrupted);
    assert_eq!(ended(&[rejected, busy.clone()]), None);
    assert_eq!(ended(&[reply("question.rejected", "")]), interrupted);
    assert_eq!(ended(&[reply("permission.replied", "once")]), None);
}

#[test]
fn a_run_has_no_person_and_a_server_has_many_sessions() {
    let program = Program::new();
    let steps = json!([{"init": "/w"}, created("ses_1", None), created("ses_2", None),
        status("ses_1", "busy"), status("ses_2", "busy"), status("ses_1", "idle"), {"dispose": 0}]);
    let run = program.reports(&["run", "serve"], &steps);
    assert!(run.iter().all(|report| report["attended"] == false));
    assert_eq!(names(&run).last(), Some(&"dispose"));
    let server = program.reports(&["serve"], &steps);
    assert!(server.iter().all(|report| report["shared"] == true));
    // Neither its start nor its end is a session's.
    assert_eq!(server.len(), 5, "{server:?}");
    assert!(server.iter().all(|report| !report.contains_key("attended")));
}

#[test]
fn two_plugin_functions_of_one_process_report_once() {
    let program = Program::new();
    let with_id = |id: &str| {
        json!({"event": {"id": id, "type": "session.status",
            "properties": {"sessionID": "ses_1", "status": {"type": "busy"}}}})
    };
    let reports = program.reports(
        &[],
        &json!([{"init": "/w"}, {"init": "/w"}, with_id("evt_1"), with_id("evt_2"),
            {"dispose": 0}, {"dispose": 1}]),
    );
    let expected = ["init", "session.status", "session.status", "dispose"];
    assert_eq!(names(&reports), expected);
}

#[test]
fn whatever_the_socket_is_the_program_goes_on() {
    let program = Program::new();
    let steps =
        json!([{"init": "/w"}, created("ses_1", None), status("ses_1", "busy"), {"dispose": 0}]);
    let socket = program.socket();
    // None, a relative one, a file, a directory.
    Program::run(program.command(&socket, &[]), &steps);
    Program::run(program.command(Path::new("s"), &[]), &steps);
    fs::write(&socket, "").unwrap();
    Program::run(program.command(&socket, &[]), &steps);
    fs::remove_file(&socket).unwrap();
    Program::run(program.command(program.directory.path(), &[]), &steps);
    // One whose daemon neither accepts nor reads.
    let listener = UnixListener::bind(&socket).unwrap();
    Program::run(program.command(&socket, &[]), &steps);
    let waits_for_nothing = json!([{"init": "/w"}, status("ses_1", "busy"), {"leave": true}]);
    Program::run(program.command(&socket, &[]), &waits_for_nothing);
    // One that its daemon has left behind.
    drop(listener);
    Program::run(program.command(&socket, &[]), &steps);
}

#[cfg(target_os = "linux")]
#[test]
fn another_users_socket_gets_nothing() {
    let program = Program::new();
    let listener = UnixListener::bind(program.socket()).unwrap();
    std::os::unix::fs::chown(program.socket(), Some(4711), None).expect("these tests run as root");
    Program::run(
        program.command(&program.socket(), &[]),
        &json!([{"init": "/w"}, status("ses_1", "busy"), {"dispose": 0}]),
    );
    listener.set_nonblocking(true).unwrap();
    let error = listener.accept().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn events_that_make_no_sense_change_nothing() {
    let program = Program::new();
    let mut steps = vec![json!({"init": "/w"})];
    for kind in [
        "session.created",
        "session.updated",
        "session.status",
        "session.idle",
        "session.error",
        "permission.asked",
        "permission.replied",
        "question.asked",
        "message.updated",
        "message.part.updated",
    ] {
        for properties in [
            json!(null),
            json!(1),
            json!([]),
            json!({}),
            json!({"sessionID": 1, "info": 1, "part": 1}),
            json!({"sessionID": {}, "info": {"id": []}}),
            json!({"sessionID": "ses_1", "info": null, "status": 1, "error": [], "part": {"type": "tool"},
                "questions": [null, 1, {"options": 1}], "metadata": 1, "patterns": 1, "id": 1}),
            json!({"sessionID": "ses_1", "info": {"parentID": "ses_1", "role": "user", "time": 1}}),
        ] {
            steps.push(event(kind, properties));
        }
    }
    steps.push(json!({"event": null}));
    steps.push(json!({"event": 1}));
    steps.push(json!({"dispose": 0}));
    let reports = program.reports(&[], &json!(steps));
    assert_eq!(names(&reports).first(), Some(&"init"));
    assert_eq!(names(&reports).last(), Some(&"dispose"));
}

#[test]
fn the_daemon_understands_what_the_plugin_sends() {
    let place = Place::new();
    let _daemon = place.daemon();
    let program = Program::new();
    Program::run(
        program.command(&place.socket(), &[]),
        &json!([{"init": "/w"}, created("ses_1", None), prompt("ses_1", "msg_1"), status("ses_1", "busy"),
            {"dispose": 0}]),
    );
    let list = place.json(&["list", "--all", "--json"]);
    let sessions = list.as_array().unwrap();
    assert_eq!(sessions.len(), 1, "{list}");
    assert_eq!(sessions[0]["agent"], "opencode");
    assert_eq!(sessions[0]["session_id"], "ses_1");
    assert_eq!(sessions[0]["status"], "closed");
    assert_eq!(sessions[0]["end_reason"], "exit");
}
