//! What standard output is: a terminal or not, how wide, and whether it takes colours.

use std::io::{self, IsTerminal};

use crate::config::variable;
use crate::format::status::Kind;

/// Where the text goes. By default: nowhere that takes colours or has a width.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Screen {
    /// A person sits in front of it.
    pub(crate) terminal: bool,
    /// It takes colours and wants them.
    pub(crate) coloured: bool,
    /// How many columns a line may have; `None`: any.
    pub(crate) columns: Option<usize>,
}

impl Screen {
    /// Standard output as it is now; a terminal's width changes.
    pub(crate) fn of_stdout() -> Self {
        let terminal = io::stdout().is_terminal();
        let size = if terminal {
            rustix::termios::tcgetwinsize(io::stdout()).ok()
        } else {
            None
        };
        Self {
            terminal,
            coloured: coloured(),
            // A terminal that does not know says 0.
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

/// Whether standard output takes colours and wants them: a terminal, and not refused (<https://no-color.org>).
pub(crate) fn coloured() -> bool {
    io::stdout().is_terminal()
        && variable("NO_COLOR").is_none()
        && variable("TERM").is_some_and(|terminal| terminal != "dumb")
}

/// The style of a kind's status word: yellow, red and cyan need a person, and are bold.
pub(crate) const fn style(kind: Kind) -> &'static str {
    match kind {
        Kind::Waiting => "1;33",
        Kind::Failed => "1;31",
        Kind::Finished => "1;36",
        Kind::Working => "32",
        Kind::Idle | Kind::Unknown => "",
        Kind::Closed => "2",
    }
}
