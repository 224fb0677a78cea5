//! JSON as text: the place of each value, the style of writing, and edits. `settings` is the only caller.
//!
//! `serde_json` reads, and so decides what JSON is; its raw values are slices of the text, which are the places. Text
//! that is there is never written anew: [`Edits`] is a list of ranges and their replacements.

use std::cmp::Reverse;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::agents::Syntax;

use super::comments::blank_comments;
use super::{BLANK, Prior, SettingsError};

/// A value in its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a> {
    /// As it is written.
    pub(super) raw: &'a str,
    /// Where it begins in the text.
    pub(super) start: usize,
}

/// A member of an object.
#[derive(Debug, Clone)]
pub(super) struct Member<'a> {
    pub(super) key: String,
    /// From the key to the value's end.
    pub(super) range: Range<usize>,
    pub(super) value: Node<'a>,
}

impl<'a> Node<'a> {
    /// The value that `text` is.
    pub(super) fn read(text: &'a str) -> Result<Self, SettingsError> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| json_error(text, error))?;
        Ok(Self::within(text, 0, raw))
    }

    /// `raw` is a slice of `text`, which begins at `start` of the whole.
    fn within(text: &str, start: usize, raw: &'a RawValue) -> Self {
        let raw = raw.get();
        Self {
            raw,
            start: start + (raw.as_ptr().addr() - text.as_ptr().addr()),
        }
    }

    pub(super) fn range(&self) -> Range<usize> {
        self.start..self.start + self.raw.len()
    }

    /// What is between the brackets.
    pub(super) fn inner(&self) -> Range<usize> {
        self.start + 1..self.start + self.raw.len() - 1
    }

    /// Its kind, as an error message names it.
    pub(super) fn kind(&self) -> &'static str {
        match self.raw.as_bytes().first() {
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b'"') => "a string",
            Some(b't' | b'f') => "a truth value",
            Some(b'n') => "null",
            _ => "a number",
        }
    }

    pub(super) fn is_object(&self) -> bool {
        self.raw.starts_with('{')
    }

    pub(super) fn is_list(&self) -> bool {
        self.raw.starts_with('[')
    }

    pub(super) fn is_string(&self) -> bool {
        self.raw.starts_with('"')
    }

    /// The members of an object, in order; none of anything else.
    pub(super) fn members(&self) -> Vec<Member<'a>> {
        let pairs = if self.is_object() {
            serde_json::Deserializer::from_str(self.raw).deserialize_map(Pairs)
        } else {
            return Vec::new();
        };
        let member = |(key, value): (&'a RawValue, &'a RawValue)| {
            let key = Self::within(self.raw, self.start, key);
            let value = Self::within(self.raw, self.start, value);
            Member {
                range: key.start..value.range().end,
                // Half a surrogate pair is JSON and no text; such a key is none that we look for.
                key: key.string().unwrap_or_else(|| key.raw.to_owned()),
                value,
            }
        };
        pairs.unwrap_or_default().into_iter().map(member).collect()
    }

    /// The last member of that name, which is the one that counts.
    pub(super) fn member(&self, key: &str) -> Option<Node<'a>> {
        Some(self.place_of(key)?.1)
    }

    /// The same, with which of the members it is.
    pub(super) fn place_of(&self, key: &str) -> Option<(usize, Node<'a>)> {
        let members = self.members();
        let at = members.iter().rposition(|member| member.key == key)?;
        Some((at, members[at].value))
    }

    /// The elements of a list, in order; none of anything else.
    pub(super) fn elements(&self) -> Vec<Node<'a>> {
        if !self.is_list() {
            return Vec::new();
        }
        let elements: Vec<&RawValue> = serde_json::from_str(self.raw).unwrap_or_default();
        let node = |raw| Self::within(self.raw, self.start, raw);
        elements.into_iter().map(node).collect()
    }

    /// Where the children of an object or a list lie.
    pub(super) fn children(&self) -> Vec<Range<usize>> {
        if self.is_object() {
            self.members()
                .into_iter()
                .map(|member| member.range)
                .collect()
        } else {
            self.elements().iter().map(Self::range).collect()
        }
    }

    /// The text of a string.
    pub(super) fn string(&self) -> Option<String> {
        serde_json::from_str(self.raw).ok()
    }
}

/// The place and what is wrong there.
fn json_error(text: &str, error: serde_json::Error) -> SettingsError {
    let (line, column) = (error.line(), error.column());
    // Reading values in earnest knows more of what is wrong than looking where they end.
    let better = serde_json::from_str::<serde_json::Value>(text).err();
    let error = better
        .filter(|better| (better.line(), better.column()) == (line, column))
        .unwrap_or(error);
    let what = error.to_string();
    let what = what
        .strip_suffix(&format!(" at line {line} column {column}"))
        .unwrap_or(&what);
    let lines = text.split_inclusive('\n').take(line.saturating_sub(1));
    let line_start: usize = lines.map(str::len).sum();
    // Its columns count bytes.
    let at = text.ceil_char_boundary(line_start + column.saturating_sub(1));
    SettingsError::at(text, at, format!("no valid JSON: {what}"))
}

/// Every pair of an object, repeated keys too.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(&'de RawValue, &'de RawValue)>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

/// How a text is written.
#[derive(Debug)]
pub(super) struct Style {
    pub(super) line_end: &'static str,
    /// One step of indentation.
    unit: String,
    /// What is new and large takes lines of its own.
    lines: bool,
    /// After colons and, within a line, after commas.
    space: &'static str,
}

impl Style {
    /// The style of the object `root`: its first member's indentation, and whether a space follows its colon.
    pub(super) fn of(text: &str, root: &Node) -> Self {
        let mut style = Self {
            line_end: if text.contains("\r\n") { "\r\n" } else { "\n" },
            unit: "  ".to_owned(),
            lines: true,
            space: " ",
        };
        if let Some(first) = root.members().first() {
            style.lines = root.raw.contains('\n');
            if let Some(own) = indentation(text, first.range.start) {
                let around = line_indentation(text, root.start);
                own.strip_prefix(around)
                    .unwrap_or(own)
                    .clone_into(&mut style.unit);
            }
            if text[..first.value.start].ends_with(':') {
                style.space = "";
            }
        }
        style
    }

    /// JSON without white space, written in this style; `around` is the indentation of the line that it begins on, `None`
    /// keeps it on that line.
    pub(super) fn write(&self, compact: &str, around: Option<&str>) -> String {
        let new_line = |depth| {
            let around = around.unwrap_or_default();
            format!("{}{around}{}", self.line_end, self.unit.repeat(depth))
        };
        let within_line = around.is_none();
        let mut text = String::new();
        let mut depth = 0;
        let (mut quoted, mut escaped) = (false, false);
        for letter in compact.chars() {
            if !quoted && !within_line && matches!(letter, '}' | ']') {
                depth -= 1;
                text.push_str(&new_line(depth));
            }
            text.push(letter);
            match letter {
                '"' if !escaped => quoted = !quoted,
                _ if quoted => {}
                '{' | '[' if !within_line => {
                    depth += 1;
                    text.push_str(&new_line(depth));
                }
                ',' if !within_line => text.push_str(&new_line(depth)),
                ',' | ':' => text.push_str(self.space),
                _ => {}
            }
            escaped = letter == '\\' && !escaped;
        }
        text
    }
}

/// A JSON string.
pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The text of a JSON string, with U+FFFD for each half of a surrogate pair, as JavaScript passes it to a program.
pub(super) fn lossy(raw: &str) -> Option<String> {
    let mut source = serde_json::Deserializer::from_str(raw);
    let bytes = source.deserialize_bytes(Bytes).ok()?;
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // The first of the three bytes by which `serde_json` gives such a half.
        if chunk.invalid().starts_with(&[0xed]) {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    Some(text)
}

/// A string that need not be valid Unicode.
struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(bytes.to_owned())
    }
}

/// What is between the quotes of a JSON string.
pub(super) fn escape(text: &str) -> String {
    let mut quoted = quote(text);
    quoted.pop();
    quoted.split_off(1)
}

/// The text between two children if it holds comments, without its comma; else nothing.
fn comments_in(between: &str) -> String {
    let plain = blank_comments(between, Syntax::JsonWithComments);
    let mut text = between.to_owned();
    if let Some(comma) = plain.find(',') {
        text.remove(comma);
    }
    if text.trim_matches(BLANK).is_empty() {
        text.clear();
    }
    text
}

/// What a container holds beside its children, if there are comments among it.
fn around(text: &str, container: &Node, children: &[Range<usize>]) -> Option<String> {
    let mut at = container.inner().start;
    let mut rest = String::new();
    let ends = children.iter().map(|child| (child.start, child.end));
    for (start, end) in ends.chain([(container.inner().end, at)]) {
        let gap = comments_in(&text[at..start]);
        rest.push_str(if children.is_empty() {
            &text[at..start]
        } else {
            &gap
        });
        at = end;
    }
    (!rest.is_empty() && !children.is_empty()).then_some(rest)
}

/// The indentation of what begins at `start`, if it begins its line.
fn indentation(text: &str, start: usize) -> Option<&str> {
    let before = &text[..start];
    let line = &before[before.rfind('\n')? + 1..];
    line.trim_matches(BLANK).is_empty().then_some(line)
}

/// The indentation of the line on which `at` lies.
fn line_indentation(text: &str, at: usize) -> &str {
    let line = &text[text[..at].rfind('\n').map_or(0, |end| end + 1)..at];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// Ranges of a text and their replacements. Those within a range that is replaced are void.
#[derive(Debug, Default)]
pub(super) struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    pub(super) fn replace(&mut self, range: Range<usize>, new: String) {
        self.0.push((range, new));
    }

    /// Adds `children` at the end of `container`, in the style of the last that is there. They are given as they stand
    /// between the brackets of a container without white space.
    pub(super) fn append(&mut self, text: &str, container: &Node, children: &str, style: &Style) {
        let Some(last) = container.children().pop() else {
            if !text[container.inner()].trim_matches(BLANK).is_empty() {
                // Comments are all that it holds.
                let start = container.inner().start;
                return self.replace(start..start, style.write(children, None));
            }
            // A container that shares its line with others stays on it.
            let apart = &text[..container.start];
            let key = apart.rfind(['\n', '{', '[', ',']).map(|at| &apart[at..=at]);
            let around = line_indentation(text, container.start);
            let around = (style.lines && matches!(key, None | Some("\n"))).then_some(around);
            let compact = if container.is_object() {
                format!("{{{children}}}")
            } else {
                format!("[{children}]")
            };
            return self.replace(container.range(), style.write(&compact, around));
        };
        let around = indentation(text, last.start);
        let added = style.write(&format!(",{children}"), around);
        self.replace(last.end..last.end, added);
    }

    /// Removes the children of `container` that are `gone`, each with the comma that it came with; comments of the text
    /// stay. Returns true if the container must be removed itself: it is then empty and was added, or this emptied it and
    /// it is unknown what it `was`.
    pub(super) fn remove(
        &mut self,
        text: &str,
        container: &Node,
        gone: &[bool],
        was: Option<&Prior>,
    ) -> bool {
        let any = gone.contains(&true);
        let children = container.children();
        if !gone.contains(&false) {
            if let Some(rest) = around(text, container, &children) {
                self.replace(container.inner(), rest);
                return false;
            }
            let blank = match was {
                Some(Prior::Empty(blank)) => blank.clone(),
                _ => String::new(),
            };
            if any {
                self.replace(container.inner(), blank);
            }
            return was == Some(&Prior::Missing) || (was.is_none() && any);
        }
        let mut kept = false;
        for (at, (child, &gone)) in children.iter().zip(gone).enumerate() {
            if !gone {
                kept = true;
            } else if kept {
                let before = children[at - 1].end..child.start;
                self.replace(before.clone(), comments_in(&text[before]));
                self.replace(child.clone(), String::new());
            } else if let Some(next) = children.get(at + 1) {
                let after = child.end..next.start;
                self.replace(child.clone(), String::new());
                self.replace(after.clone(), comments_in(&text[after]));
            }
        }
        false
    }

    pub(super) fn apply(mut self, text: &str) -> String {
        self.0
            .sort_by_key(|(range, _)| (range.start, Reverse(range.end)));
        let mut result = String::with_capacity(text.len());
        let mut at = 0;
        for (range, new) in self.0 {
            if range.start < at {
                continue;
            }
            result.push_str(&text[at..range.start]);
            result.push_str(&new);
            at = range.end;
        }
        result.push_str(&text[at..]);
        result
    }
}
