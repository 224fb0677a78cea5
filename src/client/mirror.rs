//! A client's copy of the daemon's state: a snapshot, and the changes after it.
//!
//! A snapshot with every later notification applied equals a new snapshot, and so does an old copy with a partial
//! snapshot applied; the core's property tests check this for any sequence of inputs. Used by all that subscribe; knows nothing of sockets.

use std::collections::BTreeMap;

use crate::client::Update;
use crate::protocol::{
    Evidence, NOTICES_KEPT, Notice, Notification, SessionChanged, SessionRecord, Since, Snapshot,
    SnapshotOf, Usage,
};

/// The daemon's state as of the notification `seq`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mirror {
    sessions: BTreeMap<String, SessionRecord<'static>>,
    notices: Vec<Notice<'static>>,
    usage: Option<Usage<'static>>,
    epoch: Option<u64>,
    seq: u64,
}

impl Mirror {
    /// Applies an update. A notification that the copy already holds changes nothing.
    pub fn apply(&mut self, update: Update) {
        match update {
            Update::Snapshot(snapshot) => self.apply_snapshot(*snapshot),
            Update::Notification(notification) => self.apply_notification(notification),
        }
    }

    fn apply_snapshot(&mut self, snapshot: Snapshot<'static>) {
        if !snapshot.partial {
            self.sessions.clear();
        }
        for key in &snapshot.removed {
            self.sessions.remove(&**key);
        }
        let sessions = snapshot.sessions.into_iter();
        self.sessions
            .extend(sessions.map(|session| (session.key.to_string(), session)));
        self.notices = snapshot.notices;
        self.usage = snapshot.usage;
        self.epoch = snapshot.epoch;
        self.seq = snapshot.seq;
    }

    fn apply_notification(&mut self, notification: Notification<'static>) {
        match notification {
            Notification::SessionChanged(changed) if changed.seq > self.seq => {
                self.seq = changed.seq;
                self.change(*changed);
            }
            Notification::SessionRemoved(removed) if removed.seq > self.seq => {
                self.seq = removed.seq;
                self.sessions.remove(&*removed.key);
            }
            Notification::UsageChanged(changed) if changed.seq > self.seq => {
                self.seq = changed.seq;
                self.usage = Some(changed.usage);
            }
            Notification::DaemonNotice(notice) if notice.seq > self.seq => {
                self.seq = notice.seq;
                if self.notices.len() >= NOTICES_KEPT {
                    self.notices.remove(0);
                }
                self.notices.push(notice.notice);
            }
            Notification::DaemonStopping(stopping) => self.seq = self.seq.max(stopping.seq),
            Notification::SessionChanged(_)
            | Notification::SessionRemoved(_)
            | Notification::UsageChanged(_)
            | Notification::DaemonNotice(_) => {}
        }
    }

    fn change(&mut self, changed: SessionChanged<'static>) {
        let SessionChanged { session, added, .. } = changed;
        let known = self.sessions.insert(session.key.to_string(), session);
        let (Some(added), Some(known)) = (added, known) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(&*known.key) else {
            return;
        };
        session.history = known.history;
        session.history.extend(added.history);
        let spare = session.history.len().saturating_sub(added.history_length);
        session.history.drain(..spare);
        session.evidence = known.evidence;
        for one in added.evidence {
            let is_it = |known: &Evidence<'_>| known.kind == one.kind;
            session.evidence.retain(|known| !is_it(known));
            session.evidence.push(one);
        }
        session.evidence.sort_by_key(|one| one.kind as u8);
    }

    /// The number of the last notification that the copy holds.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// How far the copy goes; `None` without a snapshot, or if the daemon cannot tell what has changed since.
    #[must_use]
    pub fn since(&self) -> Option<Since> {
        let seq = self.seq;
        self.epoch.map(|epoch| Since { epoch, seq })
    }

    /// The whole copy.
    #[must_use]
    pub fn snapshot(
        &self,
    ) -> SnapshotOf<'_, Vec<&SessionRecord<'static>>, &[Notice<'static>], &Usage<'static>> {
        SnapshotOf {
            seq: self.seq,
            epoch: self.epoch,
            partial: false,
            sessions: self.sessions().collect(),
            removed: Vec::new(),
            notices: self.notices(),
            usage: self.usage(),
        }
    }

    /// The session with this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&SessionRecord<'static>> {
        self.sessions.get(key)
    }

    /// Every session, by key.
    pub fn sessions(&self) -> impl Iterator<Item = &SessionRecord<'static>> {
        self.sessions.values()
    }

    /// The account's limits; `None` if the daemon has none.
    #[must_use]
    pub fn usage(&self) -> Option<&Usage<'static>> {
        self.usage.as_ref()
    }

    /// The latest notices, oldest first: as many as a new snapshot would hold.
    #[must_use]
    pub fn notices(&self) -> &[Notice<'static>] {
        &self.notices
    }
}
