//! Edits of an agent's settings as text: our hooks and our status line in and out, everything else byte for byte. Pure.
//!
//! Owns the outermost object; `hooks` and `status_line` each edit one of its members. `json` finds the places, `own_hook`
//! recognises our hooks, `shell` our calls in commands, `former` what earlier versions wrote. Knows neither files nor
//! which events there are. Called by `install::hooks`.
//!
//! Undoing takes the text and a record: white space, which containers were added, and the commands that were replaced.
//!
//! Settings are read as agents read them: strict JSON, or with comments where the agent allows them (`comments`), after a byte order mark; only white space counts as
//! `{}`; of a repeated key the last counts. Where an agent would ignore what is added, installing is refused.

mod comments;
mod former;
mod hooks;
mod json;
mod own_hook;
mod shell;
mod status_line;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::agents::{Install, MergedHooks, Switch, Syntax};
use comments::blank_comments;
use hooks::Hooks;
pub(crate) use hooks::{FoundHook, HooksUndo};
use json::{Edits, Node, Style};
use status_line::StatusLine;
pub(crate) use status_line::{StatusLineCall, StatusLineUndo};

/// White space by JSON's grammar.
const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

const BYTE_ORDER_MARK: char = '\u{feff}';

/// What is wrong with the settings, and where; lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{line}:{column}: {what}")]
pub(crate) struct SettingsError {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// What is wrong, such as `hooks.Stop is a number, not a list`.
    pub what: String,
}

impl SettingsError {
    /// `what` is wrong at a byte of `text`.
    #[must_use]
    pub(crate) fn at(text: &str, byte: usize, what: String) -> Self {
        let before = &text[..byte];
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            what,
        }
    }
}

/// A container as it was before something was added to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Prior {
    /// It was not there.
    Missing,
    /// In place of the outermost object there was only this white space.
    Blank(String),
    /// It was empty but for this white space.
    Empty(String),
    /// It had members or elements.
    #[default]
    Filled,
}

/// What undoing needs to know beyond the text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UndoRecord {
    /// The outermost object.
    pub root: Prior,
    /// The hooks; `None`: none were added.
    #[serde(flatten)]
    pub hooks: Option<HooksUndo>,
    /// The status line; `None`: it was not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_line: Option<StatusLineUndo>,
}

impl UndoRecord {
    /// Drops the record of `parts`, which were taken out.
    pub(crate) fn forget(&mut self, parts: Parts) {
        self.hooks = self.hooks.take().filter(|_| !parts.hooks);
        self.status_line = self.status_line.take().filter(|_| !parts.status_line);
    }

    /// True if nothing is left to undo.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.hooks.is_none() && self.status_line.is_none()
    }
}

/// What [`install`] puts in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// What the agent reads.
    pub syntax: Syntax,
    /// The hooks; `None`: they are left as they are.
    pub hooks: Option<HookRequest<'a>>,
    /// The status line.
    pub status_line: StatusLineRequest,
}

/// Which hooks [`install`] puts in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HookRequest<'a> {
    /// The agent's name, which the hook is called with.
    pub agent: &'a str,
    /// Which events get a hook.
    pub events: &'a [&'a str],
    /// How it is written.
    pub form: &'a MergedHooks,
}

/// What [`install`] does with the status line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatusLineRequest {
    /// It is left as it is.
    Keep,
    /// If it calls our program already, it is brought up to date.
    Update,
    /// It calls our program afterwards.
    Install,
}

/// What [`uninstall`] takes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts {
    /// The hooks.
    pub hooks: bool,
    /// The status line.
    pub status_line: bool,
}

/// The text after [`install`], and how to undo that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installed {
    /// The whole text.
    pub text: String,
    /// For [`uninstall`].
    pub record: UndoRecord,
}

/// What of ours is in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inspected {
    /// Our hooks, in order.
    pub found: Vec<FoundHook>,
    /// The status line's call of our program.
    pub status_line: Option<StatusLineCall>,
    /// The member that keeps every hook from running, if it is set.
    pub disabled_by: Option<&'static str>,
    /// The member that lets managed hooks run alone, if it is set. Counts in managed settings only.
    pub managed_only_by: Option<&'static str>,
}

/// Planned changes of the text.
#[derive(Default)]
struct Plan {
    edits: Edits,
    /// New members of the outermost object, as JSON without white space.
    new: Vec<String>,
}

/// Puts in what is requested, calling `program`, and makes calls that are there call `program`. `record` is the one that
/// an earlier call gave for these settings.
///
/// # Errors
///
/// The text is not JSON, or of a shape in which the agent would ignore what is added.
pub(crate) fn install(
    text: &str,
    request: &Request<'_>,
    program: &str,
    record: Option<&UndoRecord>,
) -> Result<Installed, SettingsError> {
    let (mark, body) = split_mark(text);
    let json = blank_comments(body, request.syntax);
    let root = read_root(&json)?;
    let (hooks, line) = (Hooks::read(&root), StatusLine::read(&root));
    let style = Style::of(body, &root);
    let mut record = record.cloned().unwrap_or_default();
    let hooks_undo = record.hooks.clone().filter(|undo| hooks.matches(undo));
    let line_undo = record.status_line.as_ref();
    let line_undo = line_undo.and_then(|undo| line.undo(undo));
    if hooks_undo.is_none() && line_undo.is_none() {
        record.root = Prior::Filled;
    }
    let mut plan = Plan::default();
    if let Some(request) = &request.hooks {
        hooks.check_shape(body, request.events)?;
        check_keys(body, &root, request.form.only_keys)?;
        let undo = hooks.install(body, request, program, hooks_undo, &style, &mut plan);
        record.hooks = Some(undo);
    }
    let line_undo = line_undo.as_ref();
    match request.status_line {
        StatusLineRequest::Keep => {}
        StatusLineRequest::Update => {
            record.status_line = line.update(program, line_undo, &mut plan);
        }
        StatusLineRequest::Install => {
            record.status_line = Some(line.install(body, program, line_undo, &mut plan)?);
        }
    }
    let new = plan.new.join(",");
    let after = if new.is_empty() {
        plan.edits.apply(body)
    } else if is_blank(&json) {
        record.root = Prior::Blank(text.to_owned());
        let object = style.write(&format!("{{{new}}}"), Some("")) + style.line_end;
        if is_blank(body) {
            object
        } else {
            // After the comments.
            format!("{}{}{object}", body.trim_end_matches(BLANK), style.line_end)
        }
    } else {
        plan.edits.append(body, &root, &new, &style);
        record.root = prior(body, &root, Some(&record.root));
        plan.edits.apply(body)
    };
    Ok(Installed {
        text: format!("{mark}{after}"),
        record,
    })
}

/// Takes `parts` out: by the record of [`install`] what it added, restoring the commands that it replaced; without a
/// record of a part, every hook of ours or our call in the status line.
///
/// # Errors
///
/// The text is not JSON.
pub(crate) fn uninstall(
    text: &str,
    form: &MergedHooks,
    parts: Parts,
    record: Option<&UndoRecord>,
) -> Result<String, SettingsError> {
    let (mark, body) = split_mark(text);
    let json = blank_comments(body, form.syntax);
    if is_blank(&json) {
        return Ok(text.to_owned());
    }
    let root = Node::read(&json)?;
    let mut edits = Edits::default();
    let mut gone_at = Vec::new();
    if parts.hooks {
        let undo = record.and_then(|record| record.hooks.as_ref());
        gone_at.extend(Hooks::read(&root).uninstall(body, undo, form.keeps_places, &mut edits));
    }
    if parts.status_line {
        let undo = record.and_then(|record| record.status_line.as_ref());
        gone_at.extend(StatusLine::read(&root).uninstall(undo, &mut edits));
    }
    let members = 0..root.members().len();
    let gone: Vec<bool> = members.map(|at| gone_at.contains(&at)).collect();
    let was = record.map_or(&Prior::Filled, |record| &record.root);
    match was {
        // Also where what was in the object that was added has been removed by hand.
        Prior::Blank(text) if root.is_object() && !gone.contains(&false) => Ok(text.clone()),
        _ => {
            edits.remove(body, &root, &gone, Some(was));
            Ok(format!("{mark}{}", edits.apply(body)))
        }
    }
}

/// Finds what of ours is in the settings.
///
/// # Errors
///
/// The text is not JSON, or of a shape in which the agent would ignore hooks for its events.
pub(crate) fn inspect(text: &str, install: &Install) -> Result<Inspected, SettingsError> {
    let (_, body) = split_mark(text);
    let merged = install.merged();
    let json = blank_comments(body, merged.map_or(Syntax::Json, |merged| merged.syntax));
    let root = read_root(&json)?;
    let hooks = Hooks::read(&root);
    hooks.check_shape(body, install.events)?;
    check_keys(body, &root, merged.map_or(&[], |merged| merged.only_keys))?;
    let managed_only = install.layers.as_ref();
    let managed_only = managed_only.map(|layers| layers.managed_only_key);
    let is_set = |key: &&str| root.member(key).is_some_and(|value| value.raw == "true");
    Ok(Inspected {
        found: hooks.found(),
        status_line: StatusLine::read(&root).call(),
        disabled_by: switch(&root, install.switches),
        managed_only_by: managed_only.filter(is_set),
    })
}

/// The outermost object; an empty one in place of white space.
fn read_root(body: &str) -> Result<Node<'_>, SettingsError> {
    let root = Node::read(if is_blank(body) { "{}" } else { body })?;
    if root.is_object() {
        Ok(root)
    } else {
        Err(wrong(body, &root, "what the file holds", "an object"))
    }
}

/// An agent that knows only some members drops the whole file for another.
fn check_keys(body: &str, root: &Node, only: &[&str]) -> Result<(), SettingsError> {
    let is_unknown = |member: &json::Member| !only.is_empty() && !only.contains(&&*member.key);
    match root.members().into_iter().find(is_unknown) {
        Some(member) => {
            let known = only.join("` and `");
            let what = format!("the agent ignores a file with other members than `{known}`");
            Err(SettingsError::at(body, member.range.start, what))
        }
        None => Ok(()),
    }
}

/// The first of the switches that is thrown.
fn switch(root: &Node, switches: &[Switch]) -> Option<&'static str> {
    let is_thrown = |switch: &&Switch| {
        let mut keys = switch.key.split('.');
        let found = keys.try_fold(*root, |node, key| node.member(key));
        let is_value = |node: &Node| node.raw == switch.value;
        found.is_some_and(|node| is_value(&node) || node.elements().iter().any(is_value))
    };
    Some(switches.iter().find(is_thrown)?.key)
}

fn is_blank(body: &str) -> bool {
    body.trim_matches(BLANK).is_empty()
}

/// The value is not what was expected.
fn wrong(body: &str, node: &Node, name: &str, expected: &str) -> SettingsError {
    let what = format!("{name} is {}, not {expected}", node.kind());
    SettingsError::at(body, node.start, what)
}

/// What a container is before something is added to it; `earlier`: what it was before something was added last time.
fn prior(body: &str, container: &Node, earlier: Option<&Prior>) -> Prior {
    let empty = container.children().is_empty();
    match earlier {
        Some(Prior::Missing) => Prior::Missing,
        Some(was @ (Prior::Empty(_) | Prior::Blank(_))) if !empty => was.clone(),
        _ if empty => Prior::Empty(body[container.inner()].to_owned()),
        _ => Prior::Filled,
    }
}

/// The byte order mark, which agents accept, and the rest.
fn split_mark(text: &str) -> (&str, &str) {
    let rest = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    text.split_at(text.len() - rest.len())
}

#[cfg(test)]
mod tests;
