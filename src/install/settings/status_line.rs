//! `statusLine` in the settings: how our own call gets in and out. `settings` is the only caller, and edits the outermost
//! object.
//!
//! Without a status line one is added. A command that is there is replaced by `PROGRAM statusline -- sh -c 'COMMAND'`,
//! so that a person still sees it; the JSON string that it was written as is kept in the [`StatusLineUndo`] and put back.
//! Without that record the command is unquoted from the settings.

use serde::{Deserialize, Serialize};

use super::former::FormerUndo;
use super::json::{Edits, Node, lossy, quote};
use super::shell::{self, STATUS_LINE as SUBCOMMAND};
use super::{Plan, SettingsError, wrong};

const KEY: &str = "statusLine";

/// What runs a person's command, before that command as one word.
const SHELL: &str = "sh -c ";

/// How to undo what was done to the status line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StatusLineUndo {
    /// There was none.
    Added,
    /// There was another command; both as JSON strings, quotes included.
    Replaced {
        /// The command before.
        old: String,
        /// The command since.
        new: String,
    },
    /// The record of an earlier version.
    #[serde(untagged)]
    Former(FormerUndo),
}

/// The status line's call of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatusLineCall {
    /// The program, as it is written there.
    pub program: String,
    /// `uninstall` can take it out: nothing stands around it.
    pub removable: bool,
}

/// The member `statusLine`; the last, if it is repeated.
pub(super) struct StatusLine<'a> {
    /// Which member of the outermost object it is, and its value.
    place: Option<(usize, Node<'a>)>,
    /// Its command, a string.
    command: Option<Node<'a>>,
    own: Option<OwnCommand<'a>>,
}

/// A command that begins with a call of this program.
struct OwnCommand<'a> {
    /// As it is written.
    raw: &'a str,
    text: String,
    call: shell::Call,
    form: Form,
}

/// What stands behind the call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// Nothing but options.
    Alone,
    /// This command of a person's.
    Around(String),
    /// What `install` never writes and `uninstall` cannot take apart.
    Other,
}

impl<'a> StatusLine<'a> {
    pub(super) fn read(root: &Node<'a>) -> Self {
        let place = root.place_of(KEY);
        let command = place.and_then(|(_, value)| {
            let kind = value.member("type")?.string()?;
            value.member("command").filter(|_| kind == "command")
        });
        let command = command.filter(Node::is_string);
        Self {
            own: command.and_then(|command| OwnCommand::read(command.raw)),
            command,
            place,
        }
    }

    pub(super) fn call(&self) -> Option<StatusLineCall> {
        self.own.as_ref().map(|own| StatusLineCall {
            program: own.call.program.clone(),
            removable: own.form != Form::Other,
        })
    }

    /// What `record` comes to for the command as it is now; `None` if that is no longer one that `install` wrote. Either
    /// `Added` or `Replaced`, the latter with the present command.
    pub(super) fn undo(&self, record: &StatusLineUndo) -> Option<StatusLineUndo> {
        let raw = self.command?.raw;
        let old = match record {
            StatusLineUndo::Replaced { old, new } if new == raw => Some(old.clone()),
            // A person's own call, which they have edited since.
            StatusLineUndo::Replaced { old, .. } if self.own.is_some() && is_own(old) => {
                Some(raw.to_owned())
            }
            StatusLineUndo::Former(former) => former.old(raw),
            _ => None,
        };
        old.map(|old| replaced(&old, raw))
            .or_else(|| Some(self.own.as_ref()?.undo()))
    }

    /// Makes sure that it calls `program`. `undo` is what [`StatusLine::undo`] gave.
    pub(super) fn install(
        &self,
        body: &str,
        program: &str,
        undo: Option<&StatusLineUndo>,
        plan: &mut Plan,
    ) -> Result<StatusLineUndo, SettingsError> {
        if let Some(undo) = self.update(program, undo, plan) {
            return Ok(undo);
        }
        let Some((_, value)) = &self.place else {
            let command = quote(&format!("{} {SUBCOMMAND}", shell::quote(program)));
            plan.new.push(format!(
                r#""{KEY}":{{"type":"command","command":{command}}}"#
            ));
            return Ok(StatusLineUndo::Added);
        };
        let command = check_shape(body, value)?;
        let new = quote(&around(program, command.raw));
        plan.edits.replace(command.range(), new.clone());
        Ok(replaced(command.raw, &new))
    }

    /// If it calls our program, brings that call up to date.
    pub(super) fn update(
        &self,
        program: &str,
        undo: Option<&StatusLineUndo>,
        plan: &mut Plan,
    ) -> Option<StatusLineUndo> {
        let command = self.command?;
        let text = match (undo, &self.own) {
            (Some(StatusLineUndo::Replaced { old, .. }), _) if !is_own(old) => around(program, old),
            (_, Some(own)) => own.calling(program),
            (_, None) => return None,
        };
        let same = self.own.as_ref().is_some_and(|own| own.text == text);
        let new = if same {
            command.raw.to_owned()
        } else {
            let new = quote(&text);
            plan.edits.replace(command.range(), new.clone());
            new
        };
        Some(match undo {
            Some(StatusLineUndo::Replaced { old, .. }) => replaced(old, &new),
            Some(undo) => undo.clone(),
            None => replaced(command.raw, &new),
        })
    }

    /// Undoes what was done: by the record, without one by what the command says. Returns the index of the
    /// outermost object's member to remove.
    pub(super) fn uninstall(
        &self,
        record: Option<&StatusLineUndo>,
        edits: &mut Edits,
    ) -> Option<usize> {
        let undo = match record {
            Some(record) => self.undo(record)?,
            None => self.own.as_ref()?.undo(),
        };
        let command = self.command?;
        match undo {
            StatusLineUndo::Replaced { old, .. } if old != command.raw => {
                edits.replace(command.range(), old);
                None
            }
            StatusLineUndo::Replaced { .. } | StatusLineUndo::Former(_) => None,
            StatusLineUndo::Added => self.place.map(|(at, _)| at),
        }
    }
}

impl<'a> OwnCommand<'a> {
    fn read(raw: &'a str) -> Option<Self> {
        let text = lossy(raw)?;
        let call = shell::call(&text, SUBCOMMAND)?;
        Some(Self {
            raw,
            form: form(&text[call.rest..]),
            text,
            call,
        })
    }

    /// How to undo it, as far as the command says that itself.
    fn undo(&self) -> StatusLineUndo {
        match &self.form {
            Form::Alone => StatusLineUndo::Added,
            Form::Around(command) => replaced(&quote(command), self.raw),
            Form::Other => replaced(self.raw, self.raw),
        }
    }

    /// The command that calls `program` instead.
    fn calling(&self, program: &str) -> String {
        if self.call.program == program {
            return self.text.clone();
        }
        let (text, word) = (&self.text, &self.call.word);
        let program = shell::quote(program);
        format!("{}{program}{}", &text[..word.start], &text[word.end..])
    }
}

fn replaced(old: &str, new: &str) -> StatusLineUndo {
    StatusLineUndo::Replaced {
        old: old.to_owned(),
        new: new.to_owned(),
    }
}

/// Whether a command, a JSON string, begins with a call of this program.
fn is_own(raw: &str) -> bool {
    OwnCommand::read(raw).is_some()
}

/// The call of `program` around a command, a JSON string.
fn around(program: &str, raw: &str) -> String {
    let (program, command) = (shell::quote(program), lossy(raw).unwrap_or_default());
    format!(
        "{program} {SUBCOMMAND} -- {SHELL}{}",
        shell::quote(&command)
    )
}

/// What follows the subcommand of our call.
fn form(rest: &str) -> Form {
    let (options, command) = match rest.split_once(" -- ") {
        Some(parts) => parts,
        None => (rest.strip_suffix(" --").unwrap_or(rest), ""),
    };
    let mut words = options.split([' ', '\t']);
    if !words.all(|word| word != "--" && word.chars().all(is_plain)) {
        return Form::Other;
    }
    let begins = command.trim_start_matches([' ', '\t']);
    if begins.is_empty() {
        Form::Alone
    } else if begins.starts_with(['&', '|', ';', '<', '>', ')', '#', '\n']) {
        Form::Other
    } else {
        Form::Around(unquote(command).unwrap_or_else(|| command.to_owned()))
    }
}

/// Whether a shell takes the character as it is, or replaces it wherever it begins a word (`~`).
fn is_plain(letter: char) -> bool {
    letter.is_alphanumeric() || "/._-+@%,:=~".contains(letter)
}

/// The command in `sh -c 'COMMAND'`, if that is all and is quoted as this or an earlier version does it.
fn unquote(command: &str) -> Option<String> {
    let word = command.strip_prefix(SHELL)?;
    let command = shlex::split(word)?.pop()?;
    let former = format!("'{}'", command.replace('\'', r"'\''"));
    (word == shell::quote(&command) || word == former).then_some(command)
}

/// The command of a status line that the agent would take.
fn check_shape<'a>(body: &str, value: &Node<'a>) -> Result<Node<'a>, SettingsError> {
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
    if !command.is_string() {
        return Err(wrong(body, &command, &format!("{KEY}.command"), "a string"));
    }
    Ok(command)
}
