//! An agent's settings as text: our hooks in, our hooks out, everything else byte for byte as it was. Pure.
//!
//! Owns how hooks are put in and taken out by as few edits of the text as possible; `json` finds the places, `ours` knows
//! our hooks. Knows neither files nor which events there are. Called by `hooks`.
//!
//! A hook is put in by adding a child at the end of a list or an object, so taking it out needs the structure alone,
//! whatever others have done around it since. What the structure cannot tell is a [`Memory`]: which containers were
//! made for us, and the white space within those that were empty. Without it, containers that end up empty go.
//!
//! As Claude Code 2.1.330 reads its settings, so are they read here: strict JSON, after a byte order mark; text of
//! white space only is as good as `{}`; of a repeated key the last counts; an entry of the wrong shape within a list of
//! hooks is skipped. Where it would skip more than that (`hooks`, an event, everything), installing is refused.

mod json;
mod ours;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use json::{Edits, Node, Style, Tree};
use ours::{Ours, all, group, ours_in};

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
    /// `hooks`.
    pub hooks: Before,
    /// The events that a hook was added to. Ours elsewhere were there before.
    pub events: BTreeMap<String, Before>,
    /// Hooks that were there before and now call another program.
    pub replaced: Vec<Replaced>,
}

/// A hook that a person wrote, whose `command` was changed; both as JSON strings, quotes included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// The event.
    pub event: String,
    /// Which of our hooks there it was.
    pub at: usize,
    /// The command before.
    pub old: String,
    /// The command since.
    pub new: String,
}

/// The text with our hooks, and how to undo that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The whole text.
    pub text: String,
    /// For [`uninstall`].
    pub memory: Memory,
}

/// One of our hooks in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The event that it hears of.
    pub event: String,
    /// The program that it calls, as it is written there.
    pub program: String,
}

/// How our hooks stand in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// Our hooks, in order.
    pub found: Vec<Found>,
    /// Claude Code runs no hooks at all.
    pub disabled: bool,
}

/// Puts a hook that calls `program` into each of `events` that has none of ours, and makes those that there are call
/// `program`. `memory` is what an earlier call answered for these settings.
///
/// # Errors
///
/// The text is not JSON, or of a shape in which Claude Code would not see our hooks.
pub fn install(
    text: &str,
    events: &[&str],
    program: &str,
    memory: Option<&Memory>,
) -> Result<Installed, SettingsError> {
    let (mark, body) = split_mark(text);
    if body.trim_matches(BLANK).is_empty() {
        let style = Style::of_blank(body);
        let tree = Tree::Object(vec![("hooks", all(events, program))]);
        let tree = style.render(&tree, Some(""));
        return Ok(Installed {
            text: format!("{mark}{tree}{}", style.line_end()),
            memory: Memory {
                root: Before::Blank(text.to_owned()),
                ..Memory::of_new(events)
            },
        });
    }
    let settings = Settings::read(body)?;
    settings.check_shape(body, events)?;
    let style = Style::of(body, &settings.root);
    let mut edits = Edits::default();
    let Some(hooks) = &settings.hooks else {
        let memory = Memory {
            root: before(body, &settings.root, None),
            ..Memory::of_new(events)
        };
        let new = [(Some("hooks"), all(events, program))];
        edits.append(body, &settings.root, &new, &style);
        return Ok(Installed {
            text: format!("{mark}{}", edits.apply(body)),
            memory,
        });
    };
    let mut memory = memory
        .filter(|memory| settings.bears_out(memory))
        .cloned()
        .unwrap_or_else(Memory::of_nothing);
    let mut new = Vec::new();
    for &event in events {
        let there = settings.events.iter().find(|there| there.name == event);
        if there.is_some_and(|there| !there.ours.is_empty()) {
            continue;
        }
        let was = there.map_or(Before::Missing, |there| {
            before(body, &there.list, memory.events.get(event))
        });
        memory.events.insert(event.to_owned(), was);
        match there {
            Some(there) => edits.append(body, &there.list, &[(None, group(program))], &style),
            None => new.push((Some(event), Tree::List(vec![group(program)]))),
        }
    }
    if !new.is_empty() {
        memory.hooks = before(body, hooks, Some(&memory.hooks));
        edits.append(body, hooks, &new, &style);
    }
    settings.retarget(program, &mut memory, &mut edits);
    Ok(Installed {
        text: format!("{mark}{}", edits.apply(body)),
        memory,
    })
}

/// Takes our hooks out: with the memory of [`install`] those that it put in, and gives those that were there before
/// their program back; without it, all of ours.
///
/// # Errors
///
/// The text is not JSON.
pub fn uninstall(text: &str, memory: Option<&Memory>) -> Result<String, SettingsError> {
    let (mark, body) = split_mark(text);
    if body.trim_matches(BLANK).is_empty() {
        return Ok(text.to_owned());
    }
    let settings = Settings::read(body)?;
    let Some(hooks) = settings.hooks.filter(Node::is_object) else {
        // Somebody has taken `hooks` out by hand, and what is left is the object that was made for them.
        return Ok(match memory.map(|memory| &memory.root) {
            Some(Before::Blank(blank))
                if settings.root.is_object() && settings.root.children().is_empty() =>
            {
                blank.clone()
            }
            _ => text.to_owned(),
        });
    };
    let mut edits = Edits::default();
    let mut gone = vec![false; hooks.children().len()];
    for event in &settings.events {
        let was = memory.map(|memory| (memory, memory.events.get(&*event.name)));
        if let Some((memory, None)) = was {
            event.restore(memory, &mut edits);
            continue;
        }
        let was = was.and_then(|(_, was)| was);
        gone[event.index] = event.clear(was, &mut edits);
    }
    let members = settings.root.members();
    let repeated = members
        .iter()
        .filter(|member| member.key == "hooks")
        .count()
        > 1;
    let was = unless(repeated, memory.map(|memory| &memory.hooks));
    if clear(&hooks, &gone, was, &mut edits) {
        // `hooks` goes as a whole: what was planned within it is void.
        edits = Edits::default();
        let is_it = |member: &json::Member| member.value.start == hooks.start;
        let gone: Vec<bool> = members.iter().map(is_it).collect();
        let blank = match memory.map(|memory| &memory.root) {
            Some(Before::Blank(text)) if gone.len() == 1 => return Ok(text.clone()),
            Some(Before::Empty(blank)) => blank,
            _ => "",
        };
        edits.remove(&settings.root, &gone, blank);
    }
    Ok(format!("{mark}{}", edits.apply(body)))
}

/// How our hooks stand in the settings.
///
/// # Errors
///
/// As for [`install`].
pub fn inspect(text: &str, events: &[&str]) -> Result<Inspected, SettingsError> {
    let (_, body) = split_mark(text);
    if body.trim_matches(BLANK).is_empty() {
        return Ok(Inspected {
            found: Vec::new(),
            disabled: false,
        });
    }
    let settings = Settings::read(body)?;
    settings.check_shape(body, events)?;
    let found = settings.events.iter().flat_map(|event| {
        event.ours.iter().map(|ours| Found {
            event: event.name.to_string(),
            program: ours.program.clone(),
        })
    });
    let disabled = settings.root.member("disableAllHooks");
    Ok(Inspected {
        found: found.collect(),
        disabled: disabled.is_some_and(|value| value.raw == "true"),
    })
}

impl Memory {
    /// Nothing was added.
    fn of_nothing() -> Self {
        Self {
            root: Before::Filled,
            hooks: Before::Filled,
            events: BTreeMap::new(),
            replaced: Vec::new(),
        }
    }

    /// There was no `hooks`.
    fn of_new(events: &[&str]) -> Self {
        let missing = |&event: &&str| (event.to_owned(), Before::Missing);
        Self {
            hooks: Before::Missing,
            events: events.iter().map(missing).collect(),
            ..Self::of_nothing()
        }
    }
}

/// The settings, as far as hooks are concerned.
struct Settings<'a> {
    root: Node<'a>,
    hooks: Option<Node<'a>>,
    events: Vec<Event<'a>>,
}

/// An event's list of hooks.
struct Event<'a> {
    name: Cow<'a, str>,
    /// Which child of `hooks` it is.
    index: usize,
    /// There is an earlier one of that name, which would count if this one went.
    repeated: bool,
    list: Node<'a>,
    ours: Vec<Ours<'a>>,
}

impl<'a> Settings<'a> {
    fn read(body: &'a str) -> Result<Self, SettingsError> {
        let root = Node::read(body)?;
        let hooks = root.member("hooks");
        let mut events: Vec<Event> = Vec::new();
        let members = hooks.map(|hooks| hooks.members()).unwrap_or_default();
        for (index, member) in members.into_iter().enumerate() {
            let earlier = events.len();
            events.retain(|earlier| earlier.name != member.key);
            events.push(Event {
                repeated: events.len() < earlier,
                name: member.key,
                index,
                list: member.value,
                ours: ours_in(&member.value),
            });
        }
        Ok(Self {
            root,
            hooks,
            events,
        })
    }

    fn check_shape(&self, body: &str, events: &[&str]) -> Result<(), SettingsError> {
        let wrong = |node: &Node, name: &str, expected: &str| {
            let what = format!("{name} is {}, not {expected}", node.kind());
            Err(SettingsError::at(body, node.start, what))
        };
        if !self.root.is_object() {
            return wrong(&self.root, "what the file holds", "an object");
        }
        if let Some(hooks) = self.hooks.filter(|hooks| !hooks.is_object()) {
            return wrong(&hooks, "hooks", "an object");
        }
        let list_or_foreign =
            |event: &&Event| event.list.is_list() || !events.contains(&&*event.name);
        match self.events.iter().find(|event| !list_or_foreign(event)) {
            Some(event) => wrong(&event.list, &format!("hooks.{}", event.name), "a list"),
            None => Ok(()),
        }
    }

    /// Whether the memory is of these settings, and not of some that others have put back or written anew since.
    fn bears_out(&self, memory: &Memory) -> bool {
        self.events.iter().any(|event| {
            let added = memory.events.contains_key(&*event.name);
            (added && !event.ours.is_empty()) || event.replaced(memory).iter().any(Option::is_some)
        })
    }

    /// Makes every hook of ours call `program`.
    fn retarget(&self, program: &str, memory: &mut Memory, edits: &mut Edits) {
        let mut replaced = Vec::new();
        for event in &self.events {
            let added = memory.events.contains_key(&*event.name);
            for (at, (ours, earlier)) in event.ours.iter().zip(event.replaced(memory)).enumerate() {
                let new = ours
                    .calling(program)
                    .unwrap_or_else(|| ours.command.raw.to_owned());
                let old = earlier
                    .map_or(ours.command.raw, |earlier| &earlier.old)
                    .to_owned();
                if !added && old != new {
                    replaced.push(Replaced {
                        event: event.name.to_string(),
                        at,
                        old,
                        new: new.clone(),
                    });
                }
                if new != ours.command.raw {
                    edits.replace(ours.command.range(), new);
                }
            }
        }
        memory.replaced = replaced;
    }
}

impl Event<'_> {
    /// For each of ours what is remembered of its command: by its place, else wherever the command is found.
    fn replaced<'m>(&self, memory: &'m Memory) -> Vec<Option<&'m Replaced>> {
        let mut found = vec![None; self.ours.len()];
        let here = memory
            .replaced
            .iter()
            .filter(|replaced| replaced.event == self.name);
        let (placed, moved): (Vec<_>, Vec<_>) = here.partition(|replaced| {
            self.ours
                .get(replaced.at)
                .is_some_and(|ours| ours.command.raw == replaced.new)
        });
        for replaced in placed {
            found[replaced.at] = Some(replaced);
        }
        for replaced in moved {
            let same = |(at, ours): (usize, &Ours)| {
                found[at].is_none() && ours.command.raw == replaced.new
            };
            if let Some(at) = self.ours.iter().enumerate().position(same) {
                found[at] = Some(replaced);
            }
        }
        found
    }

    /// Gives those that were there before their command back.
    fn restore(&self, memory: &Memory, edits: &mut Edits) {
        for (ours, replaced) in self.ours.iter().zip(self.replaced(memory)) {
            if let Some(replaced) = replaced {
                edits.replace(ours.command.range(), replaced.old.clone());
            }
        }
    }

    /// Takes ours out of the list; true if the whole event is to go.
    fn clear(&self, was: Option<&Before>, edits: &mut Edits) -> bool {
        let groups = self.list.elements();
        let mut gone = vec![false; groups.len()];
        let mut within = Edits::default();
        for (at, group) in groups.iter().enumerate() {
            let Some(handlers) = group.member("hooks") else {
                continue;
            };
            let mut handlers_gone = vec![false; handlers.elements().len()];
            for ours in self.ours.iter().filter(|ours| ours.group == at) {
                handlers_gone[ours.handler] = true;
            }
            gone[at] = !handlers_gone.is_empty() && handlers_gone.iter().all(|&gone| gone);
            if !gone[at] {
                within.remove(&handlers, &handlers_gone, "");
            }
        }
        edits.extend(within);
        self.list.is_list() && clear(&self.list, &gone, unless(self.repeated, was), edits)
    }
}

/// Takes the children that are `gone` out of a container; true if it is to go itself, being empty then and made for us.
/// What is not known to have been there before goes, too, if that is what emptied it.
fn clear(container: &Node, gone: &[bool], was: Option<&Before>, edits: &mut Edits) -> bool {
    let any = gone.contains(&true);
    if gone.contains(&false) {
        edits.remove(container, gone, "");
        return false;
    }
    match was {
        Some(Before::Missing) => return true,
        None => return any,
        Some(Before::Empty(blank)) if any => edits.remove(container, gone, blank),
        Some(_) if any => edits.remove(container, gone, ""),
        Some(_) => {}
    }
    false
}

/// What was there before, but what is repeated does not go: what it hides would count then.
fn unless(repeated: bool, was: Option<&Before>) -> Option<&Before> {
    match was {
        None | Some(Before::Missing) if repeated => Some(&Before::Filled),
        _ => was,
    }
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
