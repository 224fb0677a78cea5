//! The core: takes what happened, decides what follows. `handle(input, now)` -> effects.
//!
//! Fully deterministic: no async, no clock, no file, no socket; time is an argument, and everything that the shell must
//! do comes back as an [`Effect`], in order. Every rule about sessions, subscribers, leaving and answers lives here and
//! is tested here, in virtual time. This file is the dispatch; the rules belong to the components: `sessions`,
//! `session`, `turn`, `limits`, `reminders`, `lifecycle`, `feed`.
//!
//! What holds, for any input:
//! * each request that has an id gets exactly one reply (a reload's comes when the shell has read the configuration);
//! * snapshot and subscription are one step: no change falls between them;
//! * a reply comes before the notifications that the same request caused;
//! * sessions that changed are published once, at the end of a turn of the loop ([`Core::end_turn`]), and before
//!   anything that says the daemon leaves;
//! * no effect names a client that has disconnected;
//! * [`Effect::Exit`] comes at most once, and last;
//! * [`Input::Timeout`] before [`Core::next_timeout`] does nothing, unless the wall clock was set;
//! * when the wall clock is set, each moment that is kept moves with it ([`stamp`]).
//!
//! Called by the daemon's event loop only, which owns the one instance.

mod evidence;
mod feed;
mod inspection;
mod interface;
mod lifecycle;
mod limits;
mod names;
mod notices;
mod numbers;
mod registry;
pub(crate) mod reminders;
mod requests;
mod saved;
mod session;
mod sessions;
mod stamp;
#[cfg(any(test, fuzzing))]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod timers;
mod turn;

use std::collections::HashSet;
use std::rc::Rc;

use self::feed::Feed;
use self::inspection::Inspection;
pub(crate) use self::interface::{
    AttentionRules, ClientId, DaemonInfo, Effect, Input, Now, ReminderRules, Settings,
};
use self::lifecycle::{Drained, Lifecycle};
use self::limits::{Fetching, LimitsService};
use self::registry::ConfigDirs;
use self::reminders::Reminders;
pub(crate) use self::saved::{LineError, Saved};
use self::session::Session;
use self::sessions::Sessions;
use self::stamp::WallClock;
use self::timers::{Timer, Timers};
use crate::codec::{self, Id};
use crate::protocol::{self, DaemonStopping, ErrorCode, NoticeCode, Notification, StopReason};

/// The state, and the dispatch. See the module's text for what holds.
#[derive(Debug)]
pub(crate) struct Core {
    info: DaemonInfo,
    /// When the daemon began, in ms of uptime.
    began_ms: u64,
    settings: Settings,
    sessions: Sessions,
    feed: Feed,
    lifecycle: Lifecycle,
    limits: LimitsService,
    reminders: Reminders,
    inspection: Inspection,
    timers: Timers,
    config_dirs: ConfigDirs,
    /// Restored sessions whose agent's registry has not shown them yet, by key.
    unconfirmed: HashSet<Box<str>>,
    /// The number of the last notification that the file has.
    saved_seq: u64,
    clock: WallClock,
    /// The clients that wait for the answer to `daemon.reload`.
    reloading: Vec<(ClientId, Id)>,
    hook_events: u64,
    unknown_events: u64,
}

impl Core {
    /// A core without sessions and clients. `now` is when the daemon began.
    #[must_use]
    pub(crate) fn new(info: DaemonInfo, settings: Settings, now: Now) -> Self {
        let account = Rc::clone(&info.account);
        let mut core = Self {
            info,
            began_ms: now.uptime_ms,
            settings,
            sessions: Sessions::default(),
            feed: Feed::default(),
            lifecycle: Lifecycle::new(settings.idle_timeout_ms, now.uptime_ms),
            limits: LimitsService::new(account, settings.usage_interval_ms),
            reminders: Reminders::default(),
            inspection: Inspection::default(),
            timers: Timers::default(),
            config_dirs: ConfigDirs::default(),
            unconfirmed: HashSet::new(),
            saved_seq: 0,
            clock: WallClock::new(now),
            reloading: Vec::new(),
            hook_events: 0,
            unknown_events: 0,
        };
        core.rearm(now);
        core
    }

    /// Applies an input and returns what the shell must do, in order. Changed sessions are published by
    /// [`Self::end_turn`].
    pub(crate) fn handle(&mut self, input: Input, now: Now) -> std::vec::Drain<'_, Effect> {
        if !self.lifecycle.has_exited() {
            let was_set = self.look_at_clock(now);
            let is_event = inspection::is_moment(&input);
            let is_due = self.timers.next().is_some_and(|at| at <= now.uptime_ms);
            self.dispatch(input, now);
            if was_set && !self.lifecycle.has_exited() {
                self.limits.publish(&mut self.feed, now);
            }
            if is_event {
                self.inspection.event();
            }
            if is_event || is_due {
                self.inspect(now);
            }
            self.remind(now);
            self.rearm(now);
        }
        self.feed.drain()
    }

    /// Publishes the sessions that have changed since the last call: one notification each, however often they changed.
    /// The loop calls it at the end of each turn.
    pub(crate) fn end_turn(&mut self) -> std::vec::Drain<'_, Effect> {
        if !self.lifecycle.has_exited() {
            self.publish();
        }
        self.feed.drain()
    }

    /// When, in ms of uptime, [`Input::Timeout`] is due; `None`: never, as things stand.
    #[must_use]
    pub(crate) fn next_timeout(&self) -> Option<u64> {
        self.timers.next()
    }

    /// True if a request of the client's still waits for its answer.
    #[must_use]
    pub(crate) fn has_pending_reply(&self, client: ClientId) -> bool {
        let mut waiting = self.reloading.iter().chain(self.limits.waiting());
        waiting.any(|(waiter, _)| *waiter == client)
    }

    /// True if the daemon leaves whatever happens.
    #[must_use]
    pub(crate) fn is_leaving(&self) -> bool {
        self.lifecycle.is_leaving()
    }

    /// If the wall clock was set, every moment that is kept moves with it, so that each is as long ago as before. True if it
    /// was.
    fn look_at_clock(&mut self, now: Now) -> bool {
        let set_by = self.clock.look(now);
        if let Some(by) = set_by {
            self.sessions.clock_was_set(by, now, &mut self.timers);
            self.limits.clock_was_set(by);
        }
        set_by.is_some()
    }

    fn dispatch(&mut self, input: Input, now: Now) {
        match input {
            Input::Request {
                client,
                id,
                request,
            } => self.handle_request(client, id, request, now),
            Input::Reported { client, id, report } => self.report(client, id, *report, now),
            Input::Observed(report) => self.observe(*report, now),
            Input::Set {
                client,
                id,
                params,
                process,
                running,
            } => self.set(client, id, &params, (process, &running), now),
            Input::StatusAsked {
                client,
                id,
                rss_bytes,
            } => self.status(client, id, rss_bytes, now),
            Input::Refused { client, id, error } => {
                self.feed
                    .reply_error(client, id, error.code, &error.message);
                if error.code == ErrorCode::LineTooLong {
                    self.feed.push(Effect::Disconnect(client));
                }
            }
            Input::Disconnected(client) => {
                self.feed.unsubscribe(client);
                self.reloading.retain(|(waiter, _)| *waiter != client);
                self.limits.disconnected(client);
            }
            Input::RegistryChanged(update) => self.registry_changed(&update, now),
            Input::RegistriesRead => self.registries_read(now),
            Input::ProcessExited(process) => {
                for key in self.sessions.open_keys_of(process) {
                    self.change(&key, now, |session| session.exited(process, now.unix_ms));
                }
            }
            Input::ProcessUnwatchable(process) => {
                for key in self.sessions.open_keys_of(process) {
                    self.sessions.unwatch(&key, process);
                    self.lifecycle.touched_unwatched(now.uptime_ms);
                }
            }
            Input::ProcessesSeen(processes) => {
                for (key, stopped) in self.sessions.seen_otherwise(&processes) {
                    self.change(&key, now, |session| {
                        session.process_seen(stopped, now.unix_ms)
                    });
                }
            }
            Input::Watchdog => {}
            Input::Timeout => self.handle_timeout(now),
            Input::Terminated => self.stop(StopReason::Signal, now),
            Input::Reloaded(outcome) => self.reloaded(outcome, now),
            Input::Notice { code, message } => self.feed.notice(code, &message, false, now),
            Input::LimitsFetched(account, outcome) => {
                let fetching = fetching(&self.lifecycle, &self.sessions);
                self.limits
                    .fetched(&account, outcome, fetching, &mut self.feed, now);
            }
            Input::Reminded(outcome) => {
                let persist = self.settings.persist;
                self.reminders.ended(&outcome, &mut self.sessions, persist);
            }
            Input::Drained => self.drained(now),
        }
    }

    /// Reminds a person of sessions that need one, unless the daemon leaves: the next one does it then.
    fn remind(&mut self, now: Now) {
        for change in self.sessions.take_episode_changes() {
            self.reminders.follow(change, self.settings.reminders);
        }
        if !self.lifecycle.is_leaving() {
            let (sessions, feed) = (&mut self.sessions, &mut self.feed);
            self.reminders
                .run(sessions, self.settings, feed, now.uptime_ms);
        }
    }

    /// Brings the table of timers up to date with what the components wait for.
    fn rearm(&mut self, now: Now) {
        let needed = self.feed.has_subscribers()
            || self.sessions.watched() > 0
            || self.sessions.need_person()
            || !self.limits.waiting().is_empty();
        self.lifecycle.observe(needed, now.uptime_ms);
        let may_fetch = self.lifecycle.may_fetch();
        let has_subscribers = self.feed.has_subscribers();
        let timers = &mut self.timers;
        timers.set(Timer::IdleExit, self.lifecycle.idle_exit_at());
        timers.set(Timer::Stale, self.lifecycle.stale_at());
        let value = self.limits.value_timeout(has_subscribers, now);
        timers.set(Timer::Limits, value);
        let fetch = self.limits.fetch_timeout(has_subscribers && may_fetch);
        timers.set(Timer::Fetch, fetch);
        let inspects = has_subscribers && self.sessions.watched() > 0;
        let inspection = self.inspection.timeout().filter(|_| inspects);
        timers.set(Timer::Inspection, inspection);
        let stays = !self.lifecycle.is_leaving();
        let reminder = self.reminders.timeout().filter(|_| stays);
        timers.set(Timer::Reminder, reminder);
        if self.lifecycle.has_exited() {
            timers.clear();
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        for key in self.timers.expired_sessions(now.uptime_ms) {
            self.session_timeout(&key, now);
        }
        let fetching = fetching(&self.lifecycle, &self.sessions);
        self.limits.handle_timeout(fetching, &mut self.feed, now);
        if self.timers.has_expired(Timer::Stale, now.uptime_ms) {
            self.close_stale(now);
        }
        // The last client that needed the daemon may have been answered just now.
        self.rearm(now);
        if self.timers.has_expired(Timer::IdleExit, now.uptime_ms) {
            self.lifecycle.drain_idle();
            self.feed.push(Effect::Drain { for_good: false });
        }
    }

    fn close_stale(&mut self, now: Now) {
        let unwatched = self
            .sessions
            .iter()
            .filter(|session| session.is_unwatched());
        let (stale, fresh): (Vec<_>, Vec<_>) =
            unwatched.partition(|session| lifecycle::is_stale(session.touched_ms(), now.uptime_ms));
        let oldest = fresh.iter().map(|session| session.touched_ms()).min();
        let stale: Vec<Box<str>> = stale.iter().map(|session| session.key().into()).collect();
        self.lifecycle.stale_closed(oldest);
        for key in stale {
            self.change(&key, now, |session| session.went_stale(now.unix_ms));
        }
    }

    fn stop(&mut self, reason: StopReason, now: Now) {
        if self.lifecycle.is_leaving() {
            return;
        }
        self.limits.answer_waiting(&mut self.feed, now);
        self.lifecycle.drain();
        self.announce_stopping(reason);
        self.feed.push(Effect::Drain { for_good: true });
    }

    fn drained(&mut self, now: Now) {
        match self.lifecycle.drained(now.uptime_ms) {
            None => {}
            Some(Drained::Exit) => self.feed.push(Effect::Exit { flush: true }),
            Some(Drained::ExitIdle) => {
                self.announce_stopping(StopReason::Idle);
                self.feed.push(Effect::Exit { flush: true });
            }
            Some(Drained::Stay) => self.feed.push(Effect::Resume),
        }
    }

    /// Notifies subscribers of the sessions that have changed.
    fn publish(&mut self) {
        let Settings {
            attention, persist, ..
        } = self.settings;
        self.sessions.publish(attention, persist, &mut self.feed);
    }

    fn announce_stopping(&mut self, reason: StopReason) {
        self.publish();
        let seq = self.feed.next_seq();
        let stopping = Notification::DaemonStopping(DaemonStopping { seq, reason });
        self.feed
            .push(Effect::Announce(codec::notification(&stopping)));
    }

    fn reloaded(&mut self, outcome: Result<(Settings, Option<String>), String>, now: Now) {
        for (client, id) in std::mem::take(&mut self.reloading) {
            let line = match &outcome {
                Ok(_) => codec::reply(&id, &protocol::ReloadResult { reloaded: true }),
                Err(why) => codec::error(&id, ErrorCode::ConfigRefused, why),
            };
            self.feed.push(Effect::Reply(client, line));
        }
        let (settings, restart) = match outcome {
            Ok(read) => read,
            Err(why) => {
                let message = format!(
                    "the configuration was refused, so the previous one stays in force: {why}"
                );
                return self
                    .feed
                    .notice(NoticeCode::ConfigRefused, &message, true, now);
            }
        };
        let former = std::mem::replace(&mut self.settings, settings);
        self.lifecycle.set_timeout(settings.idle_timeout_ms);
        let fetching = fetching(&self.lifecycle, &self.sessions);
        let interval = settings.usage_interval_ms;
        self.limits
            .set_interval(interval, fetching, &mut self.feed, now);
        for key in self.sessions.keys() {
            if !settings.record_prompts {
                self.change(&key, now, Session::forget_prompts);
            }
            if settings.quiet_after_ms.is_none() {
                self.change(&key, now, Session::forget_quiet);
            }
            self.sessions
                .rearm(&key, now.uptime_ms, settings, &mut self.timers);
            self.change(&key, now, |session| {
                session.attention_differs(former.attention, settings.attention)
            });
        }
        for change in self.sessions.take_episode_changes() {
            self.reminders.follow(change, settings.reminders);
        }
        self.reminders.set_rules(settings.reminders, &self.sessions);
        let message = "the configuration was read again";
        self.feed
            .notice(NoticeCode::ConfigLoaded, message, true, now);
        if let Some(what) = restart {
            self.feed
                .notice(NoticeCode::RestartNeeded, &what, true, now);
        }
    }

    fn change(&mut self, key: &str, now: Now, change: impl FnOnce(&mut Session) -> bool) {
        self.upsert(key, now, now.unix_ms, || None, change);
    }

    /// Changes a session, or makes it; see [`Sessions::upsert`]. `at`: when it changed, in ms since the epoch.
    fn upsert(
        &mut self,
        key: &str,
        now: Now,
        at: u64,
        make: impl FnOnce() -> Option<Session>,
        change: impl FnOnce(&mut Session) -> bool,
    ) {
        let moment = sessions::Moment {
            at,
            now,
            settings: self.settings,
        };
        let touched =
            self.sessions
                .upsert(key, moment, &mut self.timers, &mut self.feed, make, change);
        self.note_unwatched(touched, now);
    }

    fn remove(&mut self, key: &str, now: Now) {
        let touched = self.sessions.remove(key, &mut self.timers, &mut self.feed);
        self.note_unwatched(touched, now);
    }

    fn note_unwatched(&mut self, touched: sessions::Touched, now: Now) {
        match touched {
            sessions::Touched::Nothing => {}
            sessions::Touched::Unwatched => self.lifecycle.touched_unwatched(now.uptime_ms),
            sessions::Touched::LastOfUnwatched => self.lifecycle.lost_unwatched(now.uptime_ms),
        }
    }
}

/// What decides whether limits are fetched.
fn fetching<'a>(lifecycle: &Lifecycle, sessions: &'a Sessions) -> Fetching<'a> {
    Fetching {
        may_fetch: lifecycle.may_fetch(),
        sessions,
    }
}
