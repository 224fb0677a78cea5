//! One account's limits: what is known of them, how well, and which alerts follow.
//!
//! Two sources feed one value: what agents report, in status lines or in the files of sessions, and the account's
//! service, asked by a child of the daemon. Of each window the newer figure counts. An agent repeats what it received
//! with its last answer, however long ago that was; so within one window, whose use only grows, a smaller figure in a
//! report is an older one and is ignored.
//!
//! A failure never hides what is known, and is itself hidden by an agent that has reported lately: the state says
//! whether the limits are known, not from which source.
//!
//! A window that cannot be, because it ends much later than it is long, never decides: it does not replace a possible
//! one, and any possible one replaces it.
//!
//! Moments named `_ms` are of uptime, those named `at` since the epoch. No IO; called by
//! [`super::service`] only.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::alerts::{Alert, Alerts};
use super::{SAME_RESET_MS, is_later};
use crate::core::Now;
use crate::core::stamp::shift;
use crate::limits::{Account, FetchFailure, Limit};
use crate::protocol::{self, UsageSource, UsageState, UsageWindow};

/// How long a figure counts as current, in ms: an agent at work reports more often, and fetches are more frequent.
const STALE_AFTER_MS: u64 = 10 * 60_000;

/// One window, and where its figures come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Window {
    limit: Limit,
    source: UsageSource,
    at: u64,
    /// When the window before it ended or was to end, where it has not begun itself.
    before: Option<u64>,
}

impl Window {
    fn record<'a>(&'a self, account: &'a Account) -> UsageWindow<'a> {
        let window = UsageWindow {
            name: Cow::Borrowed(&*self.limit.name),
            agent: Some(Cow::Borrowed(&*account.agent)),
            account: Some(Cow::Borrowed(&*account.name)),
            used_percent: self.limit.used_percent,
            resets_at: self.limit.resets_at,
            length_ms: self.limit.length_ms,
            pace: None,
            source: Some(self.source),
            fetched_at: Some(self.at),
        };
        let elapsed = window.elapsed_percent(self.at);
        // To a tenth of a point.
        let pace = elapsed.map(|elapsed| ((window.used_percent - elapsed) * 10.0).round() / 10.0);
        UsageWindow { pace, ..window }
    }

    /// Whether an agent's figures, stamped `at`, are newer than these.
    fn is_superseded_by(&self, limit: &Limit, at: u64) -> bool {
        if at < self.at {
            return false;
        }
        match (is_plausible(limit, at), is_plausible(&self.limit, self.at)) {
            (true, false) => return true,
            (false, true) => return false,
            _ => {}
        }
        let (new, known) = (limit.resets_at, self.limit.resets_at);
        match (new, known.or(self.before)) {
            (Some(_), Some(before)) if known.is_none() => is_later(new, Some(before)),
            (Some(_), Some(_)) if is_later(new, known) => true,
            (Some(_), Some(_)) => {
                !is_later(known, new) && limit.used_percent >= self.limit.used_percent
            }
            _ => true,
        }
    }
}

/// True if the window's end is no further away than twice its length. One length would be exact, but for a machine whose
/// clock is late.
fn is_plausible(limit: &Limit, at: u64) -> bool {
    let left = limit.resets_at.map_or(0, |reset| reset.saturating_sub(at));
    limit
        .length_ms
        .is_none_or(|length| left <= 2 * length + SAME_RESET_MS)
}

/// What an agent's report of limits is stamped with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    /// How it has reported.
    pub(crate) source: UsageSource,
    /// When, in ms since the epoch.
    pub(crate) at: u64,
}

/// When a source last had figures.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct SourceState {
    source: UsageSource,
    at: u64,
    /// When they came in, and when they become old.
    since_ms: u64,
    old_ms: u64,
}

impl SourceState {
    fn new(source: UsageSource, at: u64, good_for_ms: u64, now: Now) -> Self {
        Self {
            source,
            at,
            since_ms: now.uptime_ms,
            old_ms: now.uptime_ms + good_for_ms,
        }
    }

    fn is_fresh(self, now: Now) -> bool {
        now.uptime_ms < self.old_ms
    }
}

/// How an account's windows are named in alerts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Naming<'a> {
    pub(super) account: &'a Account,
    /// There are several accounts: each alert names its own.
    pub(super) is_one_of_several: bool,
}

impl Naming<'_> {
    fn title(self, limit: &Limit) -> Cow<'_, str> {
        if self.is_one_of_several {
            Cow::Owned(format!("{} of {}", limit.title, self.account.name))
        } else {
            Cow::Borrowed(&limit.title)
        }
    }
}

/// Why the last fetch failed.
#[derive(Debug, Serialize, Deserialize)]
struct Failed {
    failure: FetchFailure,
    /// When the service may be asked again.
    retry_at: Option<u64>,
}

/// All that is known. See the module's text.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AccountLimits {
    windows: Vec<Window>,
    reported: Option<SourceState>,
    fetched: Option<SourceState>,
    /// Whether the limits are fetched at all.
    is_fetched: bool,
    failed: Option<Failed>,
    alerts: Alerts,
    /// The state that subscribers have; `None`: they have nothing.
    #[serde(skip)]
    published: Option<UsageState>,
}

impl AccountLimits {
    /// Nothing is known yet.
    pub(crate) fn new(is_fetched: bool) -> Self {
        Self {
            windows: Vec::new(),
            reported: None,
            fetched: None,
            is_fetched,
            failed: None,
            alerts: Alerts::default(),
            published: None,
        }
    }

    /// Nothing is known, and subscribers have what was.
    pub(crate) fn begun_anew(&self) -> Self {
        Self {
            published: self.published,
            ..Self::new(self.is_fetched)
        }
    }

    /// Subscribers get what is known, in this state.
    pub(crate) fn mark_published(&mut self, state: Option<UsageState>) {
        self.published = state;
    }

    /// True if figures are known.
    pub(crate) fn has_windows(&self) -> bool {
        !self.windows.is_empty()
    }

    /// When [`expire`](Self::expire) or [`record`](Self::record) may have something new by the mere passing of time.
    pub(crate) fn next_timeout(&self, has_subscribers: bool, now: Now) -> Option<u64> {
        let is_ok = self.published == Some(UsageState::Ok);
        let old = self.ok_until().filter(|_| is_ok);
        let due = [old, self.reset_ms(now)].into_iter().flatten().min();
        due.filter(|_| has_subscribers)
    }

    /// When the next window's time is over, in ms of uptime.
    fn reset_ms(&self, now: Now) -> Option<u64> {
        let windows = self.windows.iter();
        let resets = windows.filter_map(|known| known.limit.resets_at);
        let left = resets.min().map(|at| at.saturating_sub(now.unix_ms));
        left.map(|left| now.uptime_ms + left)
    }

    /// Until when the limits count as known; past it, and where they are not, time alone changes nothing.
    fn ok_until(&self) -> Option<u64> {
        let fetched = self.fetched.filter(|_| self.last_failure().is_none());
        let sources = [self.reported, fetched].into_iter().flatten();
        sources.map(|source| source.old_ms).max()
    }

    /// Why the last fetch failed, unless fetches are switched off.
    fn last_failure(&self) -> Option<&Failed> {
        self.failed.as_ref().filter(|_| self.is_fetched)
    }

    /// An agent has reported. True if that is news.
    pub(crate) fn apply_report(&mut self, limits: Vec<Limit>, stamp: Stamp, now: Now) -> bool {
        let Stamp { source, at } = stamp;
        let mut any = false;
        let is_over = |limit: &Limit| limit.resets_at.is_some_and(|reset| reset <= now.unix_ms);
        let counts = |limit: &Limit| limit.is_possible(at) && !is_over(limit);
        for limit in limits.into_iter().filter(counts) {
            let place = self.place(&limit.name);
            let known = place.and_then(|place| self.windows.get_mut(place));
            let new = Window {
                source,
                at,
                limit,
                before: None,
            };
            match known {
                Some(known) if !known.is_superseded_by(&new.limit, at) => continue,
                Some(known) => *known = new,
                None => self.windows.push(new),
            }
            any = true;
        }
        if any {
            self.reported = Some(SourceState::new(source, at, STALE_AFTER_MS, now));
        }
        any
    }

    /// A fetch has brought every window. The next one is expected after `interval_ms`.
    pub(crate) fn apply_fetch(&mut self, limits: Vec<Limit>, interval_ms: u64, now: Now) {
        let known = |limit: Limit| {
            let place = self.place(&limit.name);
            let former = place.and_then(|place| self.windows.get(place));
            Window {
                before: former.and_then(|former| former.limit.resets_at.or(former.before)),
                limit,
                source: UsageSource::Service,
                at: now.unix_ms,
            }
        };
        let mut windows: Vec<Window> = Vec::new();
        for known in limits.into_iter().map(known) {
            // A name is one window's.
            windows.retain(|other| other.limit.name != known.limit.name);
            windows.push(known);
        }
        self.windows = windows;
        self.failed = None;
        let good_for = STALE_AFTER_MS.max(2 * interval_ms);
        let source = SourceState::new(UsageSource::Service, now.unix_ms, good_for, now);
        self.fetched = Some(source);
    }

    /// A fetch has failed. The next one is not before `retry_at`, in ms since the epoch.
    pub(crate) fn apply_failure(&mut self, failure: FetchFailure, retry_at: Option<u64>) {
        self.failed = Some(Failed { failure, retry_at });
    }

    /// Whether the limits are fetched from now on.
    pub(crate) fn set_fetched(&mut self, is_fetched: bool) {
        self.is_fetched = is_fetched;
    }

    /// The wall clock was set by so many ms: what was stamped by it moves with it. The ends of windows are the service's.
    pub(crate) fn clock_was_set(&mut self, by: i64) {
        let sources = [&mut self.reported, &mut self.fetched];
        let sources = sources.into_iter().flatten().map(|source| &mut source.at);
        let windows = self.windows.iter_mut().map(|known| &mut known.at);
        let failed = self.failed.as_mut();
        let retry = failed.and_then(|failed| failed.retry_at.as_mut());
        for at in sources.chain(windows).chain(retry) {
            shift(at, by);
        }
    }

    /// Resets the windows whose time is over: nothing of the next ones is used, as far as is known. True if there is one;
    /// what people should know of it goes to `alerts`.
    pub(crate) fn expire(&mut self, naming: Naming<'_>, now: Now, alerts: &mut Vec<Alert>) -> bool {
        let mut any = false;
        for known in &mut self.windows {
            if known.limit.resets_at.is_some_and(|at| at <= now.unix_ms) {
                known.limit.used_percent = 0.0;
                known.before = known.limit.resets_at.take();
                let title = naming.title(&known.limit);
                let record = known.record(naming.account);
                self.alerts.reset(&title, &record, alerts);
                any = true;
            }
        }
        any
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.windows
            .iter()
            .position(|known| &*known.limit.name == name)
    }

    /// As the protocol has it; `None`: nothing is known, not even why.
    pub(crate) fn record<'a>(
        &'a self,
        account: &'a Account,
        now: Now,
    ) -> Option<protocol::Usage<'a>> {
        let is_fresh =
            |source: Option<SourceState>| source.is_some_and(|source| source.is_fresh(now));
        let sources = [self.reported, self.fetched].into_iter().flatten();
        let newest = sources.max_by_key(|source| source.since_ms);
        let failed = self.last_failure();
        let state = match failed {
            _ if is_fresh(self.reported) => UsageState::Ok,
            Some(failed) => failed.failure.problem.state(),
            None if is_fresh(self.fetched) => UsageState::Ok,
            None if newest.is_some() => UsageState::Stale,
            // What was published is withdrawn.
            None if self.published.is_some() => UsageState::Unavailable,
            None => return None,
        };
        let (code, message) = match failed {
            Some(Failed { failure, .. }) => {
                (Some(failure.problem.as_str()), Some(&*failure.message))
            }
            None if self.is_fetched || !account.is_fetched || state == UsageState::Ok => {
                (None, None)
            }
            None => (
                Some("disabled"),
                Some("not fetched: the configuration says usage.enabled = false"),
            ),
        };
        Some(protocol::Usage {
            state,
            windows: self
                .windows
                .iter()
                .map(|window| window.record(account))
                .collect(),
            source: newest.map(|newest| newest.source),
            fetched_at: newest.map(|newest| newest.at),
            code: code.map(Cow::Borrowed),
            message: message.map(Cow::Borrowed),
            retry_at: failed.and_then(|failed| failed.retry_at),
            accounts: Vec::new(),
        })
    }

    /// Adds the alerts that are due to `alerts`: one for each window and threshold. True if what is remembered of one has
    /// changed.
    pub(crate) fn alert(&mut self, naming: Naming<'_>, now: Now, alerts: &mut Vec<Alert>) -> bool {
        let mut any = false;
        for known in &self.windows {
            let title = naming.title(&known.limit);
            let record = known.record(naming.account);
            any |= self.alerts.check(&title, &record, now.unix_ms, alerts);
        }
        any
    }
}
