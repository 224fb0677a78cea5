//! Generated settings files: any shape, in any style of writing.

use std::fmt::Write;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::json::quote;
use super::super::*;
use super::EVERY;

/// A value, with keys in order and repeated, and scalars as they are written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Doc {
    Raw(String),
    List(Vec<Doc>),
    Object(Vec<(String, Doc)>),
}

impl Doc {
    pub(super) fn read(text: &str) -> Self {
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

/// A style of writing.
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
            .prop_filter("not hooks", |key| key != "\"hooks\""),
    ]
}

/// A hook, valid or not; some call our program as a person would write it.
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

pub(super) fn group() -> impl Strategy<Value = Doc> {
    let matcher = proptest::option::of(raw(&[r#""Bash""#, r#""""#, r#""*""#]));
    let group = (matcher, vec(handler(), 0..4)).prop_map(|(matcher, handlers)| {
        let matcher = matcher.map(|matcher| ("\"matcher\"".to_owned(), matcher));
        let handlers = ("\"hooks\"".to_owned(), Doc::List(handlers));
        Doc::Object(matcher.into_iter().chain([handlers]).collect())
    });
    prop_oneof![8 => group, 1 => raw(&["{}", "5", "\"x\"", "[]", r#"{"hooks":5}"#, r#"{"hooks":[],"hooks":null}"#])]
}

fn event() -> impl Strategy<Value = (String, Doc)> {
    let known = select(EVERY.events).prop_map(quote);
    let name = prop_oneof![4 => known, 1 => select(&["\"\\u0053top\"", "\"MessageDisplay\"", "\"Foo\"", "\"\""]).prop_map(str::to_owned)];
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

/// A status line, valid or not; some call our program as a person would write it.
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
