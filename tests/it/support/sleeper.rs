//! A process that stands for an agent, or for any other.

use std::io::Read;
use std::process::{Child, Command, Output, Stdio};

/// A process that is killed when its test ends: one that does nothing else, to stand for an agent, or any other.
#[derive(Debug)]
pub struct Sleeper(pub Child);

impl Sleeper {
    pub fn start() -> Self {
        Self(
            Command::new("sleep")
                .arg("600")
                .stdin(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// What is left to read of its output, and how it ended.
    #[track_caller]
    pub fn output(&mut self) -> Output {
        let mut output = Output {
            status: self.0.wait().unwrap(),
            stdout: Vec::new(),
            stderr: Vec::new(),
        };
        if let Some(mut stdout) = self.0.stdout.take() {
            stdout.read_to_end(&mut output.stdout).unwrap();
        }
        if let Some(mut stderr) = self.0.stderr.take() {
            stderr.read_to_end(&mut output.stderr).unwrap();
        }
        output
    }

    /// Kills it with -9 and reaps it.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.kill();
    }
}
