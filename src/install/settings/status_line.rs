//! `statusLine` in the settings: our wrapper around it, and off again. `settings` is the only caller, and answers for the
//! outermost object.
//!
//! Where there is none, one of ours is added. A command that is there keeps its meaning: it goes behind ours as it is
//! where it is nothing but words, else as one word for a shell of its own. Both are edits within the JSON string as it
//! is written, and undoing takes off exactly what was put around it, so the text alone is enough; the command may hold
//! secrets and is never kept. What a [`StatusLineMemory`] holds of the text is how our own program was called.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::json::{Edits, Node, Tree, escape, quote};
use super::letters::Letters;
use super::{Plan, SettingsError, shell, wrong};

const KEY: &str = "statusLine";

/// What ours is called with.
const SUBCOMMAND: &str = "statusline";

/// What runs a command that is more than words, before that as one word.
const SHELL: &str = "sh -c ";

/// A single quote within single quotes, after the first of its letters, as JSON.
const QUOTED: &str = r"\\''";

/// What undoing needs to know beyond the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusLineMemory {
    /// There was none.
    Added,
    /// There was another command, which ours is around.
    Wrapped,
    /// A person had written the call themselves. The program as it is written within the JSON string.
    Found {
        /// Before.
        old: String,
        /// Since.
        new: String,
    },
}

/// The status line's call of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The program, as it is written there.
    pub program: String,
    /// It can be taken out: nothing stands around it.
    pub ours: bool,
}

/// `statusLine`, the one that counts.
pub(super) struct StatusLine<'a> {
    /// Which member of the outermost object it is, and its value.
    place: Option<(usize, Node<'a>)>,
    ours: Option<Ours<'a>>,
}

/// A command that calls this program.
struct Ours<'a> {
    command: Node<'a>,
    letters: Letters<'a>,
    call: shell::Call,
    /// The command begins with it.
    first: bool,
    form: Form,
}

/// How the call stands in its command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// It is all of it.
    Alone,
    /// It is around another command, which begins there.
    Around(usize),
    /// In a way that we never write, and cannot take apart.
    Other,
}

impl<'a> StatusLine<'a> {
    pub(super) fn read(root: &Node<'a>) -> Self {
        let place = root.place_of(KEY);
        Self {
            ours: place.and_then(|(_, value)| Ours::read(&value)),
            place,
        }
    }

    pub(super) fn called(&self) -> Option<Called> {
        self.ours.as_ref().map(|ours| Called {
            program: ours.call.program.clone(),
            ours: ours.form != Form::Other,
        })
    }

    /// Whether the memory is of this one, and not of one that others have written anew since.
    pub(super) fn bears_out(&self, memory: &StatusLineMemory) -> bool {
        self.ours.as_ref().is_some_and(|ours| match memory {
            StatusLineMemory::Added | StatusLineMemory::Wrapped => true,
            StatusLineMemory::Found { new, .. } => ours.program_written() == new,
        })
    }

    /// Makes sure that it calls `program`. `memory` is one that is borne out.
    pub(super) fn install(
        &self,
        body: &str,
        program: &str,
        memory: Option<&StatusLineMemory>,
        plan: &mut Plan<'_>,
    ) -> Result<StatusLineMemory, SettingsError> {
        if let Some(kept) = self.retarget(program, memory, plan) {
            return Ok(kept);
        }
        let Some((_, value)) = &self.place else {
            let text = |text: &str| Tree::Raw(Cow::Owned(quote(text)));
            let command = format!("{} {SUBCOMMAND}", shell::word(program));
            let members = vec![("type", text("command")), ("command", text(&command))];
            plan.new.push((KEY, Tree::Object(members)));
            return Ok(StatusLineMemory::Added);
        };
        let (command, letters) = check_shape(body, value)?;
        let wrapped = wrap(&letters, program);
        plan.edits.replace(command.inner(), wrapped);
        Ok(StatusLineMemory::Wrapped)
    }

    /// If it calls ours, makes that call `program`.
    pub(super) fn retarget(
        &self,
        program: &str,
        memory: Option<&StatusLineMemory>,
        plan: &mut Plan<'_>,
    ) -> Option<StatusLineMemory> {
        let ours = self.ours.as_ref()?;
        let now = ours.program_written();
        let new = match ours.calling(program) {
            None => now.to_owned(),
            Some(new) => {
                plan.edits.replace(ours.program_place(), new.clone());
                new
            }
        };
        Some(match memory {
            Some(StatusLineMemory::Found { old, .. }) => StatusLineMemory::Found {
                old: old.clone(),
                new,
            },
            Some(memory) => memory.clone(),
            None => StatusLineMemory::Found {
                old: now.to_owned(),
                new,
            },
        })
    }

    /// Takes ours off: with a memory of a call that was there before only gives that its program back. Answers which
    /// member of the outermost object is to go.
    pub(super) fn uninstall(
        &self,
        memory: Option<&StatusLineMemory>,
        edits: &mut Edits,
    ) -> Option<usize> {
        let ours = self.ours.as_ref()?;
        match (memory, ours.form) {
            (Some(StatusLineMemory::Found { old, new }), _) => {
                if ours.program_written() == new {
                    edits.replace(ours.program_place(), old.clone());
                }
            }
            (_, Form::Alone) => return self.place.map(|(at, _)| at),
            (_, Form::Around(start)) => {
                edits.replace(ours.command.inner(), unwrap(&ours.letters, start));
            }
            (_, Form::Other) => {}
        }
        None
    }
}

impl<'a> Ours<'a> {
    fn read(value: &Node<'a>) -> Option<Self> {
        if value.member("type")?.string()? != "command" {
            return None;
        }
        let command = value.member("command")?;
        let letters = Letters::of(&command)?;
        let (call, first) = shell::call_within(letters.text(), SUBCOMMAND)?;
        let form = if first {
            form(letters.text(), call.rest)
        } else {
            Form::Other
        };
        Some(Self {
            command,
            letters,
            call,
            first,
            form,
        })
    }

    /// The program with its quotes, as it is written within the JSON string.
    fn program_written(&self) -> &'a str {
        self.letters.written(self.call.word.clone())
    }

    /// Where that is in the whole text.
    fn program_place(&self) -> Range<usize> {
        let place = self.letters.place(self.call.word.clone());
        self.command.start + place.start..self.command.start + place.end
    }

    /// How the call of `program` is written instead; `None` if it is called already, or would not be known again.
    fn calling(&self, program: &str) -> Option<String> {
        let word = shell::word(program);
        if self.call.program == program {
            return None;
        }
        let (text, place) = (self.letters.text(), &self.call.word);
        let new = format!("{}{word}{}", &text[..place.start], &text[place.end..]);
        let (call, first) = shell::call_within(&new, SUBCOMMAND)?;
        let same = call.word.start == place.start && first == self.first && call.program == program;
        same.then(|| escape(&word))
    }
}

/// How a call stands in the command that it begins; `rest`: where what follows the subcommand begins.
fn form(text: &str, rest: usize) -> Form {
    let blank = [' ', '\t'];
    let mut at = rest;
    loop {
        let left = text[at..].trim_start_matches(blank);
        let word = left.split(blank).next().unwrap_or_default();
        at = text.len() - left.len() + word.len();
        match word {
            "" => return Form::Alone,
            "--" => {
                // The one blank is ours; more are the command's.
                let start = (at + 1).min(text.len());
                let command = text[start..].trim_start_matches(blank);
                return if command.is_empty() {
                    Form::Alone
                } else if command.starts_with(['&', '|', ';', '<', '>', ')', '#', '\n']) {
                    Form::Other
                } else {
                    Form::Around(start)
                };
            }
            // Options.
            _ if shell::is_plain_word(word) => {}
            _ => return Form::Other,
        }
    }
}

/// The command with ours before it, as it is written within a JSON string.
fn wrap(command: &Letters, program: &str) -> String {
    let mut wrapped = escape(&format!("{} {SUBCOMMAND} -- ", shell::word(program)));
    if shell::is_plain(command.text()) {
        wrapped.push_str(command.written(0..command.text().len()));
        return wrapped;
    }
    wrapped.extend([SHELL, "'"]);
    for (letter, written) in command.from(0) {
        wrapped.push_str(written);
        if letter == '\'' {
            wrapped.push_str(QUOTED);
        }
    }
    wrapped.push('\'');
    wrapped
}

/// The command that begins at `start`, behind ours, as it was written before [`wrap`].
fn unwrap(wrapped: &Letters, start: usize) -> String {
    let text = &wrapped.text()[start..];
    unwrap_word(wrapped, start)
        .unwrap_or_else(|| wrapped.written(start..start + text.len()).to_owned())
}

/// The same where it is one word for a shell, as we write it.
fn unwrap_word(wrapped: &Letters, start: usize) -> Option<String> {
    let text = wrapped.text()[start..].strip_prefix(SHELL)?;
    text.strip_prefix('\'')?.strip_suffix('\'')?;
    let letters: Vec<_> = wrapped.from(start + SHELL.len() + 1).collect();
    let (_, mut left) = letters.split_last()?;
    let mut unwrapped = String::new();
    while let [(letter, written), rest @ ..] = left {
        unwrapped.push_str(written);
        left = match (letter, rest) {
            ('\'', [('\\', _), ('\'', _), ('\'', _), rest @ ..]) => rest,
            ('\'', _) => return None,
            _ => rest,
        };
    }
    Some(unwrapped)
}

/// The command of a status line that Claude Code would take.
fn check_shape<'a>(body: &str, value: &Node<'a>) -> Result<(Node<'a>, Letters<'a>), SettingsError> {
    if !value.is_object() {
        return Err(wrong(body, value, KEY, "an object"));
    }
    let missing = |key: &str| SettingsError::at(body, value.start, format!("{KEY} has no {key}"));
    let kind = value.member("type").ok_or_else(|| missing("type"))?;
    if kind.string().is_none_or(|kind| kind != "command") {
        let what = format!("{KEY}.type is not \"command\"");
        return Err(SettingsError::at(body, kind.start, what));
    }
    let command = value.member("command").ok_or_else(|| missing("command"))?;
    let letters = Letters::of(&command)
        .ok_or_else(|| wrong(body, &command, &format!("{KEY}.command"), "a string"))?;
    Ok((command, letters))
}
