//! The demo's sandbox: a directory of its own with the private daemon in it, and the agents' stand-ins. Nothing of the
//! user's is read or written, and everything goes when it is dropped.

use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Map, Value};

use crate::agents::{self, Agent};
use crate::client::{Client, ClientError};
use crate::os::{clock, process};
use crate::protocol::StopParams;

/// The agent whose recordings are played.
const AGENT: &Agent = agents::DEFAULT;

/// How long the private daemon may take to listen.
const LIMIT: Duration = Duration::from_secs(10);

/// The time-out is for a demo that was killed with -9: its daemon leaves by itself.
const CONFIGURATION: &str = "log = \"error\"\nidle_timeout = \"1min\"\n[usage]\nenabled = false\n";

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
            .env("AGENT_CONSOLE_SOCKET", self.socket());
        Ok(program)
    }

    fn start_daemon(&self) -> anyhow::Result<Child> {
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

    /// What an agent does on each event: starts the hook and gives it the payload.
    pub(super) fn hook(
        &self,
        agent: &FakeAgent,
        payload: &str,
        attended: bool,
    ) -> anyhow::Result<()> {
        let process = &AGENT.hook;
        let attended = if attended { "1" } else { "0" };
        let variables = [
            (process.pid_variable, agent.pid().to_string()),
            (process.attended_variable, attended.to_owned()),
        ];
        let variables = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name?, value)));
        let mut hook = self
            .program()?
            .args(["hook", AGENT.name])
            .envs(variables)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("cannot start the hook")?;
        if let Some(mut input) = hook.stdin.take() {
            // It may have read enough; the daemon shows what came of it.
            let _ = input.write_all(payload.as_bytes());
        }
        hook.wait()?;
        Ok(())
    }

    /// What an agent does on each change of its status: writes its entry in the registry anew, or removes it.
    pub(super) fn register(
        &self,
        agent: &FakeAgent,
        entry: Option<Map<String, Value>>,
    ) -> anyhow::Result<()> {
        let (Some(registry), Some(extras)) = (&AGENT.registry, agents::extras(AGENT)) else {
            return Ok(());
        };
        let pid = agent.pid();
        let configuration = AGENT.config_dir.below_home;
        let directory = self.path.join(configuration).join(registry.directory);
        let file = directory.join((registry.file_name)(pid));
        let written = match entry {
            Some(entry) => fs::create_dir_all(&directory)
                .and_then(|()| process::inspect(pid))
                .and_then(|found| {
                    let entry = (extras.adapt_entry)(entry, found.id);
                    fs::write(&file, Value::from(entry).to_string())
                }),
            None => fs::remove_file(&file),
        };
        written.with_context(|| format!("cannot write {}", file.display()))
    }
}

/// A process that stands for an agent: it does nothing, and ends with the demo, however that ends, because it reads from
/// it.
pub(super) struct FakeAgent(Child);

impl FakeAgent {
    pub(super) fn start(directory: &SandboxDir) -> anyhow::Result<Self> {
        Command::new("/bin/sh")
            .args(["-c", "read -r _"])
            .env_clear()
            .env("HOME", &directory.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map(Self)
            .context("cannot start /bin/sh to stand for an agent")
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for FakeAgent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
