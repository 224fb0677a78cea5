//! dbus-daemon with a private bus: an update is a signal, which has no reply.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::OnceLock;

use super::{Ends, Server, System, UPDATE, find};

pub const PROGRAM: &str = "dbus-daemon";
const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const SIGNAL: u8 = 4;
const RULE: &str = "type='signal',interface='bench.Updates'";

pub struct Dbus {
    server: Server,
    /// Bytes of a delivery, which has the sender's name in it.
    length: OnceLock<usize>,
}

impl Dbus {
    /// Starts it and waits for its first reply.
    pub fn start() -> Self {
        let server = Server::spawn(&find(PROGRAM).unwrap(), |directory| {
            let limits: String = [
                "max_completed_connections",
                "max_incomplete_connections",
                "max_connections_per_user",
                "max_match_rules_per_connection",
            ]
            .map(|name| format!("<limit name=\"{name}\">100000</limit>"))
            .concat();
            let text = format!(
                "<busconfig><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
                 <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/></policy>\
                 {limits}</busconfig>",
                directory.join("socket").display()
            );
            let path = directory.join("configuration");
            std::fs::write(&path, text).unwrap();
            let path = path.display();
            vec![
                "--nofork".into(),
                "--nopidfile".into(),
                format!("--config-file={path}"),
            ]
        });
        connect(server.connect_soon());
        Self {
            server,
            length: OnceLock::new(),
        }
    }
}

impl System for Dbus {
    fn name(&self) -> &'static str {
        "dbus"
    }

    fn process(&self) -> &Child {
        &self.server.child
    }

    fn producer(&self) -> UnixStream {
        let mut socket = connect(self.server.connect());
        let length = self.delivered_from(&mut socket);
        // All producers' names are of one length while there are few.
        assert_eq!(*self.length.get_or_init(|| length), length);
        socket
    }

    fn dashboards(&self, count: usize) -> Vec<UnixStream> {
        let dashboard = |_| {
            let mut socket = connect(self.server.connect());
            add_match(&mut socket);
            socket
        };
        (0..count).map(dashboard).collect()
    }

    fn update(&self, _: u64, _: u128) -> Vec<u8> {
        let body = string(&"x".repeat(UPDATE));
        let fields = [
            field(1, "o", "/bench"),
            field(2, "s", "bench.Updates"),
            field(3, "s", "Update"),
            field(8, "g", "s"),
        ];
        message(SIGNAL, 7, &fields, &body)
    }

    fn replies(&self) -> Option<Ends> {
        None
    }

    fn deliveries(&self) -> Ends {
        Ends::Every(self.delivery_length())
    }

    fn delivery_length(&self) -> usize {
        *self.length.get().expect("the producer comes first")
    }
}

impl Dbus {
    /// How long this producer's update is where it arrives.
    fn delivered_from(&self, producer: &mut UnixStream) -> usize {
        let mut observer = connect(self.server.connect());
        add_match(&mut observer);
        producer.write_all(&self.update(0, 0)).unwrap();
        loop {
            let (kind, length) = read_message(&mut observer);
            if kind == SIGNAL {
                return length;
            }
        }
    }
}

/// Says who it is, and gets a name.
fn connect(mut socket: UnixStream) -> UnixStream {
    let user = rustix::process::geteuid().as_raw().to_string();
    // In hexadecimal, a digit is a 3 and the digit.
    let hex: String = user.chars().flat_map(|digit| ['3', digit]).collect();
    socket
        .write_all(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())
        .unwrap();
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    assert!(
        line.starts_with(b"OK "),
        "{}",
        String::from_utf8_lossy(&line)
    );
    socket.write_all(b"BEGIN\r\n").unwrap();
    socket.write_all(&call("Hello", None)).unwrap();
    // Its answer, and the signal that the name is its own.
    let mut kinds = [read_message(&mut socket).0, read_message(&mut socket).0];
    kinds.sort_unstable();
    assert_eq!(kinds, [METHOD_RETURN, SIGNAL]);
    socket
}

fn add_match(socket: &mut UnixStream) {
    socket.write_all(&call("AddMatch", Some(RULE))).unwrap();
    while read_message(socket).0 != METHOD_RETURN {}
}

/// Reads one message: its type and its length.
fn read_message(socket: &mut UnixStream) -> (u8, usize) {
    let mut head = [0; 16];
    socket.read_exact(&mut head).unwrap();
    let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap()) as usize;
    let rest = number(12).next_multiple_of(8) + number(4);
    socket.read_exact(&mut vec![0; rest]).unwrap();
    (head[1], head.len() + rest)
}

/// A call of the bus itself.
fn call(method: &str, argument: Option<&str>) -> Vec<u8> {
    let mut fields = vec![
        field(1, "o", "/org/freedesktop/DBus"),
        field(2, "s", "org.freedesktop.DBus"),
        field(3, "s", method),
        field(6, "s", "org.freedesktop.DBus"),
    ];
    if argument.is_some() {
        fields.push(field(8, "g", "s"));
    }
    message(
        METHOD_CALL,
        1,
        &fields,
        &argument.map(string).unwrap_or_default(),
    )
}

fn message(kind: u8, serial: u32, fields: &[Vec<u8>], body: &[u8]) -> Vec<u8> {
    let mut array = Vec::new();
    for field in fields {
        array.resize(array.len().next_multiple_of(8), 0);
        array.extend(field);
    }
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let mut message = vec![b'l', kind, 0, 1];
    message.extend(length(body));
    message.extend(serial.to_le_bytes());
    message.extend(length(&array));
    message.extend(array);
    message.resize(message.len().next_multiple_of(8), 0);
    message.extend(body);
    message
}

/// A header's field: a code, and a variant with a string, an object's path or a signature.
fn field(code: u8, signature: &str, value: &str) -> Vec<u8> {
    let mut field = vec![code, 1, signature.as_bytes()[0], 0];
    if signature == "g" {
        field.push(u8::try_from(value.len()).unwrap());
        field.extend(value.bytes());
        field.push(0);
    } else {
        field.extend(string(value));
    }
    field
}

fn string(text: &str) -> Vec<u8> {
    let mut bytes = u32::try_from(text.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend(text.bytes());
    bytes.push(0);
    bytes
}
