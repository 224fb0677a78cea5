//! One of our hooks: how it is written, and how it is recognised, by whatever version or person it was written.
//! `hooks` is the only caller.

use super::json::{Node, quote};
use super::{HookRequest, shell};
use crate::agents::{CommandForm, hook_command};

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
    /// The list of arguments, if it is called without a shell.
    arguments: Option<Node<'a>>,
    /// What follows the program in the command; in a guarded one, the words after the subcommand.
    rest: String,
    /// The command is as [`hook_command`] writes it.
    is_guarded: bool,
}

impl<'a> OwnHook<'a> {
    /// The handler at these places, if it is one of ours.
    fn read(group: usize, handler: usize, value: &Node<'a>) -> Option<Self> {
        let members = value.members();
        // Of a repeated key the last counts.
        let field = |key| Some(members.iter().rfind(|member| member.key == key)?.value);
        let (kind, command) = (field("type")?.string()?, field("command")?);
        let text = command.string()?;
        let arguments = field("args");
        let mut is_guarded = false;
        let (program, rest) = match arguments {
            Some(arguments) if arguments.elements().first()?.string()? != SUBCOMMAND => {
                return None;
            }
            Some(_) => (text, String::new()),
            None => {
                if let Some(guarded) = shell::guarded_call(&text) {
                    is_guarded = true;
                    guarded
                } else {
                    let call = shell::call(&text, SUBCOMMAND)?;
                    (call.program, text[call.word.end..].to_owned())
                }
            }
        };
        (kind == "command" && shell::is_own_program(&program)).then_some(Self {
            group,
            handler,
            command,
            program,
            arguments,
            rest,
            is_guarded,
        })
    }

    /// The command that calls `program`, as a JSON string.
    pub(super) fn calling(&self, program: &str) -> String {
        if self.program == program {
            self.command.raw.to_owned()
        } else if self.arguments.is_some() {
            quote(program)
        } else if self.is_guarded {
            quote(&hook_command(program, &[&self.rest]))
        } else {
            quote(&format!("{}{}", shell::quote(program), self.rest))
        }
    }

    /// Its arguments, if they are those that earlier versions wrote, without an agent's name.
    pub(super) fn nameless_arguments(&self) -> Option<Node<'a>> {
        self.arguments
            .filter(|arguments| arguments.elements().len() == 1)
    }
}

/// Our hooks in an event's list, in order.
pub(super) fn own_hooks_in<'a>(list: &Node<'a>) -> Vec<OwnHook<'a>> {
    let mut all = Vec::new();
    for (group, value) in list.elements().into_iter().enumerate() {
        let handlers = value.member("hooks").map(|handlers| handlers.elements());
        for (handler, value) in handlers.unwrap_or_default().iter().enumerate() {
            all.extend(OwnHook::read(group, handler, value));
        }
    }
    all
}

/// A member with an event's list, which has one hook, as JSON without white space.
pub(super) fn event(event: &str, request: &HookRequest<'_>, program: &str) -> String {
    format!("{}:[{}]", quote(event), group(event, request, program))
}

/// A group with one hook, as JSON without white space: without a matcher, which is for all; `async` only where the
/// agent's table says so, so that events arrive in order.
pub(super) fn group(event: &str, request: &HookRequest<'_>, program: &str) -> String {
    let (agent, form) = (request.agent, request.form);
    let call = match form.command {
        CommandForm::Exec => {
            let (program, agent) = (quote(program), quote(agent));
            format!(r#""command":{program},"args":["{SUBCOMMAND}",{agent}]"#)
        }
        CommandForm::Shell => {
            let command = hook_command(program, &[agent]);
            format!(r#""command":{}"#, quote(&command))
        }
    };
    let name = form.name.map(|name| format!(r#""name":{},"#, quote(name)));
    let name = name.unwrap_or_default();
    let is_async = form.async_events.contains(&event);
    let last = if is_async { r#","async":true"# } else { "" };
    let timeout = form.timeout;
    format!(r#"{{"hooks":[{{"type":"command",{name}{call},"timeout":{timeout}{last}}}]}}"#)
}
