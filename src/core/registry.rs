//! What the agents' registries tell of sessions: whom it is about, and where registries are.
//!
//! An entry makes a session only if its process runs and it has a status: what a killed agent has left behind makes
//! none, nor does one that has only begun, whose id may be thrown away (Claude Code 2.1.330 shows such an id for up to
//! 0.3 s with `--continue`, and for as long as the picker is open with `--resume`). Called by [`Core::handle`] only.

use super::requests::key_of;
use super::session::{Process, Session};
use super::{Core, Effect, Now};
use crate::event::{RegistryStatus, Report, Sighting};

/// How many directories hooks may tell of: more than anyone has, few enough that a hook gone wild costs nothing.
const CONFIG_DIRS: usize = 32;

impl Core {
    pub(super) fn sighted(&mut self, sighting: &Sighting, now: Now) {
        let key = key_of(
            &sighting.agent,
            Some(sighting.process),
            None,
            self.identity.pid_namespace,
        );
        let Some(key) = key else {
            return;
        };
        let Some(entry) = &sighting.entry else {
            self.change(&key, now, |session| session.unregistered(now.unix_ms));
            return;
        };
        if entry.status == Some(RegistryStatus::Unknown) {
            self.unknown_events += 1;
        }
        let known = self.store.get(&key).is_some();
        let begins = sighting.alive && entry.status.is_some() && !self.store.is_full();
        if !known && !begins {
            return;
        }
        let mut entry = entry.clone();
        // A stamp from a clock that runs ahead would make every later event look late.
        entry.status_at = entry.status_at.min(now.unix_ms);
        entry.updated_at = entry.updated_at.min(now.unix_ms);
        let process = Process::of(sighting.process, self.identity.pid_namespace);
        let prompts = self.settings.record_prompts;
        let tty = sighting.tty.as_deref();
        let at = entry.status_at;
        let make = || {
            let began = entry.started_at.unwrap_or(at);
            Some(Session::new(key.clone(), sighting.agent.clone(), began))
        };
        let change =
            |session: &mut Session| session.registered(&entry, tty, process, prompts, now.unix_ms);
        self.change_or_make(&key, now, at, make, change);
    }

    /// Nothing has been said of a session for as long as it takes for that to mean something.
    pub(super) fn pass(&mut self, key: &str, now: Now) {
        let due = self.store.get(key).and_then(Session::due_at);
        let at = due.unwrap_or(now.unix_ms).min(now.unix_ms);
        self.change_or_make(key, now, at, || None, Session::passed);
    }

    /// Where the agent of this report keeps its registry, if that is news.
    pub(super) fn learn_config_dir(&mut self, report: &Report) {
        let is_here = report
            .process
            .is_none_or(|process| process.namespace == self.identity.pid_namespace);
        let Some(directory) = &report.config_dir else {
            return;
        };
        let known = self.config_dirs.contains(directory);
        if is_here && !known && directory.starts_with('/') && self.config_dirs.len() < CONFIG_DIRS {
            self.config_dirs.push(directory.clone());
            let effect = Effect::WatchRegistry(report.agent.clone(), directory.clone());
            self.effects.push(effect);
        }
    }
}
