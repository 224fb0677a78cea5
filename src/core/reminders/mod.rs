//! When a person is reminded of sessions that need one, and what of that is on the screen.
//!
//! * One episode of a session ([`super::session::Episode`]) is reminded of once, after a delay, or again and again if the
//!   configuration says so. It is saved with its session, so a restart changes nothing.
//! * More than [`MAX_SINGLE`] that are due within [`TOGETHER_MS`] become one reminder.
//! * What is over, or acknowledged, leaves the screen.
//! * One job runs at a time. What is due meanwhile waits in its session, where it may end: there is no queue.
//!
//! A reminder is pending only while a session needs a person, which holds the daemon by itself. Whether a person has the
//! session in front of them is the child's to see, just before it shows anything. Moments are in ms of uptime. Called by
//! [`super::Core`] only.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::feed::Feed;
use super::session::{Episode, Session, Shown};
use super::sessions::{EpisodeChange, Sessions};
use super::{Effect, ReminderRules, Settings};
use crate::reminders::{Cause, Job, MAX_RECORDS, MAX_SINGLE, NotificationId, Outcome, Reminder};

/// Within which time, in ms, reminders become one if there are more than [`MAX_SINGLE`]. No delay is shorter, so all that
/// are due within it are known.
pub(crate) const TOGETHER_MS: u64 = 2000;

/// How long a job may take, in ms: the desktop's server, and a command for each of its reminders.
pub(crate) const JOB_LIMIT_MS: u64 = 45_000;

/// The job that runs.
#[derive(Debug)]
struct Running {
    until_ms: u64,
    /// Its time was over: it was killed, and its end is not known yet.
    is_late: bool,
    kind: Kind,
    /// The notifications that it takes from the screen.
    withdraws: Vec<NotificationId>,
}

/// What the job reminds of.
#[derive(Debug)]
enum Kind {
    /// One session each, with the beginning of its episode.
    Single(Vec<(Box<str>, u64)>),
    /// Several sessions at once.
    Together,
}

/// What is on the screen and belongs to no session, as it is saved.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OnScreen {
    /// The notification of several sessions.
    #[serde(default)]
    together: Option<NotificationId>,
    /// Notifications that are over.
    #[serde(default)]
    withdraw: Vec<NotificationId>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Reminders {
    /// The sessions of which a reminder is due, and when; and the same in the order of time.
    due_of: BTreeMap<Box<str>, u64>,
    due: BTreeSet<(u64, Box<str>)>,
    /// The sessions that the notification of several has.
    together: BTreeSet<Box<str>>,
    on_screen: OnScreen,
    running: Option<Running>,
    is_unsaved: bool,
}

impl Reminders {
    /// What was saved is on the screen. The sessions' episodes follow with [`Self::follow`].
    pub(crate) fn restore(on_screen: OnScreen) -> Self {
        Self {
            on_screen,
            ..Self::default()
        }
    }

    /// All episodes are known: a notification that no session has any more leaves the screen.
    pub(crate) fn restored(&mut self) {
        self.end_together_if_empty();
    }

    /// What is on the screen, if it has changed since it was saved or `all` is asked for. It counts as saved from now on.
    pub(crate) fn take_unsaved(&mut self, all: bool) -> Option<OnScreen> {
        let is_unsaved = std::mem::take(&mut self.is_unsaved);
        (is_unsaved || all).then(|| {
            let mut on_screen = self.on_screen.clone();
            let running = self.running.iter();
            on_screen
                .withdraw
                .extend(running.flat_map(|running| &running.withdraws));
            on_screen
        })
    }

    /// When something is due, if the daemon does not leave.
    pub(crate) fn timeout(&self) -> Option<u64> {
        if let Some(running) = &self.running {
            return (!running.is_late).then_some(running.until_ms);
        }
        let (first, _) = self.due.first()?;
        let end = first.saturating_add(TOGETHER_MS);
        let is_together = self.due_until(end).nth(MAX_SINGLE).is_some();
        Some(if is_together { end } else { *first })
    }

    /// A session's episode has changed.
    pub(crate) fn follow(&mut self, change: EpisodeChange, rules: ReminderRules) {
        let EpisodeChange { key, before, after } = change;
        let shown = |episode: Option<Episode>| episode.map_or(Shown::Nowhere, |it| it.shown());
        let (before, now) = (shown(before), shown(after));
        if let Shown::Alone(id) = before
            && before != now
        {
            self.withdraw(id);
        }
        self.set_due(&key, after.and_then(|episode| episode.due_ms(rules)));
        if now == Shown::Together {
            self.together.insert(key);
        } else if self.together.remove(&key) {
            self.end_together_if_empty();
        }
    }

    fn end_together_if_empty(&mut self) {
        if self.together.is_empty()
            && let Some(id) = self.on_screen.together.take()
        {
            self.withdraw(id);
        }
    }

    /// Other rules apply: what is due follows again.
    pub(crate) fn set_rules(&mut self, rules: ReminderRules, sessions: &Sessions) {
        self.due.clear();
        self.due_of.clear();
        for session in sessions.iter() {
            let due = session.episode().and_then(|episode| episode.due_ms(rules));
            self.set_due(session.key(), due);
        }
    }

    /// Begins a job if something is due and none runs; ends one that takes too long.
    pub(crate) fn run(
        &mut self,
        sessions: &mut Sessions,
        settings: Settings,
        feed: &mut Feed,
        now_ms: u64,
    ) {
        if let Some(running) = &mut self.running {
            if !running.is_late && running.until_ms <= now_ms {
                running.is_late = true;
                feed.push(Effect::KillReminder);
            }
            return;
        }
        let due = self.due_now(now_ms);
        if due.is_empty() && self.on_screen.withdraw.is_empty() {
            return;
        }
        let is_single = due.len() <= MAX_SINGLE;
        let (kind, reminders) = if is_single {
            remind_of_each(due, sessions, settings, now_ms)
        } else {
            let reminder = self.remind_of_all(due, sessions, settings, now_ms);
            (Kind::Together, vec![reminder])
        };
        for change in sessions.take_episode_changes() {
            self.follow(change, settings.reminders);
        }
        let withdraw = std::mem::take(&mut self.on_screen.withdraw);
        self.is_unsaved |= !withdraw.is_empty();
        self.running = Some(Running {
            until_ms: now_ms.saturating_add(JOB_LIMIT_MS),
            is_late: false,
            kind,
            withdraws: withdraw.clone(),
        });
        feed.push(Effect::Remind(Box::new(Job {
            withdraw,
            reminders,
        })));
    }

    /// The job has ended. What is shown of an episode that is over leaves the screen with the next one.
    pub(crate) fn ended(&mut self, outcome: &Outcome, sessions: &mut Sessions, persist: bool) {
        let Some(running) = self.running.take() else {
            return;
        };
        self.is_unsaved |= !running.withdraws.is_empty();
        let Outcome::Shown(ids) = outcome else {
            return;
        };
        match running.kind {
            Kind::Single(reminded) => {
                for ((key, began_ms), id) in reminded.into_iter().zip(ids) {
                    let episode = sessions.get(&key).and_then(Session::episode);
                    let same = episode.filter(|episode| episode.began_ms == began_ms);
                    let shown = id.map_or(Shown::Nowhere, Shown::Alone);
                    match (same.and_then(|episode| episode.shown_as(shown)), id) {
                        (Some(episode), _) => sessions.set_episode(&key, episode, persist),
                        (None, Some(id)) => self.withdraw(*id),
                        (None, None) => {}
                    }
                }
            }
            Kind::Together => {
                let id = ids.first().copied().flatten();
                self.is_unsaved = true;
                match id {
                    Some(id) if self.together.is_empty() => self.withdraw(id),
                    id => self.on_screen.together = id,
                }
            }
        }
    }

    /// One reminder for all of these, and for those that the notification of several has already.
    fn remind_of_all(
        &mut self,
        due: Vec<Box<str>>,
        sessions: &mut Sessions,
        settings: Settings,
        now_ms: u64,
    ) -> Reminder {
        for key in due {
            if let Some(episode) = sessions.get(&key).and_then(Session::episode) {
                let sent = episode.sent(now_ms, Shown::Together);
                sessions.set_episode(&key, sent, settings.persist);
            }
        }
        for change in sessions.take_episode_changes() {
            self.follow(change, settings.reminders);
        }
        let mut all: Vec<_> = self
            .together
            .iter()
            .filter_map(|key| Some((sessions.get(key)?.episode()?, key)))
            .collect();
        all.sort_by_key(|(episode, key)| (episode.began_ms, *key));
        let keys = all.iter().take(MAX_RECORDS).map(|(_, key)| &***key);
        Reminder {
            cause: Cause::most_urgent(all.iter().map(|(episode, _)| episode.cause))
                .unwrap_or(Cause::Waiting),
            count: all.len(),
            sessions: keys
                .filter_map(|key| record(sessions, key, settings))
                .collect(),
            replaces: self.on_screen.together,
        }
    }

    /// The sessions of which a reminder is sent now: none while more may come with them.
    fn due_now(&self, now_ms: u64) -> Vec<Box<str>> {
        let Some((first, _)) = self.due.first().filter(|(first, _)| *first <= now_ms) else {
            return Vec::new();
        };
        let end = first.saturating_add(TOGETHER_MS);
        let is_together = self.due_until(end.max(now_ms)).nth(MAX_SINGLE).is_some();
        if is_together && now_ms < end {
            return Vec::new();
        }
        self.due_until(now_ms).cloned().collect()
    }

    fn due_until(&self, end_ms: u64) -> impl Iterator<Item = &Box<str>> {
        let due = self.due.iter().take_while(move |(at, _)| *at <= end_ms);
        due.map(|(_, key)| key)
    }

    fn set_due(&mut self, key: &str, at: Option<u64>) {
        let before = match at {
            Some(at) => self.due_of.insert(key.into(), at),
            None => self.due_of.remove(key),
        };
        if let Some(before) = before {
            self.due.remove(&(before, key.into()));
        }
        if let Some(at) = at {
            self.due.insert((at, key.into()));
        }
    }

    fn withdraw(&mut self, id: NotificationId) {
        if !self.on_screen.withdraw.contains(&id) {
            self.on_screen.withdraw.push(id);
        }
        self.is_unsaved = true;
    }

    /// The notifications that the core knows, without those that a job takes away.
    #[cfg(test)]
    pub(crate) fn known_ids(&self, sessions: &Sessions) -> BTreeSet<NotificationId> {
        let episodes = sessions.iter().filter_map(Session::episode);
        let alone = episodes.filter_map(|episode| match episode.shown() {
            Shown::Alone(id) => Some(id),
            Shown::Nowhere | Shown::Together => None,
        });
        alone.chain(self.on_screen.together).collect()
    }
}

/// A reminder of each of these sessions.
fn remind_of_each(
    due: Vec<Box<str>>,
    sessions: &mut Sessions,
    settings: Settings,
    now_ms: u64,
) -> (Kind, Vec<Reminder>) {
    let mut reminded = Vec::new();
    let mut reminders = Vec::new();
    for key in due {
        let session = sessions.get(&key);
        let Some(episode) = session.and_then(Session::episode) else {
            continue;
        };
        let (replaces, shown) = match episode.shown() {
            // Until it is known which one has taken its place.
            Shown::Alone(id) => (Some(id), Shown::Alone(id)),
            Shown::Nowhere | Shown::Together => (None, Shown::Nowhere),
        };
        reminders.push(Reminder {
            cause: episode.cause,
            count: 1,
            sessions: Vec::from_iter(record(sessions, &key, settings)),
            replaces,
        });
        sessions.set_episode(&key, episode.sent(now_ms, shown), settings.persist);
        reminded.push((key, episode.began_ms));
    }
    (Kind::Single(reminded), reminders)
}

fn record(sessions: &Sessions, key: &str, settings: Settings) -> Option<Box<RawValue>> {
    let record = sessions.get(key)?.record(settings.attention);
    // A record has only keys and values that JSON has.
    to_raw_value(&record).ok()
}
