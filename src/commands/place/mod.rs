//! Where a person finds a session, as rows of a table: its terminal, and the command that goes there, for a shell.
//!
//! A command is shown only if the place was confirmed at this moment: what a hook found in its environment may be
//! inherited from another terminal, and outlive the program that it names. Used by `get` and `next`.

mod emulators;
mod tmux;

use crate::config::variable;
use crate::format;
use crate::os::shell::quote;
use crate::protocol::Terminal;

/// The rows of a terminal: what it is, and either `go there` with a command or a `note` that says why there is none.
pub(super) fn rows(terminal: &Terminal) -> Vec<(&'static str, String)> {
    let mut rows = format::location(terminal);
    // What is around tmux was inherited from the terminal that started its server.
    let way = if terminal.tmux_pane.is_some() {
        Some(tmux::way(terminal, &tmux::Here::detect()))
    } else {
        emulators::way(terminal, |name| variable(name)?.into_string().ok())
    };
    rows.extend(way.map(|way| match way {
        Ok(words) => ("go there", shell_command(&words)),
        Err(why) => ("note", format::sanitize(&why)),
    }));
    rows
}

/// The words as a command for a shell.
fn shell_command(words: &[String]) -> String {
    let words: Vec<_> = words.iter().map(|word| quote(word)).collect();
    words.join(" ")
}

/// Whether a value can be shown and typed as it is.
fn is_plain(value: &str) -> bool {
    !value.is_empty() && format::sanitize(value) == value
}
