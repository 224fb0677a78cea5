//! The scanner against `serde_json`: whatever document, spelling and portions, what goes out is what an ordinary parser
//! and a simple pruning make of it.

use super::*;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::fmt::Write;

const fn field(path: &'static str, limit: usize) -> Field {
    Field { path, limit }
}

/// All that a table can hold: ends and ways of the same name, long ways, small limits.
const FIELDS: &[Field] = &[
    field("name", 8),
    field("text", 24),
    field("model", 16),
    field("model.id", 16),
    field("tasks.id", 6),
    field("tasks.tags.word", 6),
    field("a.b.c.d", 9),
];

const KEYS: &[&str] = &[
    "name", "text", "model", "id", "tasks", "tags", "word", "a", "b", "c", "d", "model.id", "",
];

/// The bytes kept of `document`, fed in portions of the given sizes, if it is whole.
fn scan(document: &[u8], portions: &[usize]) -> Option<Vec<u8>> {
    let mut scanner = Scanner::new(FIELDS, Vec::new(), usize::MAX);
    let mut rest = document;
    for &size in portions {
        let (portion, after) = rest.split_at(size.min(rest.len()));
        scanner.feed(portion);
        rest = after;
    }
    scanner.feed(rest);
    let (out, whole) = scanner.finish();
    whole.then_some(out)
}

fn kept(document: &[u8]) -> Option<Value> {
    scan(document, &[]).map(|out| serde_json::from_slice(&out).unwrap())
}

/// What should be kept of an object.
fn pruned(object: &Map<String, Value>, prefix: &str) -> Value {
    let mut kept = Map::new();
    for field in FIELDS {
        let Some(rest) = field.path.strip_prefix(prefix) else {
            continue;
        };
        let key = rest.split('.').next().unwrap();
        let inside = format!("{prefix}{key}.");
        let value = match object.get(key) {
            Some(value) if rest == key => scalar(value, field.limit),
            Some(Value::Object(object)) => Some(pruned(object, &inside)),
            Some(Value::Array(elements)) => Some(
                elements
                    .iter()
                    .filter_map(Value::as_object)
                    .take(ELEMENTS)
                    .map(|element| pruned(element, &inside))
                    .collect(),
            ),
            _ => None,
        };
        if let Some(value) = value {
            kept.insert(key.to_owned(), value);
        }
    }
    Value::Object(kept)
}

fn scalar(value: &Value, limit: usize) -> Option<Value> {
    match value {
        Value::String(text) => {
            let mut length = 0;
            let fits = |char: &char| {
                length += json!(char).to_string().len() - 2;
                length <= limit
            };
            Some(text.chars().take_while(fits).collect::<String>().into())
        }
        Value::Number(number) => (number.to_string().len() <= limit).then(|| value.clone()),
        Value::Bool(_) | Value::Null => Some(value.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Any spelling of a document: `choices` says where white space goes, what is escaped and in which order members come.
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
        1 => "[\"\\\\\u{1}é😀a]{0,12}".prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u8>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
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
    fn any_document_in_any_spelling_and_portions_is_pruned(
        object in any_object(any_value()),
        choices: Vec<u8>,
        portions in prop::collection::vec(0..20_usize, 0..100),
    ) {
        // As it reads back: the parser is allowed to miss a double's last bit.
        let expected: Value = serde_json::from_str(&pruned(&object, "").to_string()).unwrap();
        let mut document = String::new();
        let mut choices = choices.iter().copied().cycle().take(100_000);
        spell(&Value::Object(object), &mut choices, &mut document);
        let whole = scan(document.as_bytes(), &[]).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Value>(&whole).unwrap(), expected);
        prop_assert_eq!(scan(document.as_bytes(), &portions).unwrap(), whole.clone());
        let single = vec![1; document.len()];
        prop_assert_eq!(scan(document.as_bytes(), &single).unwrap(), whole);
    }

    #[test]
    fn a_document_that_breaks_off_is_none(object in any_object(any_value()), at: prop::sample::Index) {
        let document = Value::Object(object).to_string();
        let end = at.index(document.len());
        prop_assert_eq!(scan(&document.as_bytes()[..end], &[]), None);
    }

    #[test]
    fn what_does_not_fit_is_dropped(object in any_object(any_value()), room in 0..200_usize) {
        let mut scanner = Scanner::new(FIELDS, b"{\"event\":".to_vec(), room + 30);
        scanner.feed(Value::Object(object).to_string().as_bytes());
        let (mut out, whole) = scanner.finish();
        prop_assert!(whole);
        prop_assert!(out.len() <= room + 30);
        out.push(b'}');
        let line = serde_json::from_slice::<Value>(&out);
        prop_assert!(line.unwrap()["event"].is_object());
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
        let out = scan(&document, &[]);
        if let Some(out) = &out {
            prop_assert!(serde_json::from_slice::<Map<String, Value>>(out).is_ok());
        }
        if serde_json::from_slice::<Map<String, Value>>(&document).is_ok() {
            prop_assert!(out.is_some());
        }
    }

    #[test]
    fn noise_is_none_or_harmless(noise in "[\\[\\]{}\":,.0-9eE+\\-truefalsn\\\\ ]{0,40}") {
        let out = scan(noise.as_bytes(), &[]);
        prop_assert_eq!(out.is_some(), serde_json::from_str::<Map<String, Value>>(&noise).is_ok());
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced(bytes: Vec<u8>, portions in prop::collection::vec(0..4_usize, 0..20)) {
        let bytes: Vec<u8> = bytes.into_iter().filter(|byte| !matches!(byte, b'"' | b'\\')).collect();
        let document = [b"{\"text\":\"", &bytes[..], b"\"}"].concat();
        let out: Value = serde_json::from_slice(&scan(&document, &portions).unwrap()).unwrap();
        let text = String::from_utf8_lossy(&bytes).replace(|char| char < ' ', "");
        prop_assert_eq!(&out["text"], &scalar(&Value::from(text), 24).unwrap());
    }

    #[test]
    fn plain_bytes_are_those_before_a_quote_or_backslash(bytes in prop::collection::vec(prop_oneof![4 => any::<u8>(), 1 => Just(b'"'), 1 => Just(b'\\')], 0..40)) {
        let expected = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\'));
        prop_assert_eq!(plain_bytes(&bytes), expected.unwrap_or(bytes.len()));
    }
}

#[test]
fn what_is_kept_has_the_shape_it_had() {
    let document = json!({
        "name": "n", "other": {"name": "no"}, "model": {"id": "m", "display": "no"},
        "tasks": [{"id": "1", "status": "no", "tags": [{"word": "w"}]}, 5, [{"id": "no"}], {}, {"id": ["no"]}],
        "a": [{"b": {"c": {"d": 12.5}}}, {"b": "no"}],
    });
    assert_eq!(
        kept(document.to_string().as_bytes()).unwrap(),
        json!({
            "name": "n", "model": {"id": "m"},
            "tasks": [{"id": "1", "tags": [{"word": "w"}]}, {}, {}],
            "a": [{"b": {"c": {"d": 12.5}}}, {}],
        })
    );
    assert_eq!(kept(br#"{"tasks":[]}"#).unwrap(), json!({"tasks": []}));
    assert_eq!(
        kept(br#"{"model":"opus"}"#).unwrap(),
        json!({"model": "opus"})
    );
}

#[test]
fn a_text_is_cut_between_characters() {
    let cases = [
        (r"12345678", "12345678"),
        (r"123456789", "12345678"),
        (r"1234567\n9", "1234567"),
        (r"123456\n9", "123456\n"),
        (r"1234567é", "1234567"),
        (r"12345\ud83d\ude00", "12345"),
        (r"1234\ud83d\ude00", "1234😀"),
        (r"123\u0001", "123"),
        (r"12\u0001", "12\u{1}"),
        (r"\u0041\u0042", "AB"),
        // Once cut, a shorter character does not follow.
        (r"1234567é8", "1234567"),
    ];
    for (spelled, expected) in cases {
        let document = format!("{{\"name\":\"{spelled}\",\"text\":\"after\"}}");
        let kept = kept(document.as_bytes()).unwrap();
        assert_eq!(
            kept,
            json!({"name": expected, "text": "after"}),
            "{spelled}"
        );
    }
}

#[test]
fn half_a_surrogate_pair_is_replaced() {
    let cases = [
        (r"\ud83d", "\u{fffd}"),
        (r"\ude00", "\u{fffd}"),
        (r"\ud83dx", "\u{fffd}x"),
        (r"\ud83d\n", "\u{fffd}\n"),
        (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
        (r"\ud83d\u0041", "\u{fffd}A"),
        (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
    ];
    for (spelled, expected) in cases {
        let document = format!("{{\"text\":\"{spelled}\"}}");
        assert_eq!(
            kept(document.as_bytes()).unwrap(),
            json!({"text": expected}),
            "{spelled}"
        );
    }
}

#[test]
fn the_first_of_equal_keys_counts() {
    let document = br#"{"name":"a","name":"b","tasks":[{"id":"x","id":"y"}],"tasks":[{"id":"z"}],"model":{},"model":"m"}"#;
    let out = scan(document, &[]).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"name":"a","tasks":[{"id":"x"}],"model":{}}"#
    );
}

#[test]
fn a_key_is_compared_as_it_reads() {
    assert_eq!(kept(br#"{"\u006eame":"a"}"#).unwrap(), json!({"name": "a"}));
    assert_eq!(kept(br#"{"model.id":"a"}"#).unwrap(), json!({}));
    let long = format!("{{\"{}\":\"a\",\"name\":\"b\"}}", "name".repeat(1000));
    assert_eq!(kept(long.as_bytes()).unwrap(), json!({"name": "b"}));
}

#[test]
fn numbers_out_of_bounds_are_dropped() {
    let cases: [(&[u8], Value); 5] = [
        (
            br#"{"name":1e999,"text":-0.5e-3}"#,
            json!({"text": -0.5e-3}),
        ),
        (br#"{"name":12345678}"#, json!({"name": 12_345_678})),
        (br#"{"name":123456789,"text":"t"}"#, json!({"text": "t"})),
        (br#"{"text":"t","name":123456789}"#, json!({"text": "t"})),
        (br#"{"name":1 }"#, json!({"name": 1})),
    ];
    for (document, expected) in cases {
        assert_eq!(kept(document).unwrap(), expected);
    }
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
        assert_eq!(scan(document.as_bytes(), &[]), None, "{document}");
    }
    assert_eq!(kept(b" {} \n").unwrap(), json!({}));
}

#[test]
fn ten_megabytes_are_passed_over() {
    let output = "a \\\"line\\\" of output\\n".repeat(500_000);
    assert!(output.len() > 10_000_000);
    let document = format!("{{\"other\":\"{output}\",\"text\":\"{output}\",\"name\":\"n\"}}");
    let mut scanner = Scanner::new(FIELDS, Vec::new(), usize::MAX);
    for portion in document.as_bytes().chunks(65_536) {
        scanner.feed(portion);
    }
    let (out, whole) = scanner.finish();
    assert!(whole);
    assert!(out.len() < 100 && out.capacity() < 1000);
    let out: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        out,
        json!({"text": "a \"line\" of output\na ", "name": "n"})
    );
}

#[test]
fn deep_nesting_costs_a_bit_a_level() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{\"tasks\":[", "]}")] {
        let levels = 100_000;
        let mut document = "{\"name\":\"n\",\"x\":".to_owned();
        document.push_str(&open.repeat(levels));
        document.push_str("null");
        document.push_str(&close.repeat(levels));
        document.push('}');
        // "{"tasks":[null]}" would do, but an object's key needs a value.
        let document = document.replace("[null]", "[]");
        let mut scanner = Scanner::new(FIELDS, Vec::new(), usize::MAX);
        scanner.feed(document.as_bytes());
        assert!(scanner.levels.len() <= 2 * levels / 8 + 2);
        let (out, whole) = scanner.finish();
        assert!(whole, "{open}");
        assert_eq!(out, b"{\"name\":\"n\"}");
    }
    let mut scanner = Scanner::new(FIELDS, Vec::new(), usize::MAX);
    scanner.feed(b"{\"a\":");
    for _ in 0..3 {
        scanner.feed(&vec![b'['; DEPTH]);
    }
    assert!(scanner.levels.len() <= DEPTH / 8 + 1);
    assert!(!scanner.finish().1);
}
