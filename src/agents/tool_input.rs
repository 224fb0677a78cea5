//! The input of a tool, reduced to what identifies a call for a person: the names of fields that several agents share.
//!
//! Pure; knows no agent. Used by the agents' folders.

use super::allow_list::allow_list;
use super::question::Questions;
use super::tolerant::Text;
use crate::event::Tool;
use crate::protocol::{TEXT_LIMIT, one_line};

allow_list! {
    /// The fields of a tool's input that identify the call for a person.
    ToolInput {
        command: Text<256>,
        file_path: Text<512>,
        notebook_path: Text<512>,
        path: Text<512>,
        pattern: Text<256>,
        url: Text<256>,
        query: Text<256>,
        description: Text<256>,
        /// Of a tool that asks a person.
        questions: Questions,
        /// Of the tool that proposes a plan.
        plan: Text<256>,
    }
}

impl ToolInput {
    /// The tool of this name, with the field that identifies the call; a path relative to the session's directory.
    pub(super) fn tool(&self, name: Option<&str>, cwd: Option<&str>) -> Tool {
        let path = self.file_path.get().or(self.notebook_path.get());
        let detail = self
            .command
            .get()
            .or_else(|| path.map(|path| below(path, cwd)))
            .or(self.pattern.get())
            .or(self.url.get())
            .or(self.query.get())
            .or_else(|| self.path.get().map(|path| below(path, cwd)))
            .or(self.description.get());
        Tool {
            name: one_line(name.unwrap_or("tool"), TEXT_LIMIT).into(),
            detail: detail.map(|detail| one_line(detail, TEXT_LIMIT).into()),
        }
    }
}

/// `path`, relative to `directory` if it lies below it.
fn below<'a>(path: &'a str, directory: Option<&str>) -> &'a str {
    directory
        .and_then(|directory| path.strip_prefix(directory))
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(path)
}
