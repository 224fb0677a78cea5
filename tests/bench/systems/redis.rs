//! redis-server: PUBLISH to a channel, without persistence.

use std::os::unix::net::UnixStream;
use std::process::Child;

use super::{Ends, Server, System, UPDATE, ask, find};

pub const PROGRAM: &str = "redis-server";

pub struct Redis(Server);

impl Redis {
    /// Starts it and waits for its first reply.
    pub fn start() -> Self {
        let program = find(PROGRAM).unwrap();
        let server = Server::spawn(&program, |directory| {
            let socket = directory.join("socket").display().to_string();
            let options = "--port 0 --appendonly no --maxclients 20000 --unixsocket";
            let mut arguments: Vec<String> = options.split(' ').map(String::from).collect();
            arguments.push(socket);
            // An empty argument: no snapshots.
            arguments.extend(["--save".into(), String::new()]);
            arguments
        });
        ask(&mut server.connect_soon(), b"PING\r\n", b"+PONG\r\n".len());
        Self(server)
    }
}

impl System for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn process(&self) -> &Child {
        &self.0.child
    }

    fn producer(&self) -> UnixStream {
        self.0.connect()
    }

    fn dashboards(&self, count: usize) -> Vec<UnixStream> {
        let question = b"*2\r\n$9\r\nSUBSCRIBE\r\n$7\r\nupdates\r\n";
        let answer = b"*3\r\n$9\r\nsubscribe\r\n$7\r\nupdates\r\n:1\r\n";
        let dashboard = |_| {
            let mut socket = self.0.connect();
            assert_eq!(ask(&mut socket, question, answer.len()), answer);
            socket
        };
        (0..count).map(dashboard).collect()
    }

    fn update(&self, _: u64, _: u128) -> Vec<u8> {
        let content = "x".repeat(UPDATE);
        format!("*3\r\n$7\r\nPUBLISH\r\n$7\r\nupdates\r\n${UPDATE}\r\n{content}\r\n").into_bytes()
    }

    /// How many subscribers it reached.
    fn replies(&self) -> Option<Ends> {
        Some(Ends::Lines)
    }

    fn deliveries(&self) -> Ends {
        Ends::Every(self.delivery_length())
    }

    fn delivery_length(&self) -> usize {
        // `message` has as many letters as `PUBLISH`, and takes its place.
        format!("*3\r\n$7\r\nmessage\r\n$7\r\nupdates\r\n${UPDATE}\r\n\r\n").len() + UPDATE
    }
}
