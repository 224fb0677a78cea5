//! One field of a wrong type costs that field: each recorded document, with each of its fields replaced by each value of
//! another type, reads as it does without that field.

use super::super::StatusLine;
use super::*;
use serde_json::{Value, json};

/// Paths to every value of an object, through objects and arrays.
fn paths(value: &Value) -> Vec<String> {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(object) => {
            let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
            let members = object.iter();
            members
                .map(|(key, value)| (format!("/{}", escaped(key)), value))
                .collect()
        }
        Value::Array(elements) => {
            let elements = elements.iter().enumerate();
            elements
                .map(|(at, value)| (format!("/{at}"), value))
                .collect()
        }
        _ => Vec::new(),
    };
    let with_inner = |(path, value): (String, &Value)| {
        let below = paths(value).into_iter();
        let below: Vec<_> = below.map(|rest| format!("{path}{rest}")).collect();
        [vec![path], below].concat()
    };
    inner.into_iter().flat_map(with_inner).collect()
}

fn without(document: &Value, path: &str) -> Value {
    let mut document = document.clone();
    let (parent, last) = path.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(object) => {
            object.remove(&last.replace("~1", "/").replace("~0", "~"));
        }
        // Elements keep their places.
        Value::Array(elements) => elements[last.parse::<usize>().unwrap()] = Value::Null,
        _ => unreachable!(),
    }
    document
}

/// Values of each type, one out of range, and half a surrogate pair.
const WRONG: [&str; 8] = [
    "null",
    "true",
    "-7.5",
    "1e999",
    "\"?\"",
    "\"\\ud800\"",
    "[{\"id\":[]},[]]",
    "{\"id\":{},\"?\":[1e999]}",
];

/// Spellings of values, of which those of the type of `value` are left out.
fn wrong(value: &Value) -> impl Iterator<Item = &'static str> {
    let is_same = match value {
        Value::Null => |spelled: &str| spelled == "null",
        Value::Bool(_) => |spelled: &str| spelled == "true",
        Value::Number(_) => |spelled: &str| spelled == "-7.5",
        Value::String(_) => |spelled: &str| spelled.starts_with('"'),
        Value::Array(_) => |spelled: &str| spelled.starts_with('['),
        Value::Object(_) => |spelled: &str| spelled.starts_with('{'),
    };
    WRONG.into_iter().filter(move |spelled| !is_same(spelled))
}

/// Checks `read` on the document with each field replaced. The types of some fields are a choice: those are left out.
fn check<T: PartialEq + std::fmt::Debug>(
    document: &Value,
    choices: &[&str],
    read: impl Fn(&[u8]) -> T,
) {
    for path in paths(document) {
        if choices.contains(&path.as_str()) {
            continue;
        }
        let expected = read(without(document, &path).to_string().as_bytes());
        let value = document.pointer(&path).unwrap();
        for spelled in wrong(value) {
            let mut changed = document.clone();
            *changed.pointer_mut(&path).unwrap() = "@".into();
            let changed = changed.to_string().replace("\"@\"", spelled);
            assert_eq!(read(changed.as_bytes()), expected, "{path} = {spelled}");
        }
        if let Value::Number(number) = value {
            let mut changed = document.clone();
            *changed.pointer_mut(&path).unwrap() = number.to_string().into();
            let as_text = read(changed.to_string().as_bytes());
            assert_eq!(
                as_text,
                read(document.to_string().as_bytes()),
                "{path} as a text"
            );
        }
    }
}

/// As the daemon gets it: filtered by the hook, then interpreted.
fn event(payload: &[u8]) -> Option<AgentEvent> {
    let filtered = filter::<Payload>(payload).unwrap();
    interpret(filtered.get(), 0)
}

fn recorded(member: &str) -> Vec<Value> {
    let recordings = [
        include_str!("traces/perm.jsonl"),
        include_str!("traces/subagent.jsonl"),
        include_str!("traces/errors.jsonl"),
        include_str!("traces/clear.jsonl"),
    ];
    let lines = recordings.iter().flat_map(|recording| recording.lines());
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter_map(|line| line.get(member).filter(|value| value.is_object()).cloned())
        .collect()
}

#[test]
fn a_field_of_a_hooks_event_costs_itself() {
    let events = recorded("hook");
    assert!(events.len() > 50);
    for payload in events {
        // A model is a name or an object.
        check(&payload, &["/model"], event);
    }
}

/// With the limits of an account, which the recordings do not have.
fn status_lines() -> Vec<Value> {
    let mut lines = recorded("statusline");
    assert!(!lines.is_empty());
    lines.truncate(3);
    for line in &mut lines {
        line["rate_limits"] = json!({
            "five_hour": {"used_percentage": 42.5, "resets_at": 1_790_000_000},
            "seven_day": {"used_percentage": 7, "resets_at": 1_790_300_000},
        });
    }
    lines
}

#[test]
fn a_field_of_a_status_line_costs_itself() {
    let shown =
        |payload: &[u8]| -> StatusLine { status_line::read(str::from_utf8(payload).unwrap()) };
    for line in status_lines() {
        check(&line, &["/model"], event);
        check(&line, &[], shown);
    }
}

#[test]
fn a_field_of_a_registry_entry_costs_itself() {
    let entries = recorded("value");
    assert!(entries.len() > 10);
    for entry in entries {
        let pid = entry["pid"].as_u64().unwrap().try_into().unwrap();
        let read = |contents: &[u8]| registry::read_entry(contents, pid, Some(1));
        assert!(read(entry.to_string().as_bytes()).is_some());
        // A start time of another type refuses the entry.
        check(&entry, &["/procStart"], read);
    }
}
