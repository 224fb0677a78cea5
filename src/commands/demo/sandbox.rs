//! The demo's stage: a directory of its own with the private daemon in it, and the agents' stand-ins. Nothing of the
//! user's is read or written, and everything goes when it is dropped.

use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Map, Value, json};

use crate::client::{Client, ClientError};
use crate::os::clock;
use crate::os::process::{self, ProcessId};
use crate::protocol::StopParams;

/// How long the private daemon may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// The time-out is for a demo that was killed with -9: its daemon leaves by itself.
const CONFIGURATION: &str = "log = \"error\"\nidle_timeout = \"1min\"\n[usage]\nenabled = false\n";

/// A directory of its own and the daemon in it; struck however the demo ends.
pub(super) struct Stage {
    set: Set,
    daemon: Child,
    struck: bool,
}

impl Stage {
    pub(super) fn set() -> anyhow::Result<Self> {
        let directory =
            std::env::temp_dir().join(format!("agent-console-demo-{}", std::process::id()));
        // Whatever the umask: nobody else's business.
        DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let set = Set { directory };
        match set.start_daemon() {
            Ok(daemon) => Ok(Self {
                set,
                daemon,
                struck: false,
            }),
            Err(error) => {
                let _ = fs::remove_dir_all(&set.directory);
                Err(error)
            }
        }
    }

    /// What the players need of it.
    pub(super) fn place(&self) -> &Set {
        &self.set
    }

    /// Connects to the private daemon, which may have to begin to listen yet.
    pub(super) fn connect(&self) -> Result<Client, ClientError> {
        let end = clock::monotonic() + PATIENCE;
        loop {
            match Client::connect(&self.set.socket()) {
                Err(ClientError::NoDaemon { .. }) if clock::monotonic() < end => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                other => return other,
            }
        }
    }

    /// Ends the daemon and removes the directory.
    pub(super) fn strike(&mut self) -> anyhow::Result<()> {
        if std::mem::replace(&mut self.struck, true) {
            return Ok(());
        }
        let stopped = Client::connect(&self.set.socket()).and_then(|mut client| {
            client.call::<_, serde_json::Value>("daemon.stop", &StopParams { force: false })
        });
        if stopped.is_err() {
            // It is past asking.
            let _ = self.daemon.kill();
        }
        self.daemon.wait()?;
        let directory = &self.set.directory;
        fs::remove_dir_all(directory)
            .with_context(|| format!("cannot remove {}", directory.display()))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What went wrong before is what a person is told.
        let _ = self.strike();
    }
}

/// The directory, and what is in it.
#[derive(Debug, Clone)]
pub(super) struct Set {
    directory: PathBuf,
}

impl Set {
    pub(super) fn socket(&self) -> PathBuf {
        self.directory.join("agent-console.sock")
    }

    /// This program again, with nothing of the user's: no configuration, no socket, no service manager.
    pub(super) fn program(&self) -> anyhow::Result<Command> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut program = Command::new(program);
        program
            .env_clear()
            .env("HOME", &self.directory)
            .env("XDG_CONFIG_HOME", &self.directory)
            .env("AGENT_CONSOLE_SOCKET", self.socket());
        Ok(program)
    }

    fn start_daemon(&self) -> anyhow::Result<Child> {
        let configuration = self.directory.join("agent-console");
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
    pub(super) fn hook(&self, agent: &Actor, payload: &str, attended: bool) -> anyhow::Result<()> {
        let mut hook = self
            .program()?
            .args(["hook", "claude-code"])
            .env("CLAUDE_PID", agent.pid().to_string())
            .env(
                "CLAUDE_CODE_SESSION_ATTENDED",
                if attended { "1" } else { "0" },
            )
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("cannot start the hook")?;
        if let Some(mut input) = hook.stdin.take() {
            // It may have read enough; what came of it is what the daemon tells.
            let _ = input.write_all(payload.as_bytes());
        }
        hook.wait()?;
        Ok(())
    }

    /// What an agent does on each change of its status: writes its entry in the registry anew, or removes it.
    pub(super) fn register(
        &self,
        agent: &Actor,
        entry: Option<Map<String, Value>>,
    ) -> anyhow::Result<()> {
        let pid = agent.pid();
        let registry = self.directory.join(".claude/sessions");
        let file = registry.join(format!("{pid}.json"));
        let written = match entry {
            Some(entry) => fs::create_dir_all(&registry)
                .and_then(|()| process::inspect(pid))
                .and_then(|found| {
                    fs::write(&file, Value::from(as_own(entry, found.id)).to_string())
                }),
            None => fs::remove_file(&file),
        };
        written.with_context(|| format!("cannot write {}", file.display()))
    }
}

/// A process that stands for an agent: it does nothing, and ends with the demo, however that ends, because it reads from
/// it.
pub(super) struct Actor(Child);

impl Actor {
    pub(super) fn enter(set: &Set) -> anyhow::Result<Self> {
        Command::new("/bin/sh")
            .args(["-c", "read -r _"])
            .env_clear()
            .env("HOME", &set.directory)
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

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A recorded registry entry as the stand-in would write it now: the recorder saw each within 30 ms of its stamps.
fn as_own(mut entry: Map<String, Value>, own: ProcessId) -> Map<String, Value> {
    let domain = process::namespace().map(|inode| format!("linux:0:pid:[{inode}]"));
    entry.insert("pid".into(), json!(own.pid));
    entry.insert("procStart".into(), json!(own.start.to_string()));
    entry.insert("pidDomain".into(), json!(domain));
    for stamp in ["startedAt", "updatedAt", "statusUpdatedAt"] {
        if let Some(stamp) = entry.get_mut(stamp) {
            *stamp = json!(clock::unix_ms());
        }
    }
    entry
}
