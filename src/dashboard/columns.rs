//! Which columns the list has at which width, and their text. Pure.
//!
//! The columns that a person acts on are always there: the status, its age and its reason. At 40 columns these are all;
//! the title appears at 64, and at 80 only the model and the agent's name are missing. Agents are shown only where there
//! are several.

use std::path::Path;

use crate::format;
use crate::protocol::SessionRecord;

/// Between two columns.
const GAP: usize = 2;

/// What a column shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Symbol and word.
    Status,
    /// How long the status has lasted.
    For,
    /// The agent's sign.
    Sign,
    /// The reason of the status.
    Why,
    /// The session's title.
    Title,
    /// The working directory.
    Directory,
    /// How full the model's context is.
    Context,
    /// Subagents and background shells that run.
    Running,
    /// The model.
    Model,
    /// The agent's name.
    Agent,
}

/// A column of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) content: Content,
    pub(super) width: usize,
}

impl Content {
    /// The text above the column.
    pub(super) const fn heading(self) -> &'static str {
        match self {
            Self::Status => "  STATUS",
            Self::For => "FOR",
            Self::Sign => "AG",
            Self::Why => "WHY",
            Self::Title => "TITLE",
            Self::Directory => "DIRECTORY",
            Self::Context => "CTX",
            Self::Running => "RUN",
            Self::Model => "MODEL",
            Self::Agent => "AGENT",
        }
    }

    /// Numbers are aligned to the right.
    pub(super) const fn is_number(self) -> bool {
        matches!(self, Self::For | Self::Context | Self::Running)
    }

    /// Shown only where there are several agents.
    const fn is_of_agent(self) -> bool {
        matches!(self, Self::Sign | Self::Agent)
    }

    /// The least width of the list at which the column is shown.
    const fn from(self) -> usize {
        match self {
            Self::Status | Self::For | Self::Why => 0,
            Self::Sign => 30,
            Self::Directory => 50,
            Self::Title => 64,
            Self::Context => 72,
            Self::Running => 76,
            Self::Model => 104,
            Self::Agent => 124,
        }
    }

    /// Its width, or its share of the width that the others leave.
    const fn size(self) -> Size {
        match self {
            Self::Status => Size::Fixed(10),
            Self::For | Self::Running => Size::Fixed(3),
            Self::Sign => Size::Fixed(format::SIGN_WIDTH),
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

/// In the order of the list.
const ALL: [Content; 10] = [
    Content::Status,
    Content::For,
    Content::Sign,
    Content::Why,
    Content::Title,
    Content::Directory,
    Content::Context,
    Content::Running,
    Content::Model,
    Content::Agent,
];

/// The columns of a list of this width; together they fill it. `has_several`: there are sessions of several agents.
pub(super) fn columns(width: usize, has_several: bool) -> Vec<Column> {
    let is_shown = |one: &Content| one.from() <= width && (has_several || !one.is_of_agent());
    let shown: Vec<_> = ALL.into_iter().filter(is_shown).collect();
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
            // The last share takes what rounding has left.
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

/// The text of a cell, cut to its column's width; empty for the status, which the list draws itself. `titled`: whether
/// there is a column for the title; without one the title takes the place of a missing reason.
pub(super) fn cell(
    column: Column,
    session: &SessionRecord<'_>,
    home: Option<&Path>,
    now: u64,
    titled: bool,
) -> String {
    let title = || format::sanitize(session.title.as_deref().unwrap_or_default());
    let whole = match column.content {
        Content::Status => return String::new(),
        Content::For => format::ago(session.since, now),
        Content::Why => match format::reason(session, now) {
            reason if reason.is_empty() && !titled => title(),
            reason => reason,
        },
        Content::Title => title(),
        Content::Directory => {
            let path = format::abbreviate_home(session.cwd.as_deref().unwrap_or_default(), home);
            return format::truncate_start(&path, column.width).into_owned();
        }
        Content::Context => session
            .context_percent
            .map(|percent| format!("{percent:.0}%"))
            .unwrap_or_default(),
        Content::Running => running(session),
        Content::Model => format::model(session),
        Content::Sign => format::agent_sign(&session.agent),
        Content::Agent => format::sanitize(&session.agent),
    };
    format::truncate(&whole, column.width).into_owned()
}

/// The number of subagents, and after a plus that of background shells.
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
        for (has_several, least) in [(false, 3), (true, 4)] {
            let mut before = least;
            for width in 40..=200 {
                let columns = columns(width, has_several);
                let (edge, last) = edges(&columns).last().unwrap();
                assert_eq!(edge + last.width, width, "{columns:?}");
                assert!(
                    columns.iter().all(|column| column.width >= 2),
                    "{columns:?}"
                );
                assert!(columns.len() >= before && columns.len() <= before + 1);
                before = columns.len();
            }
            let of_agents = ALL.iter().filter(|one| one.is_of_agent()).count();
            let left_out = if has_several { 0 } else { of_agents };
            assert_eq!(before, ALL.len() - left_out);
        }
        // Too narrow for anything is no reason to fail.
        for width in 0..30 {
            assert_eq!(columns(width, true).len(), 3);
        }
    }
}
