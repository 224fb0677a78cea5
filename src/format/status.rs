//! Many sessions at a glance: their order, their statuses, how many of each, and the colour of each.
//!
//! The one order and the one table of colours and symbols of every view: the dashboard, `list`, `next`, `bar`. Pure.

use std::cmp::{Ordering, Reverse};

use crate::protocol::{SessionGroup, SessionRecord, Status};

/// The order for people: first the sessions that need a person, the one that has done so for longest on top; then those
/// at work, the longest first; then idle ones, then closed ones, the latest first.
#[must_use]
pub(crate) fn attention_order(a: &SessionRecord<'_>, b: &SessionRecord<'_>) -> Ordering {
    rank(a).cmp(&rank(b)).then_with(|| a.key.cmp(&b.key))
}

/// The group, and the order in it.
fn rank(session: &SessionRecord<'_>) -> (u8, u64, Reverse<u64>) {
    let oldest_first = |group| (group, session.since, Reverse(0));
    let latest_first = |group, at| (group, 0, Reverse(at));
    match session.status {
        Status::Closed => latest_first(3, session.ended_at.unwrap_or(session.since)),
        _ if session.attention => oldest_first(0),
        Status::Working => oldest_first(1),
        Status::Waiting | Status::Error | Status::Idle | Status::Unknown => {
            latest_first(2, session.since)
        }
    }
}

/// The statuses that views tell apart: those of the protocol, and `Finished` for an idle session that needs attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DisplayStatus {
    /// It waits for a person.
    Waiting,
    /// Its last turn failed.
    Failed,
    /// It has finished a turn since a person last typed.
    Finished,
    /// A signal has stopped its process (Ctrl-Z).
    Stopped,
    /// A turn runs.
    Working,
    /// No turn runs, and it needs no attention.
    Idle,
    /// The session is over.
    Closed,
    /// A status of a newer daemon that this client doesn't know.
    Unknown,
}

impl DisplayStatus {
    /// The status of a session.
    #[must_use]
    pub(crate) fn of(session: &SessionRecord<'_>) -> Self {
        let stopped = session.stopped_since.is_some();
        Self::of_values(session.status, session.attention, stopped)
    }

    /// The status of each session of a group.
    pub(crate) fn of_group(group: &SessionGroup<'_>) -> Self {
        Self::of_values(group.status, group.attention, group.stopped)
    }

    fn of_values(status: Status, attention: bool, stopped: bool) -> Self {
        match status {
            Status::Closed => Self::Closed,
            _ if stopped && attention => Self::Stopped,
            Status::Idle if attention => Self::Finished,
            status => Self::of_status(status),
        }
    }

    /// The status of the protocol alone, which does not distinguish `Finished` from `Idle`.
    #[must_use]
    pub(crate) fn of_status(status: Status) -> Self {
        match status {
            Status::Waiting => Self::Waiting,
            Status::Error => Self::Failed,
            Status::Working => Self::Working,
            Status::Idle => Self::Idle,
            Status::Closed => Self::Closed,
            Status::Unknown => Self::Unknown,
        }
    }

    /// The word for it: at most eight columns.
    #[must_use]
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Failed => "failed",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Working => "working",
            Self::Idle => "idle",
            Self::Closed => "closed",
            Self::Unknown => "unknown",
        }
    }

    /// A symbol of one column.
    pub(crate) const fn symbol(self) -> &'static str {
        match self {
            Self::Waiting => "●",
            Self::Failed => "✗",
            Self::Finished => "✓",
            Self::Stopped => "■",
            Self::Working => "▸",
            Self::Idle => "○",
            Self::Closed => "·",
            Self::Unknown => "?",
        }
    }

    /// One column of a timeline.
    pub(crate) const fn timeline_symbol(self) -> &'static str {
        match self {
            Self::Waiting | Self::Stopped => "▒",
            Self::Failed => "✗",
            Self::Working => "█",
            Self::Finished | Self::Idle => "─",
            Self::Closed | Self::Unknown => "·",
        }
    }

    /// Whether a person should look; shown in bold.
    pub(crate) const fn needs_person(self) -> bool {
        matches!(
            self,
            Self::Waiting | Self::Failed | Self::Finished | Self::Stopped
        )
    }

    /// Its colour; `None`: that of other text.
    pub(crate) const fn colour(self) -> Option<Colour> {
        match self {
            Self::Waiting | Self::Stopped => Some(Colour::Yellow),
            Self::Failed => Some(Colour::Red),
            Self::Finished => Some(Colour::Green),
            Self::Working => Some(Colour::Cyan),
            Self::Idle | Self::Closed | Self::Unknown => None,
        }
    }

    /// Its style on a terminal, as the parameters of ECMA-48's SGR.
    pub(crate) const fn sgr(self) -> &'static str {
        match self {
            Self::Waiting | Self::Stopped => "1;33",
            Self::Failed => "1;31",
            Self::Finished => "1;32",
            Self::Working => "36",
            Self::Idle | Self::Unknown => "",
            Self::Closed => "2",
        }
    }
}

/// The colours of statuses, as terminals name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Yellow,
    Red,
    Green,
    Cyan,
}

impl Colour {
    /// The colour where there is no palette, legible on dark and on light: red, green, blue in hexadecimal.
    pub(crate) const fn rgb(self) -> &'static str {
        match self {
            Self::Yellow => "d79921",
            Self::Red => "e0524d",
            Self::Green => "7a9f35",
            Self::Cyan => "3f9fa8",
        }
    }
}

/// How many sessions there are of each status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) waiting: usize,
    pub(crate) failed: usize,
    pub(crate) finished: usize,
    pub(crate) stopped: usize,
    pub(crate) working: usize,
    /// Idle, or of an unknown status.
    pub(crate) idle: usize,
    pub(crate) closed: usize,
}

impl Counts {
    /// Counts the sessions.
    pub(crate) fn of<'a, 'r: 'a>(
        sessions: impl IntoIterator<Item = &'a SessionRecord<'r>>,
    ) -> Self {
        let mut counts = Self::default();
        for session in sessions {
            counts.add(DisplayStatus::of(session), 1);
        }
        counts
    }

    /// Counts `more` sessions of this status.
    pub(crate) fn add(&mut self, status: DisplayStatus, more: usize) {
        *match status {
            DisplayStatus::Waiting => &mut self.waiting,
            DisplayStatus::Failed => &mut self.failed,
            DisplayStatus::Finished => &mut self.finished,
            DisplayStatus::Stopped => &mut self.stopped,
            DisplayStatus::Working => &mut self.working,
            DisplayStatus::Idle | DisplayStatus::Unknown => &mut self.idle,
            DisplayStatus::Closed => &mut self.closed,
        } += more;
    }

    /// The counts above 0 in words: `2 waiting · 5 working`.
    pub(crate) fn words(&self) -> String {
        let counts = [
            (self.waiting, DisplayStatus::Waiting),
            (self.failed, DisplayStatus::Failed),
            (self.finished, DisplayStatus::Finished),
            (self.stopped, DisplayStatus::Stopped),
            (self.working, DisplayStatus::Working),
            (self.idle, DisplayStatus::Idle),
            (self.closed, DisplayStatus::Closed),
        ];
        let words = counts.iter().filter(|(count, _)| *count > 0);
        let words: Vec<_> = words
            .map(|(count, status)| format!("{count} {}", status.word()))
            .collect();
        words.join(" · ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn session(key: &str, status: &str, attention: bool, since: u64) -> SessionRecord<'static> {
        let ended_at = (status == "closed").then_some(since);
        serde_json::from_value(json!({
            "key": key, "agent": "claude-code", "status": status, "attention": attention, "since": since,
            "started_at": 0, "ended_at": ended_at,
        }))
        .unwrap()
    }

    #[test]
    fn the_session_that_has_needed_a_person_for_longest_is_first() {
        let mut sessions = [
            session("closed-early", "closed", false, 1),
            session("closed-late", "closed", false, 2),
            session("idle-early", "idle", false, 1),
            session("idle-late", "idle", false, 2),
            session("works-new", "working", false, 2),
            session("works-long", "working", false, 1),
            session("waits-new", "waiting", true, 9),
            session("finished", "idle", true, 8),
            session("failed", "error", true, 7),
        ];
        sessions.sort_by(attention_order);
        let keys: Vec<_> = sessions.iter().map(|session| &*session.key).collect();
        assert_eq!(
            keys,
            [
                "failed",
                "finished",
                "waits-new",
                "works-long",
                "works-new",
                "idle-late",
                "idle-early",
                "closed-late",
                "closed-early"
            ]
        );
        let counts = Counts::of(&sessions);
        assert_eq!(
            (
                counts.waiting + counts.failed + counts.finished,
                counts.working,
                counts.idle
            ),
            (3, 2, 2)
        );
    }

    #[test]
    fn counts_of_none_are_left_out() {
        let two = Counts {
            waiting: 2,
            working: 5,
            ..Counts::default()
        };
        assert_eq!(two.words(), "2 waiting · 5 working");
        assert_eq!(Counts::default().words(), "");
    }

    #[test]
    fn a_style_has_the_colour_of_its_status_and_is_bold_if_it_needs_a_person() {
        use DisplayStatus::{Closed, Failed, Finished, Idle, Unknown, Waiting, Working};
        for status in [Waiting, Failed, Finished, Working, Idle, Closed, Unknown] {
            let sgr = status.sgr();
            assert_eq!(sgr.starts_with("1;"), status.needs_person(), "{sgr}");
            let colour = match status.colour() {
                Some(Colour::Red) => Some("31"),
                Some(Colour::Green) => Some("32"),
                Some(Colour::Yellow) => Some("33"),
                Some(Colour::Cyan) => Some("36"),
                None => None,
            };
            assert_eq!(sgr.split(';').find(|part| part.len() == 2), colour);
        }
    }
}
