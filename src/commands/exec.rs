//! `--exec`: runs a command for each change of a session, one at a time and in order.
//!
//! The commands run beside the caller, which goes on reading from the daemon: while one runs, no change is lost.

use std::io::{self, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use serde::Serialize;

use crate::format;

/// Runs one command again and again.
pub(super) struct Runner {
    records: Sender<Vec<u8>>,
    worker: JoinHandle<()>,
}

impl Runner {
    /// `command` is a line for `sh`. Nothing of a session is in it.
    pub(super) fn start(command: String) -> Self {
        let (records, received) = mpsc::channel();
        Self {
            records,
            worker: thread::spawn(move || run_each(&command, &received)),
        }
    }

    /// Runs the command when those before have ended, with this record as a line of JSON on its standard input.
    pub(super) fn run(&self, record: &impl Serialize) -> io::Result<()> {
        let mut line = Vec::new();
        format::json(&mut line, record)?;
        // The worker takes all until this sender is gone.
        let _ = self.records.send(line);
        Ok(())
    }

    /// Waits until all have run.
    pub(super) fn finish(self) {
        drop(self.records);
        // A panic of the worker was printed.
        let _ = self.worker.join();
    }
}

fn run_each(command: &str, records: &Receiver<Vec<u8>>) {
    for record in records {
        let why = match run(command, &record) {
            Ok(status) if status.success() => continue,
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        // Without standard error there is no one to read it.
        let _ = writeln!(
            io::stderr(),
            "agent-console: the command of --exec has failed: {why}"
        );
    }
}

fn run(command: &str, record: &[u8]) -> io::Result<ExitStatus> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command need not read it.
        let _ = stdin.write_all(record);
    }
    child.wait()
}
