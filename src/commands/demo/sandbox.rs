//! The demo's sandbox: a directory of its own with the private daemon in it. It is the home of the daemon and of the fake
//! agents. Nothing of the user's is read or written, and everything goes when it is dropped.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;

use crate::agents;
use crate::client::{Client, ClientError};
use crate::os::clock;
use crate::protocol::StopParams;

/// How long the private daemon may take to listen.
const LIMIT: Duration = Duration::from_secs(10);

/// The time-out is for a demo that was killed with -9: its daemon leaves by itself.
const CONFIGURATION: &str = "log = \"error\"\nidle_timeout = \"1min\"\n[dashboard]\nbell = \"off\"\n[usage]\nenabled = false\n";

/// A directory of its own and the daemon in it; stopped however the demo ends.
pub(super) struct Sandbox {
    directory: SandboxDir,
    daemon: Child,
    stopped: bool,
}

impl Sandbox {
    pub(super) fn start() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("agent-console-demo-{}", std::process::id()));
        // For this user alone, whatever the umask.
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        let directory = SandboxDir { path };
        match directory.start_daemon() {
            Ok(daemon) => Ok(Self {
                directory,
                daemon,
                stopped: false,
            }),
            Err(error) => {
                let _ = fs::remove_dir_all(&directory.path);
                Err(error)
            }
        }
    }

    /// Its directory, which is all that the runners need.
    pub(super) fn directory(&self) -> &SandboxDir {
        &self.directory
    }

    /// Connects to the private daemon, which may have to begin to listen yet.
    pub(super) fn connect(&self) -> Result<Client, ClientError> {
        let end = clock::monotonic() + LIMIT;
        loop {
            match Client::connect(&self.directory.socket()) {
                Err(ClientError::NoDaemon { .. }) if clock::monotonic() < end => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                other => return other,
            }
        }
    }

    /// Ends the daemon and removes the directory.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        if std::mem::replace(&mut self.stopped, true) {
            return Ok(());
        }
        let stopped = Client::connect(&self.directory.socket()).and_then(|mut client| {
            client.call::<_, serde_json::Value>("daemon.stop", &StopParams { force: false })
        });
        if stopped.is_err() {
            // It is past asking.
            let _ = self.daemon.kill();
        }
        self.daemon.wait()?;
        let path = &self.directory.path;
        fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // The person reads what went wrong before.
        let _ = self.stop();
    }
}

/// The directory, and what is in it.
#[derive(Debug, Clone)]
pub(super) struct SandboxDir {
    path: PathBuf,
}

impl SandboxDir {
    /// The home of everything in it.
    pub(super) fn home(&self) -> &Path {
        &self.path
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.path.join("agent-console.sock")
    }

    /// This program again, with nothing of the user's: no configuration, no socket, no service manager.
    pub(super) fn program(&self) -> anyhow::Result<Command> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut program = Command::new(program);
        program
            .env_clear()
            .env("HOME", &self.path)
            .env("XDG_CONFIG_HOME", &self.path)
            .env("XDG_RUNTIME_DIR", &self.path)
            .env("AGENT_CONSOLE_SOCKET", self.socket());
        Ok(program)
    }

    fn start_daemon(&self) -> anyhow::Result<Child> {
        // As on a machine on which the agents have run before: the daemon watches these.
        for agent in agents::ALL {
            fs::create_dir_all(self.path.join(agent.config_dir.below_home))?;
        }
        let configuration = self.path.join("agent-console");
        fs::create_dir(&configuration)?;
        fs::write(configuration.join("config.toml"), CONFIGURATION)?;
        self.program()?
            .arg("daemon")
            .stdin(Stdio::null())
            // Ctrl-C is for the demo, which ends the daemon in order.
            .process_group(0)
            .spawn()
            .context("cannot start the private daemon")
    }
}
