//! The record by which an installation is undone exactly: one for each settings file, beside the daemon's log.
//!
//! Owns the records' directory, names and form. A record holds white space and the commands that were replaced, which may
//! hold secrets: it is its owner's only, like the settings. Knows nothing of what is in the settings, nor when they change.
//! Called by `install::hooks` and its parts `merged` and `own_file`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Files, extend};
use crate::config::{variable, xdg_base};
use crate::install::checksum::checksum;
use crate::install::file::{missing_directories, read};
use crate::install::settings::UndoRecord;

/// The version of the record; another version's is ignored.
const VERSION: u32 = 1;

/// The record of an installation, as it is on disk.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UndoFile {
    pub(super) version: u32,
    /// The agent's name. Earlier versions knew only the default one, and did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) agent: Option<String>,
    /// The settings' path.
    pub(super) settings: String,
    /// There was no settings file.
    pub(super) made_file: bool,
    /// Directories that were made for the settings, the deepest first.
    pub(super) made_directories: Vec<PathBuf>,
    /// Directories that were made for this file, the deepest first.
    pub(super) made_own_directories: Vec<PathBuf>,
    /// What was written, if the file is this program's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) own_file: Option<WrittenFile>,
    #[serde(rename = "memory")]
    pub(super) record: UndoRecord,
}

/// A file of this program's own, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WrittenFile {
    pub(super) checksum: String,
    /// The program that it was written for.
    pub(super) program: PathBuf,
}

impl UndoFile {
    pub(super) fn to_bytes(&self) -> anyhow::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

impl Files {
    /// A record at `path` that follows an earlier one.
    pub(super) fn new_record(&self, path: &Path, earlier: UndoFile) -> UndoFile {
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

    /// The record's bytes, and what they mean; without a record that can be read, that nothing was done.
    pub(super) fn read_record(&self) -> anyhow::Result<(Option<Vec<u8>>, UndoFile)> {
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

/// Where the records are.
pub(super) fn state_dir() -> Option<PathBuf> {
    let base = xdg_base(variable("XDG_STATE_HOME"), variable("HOME"), ".local/state")?;
    Some(base.join("agent-console"))
}

/// The path of the record of these settings. It is the same in every version of this program, or earlier records would be
/// lost.
pub(super) fn path(state_dir: &Path, settings: &Path) -> PathBuf {
    let key = checksum(settings.as_os_str().as_encoded_bytes());
    state_dir.join(format!("hooks-{key}.json"))
}

/// The records in a directory, with their paths.
pub(super) fn records_in(directory: &Path) -> impl Iterator<Item = (PathBuf, UndoFile)> + use<> {
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
