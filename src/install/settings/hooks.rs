//! `hooks` in the settings: ours in, ours out. `settings` is the only caller, and answers for the outermost object.
//!
//! A hook is put in by adding a child at the end of a list or an object, so taking it out needs the structure alone,
//! whatever others have done around it since. What the structure cannot tell is a [`HooksMemory`]: which containers were
//! made for us, and the white space within those that were empty. Without it, containers that end up empty go.
//!
//! Of a repeated key the last counts, and an entry of the wrong shape within a list of hooks is skipped, both as Claude
//! Code does. Where it would skip more than that (`hooks`, an event), installing is refused.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::json::{Edits, Node, Style, Tree};
use super::own_hook::{Ours, all, group, ours_in};
use super::{Before, Plan, SettingsError, before, wrong};

const KEY: &str = "hooks";

/// What undoing needs to know beyond the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HooksMemory {
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

/// One of our hooks in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The event that it hears of.
    pub event: String,
    /// The program that it calls, as it is written there.
    pub program: String,
}

/// `hooks`, the one that counts.
pub(super) struct Hooks<'a> {
    /// Which member of the outermost object it is, and its value.
    place: Option<(usize, Node<'a>)>,
    /// There is an earlier one, which would count if this one went.
    repeated: bool,
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

impl<'a> Hooks<'a> {
    pub(super) fn read(root: &Node<'a>) -> Self {
        let place = root.place_of(KEY);
        let mut events: Vec<Event> = Vec::new();
        let members = place.map(|(_, hooks)| hooks.members()).unwrap_or_default();
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
        Self {
            place,
            repeated: root
                .members()
                .iter()
                .filter(|member| member.key == KEY)
                .count()
                > 1,
            events,
        }
    }

    /// Ours, in order.
    pub(super) fn found(&self) -> Vec<Found> {
        let found = self.events.iter().flat_map(|event| {
            event.ours.iter().map(|ours| Found {
                event: event.name.to_string(),
                program: ours.program.clone(),
            })
        });
        found.collect()
    }

    pub(super) fn check_shape(&self, body: &str, events: &[&str]) -> Result<(), SettingsError> {
        if let Some((_, hooks)) = self.place.filter(|(_, hooks)| !hooks.is_object()) {
            return Err(wrong(body, &hooks, KEY, "an object"));
        }
        let list_or_foreign =
            |event: &&Event| event.list.is_list() || !events.contains(&&*event.name);
        match self.events.iter().find(|event| !list_or_foreign(event)) {
            Some(event) => {
                let name = format!("{KEY}.{}", event.name);
                Err(wrong(body, &event.list, &name, "a list"))
            }
            None => Ok(()),
        }
    }

    /// Whether the memory is of these hooks, and not of some that others have put back or written anew since.
    pub(super) fn bears_out(&self, memory: &HooksMemory) -> bool {
        self.events.iter().any(|event| {
            let added = memory.events.contains_key(&*event.name);
            (added && !event.ours.is_empty()) || event.replaced(memory).iter().any(Option::is_some)
        })
    }

    /// Puts a hook that calls `program` into each of `events` that has none of ours, and makes those that there are call
    /// it. `memory` is one that is borne out.
    pub(super) fn install<'p>(
        &self,
        body: &str,
        events: &[&'p str],
        program: &str,
        memory: Option<&HooksMemory>,
        style: &Style,
        plan: &mut Plan<'p>,
    ) -> HooksMemory {
        let Some((_, hooks)) = &self.place else {
            plan.new.push((KEY, all(events, program)));
            return HooksMemory::of_new(events);
        };
        let mut memory = memory.cloned().unwrap_or_else(HooksMemory::of_nothing);
        let mut new = Vec::new();
        for &event in events {
            let there = self.events.iter().find(|there| there.name == event);
            if there.is_some_and(|there| !there.ours.is_empty()) {
                continue;
            }
            let was = there.map_or(Before::Missing, |there| {
                before(body, &there.list, memory.events.get(event))
            });
            memory.events.insert(event.to_owned(), was);
            match there {
                Some(there) => {
                    let new = [(None, group(program))];
                    plan.edits.append(body, &there.list, &new, style);
                }
                None => new.push((Some(event), Tree::List(vec![group(program)]))),
            }
        }
        if !new.is_empty() {
            memory.hooks = before(body, hooks, Some(&memory.hooks));
            plan.edits.append(body, hooks, &new, style);
        }
        self.retarget(program, &mut memory, &mut plan.edits);
        memory
    }

    /// Makes every hook of ours call `program`.
    fn retarget(&self, program: &str, memory: &mut HooksMemory, edits: &mut Edits) {
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

    /// Takes our hooks out: with a memory those that were put in, and gives those that were there before their program
    /// back; without it, all of ours. Answers which member of the outermost object is to go.
    pub(super) fn uninstall(
        &self,
        memory: Option<&HooksMemory>,
        edits: &mut Edits,
    ) -> Option<usize> {
        let (at, hooks) = self.place.filter(|(_, hooks)| hooks.is_object())?;
        let mut within = Edits::default();
        let mut gone = vec![false; hooks.children().len()];
        for event in &self.events {
            let was = memory.map(|memory| (memory, memory.events.get(&*event.name)));
            if let Some((memory, None)) = was {
                event.restore(memory, &mut within);
                continue;
            }
            let was = was.and_then(|(_, was)| was);
            gone[event.index] = event.clear(was, &mut within);
        }
        let was = unless(self.repeated, memory.map(|memory| &memory.hooks));
        if clear(&hooks, &gone, was, &mut within) {
            // What was planned within it is void.
            return Some(at);
        }
        edits.extend(within);
        None
    }
}

impl HooksMemory {
    /// Nothing was added.
    fn of_nothing() -> Self {
        Self {
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

impl Event<'_> {
    /// For each of ours what is remembered of its command: by its place, else wherever the command is found.
    fn replaced<'m>(&self, memory: &'m HooksMemory) -> Vec<Option<&'m Replaced>> {
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
    fn restore(&self, memory: &HooksMemory, edits: &mut Edits) {
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
