//! What holds for any settings: a thousand files a run, each of another shape and in another hand.

use std::fmt::Write;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::json::quote;
use super::super::*;
use super::{ONLY_HOOKS, hooks, schema};
use crate::install::hooks::EVENTS;

const PROGRAM: &str = "/usr/local/bin/agent-console";
const HOOKS: Request<'_> = hooks(&EVENTS);

fn of_hooks(memory: &UndoRecord) -> &HooksUndo {
    memory.hooks.as_ref().unwrap()
}

/// A value, with keys in order and repeated, and scalars as they are written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Doc {
    Raw(String),
    List(Vec<Doc>),
    Object(Vec<(String, Doc)>),
}

impl Doc {
    fn read(text: &str) -> Self {
        Self::of(&Node::read(text).unwrap())
    }

    fn of(node: &Node) -> Self {
        if node.is_object() {
            let key = |member: &json::Member| member.range.start..member.value.start;
            let member = |member: json::Member| {
                let key = &node.raw[key(&member).start - node.start..key(&member).end - node.start];
                let key = key.trim_end_matches(|last| BLANK.contains(&last) || last == ':');
                (key.to_owned(), Self::of(&member.value))
            };
            Self::Object(node.members().into_iter().map(member).collect())
        } else if node.is_list() {
            Self::List(node.elements().iter().map(Self::of).collect())
        } else {
            Self::Raw(node.raw.to_owned())
        }
    }
}

/// How somebody writes.
#[derive(Debug, Clone)]
pub(super) enum Hand {
    /// Without any white space.
    Tight,
    /// On one line.
    Line,
    /// As `JSON.stringify` and its like do, with this step and line end.
    Steps(&'static str, &'static str),
    /// Any white space anywhere, by this seed.
    Wild(u64),
}

impl Hand {
    pub(super) fn write(&self, doc: &Doc) -> String {
        let mut text = String::new();
        let mut seed = match self {
            Self::Wild(seed) => *seed | 1,
            _ => 0,
        };
        self.put(doc, 0, &mut seed, &mut text);
        text
    }

    /// White space that may be anywhere.
    fn gap(&self, seed: &mut u64, text: &mut String) {
        const GAPS: [&str; 8] = ["", "", " ", "\n", "\t", "\r\n  ", "\n\n    ", " \r"];
        if let Self::Wild(_) = self {
            *seed ^= *seed << 13;
            *seed ^= *seed >> 7;
            *seed ^= *seed << 17;
            text.push_str(GAPS[usize::try_from(*seed >> 61).unwrap()]);
        }
    }

    fn line(&self, depth: usize, text: &mut String) {
        if let Self::Steps(step, end) = self {
            text.push_str(end);
            text.push_str(&step.repeat(depth));
        }
    }

    fn put(&self, doc: &Doc, depth: usize, seed: &mut u64, text: &mut String) {
        let (open, close, children): (_, _, Vec<(Option<&str>, &Doc)>) = match doc {
            Doc::Raw(raw) => return text.push_str(raw),
            Doc::List(items) => ('[', ']', items.iter().map(|item| (None, item)).collect()),
            Doc::Object(members) => (
                '{',
                '}',
                members
                    .iter()
                    .map(|(key, item)| (Some(&**key), item))
                    .collect(),
            ),
        };
        text.push(open);
        for (at, (key, child)) in children.iter().enumerate() {
            if at > 0 {
                self.gap(seed, text);
                text.push(',');
                text.push_str(if matches!(self, Self::Line) { " " } else { "" });
            }
            self.line(depth + 1, text);
            self.gap(seed, text);
            if let Some(key) = key {
                text.push_str(key);
                self.gap(seed, text);
                text.push_str(if matches!(self, Self::Line | Self::Steps(..)) {
                    ": "
                } else {
                    ":"
                });
                self.gap(seed, text);
            }
            self.put(child, depth + 1, seed, text);
        }
        if !children.is_empty() {
            self.line(depth, text);
        }
        self.gap(seed, text);
        text.push(close);
    }
}

pub(super) fn hand() -> impl Strategy<Value = Hand> {
    prop_oneof![
        Just(Hand::Tight),
        Just(Hand::Line),
        (
            select(&["  ", "    ", "\t", "", " ", "\t  "]),
            select(&["\n", "\r\n"])
        )
            .prop_map(|(step, end)| Hand::Steps(step, end)),
        any::<u64>().prop_map(Hand::Wild),
        any::<u64>().prop_map(Hand::Wild),
    ]
}

fn raw(texts: &'static [&'static str]) -> impl Strategy<Value = Doc> {
    select(texts.iter().map(|text| Doc::read(text)).collect::<Vec<_>>())
}

/// Anything that is not about hooks.
pub(super) fn junk() -> impl Strategy<Value = Doc> {
    let scalar = prop_oneof![
        raw(&[
            "null",
            "true",
            "false",
            "0",
            "-0.0",
            "1e400",
            "123456789012345678901234567890",
            r#""""#,
            r#""a, b: [c] {d}""#,
            r#""\"hooks\": {""#,
            r#""\u00e9\ud83d\ude00\/\n""#,
            r#""\ud800""#,
            r#""ünïcödé 漢字 🎉""#,
            r#""\\""#,
        ]),
        any::<String>().prop_map(|text| Doc::Raw(quote(&text))),
    ];
    scalar.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Doc::List),
            vec((key(), inner), 0..4).prop_map(Doc::Object),
        ]
    })
}

/// The name of a setting, as it is written.
fn key() -> impl Strategy<Value = String> {
    let named = select(&[
        r#""model""#,
        r#""env""#,
        r#""permissions""#,
        r#""disableAllHooks""#,
        r#""Hooks""#,
        r#""ho\/oks""#,
        r#""\ud800""#,
        r#""""#,
        r#""schlüssel""#,
    ]);
    prop_oneof![
        named.prop_map(str::to_owned),
        "[a-z\"\\\\\n]{1,8}"
            .prop_map(|text| quote(&text))
            .prop_filter("ours", |key| key != "\"hooks\""),
    ]
}

/// A hook of anybody's, right or wrong, ours among them as a person would write them.
fn handler() -> impl Strategy<Value = Doc> {
    raw(&[
        r#"{"type":"command","command":"true"}"#,
        r#"{"type":"command","command":"~/bin/x \"$CLAUDE_PROJECT_DIR\"","timeout":1.5,"async":true}"#,
        r#"{"type":"command","command":"/x/agent-console","args":["status"]}"#,
        r#"{"type":"prompt","prompt":"is it? $ARGUMENTS"}"#,
        r#"{"type":"http","url":"http://127.0.0.1:1/","headers":{"a":"b"}}"#,
        r#"{"type":"command","command":"/home/ada/.cargo/bin/agent-console","args":["hook","claude-code"],"timeout":5}"#,
        r#"{"type":"command","command":"/usr/local/bin/agent-console","args":["hook"],"timeout":5}"#,
        r#"{"type":"command","command":"\/opt\/acd hook"}"#,
        r#"{"timeout":3,"command":"'/a b/agent-console' hook || true","type":"command"}"#,
        r#"{"type":"zzz"}"#,
        "{}",
        "5",
        "null",
        "[]",
    ])
}

fn group() -> impl Strategy<Value = Doc> {
    let matcher = proptest::option::of(raw(&[r#""Bash""#, r#""""#, r#""*""#]));
    let group = (matcher, vec(handler(), 0..4)).prop_map(|(matcher, handlers)| {
        let matcher = matcher.map(|matcher| ("\"matcher\"".to_owned(), matcher));
        let handlers = ("\"hooks\"".to_owned(), Doc::List(handlers));
        Doc::Object(matcher.into_iter().chain([handlers]).collect())
    });
    prop_oneof![8 => group, 1 => raw(&["{}", "5", "\"x\"", "[]", r#"{"hooks":5}"#, r#"{"hooks":[],"hooks":null}"#])]
}

fn event() -> impl Strategy<Value = (String, Doc)> {
    let ours = select(&EVENTS).prop_map(quote);
    let name = prop_oneof![4 => ours, 1 => select(&["\"\\u0053top\"", "\"MessageDisplay\"", "\"Foo\"", "\"\""]).prop_map(str::to_owned)];
    let list = prop_oneof![
        20 => vec(group(), 0..4).prop_map(Doc::List),
        1 => raw(&["5", "null", "{}"]),
    ];
    (name, list)
}

fn hooks_member() -> impl Strategy<Value = Doc> {
    prop_oneof![
        10 => vec(event(), 0..6).prop_map(Doc::Object),
        1 => raw(&["{}", "5", "null", "[]", "\"x\""]),
    ]
}

/// A status line of anybody's, right or wrong, ours among them as a person would write them.
fn status_line() -> impl Strategy<Value = Doc> {
    let known = raw(&[
        r#"{"type":"command","command":"\/opt\/acd  statusline"}"#,
        r#"{"type":"command","command":"acd statusline --socket /x -- ~/bin/x  -y"}"#,
        r#"{"padding":1,"command":"'/a b/agent-console' statusline -- sh -c 'echo '\\''a'\\'''","type":"command"}"#,
        r#"{"type":"command","command":"acd statusline | cut -c1-9"}"#,
        r#"{"type":"command","command":"A=1 \"/a b/acd\" statusline -- x"}"#,
        r#"{"type":"command","command":""}"#,
        r#"{"type":"command","command":5}"#,
        r#"{"type":"other","command":"x"}"#,
        r#"{"type":"command","command":"x","command":"y"}"#,
        "{}",
        "null",
        r#""x""#,
    ]);
    let members = (command(), any::<bool>()).prop_map(|(command, first)| {
        let member = |key: &str, value: &str| (quote(key), Doc::Raw(value.to_owned()));
        let command = member("command", &command);
        let kind = member("type", "\"command\"");
        Doc::Object(if first {
            vec![command, member("padding", "0"), kind]
        } else {
            vec![kind, command]
        })
    });
    prop_oneof![3 => members, 1 => known]
}

/// A command for a shell as a JSON string, in any of the ways to write one.
pub(super) fn command() -> impl Strategy<Value = String> {
    const PIECES: [&str; 31] = [
        "~/bin/line",
        "date",
        " ",
        " ",
        "  ",
        "\t",
        "\n",
        "'",
        r"'\''",
        "\"",
        r"\",
        "|",
        "&&",
        ";",
        "$HOME",
        "`x`",
        "#",
        "A=1",
        "sh -c '",
        "statusline",
        " -- ",
        "--",
        "acd",
        "/x/agent-console statusline",
        "acd statusline -- ",
        "é",
        "\u{fffd}",
        "=",
        "%",
        "echo",
        "/",
    ];
    let piece = prop_oneof![
        4 => select(&PIECES).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    (vec(piece, 0..8), any::<u64>()).prop_map(|(pieces, seed)| {
        let mut seed = seed | 1;
        let mut written = "\"".to_owned();
        for letter in pieces.concat().chars() {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let plain = json::escape(&letter.to_string());
            match (seed >> 60, letter) {
                (0 | 1, _) => {
                    for unit in letter.encode_utf16(&mut [0; 2]) {
                        write!(written, "\\u{unit:04X}").unwrap();
                    }
                }
                (2 | 3, '/') => written.push_str(r"\/"),
                (4, _) => written.extend([&plain, r"\ud83d"]),
                _ => written.push_str(&plain),
            }
        }
        written + "\""
    })
}

/// The settings as a value; more often with hooks than not, now and then with two.
fn document() -> impl Strategy<Value = Doc> {
    let members = (
        vec((key(), junk()), 0..5),
        vec((0_usize..5, hooks_member()), 0..3),
        vec((0_usize..7, status_line()), 0..3),
    );
    let object = members.prop_map(|(mut members, hooks, lines)| {
        for (at, hooks) in hooks {
            members.insert(at.min(members.len()), ("\"hooks\"".to_owned(), hooks));
        }
        for (at, line) in lines {
            members.insert(at.min(members.len()), ("\"statusLine\"".to_owned(), line));
        }
        Doc::Object(members)
    });
    prop_oneof![30 => object, 1 => raw(&["{}", "[]", "5", "null"])]
}

/// A whole file.
pub(super) fn text() -> impl Strategy<Value = String> {
    let around = || select(&["", "", "\n", "\r\n", " \n\n", "\t"]);
    let written = (
        select(&["", "", "", "\u{feff}"]),
        around(),
        document(),
        hand(),
        around(),
    )
        .prop_map(|(mark, before, doc, hand, after)| {
            format!("{mark}{before}{}{after}", hand.write(&doc))
        });
    prop_oneof![
        30 => written,
        1 => select(&["", " ", "\n", "\u{feff}", "\r\n\r\n", "\u{feff}\t"]).prop_map(str::to_owned),
    ]
}

pub(super) fn body(text: &str) -> &str {
    text.trim_start_matches(BYTE_ORDER_MARK)
}

/// Whether installing is to be refused, found out in another way than the program does.
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
        || EVENTS
            .iter()
            .any(|event| last(&hooks, event).is_some_and(|list| !matches!(list, Doc::List(_))))
}

/// How many handlers call `program` as ours do, the effective ones.
fn calls(text: &str, program: &str) -> usize {
    let found = inspect(text, &EVENTS).unwrap().found;
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

        // Every event has one of ours, and all call the program; nothing else has changed.
        let found = inspect(&done.text, &EVENTS).unwrap().found;
        prop_assert!(EVENTS.iter().all(|event| found.iter().any(|found| found.event == *event)));
        prop_assert_eq!(calls(&done.text, PROGRAM), found.len());
        let there = inspect(&text, &EVENTS).map_or(0, |there| there.found.len());
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

        // The memory survives being written down.
        let written = serde_json::to_string(&done.record).unwrap();
        prop_assert_eq!(&serde_json::from_str::<UndoRecord>(&written).unwrap(), &done.record);

        // Without the memory none of ours remains, and a second time there is nothing to do.
        let bare = uninstall(&done.text, ONLY_HOOKS, None).unwrap();
        prop_assert_eq!(inspect(&bare, &EVENTS).unwrap().found, vec![]);
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
            prop_assert!(inspect(half, &EVENTS).is_err());
        }
    }
}

proptest! {
    #![proptest_config(files(300))]

    #[test]
    fn text_that_others_add_meanwhile_stays_byte_for_byte(text in text(), added in junk(), hand in hand(), front in any::<bool>()) {
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
    fn what_others_do_to_hooks_meanwhile_stays(text in text(), edits in vec((0_usize..8, any::<prop::sample::Index>(), group(), junk()), 0..6), hand in hand()) {
        prop_assume!(!is_refused(&text) && !body(&text).trim().is_empty());
        let done = install(&text, &HOOKS, PROGRAM, None).unwrap();
        let meddled = edits.iter().fold(Doc::read(body(&done.text)), meddle);
        let reformatted = hand.write(&meddled);
        let left = uninstall(&reformatted, ONLY_HOOKS, Some(&done.record)).unwrap();
        let left = Doc::read(&left);
        prop_assert_eq!(without_ours(left.clone(), &done.record), without_ours(meddled, &done.record));
        for (event, list) in effective_events(&left) {
            if of_hooks(&done.record).events.contains_key(&event) {
                let Doc::List(groups) = list else { continue };
                prop_assert!(!groups.iter().any(|group| hooks_of(group).iter().any(is_ours)), "{event}");
                prop_assert!(!groups.is_empty() || of_hooks(&done.record).events[&event] != Prior::Missing, "{event}");
            }
        }
    }
}

/// One of the things that people and tools do to settings.
fn meddle(doc: Doc, (what, at, group, junk): &(usize, prop::sample::Index, Doc, Doc)) -> Doc {
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

fn is_ours(handler: &Doc) -> bool {
    let text = format!(
        r#"{{"hooks":{{"Stop":[{{"hooks":[{}]}}]}}}}"#,
        Hand::Tight.write(handler)
    );
    !inspect(&text, &EVENTS).unwrap().found.is_empty()
}

/// The document without hooks of ours in the events that they were added to, with the commands of other people's given
/// back, and without what is empty then.
fn without_ours(doc: Doc, memory: &UndoRecord) -> Doc {
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
            if !of_hooks(memory).events.contains_key(&event) {
                // Which command is given back is the other property's matter.
                let forgotten = |handler: &Doc| {
                    if is_ours(handler) {
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
                handlers.is_empty() || !handlers.iter().all(is_ours)
            });
            for group in &mut groups {
                map_hooks(group, |handlers| {
                    handlers
                        .iter()
                        .filter(|one| !is_ours(one))
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
