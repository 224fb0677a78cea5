//! Hooks in a file of this program's own: planned in, planned out, recognised.
//!
//! A file that a person has edited, or that is not this program's, stays as it is. Knows neither what the file says (the
//! table of agents) nor how files are replaced (`file`). Called by `install::hooks`, for the agents whose hooks are such a
//! file.

use std::path::Path;

use anyhow::bail;

use super::record::{UndoFile, WrittenFile};
use super::{Files, State, change, extend, program_text};
use crate::agents::{self, OwnFileValues};
use crate::config::{Config, DEFAULT_SOCKET};
use crate::install::checksum::checksum;
use crate::install::file::{Change, read};
use crate::install::program;

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

impl Files {
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

    pub(super) fn plan_own_file(&self, program: &Path) -> anyhow::Result<Vec<Change>> {
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

    pub(super) fn plan_own_removal(&self) -> anyhow::Result<Vec<Change>> {
        let before = read(&self.settings)?;
        let (undo_before, undo) = self.read_record()?;
        let expected = program::path().ok().map(program::for_settings);
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

    pub(super) fn own_state(&self) -> anyhow::Result<State> {
        let found = read(&self.settings)?;
        let (_, undo) = self.read_record()?;
        let own = || program::path().ok().map(program::for_settings);
        let written = undo
            .own_file
            .as_ref()
            .map(|written| written.program.clone());
        let program = written.or_else(own);
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
