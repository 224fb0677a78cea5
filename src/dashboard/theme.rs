//! Colours and words for a session's condition. The terminal's own sixteen colours on its own background, so that it is
//! right on dark and light ones; a word and a sign say the same as the colour. Pure.

use ratatui::style::{Color, Modifier, Style};

use crate::protocol::{SessionRecord, Status};

/// What a person tells apart at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// It waits for a person.
    Waiting,
    /// Its last turn failed.
    Failed,
    /// It has finished a turn that nobody has looked at.
    Finished,
    /// It works.
    Working,
    /// It is idle, and seen.
    Idle,
    /// It is over.
    Closed,
    /// A newer daemon's word.
    Unknown,
}

impl Condition {
    pub(super) fn of(session: &SessionRecord<'_>) -> Self {
        match session.status {
            Status::Idle if session.attention => Self::Finished,
            status => Self::from_status(status),
        }
    }

    /// What a status alone says; that a turn has been looked at is not in the history.
    pub(super) fn from_status(status: Status) -> Self {
        match status {
            Status::Waiting => Self::Waiting,
            Status::Error => Self::Failed,
            Status::Working => Self::Working,
            Status::Idle => Self::Idle,
            Status::Closed => Self::Closed,
            Status::Unknown => Self::Unknown,
        }
    }

    /// At most eight columns.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Failed => "failed",
            Self::Finished => "finished",
            Self::Working => "working",
            Self::Idle => "idle",
            Self::Closed => "closed",
            Self::Unknown => "unknown",
        }
    }

    /// One column.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Waiting => "●",
            Self::Failed => "✗",
            Self::Finished => "✓",
            Self::Working => "▸",
            Self::Idle => "○",
            Self::Closed => "·",
            Self::Unknown => "?",
        }
    }

    /// One column of a timeline.
    pub(super) const fn shade(self) -> &'static str {
        match self {
            Self::Waiting => "▒",
            Self::Failed => "✗",
            Self::Working => "█",
            Self::Finished | Self::Idle => "─",
            Self::Closed | Self::Unknown => "·",
        }
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
    pub(super) fn condition(self, condition: Condition) -> Style {
        match condition {
            Condition::Waiting => self.colour(STRONG, Color::Yellow),
            Condition::Failed => self.colour(STRONG, Color::Red),
            Condition::Finished => self.colour(STRONG, Color::Green),
            Condition::Working => self.colour(Style::new(), Color::Cyan),
            Condition::Idle | Condition::Unknown => Style::new(),
            Condition::Closed => FAINT,
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
