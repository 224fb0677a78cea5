//! Wrong input of a client: it gets an error, and no other client is affected.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::support::{Bystanders, Place, Wire, open_many, until};

/// The longest line, its line feed included.
const MAX_LINE: usize = 64 * 1024;

/// More than a socket's two buffers hold by default, whatever the answers.
const FLOOD: usize = 20_000;

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// What is wrong and can be shown: the error's code, a part of its message, the answer's id, the line. In a line,
/// `CALL` stands for what a request begins with, `SET` for one of `session.set` up to its parameters.
const WRONG: &str = r#"
-32700 | not JSON        | null | hello?
-32700 | not JSON        | null | {"jsonrpc":"2.0"
-32600 | batch           | null | [{"jsonrpc":"2.0","id":7,"method":"hello"}]
-32600 | not a request   | null | "hello"
-32600 | not a request   | null | 17
-32600 | not a request   | null | null
-32600 | jsonrpc         | null | {}
-32600 | jsonrpc         | 7    | {"id":7,"method":"hello"}
-32600 | jsonrpc         | 7    | {"jsonrpc":"1.0","id":7,"method":"hello"}
-32600 | jsonrpc         | 7    | {"jsonrpc":2,"id":7,"method":"hello"}
-32600 | id must be      | null | {"jsonrpc":"2.0","id":{},"method":"hello"}
-32600 | method          | null | {"jsonrpc":"2.0","method":5}
-32600 | method          | 7    | CALL "method":5}
-32600 | method          | 7    | CALL "params":{}}
-32601 | session.explode | 7    | CALL "method":"session.explode"}
-32602 | object          | 7    | CALL "method":"hello","params":[1]}
-32602 | object          | 7    | CALL "method":"subscribe","params":"all"}
-32602 | object          | 7    | CALL "method":"session.list","params":null}
-32602 |                 | 7    | CALL "method":"session.list","params":{"include_closed":"yes"}}
-32602 | session         | 7    | CALL "method":"session.get"}
-32001 | unknown         | 7    | CALL "method":"session.get","params":{"session":"unknown"}}
-32602 | session         | 7    | SET {}}
-32602 | status          | 7    | SET {"session":"x"}}
-32602 | status must be  | 7    | SET {"session":"x","status":"asleep"}}
-32602 |                 | 7    | SET {"session":"x","status":4}}
-32602 | empty           | 7    | SET {"session":"","status":"idle"}}
-32602 | control         | 7    | SET {"session":"a\u0000b","status":"idle"}}
-32602 |                 | 7    | SET {"session":"\ud800","status":"idle"}}
-32602 | waiting_for     | 7    | SET {"session":"x","status":"idle","waiting_for":"plan"}}
-32602 | pid             | 7    | SET {"session":"x","status":"idle","pid":0}}
-32602 |                 | 7    | SET {"session":"x","status":"idle","pid":-1}}
-32602 | process         | 7    | SET {"session":"x","status":"idle","pid":4294967295}}
-32602 |                 | 7    | CALL "method":"session.report","params":{"agent":"claude-code","at":1,"pid":1}}
-32602 | at              | 7    | CALL "method":"session.report","params":{"agent":"claude-code","event":{}}}
"#;

/// What a request begins with.
const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"#;

struct Wrong {
    line: Vec<u8>,
    code: i64,
    message: &'static str,
    id: Value,
}

fn wrong_lines() -> Vec<Wrong> {
    let set = format!(r#"{CALL}"method":"session.set","params":"#);
    let mut lines: Vec<_> = WRONG
        .trim()
        .lines()
        .map(|row| {
            let mut cells = row.splitn(4, '|').map(str::trim);
            let mut cell = || cells.next().unwrap();
            Wrong {
                code: cell().parse().unwrap(),
                message: cell(),
                id: cell().parse().unwrap(),
                line: cell()
                    .replace("CALL ", CALL)
                    .replace("SET ", &set)
                    .into_bytes(),
            }
        })
        .collect();
    let mut unreadable = |line: &[u8], code, message| {
        lines.push(Wrong {
            line: line.into(),
            code,
            message,
            id: Value::Null,
        });
    };
    unreadable(b"\xff\xfe{}", -32700, "not UTF-8");
    unreadable(b"{\"jsonrpc\":\"\xc3\x28\"}", -32700, "not UTF-8");
    unreadable(b"\0\0\0", -32700, "not JSON");
    unreadable(b"  ", -32700, "not JSON");
    unreadable(nested(30_000).as_bytes(), -32600, "batch");
    let cut = format!("{{\"a\":{}", nested(30_000));
    unreadable(cut.as_bytes(), -32700, "not JSON");
    lines.push(Wrong {
        line: format!(r#"{set}{{"session":{}}}}}"#, nested(30_000)).into(),
        code: -32602,
        message: "",
        id: json!(7),
    });
    lines
}

#[test]
fn a_wrong_line_gets_an_error_that_says_what_is_wrong() {
    let place = Place::new();
    let _daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);
    let mut wire = place.connect();
    for wrong in wrong_lines() {
        let Wrong {
            mut line,
            code,
            message,
            id,
        } = wrong;
        let shown = String::from_utf8_lossy(&line[..line.len().min(100)]).into_owned();
        line.push(b'\n');
        wire.send(&line);
        let answer = wire.next().expect(&shown);
        assert_eq!(answer["error"]["code"], code, "{shown}: {answer}");
        assert_eq!(answer["id"], id, "{shown}: {answer}");
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(
            said.contains(message) && said.len() < 300,
            "{shown}: {answer}"
        );
        bystanders.are_served();
    }
    // No name was made by any of them.
    let list = bystanders.ask("session.list", json!({"include_closed": true}));
    assert_eq!(list["result"]["sessions"].as_array().unwrap().len(), 1);
}

#[test]
fn a_notification_gets_no_answer() {
    let place = Place::new();
    let _daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);
    let mut wire = place.connect();
    wire.send(b"\n\n\n");
    wire.send(b"{\"jsonrpc\":\"2.0\",\"method\":\"no.such\"}\n");
    wire.send(b"{\"jsonrpc\":\"2.0\",\"method\":\"session.set\",\"params\":{}}\n");
    wire.send(b"{\"jsonrpc\":\"2.0\",\"method\":\"hello\"}\n");
    // Fields that a later version knows, however deep; a line end of another system.
    wire.send(
        format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":\"last\\n\",\"method\":\"hello\",\"params\":{{\"x\":{}}}}}\r\n",
            nested(30_000)
        )
        .as_bytes(),
    );
    let answer = wire.next().unwrap();
    assert_eq!(answer["id"], "last\n", "{answer}");
    assert_eq!(answer["result"]["protocol"], 1, "{answer}");
    bystanders.are_served();
}

#[test]
fn a_line_too_long_is_refused_and_ends_the_connection() {
    let place = Place::new();
    let _daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);

    let request = |length: usize| {
        let head = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\",\"params\":{\"client\":\"";
        let tail = "\"}}\n";
        format!(
            "{head}{}{tail}",
            "x".repeat(length - head.len() - tail.len())
        )
    };
    let mut wire = place.connect();
    wire.send(request(MAX_LINE).as_bytes());
    assert_eq!(wire.next().unwrap()["result"]["protocol"], 1);
    wire.send(request(MAX_LINE + 1).as_bytes());
    let answer = wire.next().unwrap();
    assert_eq!(answer["error"]["code"], -32004, "{answer}");
    assert_eq!(answer["id"], Value::Null);
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("65536"),
        "{answer}"
    );
    assert!(ended(wire));
    bystanders.are_served();

    // Without an end at all, and never stopping of its own accord.
    let mut endless = place.connect();
    let piece = [b'x'; 8192];
    let mut sent = 0;
    let refused = loop {
        match endless.socket().write(&piece) {
            Ok(count) => sent += count,
            Err(error) => break error.kind(),
        }
        assert!(sent < 16 * 1024 * 1024, "taken without end");
    };
    assert!(
        matches!(refused, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
        "{refused}"
    );
    assert_eq!(endless.next().unwrap()["error"]["code"], -32004);
    assert!(ended(endless));
    bystanders.are_served();

    // What came before it on the same connection has been answered.
    let mut mixed = place.connect();
    mixed.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\"}\n");
    assert_eq!(mixed.next().unwrap()["id"], 1);
    mixed.send("y".repeat(MAX_LINE).as_bytes());
    assert_eq!(mixed.next().unwrap()["error"]["code"], -32004);
    assert!(ended(mixed));
    bystanders.are_served();
}

/// The daemon has closed the connection; a reset says the same of one whose bytes were not all read.
fn ended(wire: Wire) -> bool {
    match wire.socket().read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn a_line_cut_by_the_end_is_refused() {
    let place = Place::new();
    let _daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);
    let mut wire = place.connect();
    wire.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.set\",\"par");
    wire.socket().shutdown(Shutdown::Write).unwrap();
    let answer = wire.next().unwrap();
    assert_eq!(answer["error"]["code"], -32700, "{answer}");
    assert_eq!(wire.next(), None);

    // The same without waiting for the answer.
    let mut wire = place.connect();
    wire.send(b"{\"jsonrpc\"");
    drop(wire);
    bystanders.are_served();
}

#[test]
fn a_client_that_sends_requests_and_never_reads_uses_little_memory() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);
    for number in 0..50 {
        let session = format!("session {number}");
        bystanders.ask("session.set", json!({"session": session, "status": "idle"}));
    }
    bystanders.are_served();
    let (before, descriptors) = (daemon.memory(), daemon.descriptors());

    let mut greedy: Vec<UnixStream> = (0..4)
        .map(|_| UnixStream::connect(place.socket()).unwrap())
        .collect();
    let request = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.list\"}\n".repeat(100);
    for socket in &mut greedy {
        socket.set_nonblocking(true).unwrap();
        // Until the daemon reads no more of it, or has dropped it.
        for _ in 0..FLOOD / 100 {
            if socket.write(&request).is_err() {
                break;
            }
            bystanders.are_served();
        }
        assert!(socket.write(&request.repeat(100)).is_err() || socket.write(&request).is_err());
        bystanders.are_served();
    }
    let grown = daemon.memory().saturating_sub(before);
    // Four times the answers to what one read takes from a socket, and the sockets' own lines.
    assert!(grown < 40 * 1024, "{grown} KiB more");
    drop(greedy);
    until("the memory to be given back", || {
        bystanders.are_served();
        (daemon.descriptors() <= descriptors).then_some(())
    });
}

#[test]
fn a_dashboard_that_never_reads_is_dropped() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);
    bystanders.are_served();
    let (before, descriptors) = (daemon.memory(), daemon.descriptors());

    let mut deaf: Vec<Wire> = (0..10).map(|_| place.connect()).collect();
    for wire in &mut deaf {
        wire.ask("subscribe", json!({}));
    }
    // A notification is some 400 bytes; a socket takes 200 KiB, the daemon keeps 512 KiB.
    let long = "x".repeat(120);
    let mut changes = 0;
    until("the deaf to be dropped", || {
        for number in 0..100 {
            let session = format!("session {number}");
            let params = json!({"session": session, "status": "idle", "title": long, "cwd": long});
            bystanders.ask("session.set", params);
            changes += 1;
        }
        bystanders.are_served();
        let status = bystanders.ask("daemon.status", json!({}));
        (status["result"]["dashboards"] == 1).then_some(())
    });
    assert!(changes > 500, "dropped after {changes} changes");
    let logged = daemon.log();
    assert_eq!(
        logged
            .matches("dropped a dashboard that does not keep up")
            .count(),
        10,
        "{logged}"
    );
    let grown = daemon.memory().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB more");
    // A dropped connection is closed although its client never reads: the daemon's descriptors are gone, and the clients
    // see the end.
    until("the descriptors to be closed", || {
        (daemon.descriptors() <= descriptors).then_some(())
    });
    for wire in deaf {
        let mut text = Vec::new();
        let mut socket = wire.socket();
        let outcome = socket.read_to_end(&mut text);
        assert!(
            outcome.is_ok()
                || outcome.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
        );
    }
    bystanders.are_served();
}

#[test]
fn clients_that_send_nothing_delay_no_other_client() {
    let place = Place::new();
    let _daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);
    let silent: Vec<_> = (0..50).map(|_| place.connect()).collect();
    bystanders.are_served();
    let begun: Vec<_> = (0..50)
        .map(|_| {
            let mut wire = place.connect();
            wire.send(b"{");
            wire
        })
        .collect();
    bystanders.are_served();
    drop((silent, begun));
    bystanders.are_served();
}

#[test]
fn a_thousand_connections_at_once_are_all_served() {
    open_many();
    let place = Place::new();
    let daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);
    bystanders.are_served();
    let descriptors = daemon.descriptors();
    let mut wires: Vec<_> = (0..1000).map(|_| place.connect()).collect();
    bystanders.are_served();
    for (number, wire) in wires.iter_mut().enumerate() {
        let session = format!("session {number}");
        let params = json!({"session": session, "status": "idle"});
        let request =
            json!({"jsonrpc": "2.0", "id": number, "method": "session.set", "params": params});
        wire.send(format!("{request}\n").as_bytes());
    }
    for (number, wire) in wires.iter_mut().enumerate() {
        let answer = wire.next().unwrap();
        assert_eq!(answer["id"], number, "{answer}");
        assert!(answer["result"].is_object(), "{answer}");
    }
    bystanders.are_served();
    let list = bystanders.ask("session.list", json!({}));
    assert_eq!(list["result"]["sessions"].as_array().unwrap().len(), 1001);
    assert!(daemon.descriptors() > 1000);
    drop(wires);
    until("the connections to be closed", || {
        (daemon.descriptors() <= descriptors).then_some(())
    });
    bystanders.are_served();
}

#[test]
fn ten_thousand_requests_in_one_write_are_answered_in_order() {
    let place = Place::new();
    let _daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);
    let mut wire = place.connect();
    let mut socket = wire.socket().try_clone().unwrap();
    let mut requests = Vec::new();
    for id in 0..10_000 {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": "hello"});
        writeln!(requests, "{request}").unwrap();
    }
    let writer = std::thread::spawn(move || socket.write_all(&requests).unwrap());
    for id in 0..10_000 {
        assert_eq!(wire.next().unwrap()["id"], id);
        if id % 1000 == 0 {
            bystanders.are_served();
        }
    }
    writer.join().unwrap();
    bystanders.are_served();
}

#[test]
fn a_half_closed_client_gets_all_its_answers() {
    let place = Place::new();
    let _daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);
    for number in 0..20 {
        let session = format!("session {number}");
        bystanders.ask("session.set", json!({"session": session, "status": "idle"}));
    }
    // From one answer that fits the socket's buffer to far more than fit.
    for count in [1, 10, 100, 1000] {
        let mut wire = place.connect();
        let request = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.list\"}\n";
        wire.send(request.repeat(count).as_bytes());
        wire.socket().shutdown(Shutdown::Write).unwrap();
        // The daemon has read to the end, as far as it will before we read.
        bystanders.are_served();
        let mut answers = 0;
        while let Some(answer) = wire.next() {
            assert!(answer["result"]["sessions"].is_array(), "{answer}");
            answers += 1;
        }
        assert_eq!(answers, count);
        bystanders.are_served();
    }
}
