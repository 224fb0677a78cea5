//! A client's copy of the daemon's sessions: a snapshot, and what came after it.
//!
//! Applying every notification to a snapshot gives what a new snapshot would: the tests hold it against the core
//! after any sequence of inputs. Used by whoever subscribes; knows nothing of sockets.

use std::collections::BTreeMap;

use crate::client::Told;
use crate::protocol::{NOTICES_KEPT, Notice, SessionRecord, Snapshot, Usage};

/// The sessions as the daemon last told them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mirror {
    sessions: BTreeMap<String, SessionRecord<'static>>,
    notices: Vec<Notice<'static>>,
    usage: Option<Usage<'static>>,
    seq: u64,
}

impl Mirror {
    /// Takes in what was told. A notification that the copy already holds changes nothing.
    pub fn apply(&mut self, told: Told) {
        match told {
            Told::Snapshot(Snapshot {
                seq,
                sessions,
                notices,
                usage,
            }) => {
                self.sessions = sessions
                    .into_iter()
                    .map(|session| (session.key.to_string(), session))
                    .collect();
                self.notices = notices;
                self.usage = usage;
                self.seq = seq;
            }
            Told::Changed(changed) if changed.seq > self.seq => {
                self.seq = changed.seq;
                self.sessions
                    .insert(changed.session.key.to_string(), changed.session);
            }
            Told::Removed(removed) if removed.seq > self.seq => {
                self.seq = removed.seq;
                self.sessions.remove(&*removed.key);
            }
            Told::Usage(changed) if changed.seq > self.seq => {
                self.seq = changed.seq;
                self.usage = Some(changed.usage);
            }
            Told::Notice(notice) if notice.seq > self.seq => {
                self.seq = notice.seq;
                if self.notices.len() >= NOTICES_KEPT {
                    self.notices.remove(0);
                }
                self.notices.push(notice.notice);
            }
            Told::Stopping(stopping) => self.seq = self.seq.max(stopping.seq),
            Told::Changed(_) | Told::Removed(_) | Told::Usage(_) | Told::Notice(_) => {}
        }
    }

    /// The number of the last notification that the copy holds.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The session of this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&SessionRecord<'static>> {
        self.sessions.get(key)
    }

    /// Every session, by key.
    pub fn sessions(&self) -> impl Iterator<Item = &SessionRecord<'static>> {
        self.sessions.values()
    }

    /// The account's limits, as last told.
    #[must_use]
    pub fn usage(&self) -> Option<&Usage<'static>> {
        self.usage.as_ref()
    }

    /// What the daemon has had to say lately, oldest first: as much as a new snapshot would hold.
    #[must_use]
    pub fn notices(&self) -> &[Notice<'static>] {
        &self.notices
    }
}
