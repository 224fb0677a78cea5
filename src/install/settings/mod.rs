//! Edits of an agent's settings as text: our hooks and our status line in and out, everything else byte for byte. Pure.
//!
//! Owns the outermost object; `hooks` and `status_line` each edit one of its members. `json` finds the places, `own_hook`
//! recognises our hooks, `shell` our calls in commands, `former` what earlier versions wrote. Knows neither files nor
//! which events there are. Called by `install::hooks`.
//!
//! Undoing takes the text and a record: white space, which containers were added, and the commands that were replaced.
//!
//! Settings are read as Claude Code 2.1.330 reads them: strict JSON, after a byte order mark; only white space counts as
//! `{}`; of a repeated key the last counts. Where it would ignore what is added, installing is refused.

mod former;
mod hooks;
mod json;
mod own_hook;
mod shell;
mod status_line;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use hooks::Hooks;
pub use hooks::{Found, HooksMemory, Replaced};
use json::{Edits, Node, Style, Tree};
use status_line::StatusLine;
pub use status_line::{Called, StatusLineUndo};

/// White space by JSON's grammar.
const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

const BYTE_ORDER_MARK: char = '\u{feff}';

/// What is wrong with the settings, and where; lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{line}:{column}: {what}")]
pub struct SettingsError {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// In words, such as `hooks.Stop is a number, not a list`.
    pub what: String,
}

impl SettingsError {
    /// `what` is wrong at a byte of `text`.
    #[must_use]
    pub fn at(text: &str, byte: usize, what: String) -> Self {
        let before = &text[..byte];
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            what,
        }
    }
}

/// A container as it was before we put something into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Before {
    /// It was not there.
    Missing,
    /// In place of the outermost object there was this white space only.
    Blank(String),
    /// It had nothing in it but this white space.
    Empty(String),
    /// It had something in it.
    Filled,
}

/// What undoing needs to know beyond the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The outermost object.
    pub root: Before,
    /// The hooks; `None`: none were put in.
    #[serde(flatten)]
    pub hooks: Option<HooksMemory>,
    /// The status line; `None`: it was not touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_line: Option<StatusLineUndo>,
}

impl Memory {
    /// Drops what is remembered of `parts`, which were taken out.
    pub fn forget(&mut self, parts: Parts) {
        self.hooks = self.hooks.take().filter(|_| !parts.hooks);
        self.status_line = self.status_line.take().filter(|_| !parts.status_line);
    }

    /// True if nothing of ours is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hooks.is_none() && self.status_line.is_none()
    }
}

/// What is to be put in.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Hooks for these events; `None`: hooks are left as they are.
    pub events: Option<&'a [&'a str]>,
    /// The status line.
    pub status_line: Want,
}

/// How much something is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// It is left as it is.
    No,
    /// Where it is there, it is to call the program.
    IfThere,
    /// It is to be there.
    Yes,
}

/// What is to be taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// The hooks.
    pub hooks: bool,
    /// The status line.
    pub status_line: bool,
}

/// The text with what is ours, and how to undo that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The whole text.
    pub text: String,
    /// For [`uninstall`].
    pub memory: Memory,
}

/// How what is ours stands in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// Our hooks, in order.
    pub found: Vec<Found>,
    /// The status line's call of ours.
    pub status_line: Option<Called>,
    /// Claude Code runs no hooks at all.
    pub disabled: bool,
}

/// What is to become of the text.
#[derive(Default)]
struct Plan<'a> {
    edits: Edits,
    /// New members of the outermost object.
    new: Vec<(&'a str, Tree<'a>)>,
}

/// Puts in what is wanted, calling `program`, and makes what there is of it call `program`. `memory` is what an earlier
/// call answered for these settings.
///
/// # Errors
///
/// The text is not JSON, or of a shape in which Claude Code would not see what is ours.
pub fn install(
    text: &str,
    wanted: &Wanted<'_>,
    program: &str,
    memory: Option<&Memory>,
) -> Result<Installed, SettingsError> {
    let (mark, body) = split_mark(text);
    let blank = is_blank(body);
    let root = read_root(body)?;
    let (hooks, line) = (Hooks::read(&root), StatusLine::read(&root));
    let style = if blank {
        Style::of_blank(body)
    } else {
        Style::of(body, &root)
    };
    let of_hooks = memory.and_then(|memory| memory.hooks.as_ref());
    let of_line = memory.and_then(|memory| memory.status_line.as_ref());
    let hooks_known = of_hooks.filter(|memory| hooks.bears_out(memory));
    let line_undo = of_line.and_then(|record| line.undo(record));
    let mut plan = Plan::default();
    let hooks_memory = match wanted.events {
        None => of_hooks.cloned(),
        Some(events) => {
            hooks.check_shape(body, events)?;
            Some(hooks.install(body, events, program, hooks_known, &style, &mut plan))
        }
    };
    let line_memory = match wanted.status_line {
        Want::No => of_line.cloned(),
        Want::IfThere => line.retarget(program, line_undo.as_ref(), &mut plan),
        Want::Yes => Some(line.install(body, program, line_undo.as_ref(), &mut plan)?),
    };
    let earlier = memory
        .map(|memory| &memory.root)
        .filter(|_| hooks_known.is_some() || line_undo.is_some());
    let (root_memory, text) = if plan.new.is_empty() {
        let as_before = earlier.cloned().unwrap_or(Before::Filled);
        (as_before, format!("{mark}{}", plan.edits.apply(body)))
    } else if blank {
        let tree = style.render(&Tree::Object(plan.new), Some(""));
        let filled = format!("{mark}{tree}{}", style.line_end());
        (Before::Blank(text.to_owned()), filled)
    } else {
        let new: Vec<_> = plan
            .new
            .into_iter()
            .map(|(key, value)| (Some(key), value))
            .collect();
        plan.edits.append(body, &root, &new, &style);
        let was = before(body, &root, earlier);
        (was, format!("{mark}{}", plan.edits.apply(body)))
    };
    Ok(Installed {
        text,
        memory: Memory {
            root: root_memory,
            hooks: hooks_memory,
            status_line: line_memory,
        },
    })
}

/// Takes `parts` out: with the memory of [`install`] what it put in, and gives what was there before its program back;
/// where nothing is remembered of a part, all of it that is ours.
///
/// # Errors
///
/// The text is not JSON.
pub fn uninstall(
    text: &str,
    parts: Parts,
    memory: Option<&Memory>,
) -> Result<String, SettingsError> {
    let (mark, body) = split_mark(text);
    if is_blank(body) {
        return Ok(text.to_owned());
    }
    let root = Node::read(body)?;
    let mut edits = Edits::default();
    let mut gone = vec![false; root.members().len()];
    if parts.hooks {
        let memory = memory.and_then(|memory| memory.hooks.as_ref());
        if let Some(at) = Hooks::read(&root).uninstall(memory, &mut edits) {
            gone[at] = true;
        }
    }
    if parts.status_line {
        let memory = memory.and_then(|memory| memory.status_line.as_ref());
        if let Some(at) = StatusLine::read(&root).uninstall(memory, &mut edits) {
            gone[at] = true;
        }
    }
    let blank = match memory.map(|memory| &memory.root) {
        // Also where somebody has taken by hand what was in the object that was made for us.
        Some(Before::Blank(text)) if root.is_object() && !gone.contains(&false) => {
            return Ok(text.clone());
        }
        Some(Before::Empty(blank)) => blank,
        _ => "",
    };
    edits.remove(&root, &gone, blank);
    Ok(format!("{mark}{}", edits.apply(body)))
}

/// How what is ours stands in the settings.
///
/// # Errors
///
/// The text is not JSON, or of a shape in which Claude Code would not see hooks for `events`.
pub fn inspect(text: &str, events: &[&str]) -> Result<Inspected, SettingsError> {
    let (_, body) = split_mark(text);
    let root = read_root(body)?;
    let hooks = Hooks::read(&root);
    hooks.check_shape(body, events)?;
    let disabled = root.member("disableAllHooks");
    Ok(Inspected {
        found: hooks.found(),
        status_line: StatusLine::read(&root).called(),
        disabled: disabled.is_some_and(|value| value.raw == "true"),
    })
}

/// The outermost object; one without members in the stead of white space.
fn read_root(body: &str) -> Result<Node<'_>, SettingsError> {
    let root = Node::read(if is_blank(body) { "{}" } else { body })?;
    if root.is_object() {
        Ok(root)
    } else {
        Err(wrong(body, &root, "what the file holds", "an object"))
    }
}

fn is_blank(body: &str) -> bool {
    body.trim_matches(BLANK).is_empty()
}

/// The value is not what was expected.
fn wrong(body: &str, node: &Node, name: &str, expected: &str) -> SettingsError {
    let what = format!("{name} is {}, not {expected}", node.kind());
    SettingsError::at(body, node.start, what)
}

/// What a container is before something is put into it, `earlier` being what it was before that happened the last time.
fn before(body: &str, container: &Node, earlier: Option<&Before>) -> Before {
    let empty = container.children().is_empty();
    match earlier {
        Some(Before::Missing) => Before::Missing,
        Some(Before::Empty(_) | Before::Blank(_)) if !empty => {
            earlier.cloned().unwrap_or(Before::Filled)
        }
        _ if empty => Before::Empty(body[container.inner()].to_owned()),
        _ => Before::Filled,
    }
}

/// The byte order mark, which Claude Code takes, and the rest.
fn split_mark(text: &str) -> (&str, &str) {
    text.split_at(if text.starts_with(BYTE_ORDER_MARK) {
        BYTE_ORDER_MARK.len_utf8()
    } else {
        0
    })
}

#[cfg(test)]
mod tests;
