//! The documentation's dialogues, each played against a real daemon; and messages of later versions, which this
//! version must read for ever.
//!
//! `tests/golden/v1` is only ever added to: a line there that no longer parses is a client or a script that no longer
//! works.

use std::collections::BTreeMap;

use agent_console::client::Update;
use agent_console::client::mirror::Mirror;
use agent_console::codec::{self, Incoming};
use agent_console::os::process;
use agent_console::protocol::{
    CountResult, ExplainResult, HelloResult, ListResult, Notification, ReloadResult, RemoveResult,
    ReportResult, SessionResult, Snapshot, Status, StatusResult, StopReason, StopResult,
    UsageResult,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::{Place, Sleeper, Wire};

const PAGE: &str = include_str!("../../docs/protocol.md");

/// Each dialogue of the page: the line it begins at, and its lines.
fn dialogues() -> Vec<(usize, Vec<&'static str>)> {
    let mut dialogues = Vec::new();
    let mut open: Option<(usize, Vec<&str>)> = None;
    for (number, line) in PAGE.lines().enumerate() {
        match &mut open {
            Some(_) if line == "```" => dialogues.extend(open.take()),
            Some((_, lines)) => lines.push(line),
            None if line == "```json" => open = Some((number + 2, Vec::new())),
            None => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    dialogues
}

/// Values that are another each time, by their field: only their type is compared.
const VARYING: &[&str] = &[
    "at",
    "since",
    "started_at",
    "ended_at",
    "uptime_ms",
    "rss_bytes",
    "version",
    "fetched_at",
    "pace",
];

fn without_what_varies(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            for (name, field) in fields {
                *field = match field.take() {
                    Value::Number(_) if VARYING.contains(&&**name) => json!("<number>"),
                    Value::String(_) if VARYING.contains(&&**name) => json!("<text>"),
                    other => without_what_varies(other),
                };
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = without_what_varies(item.take());
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    value
}

/// Plays one dialogue; the names in it become what they stand for.
fn play(begins_at: usize, lines: &[&str]) {
    let place = Place::new();
    let mut daemon = place.daemon();
    let mut agent = Sleeper::start();
    let process = process::inspect(agent.pid()).unwrap().id;
    let hello = place.connect().ask("hello", json!({}));
    let names = [
        ("6730412958817", hello["result"]["epoch"].to_string()),
        ("4242", daemon.pid().to_string()),
        ("31337", process.pid.to_string()),
        ("8125544", process.start.to_string()),
        (
            "4026531836",
            process::namespace().map_or("null".into(), |inode| inode.to_string()),
        ),
        (
            "/tmp/agent-console.sock",
            place.socket().to_str().unwrap().to_owned(),
        ),
    ];
    let mut clients: BTreeMap<&str, Wire> = BTreeMap::new();
    for (number, line) in lines.iter().enumerate() {
        let number = begins_at + number;
        let at = || format!("docs/protocol.md:{number}: {line}");
        match *line {
            "(the agent is killed)" => agent.kill(),
            "(the daemon closes every connection)" => {
                for client in clients.values_mut() {
                    assert_eq!(client.next(), None, "{}", at());
                }
                assert_eq!(daemon.wait(), Some(0), "{}", at());
                clients.clear();
            }
            _ => {
                let arrow = line.find(['→', '←']).unwrap_or_else(|| panic!("{}", at()));
                let (who, rest) = line.split_at(arrow);
                let mut message = rest[3..].trim().to_owned();
                for (name, real) in &names {
                    message = message.replace(name, real);
                }
                let client = clients.entry(who.trim()).or_insert_with(|| place.connect());
                if rest.starts_with('→') {
                    client.send(format!("{message}\n").as_bytes());
                } else {
                    let expected: Value = serde_json::from_str(&message)
                        .unwrap_or_else(|error| panic!("{}: {error}", at()));
                    let got = client
                        .next()
                        .unwrap_or_else(|| panic!("closed at {}", at()));
                    assert_eq!(
                        without_what_varies(got),
                        without_what_varies(expected),
                        "{}",
                        at()
                    );
                }
            }
        }
    }
    // Nothing came that the dialogue doesn't show.
    for (who, mut client) in clients {
        client.send(b"{\"jsonrpc\":\"2.0\",\"id\":\"end\",\"method\":\"hello\"}\n");
        let next = client.next().unwrap();
        assert_eq!(
            next["id"], "end",
            "{who:?} of the dialogue at {begins_at} got {next}"
        );
    }
}

#[test]
fn every_dialogue_of_the_documentation_is_true() {
    let dialogues = dialogues();
    assert!(dialogues.len() >= 8, "only {} found", dialogues.len());
    for (begins_at, lines) in dialogues {
        play(begins_at, &lines);
    }
}

#[test]
fn every_method_notification_and_error_is_documented() {
    for word in [
        "session.report",
        "session.set",
        "session.list",
        "session.count",
        "session.get",
        "session.explain",
        "session.seen",
        "session.remove",
        "usage.get",
        "usage.changed",
        "subscribe",
        "hello",
        "daemon.status",
        "daemon.stop",
        "daemon.reload",
        "session.changed",
        "session.removed",
        "daemon.notice",
        "daemon.stopping",
    ] {
        assert!(PAGE.contains(&format!("| `{word}` |")), "{word}");
    }
    for code in [
        -32700, -32600, -32601, -32602, -32603, -32001, -32002, -32003, -32004, -32005, -32006,
    ] {
        assert!(PAGE.contains(&format!("| {code} |")), "{code}");
    }
    for field in json_fields() {
        assert!(PAGE.contains(&format!("`{field}`")), "{field}");
    }
}

/// The fields of a record with everything in it.
fn json_fields() -> Vec<String> {
    let line = include_str!("../golden/v1/notifications.jsonl")
        .lines()
        .nth(1)
        .unwrap();
    let Incoming::Notification(Notification::SessionChanged(changed)) =
        codec::incoming(line).unwrap()
    else {
        panic!("{line}");
    };
    let record = serde_json::to_value(&changed.session).unwrap();
    record.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn later_clients_are_understood() {
    for line in include_str!("../golden/v1/requests.jsonl").lines() {
        let decoded = codec::decode(line.as_bytes());
        let is_refused = matches!(decoded.message, codec::Message::Refused(_));
        assert!(!is_refused, "{:?}: {line}", decoded.message);
        let message: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            message["method"].as_str(),
            decoded.method.as_deref(),
            "{line}"
        );
    }
}

#[test]
fn later_notifications_are_understood() {
    let mut mirror = Mirror::default();
    let mut reasons = Vec::new();
    for line in include_str!("../golden/v1/notifications.jsonl").lines() {
        let read = codec::incoming(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let Incoming::Notification(notification) = read else {
            panic!("not known: {line}");
        };
        if let Notification::DaemonStopping(stopping) = &notification {
            reasons.push(stopping.reason);
        }
        mirror.apply(Update::Notification(notification));
    }
    assert_eq!(reasons, [StopReason::Unknown]);
    assert_eq!(mirror.seq(), 18);
    assert_eq!(mirror.notices().len(), 2);
    let keys: Vec<_> = mirror
        .sessions()
        .map(|session| (&*session.key, session.status))
        .collect();
    let expected = [
        ("claude-code-855-304111", Status::Unknown),
        ("k", Status::Error),
    ];
    assert_eq!(keys, expected);
}

#[test]
fn unknown_members_are_ignored() {
    for line in include_str!("../golden/v1/unknown.jsonl").lines() {
        let read = codec::incoming(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(matches!(read, Incoming::Unknown), "{line}: {read:?}");
    }
}

#[test]
fn later_answers_are_understood() {
    fn read<T: DeserializeOwned>(result: &str) {
        serde_json::from_str::<T>(result).unwrap_or_else(|error| panic!("{error}: {result}"));
    }
    for line in include_str!("../golden/v1/answers.jsonl").lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let answer = entry["answer"].to_string();
        let read_as = match entry["to"].as_str().unwrap() {
            "hello" => read::<HelloResult<'static>>,
            "session.report" => read::<ReportResult>,
            "session.set" | "session.get" | "session.seen" => read::<SessionResult<'static>>,
            "session.list" => read::<ListResult<'static>>,
            "session.count" => read::<CountResult<'static>>,
            "session.explain" => read::<ExplainResult<'static>>,
            "session.remove" => read::<RemoveResult<'static>>,
            "usage.get" | "usage.refresh" => read::<UsageResult<'static>>,
            "subscribe" => read::<Snapshot<'static>>,
            "daemon.status" => read::<StatusResult<'static>>,
            "daemon.stop" => read::<StopResult>,
            "daemon.reload" => read::<ReloadResult>,
            other => panic!("{other}"),
        };
        match codec::incoming(&answer).unwrap_or_else(|error| panic!("{error}: {line}")) {
            Incoming::Result { id: 1, result } => read_as(result.get()),
            Incoming::Error {
                id: Some(1) | None,
                error,
            } => assert!(error.code < 0, "{line}"),
            other => panic!("{line}: {other:?}"),
        }
    }
}
