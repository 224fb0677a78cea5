//! What must hold after each input.

use std::collections::{BTreeSet, HashMap};

use super::{Before, Driver};
use crate::client::Update;
use crate::client::mirror::Mirror;
use crate::core::lifecycle::STALE_AFTER_MS;
use crate::core::names::Names;
use crate::core::sessions::MAX_CLOSED;
use crate::protocol::{CountResult, Snapshot, Status, StatusResult};

impl Driver {
    /// Updates the model's times that the idle time-out counts from.
    pub(super) fn account(&mut self, before: &HashMap<Box<str>, Before>) {
        let now = self.core.now.uptime_ms;
        let after = self.sessions();
        let holds = |was: &Before| !was.closed && was.watched.is_none();
        for (key, was) in &after {
            let former = before.get(key);
            let touched = former.is_none_or(|former| {
                former.touched_ms != was.touched_ms
                    || former.closed != was.closed
                    || former.watched != was.watched
            });
            if touched && (holds(was) || former.is_some_and(holds)) {
                self.touched_unwatched = now;
            }
        }
        if before
            .iter()
            .any(|(key, was)| holds(was) && !after.contains_key(key))
        {
            self.touched_unwatched = now;
        }
        let dashboards = self.clients.values().any(|client| client.subscribed);
        let live = after
            .values()
            .any(|was| !was.closed && was.watched.is_some());
        let core = &self.core.core;
        let rules = core.settings.attention;
        let needing = core
            .sessions
            .iter()
            .any(|session| session.record(rules).attention);
        self.idle_since = match self.idle_since {
            _ if dashboards || live || needing || !self.refreshing.is_empty() => None,
            None => Some(now),
            since => since,
        };
    }

    /// When the daemon must exit for idleness, by the model.
    pub(super) fn idle_exit_at(&self) -> Option<u64> {
        let from = self.idle_since?.max(self.touched_unwatched);
        Some(from + self.core.core.settings.idle_timeout_ms?)
    }

    /// No session's record changes without a notification, whether or not a client is subscribed.
    fn check_published(&mut self) {
        let core = &self.core.core;
        let published = core.sessions.iter().map(|session| {
            let record = session.record(core.settings.attention);
            let record = serde_json::to_value(record).unwrap();
            (session.key().into(), (session.changed_seq, record))
        });
        let published: HashMap<_, _> = published.collect();
        for (key, (seq, record)) in &published {
            assert!(*seq > 0, "{key} was never published");
            if let Some((_, former)) = self.published.get(key).filter(|(of, _)| of == seq) {
                assert_eq!(record, former, "{key} has changed without a notification");
            }
        }
        self.published = published;
    }

    /// The index of names has each name of each session, and no other.
    fn check_names(&self) {
        let sessions = &self.core.core.sessions;
        let named = sessions.iter().flat_map(|session| {
            let names = session.names();
            names.map(|name| (name.into(), session.key().into()))
        });
        assert_eq!(*sessions.names(), Names::of(named));
    }

    pub(super) fn check(&mut self) {
        self.check_published();
        self.check_names();
        let core = &self.core.core;
        let snapshot = self.snapshot(None);
        let mut fresh = Mirror::default();
        fresh.apply(Update::Snapshot(Box::new(snapshot.clone())));
        for client in self.clients.values().filter(|client| client.subscribed) {
            if let Some(mirror) = &client.mirror {
                assert_eq!(*mirror, fresh, "mirror == store");
            }
        }
        for absent in &self.absent {
            let rest = self.snapshot(absent.since());
            let mut mirror = absent.clone();
            mirror.apply(Update::Snapshot(Box::new(rest)));
            assert_eq!(mirror, fresh, "a mirror that missed a part == store");
        }

        let sessions = self.sessions();
        let watched: BTreeSet<_> = sessions
            .values()
            .filter(|was| !was.closed)
            .flat_map(|was| was.watches)
            .flatten()
            .map(|process| (process.pid, process.start))
            .collect();
        assert_eq!(
            self.watched, watched,
            "watched == the processes of open sessions"
        );
        let closed = sessions.values().filter(|was| was.closed).count();
        assert!(closed <= MAX_CLOSED);

        for session in &snapshot.sessions {
            assert!(session.previous_session_ids.len() <= 8);
            let ids = session
                .previous_session_ids
                .iter()
                .chain(&session.session_id);
            assert_eq!(
                ids.clone().collect::<BTreeSet<_>>().len(),
                ids.count(),
                "an id twice"
            );
            assert!((1..=self.history.max(1)).contains(&session.history.len()));
            assert!(
                session.history.is_sorted_by_key(|entry| entry.at),
                "{session:?}"
            );
            let last = session.history.last().unwrap();
            assert_eq!(last.status, session.status);
            assert!(last.at <= session.since && session.since <= self.core.now.unix_ms);
            assert_eq!(
                session.waiting_for.is_some(),
                session.status == Status::Waiting
            );
            let is_closed = session.status == Status::Closed;
            assert!(session.stopped_since.is_none() || !is_closed);
            assert!(session.quiet_since.is_none() || session.status == Status::Working);
            assert_eq!(session.ended_at.is_some(), session.status == Status::Closed);
            assert_eq!(
                session.end_reason.is_some(),
                session.status == Status::Closed
            );
        }
        assert!(snapshot.notices.len() <= crate::protocol::NOTICES_KEPT);

        let next = core.next_timeout();
        if let Some(expected) = self.idle_exit_at().filter(|_| !self.draining) {
            assert!(
                next.is_some_and(|next| next <= expected),
                "the daemon exits too late"
            );
        }
        let unwatched = sessions
            .values()
            .filter(|was| !was.closed && was.watched.is_none());
        if let Some(touched) = unwatched.map(|was| was.touched_ms).min() {
            // A process was reported before it was known that it cannot be watched.
            let stale_at = touched.max(self.touched_unwatched) + STALE_AFTER_MS;
            assert!(
                next.is_some_and(|next| next <= stale_at),
                "a session never goes stale"
            );
        }

        self.check_status(&snapshot);
        self.check_groups(&snapshot);
    }

    /// `session.count` agrees with the snapshot.
    fn check_groups(&mut self, snapshot: &Snapshot<'_>) {
        let answer = self.core.ask("session.count", &serde_json::json!({}));
        let counted: CountResult<'static> = serde_json::from_value(answer).unwrap();
        let mut expected = HashMap::new();
        let open = snapshot.sessions.iter();
        for session in open.filter(|session| session.status != Status::Closed) {
            let stopped = session.stopped_since.is_some();
            let alike = (&*session.agent, session.status, session.attention, stopped);
            *expected.entry(alike).or_insert(0) += 1;
        }
        let groups = counted.groups.iter().map(|group| {
            let alike = (&*group.agent, group.status, group.attention, group.stopped);
            (alike, group.count)
        });
        assert_eq!(groups.len(), expected.len(), "a group twice");
        assert_eq!(groups.collect::<HashMap<_, _>>(), expected);
    }

    /// `daemon.status` agrees with the snapshot.
    fn check_status(&mut self, snapshot: &Snapshot<'_>) {
        let answer = self.core.ask("daemon.status", &serde_json::json!({}));
        let status: StatusResult<'static> = serde_json::from_value(answer).unwrap();
        let count = |of: Status| {
            let sessions = snapshot
                .sessions
                .iter()
                .filter(|session| session.status == of);
            u32::try_from(sessions.count()).unwrap()
        };
        assert_eq!(status.sessions.working, count(Status::Working));
        assert_eq!(status.sessions.waiting, count(Status::Waiting));
        assert_eq!(status.sessions.idle, count(Status::Idle));
        assert_eq!(status.sessions.error, count(Status::Error));
        assert_eq!(status.sessions.closed, count(Status::Closed));
        assert_eq!(status.seq, snapshot.seq);
        let dashboards = self
            .clients
            .values()
            .filter(|client| client.subscribed)
            .count();
        assert_eq!(status.dashboards as usize, dashboards);
    }
}
