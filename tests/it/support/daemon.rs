//! A daemon that a test has started: its signals, its end, its log, its memory and descriptors.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};

use super::until;

/// A daemon that is killed when its test ends.
#[derive(Debug)]
pub struct Daemon {
    pub child: Child,
    pub(super) log: PathBuf,
}

impl Daemon {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends it a signal, by the name that kill(1) knows.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Waits for its end and gives its exit code.
    #[track_caller]
    pub fn wait(&mut self) -> Option<i32> {
        until("the daemon to end", || self.child.try_wait().unwrap()).code()
    }

    /// True while it runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The memory that it has for itself, in KiB: neither its program's file, of which the kernel keeps what it likes,
    /// nor does it matter what was swapped out.
    #[track_caller]
    pub fn memory(&self) -> u64 {
        self.number("RssAnon") + self.number("VmSwap")
    }

    /// A number of its `/proc/PID/status`.
    #[track_caller]
    pub fn number(&self, field: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = text.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How many descriptors it has open.
    #[track_caller]
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .unwrap()
            .count()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the daemon's log\n{}---", self.log());
        }
    }
}
