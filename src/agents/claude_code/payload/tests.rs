//! The allow-list against a table of its own and an ordinary parser: whatever the document and its spelling, what goes
//! out is what the table allows.

use super::*;
use crate::agents::tolerant::filter;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::fmt::Write;

use self::Kind::{Array, Num, Object, Str, TextOrObject};

enum Kind {
    /// Cut to so many bytes.
    Str(usize),
    Num,
    Object(Allowed),
    Array(Allowed),
    TextOrObject(usize, Allowed),
}

type Allowed = &'static [(&'static str, Kind)];

const WINDOW: Allowed = &[("used_percentage", Num), ("resets_at", Num)];

/// Everything that may leave the agent's process.
const ALLOWED: Allowed = &[
    ("hook_event_name", Str(64)),
    ("session_id", Str(128)),
    ("cwd", Str(4096)),
    ("prompt_id", Str(64)),
    ("permission_mode", Str(32)),
    ("agent_id", Str(64)),
    ("source", Str(32)),
    ("trigger", Str(32)),
    ("reason", Str(64)),
    ("model", TextOrObject(64, &[("id", Str(64))])),
    ("session_title", Str(256)),
    ("prompt", Str(256)),
    ("tool_name", Str(128)),
    (
        "tool_input",
        Object(&[
            ("command", Str(256)),
            ("file_path", Str(512)),
            ("notebook_path", Str(512)),
            ("path", Str(512)),
            ("pattern", Str(256)),
            ("url", Str(256)),
            ("query", Str(256)),
            ("description", Str(256)),
        ]),
    ),
    ("notification_type", Str(64)),
    ("error", Str(64)),
    (
        "background_tasks",
        Array(&[("id", Str(64)), ("type", Str(32)), ("status", Str(32))]),
    ),
    ("session_crons", Array(&[("schedule", Str(64))])),
    ("session_name", Str(256)),
    ("context_window", Object(&[("used_percentage", Num)])),
    ("cost", Object(&[("total_cost_usd", Num)])),
    (
        "rate_limits",
        Object(&[("five_hour", Object(WINDOW)), ("seven_day", Object(WINDOW))]),
    ),
];

/// Keys of the table, and some that are like them.
const KEYS: &[&str] = &[
    "hook_event_name",
    "cwd",
    "model",
    "id",
    "tool_input",
    "command",
    "path",
    "background_tasks",
    "type",
    "rate_limits",
    "five_hour",
    "resets_at",
    "cost",
    "total_cost_usd",
    "tool_response",
    "content",
    "transcript_path",
    "model.id",
    "display_name",
    "",
];

fn kept(document: &[u8]) -> Option<Value> {
    let event = filter::<Payload>(document).ok()?;
    Some(serde_json::from_str(event.get()).unwrap())
}

/// What should be kept of an object.
fn pruned(object: &Map<String, Value>, allowed: Allowed) -> Map<String, Value> {
    let keep = |(key, kind): &(&str, Kind)| {
        let text = |text: &str, limit| Some(cut(text, limit)).filter(|text| !text.is_empty());
        let value = match (kind, object.get(*key)?) {
            (Str(limit) | TextOrObject(limit, _), Value::String(long)) => {
                text(long, *limit)?.into()
            }
            (Num, Value::Number(number)) => number.clone().into(),
            (TextOrObject(_, fields), Value::Object(object)) => pruned(object, fields).into(),
            (Object(fields), Value::Object(object)) => Some(pruned(object, fields))
                .filter(|part| !part.is_empty())?
                .into(),
            (Array(fields), Value::Array(elements)) => {
                let objects = elements.iter().filter_map(Value::as_object).take(MAX_TASKS);
                let kept: Vec<_> = objects.map(|object| pruned(object, fields)).collect();
                Some(kept).filter(|list| !list.is_empty())?.into()
            }
            _ => return None,
        };
        Some(((*key).to_owned(), value))
    };
    allowed.iter().filter_map(keep).collect()
}

fn cut(text: &str, limit: usize) -> String {
    let mut length = 0;
    let fits = |char: &char| {
        length += json!(char).to_string().len() - 2;
        length <= limit
    };
    text.chars().take_while(fits).collect()
}

/// Any spelling of a document: `choices` says where white space goes, what is escaped, in which order members come and
/// which key comes again, with another value.
fn spell(value: &Value, choices: &mut impl Iterator<Item = u8>, out: &mut String) {
    let mut choose = |of: u8| choices.next().unwrap_or(0) % of;
    out.push_str(["", "", "", " ", "\n\t", "\r\n"][usize::from(choose(6))]);
    match value {
        Value::Object(object) => {
            let mut members: Vec<_> = object.iter().collect();
            if !members.is_empty() {
                let middle = usize::from(choose(255)) % members.len();
                members.rotate_left(middle);
            }
            out.push('{');
            for (index, (key, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                spell(&Value::String(key.clone()), choices, out);
                out.push_str([" : ", ":"][usize::from(choices.next().unwrap_or(0) % 2)]);
                spell(value, choices, out);
            }
            if let Some(key) = object
                .keys()
                .next()
                .filter(|_| choices.next().is_some_and(|choice| choice < 80))
            {
                out.push(',');
                spell(&Value::String(key.clone()), choices, out);
                out.push(':');
                let values = ["\"b\"", "{\"id\":\"b\"}", "[{\"id\":\"b\"}]", "7"];
                out.push_str(values[usize::from(choices.next().unwrap_or(0) % 4)]);
            }
            out.push_str("\n}");
        }
        Value::Array(elements) => {
            out.push('[');
            for (index, value) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                spell(value, choices, out);
            }
            out.push_str(" ]");
        }
        Value::String(text) => {
            out.push('"');
            for char in text.chars() {
                if choose(4) == 0 || char < ' ' || char == '"' || char == '\\' {
                    for unit in char.encode_utf16(&mut [0; 2]) {
                        write!(out, "\\u{unit:04X}").unwrap();
                    }
                } else {
                    out.push(char);
                }
            }
            out.push('"');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
    out.push_str(["", " "][usize::from(choices.next().unwrap_or(0) % 2)]);
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(KEYS).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        3 => any::<String>().prop_map(Value::from),
        1 => "[\"\\\\\u{1}é😀a]{0,300}".prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        // The parser is allowed to miss a double's last bit.
        1 => any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(5, 60, 40, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..40).prop_map(Value::from),
            3 => any_object(inner).prop_map(Value::from),
        ]
    })
}

fn any_object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((any_key(), value), 0..10).prop_map(Map::from_iter)
}

proptest! {
    #[test]
    fn any_document_in_any_spelling_is_pruned(object in any_object(any_value()), choices: Vec<u8>) {
        let expected = Value::Object(pruned(&object, ALLOWED));
        let mut document = String::new();
        let mut choices = choices.iter().copied().cycle().take(100_000);
        spell(&Value::Object(object), &mut choices, &mut document);
        prop_assert_eq!(kept(document.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn what_is_kept_is_kept_again(object in any_object(any_value())) {
        let once = filter::<Payload>(Value::Object(object).to_string().as_bytes()).unwrap();
        let twice = filter::<Payload>(once.get().as_bytes()).unwrap();
        prop_assert_eq!(once.get(), twice.get());
    }

    #[test]
    fn a_document_that_breaks_off_is_none(object in any_object(any_value()), at: prop::sample::Index) {
        let document = Value::Object(object).to_string();
        let end = at.index(document.len());
        prop_assert!(filter::<Payload>(&document.as_bytes()[..end]).is_err());
    }

    #[test]
    fn garbage_is_none_or_harmless(
        object in any_object(any_value()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut document = Value::Object(object).to_string().into_bytes();
        for (at, byte) in changes {
            let at = at.index(document.len());
            document[at] = byte;
        }
        let out = kept(&document);
        if let Some(out) = &out {
            prop_assert!(out.is_object());
        }
        if serde_json::from_slice::<Map<String, Value>>(&document).is_ok() {
            prop_assert!(out.is_some());
        }
    }

    #[test]
    fn noise_is_none_or_harmless(noise in "[\\[\\]{}\":,.0-9eE+\\-truefalsn\\\\ ]{0,40}") {
        let out = kept(noise.as_bytes());
        prop_assert_eq!(out.is_some(), serde_json::from_str::<Map<String, Value>>(&noise).is_ok());
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced(bytes: Vec<u8>) {
        let bytes: Vec<u8> = bytes.into_iter().filter(|byte| !matches!(byte, b'"' | b'\\')).collect();
        let document = [b"{\"prompt\":\"", &bytes[..], b"\"}"].concat();
        let text = String::from_utf8_lossy(&bytes).replace(|char| char < ' ', " ");
        let object = json!({"prompt": text}).as_object().unwrap().clone();
        prop_assert_eq!(kept(&document).unwrap(), Value::Object(pruned(&object, ALLOWED)));
    }
}

#[test]
fn what_is_kept_has_the_shape_it_had() {
    let document = json!({
        "cwd": "n", "other": {"cwd": "no"}, "model": {"id": "m", "display_name": "no"}, "tool_response": "no",
        "background_tasks": [{"id": "1", "output": "no"}, 5, [{"id": "no"}], {}, {"id": ["no"]}],
        "rate_limits": {"five_hour": {"used_percentage": 12.5}, "seven_day": "no"},
        "tool_input": ["no"], "prompt": {"text": "no"},
    });
    assert_eq!(
        kept(document.to_string().as_bytes()).unwrap(),
        json!({
            "cwd": "n", "model": {"id": "m"}, "background_tasks": [{"id": "1"}, {}, {}],
            "rate_limits": {"five_hour": {"used_percentage": 12.5}},
        })
    );
    assert_eq!(
        kept(br#"{"model":"opus"}"#).unwrap(),
        json!({"model": "opus"})
    );
}

#[test]
fn a_key_is_compared_as_it_reads() {
    assert_eq!(kept(br#"{"\u0063wd":"a"}"#).unwrap(), json!({"cwd": "a"}));
    assert_eq!(kept(br#"{"model.id":"a"}"#).unwrap(), json!({}));
    let long = format!("{{\"{}\":\"a\",\"cwd\":\"b\"}}", "cwd".repeat(1000));
    assert_eq!(kept(long.as_bytes()).unwrap(), json!({"cwd": "b"}));
}

#[test]
fn of_a_repeated_key_the_first_value_counts() {
    let cases = [
        (
            r#"{"cwd":"a","prompt":"p","cwd":"b","\u0063wd":["c"]}"#,
            json!({"cwd": "a", "prompt": "p"}),
        ),
        // A value that cannot be used costs its own field alone.
        (
            r#"{"cwd":7,"prompt":"p","cwd":"b"}"#,
            json!({"prompt": "p"}),
        ),
        (
            r#"{"tool_input":{"command":"a","command":"b","path":"p","command":{}},"cwd":"c"}"#,
            json!({"tool_input": {"command": "a", "path": "p"}, "cwd": "c"}),
        ),
        (
            r#"{"tool_input":{"path":"p"},"tool_input":{"command":"b"},"cwd":"c"}"#,
            json!({"tool_input": {"path": "p"}, "cwd": "c"}),
        ),
        (
            r#"{"background_tasks":[{"id":"1","type":"a","id":"2","type":"b"},{"id":"3"}],"cwd":"c"}"#,
            json!({"background_tasks": [{"id": "1", "type": "a"}, {"id": "3"}], "cwd": "c"}),
        ),
        (
            r#"{"model":{"id":"m","display_name":"no","id":"n"},"model":"o"}"#,
            json!({"model": {"id": "m"}}),
        ),
        (
            r#"{"rate_limits":{"five_hour":{"resets_at":1,"resets_at":2}},"cost":{"total_cost_usd":1,"total_cost_usd":2}}"#,
            json!({"rate_limits": {"five_hour": {"resets_at": 1}}, "cost": {"total_cost_usd": 1}}),
        ),
        // A key that is not allowed stays out, however often it comes.
        (
            r#"{"tool_response":"no","tool_response":"no","tool_input":{"content":"no","content":"no"},"cwd":"c"}"#,
            json!({"cwd": "c"}),
        ),
    ];
    for (document, expected) in cases {
        assert_eq!(kept(document.as_bytes()), Some(expected), "{document}");
    }
    // What is skipped must be JSON all the same.
    assert_eq!(kept(br#"{"cwd":"a","cwd":}"#), None);
}

#[test]
fn numbers_out_of_bounds_are_dropped() {
    assert_eq!(
        kept(br#"{"cost":{"total_cost_usd":1e999},"context_window":{"used_percentage":-0.5e-3}}"#)
            .unwrap(),
        json!({"context_window": {"used_percentage": -0.5e-3}})
    );
}

#[test]
fn what_is_no_object_is_none() {
    for document in [
        "",
        " ",
        "null",
        "1",
        "\"{}\"",
        "[]",
        "[{}]",
        "[\"Stop\"]",
        "{}{}",
        "{} x",
        "{]",
        "{\"a\":[}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":[1,]}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":-}",
        "{\"a\":1e}",
        "{\"a\":+1}",
        "{\"a\":tru}",
        "{\"a\":truee}",
        "{\"a\" 1}",
        "{a:1}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "\u{feff}{}",
        "}",
    ] {
        assert_eq!(kept(document.as_bytes()), None, "{document}");
    }
    assert_eq!(kept(b" {} \n").unwrap(), json!({}));
}

#[test]
fn ten_megabytes_are_passed_over() {
    let output = "a \\\"line\\\" of output\\n".repeat(500_000);
    assert!(output.len() > 10_000_000);
    let document = format!("{{\"other\":\"{output}\",\"error\":\"{output}\",\"cwd\":\"n\"}}");
    let line = "a \"line\" of output\n";
    let expected = cut(&line.repeat(4), 64);
    assert_eq!(
        kept(document.as_bytes()).unwrap(),
        json!({"error": expected, "cwd": "n"})
    );
}

#[test]
fn deep_nesting_is_passed_over() {
    for key in [
        "x",
        "cwd",
        "model",
        "tool_input",
        "background_tasks",
        "cost",
    ] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{\"cost\":[", "]}")] {
            let levels = 100_000;
            let document = format!(
                "{{\"prompt\":\"n\",\"{key}\":{}null{}}}",
                open.repeat(levels),
                close.repeat(levels)
            );
            let mut kept = kept(document.as_bytes()).unwrap();
            if key == "model" && kept["model"] == json!({}) {
                kept.as_object_mut().unwrap().remove("model");
            }
            assert_eq!(kept, json!({"prompt": "n"}), "{key} {open}");
        }
    }
}

/// A document that has every field of the table, each beyond its limit.
fn fullest(allowed: Allowed) -> Map<String, Value> {
    let long = || Value::from("\u{1}".repeat(700));
    let field = |(key, kind): &(&str, Kind)| {
        let value = match kind {
            Str(_) => long(),
            Num => f64::MIN_POSITIVE.into(),
            Object(fields) | TextOrObject(_, fields) => fullest(fields).into(),
            Array(fields) => vec![fullest(fields); 2 * MAX_TASKS].into(),
        };
        ((*key).to_owned(), value)
    };
    allowed.iter().map(field).collect()
}

/// The hook's line may have 64 KiB; what it has besides the event is far less than half of it.
#[test]
fn the_fullest_event_is_less_than_half_a_line() {
    let document = fullest(ALLOWED);
    let event = filter::<Payload>(Value::Object(document.clone()).to_string().as_bytes()).unwrap();
    assert!(event.get().len() < 32 * 1024, "{}", event.get().len());
    let kept: Map<String, Value> = serde_json::from_str(event.get()).unwrap();
    assert_eq!(kept.len(), document.len());
}
