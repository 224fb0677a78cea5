//! What holds for any settings: a thousand files a run, each of another shape and style.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::*;
use super::generate::{Doc, Hand, group, hand, junk, text};
use super::{EVERY, FORM, uninstall};
use super::{ONLY_HOOKS, hooks, schema};

const PROGRAM: &str = "/usr/local/bin/agent-console";
const HOOKS: Request<'_> = hooks(EVERY.events, &FORM);

fn of_hooks(record: &UndoRecord) -> &HooksUndo {
    record.hooks.as_ref().unwrap()
}

pub(super) fn body(text: &str) -> &str {
    text.trim_start_matches(BYTE_ORDER_MARK)
}

/// Whether installing must be refused, determined in another way than the program does.
pub(super) fn is_refused(text: &str) -> bool {
    let body = body(text);
    if body.trim().is_empty() {
        return false;
    }
    let last = |doc: &Doc, key: &str| match doc {
        Doc::Object(members) => {
            let named = |(name, _): &&(String, Doc)| {
                serde_json::from_str::<String>(name).is_ok_and(|name| name == key)
            };
            members.iter().rfind(named).map(|(_, value)| value.clone())
        }
        _ => None,
    };
    let root = Doc::read(body);
    let hooks = last(&root, "hooks").unwrap_or(Doc::Object(Vec::new()));
    !matches!((&root, &hooks), (Doc::Object(_), Doc::Object(_)))
        || EVERY
            .events
            .iter()
            .any(|event| last(&hooks, event).is_some_and(|list| !matches!(list, Doc::List(_))))
}

/// How many handlers call `program` as ours do, the effective ones.
fn calls(text: &str, program: &str) -> usize {
    let found = inspect(text, EVERY).unwrap().found;
    found
        .iter()
        .filter(|found| found.program == program)
        .count()
}

pub(super) fn files(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(files(1_000))]

    #[test]
    fn what_is_installed_is_uninstalled_byte_for_byte(text in text()) {
        let done = match install(&text, &HOOKS, PROGRAM, None) {
            Ok(done) => done,
            Err(error) => {
                prop_assert!(is_refused(&text), "{error}");
                return Ok(());
            }
        };
        prop_assert!(!is_refused(&text));
        prop_assert_eq!(&uninstall(&done.text, ONLY_HOOKS, Some(&done.record)).unwrap(), &text);

        // Every event has a hook of ours, and all of them call the program; nothing else has changed.
        let found = inspect(&done.text, EVERY).unwrap().found;
        prop_assert!(EVERY.events.iter().all(|event| found.iter().any(|found| found.event == *event)));
        prop_assert_eq!(calls(&done.text, PROGRAM), found.len());
        let there = inspect(&text, EVERY).map_or(0, |there| there.found.len());
        prop_assert_eq!(found.len(), there + of_hooks(&done.record).events.len());
        if let Ok(value) = serde_json::from_str(body(&done.text)) {
            let valid = serde_json::from_str(body(&text)).map_or(true, |before| schema::valid(&before));
            prop_assert_eq!(valid, schema::valid(&value), "{}", done.text);
        }

        // Again: nothing. With another program, and back: as if it had been that at first.
        prop_assert_eq!(&install(&done.text, &HOOKS, PROGRAM, Some(&done.record)).unwrap(), &done);
        let other = install(&done.text, &HOOKS, "/elsewhere/acd", Some(&done.record)).unwrap();
        prop_assert_eq!(calls(&other.text, PROGRAM), 0);
        prop_assert_eq!(&uninstall(&other.text, ONLY_HOOKS, Some(&other.record)).unwrap(), &text);
        let back = install(&other.text, &HOOKS, PROGRAM, Some(&other.record)).unwrap();
        prop_assert_eq!(&uninstall(&back.text, ONLY_HOOKS, Some(&back.record)).unwrap(), &text);

        // The record can be written and read.
        let written = serde_json::to_string(&done.record).unwrap();
        prop_assert_eq!(&serde_json::from_str::<UndoRecord>(&written).unwrap(), &done.record);

        // Without the record none of ours remains, and a second time nothing changes.
        let bare = uninstall(&done.text, ONLY_HOOKS, None).unwrap();
        prop_assert_eq!(inspect(&bare, EVERY).unwrap().found, vec![]);
        prop_assert_eq!(&uninstall(&bare, ONLY_HOOKS, None).unwrap(), &bare);
    }

    #[test]
    fn half_a_file_is_refused_and_never_a_panic(text in text(), cut in any::<prop::sample::Index>()) {
        let mut cut = cut.index(text.len() + 1);
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let half = &text[..cut];
        if let Ok(done) = install(half, &HOOKS, PROGRAM, None) {
            prop_assert_eq!(uninstall(&done.text, ONLY_HOOKS, Some(&done.record)).unwrap(), half);
        } else {
            prop_assert!(inspect(half, EVERY).is_err());
        }
    }
}

proptest! {
    #![proptest_config(files(300))]

    #[test]
    fn text_that_others_add_stays_byte_for_byte(text in text(), added in junk(), hand in hand(), front in any::<bool>()) {
        prop_assume!(!is_refused(&text) && !body(&text).trim().is_empty());
        let added = format!("\"added\": {}", hand.write(&added));
        let add = |text: &str| {
            let mark = text.len() - body(text).len();
            let root = Node::read(body(text)).unwrap();
            let children = root.children();
            let (at, added) = if front {
                (children.first()?.start, format!("{added} ,"))
            } else {
                (children.last()?.end, format!(" , {added}"))
            };
            let mut text = text.to_owned();
            text.insert_str(mark + at, &added);
            Some(text)
        };
        let Some(expected) = add(&text) else {
            return Ok(());
        };
        let done = install(&text, &HOOKS, PROGRAM, None).unwrap();
        let meanwhile = add(&done.text).unwrap();
        prop_assert_eq!(&uninstall(&meanwhile, ONLY_HOOKS, Some(&done.record)).unwrap(), &expected);
        // Installing anew in between does no harm.
        let again = install(&meanwhile, &HOOKS, PROGRAM, Some(&done.record)).unwrap();
        prop_assert_eq!(&again.text, &meanwhile);
        prop_assert_eq!(&uninstall(&again.text, ONLY_HOOKS, Some(&again.record)).unwrap(), &expected);
    }

    #[test]
    fn changes_of_others_to_hooks_stay(text in text(), edits in vec((0_usize..8, any::<prop::sample::Index>(), group(), junk()), 0..6), hand in hand()) {
        prop_assume!(!is_refused(&text) && !body(&text).trim().is_empty());
        let done = install(&text, &HOOKS, PROGRAM, None).unwrap();
        let edited = edits.iter().fold(Doc::read(body(&done.text)), edit_as_others);
        let reformatted = hand.write(&edited);
        let left = uninstall(&reformatted, ONLY_HOOKS, Some(&done.record)).unwrap();
        let left = Doc::read(&left);
        prop_assert_eq!(without_own_hooks(left.clone(), &done.record), without_own_hooks(edited, &done.record));
        for (event, list) in effective_events(&left) {
            if of_hooks(&done.record).events.contains_key(&event) {
                let Doc::List(groups) = list else { continue };
                prop_assert!(!groups.iter().any(|group| hooks_of(group).iter().any(is_own_hook)), "{event}");
                prop_assert!(!groups.is_empty() || of_hooks(&done.record).events[&event] != Prior::Missing, "{event}");
            }
        }
    }
}

/// One of the changes that people and tools make to settings.
fn edit_as_others(
    doc: Doc,
    (what, at, group, junk): &(usize, prop::sample::Index, Doc, Doc),
) -> Doc {
    let Doc::Object(mut members) = doc else {
        return doc;
    };
    let place = |length: usize| at.index(length + 1);
    let hooks = members.iter_mut().rfind(|(key, _)| key == "\"hooks\"");
    let Some((_, Doc::Object(events))) = hooks else {
        return Doc::Object(members);
    };
    match what {
        0 | 1 => members.insert(place(members.len()), ("\"added\"".to_owned(), junk.clone())),
        2 => events.insert(
            place(events.len()),
            ("\"Added\"".to_owned(), Doc::List(vec![group.clone()])),
        ),
        3 if !events.is_empty() => events.reverse(),
        4 if !events.is_empty() => drop(events.remove(at.index(events.len()))),
        _ if !events.is_empty() => {
            let chosen = at.index(events.len());
            if let Doc::List(groups) = &mut events[chosen].1 {
                match what {
                    5 => groups.push(group.clone()),
                    6 => groups.insert(0, group.clone()),
                    // Into the same group as ours, if the last is ours.
                    _ => {
                        if let Some(Doc::Object(fields)) = groups.last_mut()
                            && let Some((_, Doc::List(handlers))) =
                                fields.iter_mut().rfind(|(key, _)| key == "\"hooks\"")
                        {
                            handlers
                                .insert(0, Doc::read(r#"{"type":"command","command":"added"}"#));
                        }
                    }
                }
            }
        }
        _ => {}
    }
    Doc::Object(members)
}

fn effective_events(doc: &Doc) -> Vec<(String, Doc)> {
    let Doc::Object(members) = doc else {
        return Vec::new();
    };
    match members.iter().rfind(|(key, _)| key == "\"hooks\"") {
        Some((_, Doc::Object(events))) => events
            .iter()
            .enumerate()
            .filter_map(|(at, (key, list))| {
                let name: String = serde_json::from_str(key).ok()?;
                let same = |(other, _): &(String, Doc)| {
                    serde_json::from_str::<String>(other).is_ok_and(|other| other == name)
                };
                (!events[at + 1..].iter().any(same)).then(|| (name.clone(), list.clone()))
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn hooks_of(group: &Doc) -> Vec<Doc> {
    match group {
        Doc::Object(fields) => match fields.iter().rfind(|(key, _)| key == "\"hooks\"") {
            Some((_, Doc::List(handlers))) => handlers.clone(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn is_own_hook(handler: &Doc) -> bool {
    let text = format!(
        r#"{{"hooks":{{"Stop":[{{"hooks":[{}]}}]}}}}"#,
        Hand::Tight.write(handler)
    );
    !inspect(&text, EVERY).unwrap().found.is_empty()
}

/// The document without hooks of ours in the events that they were added to, with the commands that were there before,
/// and without containers that are then empty.
fn without_own_hooks(doc: Doc, record: &UndoRecord) -> Doc {
    let effective = effective_events(&doc);
    let Doc::Object(mut members) = doc else {
        return doc;
    };
    let at = members.iter().rposition(|(key, _)| key == "\"hooks\"");
    if let Some(at) = at {
        let kept = effective.into_iter().filter_map(|(event, list)| {
            let Doc::List(mut groups) = list else {
                return Some((event, list));
            };
            if !of_hooks(record).events.contains_key(&event) {
                // Which command is restored is another property.
                let forgotten = |handler: &Doc| {
                    if is_own_hook(handler) {
                        Doc::Raw("0".into())
                    } else {
                        handler.clone()
                    }
                };
                for group in &mut groups {
                    map_hooks(group, |handlers| handlers.iter().map(forgotten).collect());
                }
                return Some((event, Doc::List(groups)));
            }
            groups.retain(|group| {
                let handlers = hooks_of(group);
                handlers.is_empty() || !handlers.iter().all(is_own_hook)
            });
            for group in &mut groups {
                map_hooks(group, |handlers| {
                    handlers
                        .iter()
                        .filter(|one| !is_own_hook(one))
                        .cloned()
                        .collect()
                });
            }
            (!groups.is_empty()).then_some((event, Doc::List(groups)))
        });
        let kept: Vec<_> = kept.collect();
        if kept.is_empty() {
            members.remove(at);
        } else {
            members[at].1 = Doc::Object(kept);
        }
    }
    Doc::Object(members)
}

fn map_hooks(group: &mut Doc, map: impl Fn(&[Doc]) -> Vec<Doc>) {
    if let Doc::Object(fields) = group
        && let Some((_, Doc::List(handlers))) =
            fields.iter_mut().rfind(|(key, _)| key == "\"hooks\"")
    {
        *handlers = map(handlers);
    }
}
