//! A home with the programs in it, and the fixes that `doctor` names, run as a person would.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use super::{named, report};
use crate::support::{Daemon, Place, copy, program, service, until};

/// A home in which Claude Code has run, with a copy of the program that may be replaced.
pub struct Fixture(pub Place);

impl Fixture {
    pub fn new() -> Self {
        let place = Place::new();
        fs::create_dir(place.path().join("bin")).unwrap();
        fs::create_dir_all(place.path().join("home/.claude/sessions")).unwrap();
        let fixture = Self(place);
        copy(program(), &fixture.program());
        copy(service(), &fixture.service());
        fixture
    }

    /// One whose agent has its hooks.
    pub fn hooked() -> Self {
        let fixture = Self::new();
        fixture.sh("agent-console install --hooks");
        fixture
    }

    pub fn program(&self) -> PathBuf {
        self.0.path().join("bin/agent-console")
    }

    pub fn service(&self) -> PathBuf {
        self.0.path().join("bin/agent-consoled")
    }

    pub fn settings(&self) -> PathBuf {
        self.0.path().join("home/.claude/settings.json")
    }

    pub fn command(&self, program: &str) -> Command {
        let mut path = self.0.path().join("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        let mut command = self.0.command([] as [&str; 0]);
        let mut named = Command::new(program);
        named
            .env_clear()
            .envs(
                command
                    .get_envs()
                    .filter_map(|(key, value)| Some((key, value?))),
            )
            .env("PATH", path)
            .current_dir(self.0.path())
            .stdin(std::process::Stdio::null());
        command = named;
        command
    }

    pub fn daemon(&self) -> Daemon {
        let mut command = self.command(self.program().to_str().unwrap());
        command
            .arg("daemon")
            .env("XDG_RUNTIME_DIR", self.0.runtime_dir());
        self.0.start(command)
    }

    /// As a person types it.
    #[track_caller]
    pub fn sh(&self, line: &str) {
        let mut shell = self.command("sh");
        let output = shell.args(["-c", line]).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
    }

    pub fn doctor(&self, arguments: &[&str]) -> Output {
        let mut doctor = self.command(self.program().to_str().unwrap());
        doctor.arg("doctor").args(arguments).output().unwrap()
    }

    #[track_caller]
    pub fn run_checks(&self) -> Value {
        report(&self.doctor(&["--json"]))
    }

    /// The fault is named, and what is named fixes it.
    #[track_caller]
    pub fn fixes(&self, name: &str, part: &str, fix: &str) {
        let report = self.run_checks();
        let check = named(&report, name);
        assert_eq!(check["level"], "wrong", "{report}");
        assert!(check["what"].as_str().unwrap().contains(part), "{check}");
        assert_eq!(check["fix"], fix);
        self.sh(fix);
        until("it to be fixed", || {
            let report = self.run_checks();
            (named(&report, name)["level"] != "wrong").then_some(())
        });
    }

    /// A daemon that runs in the background by now.
    pub fn stop(&self) {
        self.sh("agent-console stop --force");
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // A daemon in the background has no parent here, and a failed test has not come to stopping it.
        if std::thread::panicking() {
            let stop = ["5", "agent-console", "stop", "--force"];
            let _ = self.command("timeout").args(stop).output();
        }
    }
}
