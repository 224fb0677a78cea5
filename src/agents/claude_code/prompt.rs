//! What a person has typed of a prompt. Hosts of Claude Code (IDEs, programs that use its SDK) put text of their own into
//! prompts, in elements such as `<ide_selection>…</ide_selection>`, and submit whole prompts that no person has typed.
//!
//! The names of the elements are not documented, so every element at the beginning whose name has a `-` or a `_` counts
//! as the host's. Those of [`FAMILIES`] were seen (2.1.332) and count anywhere.

use serde::{Deserialize, Deserializer, Serialize};

use super::super::tolerant::Text;

/// How the names of the known elements begin.
const FAMILIES: &[&str] = &[
    "bash-",
    "command-",
    "ide_",
    "local-command-",
    "system-",
    "task-",
    "teammate-",
];

/// What the notice of an interrupt begins with; it ends with `]`.
const INTERRUPTED: &str = "[Request interrupted";

/// The notice that a background task has ended. It names the task, so it is kept.
const TASK_NOTICE: &str = "<task-notification>";

/// The most elements that are looked for: more than a host sends, few enough that no prompt takes long.
const MAX_ELEMENTS: usize = 32;

/// How much of a prompt is read for the words in it, in bytes.
const READ: usize = 1 << 20;

/// A prompt as it may leave the agent's process: the beginning of what a person has typed; without that, what kind of
/// text it is.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Prompt(Text<256>);

impl Prompt {
    pub(super) fn get(&self) -> Option<&str> {
        self.0.get()
    }
}

impl<'de> Deserialize<'de> for Prompt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let whole = Text::<READ>::deserialize(deserializer)?;
        let Some(whole) = whole.get() else {
            return Ok(Self::default());
        };
        let kept = match typed(whole) {
            Some(words) if words == whole.trim() => whole.into(),
            Some(words) => words,
            None if whole.starts_with(TASK_NOTICE) => whole.into(),
            None => match element(whole) {
                Some(element) => format!("<{0}></{0}>", element.name),
                None => whole.into(),
            },
        };
        Ok(Self(Text::from_bytes(kept.as_bytes())))
    }
}

/// The rest of a task's notice, if the prompt is one.
pub(super) fn task_notice(prompt: &str) -> Option<&str> {
    prompt.strip_prefix(TASK_NOTICE)
}

/// What a person has typed of a prompt, or the command that they have called; `None`: nothing.
pub(super) fn typed(prompt: &str) -> Option<String> {
    let mut rest = prompt.trim().to_owned();
    let mut command = None;
    let mut arguments = None;
    for _ in 0..MAX_ELEMENTS {
        if let Some(notice) = rest.strip_prefix(INTERRUPTED) {
            let after = notice.split_once(']').map_or("", |(_, after)| after);
            rest = String::from(after.trim());
        } else if let Some(found) = element(&rest) {
            match found.name {
                "command-name" => command = Some(found.content.trim().to_owned()),
                "command-args" => arguments = Some(found.content.trim().to_owned()),
                _ => {}
            }
            rest = String::from(found.rest.trim());
        } else if let Some((before, after)) = split_at_known(&rest) {
            rest = format!("{} {}", before.trim(), after.trim());
        } else {
            break;
        }
    }
    let parts = [command, arguments, Some(rest)];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    let words = parts.join(" ").trim().to_owned();
    (!words.is_empty()).then_some(words)
}

/// An element at the beginning of a text.
struct Element<'a> {
    name: &'a str,
    content: &'a str,
    /// What follows it.
    rest: &'a str,
}

/// The host's element at the beginning of a text. One of an unknown name counts only if it is closed.
fn element(text: &str) -> Option<Element<'_>> {
    let tag = text.strip_prefix('<')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let (name, after) = tag.split_at(tag.find(|c| !is_name(c))?);
    let is_hosts = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.contains(['-', '_']);
    if !is_hosts || !after.starts_with(|c: char| c == '>' || c == '/' || c.is_whitespace()) {
        return None;
    }
    let (attributes, after) = after.split_once('>')?;
    if attributes.ends_with('/') {
        return Some(Element {
            name,
            content: "",
            rest: after,
        });
    }
    match after.split_once(&format!("</{name}>")) {
        Some((content, rest)) => Some(Element {
            name,
            content,
            rest,
        }),
        None => is_known(name).then_some(Element {
            name,
            content: after,
            rest: "",
        }),
    }
}

fn is_known(name: &str) -> bool {
    FAMILIES.iter().any(|family| name.starts_with(family))
}

/// The text before and after the first known element in it.
fn split_at_known(text: &str) -> Option<(&str, &str)> {
    let mut starts = text.match_indices('<').take(MAX_ELEMENTS);
    starts.find_map(|(at, _)| {
        let (before, from) = text.split_at(at);
        let found = element(from).filter(|found| is_known(found.name))?;
        // One that is not closed may be a person's own words about it.
        let is_closed = found.rest.len() + found.content.len() < from.len()
            && from.contains(&format!("</{}>", found.name));
        is_closed.then_some((before, found.rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_persons_words_are_found_among_the_hosts() {
        for (prompt, words) in [
            ("fix the parser", Some("fix the parser")),
            (
                "<ide_opened_file>The user opened /w/a.rs.</ide_opened_file>\nfix the parser",
                Some("fix the parser"),
            ),
            (
                "<ide_selection>a\n<b>\n</ide_selection>\n<ide_diagnostics x=\"1\">E</ide_diagnostics> fix it",
                Some("fix it"),
            ),
            (
                "<system-reminder>be kind</system-reminder>\nfix it",
                Some("fix it"),
            ),
            (
                "fix it\n<system-reminder>be kind</system-reminder>",
                Some("fix it"),
            ),
            (
                "<new_kind_of_thing>x</new_kind_of_thing>fix it",
                Some("fix it"),
            ),
            (
                "[Request interrupted by user for tool use]\nfix it",
                Some("fix it"),
            ),
            (
                "<command-message>init is running…</command-message>\n<command-name>/init</command-name>",
                Some("/init"),
            ),
            (
                "<command-name>/review</command-name>\n<command-message>review</command-message>\n<command-args>12 \
                 34</command-args>",
                Some("/review 12 34"),
            ),
            // A person's own.
            ("<div>is not closed", Some("<div>is not closed")),
            ("<my-tag> is not drawn", Some("<my-tag> is not drawn")),
            ("a <ide_x> b", Some("a <ide_x> b")),
            ("1 < 2 and <- is an arrow", Some("1 < 2 and <- is an arrow")),
            ("[Request] it", Some("[Request] it")),
            // No person has typed these.
            ("<local-command-caveat>Caveat: the messages", None),
            ("<local-command-stdout>ok</local-command-stdout>", None),
            (
                "<bash-input>ls</bash-input><bash-stdout>a</bash-stdout>",
                None,
            ),
            ("[Request interrupted by user]", None),
            ("<teammate-message from=\"a\">done</teammate-message>", None),
            ("<task-notification>\n<task-id>b1</task-id>", None),
            ("<another_kind>x</another_kind>", None),
            ("<ide_x/>", None),
            ("  ", None),
        ] {
            assert_eq!(typed(prompt).as_deref(), words, "{prompt}");
            // The daemon reads what the hook has kept.
            let json = serde_json::to_string(prompt).unwrap();
            let kept: Prompt = serde_json::from_str(&json).unwrap();
            let kept = kept.get().unwrap_or_default();
            assert_eq!(typed(kept).as_deref(), words, "{kept}");
        }
    }

    #[test]
    fn words_behind_a_long_selection_are_kept() {
        let prompt = format!(
            "<ide_selection>{}</ide_selection>fix it",
            "x".repeat(100_000)
        );
        let prompt: Prompt = serde_json::from_str(&format!("{prompt:?}")).unwrap();
        assert_eq!(prompt.get(), Some("fix it"));
    }
}
