//! A fake agent: a process of an agent's name that does what a recorded one did. It runs the real hook and writes the
//! files of the agent, all in the sandbox.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Map, Value};

use super::sandbox::SandboxDir;
use super::stand_in::StandIn;
use crate::agents::{self, Agent};
use crate::os::{process, program};

/// Where the names of the agents' programs are, in the sandbox.
const PROGRAMS: &str = "bin";

/// The process ends with this, and the demo, however that ends.
pub(super) struct FakeAgent {
    agent: &'static Agent,
    directory: SandboxDir,
    stand_in: StandIn,
}

impl FakeAgent {
    /// Starts an agent in the directory of this name, in the sandbox.
    pub(super) fn start(
        directory: &SandboxDir,
        agent: &'static Agent,
        project: &str,
    ) -> anyhow::Result<Self> {
        let programs = directory.home().join(PROGRAMS);
        fs::create_dir_all(&programs)?;
        let project = directory.home().join(project);
        fs::create_dir_all(&project)?;
        let socket = directory.socket();
        let variables = [
            ("HOME", directory.home()),
            ("XDG_CONFIG_HOME", directory.home()),
            ("AGENT_CONSOLE_SOCKET", &socket),
        ];
        let program = program::running()?;
        let link = programs.join(agent.program);
        let stand_in = StandIn::start(&program, &link, &project, variables);
        Ok(Self {
            agent,
            directory: directory.clone(),
            stand_in: stand_in.with_context(|| format!("cannot stand for {}", agent.title))?,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.stand_in.pid()
    }

    /// What an agent does on each event: runs the hook, with variables of its own.
    pub(super) fn hook(
        &mut self,
        event: Option<&str>,
        payload: String,
        attended: bool,
        mut variables: BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        let process = &self.agent.hook;
        let attended = if attended { "1" } else { "0" };
        let own = [
            (process.pid_variable, self.pid().to_string()),
            (process.attended_variable, attended.to_owned()),
        ];
        let own = own.into_iter();
        variables.extend(own.filter_map(|(name, value)| Some((name?.to_owned(), value))));
        let ran = self
            .stand_in
            .hook(self.agent.name, event, variables, payload);
        ran.with_context(|| format!("the hook of {}", self.agent.title))
    }

    /// What an agent does on each change of its status: writes its entry in the registry anew, or removes it.
    pub(super) fn register(&mut self, entry: Option<Map<String, Value>>) -> anyhow::Result<()> {
        let adapt = agents::extras(self.agent).and_then(|extras| extras.adapt_entry);
        let Some((registry, adapt)) = self.agent.registry.as_ref().zip(adapt) else {
            return Ok(());
        };
        let pid = self.pid();
        let directory = self.config_dir().join(registry.directory);
        let file = directory.join((registry.file_name)(pid));
        let written = match entry {
            Some(entry) => fs::create_dir_all(&directory)
                .and_then(|()| process::inspect(pid))
                .and_then(|found| {
                    fs::write(&file, Value::from(adapt(entry, found.id)).to_string())
                }),
            None => fs::remove_file(&file),
        };
        written.with_context(|| format!("cannot write {}", file.display()))
    }

    /// Changes a file as the recorded agent did.
    pub(super) fn change_file(&mut self, file: &Path, fact: &Value) -> anyhow::Result<()> {
        let changed = self.stand_in.change_file(file, fact);
        changed.with_context(|| format!("cannot write {}", file.display()))
    }

    /// The agent's configuration directory in the sandbox.
    pub(super) fn config_dir(&self) -> PathBuf {
        let below_home = self.agent.config_dir.below_home;
        self.directory.home().join(below_home)
    }

    /// The directory that stands for the user's home.
    pub(super) fn home(&self) -> &Path {
        self.directory.home()
    }
}
