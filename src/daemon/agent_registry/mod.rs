//! The agents' registries: turns the changes of files that [`watcher`] sends into the core's input.
//!
//! Compares an entry with what the kernel says: a machine or a start time that differs refuses it. Without a start time of
//! its process, an entry whose session began before the process is of an earlier process of that id, and one that says
//! neither may be of any. Adds what only the process table
//! knows: whether the process of an entry still runs (a killed agent leaves its entry behind), and on which terminal. The
//! meaning of an entry is `agents/`'s. Which configuration directories there are, [`discovery`], the configuration and the
//! hooks say. Called by the loop.

mod changes;
mod discovery;
#[cfg(target_os = "linux")]
mod inotify;
#[cfg(target_os = "macos")]
pub(super) mod kqueue;
mod watcher;

pub(super) use self::watcher::RegistryFileChange;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use self::discovery::{Discovery, FoundDir};
use self::watcher::RegistryWatcher;
use crate::agents::config_dirs::{config_dirs, is_same_directory};
use crate::agents::{self, Registered, StartClaim};
use crate::config::{Config, variable};
use crate::event::{self, ReportedProcess};
use crate::os::machine;
use crate::os::process::{self, ProcessInfo};

/// Every registry that is watched.
pub(super) struct Registries {
    watcher: RegistryWatcher,
    changes: UnboundedReceiver<RegistryFileChange>,
    found: UnboundedReceiver<FoundDir>,
    /// Has the configuration directories looked for again: one for each agent.
    look_again: Vec<Rc<Notify>>,
    agents: Vec<(PathBuf, Box<str>)>,
    /// The process of each file's entry, for when the file is gone.
    entries: HashMap<(Rc<Path>, u32), ReportedProcess>,
}

impl Registries {
    /// Watches the registries of this user's agents: those of the environment, of the configuration and of the home.
    pub(super) fn new(config: &Config) -> Self {
        let (change_tx, changes) = unbounded_channel();
        let (found_tx, found) = unbounded_channel();
        let mut registries = Self {
            watcher: RegistryWatcher::new(change_tx),
            changes,
            found,
            look_again: Vec::new(),
            agents: Vec::new(),
            entries: HashMap::new(),
        };
        registries.watch_configured(config);
        let home = variable("HOME");
        let with_registry = agents::ALL.iter().filter(|agent| agent.registry.is_some());
        for (agent, home) in with_registry.zip(home.iter().cycle()) {
            let discovery = Discovery::new(agent, Path::new(home), found_tx.clone());
            let again = Rc::new(Notify::new());
            tokio::task::spawn_local(discovery.run(Rc::clone(&again)));
            registries.look_again.push(again);
        }
        registries
    }

    /// Watches the registries that are there now and those that the configuration names. Others stay watched.
    pub(super) fn watch_configured(&mut self, config: &Config) {
        for agent in agents::ALL.iter().filter(|agent| agent.registry.is_some()) {
            let named = config.config_dirs(agent.name);
            // To wait for the default one would mean to be woken for each new name in the home: `discovery` finds it.
            let default =
                variable("HOME").map(|home| Path::new(&home).join(agent.config_dir.below_home));
            let is_awaited = |path: &Path| Some(path) == default.as_deref() && !path.is_dir();
            for directory in config_dirs(agent, variable, named) {
                if !is_awaited(&directory) {
                    self.watch(agent.name, &directory);
                }
            }
        }
    }

    /// Watches the registry of `agent` below its configuration directory, if it keeps one.
    pub(super) fn watch(&mut self, agent: &str, directory: &Path) {
        let registry = agents::find(agent).and_then(|agent| agent.registry.as_ref());
        let is_known = self
            .agents
            .iter()
            .any(|(known, _)| is_same_directory(known, directory));
        if let Some(registry) = registry.filter(|_| !is_known) {
            self.agents.push((directory.to_owned(), agent.into()));
            tracing::debug!(agent, directory = %directory.display(), "watches a registry");
            self.watcher.watch(directory, registry);
        }
    }

    /// Has every entry sent again, and configuration directories looked for.
    pub(super) fn scan(&mut self) {
        for again in &self.look_again {
            again.notify_one();
        }
        self.watcher.scan();
    }

    /// A change that has been sent already.
    pub(super) fn try_next(&mut self) -> Option<RegistryFileChange> {
        while let Ok(found) = self.found.try_recv() {
            self.watch(found.agent.name, &found.directory);
        }
        self.changes.try_recv().ok()
    }

    /// The next change.
    pub(super) async fn next(&mut self) -> Option<RegistryFileChange> {
        loop {
            tokio::select! {
                Some(found) = self.found.recv() => self.watch(found.agent.name, &found.directory),
                change = self.changes.recv() => return change,
            }
        }
    }

    /// What a change means to the core; `None` for a file of no known form.
    pub(super) fn read(&mut self, change: RegistryFileChange) -> Option<event::RegistryUpdate> {
        let directory = &*change.directory;
        let (_, name) = self.agents.iter().find(|(known, _)| known == directory)?;
        let agent = agents::find(name)?;
        let name = name.clone();
        let file = (change.directory, change.pid);
        let Some(contents) = change.contents else {
            let process = self.entries.remove(&file)?;
            return Some(event::RegistryUpdate {
                agent: name,
                timing: agent.timing,
                process,
                alive: false,
                tty: None,
                account: None,
                entry: None,
            });
        };
        let registry = agent.registry.as_ref()?;
        let Some(registered) = (registry.read)(&contents, file.1, process::namespace()) else {
            // Half-written, or of another version; the next event brings the rest.
            tracing::debug!(
                pid = file.1,
                bytes = contents.len(),
                "a registry entry can't be read"
            );
            return None;
        };
        let (process, found) = match confirm(&registered) {
            Ok(confirmed) => confirmed,
            Err(refusal) => {
                tracing::debug!(pid = file.1, "a registry entry is not used: {refusal}");
                return None;
            }
        };
        let entry = registered.entry;
        let alive = found
            .as_ref()
            .is_some_and(|found| !found.zombie && Some(found.id.start) == process.start);
        self.entries.insert(file, process);
        Some(event::RegistryUpdate {
            agent: name,
            timing: agent.timing,
            process,
            alive,
            tty: found
                .filter(|_| alive)
                .and_then(|found| found.tty)
                .map(Into::into),
            account: None,
            entry: Some(entry),
        })
    }
}

/// How much a start time in whole seconds may differ from the kernel's.
const START_TOLERANCE_S: u64 = 1;

/// Why an entry is not what it claims to be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("it is of another machine")]
    OtherMachine,
    #[error("its process started at another time")]
    OtherStart,
    #[error("its process's start time can't be read")]
    UnreadableStart,
    #[error("it is older than the process of its id")]
    OlderThanProcess,
    #[error("it says neither when its process nor when its session started")]
    NoStart,
}

/// Compares what an entry claims with what the kernel says of its process, which is returned if it is in this pid
/// namespace. The start time that the entry leaves open is filled in.
fn confirm(registered: &Registered) -> Result<(ReportedProcess, Option<ProcessInfo>), Refusal> {
    let machine = registered.machine.as_deref();
    if machine.is_some() && machine != machine::id() {
        return Err(Refusal::OtherMachine);
    }
    let mut process = registered.process;
    let is_here = process.namespace == process::namespace();
    let found = is_here
        .then(|| process::inspect(process.pid).ok())
        .flatten();
    let Some(started_at) = found.as_ref().map(|found| process::started_at(found.id)) else {
        return match registered.start {
            StartClaim::Unreadable => Err(Refusal::UnreadableStart),
            StartClaim::Absent | StartClaim::Kernel(_) | StartClaim::Second(_) => {
                Ok((process, None))
            }
        };
    };
    match registered.start {
        // The kernel's own number needs no clock.
        StartClaim::Kernel(start)
            if found.as_ref().is_some_and(|found| found.id.start != start) =>
        {
            return Err(Refusal::OtherStart);
        }
        StartClaim::Second(second) if second.abs_diff(started_at / 1000) > START_TOLERANCE_S => {
            return Err(Refusal::OtherStart);
        }
        StartClaim::Unreadable => return Err(Refusal::UnreadableStart),
        StartClaim::Absent => compare_session(&registered.entry, started_at)?,
        StartClaim::Kernel(_) | StartClaim::Second(_) => {}
    }
    process.start = found.as_ref().map(|found| found.id.start);
    Ok((process, found))
}

/// Compares the start of the session with its process's, both in ms since the epoch. An agent writes its entry when it
/// starts, so what began before the process is of an earlier process of the same id, of before a restart of the machine
/// perhaps. Later writes prove nothing: a clock may have been wrong.
fn compare_session(entry: &event::RegistryEntry, process_started_at: u64) -> Result<(), Refusal> {
    let session_started_at = entry.started_at.ok_or(Refusal::NoStart)?;
    if session_started_at.saturating_add(process::START_TOLERANCE_MS) < process_started_at {
        return Err(Refusal::OlderThanProcess);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
