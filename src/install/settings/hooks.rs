//! `hooks` in the settings: how ours get in and out. `settings` is the only caller, and edits the outermost object.
//!
//! A hook is added as a child at the end of a list or an object, so removing it needs the structure alone, whatever others
//! have changed around it. What the structure does not show is in [`HooksUndo`]: which containers were added, and the white
//! space within those that were empty. Without it, containers that end up empty are removed.
//!
//! Of a repeated key the last counts, and an entry of the wrong shape within a list of hooks is skipped, both as
//! agents do. Where they would skip more than that (`hooks`, an event), installing is refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::json::{Edits, Member, Node, Style, quote};
use super::own_hook::{self, OwnHook, own_hooks_in};
use super::{HookRequest, Plan, Prior, SettingsError, prior, wrong};

const KEY: &str = "hooks";

/// What undoing the hooks needs to know beyond the text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HooksUndo {
    /// `hooks`.
    pub hooks: Prior,
    /// The events that a hook was added to. Ours elsewhere were there before.
    pub events: BTreeMap<String, Prior>,
    /// Hooks that were there before and now call another program.
    pub replaced: Vec<Replaced>,
}

/// A hook that a person wrote and whose `command` was replaced; both as JSON strings, quotes included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Replaced {
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
pub(crate) struct FoundHook {
    /// Its event.
    pub event: String,
    /// The program that it calls, as it is written there.
    pub program: String,
}

/// The member `hooks`; the last, if it is repeated.
pub(super) struct Hooks<'a> {
    /// Which member of the outermost object it is, and its value.
    place: Option<(usize, Node<'a>)>,
    /// There is an earlier one, which would count if this one went.
    repeated: bool,
    events: Vec<Event<'a>>,
}

/// An event's list of hooks.
struct Event<'a> {
    name: String,
    /// Which child of `hooks` it is.
    index: usize,
    /// There is an earlier one of that name, which would count if this one went.
    repeated: bool,
    list: Node<'a>,
    own: Vec<OwnHook<'a>>,
}

impl<'a> Hooks<'a> {
    pub(super) fn read(root: &Node<'a>) -> Self {
        let place = root.place_of(KEY);
        let is_hooks = |member: &&Member| member.key == KEY;
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
                own: own_hooks_in(&member.value),
            });
        }
        Self {
            place,
            repeated: root.members().iter().filter(is_hooks).count() > 1,
            events,
        }
    }

    /// Ours, in order.
    pub(super) fn found(&self) -> Vec<FoundHook> {
        let found = self.events.iter().flat_map(|event| {
            event.own.iter().map(|own| FoundHook {
                event: event.name.clone(),
                program: own.program.clone(),
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

    /// Whether the record is of these hooks, and not of some that others have restored or rewritten since.
    pub(super) fn matches(&self, undo: &HooksUndo) -> bool {
        self.events.iter().any(|event| {
            let added = undo.events.contains_key(&event.name);
            (added && !event.own.is_empty()) || event.replaced(undo).iter().any(Option::is_some)
        })
    }

    /// Adds a hook that calls `program` to each event that has none of ours, and makes those that are there call it.
    /// `undo` is a record that [`Hooks::matches`].
    pub(super) fn install(
        &self,
        body: &str,
        request: &HookRequest<'_>,
        program: &str,
        undo: Option<HooksUndo>,
        style: &Style,
        plan: &mut Plan,
    ) -> HooksUndo {
        let mut undo = undo.unwrap_or_default();
        let mut new = Vec::new();
        for &event in request.events {
            let there = self.events.iter().find(|there| there.name == event);
            let was = match there {
                Some(there) if !there.own.is_empty() => continue,
                Some(there) => {
                    let group = own_hook::group(event, request, program);
                    plan.edits.append(body, &there.list, &group, style);
                    prior(body, &there.list, undo.events.get(event))
                }
                None => {
                    new.push(own_hook::event(event, request, program));
                    Prior::Missing
                }
            };
            undo.events.insert(event.to_owned(), was);
        }
        let new = new.join(",");
        match &self.place {
            None => {
                undo.hooks = Prior::Missing;
                plan.new.push(format!("\"{KEY}\":{{{new}}}"));
            }
            Some((_, hooks)) if !new.is_empty() => {
                undo.hooks = prior(body, hooks, Some(&undo.hooks));
                plan.edits.append(body, hooks, &new, style);
            }
            Some(_) => {}
        }
        self.update(body, request, program, &mut undo, style, &mut plan.edits);
        undo
    }

    /// Makes every hook of ours call `program`. Those that an earlier version added without the agent's name get it; of
    /// hooks that were there before, only the program is ever replaced.
    fn update(
        &self,
        body: &str,
        request: &HookRequest<'_>,
        program: &str,
        undo: &mut HooksUndo,
        style: &Style,
        edits: &mut Edits,
    ) {
        let mut replaced = Vec::new();
        for event in &self.events {
            let added = undo.events.contains_key(&event.name);
            for (at, (own, earlier)) in event.own.iter().zip(event.replaced(undo)).enumerate() {
                let new = own.calling(program);
                let old = earlier.map_or(own.command.raw, |earlier| &earlier.old);
                if let Some(arguments) = own.nameless_arguments().filter(|_| added) {
                    edits.append(body, &arguments, &quote(request.agent), style);
                }
                if !added && old != new {
                    replaced.push(Replaced {
                        event: event.name.clone(),
                        at,
                        old: old.to_owned(),
                        new: new.clone(),
                    });
                }
                if new != own.command.raw {
                    edits.replace(own.command.range(), new);
                }
            }
        }
        undo.replaced = replaced;
    }

    /// Removes our hooks: by the record those that were added, restoring the commands of those that were there before;
    /// without it, all of ours. With `keeps_places` the groups of others stay where they are. Returns the index of the
    /// outermost object's member to remove.
    pub(super) fn uninstall(
        &self,
        body: &str,
        undo: Option<&HooksUndo>,
        keeps_places: bool,
        edits: &mut Edits,
    ) -> Option<usize> {
        let remove =
            |event: &Event, was, edits: &mut _| event.remove_own(body, was, keeps_places, edits);
        let (at, hooks) = self.place.filter(|(_, hooks)| hooks.is_object())?;
        let mut gone = vec![false; hooks.children().len()];
        for event in &self.events {
            match undo.map(|undo| (undo, undo.events.get(&event.name))) {
                Some((undo, None)) => event.restore(undo, edits),
                Some((_, was)) => gone[event.index] = remove(event, was, edits),
                None => gone[event.index] = remove(event, None, edits),
            }
        }
        let was = kept_if_repeated(self.repeated, undo.map(|undo| &undo.hooks));
        edits.remove(body, &hooks, &gone, was).then_some(at)
    }
}

impl Event<'_> {
    /// For each of ours the record of its command: by its place, else wherever the command is found.
    fn replaced<'m>(&self, undo: &'m HooksUndo) -> Vec<Option<&'m Replaced>> {
        let mut found = vec![None; self.own.len()];
        let is_at = |at: usize, replaced: &Replaced| {
            let own = self.own.get(at);
            own.is_some_and(|own| own.command.raw == replaced.new)
        };
        let all = undo.replaced.iter();
        let here = all.filter(|replaced| replaced.event == self.name);
        let (placed, moved): (Vec<_>, Vec<_>) = here.partition(|one| is_at(one.at, one));
        for replaced in placed {
            found[replaced.at] = Some(replaced);
        }
        for replaced in moved {
            let free = |&at: &usize| found[at].is_none() && is_at(at, replaced);
            if let Some(at) = (0..found.len()).find(free) {
                found[at] = Some(replaced);
            }
        }
        found
    }

    /// Restores the commands of those that were there before.
    fn restore(&self, undo: &HooksUndo, edits: &mut Edits) {
        for (own, replaced) in self.own.iter().zip(self.replaced(undo)) {
            if let Some(replaced) = replaced {
                edits.replace(own.command.range(), replaced.old.clone());
            }
        }
    }

    /// Removes ours from the list; true if the whole event must be removed.
    fn remove_own(
        &self,
        body: &str,
        was: Option<&Prior>,
        keeps_places: bool,
        edits: &mut Edits,
    ) -> bool {
        let groups = self.list.elements();
        let mut gone = vec![false; groups.len()];
        for own in &self.own {
            gone[own.group] = true;
        }
        for (group, gone) in gone.iter_mut().enumerate().filter(|(_, gone)| **gone) {
            let Some(handlers) = groups[group].member("hooks") else {
                continue;
            };
            let mut handlers_gone = vec![false; handlers.elements().len()];
            for own in self.own.iter().filter(|own| own.group == group) {
                handlers_gone[own.handler] = true;
            }
            *gone = edits.remove(body, &handlers, &handlers_gone, None);
        }
        if keeps_places && let Some(last) = gone.iter().rposition(|gone| !gone) {
            // An empty group keeps the place of each that follows.
            for (group, gone) in groups.iter().zip(&mut gone).take(last) {
                if std::mem::take(gone) {
                    edits.replace(group.range(), r#"{"hooks":[]}"#.to_owned());
                }
            }
        }
        let was = kept_if_repeated(self.repeated, was);
        self.list.is_list() && edits.remove(body, &self.list, &gone, was)
    }
}

/// What was there before, but what is repeated does not go: what it hides would count then.
fn kept_if_repeated(repeated: bool, was: Option<&Prior>) -> Option<&Prior> {
    match was {
        None | Some(Prior::Missing) if repeated => Some(&Prior::Filled),
        _ => was,
    }
}
