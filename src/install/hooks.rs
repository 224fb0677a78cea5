//! The hooks and the status line in the agents' settings: which events, which files.
//!
//! Owns the settings' path. What is put there is merged into settings that are a person's (`merged`), or is a file of this
//! program's own (`own_file`); the record by which it is undone exactly (`record`) lies beside the daemon's log. Events and
//! names come from the table of agents. Knows nothing of JSON text (`settings`) nor of how files are replaced (`file`).
//! Called by `commands::install`, `commands::uninstall` and `doctor`.

mod merged;
mod own_file;
mod record;

use std::path::{Path, PathBuf, absolute};

use anyhow::{Context, bail};

pub(crate) use self::own_file::OwnFileState;
use self::record::{records_in, state_dir};
use super::file::Change;
use super::program::in_path;
use super::settings::{HookRequest, Parts, Request, StatusLineCall, StatusLineRequest};
use crate::agents::{self, Agent, Install};
use crate::config::{Config, variable};

/// Both files are their owner's only: settings may hold keys.
const MODE: u32 = 0o600;

/// What of ours is in an agent's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// The settings file.
    pub settings: PathBuf,
    /// Events without a hook of ours, in the agent's order.
    pub missing: Vec<&'static str>,
    /// Programs that our hooks there call, each once; empty if there are none.
    pub programs: Vec<PathBuf>,
    /// The status line's call of our program, if it has one.
    pub status_line: Option<StatusLineCall>,
    /// The status line called our program once, as `install` wrote it, and does not any more.
    pub status_line_lost: bool,
    /// The member of the settings that keeps every hook from running, if it is set.
    pub disabled_by: Option<&'static str>,
    /// The file, if it is this program's own.
    pub own_file: Option<OwnFileState>,
}

/// The agent's configuration directories by this process's environment and the configuration file; whether or not they
/// exist. Empty without a home. A mistake in the file is not reported here.
#[must_use]
pub(crate) fn config_dirs(agent: &Agent) -> Vec<PathBuf> {
    let config = Config::load().unwrap_or_default();
    agents::config_dirs::config_dirs(agent, variable, config.config_dirs(agent.name))
}

/// The configuration directories whose settings `install` changes: those that exist, and the environment's if its variable
/// is set. If none exists, the default one, if the agent's program is found in `PATH` or the person named the agent.
#[must_use]
pub(crate) fn install_dirs(agent: &Agent, is_named: bool) -> Vec<PathBuf> {
    let all = config_dirs(agent);
    let first = all.first().cloned();
    let is_set = variable(agent.config_dir.variable).is_some();
    let is_first = |directory: &Path| first.as_deref() == Some(directory);
    let mut directories = all;
    directories.retain(|directory| directory.exists() || is_set && is_first(directory));
    if directories.is_empty() && (is_named || in_path(agent.program).is_some()) {
        directories.extend(first);
    }
    directories
}

/// The configuration directories from which `uninstall` takes what is ours: those of now, and those that a record names,
/// which the environment or the configuration file named once.
#[must_use]
pub(crate) fn uninstall_dirs(agent: &Agent) -> Vec<PathBuf> {
    let mut directories = config_dirs(agent);
    let below = Path::new(agent.install.settings);
    let records = state_dir()
        .into_iter()
        .flat_map(|directory| records_in(&directory));
    let recorded = records.filter_map(|(_, undo)| {
        let is_its = undo.agent.as_deref().unwrap_or(agents::DEFAULT.name) == agent.name;
        let settings = Path::new(&undo.settings).to_owned();
        let directory = settings.ancestors().nth(below.components().count())?;
        (is_its && settings.ends_with(below)).then(|| directory.to_owned())
    });
    extend(&mut directories, recorded);
    directories
}

/// Every file that is or was changed here: the settings of all agents that are known now or by a record, and a record.
#[must_use]
pub(crate) fn all_files() -> Vec<PathBuf> {
    let settings = agents::ALL.iter().flat_map(|agent| {
        let directories = uninstall_dirs(agent).into_iter();
        directories.map(|directory| directory.join(agent.install.settings))
    });
    let record = state_dir().map(|directory| directory.join("record"));
    settings.chain(record).collect()
}

/// Plans the change that puts the hooks, if `hooks`, and the status line, if the agent has one, calling `program`, into
/// the settings below `config_dir`, and the change of its undo record. Empty changes are left out: none at all means that
/// everything is in place.
///
/// # Errors
///
/// The settings are not JSON (with file, line, column), or of a shape that the agent would refuse; unreadable.
pub(crate) fn plan_install(
    agent: &'static Agent,
    config_dir: &Path,
    program: &Path,
    hooks: bool,
    status_line: StatusLineRequest,
) -> anyhow::Result<Vec<Change>> {
    let files = Files::new(agent, config_dir, state_dir())?;
    let Some(form) = agent.install.merged() else {
        return if hooks {
            files.plan_own_file(program)
        } else {
            Ok(Vec::new())
        };
    };
    let request = Request {
        syntax: form.syntax,
        hooks: hooks.then_some(HookRequest {
            agent: agent.name,
            events: agent.install.events,
            form,
        }),
        status_line: match agent.status_line {
            Some(_) => status_line,
            None => StatusLineRequest::Keep,
        },
    };
    files.plan_install(program, &request)
}

/// Plans the change that takes `parts` out of the settings below `config_dir` and restores the commands that `install`
/// replaced. Without a record of a part, all of it that is ours is taken out, whatever program it calls.
///
/// # Errors
///
/// The settings are not JSON, or unreadable.
pub(crate) fn plan_uninstall(
    agent: &'static Agent,
    config_dir: &Path,
    parts: Parts,
) -> anyhow::Result<Vec<Change>> {
    let files = Files::new(agent, config_dir, state_dir())?;
    match agent.install.merged() {
        Some(_) => files.plan_uninstall(parts),
        None if parts.hooks => files.plan_own_removal(),
        None => Ok(Vec::new()),
    }
}

/// Finds what of ours is in the settings below `config_dir`.
///
/// # Errors
///
/// The settings are not JSON, or of a shape in which the agent would ignore hooks; unreadable.
pub(crate) fn state(agent: &'static Agent, config_dir: &Path) -> anyhow::Result<State> {
    let files = Files::new(agent, config_dir, state_dir())?;
    match agent.install.merged() {
        Some(_) => files.state(),
        None => files.own_state(),
    }
}

/// What happens because the agent lacks something below `config_dir` that it needs for its hooks.
#[must_use]
pub(crate) fn lacking(agent: &Agent, config_dir: &Path) -> Option<&'static str> {
    let (below, why) = agent.install.needed?;
    (!config_dir.join(below).exists()).then_some(why)
}

/// True if a change's path is a record's, not an agent's settings.
#[must_use]
pub(crate) fn is_record(path: &Path) -> bool {
    state_dir().is_some_and(|directory| path.starts_with(directory))
}

/// The program as settings name it.
fn program_text(program: &Path) -> anyhow::Result<&str> {
    match program.to_str().filter(|_| program.is_absolute()) {
        Some(program) => Ok(program),
        None => bail!(
            "an agent cannot call {}: its path must be absolute and valid UTF-8",
            program.display()
        ),
    }
}

/// The paths of an agent's settings and of their undo record.
struct Files {
    agent: &'static Agent,
    install: &'static Install,
    settings: PathBuf,
    /// Named after the settings' path; `None` without a home.
    record: Option<PathBuf>,
}

impl Files {
    fn new(
        agent: &'static Agent,
        config_dir: &Path,
        state_dir: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let settings = absolute(config_dir)
            .with_context(|| format!("cannot find {}", config_dir.display()))?
            .join(agent.install.settings);
        Ok(Self {
            agent,
            install: &agent.install,
            record: state_dir.map(|base| record::path(&base, &settings)),
            settings,
        })
    }
}

fn change(
    path: &Path,
    before: Option<Vec<u8>>,
    after: Option<Vec<u8>>,
    prune: Vec<PathBuf>,
) -> Change {
    Change {
        path: path.to_owned(),
        before,
        after,
        mode: MODE,
        prune,
    }
}

/// Adds what is not there yet.
fn extend(paths: &mut Vec<PathBuf>, more: impl IntoIterator<Item = PathBuf>) {
    for path in more {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
}

#[cfg(test)]
mod tests;
