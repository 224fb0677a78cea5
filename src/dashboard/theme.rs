//! Colours and signs for each kind of session. The terminal's own sixteen colours on its own background, so that it is
//! right on dark and light ones; a word and a sign say the same as the colour. Pure.

use ratatui::style::{Color, Modifier, Style};

use crate::format::status::Kind;

/// One column.
pub(super) const fn sign(kind: Kind) -> &'static str {
    match kind {
        Kind::Waiting => "●",
        Kind::Failed => "✗",
        Kind::Finished => "✓",
        Kind::Working => "▸",
        Kind::Idle => "○",
        Kind::Closed => "·",
        Kind::Unknown => "?",
    }
}

/// One column of a timeline.
pub(super) const fn shade(kind: Kind) -> &'static str {
    match kind {
        Kind::Waiting => "▒",
        Kind::Failed => "✗",
        Kind::Working => "█",
        Kind::Finished | Kind::Idle => "─",
        Kind::Closed | Kind::Unknown => "·",
    }
}

/// What matters less.
pub(super) const FAINT: Style = Style::new().add_modifier(Modifier::DIM);

/// A key that can be pressed, the name of the program.
pub(super) const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);

/// How things are drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    /// Whether colours are wanted (`NO_COLOR`).
    pub(crate) coloured: bool,
}

impl Theme {
    pub(super) fn kind(self, kind: Kind) -> Style {
        match kind {
            Kind::Waiting => self.colour(STRONG, Color::Yellow),
            Kind::Failed => self.colour(STRONG, Color::Red),
            Kind::Finished => self.colour(STRONG, Color::Green),
            Kind::Working => self.colour(Style::new(), Color::Cyan),
            Kind::Idle | Kind::Unknown => Style::new(),
            Kind::Closed => FAINT,
        }
    }

    /// Something is not as it should be.
    pub(super) fn alarm(self) -> Style {
        self.colour(STRONG, Color::Red)
    }

    /// Something to read, nothing to worry about.
    pub(super) fn notice(self) -> Style {
        self.colour(STRONG, Color::Yellow)
    }

    fn colour(self, style: Style, colour: Color) -> Style {
        if self.coloured {
            style.fg(colour)
        } else {
            style
        }
    }
}
