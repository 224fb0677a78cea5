//! An episode in which a session needs a person, and what was done to remind the person of it.
//!
//! It begins when the session needs a person, or for another cause, and ends when it needs none. Moments are in ms of
//! uptime, so nothing here moves when the wall clock is set. Which reminder is sent when is decided by
//! [`crate::core::reminders`].

use serde::{Deserialize, Serialize};

use super::Session;
use crate::core::{Now, ReminderRules};
use crate::protocol::{Status, Transition};
use crate::reminders::{Cause, NotificationId};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Episode {
    pub(crate) cause: Cause,
    pub(crate) began_ms: u64,
    reminded: Reminded,
}

/// What was done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Reminded {
    /// Nothing yet.
    NotYet,
    /// A reminder was sent, the last one at this moment.
    Sent { at_ms: u64, shown: Shown },
    /// No reminder is sent any more: a person knows of it, or wants none of this kind.
    Never,
}

/// What of an episode is on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Shown {
    /// Nothing, as far as is known.
    Nowhere,
    /// A notification of its own.
    Alone(NotificationId),
    /// The notification of several sessions.
    Together,
}

impl Episode {
    /// When the next reminder is due; `None`: none is.
    pub(crate) fn due_ms(&self, rules: ReminderRules) -> Option<u64> {
        if !rules.concern(self.cause) {
            return None;
        }
        match self.reminded {
            Reminded::NotYet => Some(self.began_ms.saturating_add(rules.delay_ms)),
            Reminded::Sent { at_ms, .. } => Some(at_ms.saturating_add(rules.repeat_ms?)),
            Reminded::Never => None,
        }
    }

    /// What of it is on the screen.
    pub(crate) fn shown(&self) -> Shown {
        match self.reminded {
            Reminded::Sent { shown, .. } => shown,
            Reminded::NotYet | Reminded::Never => Shown::Nowhere,
        }
    }

    /// The same after a reminder was sent that is shown like this.
    pub(crate) fn sent(self, at_ms: u64, shown: Shown) -> Self {
        let reminded = Reminded::Sent { at_ms, shown };
        Self { reminded, ..self }
    }

    /// The same once it is known how the reminder is shown; `None` if none was sent.
    pub(crate) fn shown_as(self, shown: Shown) -> Option<Self> {
        match self.reminded {
            Reminded::Sent { at_ms, .. } => Some(self.sent(at_ms, shown)),
            Reminded::NotYet | Reminded::Never => None,
        }
    }

    fn silent(self) -> Self {
        let reminded = Reminded::Never;
        Self { reminded, ..self }
    }

    /// No later than `now`: a file that says otherwise is wrong.
    fn until(mut self, now_ms: u64) -> Self {
        self.began_ms = self.began_ms.min(now_ms);
        if let Reminded::Sent { at_ms, .. } = &mut self.reminded {
            *at_ms = (*at_ms).min(now_ms);
        }
        self
    }
}

impl Session {
    /// The present episode; `None`: it needs no person.
    pub(crate) fn episode(&self) -> Option<Episode> {
        self.episode
    }

    /// Changes what is known of the present episode.
    pub(crate) fn set_episode(&mut self, episode: Episode) {
        self.episode = Some(episode);
    }

    /// A person knows of the present episode.
    pub(crate) fn acknowledge(&mut self) {
        self.episode = self.episode.map(Episode::silent);
    }

    /// The episode that follows from whether it needs a person, as last committed.
    pub(crate) fn follow_attention(&mut self, now: Now, rules: ReminderRules) {
        let cause = self.cause();
        self.episode = match (cause, self.episode) {
            (None, _) => None,
            (Some(cause), Some(known)) if known.cause == cause => Some(known.until(now.uptime_ms)),
            (Some(cause), _) => {
                let begun = Episode {
                    cause,
                    began_ms: now.uptime_ms,
                    reminded: Reminded::NotYet,
                };
                let is_wanted = rules.concern(cause)
                    && (cause != Cause::Finished || self.worked_for(rules.finished_after_ms));
                Some(if is_wanted { begun } else { begun.silent() })
            }
        };
    }

    /// Why it needs a person.
    fn cause(&self) -> Option<Cause> {
        let cause = match self.committed.status {
            Status::Error => Cause::Error,
            Status::Idle => Cause::Finished,
            // At work, its process is stopped, or it is quiet: it does not go on, either.
            Status::Waiting | Status::Working | Status::Closed | Status::Unknown => Cause::Waiting,
        };
        self.committed.attention.then_some(cause)
    }

    /// True if the turn that has ended was this long, in ms, its dialogs included; also where the history does not say.
    fn worked_for(&self, ms: u64) -> bool {
        let is_at_work = |entry: &&Transition| {
            let status = entry.status;
            status == Status::Working || status == Status::Waiting
        };
        let history = self.committed.history.iter();
        let mut before = history.rev().skip(1).take_while(is_at_work);
        let first = before.next().map(|last| before.last().unwrap_or(last));
        first.is_none_or(|first| self.committed.since.saturating_sub(first.at) >= ms)
    }
}
