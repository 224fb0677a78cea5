//! The status line as earlier versions wrote it, and their record of it: read so that an update can still undo it byte
//! for byte. `status_line` is the only caller.
//!
//! They put `PROGRAM statusline -- ` before a command that consisted of plain words, and `PROGRAM statusline -- sh -c '`
//! and `'` around any other, both within the JSON string as it was written. The record does not hold the command.

use serde::{Deserialize, Serialize};

use super::json::{escape, lossy};
use super::shell::{self, STATUS_LINE as SUBCOMMAND};

/// Their record where there had been a status line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FormerUndo {
    /// The command is within the present one.
    Wrapped,
    /// It was a call of this program. The program's word within the JSON string.
    Found {
        /// Before.
        old: String,
        /// Since.
        new: String,
    },
}

impl FormerUndo {
    /// The command before, as a JSON string, if `raw`, the present one, is still as it was written.
    pub(super) fn old(&self, raw: &str) -> Option<String> {
        match self {
            Self::Wrapped => unwrap(raw),
            Self::Found { old, new } => {
                let is_program = |at: &usize| {
                    let rest = &raw[at + new.len()..];
                    rest.trim_start_matches([' ', '\t']).starts_with(SUBCOMMAND)
                };
                let mut places = raw.match_indices(new).map(|(at, _)| at);
                // A program that was changed by hand stays.
                Some(places.find(is_program).map_or(raw.to_owned(), |at| {
                    format!("{}{old}{}", &raw[..at], &raw[at + new.len()..])
                }))
            }
        }
    }
}

/// The command that follows our call, as it was written.
fn unwrap(raw: &str) -> Option<String> {
    let text = lossy(raw)?;
    let call = shell::call(&text, SUBCOMMAND)?;
    let before = format!("\"{} -- ", escape(&text[..call.rest]));
    let command = raw.strip_prefix(&before)?.strip_suffix('"')?;
    let begins = command.trim_start_matches(' ');
    if begins.is_empty() || begins.starts_with(['&', '|', ';', '<', '>', ')', '#']) {
        return None;
    }
    let word = command
        .strip_prefix("sh -c '")
        .and_then(|word| unquote(word.strip_suffix('\'')?));
    Some(format!("\"{}\"", word.as_deref().unwrap_or(command)))
}

/// Takes away what was put behind each single quote, however that is written.
fn unquote(mut word: &str) -> Option<String> {
    let mut command = String::new();
    while let Some(first) = word.chars().next() {
        let length = match first {
            '\\' if word[1..].starts_with('u') => 6,
            '\\' => 2,
            _ => first.len_utf8(),
        };
        let (letter, rest) = word.split_at_checked(length)?;
        command.push_str(letter);
        word = match letter {
            "'" | r"\u0027" => rest.strip_prefix(r"\\''")?,
            _ => rest,
        };
    }
    Some(command)
}
