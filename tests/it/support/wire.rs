//! A raw connection to a daemon.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use super::PATIENCE;

/// A connection that sends and receives lines.
#[derive(Debug)]
pub struct Wire(BufReader<UnixStream>);

impl Wire {
    #[track_caller]
    pub fn connect(socket: &Path) -> Self {
        let socket = UnixStream::connect(socket).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(socket))
    }

    pub fn socket(&self) -> &UnixStream {
        self.0.get_ref()
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// The next line as JSON; `None` at the end of the connection.
    #[track_caller]
    pub fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.0.read_line(&mut line).unwrap() {
            0 => None,
            _ => Some(
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}")),
            ),
        }
    }

    /// Asks and gives the answer, result or error; notifications before it are passed over.
    #[track_caller]
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        let request =
            serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.send(format!("{request}\n").as_bytes());
        loop {
            let answer = self.next().expect("an answer");
            if answer.get("id").is_some() {
                return answer;
            }
        }
    }

    /// The next notification of this method; others are passed over.
    #[track_caller]
    pub fn notified(&mut self, method: &str) -> Value {
        loop {
            let line = self.next().expect("a notification");
            if line["method"] == method {
                return line["params"].clone();
            }
        }
    }

    /// Reads until the daemon closes the connection; what came.
    pub fn rest(mut self) -> String {
        let mut text = String::new();
        self.0.read_to_string(&mut text).unwrap();
        text
    }
}
