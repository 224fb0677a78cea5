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
    pub(super) fn keeps(&self, session: &SessionRecord<'_>) -> bool {
        self.agents.is_empty() || self.agents.iter().any(|agent| **agent == *session.agent)
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
        let keeps = match &mut update {
            Update::Snapshot(snapshot) => {
                let kept = |session: &SessionRecord<'_>| self.filter.keeps(session);
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
                let keeps = self.filter.keeps(&changed.session);
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
