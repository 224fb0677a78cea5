//! One of our hooks: what it looks like, and how it is known again whoever wrote it. `settings` is the only caller.

use std::borrow::Cow;

use super::json::{Node, Tree, quote};
use super::shell;

/// How long Claude Code waits for our hook, in seconds. The hook itself takes milliseconds and gives up sooner.
const TIMEOUT: &str = "5";

/// What our hook is called with.
const ARGUMENT: &str = "hook";

/// A hook of ours: one handler in a group of an event's list.
pub(super) struct Ours<'a> {
    pub(super) group: usize,
    pub(super) handler: usize,
    pub(super) command: Node<'a>,
    pub(super) program: String,
    /// What follows the program in a command for the shell.
    pub(super) rest: Option<String>,
}

impl Ours<'_> {
    /// The command that calls `program` instead, as a JSON string; `None` if it does already.
    pub(super) fn calling(&self, program: &str) -> Option<String> {
        if self.program == program {
            return None;
        }
        Some(match &self.rest {
            None => quote(program),
            Some(rest) => quote(&format!("{}{rest}", shell::quote(program))),
        })
    }
}

/// Our hooks in an event's list, in order.
pub(super) fn ours_in<'a>(list: &Node<'a>) -> Vec<Ours<'a>> {
    let mut all = Vec::new();
    for (group_at, group) in list.elements().into_iter().enumerate() {
        let handlers = group.member("hooks").map(|handlers| handlers.elements());
        for (at, handler) in handlers.unwrap_or_default().into_iter().enumerate() {
            if let Some((command, program, rest)) = recognise(&handler) {
                all.push(Ours {
                    group: group_at,
                    handler: at,
                    command,
                    program,
                    rest,
                });
            }
        }
    }
    all
}

/// The command, the program, and in a command for the shell what follows it, if the handler is one of ours.
fn recognise<'a>(handler: &Node<'a>) -> Option<(Node<'a>, String, Option<String>)> {
    let members = handler.members();
    // Of a repeated key the last counts.
    let field = |key| Some(members.iter().rfind(|member| member.key == key)?.value);
    let (kind, command) = (field("type")?, field("command")?);
    let text = command.string()?;
    if kind.string()? != "command" {
        return None;
    }
    let (program, rest) = match field("args") {
        Some(args) if args.elements().first()?.string()? == ARGUMENT => (text.into_owned(), None),
        Some(_) => return None,
        None => {
            let call = shell::call(&text, ARGUMENT)?;
            let rest = text[call.word.end..].to_owned();
            (call.program, Some(rest))
        }
    };
    shell::is_own_program(&program).then_some((command, program, rest))
}

/// `hooks` of ours alone.
pub(super) fn all<'a>(events: &[&'a str], program: &str) -> Tree<'a> {
    let event = |&event: &&'a str| (event, Tree::List(vec![group(program)]));
    Tree::Object(events.iter().map(event).collect())
}

/// One of ours: in exec form (with `args`), which saves a shell at each event; without a matcher, which is for all;
/// not `async`, so that events arrive in order.
pub(super) fn group<'a>(program: &str) -> Tree<'a> {
    let text = |text: &str| Tree::Raw(Cow::Owned(quote(text)));
    let handler = Tree::Object(vec![
        ("type", text("command")),
        ("command", text(program)),
        ("args", Tree::List(vec![text(ARGUMENT)])),
        ("timeout", Tree::Raw(Cow::Borrowed(TIMEOUT))),
    ]);
    Tree::Object(vec![("hooks", Tree::List(vec![handler]))])
}
