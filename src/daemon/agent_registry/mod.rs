//! The agents' registries: turns the changes of files that [`watcher`] sends into the core's input.
//!
//! Adds what only the process table knows: whether the process of an entry still runs (a killed agent leaves its entry
//! behind), and on which terminal. The meaning of an entry is `agents/`'s. Called by the loop.

mod changes;
#[cfg(target_os = "linux")]
mod inotify;
#[cfg(target_os = "macos")]
mod kqueue;
mod watcher;

pub(super) use self::watcher::RegistryFileChange;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use self::watcher::RegistryWatcher;
use crate::agents::{self, Registered};
use crate::config::variable;
use crate::event::{self, ReportedProcess};
use crate::os::process;

/// Every registry that is watched.
pub(super) struct Registries {
    watcher: RegistryWatcher,
    changes: UnboundedReceiver<RegistryFileChange>,
    agents: Vec<(PathBuf, Box<str>)>,
    /// The process of each file's entry, for when the file is gone.
    entries: HashMap<(Rc<Path>, u32), ReportedProcess>,
}

impl Registries {
    /// Watches the registries that this user's environment names.
    pub(super) fn new() -> Self {
        let (change_tx, changes) = unbounded_channel();
        let mut registries = Self {
            watcher: RegistryWatcher::new(change_tx),
            changes,
            agents: Vec::new(),
            entries: HashMap::new(),
        };
        for agent in agents::ALL {
            if let Some(directory) = agents::config_dir(agent.config_dir, variable) {
                registries.watch(agent.name, &directory);
            }
        }
        registries
    }

    /// Watches the registry of `agent` below its configuration directory, if it keeps one.
    pub(super) fn watch(&mut self, agent: &str, directory: &Path) {
        let registry = agents::find(agent).and_then(|agent| agent.registry.as_ref());
        let is_known = self.agents.iter().any(|(known, _)| known == directory);
        if let Some(registry) = registry.filter(|_| !is_known) {
            self.agents.push((directory.to_owned(), agent.into()));
            tracing::debug!(agent, directory = %directory.display(), "watches a registry");
            self.watcher.watch(directory, registry);
        }
    }

    /// Has every entry sent again.
    pub(super) fn scan(&mut self) {
        self.watcher.scan();
    }

    /// A change that has been sent already.
    pub(super) fn try_next(&mut self) -> Option<RegistryFileChange> {
        self.changes.try_recv().ok()
    }

    /// The next change.
    pub(super) async fn next(&mut self) -> Option<RegistryFileChange> {
        self.changes.recv().await
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
                entry: None,
            });
        };
        let own_namespace = process::namespace();
        let registry = agent.registry.as_ref()?;
        let read = (registry.read)(&contents, own_namespace)
            .filter(|registered| registered.process.pid == file.1);
        let Some(Registered { mut process, entry }) = read else {
            // Half-written, or of another version; the next event brings the rest.
            tracing::debug!(
                pid = file.1,
                bytes = contents.len(),
                "a registry entry can't be read"
            );
            return None;
        };
        let found = if process.namespace == own_namespace {
            process::inspect(process.pid).ok()
        } else {
            None
        };
        if process.start.is_none() {
            process.start = found.as_ref().map(|found| found.id.start);
        }
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
            entry: Some(entry),
        })
    }
}
