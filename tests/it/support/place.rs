//! A directory, a home and a socket of a test's own, and the commands that run there.

use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::{Daemon, Wire, program, until};

/// A directory, a home and a socket of a test's own.
#[derive(Debug)]
#[must_use]
pub struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("acd-").tempdir().unwrap();
        fs::create_dir(directory.path().join("home")).unwrap();
        let place = Self { directory };
        DirBuilder::new()
            .mode(0o700)
            .create(place.runtime_dir())
            .unwrap();
        place
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where the daemon saves its state.
    pub fn runtime_dir(&self) -> PathBuf {
        self.path().join("runtime")
    }

    pub fn socket(&self) -> PathBuf {
        self.path().join("socket")
    }

    /// Writes the configuration file. The account's service is asked only where the text says so: a test stays on its
    /// machine.
    pub fn configure(&self, text: &str) {
        const OFF: &str = "\n[usage]\nenabled = false\n";
        let off = if text.contains("[usage]") { "" } else { OFF };
        let file = self.config_file();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, format!("{text}{off}")).unwrap();
    }

    pub fn config_file(&self) -> PathBuf {
        self.path().join("home/.config/agent-console/config.toml")
    }

    /// The program with an environment of nothing but this place. Standard input is empty.
    pub fn command<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: I,
    ) -> Command {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path().join("home"))
            .env("AGENT_CONSOLE_SOCKET", self.socket())
            .current_dir(self.path())
            .stdin(Stdio::null());
        // Only a daemon: clients would ask the service manager there.
        if command.get_args().next() == Some("daemon".as_ref()) {
            command.env("XDG_RUNTIME_DIR", self.runtime_dir());
        }
        command
    }

    /// Runs the program to its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the program, which must succeed, and gives its standard output.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the program, which must succeed, and reads its standard output as JSON.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let text = self.ok(arguments);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// Runs `agent-console hook` as Claude Code would for the process `pid`, and waits for its end.
    #[track_caller]
    pub fn hook(&self, pid: u32, attended: bool, payload: &str) {
        let mut hook = self
            .command(["hook", "claude-code"])
            .env("CLAUDE_PID", pid.to_string())
            .env(
                "CLAUDE_CODE_SESSION_ATTENDED",
                if attended { "1" } else { "0" },
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        hook.stdin
            .take()
            .unwrap()
            .write_all(payload.as_bytes())
            .unwrap();
        let output = hook.wait_with_output().unwrap();
        assert!(
            output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(),
            "{output:?}"
        );
    }

    /// Starts the daemon in the foreground, self-bound, and waits until it answers.
    #[track_caller]
    pub fn daemon(&self) -> Daemon {
        self.daemon_with(|_| {})
    }

    /// The same, with a say in its command.
    #[track_caller]
    pub fn daemon_with(&self, prepare: impl FnOnce(&mut Command)) -> Daemon {
        let mut command = self.command(["daemon"]);
        self.log_to_file(&mut command);
        prepare(&mut command);
        self.spawn(command)
    }

    /// The same, with a runtime directory of its own: it knows nothing of what an earlier daemon knew.
    #[track_caller]
    pub fn daemon_without_state(&self) -> Daemon {
        let private = fs::Permissions::from_mode(0o700);
        let directory = tempfile::Builder::new()
            .permissions(private)
            .tempdir_in(self.path())
            .unwrap()
            .keep();
        self.daemon_with(|command| {
            command.env("XDG_RUNTIME_DIR", &directory);
        })
    }

    fn log_file(&self) -> PathBuf {
        self.path().join("daemon.log")
    }

    fn log_to_file(&self, command: &mut Command) {
        let log = fs::File::create(self.log_file()).unwrap();
        command.stdout(Stdio::null()).stderr(log);
    }

    /// Starts a daemon by a command of the caller's and waits until its socket takes connections.
    #[track_caller]
    pub fn start(&self, mut command: Command) -> Daemon {
        self.log_to_file(&mut command);
        self.spawn(command)
    }

    #[track_caller]
    fn spawn(&self, mut command: Command) -> Daemon {
        if !self.config_file().exists() {
            self.configure("");
        }
        let mut daemon = Daemon {
            child: command.spawn().unwrap(),
            log: self.log_file(),
        };
        until("the daemon to listen", || {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("the daemon ended with {status}: {}", daemon.log());
            }
            UnixStream::connect(self.socket()).ok()
        });
        daemon
    }

    /// A raw connection to the daemon.
    #[track_caller]
    pub fn connect(&self) -> Wire {
        Wire::connect(&self.socket())
    }
}
