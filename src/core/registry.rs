//! What the agents' registries say of sessions: which session an entry is about, and where registries are.
//!
//! An entry makes a session only if its process runs and it has a status: what a killed agent has left behind makes
//! none, nor does one that has only begun, whose id may be discarded (an agent may show such an id for as long
//! as a person picks the conversation to resume). Called by [`Core::handle`] only.

use std::rc::Rc;

use super::requests::key_of;
use super::session::{Process, Session};
use super::{Core, Effect, Now};
use crate::event::{RegistryEntry, RegistryStatus, RegistryUpdate, Report};
use crate::limits::Account;

/// How many directories hooks may report: more than anyone has, few enough that a hook gone wild costs nothing.
const MAX_CONFIG_DIRS: usize = 32;

/// The configuration directories of agents that hooks have reported: the agent's name, and an absolute path.
#[derive(Debug, Default)]
pub(super) struct ConfigDirs {
    all: Vec<(Box<str>, Box<str>)>,
    is_unsaved: bool,
}

impl ConfigDirs {
    /// Adds a directory. True if it is new.
    pub(super) fn add(&mut self, agent: &str, directory: &str) -> bool {
        let is_known = |(of, known): &(Box<str>, Box<str>)| **of == *agent && **known == *directory;
        let is_full = self.all.len() == MAX_CONFIG_DIRS;
        if is_full || !directory.starts_with('/') || self.all.iter().any(is_known) {
            return false;
        }
        self.all.push((agent.into(), directory.into()));
        self.is_unsaved = true;
        true
    }

    /// The directories, if they have changed since they were saved or `all` is asked for. They count as saved from now
    /// on.
    pub(super) fn take_unsaved(&mut self, all: bool) -> Option<&[(Box<str>, Box<str>)]> {
        let is_unsaved = std::mem::take(&mut self.is_unsaved);
        (is_unsaved || all).then_some(&*self.all)
    }
}

impl Core {
    pub(super) fn registry_changed(&mut self, update: &RegistryUpdate, now: Now) {
        let own_namespace = self.info.pid_namespace;
        let key = key_of(&update.agent, Some(update.process), None, own_namespace);
        let Some(key) = key else {
            return;
        };
        self.unconfirmed.remove(&key);
        let Some(entry) = &update.entry else {
            self.change(&key, now, |session| session.registry_removed(now.unix_ms));
            return;
        };
        if entry.status == Some(RegistryStatus::Unknown) {
            self.unknown_events += 1;
        }
        let is_known = self.sessions.get(&key).is_some();
        let begins = update.alive && entry.status.is_some() && !self.sessions.is_full();
        if !is_known && !begins {
            return;
        }
        let stamp = entry.status_at;
        let session = self.sessions.get(&key);
        let last = session.and_then(Session::registered_at);
        let entry = RegistryEntry {
            status_at: self.clock.date_after(last, stamp),
            updated_at: self.clock.date(entry.updated_at),
            started_at: entry.started_at.map(|at| self.clock.date(at)),
            ..entry.clone()
        };
        let process = Process::of(update.process, own_namespace);
        let prompts = self.settings.record_prompts;
        let at = entry.status_at;
        let make = || {
            let began = entry.started_at.unwrap_or(at);
            let agent = update.agent.clone();
            Some(Session::new(key.clone(), agent, update.timing, began))
        };
        let account = self.account_of_session(update.account.as_ref(), now);
        let change = |session: &mut Session| {
            let is_new = session.set_account(account);
            session.apply_registry(update, &entry, stamp, process, prompts, now.unix_ms) || is_new
        };
        self.upsert(&key, now, at, make, change);
    }

    /// A session's sources have sent nothing for as long as a rule waits.
    pub(super) fn session_timeout(&mut self, key: &str, now: Now) {
        let due = self.sessions.get(key).and_then(Session::timeout_at);
        let at = due.unwrap_or(now.unix_ms).min(now.unix_ms);
        let change = |session: &mut Session| session.handle_timeout(now.uptime_ms);
        self.upsert(key, now, at, || None, change);
    }

    /// The account that a session draws on, as far as its source has said.
    pub(super) fn account_of_session(
        &mut self,
        account: Option<&Rc<Account>>,
        now: Now,
    ) -> Option<Rc<Account>> {
        self.limits
            .account_of_session(account?, &mut self.feed, now)
    }

    /// Watches the registry of the agent of this report, unless it is watched already.
    pub(super) fn learn_config_dir(&mut self, report: &Report) {
        let own_namespace = self.info.pid_namespace;
        let process = report.process;
        let is_here = process.is_none_or(|process| process.namespace == own_namespace);
        let Some(directory) = &report.config_dir else {
            return;
        };
        if is_here {
            self.watch_config_dir(&report.agent, directory);
        }
    }

    /// Watches the registry of this agent below this directory, unless it is watched already.
    pub(super) fn watch_config_dir(&mut self, agent: &str, directory: &str) {
        if self.config_dirs.add(agent, directory) {
            let effect = Effect::WatchRegistry(agent.into(), directory.into());
            self.feed.push(effect);
        }
    }
}
