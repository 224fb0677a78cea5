//! mosquitto, with MQTT 3.1.1. Dashboards subscribe with quality of service 0. The producer publishes with quality of service
//! 1 where the benchmark needs a reply (PUBACK), otherwise with 0.

use std::os::unix::net::UnixStream;
use std::process::Child;

use super::{Ends, Purpose, Server, System, UPDATE, ask, find};

pub const PROGRAM: &str = "mosquitto";
const TOPIC: &[u8] = b"updates";

pub struct Mosquitto {
    server: Server,
    purpose: Purpose,
}

impl Mosquitto {
    /// Starts it and waits for its first reply.
    pub fn start(purpose: Purpose) -> Self {
        let server = Server::spawn(&find(PROGRAM).unwrap(), |directory| {
            let socket = directory.join("socket").display().to_string();
            // Without `user` root's mosquitto becomes a user who may not enter the directory.
            let user = if rustix::process::geteuid().is_root() {
                "user root\n"
            } else {
                ""
            };
            let text = format!(
                "listener 0 {socket}\nallow_anonymous true\npersistence false\nlog_dest none\n\
                 max_queued_messages 0\nmax_inflight_messages 0\n{user}"
            );
            let path = directory.join("configuration");
            std::fs::write(&path, text).unwrap();
            vec!["-c".into(), path.display().to_string()]
        });
        connect(server.connect_soon());
        Self { server, purpose }
    }
}

impl System for Mosquitto {
    fn name(&self) -> &'static str {
        "mosquitto"
    }

    fn process(&self) -> &Child {
        &self.server.child
    }

    fn producer(&self) -> UnixStream {
        connect(self.server.connect())
    }

    fn dashboards(&self, count: usize) -> Vec<UnixStream> {
        let mut body = vec![0, 1];
        body.extend(string(TOPIC));
        // QoS 0.
        body.push(0);
        let subscribe = packet(0x82, &body);
        let dashboard = |_| {
            let mut socket = connect(self.server.connect());
            assert_eq!(ask(&mut socket, &subscribe, 5), [0x90, 3, 0, 1, 0]);
            socket
        };
        (0..count).map(dashboard).collect()
    }

    fn update(&self, _: u64, _: u128) -> Vec<u8> {
        let mut body = string(TOPIC);
        let kind = match self.purpose {
            Purpose::Answered => {
                // The packet's id; the one before was acknowledged.
                body.extend([0, 1]);
                0x32
            }
            Purpose::Many => 0x30,
        };
        body.extend([b'x'; UPDATE]);
        packet(kind, &body)
    }

    fn replies(&self) -> Option<Ends> {
        (self.purpose == Purpose::Answered).then_some(Ends::Every(4))
    }

    fn deliveries(&self) -> Ends {
        Ends::Every(self.delivery_length())
    }

    fn delivery_length(&self) -> usize {
        packet(0x30, &[string(TOPIC), vec![b'x'; UPDATE]].concat()).len()
    }
}

/// CONNECT with a clean session and without a client's name; CONNACK.
fn connect(mut socket: UnixStream) -> UnixStream {
    let mut body = string(b"MQTT");
    body.extend([4, 2, 0, 0]);
    body.extend(string(b""));
    assert_eq!(ask(&mut socket, &packet(0x10, &body), 4), [0x20, 2, 0, 0]);
    socket
}

fn string(text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&length, text].concat()
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut rest = body.len();
    // Seven bits a byte, the lowest first.
    loop {
        let low = u8::try_from(rest % 128).unwrap();
        rest /= 128;
        packet.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}
