//! Styles for ratatui, from the table of colours in [`status`](mod@crate::format::status). They use the terminal's own
//! sixteen colours on its own background, so they are legible on dark and light ones; a word and a symbol say the same
//! as a colour. Pure.

use ratatui::style::{Color, Modifier, Style};

use crate::format::status::{Colour, DisplayStatus};

/// Text of less importance.
pub(super) const FAINT: Style = Style::new().add_modifier(Modifier::DIM);

/// Keys, headings, the selected row.
pub(super) const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);

/// Whether to use colours (`NO_COLOR`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Theme {
    pub(super) coloured: bool,
}

impl Theme {
    /// The style of a status: its word, its symbol, its part of a timeline.
    pub(super) fn status(self, status: DisplayStatus) -> Style {
        let style = match status {
            DisplayStatus::Closed => FAINT,
            _ if status.needs_person() => STRONG,
            _ => Style::new(),
        };
        match status.colour() {
            Some(colour) => self.colour(style, colour),
            None => style,
        }
    }

    /// An error.
    pub(super) fn alarm(self) -> Style {
        self.colour(STRONG, Colour::Red)
    }

    /// A message that is no error.
    pub(super) fn notice(self) -> Style {
        self.colour(STRONG, Colour::Yellow)
    }

    fn colour(self, style: Style, colour: Colour) -> Style {
        if !self.coloured {
            return style;
        }
        style.fg(match colour {
            Colour::Yellow => Color::Yellow,
            Colour::Red => Color::Red,
            Colour::Green => Color::Green,
            Colour::Cyan => Color::Cyan,
        })
    }
}
