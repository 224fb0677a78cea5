//! What the account's limits do to clients: who is told, who is answered.
//!
//! The value and its rules are [`super::usage`]'s. Called by [`Core::handle`] only.

use super::event::AgentEvent;
use super::{ClientId, Core, Now};
use crate::codec::{self, Id};
use crate::protocol::{Notification, UsageChanged, UsageResult};

impl Core {
    /// What is known may be old by now.
    pub(super) fn tick_usage(&mut self, now: Now) {
        let due = self.usage.due_ms(!self.subscribers.is_empty());
        if due.is_some_and(|due| due <= now.uptime_ms) {
            self.tell_usage(now);
        }
    }

    /// What an agent's status line knows of the account.
    pub(super) fn overhear_usage(&mut self, event: &mut AgentEvent, at: u64, now: Now) {
        if !event.limits.is_empty() {
            let limits = std::mem::take(&mut event.limits);
            self.usage.overheard(limits, at, now);
            self.tell_usage(now);
        }
    }

    pub(super) fn reply_usage(&mut self, client: ClientId, id: Option<Id>, now: Now) {
        let line = id.map(|id| {
            let usage = self.usage.record(now);
            codec::reply(&id, &UsageResult { usage })
        });
        self.reply(client, line);
    }

    fn tell_usage(&mut self, now: Now) {
        for message in self.usage.crossings() {
            self.notice("usage_crossed", &message, true, now);
        }
        if !self.subscribers.is_empty()
            && let Some(usage) = self.usage.news(now)
        {
            self.broadcast(|seq| Notification::UsageChanged(UsageChanged { seq, usage }));
        }
    }
}
