//! The episodes in which sessions need a person: how they change, for [`crate::core::reminders`].

use super::{Change, Sessions};
use crate::core::session::{Episode, Session};

/// Whether a session needs a person, or what was done about that, has changed.
#[derive(Debug)]
pub(crate) struct EpisodeChange {
    pub(crate) key: Box<str>,
    pub(crate) before: Option<Episode>,
    pub(crate) after: Option<Episode>,
}

impl Sessions {
    /// Changes what is known of a session's present episode. With `persist`, it is saved.
    pub(crate) fn set_episode(&mut self, key: &str, episode: Episode, persist: bool) {
        self.change_episode(key, persist, |session| session.set_episode(episode));
    }

    /// A person knows of the session's present episode.
    pub(crate) fn acknowledge(&mut self, key: &str, persist: bool) {
        self.change_episode(key, persist, Session::acknowledge);
    }

    fn change_episode(&mut self, key: &str, persist: bool, change: impl FnOnce(&mut Session)) {
        let before = self.get(key).and_then(Session::episode);
        self.update(key, || None, change);
        let after = self.get(key).and_then(Session::episode);
        if persist && before != after {
            self.unsaved.push(Change::Changed(key.into()));
        }
    }

    /// How episodes have changed since the last time.
    pub(crate) fn take_episode_changes(&mut self) -> Vec<EpisodeChange> {
        std::mem::take(&mut self.episode_changes)
    }

    pub(super) fn note_episode(
        &mut self,
        key: &str,
        before: Option<Episode>,
        after: Option<Episode>,
    ) {
        if before != after {
            self.episode_changes.push(EpisodeChange {
                key: key.into(),
                before,
                after,
            });
        }
    }
}
