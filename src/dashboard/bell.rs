//! When the dashboard rings: once for each time that a session begins to need a person.
//!
//! It waits first, so that a person who answers at once is not bothered, and sessions that begin within a short time ring
//! together. What needs a person already when the dashboard starts does not ring: it is on the screen. Pure; its time is
//! that of the last event.

use std::collections::HashMap;

use crate::protocol::SessionRecord;

/// For how long a session needs a person before it rings, in ms.
pub(super) const DELAY_MS: u64 = 8_000;

/// Sessions that would ring within this time ring together, in ms.
const TOGETHER_MS: u64 = 2_000;

/// A time during which a session needs a person.
#[derive(Debug, Clone, Copy)]
enum Episode {
    /// It rings then, in ms since the Unix epoch.
    RingsAt(u64),
    /// It has rung, or has no need to.
    Over,
}

/// The sessions that need a person, and which of them have yet to ring.
#[derive(Debug, Default)]
pub(super) struct Bell {
    /// By the sessions' keys; `None` before the first snapshot.
    episodes: Option<HashMap<String, Episode>>,
}

impl Bell {
    /// Takes over which of all sessions need a person at `now`. Called once there is a snapshot, and after each change.
    pub(super) fn follow<'a>(
        &mut self,
        sessions: impl Iterator<Item = &'a SessionRecord<'static>>,
        now: u64,
    ) {
        let mut known = self.episodes.take();
        let in_need = sessions.filter(|session| session.attention);
        let episodes = in_need.map(|session| {
            let episode = match &mut known {
                None => Episode::Over,
                Some(known) => known
                    .remove(&*session.key)
                    .unwrap_or(Episode::RingsAt(now.saturating_add(DELAY_MS))),
            };
            (session.key.to_string(), episode)
        });
        self.episodes = Some(episodes.collect());
    }

    /// The sessions that ring at `now`, in the order of their keys. They do not ring again before they have needed no
    /// person.
    pub(super) fn ring(&mut self, now: u64) -> Vec<String> {
        if self.rings_at().is_none_or(|at| at > now) {
            return Vec::new();
        }
        let together = now.saturating_add(TOGETHER_MS);
        let mut keys = Vec::new();
        for (key, episode) in self.episodes.iter_mut().flatten() {
            if matches!(*episode, Episode::RingsAt(at) if at <= together) {
                *episode = Episode::Over;
                keys.push(key.clone());
            }
        }
        keys.sort();
        keys
    }

    /// When the next one rings, in ms since the Unix epoch.
    pub(super) fn rings_at(&self) -> Option<u64> {
        let episodes = self.episodes.iter().flatten();
        let times = episodes.filter_map(|(_, episode)| match episode {
            Episode::RingsAt(at) => Some(*at),
            Episode::Over => None,
        });
        times.min()
    }

    /// The clock was set back by this many ms.
    pub(super) fn set_back(&mut self, by: u64) {
        for episode in self.episodes.iter_mut().flatten() {
            if let (_, Episode::RingsAt(at)) = episode {
                *at = at.saturating_sub(by);
            }
        }
    }
}
