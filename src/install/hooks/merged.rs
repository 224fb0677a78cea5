//! Hooks and status line in settings that are a person's: planned in, planned out, looked for.
//!
//! Both are one change of the settings, with a change of the record (`record`) by which it is undone. Knows nothing of JSON
//! text (`settings`) nor of how files are replaced (`file`). Called by `install::hooks`, for the agents whose hooks are
//! merged into their settings.

use std::path::Path;

use super::record::UndoFile;
use super::{Files, State, change, extend, program_text};
use crate::install::file::{Change, read};
use crate::install::settings::{self, Parts, Request, SettingsError};

impl Files {
    pub(super) fn plan_install(
        &self,
        program: &Path,
        request: &Request<'_>,
    ) -> anyhow::Result<Vec<Change>> {
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

    pub(super) fn plan_uninstall(&self, parts: Parts) -> anyhow::Result<Vec<Change>> {
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

    pub(super) fn state(&self) -> anyhow::Result<State> {
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
}
