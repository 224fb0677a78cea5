//! When accounts' limits are fetched, and what clients get of them: answers, notifications, alerts.
//!
//! An account's value and its rules are [`super::value`]'s, its times [`super::schedule`]'s. One fetch runs at a time:
//! of the daemon's own account, and of those that live sessions draw on. Called by [`Core`](crate::core::Core) only.

use std::borrow::Cow;
use std::rc::Rc;

use super::accounts::{AccountState, Accounts};
use super::alerts::Alert;
use super::schedule::Running;
use super::value::{Naming, Stamp};
use crate::codec::{self, Id};
use crate::core::feed::Feed;
use crate::core::sessions::Sessions;
use crate::core::{ClientId, Effect, Now};
use crate::limits::{Account, FetchFailure, FetchOutcome, FetchProblem, Limit};
use crate::protocol::{
    ErrorCode, FETCH_LIMIT_MS, Notice, NoticeCode, Notification, Usage, UsageChanged, UsageResult,
};

/// What decides whether anything is fetched.
#[derive(Clone, Copy)]
pub(crate) struct Fetching<'a> {
    /// False while the daemon leaves.
    pub(crate) may_fetch: bool,
    /// The open ones among them draw on accounts.
    pub(crate) sessions: &'a Sessions,
}

impl Fetching<'_> {
    fn is_wanted(self, state: &AccountState) -> bool {
        let name = &*state.account.name;
        state.is_default
            || self
                .sessions
                .iter()
                .any(|session| !session.is_closed() && session.account() == Some(name))
    }
}

/// The accounts, the fetch that runs, and the clients that wait for one.
#[derive(Debug)]
pub(crate) struct LimitsService {
    accounts: Accounts,
    running: Option<Running>,
    /// The clients that wait for the answer to `usage.refresh`.
    waiting: Vec<(ClientId, Id)>,
    /// What subscribers have.
    published: Option<Usage<'static>>,
    /// The times of what they have are those of a clock that was set since.
    is_moved: bool,
    interval_ms: Option<u64>,
}

impl LimitsService {
    /// Limits that are fetched every `interval_ms` while a client is subscribed; `None`: never. `default` is the account
    /// of the daemon's own directory.
    pub(crate) fn new(default: Rc<Account>, interval_ms: Option<u64>) -> Self {
        Self {
            accounts: Accounts::new(default, interval_ms),
            running: None,
            waiting: Vec::new(),
            published: None,
            is_moved: false,
            interval_ms,
        }
    }

    /// The accounts that were saved, and the daemon's own; see [`Accounts::restore`].
    pub(crate) fn restore(
        saved: Vec<AccountState>,
        default: &Rc<Account>,
        is_same_directory: bool,
        interval_ms: Option<u64>,
    ) -> Self {
        Self {
            accounts: Accounts::restore(saved, default, is_same_directory, interval_ms),
            ..Self::new(Rc::clone(default), interval_ms)
        }
    }

    /// The accounts, if they have changed since they were saved or `all` is asked for. They count as saved from now on.
    pub(crate) fn take_unsaved(&mut self, all: bool) -> Option<&[AccountState]> {
        let is_unsaved = std::mem::take(&mut self.accounts.is_unsaved);
        (is_unsaved || all).then(|| self.accounts.all())
    }

    /// The account that a session that was saved draws on, or drew on before it was closed. It may be known no more.
    pub(crate) fn account_of_saved(&mut self, account: Account, is_open: bool) -> Rc<Account> {
        let mut states = self.accounts.iter_mut();
        let Some(state) = states.find(|state| *state.account == account) else {
            return Rc::new(account);
        };
        state.is_live |= is_open;
        Rc::clone(&state.account)
    }

    /// The accounts.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &Rc<Account>> {
        self.accounts.iter().map(|state| &state.account)
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
        self.published.as_ref()
    }

    /// When the mere passing of time changes a value, in ms of uptime.
    pub(crate) fn value_timeout(&self, has_subscribers: bool, now: Now) -> Option<u64> {
        let states = self.accounts.iter();
        states
            .filter_map(|state| state.limits.next_timeout(has_subscribers, now))
            .min()
    }

    /// When a fetch is due or takes too long, in ms of uptime.
    pub(crate) fn fetch_timeout(&self, wanted: bool) -> Option<u64> {
        match &self.running {
            Some(running) => running.timeout(),
            None if wanted => {
                let states = self.accounts.iter();
                let live = states.filter(|state| state.is_default || state.is_live);
                live.filter_map(|state| state.schedule.next_ms()).min()
            }
            None => None,
        }
    }

    /// The account that a session draws on, by the name that it has here; `None`: there are too many accounts.
    pub(crate) fn account_of_session(
        &mut self,
        account: &Rc<Account>,
        feed: &mut Feed,
        now: Now,
    ) -> Option<Rc<Account>> {
        let state = self.accounts.entry(Some(account))?;
        state.is_live = true;
        let account = Rc::clone(&state.account);
        if self.accounts.take_changed() {
            self.publish(feed, now);
        }
        Some(account)
    }

    /// A value may be old by now, a window over, a fetch due or late.
    pub(crate) fn handle_timeout(&mut self, fetching: Fetching<'_>, feed: &mut Feed, now: Now) {
        let late = self.running.as_mut().filter(|running| {
            let until = running.timeout();
            until.is_some_and(|until| until <= now.uptime_ms)
        });
        if let Some(late) = late {
            late.is_late = true;
            let account = Rc::clone(&late.account);
            feed.push(Effect::KillFetch);
            let seconds = FETCH_LIMIT_MS / 1000;
            let message = format!("the service has not answered within {seconds} s");
            let failure = FetchFailure::new(FetchProblem::TimedOut, message);
            self.apply_fetch(&account, FetchOutcome::Failed(failure), fetching, feed, now);
        }
        if feed.has_subscribers() {
            // Also what became old while the machine slept and no timer ran.
            self.publish(feed, now);
        }
        self.fetch_if_due(fetching, feed, now);
    }

    /// The wall clock was set by so many ms. Subscribers get the new times with [`Self::publish`].
    pub(crate) fn clock_was_set(&mut self, by: i64) {
        for state in self.accounts.iter_mut() {
            state.clock_was_set(by);
        }
        self.is_moved = true;
    }

    /// The first client is about to subscribe.
    pub(crate) fn on_first_subscriber(&mut self, feed: &mut Feed, now: Now) {
        let alerts = self.expire(now);
        send_alerts(alerts, feed, now);
        let usage = self.accounts.record(now).map(Usage::into_owned);
        self.mark_published(usage, now);
    }

    /// Begins a fetch, if one is due.
    pub(crate) fn fetch_if_due(&mut self, fetching: Fetching<'_>, feed: &mut Feed, now: Now) {
        if self.running.is_some() || !fetching.may_fetch {
            return;
        }
        let has_subscribers = feed.has_subscribers();
        let mut due: Vec<&mut AccountState> = self
            .accounts
            .iter_mut()
            .filter(|state| {
                let next = state.schedule.next_ms();
                let is_due = next.is_some_and(|next| next <= now.uptime_ms);
                let is_candidate = state.is_default || state.is_live;
                state.is_requested || (is_due && is_candidate && has_subscribers)
            })
            .collect();
        // The one that has waited for longest.
        due.sort_by_key(|state| (!state.is_requested, state.schedule.next_ms()));
        let mut begun = None;
        for state in due {
            state.is_requested = false;
            if !fetching.is_wanted(state) {
                state.is_live = false;
                continue;
            }
            state.schedule.begin(now.uptime_ms);
            begun = Some(Rc::clone(&state.account));
            break;
        }
        if let Some(account) = begun {
            self.accounts.is_unsaved = true;
            self.running = Some(Running::new(Rc::clone(&account), now.uptime_ms));
            feed.push(Effect::FetchLimits(account));
        }
    }

    /// The configuration has another interval; `None`: no fetches.
    pub(crate) fn set_interval(
        &mut self,
        interval_ms: Option<u64>,
        fetching: Fetching<'_>,
        feed: &mut Feed,
        now: Now,
    ) {
        if interval_ms.is_none()
            && let Some(running) = &mut self.running
            && !running.is_late
        {
            running.is_late = true;
            feed.push(Effect::KillFetch);
        }
        self.interval_ms = interval_ms;
        self.accounts.is_unsaved = true;
        self.accounts.set_interval(interval_ms);
        for state in self.accounts.iter_mut() {
            state.set_interval(interval_ms);
        }
        if !self.is_awaited() {
            self.answer_waiting(feed, now);
        }
        self.fetch_if_due(fetching, feed, now);
    }

    /// An agent has reported limits of `account`.
    pub(crate) fn apply_report(
        &mut self,
        account: Option<&Rc<Account>>,
        limits: Vec<Limit>,
        stamp: Stamp,
        feed: &mut Feed,
        now: Now,
    ) {
        if limits.is_empty() {
            return;
        }
        if let Some(state) = self.accounts.entry(account) {
            let is_news = state.limits.apply_report(limits, stamp, now);
            self.accounts.is_unsaved |= is_news;
            self.publish(feed, now);
        }
    }

    /// The child has ended. `account` is that of the directory by now.
    pub(crate) fn fetched(
        &mut self,
        account: &Rc<Account>,
        fetched: FetchOutcome,
        fetching: Fetching<'_>,
        feed: &mut Feed,
        now: Now,
    ) {
        if let Some(running) = self.running.take()
            && !running.is_late
        {
            let before = running.account.login;
            // Which login's figures these are is not known if it has changed: they are fetched again.
            if before.is_none() || before == account.login {
                self.apply_fetch(account, fetched, fetching, feed, now);
            } else {
                self.accounts.entry(Some(account));
            }
        }
        // A late fetch has delayed the next one.
        self.fetch_if_due(fetching, feed, now);
        if !self.is_awaited() {
            self.answer_waiting(feed, now);
        }
    }

    fn apply_fetch(
        &mut self,
        account: &Rc<Account>,
        fetched: FetchOutcome,
        fetching: Fetching<'_>,
        feed: &mut Feed,
        now: Now,
    ) {
        self.accounts.is_unsaved = true;
        // If the daemon leaves, the waiting clients were answered before.
        let Some(state) = self
            .accounts
            .entry(Some(account))
            .filter(|_| fetching.may_fetch)
        else {
            return;
        };
        match fetched {
            FetchOutcome::Limits(limits) => {
                state.schedule.answered();
                let interval = state.schedule.interval_ms().unwrap_or(0);
                state.limits.apply_fetch(limits, interval, now);
            }
            FetchOutcome::Failed(failure) => {
                let problem = failure.problem;
                let wait = if problem == FetchProblem::RateLimited {
                    state
                        .schedule
                        .refused(failure.retry_after_ms, now.uptime_ms)
                } else {
                    0
                };
                let retry_at = (wait > 0).then(|| now.unix_ms + wait);
                state.limits.apply_failure(failure, retry_at);
                if matches!(problem, FetchProblem::TimedOut | FetchProblem::Network) {
                    // The same service would keep the clients waiting for each other account.
                    for state in self.accounts.iter_mut() {
                        state.is_requested = false;
                    }
                }
            }
        }
        if self.is_requested() {
            self.publish(feed, now);
        } else {
            self.answer_waiting(feed, now);
        }
    }

    fn is_requested(&self) -> bool {
        self.accounts.iter().any(|state| state.is_requested)
    }

    /// True if a fetch runs whose outcome will count, or a requested one is to begin.
    fn is_awaited(&self) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| !running.is_late) || self.is_requested()
    }

    /// Answers each of the clients with what is known, then publishes what is new.
    pub(crate) fn reply(
        &mut self,
        clients: impl IntoIterator<Item = (ClientId, Id)>,
        feed: &mut Feed,
        now: Now,
    ) {
        let alerts = self.expire(now);
        for (client, id) in clients {
            let usage = self.accounts.record(now);
            let line = codec::reply(&id, &UsageResult { usage });
            feed.push(Effect::Reply(client, line));
        }
        send_alerts(alerts, feed, now);
        self.publish(feed, now);
    }

    /// `usage.refresh`: answers once the service has, for each account that is drawn on; at once, with what is known,
    /// where it may not be asked again yet.
    pub(crate) fn refresh(
        &mut self,
        client: ClientId,
        id: Option<Id>,
        fetching: Fetching<'_>,
        feed: &mut Feed,
        now: Now,
    ) {
        if self.interval_ms.is_none() {
            let message = "the account's limits are not fetched: the configuration says usage.enabled = false";
            return feed.reply_error(client, id, ErrorCode::UsageDisabled, message);
        }
        if fetching.may_fetch && self.running.as_ref().is_none_or(|running| !running.is_late) {
            for state in self.accounts.iter_mut() {
                let is_candidate = state.is_default || state.is_live;
                state.is_requested |=
                    is_candidate && state.schedule.may_begin_on_request(now.uptime_ms);
            }
            self.fetch_if_due(fetching, feed, now);
        }
        let waiting = id.map(|id| (client, id));
        if fetching.may_fetch && self.is_awaited() {
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

    /// Sends what is new, and the alerts that are due.
    pub(crate) fn publish(&mut self, feed: &mut Feed, now: Now) {
        let mut alerts = self.expire(now);
        let is_one_of_several = self.accounts.are_several();
        let mut any = false;
        for state in self.accounts.iter_mut() {
            let naming = Naming {
                account: &state.account,
                is_one_of_several,
            };
            any |= state.limits.alert(naming, now, &mut alerts);
        }
        self.accounts.is_unsaved |= any;
        send_alerts(alerts, feed, now);
        if feed.has_subscribers()
            && let Some(usage) = self.changed(now)
        {
            self.mark_published(Some(usage.clone()), now);
            feed.notify(|seq| Notification::UsageChanged(UsageChanged { seq, usage }));
        }
    }

    /// All that is known, if it differs from what subscribers have in more than its age.
    fn changed(&self, now: Now) -> Option<Usage<'static>> {
        let usage = self.accounts.record(now)?;
        let is_known = |published: &Usage<'_>| published.says_the_same(&usage);
        if !self.is_moved && self.published.as_ref().is_some_and(is_known) {
            return None;
        }
        Some(usage.into_owned())
    }

    fn mark_published(&mut self, usage: Option<Usage<'static>>, now: Now) {
        self.published = usage;
        self.is_moved = false;
        for state in self.accounts.iter_mut() {
            let usage = state.limits.record(&state.account, now);
            let known = usage.map(|usage| usage.state);
            state.limits.mark_published(known);
        }
    }

    /// Resets the windows whose time is over.
    fn expire(&mut self, now: Now) -> Vec<Alert> {
        let is_one_of_several = self.accounts.are_several();
        let mut alerts = Vec::new();
        let mut any = false;
        for state in self.accounts.iter_mut() {
            let naming = Naming {
                account: &state.account,
                is_one_of_several,
            };
            any |= state.limits.expire(naming, now, &mut alerts);
        }
        self.accounts.is_unsaved |= any;
        alerts
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
