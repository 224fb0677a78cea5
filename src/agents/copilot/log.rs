//! The lines of a session's log, `session-state/ID/events.jsonl`, and the two files beside it, as observed with Copilot
//! CLI 1.0.102.
//!
//! Pure. The files are undocumented: what is not understood counts as absent. Of the log, only the fields below are read.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::allow_list::allow_list;
use super::super::tolerant::{Number, Part, Text, Time, object};
use crate::event::Tool;
use crate::protocol::{NAME_LIMIT, TEXT_LIMIT, one_line};

/// The most sessions of `open-sessions-state.json` that are looked at.
const MAX_OPEN: usize = 256;

allow_list! {
    /// One line of the log.
    Line {
        kind as "type": Text<64>,
        /// When it happened; lines are written in batches.
        timestamp: Time,
        /// Of a subagent's line.
        agent_id as "agentId": Text<128>,
        data: Part<Data>,
    }

    Data {
        request_id as "requestId": Text<128>,
        permission_request as "permissionRequest": Part<PermissionRequest>,
        /// The HTTP status of an error.
        status_code as "statusCode": Number,
        new_model as "newModel": Text<64>,
        new_mode as "newMode": Text<32>,
        usage: Part<Usage>,
    }

    PermissionRequest {
        kind: Text<64>,
        command as "fullCommandText": Text<256>,
        file as "fileName": Text<512>,
        path: Text<512>,
        url: Text<256>,
        tool_name as "toolName": Text<128>,
    }

    /// One request to the model.
    Usage {
        model: Text<64>,
        input_tokens as "inputTokens": Number,
        /// As many as the context holds.
        max_prompt_tokens as "maxPromptTokens": Number,
    }
}

impl Line {
    /// Reads a line; `None` if it is not one.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        object(line).ok()
    }
}

impl PermissionRequest {
    /// What a person is asked about.
    pub(super) fn tool(&self) -> Tool {
        let name = self.tool_name.get().or(self.kind.get());
        let detail = self.command.get().or(self.file.get());
        let detail = detail.or(self.path.get()).or(self.url.get());
        Tool {
            name: one_line(name.unwrap_or("tool"), TEXT_LIMIT).into(),
            detail: detail.map(|detail| one_line(detail, TEXT_LIMIT).into()),
        }
    }
}

impl Usage {
    /// How full the context was, in percent.
    pub(super) fn context_percent(&self) -> Option<f32> {
        let (used, limit) = (
            self.input_tokens.as_f64()?,
            self.max_prompt_tokens.as_f64()?,
        );
        let percent = 100.0 * used / limit;
        #[expect(clippy::cast_possible_truncation, reason = "a share of the context")]
        (0.0..=1000.0).contains(&percent).then_some(percent as f32)
    }
}

/// One session of `open-sessions-state.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenSession {
    pub(super) id: Box<str>,
    /// When a process opened it: another text for another process.
    pub(super) opened_at: Box<str>,
    /// Whether it works, as the agent itself says; also while a dialog is open.
    pub(super) is_working: Option<bool>,
}

/// The sessions that are open in terminals, those opened last at the end; `None` if the file is half-written.
pub(super) fn open_sessions(contents: &[u8]) -> Option<Vec<OpenSession>> {
    #[derive(Deserialize)]
    struct Entry {
        #[serde(default, rename = "openedAt")]
        opened_at: Text<64>,
        #[serde(default)]
        working: serde_json::Value,
    }
    let entries: BTreeMap<Box<str>, serde_json::Value> = serde_json::from_slice(contents).ok()?;
    let read = |(id, entry)| {
        let entry: Entry = object(serde_json::Value::to_string(&entry).as_bytes()).ok()?;
        Some(OpenSession {
            id,
            opened_at: entry.opened_at.into_inner(),
            is_working: entry.working.as_bool(),
        })
    };
    let mut sessions: Vec<_> = entries
        .into_iter()
        .filter(|(id, _)| is_session_id(id))
        .take(MAX_OPEN)
        .filter_map(read)
        .collect();
    // The times are spelled alike, so they sort as texts.
    sessions.sort_by(|a, b| a.opened_at.cmp(&b.opened_at));
    Some(sessions)
}

/// An id becomes part of a path.
pub(super) fn is_session_id(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !id.is_empty() && id.len() <= NAME_LIMIT && id.bytes().all(is_plain)
}

/// The title in `workspace.yaml`: the line `name: …`, perhaps in quotation marks.
pub(super) fn title(contents: &[u8]) -> Option<Box<str>> {
    let text = String::from_utf8_lossy(contents);
    let mut lines = text.lines();
    let name = lines.find_map(|line| line.strip_prefix("name:"))?.trim();
    let quoted = |mark: char| name.strip_prefix(mark)?.strip_suffix(mark);
    let name = match (quoted('"'), quoted('\'')) {
        (Some(_), _) => serde_json::from_str::<String>(name).ok()?,
        (_, Some(inner)) => inner.replace("''", "'"),
        (None, None) => name.to_owned(),
    };
    // A block or nothing is no name.
    let is_name = !name.is_empty() && !name.starts_with(['|', '>', '{', '[']) && name != "null";
    is_name.then(|| one_line(&name, TEXT_LIMIT).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_sessions_are_listed_in_the_order_of_their_opening() {
        let contents = br#"{"b-1": {"openedAt": "2026-11-27T06:45:24.640Z", "working": true},
            "a-2": {"openedAt": "2026-11-27T06:45:36.833Z", "working": "?"},
            "../c": {"openedAt": "2026-11-27T06:45:00.000Z", "working": true}, "d": 1}"#;
        let sessions = open_sessions(contents).unwrap();
        let found: Vec<_> = sessions
            .iter()
            .map(|session| (&*session.id, session.is_working))
            .collect();
        assert_eq!(found, [("b-1", Some(true)), ("a-2", None)]);
        assert_eq!(open_sessions(br#"{"b-1": {"opene"#), None);
        assert_eq!(open_sessions(b"{}\n"), Some(Vec::new()));
    }

    #[test]
    fn a_title_is_read_in_each_of_its_spellings() {
        for (line, expected) in [
            ("name: fix the parser", Some("fix the parser")),
            ("name: \"a: \\\"b\\\"\"", Some("a: \"b\"")),
            ("name: 'it''s'", Some("it's")),
            ("name:", None),
            ("name: |-", None),
            ("names: x", None),
        ] {
            let contents = format!("id: 1\n{line}\ncwd: /w\n");
            assert_eq!(title(contents.as_bytes()).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn the_context_is_a_share_of_what_the_model_takes() {
        let usage = |json: &str| Line::read(json.as_bytes()).unwrap().data.0.usage.0;
        let found = usage(r#"{"data":{"usage":{"inputTokens":32000,"maxPromptTokens":128000}}}"#);
        assert_eq!(found.context_percent(), Some(25.0));
        let nothing = usage(r#"{"data":{"usage":{"inputTokens":1,"maxPromptTokens":0}}}"#);
        assert_eq!(nothing.context_percent(), None);
    }
}
