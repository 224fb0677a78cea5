//! Reminders that sessions need a person, and what passes between the daemon and the child that shows them.
//!
//! The daemon writes an [`Order`] as one line of JSON to the child's standard input, and the child answers with an
//! [`Answer`] as one line. Both ends are of one version: no other program may rely on it. The [`Job`] is made by the core,
//! passed on by the daemon, carried out by `notify`. No IO.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::protocol::words::words;

/// How many reminders are shown one by one; more at a time become one.
pub(crate) const MAX_SINGLE: usize = 3;

/// How many records a reminder of several sessions has at most.
pub(crate) const MAX_RECORDS: usize = 32;

/// A notification on the screen, by a number that is the child's: whose desktop it is on is in it, too.
pub(crate) type NotificationId = u64;

words! {
    /// Why a session needs a person, as far as reminders tell apart.
    pub(crate) closed enum Cause {
        /// It does not go on without an answer.
        Waiting = "waiting",
        /// Its last turn has failed.
        Error = "error",
        /// Its turn has ended.
        Finished = "finished",
    }
}

impl Cause {
    /// The most urgent of several.
    pub(crate) fn most_urgent(causes: impl IntoIterator<Item = Self>) -> Option<Self> {
        causes.into_iter().min_by_key(|cause| *cause as u8)
    }
}

/// Some of the causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Causes {
    pub(crate) waiting: bool,
    pub(crate) error: bool,
    pub(crate) finished: bool,
}

impl Causes {
    /// All of them.
    pub(crate) const ALL: Self = Self {
        waiting: true,
        error: true,
        finished: true,
    };

    /// Whether this is one of them.
    pub(crate) fn has(self, cause: Cause) -> bool {
        match cause {
            Cause::Waiting => self.waiting,
            Cause::Error => self.error,
            Cause::Finished => self.finished,
        }
    }

    /// Those that are, the most urgent first.
    pub(crate) fn iter(self) -> impl Iterator<Item = Cause> {
        let all = [Cause::Waiting, Cause::Error, Cause::Finished];
        all.into_iter().filter(move |cause| self.has(*cause))
    }
}

impl FromIterator<Cause> for Causes {
    fn from_iter<T: IntoIterator<Item = Cause>>(causes: T) -> Self {
        let causes: Vec<_> = causes.into_iter().collect();
        Self {
            waiting: causes.contains(&Cause::Waiting),
            error: causes.contains(&Cause::Error),
            finished: causes.contains(&Cause::Finished),
        }
    }
}

/// One reminder: of one session, or of several.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reminder {
    /// Why a person is needed; of several sessions the most urgent cause.
    pub(crate) cause: Cause,
    /// How many sessions it is of.
    pub(crate) count: usize,
    /// Their records, those that have needed a person for longest first, at most [`MAX_RECORDS`].
    pub(crate) sessions: Vec<Box<RawValue>>,
    /// The notification that it takes the place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replaces: Option<NotificationId>,
}

/// What one child does, in this order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Notifications that are over and leave the screen.
    pub(crate) withdraw: Vec<NotificationId>,
    /// At most [`MAX_SINGLE`] of one session each, or one of several.
    pub(crate) reminders: Vec<Reminder>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// For each reminder, in order: the id of its notification; `None` where none is shown.
    Shown(Vec<Option<NotificationId>>),
    /// Nothing is known of it.
    Failed,
}

/// What the child reads.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Whether notifications of the desktop are shown.
    pub(crate) desktop: bool,
    /// A command for `sh` that is run for each reminder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<String>,
    pub(crate) job: Job,
}

/// What the child prints.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// As in [`Outcome::Shown`].
    pub(crate) shown: Vec<Option<NotificationId>>,
    /// What went wrong, in a line for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<Box<str>>,
}
