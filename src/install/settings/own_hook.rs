//! One of our hooks: how it is written, and how it is recognised, by whatever version or person it was written.
//! `hooks` is the only caller.

use std::borrow::Cow;

use super::json::{Node, Tree, quote};
use super::{HookRequest, shell};
use crate::agents::CommandForm;

/// What our program is called with, before the agent's name.
const SUBCOMMAND: &str = "hook";

/// A hook of ours: one handler in a group of an event's list.
pub(super) struct OwnHook<'a> {
    /// Which group of the list.
    pub(super) group: usize,
    /// Which handler of the group.
    pub(super) handler: usize,
    pub(super) command: Node<'a>,
    pub(super) program: String,
    form: Form<'a>,
}

/// How a hook calls the program.
enum Form<'a> {
    /// With this list of arguments, without a shell.
    Exec(Node<'a>),
    /// By a shell; what follows the program.
    Shell(String),
}

impl<'a> OwnHook<'a> {
    /// The command that calls `program` instead, as a JSON string; `None` if it does already.
    pub(super) fn calling(&self, program: &str) -> Option<String> {
        if self.program == program {
            return None;
        }
        Some(match &self.form {
            Form::Exec(_) => quote(program),
            Form::Shell(rest) => quote(&format!("{}{rest}", shell::quote(program))),
        })
    }

    /// Its arguments, if they are those that earlier versions wrote, without an agent's name.
    pub(super) fn nameless_arguments(&self) -> Option<Node<'a>> {
        match self.form {
            Form::Exec(arguments) if arguments.elements().len() == 1 => Some(arguments),
            Form::Exec(_) | Form::Shell(_) => None,
        }
    }
}

/// Our hooks in an event's list, in order.
pub(super) fn own_hooks_in<'a>(list: &Node<'a>) -> Vec<OwnHook<'a>> {
    let mut all = Vec::new();
    for (group_at, group) in list.elements().into_iter().enumerate() {
        let handlers = group.member("hooks").map(|handlers| handlers.elements());
        for (at, handler) in handlers.unwrap_or_default().into_iter().enumerate() {
            if let Some((command, program, form)) = recognise(&handler) {
                all.push(OwnHook {
                    group: group_at,
                    handler: at,
                    command,
                    program,
                    form,
                });
            }
        }
    }
    all
}

/// The command, the program and the form of the call, if the handler is one of ours.
fn recognise<'a>(handler: &Node<'a>) -> Option<(Node<'a>, String, Form<'a>)> {
    let members = handler.members();
    // Of a repeated key the last counts.
    let field = |key| Some(members.iter().rfind(|member| member.key == key)?.value);
    let (kind, command) = (field("type")?, field("command")?);
    let text = command.string()?;
    if kind.string()? != "command" {
        return None;
    }
    let (program, form) = match field("args") {
        Some(args) if args.elements().first()?.string()? == SUBCOMMAND => {
            (text.into_owned(), Form::Exec(args))
        }
        Some(_) => return None,
        None => {
            let call = shell::call(&text, SUBCOMMAND)?;
            let rest = text[call.word.end..].to_owned();
            (call.program, Form::Shell(rest))
        }
    };
    shell::is_own_program(&program).then_some((command, program, form))
}

/// A whole `hooks`, with a hook for each event.
pub(super) fn all<'a>(request: &HookRequest<'a>, program: &str) -> Tree<'a> {
    let event = |&event: &&'a str| (event, Tree::List(vec![group(request, program)]));
    Tree::Object(request.install.events.iter().map(event).collect())
}

/// A group with one hook: without a matcher, which is for all; not `async`, so that events arrive in order.
pub(super) fn group<'a>(request: &HookRequest<'_>, program: &str) -> Tree<'a> {
    let mut handler = vec![("type", string("command"))];
    match request.install.form {
        CommandForm::Exec => {
            let arguments = vec![string(SUBCOMMAND), string(request.agent)];
            handler.push(("command", string(program)));
            handler.push(("args", Tree::List(arguments)));
        }
        CommandForm::Shell => {
            let program = shell::quote(program);
            let command = format!("{program} {SUBCOMMAND} {}", request.agent);
            handler.push(("command", string(&command)));
        }
    }
    let timeout = request.install.timeout.to_string();
    handler.push(("timeout", Tree::Raw(Cow::Owned(timeout))));
    Tree::Object(vec![("hooks", Tree::List(vec![Tree::Object(handler)]))])
}

/// A JSON string.
pub(super) fn string<'a>(text: &str) -> Tree<'a> {
    Tree::Raw(Cow::Owned(quote(text)))
}
