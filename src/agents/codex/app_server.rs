//! `codex app-server --listen stdio://`: a child process that answers requests, one JSON object a line, as observed with
//! 0.171.0. `trust` is the only caller.
//!
//! Owns the process: it is ended and reaped whatever happens. Knows nothing of hooks. Its standard error is dropped, and
//! nothing that it says is logged.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::trust::{TrustError, TrustQuery};
use crate::os::{clock, process};

const ARGUMENTS: [&str; 3] = ["app-server", "--listen", "stdio://"];

/// The process, in messages.
pub(super) const NAME: &str = "`codex app-server`";

/// The longest line that is read whole: a list of hooks takes 600 bytes for each (0.171.0). What is longer is no answer.
const LINE_LIMIT: u64 = 4 << 20;

/// Lines that wait to be read.
const WAITING_LINES: usize = 16;

/// How long it may take to end by itself once its input has ended: 0.02 to 0.13 s were seen (0.171.0).
const END_LIMIT: Duration = Duration::from_secs(2);

/// More characters of an error's message are cut: that of an unknown method lists all methods.
const MESSAGE_LIMIT: usize = 160;

/// A running app server of its own, apart from the one that serves terminals.
pub(super) struct AppServer {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Vec<u8>>,
    limit: Duration,
    deadline: Instant,
    last_id: u64,
}

impl AppServer {
    /// Starts it, with the variable `home` as the query has it.
    pub(super) fn start(home: &str, query: &TrustQuery<'_>) -> Result<Self, TrustError> {
        let deadline = clock::monotonic() + query.limit;
        let mut command = Command::new(query.program);
        command
            .args(ARGUMENTS)
            // Where it looks for a project's hooks: there are none.
            .current_dir(query.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // The package's script may start the program as a child, which must not stay behind.
            .process_group(0);
        match query.variable {
            Some(directory) => command.env(home, directory),
            None => command.env_remove(home),
        };
        let started = command.spawn();
        let mut child = started.map_err(|error| TrustError::Start(NAME, error))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let mut server = Self {
            child,
            input,
            lines: read_lines(output),
            limit: query.limit,
            deadline,
            last_id: 0,
        };
        let client = json!({
            "name": "agent-console", "title": "agent-console", "version": env!("CARGO_PKG_VERSION")
        });
        let _: Value = server.call("initialize", &json!({ "clientInfo": client }))?;
        server.send(&json!({"method": "initialized"}))?;
        Ok(server)
    }

    /// Sends a request and waits for its answer.
    pub(super) fn call<T: DeserializeOwned>(
        &mut self,
        method: &'static str,
        parameters: &Value,
    ) -> Result<T, TrustError> {
        self.last_id += 1;
        self.send(&json!({"id": self.last_id, "method": method, "params": parameters}))?;
        loop {
            let left = self.deadline.saturating_duration_since(clock::monotonic());
            if left.is_zero() {
                return Err(TrustError::Late(NAME, self.limit));
            }
            let line = self.lines.recv_timeout(left).map_err(|error| match error {
                RecvTimeoutError::Timeout => TrustError::Late(NAME, self.limit),
                RecvTimeoutError::Disconnected => TrustError::Ended(NAME),
            })?;
            // Not of interest: what is no JSON, notifications, the server's own requests, other answers.
            let Ok(mut message) = serde_json::from_slice::<Value>(&line) else {
                continue;
            };
            if message.get("method").is_some() || message.get("id") != Some(&self.last_id.into()) {
                continue;
            }
            if let Some(error) = message.get("error") {
                let why = error["message"].as_str().unwrap_or("no reason given");
                return Err(TrustError::Refused(NAME, method, cut(why)));
            }
            return serde_json::from_value(message["result"].take())
                .map_err(|_| TrustError::Unreadable(NAME, method));
        }
    }

    fn send(&mut self, message: &Value) -> Result<(), TrustError> {
        let line = format!("{message}\n");
        let input = self.input.as_mut();
        let sent = input.map(|input| input.write_all(line.as_bytes()));
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(TrustError::Ended(NAME)),
        }
    }
}

impl Drop for AppServer {
    fn drop(&mut self) {
        // It ends when its input does.
        drop(self.input.take());
        if let Ok(found) = process::inspect(self.child.id()) {
            let _ = process::wait_for_exit(found.id, END_LIMIT);
        }
        // Not reaped yet, so the number of its group is no other's.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// What it prints, line by line, by a thread that ends with it.
fn read_lines(output: Option<ChildStdout>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::sync_channel(WAITING_LINES);
    thread::spawn(move || {
        let Some(output) = output else { return };
        let mut output = BufReader::new(output);
        loop {
            let mut line = Vec::new();
            let read = (&mut output).take(LINE_LIMIT).read_until(b'\n', &mut line);
            if !matches!(read, Ok(1..)) || sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The beginning of a message.
pub(super) fn cut(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_LIMIT) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}
