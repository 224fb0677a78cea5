//! The hooks and the status line in the agents' settings: which events, which files.
//!
//! Owns the settings' path and the record beside the daemon's log by which an installation is undone exactly; events and
//! names come from the table of agents. The record holds white space and the commands that were replaced, which may hold secrets: it is its owner's
//! only, like the settings. Both parts are one change of the settings. Knows nothing of JSON text (`settings`) nor of how
//! files are replaced (`file`). Called by `commands::install`, `commands::uninstall` and `commands::doctor`.

use std::path::{Path, PathBuf, absolute};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::checksum::checksum;
use super::file::{Change, missing_directories, read};
use super::program::in_path;
use super::settings::{
    self, HookRequest, Parts, Request, SettingsError, StatusLineCall, StatusLineRequest, UndoRecord,
};
use crate::agents::{self, Agent, Install, OwnFileValues};
use crate::config::{Config, DEFAULT_SOCKET, variable, xdg_base};

/// The version of the record; another version's is ignored.
const VERSION: u32 = 1;

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

/// What a file of this program's own holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnFileState {
    /// There is none.
    Missing,
    /// What `install` would write.
    Current,
    /// What `install` wrote, for another program or in another version.
    Outdated,
    /// Something else: it is the user's, and stays.
    Edited,
}

/// The record of an installation, as it is on disk.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct UndoFile {
    version: u32,
    /// The agent's name. Earlier versions knew only the default one, and did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    /// The settings' path.
    settings: String,
    /// There was no settings file.
    made_file: bool,
    /// Directories that were made for the settings, the deepest first.
    made_directories: Vec<PathBuf>,
    /// Directories that were made for this file, the deepest first.
    made_own_directories: Vec<PathBuf>,
    /// What was written, if the file is this program's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own_file: Option<WrittenFile>,
    #[serde(rename = "memory")]
    record: UndoRecord,
}

/// A file of this program's own, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct WrittenFile {
    checksum: String,
    /// The program that it was written for.
    program: PathBuf,
}

impl UndoFile {
    fn to_bytes(&self) -> anyhow::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
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

/// Where the records are.
fn state_dir() -> Option<PathBuf> {
    let base = xdg_base(variable("XDG_STATE_HOME"), variable("HOME"), ".local/state")?;
    Some(base.join("agent-console"))
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
        // The same in every version of this program, or earlier records would be lost.
        let key = checksum(settings.as_os_str().as_encoded_bytes());
        Ok(Self {
            agent,
            install: &agent.install,
            record: state_dir.map(|base| base.join(format!("hooks-{key}.json"))),
            settings,
        })
    }

    fn plan_install(&self, program: &Path, request: &Request<'_>) -> anyhow::Result<Vec<Change>> {
        let program = program_text(program)?;
        let (before, text) = self.read_settings()?;
        let (undo_before, earlier) = self.read_record()?;
        let installed = settings::install(&text, request, program, Some(&earlier.record))
            .map_err(|error| self.settings_error(&error))?;
        // An agent would drop the whole file for one mistake.
        settings::inspect(&installed.text, self.install)
            .map_err(|error| self.settings_error(&error))?;
        let mut changes = Vec::new();
        // First, so that the settings are never changed without a record.
        if let Some(path) = &self.record {
            let undo = UndoFile {
                made_file: before.is_none() || earlier.made_file,
                record: installed.record,
                ..self.new_record(path, earlier)
            };
            let after = Some(undo.to_bytes()?);
            changes.push(change(path, undo_before, after, Vec::new()));
        }
        let after = Some(installed.text.into_bytes());
        changes.push(change(&self.settings, before, after, Vec::new()));
        changes.retain(|change| !change.is_empty());
        Ok(changes)
    }

    /// A record at `path` that follows an earlier one.
    fn new_record(&self, path: &Path, earlier: UndoFile) -> UndoFile {
        let mut undo = UndoFile {
            version: VERSION,
            agent: Some(self.agent.name.to_owned()),
            settings: self.settings.to_string_lossy().into_owned(),
            made_directories: missing_directories(&self.settings),
            made_own_directories: missing_directories(path),
            ..earlier
        };
        extend(&mut undo.made_directories, earlier.made_directories);
        extend(&mut undo.made_own_directories, earlier.made_own_directories);
        // Whichever record goes last removes them.
        let others = path.parent().into_iter().flat_map(records_in);
        for (_, other) in others.filter(|(other, _)| other != path) {
            extend(&mut undo.made_own_directories, other.made_own_directories);
        }
        undo
    }

    /// What this version writes into the file of its own for `program`.
    fn own_contents(&self, program: &str) -> Option<Vec<u8>> {
        let config = Config::load().unwrap_or_default();
        let socket = Some(config.socket).filter(|path| *path != Path::new(DEFAULT_SOCKET));
        let socket = socket.unwrap_or_default();
        let values = OwnFileValues {
            program,
            socket: socket.to_str().unwrap_or_default(),
        };
        Some(agents::own_file(self.agent)?(&values).into_bytes())
    }

    fn plan_own_file(&self, program: &Path) -> anyhow::Result<Vec<Change>> {
        let program = program_text(program)?;
        let before = read(&self.settings)?;
        let (undo_before, earlier) = self.read_record()?;
        let after = self.own_contents(program);
        if own_file_state(before.as_deref(), &earlier, after.as_deref()) == OwnFileState::Edited {
            bail!(
                "{} was edited or is not this program's; move it away and try again",
                self.settings.display()
            );
        }
        let mut changes = Vec::new();
        if let (Some(path), Some(after)) = (&self.record, &after) {
            let undo = UndoFile {
                made_file: true,
                own_file: Some(WrittenFile {
                    checksum: checksum(after),
                    program: program.into(),
                }),
                ..self.new_record(path, earlier)
            };
            changes.push(change(
                path,
                undo_before,
                Some(undo.to_bytes()?),
                Vec::new(),
            ));
        }
        changes.push(change(&self.settings, before, after, Vec::new()));
        changes.retain(|change| !change.is_empty());
        Ok(changes)
    }

    fn plan_own_removal(&self) -> anyhow::Result<Vec<Change>> {
        let before = read(&self.settings)?;
        let (undo_before, undo) = self.read_record()?;
        let expected = super::program::path().ok();
        let expected = expected.and_then(|program| self.own_contents(program.to_str()?));
        let state = own_file_state(before.as_deref(), &undo, expected.as_deref());
        let after = before.clone().filter(|_| state == OwnFileState::Edited);
        let mut changes = vec![change(&self.settings, before, after, undo.made_directories)];
        if let Some(path) = &self.record {
            let mut made = Vec::from_iter(path.parent().map(Path::to_owned));
            extend(&mut made, undo.made_own_directories);
            changes.push(change(path, undo_before, None, made));
        }
        changes.retain(|change| !change.is_empty());
        Ok(changes)
    }

    fn own_state(&self) -> anyhow::Result<State> {
        let found = read(&self.settings)?;
        let (_, undo) = self.read_record()?;
        let own = super::program::path().ok();
        let written = undo
            .own_file
            .as_ref()
            .map(|written| written.program.clone());
        let program = written.or(own);
        let text = program.as_deref().and_then(Path::to_str);
        let expected = text.and_then(|program| self.own_contents(program));
        let own_file = own_file_state(found.as_deref(), &undo, expected.as_deref());
        let is_there = matches!(own_file, OwnFileState::Current | OwnFileState::Outdated);
        Ok(State {
            settings: self.settings.clone(),
            missing: if is_there {
                Vec::new()
            } else {
                self.install.events.to_vec()
            },
            programs: program.into_iter().filter(|_| is_there).collect(),
            status_line: None,
            status_line_lost: false,
            disabled_by: None,
            own_file: Some(own_file),
        })
    }

    fn plan_uninstall(&self, parts: Parts) -> anyhow::Result<Vec<Change>> {
        let (before, text) = self.read_settings()?;
        let (undo_before, mut undo) = self.read_record()?;
        let mut after = None;
        if before.is_some()
            && let Some(form) = self.install.merged()
        {
            let text = settings::uninstall(&text, form, parts, Some(&undo.record))
                .map_err(|error| self.settings_error(&error))?;
            after = Some(text.into_bytes()).filter(|after| !(undo.made_file && after.is_empty()));
        }
        undo.record.forget(parts);
        let mut undo_after = None;
        if !undo.record.is_empty() {
            undo_after = Some(undo.to_bytes()?);
        }
        let made = undo.made_directories;
        let mut changes = vec![change(&self.settings, before, after, made)];
        // The record last: whatever fails before, it can be tried again.
        if let Some(path) = &self.record {
            // Its directory is removed with the last record, even if it was there before.
            let mut made = Vec::from_iter(path.parent().map(Path::to_owned));
            extend(&mut made, undo.made_own_directories);
            changes.push(change(path, undo_before, undo_after, made));
        }
        changes.retain(|change| !change.is_empty());
        Ok(changes)
    }

    fn state(&self) -> anyhow::Result<State> {
        let (_, text) = self.read_settings()?;
        let inspected =
            settings::inspect(&text, self.install).map_err(|error| self.settings_error(&error))?;
        let events = self.install.events.iter().copied();
        let registered = |event: &&str| inspected.found.iter().any(|found| found.event == **event);
        let found = inspected.found.iter();
        let mut programs = Vec::new();
        extend(&mut programs, found.map(|found| (&found.program).into()));
        let (_, undo) = self.read_record()?;
        Ok(State {
            status_line_lost: undo.record.status_line.is_some() && inspected.status_line.is_none(),
            settings: self.settings.clone(),
            missing: events.filter(|event| !registered(event)).collect(),
            programs,
            status_line: inspected.status_line,
            disabled_by: inspected.disabled_by,
            own_file: None,
        })
    }

    /// The settings' bytes and text; without a file the text is empty.
    fn read_settings(&self) -> anyhow::Result<(Option<Vec<u8>>, String)> {
        let bytes = read(&self.settings)?;
        let text = String::from_utf8(bytes.clone().unwrap_or_default()).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let good = String::from_utf8_lossy(&error.as_bytes()[..valid]);
            let error = SettingsError::at(&good, good.len(), "no valid UTF-8".to_owned());
            self.settings_error(&error)
        })?;
        Ok((bytes, text))
    }

    fn settings_error(&self, error: &SettingsError) -> anyhow::Error {
        anyhow::anyhow!(
            "{}:{error}; nothing was changed; correct it and try again",
            self.settings.display()
        )
    }

    /// The record's bytes, and what they mean; without a record that can be read, that nothing was done.
    fn read_record(&self) -> anyhow::Result<(Option<Vec<u8>>, UndoFile)> {
        let bytes = match &self.record {
            Some(path) => read(path)?,
            None => None,
        };
        let undo = bytes
            .as_deref()
            .and_then(|bytes| serde_json::from_slice(bytes).ok())
            .filter(|undo: &UndoFile| undo.version == VERSION);
        Ok((bytes, undo.unwrap_or_default()))
    }
}

/// What `found` is, of which `undo` has the record and which `install` would now write as `expected`.
fn own_file_state(found: Option<&[u8]>, undo: &UndoFile, expected: Option<&[u8]>) -> OwnFileState {
    let Some(found) = found else {
        return OwnFileState::Missing;
    };
    let written = undo.own_file.as_ref();
    if expected == Some(found) {
        OwnFileState::Current
    } else if written.is_some_and(|written| written.checksum == checksum(found)) {
        OwnFileState::Outdated
    } else {
        OwnFileState::Edited
    }
}

/// The records in a directory, with their paths.
fn records_in(directory: &Path) -> impl Iterator<Item = (PathBuf, UndoFile)> + use<> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("hooks-") && name.ends_with(".json")
    });
    paths.filter_map(|path| {
        let undo: UndoFile = serde_json::from_slice(&read(&path).ok()??).ok()?;
        (undo.version == VERSION).then_some((path, undo))
    })
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
