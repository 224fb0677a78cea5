//! Lines in any pieces, anything as a line, and each answer in its place.

mod parameters;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::agents;
use crate::event::{Report, ReportedProcess};
use crate::protocol::KEY_LIMIT;

fn no_files() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn pushed(framer: &mut Framer, bytes: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut lines = Vec::new();
    framer.push(bytes, |line| lines.push(line.to_vec()))?;
    Ok(lines)
}

/// The error that a line gets: its id, its code, its message.
#[track_caller]
fn refused(line: impl AsRef<[u8]>) -> (String, i32, String) {
    let decoded = decode(line.as_ref());
    let Message::Refused(refusal) = decoded.message else {
        panic!("{:?} is no refusal", decoded.message);
    };
    let id = decoded.id.expect("an answer");
    (id.0.into(), refusal.code as i32, refusal.message)
}

#[track_caller]
fn assert_hello(message: &Message<'_>) {
    assert!(
        matches!(message, Message::Request(Request::Hello(_))),
        "{message:?}"
    );
}

fn call(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

proptest! {
    #![proptest_config(no_files())]

    #[test]
    fn a_stream_in_any_pieces_gives_its_lines(
        lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
        rest in prop::collection::vec(any::<u8>(), 0..40),
        sizes in prop::collection::vec(1..30_usize, 1..40),
    ) {
        let without_feed = |bytes: &Vec<u8>| -> Vec<u8> {
            bytes.iter().copied().filter(|&byte| byte != b'\n').collect()
        };
        let lines: Vec<_> = lines.iter().map(without_feed).collect();
        let rest = without_feed(&rest);
        let mut stream = Vec::new();
        for line in &lines {
            stream.extend_from_slice(line);
            stream.push(b'\n');
        }
        stream.extend_from_slice(&rest);

        let mut framer = Framer::default();
        let (mut got, mut left) = (Vec::new(), &stream[..]);
        for size in sizes.into_iter().cycle() {
            let (head, tail) = left.split_at(size.min(left.len()));
            got.extend(pushed(&mut framer, head).unwrap());
            left = tail;
            if left.is_empty() {
                break;
            }
        }
        prop_assert_eq!(got, lines);
        prop_assert_eq!(framer.is_partial(), !rest.is_empty());
    }

    #[test]
    fn any_bytes_are_a_request_or_refused(line in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&line);
    }

    /// Requests with a few bytes changed: nearer to what could go wrong than noise.
    #[test]
    fn any_damaged_request_is_a_request_or_refused(
        line in select(GOOD),
        changes in prop::collection::vec((any::<prop::sample::Index>(), damage()), 0..4),
    ) {
        let mut line = line.as_bytes().to_vec();
        for (place, with) in changes {
            let place = place.index(line.len());
            line.splice(place..=place, with.bytes());
        }
        check(&line);
    }

    #[test]
    fn what_goes_out_is_one_line_and_says_what_was_meant(
        id in any::<String>(),
        message in any::<String>(),
    ) {
        let line = json!({"jsonrpc": "2.0", "id": id, "method": "hello"}).to_string();
        let echoed = decode(line.as_bytes()).id.unwrap();
        let out = error(&echoed, ErrorCode::InvalidParams, &message);
        prop_assert_eq!(out.iter().position(|&byte| byte == b'\n'), Some(out.len() - 1));
        let answer: Value = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(
            answer,
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32602, "message": message}})
        );
    }

    /// Whatever the daemon says, a client does not fall over it.
    #[test]
    fn a_client_reads_anything(line in any::<String>()) {
        let _ = incoming(&line);
    }
}

const GOOD: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":1,"method":"hello","params":{"client":"bar","version":"1"}}"#,
    r#"{"jsonrpc":"2.0","id":"x","method":"session.get","params":{"session":"job"}}"#,
    r#"{"jsonrpc":"2.0","method":"session.set","params":{"session":"job","status":"waiting","waiting_for":"plan","pid":7}}"#,
    r#"{"jsonrpc":"2.0","method":"session.report","params":{"agent":"claude-code","at":1,"pid":2,"process_start":3,"attended":true,"terminal":{"tty":"/dev/pts/1"},"event":{"hook_event_name":"Stop","session_id":"a","background_tasks":[{"id":"b","type":"shell","status":"running"}],"tool_input":{"command":"x"}}}}"#,
    r#"{"jsonrpc":"2.0","id":null,"method":"daemon.stop","params":{"force":false}}"#,
    r#"{"jsonrpc":"2.0","id":-1.5e3,"method":"session.list","params":{"include_closed":true}}"#,
];

fn damage() -> impl Strategy<Value = &'static str> {
    select(&[
        "", "\"", "{", "}", "[", "]", "null", "-1", "\\", "\u{e9}", ",", "1e999", "true", "\0",
    ])
}

fn check(line: &[u8]) {
    let decoded = decode(line);
    if let Message::Refused(refusal) = decoded.message {
        assert!(refusal.message.chars().count() <= 2 * TEXT_LIMIT);
        assert!(!refusal.message.is_empty() && !refusal.message.contains('\n'));
        let requests_fault = matches!(
            refusal.code,
            ErrorCode::MethodNotFound | ErrorCode::InvalidParams
        );
        // Only a notification goes unanswered, and what is no request is none.
        assert!(requests_fault || decoded.id.is_some());
    }
    if let Some(id) = decoded.id {
        let out = error(&id, ErrorCode::InvalidParams, "");
        // An id may be a number that no number of ours holds.
        let _: serde::de::IgnoredAny =
            serde_json::from_slice(&out).expect("the id is echoed as JSON");
    }
}

#[test]
fn a_line_may_have_so_many_bytes_and_no_more() {
    let longest = ["x".repeat(MAX_LINE - 1).as_bytes(), b"\n"].concat();
    let too_long = ["x".repeat(MAX_LINE).as_bytes(), b"\n"].concat();
    for piece in [1000, MAX_LINE - 1, MAX_LINE, MAX_LINE + 1] {
        let mut framer = Framer::default();
        let mut lines = Vec::new();
        for bytes in longest.chunks(piece) {
            lines.extend(pushed(&mut framer, bytes).unwrap());
        }
        assert_eq!(lines, [&longest[..MAX_LINE - 1]], "in pieces of {piece}");

        let mut framer = Framer::default();
        let refusal = too_long
            .chunks(piece)
            .find_map(|bytes| pushed(&mut framer, bytes).err());
        assert_eq!(refusal, Some(Refusal::too_long()), "in pieces of {piece}");
    }
    // No need to wait for the end of a line that is too long already.
    let mut framer = Framer::default();
    pushed(&mut framer, &too_long[..MAX_LINE - 1]).unwrap();
    assert!(framer.is_partial());
    assert_eq!(pushed(&mut framer, b"x"), Err(Refusal::too_long()));
    // What came whole before it is not lost.
    let mut lines = Vec::new();
    let stream = [b"one\n", &too_long[..]].concat();
    let refusal = Framer::default().push(&stream, |line| lines.push(line.to_vec()));
    assert_eq!(
        (lines, refusal),
        (vec![b"one".to_vec()], Err(Refusal::too_long()))
    );
}

#[test]
fn an_id_is_echoed_as_it_was_written() {
    for id in [
        "1",
        "0",
        "-7",
        "1.50",
        "1e3",
        "1E+3",
        "-0.0",
        "1e999",
        "123456789012345678901234567890",
        "null",
        r#""""#,
        r#""a""#,
        r#""\u00e9\n\"\\/""#,
        r#""é""#,
    ] {
        for line in [
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"hello"}}"#),
            format!(r#"{{ "method" : "hello" , "id" : {id} , "jsonrpc" : "2.0" }}"#),
        ] {
            let decoded = decode(line.as_bytes());
            assert_hello(&decoded.message);
            let out = reply(&decoded.id.unwrap(), &json!({}));
            let expected = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{}}}}\n");
            assert_eq!(String::from_utf8(out.into()).unwrap(), expected);
        }
    }
}

#[test]
fn what_is_no_request_is_answered_even_without_an_id() {
    for (line, id, code, says) in [
        ("", "null", -32700, "not JSON"),
        ("hello", "null", -32700, "not JSON"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"hello""#,
            "null",
            -32700,
            "not JSON",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"hello"} {}"#,
            "null",
            -32700,
            "not JSON",
        ),
        ("[]", "null", -32600, "batches"),
        (
            r#" [{"jsonrpc":"2.0","id":1,"method":"hello"}]"#,
            "null",
            -32600,
            "batches",
        ),
        ("null", "null", -32600, "not a request"),
        ("\"hello\"", "null", -32600, "not a request"),
        ("7", "null", -32600, "not a request"),
        ("{}", "null", -32600, "jsonrpc"),
        (r#"{"id":1,"method":"hello"}"#, "1", -32600, "jsonrpc"),
        (
            r#"{"jsonrpc":2.0,"id":1,"method":"hello"}"#,
            "1",
            -32600,
            "jsonrpc",
        ),
        (
            r#"{"jsonrpc":"1.0","method":"hello"}"#,
            "null",
            -32600,
            "jsonrpc",
        ),
        (r#"{"jsonrpc":"2.0","id":1}"#, "1", -32600, "method"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            "1",
            -32600,
            "method",
        ),
        (
            r#"{"jsonrpc":"2.0","method":null}"#,
            "null",
            -32600,
            "method",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            "1",
            -32600,
            "method",
        ),
        (
            r#"{"jsonrpc":"2.0","id":[1],"method":"hello"}"#,
            "null",
            -32600,
            "id must be",
        ),
        (
            r#"{"jsonrpc":"2.0","id":{},"method":"hello"}"#,
            "null",
            -32600,
            "id must be",
        ),
        (
            r#"{"jsonrpc":"2.0","id":true,"method":"hello"}"#,
            "null",
            -32600,
            "id must be",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"hello"}"#,
            "null",
            -32600,
            "duplicate",
        ),
    ] {
        let (got, number, message) = refused(line);
        assert_eq!((&*got, number), (id, code), "{line}: {message}");
        assert!(message.contains(says), "{line}: {message}");
    }
    let (id, code, message) = refused(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}");
    assert_eq!((&*id, code), ("null", -32700));
    assert!(message.contains("UTF-8 at byte 34"), "{message}");
}

#[test]
fn depth_costs_no_stack() {
    let nest = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let nested = nest(30_000);
    let (id, code, _) = refused(&nested);
    assert_eq!((&*id, code), ("null", -32600));
    // In a place that is not read it is ignored like any unknown field.
    let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"hello","params":{{"x":{nested}}}}}"#);
    assert_hello(&decode(line.as_bytes()).message);
    let line = format!(
        r#"{{"jsonrpc":"2.0","method":"session.report","params":{{"agent":"claude-code","at":1,"event":{{"hook_event_name":"Stop","tool_input":{nested}}}}}}}"#
    );
    assert!(matches!(
        decode(line.as_bytes()).message,
        Message::Report(_)
    ));
    let line = call("session.get", &json!({"session": []})).replace("[]", &nested);
    assert_eq!(refused(line).1, -32602);
}
