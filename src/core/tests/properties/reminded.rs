//! A model of the screen and of the children that remind a person, and what must hold of reminders.

use std::collections::{BTreeMap, BTreeSet};

use super::Driver;
use crate::core::Input;
use crate::core::reminders::{JOB_LIMIT_MS, TOGETHER_MS};
use crate::core::session::Episode;
use crate::protocol::SessionRecord;
use crate::reminders::{Job, MAX_SINGLE, NotificationId, Outcome};

/// The job of the child that runs.
#[derive(Debug)]
struct Child {
    began_ms: u64,
    withdraw: Vec<NotificationId>,
    /// For each reminder: which notification it takes the place of.
    reminders: Vec<Option<NotificationId>>,
}

/// What the children have done.
#[derive(Debug, Default)]
pub(super) struct Screen {
    shown: BTreeSet<NotificationId>,
    last_id: NotificationId,
    child: Option<Child>,
    /// What was shown by a child whose outcome the daemon has not had.
    unknown: BTreeSet<NotificationId>,
    /// The beginning of the episode of each session that a reminder was sent of, and when the last one was.
    reminded: BTreeMap<String, (u64, u64)>,
    /// When reminders of one session were sent, since the rules changed.
    single: Vec<u64>,
}

impl Screen {
    /// The daemon has ended while the child runs, which ends all the same.
    pub(super) fn daemon_ended(&mut self) {
        if let Some(child) = self.child.take() {
            self.finish(&child, [true; MAX_SINGLE]);
            self.unknown.clone_from(&self.shown);
        }
    }

    /// The child does its job. `shown`: whether each reminder is on the screen.
    fn finish(&mut self, child: &Child, shown: [bool; MAX_SINGLE]) -> Vec<Option<NotificationId>> {
        for id in &child.withdraw {
            self.shown.remove(id);
        }
        let mut ids = Vec::new();
        for (replaces, shown) in child.reminders.iter().zip(shown) {
            let id = shown.then(|| {
                let known = replaces.filter(|id| self.shown.contains(id));
                known.unwrap_or_else(|| {
                    self.last_id += 1;
                    self.last_id
                })
            });
            self.shown.extend(id);
            ids.push(id);
        }
        ids
    }
}

impl Driver {
    /// The present episode of each session.
    pub(super) fn episodes(&self) -> BTreeMap<String, Episode> {
        let sessions = self.core.core.sessions.iter();
        let episodes =
            sessions.filter_map(|session| Some((session.key().to_owned(), session.episode()?)));
        episodes.collect()
    }

    /// A child begins.
    pub(super) fn remind(&mut self, job: &Job) {
        let now = self.core.now.uptime_ms;
        let rules = self.core.core.settings.reminders;
        assert!(self.screen.child.is_none(), "two children at a time");
        assert!(!self.retiring || !self.core.core.is_leaving());
        assert!(!job.withdraw.is_empty() || !job.reminders.is_empty());
        assert!(job.reminders.len() <= MAX_SINGLE);
        let episodes = self.episodes();
        for reminder in &job.reminders {
            assert!(rules.is_on);
            assert!(reminder.count >= reminder.sessions.len());
            if reminder.count == 1 {
                self.screen.single.push(now);
            }
            for record in &reminder.sessions {
                let record: SessionRecord<'_> = serde_json::from_str(record.get()).unwrap();
                assert!(record.attention, "{record:?}");
                let episode = episodes[&*record.key];
                let sent = (episode.began_ms, now);
                let before = self.screen.reminded.insert(record.key.to_string(), sent);
                // With others that are due, what was reminded of is counted again.
                let again = before.filter(|(began, _)| *began == episode.began_ms);
                let has_lasted = episode.began_ms + rules.delay_ms <= now;
                assert!(again.is_some() || has_lasted, "no delay: {episode:?}");
                if let Some((_, sent)) = again.filter(|_| reminder.count == 1) {
                    let repeat = rules.repeat_ms.expect("a second reminder");
                    assert!(sent + repeat <= now, "too soon after the first");
                }
            }
        }
        self.screen.child = Some(Child {
            began_ms: now,
            withdraw: job.withdraw.clone(),
            reminders: job.reminders.iter().map(|it| it.replaces).collect(),
        });
    }

    /// The child takes too long.
    pub(super) fn kill_reminder(&mut self) {
        let child = self.screen.child.as_ref().expect("a child to kill");
        assert!(child.began_ms + JOB_LIMIT_MS <= self.core.now.uptime_ms);
    }

    /// The child has ended, if one runs.
    pub(super) fn child_ended(&mut self, could: bool, shown: [bool; MAX_SINGLE]) {
        let Some(child) = self.screen.child.take() else {
            return;
        };
        let ids = self.screen.finish(&child, shown);
        let outcome = if could {
            Outcome::Shown(ids)
        } else {
            self.screen.unknown.extend(ids.into_iter().flatten());
            Outcome::Failed
        };
        self.step(Input::Reminded(outcome), &[]);
    }

    /// What holds of reminders after each input.
    pub(super) fn check_reminders(&mut self) {
        let core = &self.core.core;
        let now = self.core.now.uptime_ms;
        let rules = core.settings.reminders;
        let episodes = self.episodes();
        let needing: BTreeSet<_> = core
            .sessions
            .iter()
            .filter(|session| session.record(core.settings.attention).attention)
            .map(|session| session.key().to_owned())
            .collect();
        assert_eq!(episodes.keys().cloned().collect::<BTreeSet<_>>(), needing);
        let is_same =
            |key: &String, began: u64| episodes.get(key).map(|it| it.began_ms) == Some(began);
        self.screen
            .reminded
            .retain(|key, (began, _)| is_same(key, *began));
        if core.is_leaving() {
            return;
        }
        // All that is due has been sent, or may still become one reminder with others, or waits for the child.
        let due = |episode: &Episode| episode.due_ms(rules);
        let first = episodes.values().filter_map(due).min();
        if let Some(child) = &self.screen.child {
            let next = core.next_timeout();
            let is_late = child.began_ms + JOB_LIMIT_MS <= now;
            assert!(is_late || next.is_some_and(|at| at <= child.began_ms + JOB_LIMIT_MS));
            return;
        }
        if let Some(first) = first {
            assert!(first + TOGETHER_MS > now, "a reminder was forgotten");
            let next = core.next_timeout();
            assert!(next.is_some_and(|next| next <= first + TOGETHER_MS));
        }
        let known = core.reminders.known_ids(&core.sessions);
        let unknown = &self.screen.unknown;
        let left: BTreeSet<_> = self.screen.shown.difference(&known).collect();
        let lost: Vec<_> = left.iter().filter(|id| !unknown.contains(id)).collect();
        assert!(lost.is_empty(), "on the screen for ever: {lost:?}");
    }
}
