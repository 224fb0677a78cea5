//! A daemon ends, at any moment, and the next one restores what it has saved.

use super::{Clock, Driver};
use crate::core::testing;
use crate::core::{Core, Input, Saved};
use crate::protocol::SessionRecord;

/// How the daemon ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Killed,
    InOrder,
}

impl Driver {
    /// The end of a turn of the loop: what has changed goes to the file.
    pub(super) fn save(&mut self) {
        self.core.core.save(&mut self.file).unwrap();
    }

    /// A new file takes the place of the one that has grown.
    pub(super) fn replace_file(&mut self) {
        self.file.clear();
        self.core.core.save_all(&mut self.file).unwrap();
    }

    /// The daemon ends; the next one knows the same.
    pub(super) fn restart(&mut self, end: End) {
        if self.clock == Clock::Set {
            self.step(Input::Timeout, &[]);
        }
        let now = self.core.now;
        let settings = self.core.core.settings;
        let before = self.records();
        let usage = self.usage();
        let numbers = self.core.core.feed.numbers().seq();
        let episodes = self.episodes();
        if let End::InOrder = end {
            self.core.core.save_leaving(&mut self.file).unwrap();
        }
        let mut saved = Saved::default();
        for line in self
            .file
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            saved.take(line).unwrap();
        }
        let epoch = self.core.core.info.epoch;
        let mut info = testing::info();
        info.epoch = epoch + 1;
        self.core.core = Core::restore(info, settings, saved, now);
        assert_eq!(self.core.core.info.epoch, epoch);
        assert_eq!(self.records(), before, "what is known outlives the daemon");
        assert_eq!(self.usage(), usage, "so do the limits");
        assert_eq!(self.episodes(), episodes, "so do the reminders");
        let continued = self.core.core.feed.numbers();
        match end {
            End::InOrder => assert_eq!(continued.seq(), numbers),
            End::Killed => assert!(continued.seq() > numbers),
        }
        assert!(
            continued.knows_changes_since(numbers),
            "nothing is lost at the end of a turn"
        );
        assert!(
            !continued.knows_changes_since(numbers + 1),
            "a number that was not saved"
        );
        self.replace_file();
        self.forget_clients(now.uptime_ms);
        self.screen.daemon_ended();
        self.step(Input::RegistriesRead, &[]);
    }

    /// Every session with its evidence.
    fn records(&self) -> Vec<(SessionRecord<'static>, String)> {
        let rules = self.core.core.settings.attention;
        let sessions = self.core.core.sessions.iter();
        let mut records: Vec<_> = sessions
            .map(|session| {
                let text = serde_json::to_string(&session.record(rules)).unwrap();
                let record: SessionRecord<'static> = serde_json::from_str(&text).unwrap();
                (record, format!("{:?}", session.explain()))
            })
            .collect();
        records.sort_by(|(one, _), (other, _)| one.key.cmp(&other.key));
        records
    }

    fn usage(&mut self) -> String {
        serde_json::to_string(&self.core.core.limits.take_unsaved(true)).unwrap()
    }

    fn forget_clients(&mut self, now: u64) {
        self.clients.clear();
        self.reloading.clear();
        self.refreshing.clear();
        self.fetching = None;
        self.reloads = 0;
        self.retiring = false;
        self.draining = false;
        self.watched.clear();
        self.idle_since = Some(now);
        let sessions = self.sessions();
        let unwatched = sessions
            .values()
            .filter(|was| !was.closed && was.watched.is_none());
        self.touched_unwatched = unwatched.map(|was| was.touched_ms).max().unwrap_or(0);
    }
}
