//! `--agent`: of which agents a command shows sessions. The commands that list or follow sessions share it.

use std::collections::BTreeSet;

use clap::Args;

use crate::client::Update;
use crate::protocol::{Notification, SessionRecord};

/// The option of a command that shows sessions.
#[derive(Debug, Clone, Args)]
pub(super) struct AgentFilter {
    /// Only sessions of this agent; may be repeated
    #[arg(long = "agent", value_name = "NAME")]
    agents: Vec<String>,
}

impl AgentFilter {
    /// Whether sessions of this agent are shown.
    pub(super) fn keeps(&self, agent: &str) -> bool {
        self.agents.is_empty() || self.agents.iter().any(|kept| kept == agent)
    }

    /// For the updates of one subscription.
    pub(super) fn updates(&self) -> UpdateFilter<'_> {
        UpdateFilter {
            filter: self,
            kept: BTreeSet::new(),
        }
    }
}

/// Keeps what concerns these agents, and all that concerns no session.
pub(super) struct UpdateFilter<'a> {
    filter: &'a AgentFilter,
    /// The keys of their sessions.
    kept: BTreeSet<String>,
}

impl UpdateFilter<'_> {
    pub(super) fn apply(&mut self, mut update: Update) -> Option<Update> {
        if self.filter.agents.is_empty() {
            return Some(update);
        }
        let keeps = match &mut update {
            Update::Snapshot(snapshot) => {
                let kept = |session: &SessionRecord<'_>| self.filter.keeps(&session.agent);
                snapshot.sessions.retain(kept);
                if !snapshot.partial {
                    self.kept.clear();
                }
                snapshot.removed.retain(|key| self.kept.remove(&**key));
                let keys = snapshot.sessions.iter();
                self.kept
                    .extend(keys.map(|session| session.key.to_string()));
                true
            }
            Update::Notification(Notification::SessionChanged(changed)) => {
                let keeps = self.filter.keeps(&changed.session.agent);
                if keeps {
                    self.kept.insert(changed.session.key.to_string());
                }
                keeps
            }
            Update::Notification(Notification::SessionRemoved(removed)) => {
                self.kept.remove(&*removed.key)
            }
            Update::Notification(
                Notification::UsageChanged(_)
                | Notification::DaemonNotice(_)
                | Notification::DaemonStopping(_),
            ) => true,
        };
        keeps.then_some(update)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::protocol::SessionRemoved;

    #[test]
    fn a_partial_snapshot_is_filtered_as_changes_are() {
        let agents = vec!["x".into()];
        let filter = AgentFilter { agents };
        let mut updates = filter.updates();
        let mut apply = |snapshot: Value| {
            let snapshot = serde_json::from_value(snapshot).unwrap();
            let Some(Update::Snapshot(kept)) = updates.apply(Update::Snapshot(snapshot)) else {
                panic!("a snapshot is always kept");
            };
            let sessions = kept.sessions.iter().map(|session| session.key.to_string());
            let removed = kept.removed.iter().map(ToString::to_string);
            (sessions.collect::<Vec<_>>(), removed.collect::<Vec<_>>())
        };
        let session = |key: &str, agent: &str| json!({"key": key, "agent": agent, "status": "idle", "since": 1, "started_at": 1});
        let all = [session("a", "x"), session("b", "y"), session("c", "x")];
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            apply(json!({"seq": 1, "sessions": all})),
            (keys(&["a", "c"]), keys(&[]))
        );
        let partial = json!({
            "seq": 2, "partial": true, "sessions": [session("d", "x"), session("e", "y")],
            "removed": ["a", "b"],
        });
        assert_eq!(apply(partial), (keys(&["d"]), keys(&["a"])));
        let partial = json!({
            "seq": 3, "partial": true, "sessions": [], "removed": ["a", "c", "d", "e"],
        });
        assert_eq!(apply(partial), (keys(&[]), keys(&["c", "d"])));
    }

    #[test]
    fn without_agents_every_update_is_kept() {
        let filter = AgentFilter { agents: Vec::new() };
        let mut updates = filter.updates();
        // A session that was there for less than a turn of the daemon's loop.
        let removed = SessionRemoved {
            seq: 7,
            key: "never announced".into(),
        };
        let removed = Update::Notification(Notification::SessionRemoved(removed));
        assert!(updates.apply(removed).is_some());
    }
}
