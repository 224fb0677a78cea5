//! What a person wants to know of many sessions at once: which first, and how many of each.
//!
//! One order and one tally for every view: the dashboard, `list`, `next`, `bar`. Pure.

use std::cmp::{Ordering, Reverse};

use crate::protocol::{SessionRecord, Status};

/// Orders sessions as a person should see them: those that need a person first, whoever has needed one for longest on
/// top; then those at work, longest first; then idle ones and closed ones, the latest first.
#[must_use]
pub(crate) fn by_need(a: &SessionRecord<'_>, b: &SessionRecord<'_>) -> Ordering {
    rank(a).cmp(&rank(b)).then_with(|| a.key.cmp(&b.key))
}

/// The group, and the place in it.
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

/// What a person tells apart at a glance: a status, and whether an idle session has been looked at since its turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Waits for a person.
    Waiting,
    /// Its last turn failed.
    Failed,
    /// Has finished a turn that nobody has looked at.
    Finished,
    /// Works.
    Working,
    /// Is idle, and seen.
    Idle,
    /// Is over.
    Closed,
    /// Has a status of which this client doesn't know the word.
    Unknown,
}

impl Kind {
    /// The kind that a session is of.
    #[must_use]
    pub(crate) fn of(session: &SessionRecord<'_>) -> Self {
        match session.status {
            Status::Idle if session.attention => Self::Finished,
            status => Self::of_status(status),
        }
    }

    /// What a status alone says: whether a turn has been looked at is not in it.
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
            Self::Working => "working",
            Self::Idle => "idle",
            Self::Closed => "closed",
            Self::Unknown => "unknown",
        }
    }
}

/// How many sessions there are of each kind that a person tells apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// They wait for a person.
    pub(crate) waiting: usize,
    /// Their last turn failed.
    pub(crate) failed: usize,
    /// They have finished a turn that nobody has looked at.
    pub(crate) finished: usize,
    /// They work.
    pub(crate) working: usize,
    /// They are idle, and seen; or of a kind that is not known.
    pub(crate) idle: usize,
    /// They are over.
    pub(crate) closed: usize,
}

impl Tally {
    /// Counts them.
    pub(crate) fn of<'a, 'r: 'a>(
        sessions: impl IntoIterator<Item = &'a SessionRecord<'r>>,
    ) -> Self {
        let mut tally = Self::default();
        for session in sessions {
            *match Kind::of(session) {
                Kind::Waiting => &mut tally.waiting,
                Kind::Failed => &mut tally.failed,
                Kind::Finished => &mut tally.finished,
                Kind::Working => &mut tally.working,
                Kind::Idle | Kind::Unknown => &mut tally.idle,
                Kind::Closed => &mut tally.closed,
            } += 1;
        }
        tally
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
    fn who_has_needed_a_person_for_longest_is_on_top() {
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
        sessions.sort_by(by_need);
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
        let tally = Tally::of(&sessions);
        assert_eq!(
            (
                tally.waiting + tally.failed + tally.finished,
                tally.working,
                tally.idle
            ),
            (3, 2, 2)
        );
    }
}
