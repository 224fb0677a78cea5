//! When the account's limits are fetched, and what clients get of them: answers, notifications, alerts.
//!
//! The value and its rules are [`AccountLimits`]', the times [`Schedule`]'s. Called by [`Core`](crate::core::Core) only.

use super::alerts::Alert;
use super::schedule::Schedule;
use super::value::AccountLimits;
use crate::codec::{self, Id};
use crate::core::feed::Feed;
use crate::core::{ClientId, Effect, Now};
use crate::limits::{FetchFailure, FetchOutcome, FetchProblem, Limit};
use crate::protocol::{
    ErrorCode, FETCH_LIMIT_MS, Notice, NoticeCode, Notification, Usage, UsageChanged, UsageResult,
};

use std::borrow::Cow;

/// The value, the schedule, and the clients that wait for a fetch.
#[derive(Debug)]
pub(crate) struct LimitsService {
    value: AccountLimits,
    schedule: Schedule,
    /// The clients that wait for the answer to `usage.refresh`.
    waiting: Vec<(ClientId, Id)>,
}

impl LimitsService {
    /// Limits that are fetched every `interval_ms` while a client is subscribed; `None`: never.
    pub(crate) fn new(interval_ms: Option<u64>) -> Self {
        Self {
            value: AccountLimits::new(interval_ms.is_some()),
            schedule: Schedule::new(interval_ms),
            waiting: Vec::new(),
        }
    }

    /// The clients that wait for the answer to `usage.refresh`.
    pub(crate) fn waiting(&self) -> &[(ClientId, Id)] {
        &self.waiting
    }

    /// A client has disconnected.
    pub(crate) fn disconnected(&mut self, client: ClientId) {
        self.waiting.retain(|(waiter, _)| *waiter != client);
    }

    /// The limits as subscribers have them: for a snapshot.
    pub(crate) fn published(&self) -> Option<&Usage<'static>> {
        self.value.published()
    }

    /// When the mere passing of time changes the value, in ms of uptime.
    pub(crate) fn value_timeout(&self, has_subscribers: bool) -> Option<u64> {
        self.value.next_timeout(has_subscribers)
    }

    /// When a fetch is due or takes too long, in ms of uptime.
    pub(crate) fn fetch_timeout(&self, wanted: bool) -> Option<u64> {
        self.schedule.next_timeout(wanted)
    }

    /// The value may be old by now, a window over, a fetch due or late.
    pub(crate) fn handle_timeout(&mut self, may_fetch: bool, feed: &mut Feed, now: Now) {
        if self.schedule.is_late(now.uptime_ms) {
            feed.push(Effect::KillFetch);
            let seconds = FETCH_LIMIT_MS / 1000;
            let message = format!("the service has not answered within {seconds} s");
            let failure = FetchFailure::new(FetchProblem::TimedOut, message);
            self.apply_fetch(FetchOutcome::Failed(failure), may_fetch, feed, now);
        }
        if feed.has_subscribers() {
            // Also what became old while the machine slept and no timer ran.
            self.publish(feed, now);
        }
        self.fetch_if_due(may_fetch, feed, now);
    }

    /// The first client is about to subscribe.
    pub(crate) fn on_first_subscriber(&mut self, feed: &mut Feed, now: Now) {
        let alerts = self.value.expire(now);
        send_alerts(alerts, feed, now);
        self.value.mark_published(now);
    }

    /// Begins a fetch, if one is due.
    pub(crate) fn fetch_if_due(&mut self, may_fetch: bool, feed: &mut Feed, now: Now) {
        let wanted = feed.has_subscribers() && may_fetch;
        if self.schedule.begin(wanted, now.uptime_ms) {
            feed.push(Effect::FetchLimits);
        }
    }

    /// The configuration has another interval; `None`: no fetches.
    pub(crate) fn set_interval(
        &mut self,
        interval_ms: Option<u64>,
        may_fetch: bool,
        feed: &mut Feed,
        now: Now,
    ) {
        if self.schedule.set_interval(interval_ms) {
            feed.push(Effect::KillFetch);
        }
        self.value.set_fetched(interval_ms.is_some());
        if !self.schedule.is_awaited() {
            self.answer_waiting(feed, now);
        }
        self.fetch_if_due(may_fetch, feed, now);
    }

    /// An agent's status line has reported limits, stamped `at`.
    pub(crate) fn apply_status_line(
        &mut self,
        limits: Vec<Limit>,
        at: u64,
        feed: &mut Feed,
        now: Now,
    ) {
        if !limits.is_empty() {
            self.value.apply_status_line(limits, at, now);
            self.publish(feed, now);
        }
    }

    /// The child has ended.
    pub(crate) fn fetched(
        &mut self,
        fetched: FetchOutcome,
        may_fetch: bool,
        feed: &mut Feed,
        now: Now,
    ) {
        if self.schedule.ended() {
            self.apply_fetch(fetched, may_fetch, feed, now);
        }
        // A late fetch has delayed the next one.
        self.fetch_if_due(may_fetch, feed, now);
    }

    fn apply_fetch(&mut self, fetched: FetchOutcome, may_fetch: bool, feed: &mut Feed, now: Now) {
        if !may_fetch {
            // The daemon leaves: the waiting clients were answered before.
            return;
        }
        match fetched {
            FetchOutcome::Limits(limits) => {
                self.schedule.answered();
                let interval = self.schedule.interval_ms().unwrap_or(0);
                self.value.apply_fetch(limits, interval, now);
            }
            FetchOutcome::Failed(failure) => {
                let wait = if failure.problem == FetchProblem::RateLimited {
                    self.schedule.refused(failure.retry_after_ms, now.uptime_ms)
                } else {
                    0
                };
                let retry_at = (wait > 0).then(|| now.unix_ms + wait);
                self.value.apply_failure(failure, retry_at);
            }
        }
        self.answer_waiting(feed, now);
    }

    /// Answers each of the clients with what is known, then publishes what is new.
    pub(crate) fn reply(
        &mut self,
        clients: impl IntoIterator<Item = (ClientId, Id)>,
        feed: &mut Feed,
        now: Now,
    ) {
        let alerts = self.value.expire(now);
        for (client, id) in clients {
            let usage = self.value.record(now);
            let line = codec::reply(&id, &UsageResult { usage });
            feed.push(Effect::Reply(client, line));
        }
        send_alerts(alerts, feed, now);
        self.publish(feed, now);
    }

    /// `usage.refresh`: answers once the service has; at once, with what is known, where it may not be asked again yet.
    pub(crate) fn refresh(
        &mut self,
        client: ClientId,
        id: Option<Id>,
        may_fetch: bool,
        feed: &mut Feed,
        now: Now,
    ) {
        if self.schedule.interval_ms().is_none() {
            let message = "the account's limits are not fetched: the configuration says usage.enabled = false";
            return feed.reply_error(client, id, ErrorCode::UsageDisabled, message);
        }
        if may_fetch && self.schedule.begin_on_request(now.uptime_ms) {
            feed.push(Effect::FetchLimits);
        }
        let waiting = id.map(|id| (client, id));
        if may_fetch && self.schedule.is_awaited() {
            self.waiting.extend(waiting);
        } else {
            self.reply(waiting, feed, now);
        }
    }

    /// Answers the clients that wait for the service with what is known.
    pub(crate) fn answer_waiting(&mut self, feed: &mut Feed, now: Now) {
        let waiting = std::mem::take(&mut self.waiting);
        self.reply(waiting, feed, now);
    }

    fn publish(&mut self, feed: &mut Feed, now: Now) {
        let mut alerts = self.value.expire(now);
        alerts.extend(self.value.alerts());
        send_alerts(alerts, feed, now);
        if feed.has_subscribers()
            && let Some(usage) = self.value.take_changed(now)
        {
            feed.notify(|seq| Notification::UsageChanged(UsageChanged { seq, usage }));
        }
    }
}

fn send_alerts(alerts: Vec<Alert>, feed: &mut Feed, now: Now) {
    for alert in alerts {
        let notice = Notice {
            at: now.unix_ms,
            code: NoticeCode::UsageCrossed,
            message: Cow::Owned(alert.message),
            window: Some(alert.window),
        };
        feed.push_notice(notice, true, now);
    }
}
