//! What the account's limits do to clients: who is told, who is answered, when the service is asked.
//!
//! The value and its rules are [`super`]'s. Called by [`Core::handle`] only.

use std::borrow::Cow;

use super::Crossing;
use crate::codec::{self, Id};
use crate::core::{ClientId, Core, Effect, FETCH_LIMIT_MS, Now, Phase};
use crate::event::AgentEvent;
use crate::limits::{Failure, Fetched, Problem};
use crate::protocol::{ErrorCode, Notice, Notification, UsageChanged, UsageResult};

impl Core {
    /// When [`tick_usage`](Self::tick_usage) has something to do.
    pub(in crate::core) fn usage_due(&self) -> Option<u64> {
        let anybody_looks = !self.subscribers.is_empty();
        let value = self.usage.due_ms(anybody_looks);
        let fetch = self.fetches.due_ms(anybody_looks && self.may_fetch());
        [value, fetch].into_iter().flatten().min()
    }

    /// A daemon that leaves begins nothing.
    fn may_fetch(&self) -> bool {
        self.phase != Phase::RetiringForGood
    }

    /// What is known may be old by now, a window over, a fetch due or late.
    pub(in crate::core) fn tick_usage(&mut self, now: Now) {
        if self.fetches.is_late(now.uptime_ms) {
            self.effects.push(Effect::KillFetch);
            let message = format!(
                "the service has not answered within {} s",
                FETCH_LIMIT_MS / 1000
            );
            let failure = Failure::new(Problem::TimedOut, message);
            self.note_fetched(Fetched::Failed(failure), now);
        }
        if !self.subscribers.is_empty() {
            // Also what became old while the machine slept and no timer ran.
            self.tell_usage(now);
        }
        self.fetch_if_due(now);
    }

    /// Somebody looks who did not before.
    pub(in crate::core) fn look_at_usage(&mut self, now: Now) {
        let crossings = self.usage.pass(now);
        self.tell_crossings(crossings, now);
        self.usage.looked_at(now);
    }

    pub(in crate::core) fn fetch_if_due(&mut self, now: Now) {
        let wanted = !self.subscribers.is_empty() && self.may_fetch();
        if self.fetches.begin(wanted, now.uptime_ms) {
            self.effects.push(Effect::FetchUsage);
        }
    }

    pub(in crate::core) fn set_usage_interval(&mut self, interval_ms: Option<u64>, now: Now) {
        if self.fetches.set_interval(interval_ms) {
            self.effects.push(Effect::KillFetch);
        }
        self.usage.set_asked(interval_ms.is_some());
        if !self.fetches.is_awaited() {
            self.answer_refreshing(now);
        }
        self.fetch_if_due(now);
    }

    /// What an agent's status line knows of the account.
    pub(in crate::core) fn overhear_usage(&mut self, event: &mut AgentEvent, at: u64, now: Now) {
        if !event.limits.is_empty() {
            let limits = std::mem::take(&mut event.limits);
            self.usage.overheard(limits, at, now);
            self.tell_usage(now);
        }
    }

    /// The child has ended.
    pub(in crate::core) fn fetched(&mut self, fetched: Fetched, now: Now) {
        if self.fetches.ended() {
            self.note_fetched(fetched, now);
        }
        // One that was late has held up the next.
        self.fetch_if_due(now);
    }

    fn note_fetched(&mut self, fetched: Fetched, now: Now) {
        if !self.may_fetch() {
            // The last word has been said, and who waited was answered before it.
            return;
        }
        match fetched {
            Fetched::Limits(limits) => {
                self.fetches.answered();
                let interval = self.fetches.interval_ms().unwrap_or(0);
                self.usage.fetched(limits, interval, now);
            }
            Fetched::Failed(failure) => {
                let wait = if failure.problem == Problem::RateLimited {
                    self.fetches.refused(failure.retry_after_ms, now.uptime_ms)
                } else {
                    0
                };
                let retry_at = (wait > 0).then(|| now.unix_ms + wait);
                self.usage.failed(failure, retry_at);
            }
        }
        self.answer_refreshing(now);
    }

    pub(in crate::core) fn reply_usage(&mut self, client: ClientId, id: Option<Id>, now: Now) {
        self.reply_usage_to(id.map(|id| (client, id)), now);
    }

    /// Answers each, then tells what is new.
    fn reply_usage_to(&mut self, clients: impl IntoIterator<Item = (ClientId, Id)>, now: Now) {
        let crossings = self.usage.pass(now);
        for (client, id) in clients {
            let usage = self.usage.record(now);
            let line = codec::reply(&id, &UsageResult { usage });
            self.reply(client, Some(line));
        }
        self.tell_crossings(crossings, now);
        self.tell_usage(now);
    }

    /// Answers once the service has; at once where it is not to be asked again yet, with what is known.
    pub(in crate::core) fn refresh_usage(&mut self, client: ClientId, id: Option<Id>, now: Now) {
        if self.fetches.interval_ms().is_none() {
            let message = "the account's limits are not fetched: the configuration says usage.enabled = false";
            return self.reply_error(client, id, ErrorCode::UsageDisabled, message);
        }
        if self.may_fetch() && self.fetches.begin_on_request(now.uptime_ms) {
            self.effects.push(Effect::FetchUsage);
        }
        if self.may_fetch() && self.fetches.is_awaited() {
            self.refreshing.extend(id.map(|id| (client, id)));
        } else {
            self.reply_usage(client, id, now);
        }
    }

    /// Whoever waits for the service is answered with what is known.
    pub(in crate::core) fn answer_refreshing(&mut self, now: Now) {
        let waiting = std::mem::take(&mut self.refreshing);
        self.reply_usage_to(waiting, now);
    }

    fn tell_crossings(&mut self, crossings: Vec<Crossing>, now: Now) {
        for crossing in crossings {
            let notice = Notice {
                at: now.unix_ms,
                code: Cow::Borrowed("usage_crossed"),
                message: Cow::Owned(crossing.message),
                window: Some(crossing.window),
            };
            self.tell(notice, true, now);
        }
    }

    fn tell_usage(&mut self, now: Now) {
        let mut crossings = self.usage.pass(now);
        crossings.extend(self.usage.crossings());
        self.tell_crossings(crossings, now);
        if !self.subscribers.is_empty()
            && let Some(usage) = self.usage.news(now)
        {
            self.broadcast(|seq| Notification::UsageChanged(UsageChanged { seq, usage }));
        }
    }
}
