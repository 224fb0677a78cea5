//! The table `[notify]`: when and how a person is reminded of a session that needs one. Called by the configuration alone.

use std::time::Duration;

use crate::reminders::Causes;

/// How long a session must need a person before there is a reminder, unless the file says otherwise.
const DEFAULT_NOTIFY_DELAY: Duration = Duration::from_secs(8);

/// The shortest and the longest `notify.delay`. What is due within two seconds may become one reminder, so all of it must
/// be known that long before.
pub(super) const NOTIFY_DELAY: (Duration, Duration) =
    (Duration::from_secs(2), Duration::from_hours(1));

/// The shortest and the longest `notify.repeat`.
pub(super) const NOTIFY_REPEAT: (Duration, Duration) =
    (Duration::from_mins(1), Duration::from_hours(24));

/// How long a turn must have been for a reminder that it has ended, unless the file says otherwise.
const DEFAULT_FINISHED_AFTER: Duration = Duration::from_secs(10);

/// When and how a person is reminded of a session that needs one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notify {
    /// Whether by a notification of the desktop.
    pub desktop: bool,
    /// A command for `sh` that does it, too.
    pub command: Option<String>,
    /// How long a session must need a person first.
    pub delay: Duration,
    /// How long after a reminder the next one comes; `None`: there is one only.
    pub repeat: Option<Duration>,
    /// Which sessions it is of.
    pub causes: Causes,
    /// How long the turn of one that has finished must have been.
    pub finished_after: Duration,
}

impl Notify {
    /// Whether there is a way to remind a person.
    pub(crate) fn is_on(&self) -> bool {
        self.desktop || self.command.is_some()
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self {
            desktop: false,
            command: None,
            delay: DEFAULT_NOTIFY_DELAY,
            repeat: None,
            causes: Causes::ALL,
            finished_after: DEFAULT_FINISHED_AFTER,
        }
    }
}
