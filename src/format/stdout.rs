//! What standard output is: a terminal or not, how wide, and whether it takes colours.

use std::io::{self, IsTerminal};

use crate::config::variable;

/// What the text goes to. The default is a file: no colours, no width.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StdoutStyle {
    /// It is a terminal.
    pub(crate) terminal: bool,
    /// Colours are wanted.
    pub(crate) coloured: bool,
    /// The terminal's width in columns; `None` if there is no limit.
    pub(crate) columns: Option<usize>,
}

impl StdoutStyle {
    /// Standard output as it is now; a terminal's width changes.
    pub(crate) fn detect() -> Self {
        let terminal = io::stdout().is_terminal();
        let size = if terminal {
            rustix::termios::tcgetwinsize(io::stdout()).ok()
        } else {
            None
        };
        Self {
            terminal,
            coloured: is_coloured(),
            // A terminal that does not know its size reports 0.
            columns: size
                .map(|size| usize::from(size.ws_col))
                .filter(|columns| *columns > 0),
        }
    }

    /// `text` in a style (the parameters of ECMA-48's SGR), if colours are wanted.
    pub(crate) fn paint(self, style: &str, text: &str) -> String {
        if self.coloured && !style.is_empty() {
            format!("\u{1b}[{style}m{text}\u{1b}[0m")
        } else {
            text.into()
        }
    }
}

/// Whether standard output gets colours: it is a terminal that has them, and `NO_COLOR` (<https://no-color.org>) is not
/// set.
pub(crate) fn is_coloured() -> bool {
    io::stdout().is_terminal()
        && variable("NO_COLOR").is_none()
        && variable("TERM").is_some_and(|terminal| terminal != "dumb")
}
