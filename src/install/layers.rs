//! The settings that count for an agent beside the user's own: an administrator's, an organisation's, a project's. They may
//! keep hooks from running, or register the same ones.
//!
//! Only reads. Which files there are is in the table of agents (`agents::Layers`). Called by `commands::install` and
//! `doctor`, which print what [`Silence`] says.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::file;
use super::hooks::State;
use super::settings::{self, Inspected};
use crate::agents::{Agent, Layers as Places};
use crate::os::program::same_file;

/// Whose settings a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The user's own, in the configuration directory.
    User,
    /// The administrator's of this machine.
    Machine,
    /// The organisation's, as its server sent them.
    Organisation,
    /// A project's: they count for sessions that start in this directory.
    Project(PathBuf),
}

impl Scope {
    fn is_managed(&self) -> bool {
        match self {
            Self::Machine | Self::Organisation => true,
            Self::User | Self::Project(_) => false,
        }
    }
}

/// One of these files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) path: PathBuf,
    pub(crate) scope: Scope,
    /// What of ours is in it, and what it silences.
    pub(crate) inspected: Inspected,
}

/// Why hooks do not run, and who decides that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Silence {
    /// The file that decides.
    pub(crate) path: PathBuf,
    /// Whose it is.
    pub(crate) scope: Scope,
    /// The member that decides.
    pub(crate) key: &'static str,
    /// Only hooks in managed settings run; else none.
    pub(crate) managed_only: bool,
}

/// The layers that exist for the agent's `config_dir` and for sessions that start in one of `projects`, in the order of
/// their precedence, the first first. A file that the agent could not read either is left out.
#[must_use]
pub(crate) fn read(agent: &'static Agent, config_dir: &Path, projects: &[PathBuf]) -> Vec<Layer> {
    let Some(places) = &agent.install.layers else {
        return Vec::new();
    };
    let own = config_dir.join(agent.install.settings);
    let layers = files(places, config_dir, projects);
    let read = layers.into_iter().filter_map(|(path, scope)| {
        // A session that starts in the home directory has the user's settings as its project's.
        if same_file(&path, &own) {
            return None;
        }
        let text = String::from_utf8(file::read(&path).ok()??).ok()?;
        let inspected = settings::inspect(&text, &agent.install).ok()?;
        Some(Layer {
            path,
            scope,
            inspected,
        })
    });
    read.collect()
}

fn files(places: &Places, config_dir: &Path, projects: &[PathBuf]) -> Vec<(PathBuf, Scope)> {
    let directory = Path::new(places.managed_directory);
    let mut files = vec![
        (config_dir.join(places.remote_file), Scope::Organisation),
        (directory.join(places.managed_file), Scope::Machine),
    ];
    let drop_ins = std::fs::read_dir(directory.join(places.managed_drop_ins));
    let drop_ins = drop_ins.into_iter().flatten().flatten();
    let mut drop_ins: Vec<_> = drop_ins.map(|entry| entry.path()).collect();
    drop_ins.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    });
    drop_ins.sort();
    files.extend(drop_ins.into_iter().map(|path| (path, Scope::Machine)));
    for project in projects {
        let below = places.project_files.iter().rev();
        files.extend(below.map(|file| (project.join(file), Scope::Project(project.clone()))));
    }
    files
}

/// Why the hooks of `events` in the user's settings, whose state is `own`, do not run, if so. The first layer decides.
#[must_use]
pub(crate) fn silence(layers: &[Layer], own: &State, events: &[&str]) -> Option<Silence> {
    let managed = managed_events(layers);
    let all_managed = events.iter().all(|event| managed.contains(event));
    let by = |layer: &Layer| {
        let disabled = layer.inspected.disabled_by.map(|key| (key, false));
        let only = layer.inspected.managed_only_by.map(|key| (key, true));
        let only = only.filter(|_| layer.scope.is_managed() && !all_managed);
        let (key, managed_only) = disabled.or(only)?;
        Some(Silence {
            path: layer.path.clone(),
            scope: layer.scope.clone(),
            key,
            managed_only,
        })
    };
    let own = own.disabled_by.map(|key| Silence {
        path: own.settings.clone(),
        scope: Scope::User,
        key,
        managed_only: false,
    });
    layers.iter().find_map(by).or(own)
}

/// The events for which managed settings register a hook of ours.
#[must_use]
pub(crate) fn managed_events(layers: &[Layer]) -> Vec<&str> {
    let managed = layers.iter().filter(|layer| layer.scope.is_managed());
    let found = managed.flat_map(|layer| &layer.inspected.found);
    found.map(|found| &*found.event).collect()
}

impl Silence {
    /// True if this user may edit the file, and the change would last.
    #[must_use]
    pub(crate) fn is_editable(&self) -> bool {
        match self.scope {
            Scope::User => true,
            Scope::Organisation => false,
            Scope::Machine | Scope::Project(_) => access(&self.path, Access::WRITE_OK).is_ok(),
        }
    }
}

/// The file that decides, what it does, and what can be done.
impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match &self.scope {
            Scope::Machine => f.write_str(" (this machine's managed settings)")?,
            Scope::Organisation => f.write_str(" (sent by your organisation)")?,
            Scope::User | Scope::Project(_) => {}
        }
        let runs = if self.managed_only {
            "only hooks in managed settings run"
        } else {
            "no hook runs"
        };
        write!(f, " sets {}, so {runs}", self.key)?;
        if let Scope::Project(directory) = &self.scope {
            write!(f, " in sessions that start in {}", directory.display())?;
        }
        match &self.scope {
            Scope::Organisation => {
                f.write_str("; only your organisation's administrator can change it")
            }
            Scope::Machine if !self.is_editable() => {
                f.write_str("; only this machine's administrator can change it")
            }
            Scope::User | Scope::Machine | Scope::Project(_) => {
                write!(f, "; remove {} there", self.key)
            }
        }
    }
}
