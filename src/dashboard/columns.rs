//! Which columns the list has at which width, and what is in them. Pure.
//!
//! What a person acts upon stays to the last: the status, how long, and why. At 40 columns these are all; the title
//! comes with 64, at 80 nothing is missing but the model and the agent's name.

use super::text;
use crate::format;
use crate::protocol::SessionRecord;

/// Between two columns.
const GAP: usize = 2;

/// What a column says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Sign and word.
    Status,
    /// How long it has been so.
    For,
    /// What it waits for or does.
    Why,
    /// What it is about.
    Title,
    /// Where.
    Directory,
    /// How full the model's context is.
    Context,
    /// Subagents and background shells that run.
    Running,
    /// The model.
    Model,
    /// The agent.
    Agent,
}

/// A column of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) content: Content,
    pub(super) width: usize,
}

impl Content {
    /// What stands above it.
    pub(super) const fn heading(self) -> &'static str {
        match self {
            Self::Status => "  STATUS",
            Self::For => "FOR",
            Self::Why => "WHY",
            Self::Title => "TITLE",
            Self::Directory => "DIRECTORY",
            Self::Context => "CTX",
            Self::Running => "RUN",
            Self::Model => "MODEL",
            Self::Agent => "AGENT",
        }
    }

    /// Numbers end where their column ends.
    pub(super) const fn is_number(self) -> bool {
        matches!(self, Self::For | Self::Context | Self::Running)
    }

    /// From which width of the list on it is there.
    const fn from(self) -> usize {
        match self {
            Self::Status | Self::For | Self::Why => 0,
            Self::Directory => 50,
            Self::Title => 64,
            Self::Context => 72,
            Self::Running => 76,
            Self::Model => 104,
            Self::Agent => 124,
        }
    }

    /// Its width, or its share of what the others leave.
    const fn size(self) -> Size {
        match self {
            Self::Status => Size::Fixed(10),
            Self::For | Self::Running => Size::Fixed(3),
            Self::Context => Size::Fixed(4),
            Self::Model => Size::Fixed(14),
            Self::Agent => Size::Fixed(11),
            Self::Why => Size::Share(5),
            Self::Title | Self::Directory => Size::Share(3),
        }
    }
}

enum Size {
    Fixed(usize),
    Share(usize),
}

/// In the order in which they stand.
const ALL: [Content; 9] = [
    Content::Status,
    Content::For,
    Content::Why,
    Content::Title,
    Content::Directory,
    Content::Context,
    Content::Running,
    Content::Model,
    Content::Agent,
];

/// The columns of a list of this width, which they fill.
pub(super) fn columns(width: usize) -> Vec<Column> {
    let shown: Vec<_> = ALL.into_iter().filter(|one| one.from() <= width).collect();
    let mut left = width.saturating_sub(GAP * (shown.len() - 1));
    let mut shares = 0;
    for content in &shown {
        match content.size() {
            Size::Fixed(fixed) => left = left.saturating_sub(fixed),
            Size::Share(share) => shares += share,
        }
    }
    let of = |content: Content| match content.size() {
        Size::Fixed(fixed) => fixed,
        Size::Share(share) => {
            let width = left * share / shares;
            // Nothing is lost to rounding.
            left -= width;
            shares -= share;
            width
        }
    };
    let mut of = of;
    shown
        .into_iter()
        .map(|content| Column {
            content,
            width: of(content),
        })
        .collect()
}

/// The columns' left edges, counted from the list's.
pub(super) fn edges(columns: &[Column]) -> impl Iterator<Item = (usize, Column)> {
    columns.iter().scan(0, |x, column| {
        let edge = *x;
        *x += column.width + GAP;
        Some((edge, *column))
    })
}

/// What `column` says of `session`, fitted; nothing for the status, which has signs and colours of its own.
/// `titled`: whether there is a column for the title; without one it stands in for a reason that is not there.
pub(super) fn cell(
    column: Column,
    session: &SessionRecord<'_>,
    home: Option<&str>,
    now: u64,
    titled: bool,
) -> String {
    let title = || format::plain(session.title.as_deref().unwrap_or_default());
    let whole = match column.content {
        Content::Status => return String::new(),
        Content::For => format::ago(session.since, now),
        Content::Why => match text::why(session) {
            why if why.is_empty() && !titled => title(),
            why => why,
        },
        Content::Title => title(),
        Content::Directory => {
            let path = text::directory(session.cwd.as_deref().unwrap_or_default(), home);
            return text::fit_end(&path, column.width).into_owned();
        }
        Content::Context => session
            .context_percent
            .map(|percent| format!("{percent:.0}%"))
            .unwrap_or_default(),
        Content::Running => running(session),
        Content::Model => text::model(session.model.as_deref().unwrap_or_default()),
        Content::Agent => format::plain(&session.agent),
    };
    text::fit(&whole, column.width).into_owned()
}

/// Subagents, and background shells after a plus.
fn running(session: &SessionRecord<'_>) -> String {
    match (session.subagents, session.background) {
        (0, 0) => String::new(),
        (subagents, 0) => subagents.to_string(),
        (subagents, background) => format!("{subagents}+{background}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fill_any_width_and_drop_one_by_one() {
        let mut before = 0;
        for width in 40..=200 {
            let columns = columns(width);
            let (edge, last) = edges(&columns).last().unwrap();
            assert_eq!(edge + last.width, width, "{columns:?}");
            assert!(
                columns.iter().all(|column| column.width >= 3),
                "{columns:?}"
            );
            assert!(columns.len() >= before && columns.len() <= before.max(2) + 1);
            before = columns.len();
        }
        assert_eq!(before, ALL.len());
        // Too narrow for anything is no reason to fail.
        for width in 0..40 {
            assert_eq!(columns(width).len(), 3);
        }
    }
}
