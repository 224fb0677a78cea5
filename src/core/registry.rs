//! What the agents' registries say of sessions: which session an entry is about, and where registries are.
//!
//! An entry makes a session only if its process runs and it has a status: what a killed agent has left behind makes
//! none, nor does one that has only begun, whose id may be discarded (an agent may show such an id for as long
//! as a person picks the conversation to resume). Called by [`Core::handle`] only.

use std::rc::Rc;

use super::requests::key_of;
use super::session::{Process, Session};
use super::{Core, Effect, Now};
use crate::event::{RegistryStatus, RegistryUpdate, Report};
use crate::limits::Account;

/// How many directories hooks may report: more than anyone has, few enough that a hook gone wild costs nothing.
const MAX_CONFIG_DIRS: usize = 32;

impl Core {
    pub(super) fn registry_changed(&mut self, update: &RegistryUpdate, now: Now) {
        let own_namespace = self.info.pid_namespace;
        let key = key_of(&update.agent, Some(update.process), None, own_namespace);
        let Some(key) = key else {
            return;
        };
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
        let mut entry = entry.clone();
        // A stamp from a clock that runs ahead would make every later event look late.
        entry.status_at = entry.status_at.min(now.unix_ms);
        entry.updated_at = entry.updated_at.min(now.unix_ms);
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
            session.apply_registry(update, &entry, process, prompts, now.unix_ms) || is_new
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
        let is_known = self.config_dirs.contains(directory);
        let is_full = self.config_dirs.len() == MAX_CONFIG_DIRS;
        if is_here && !is_known && directory.starts_with('/') && !is_full {
            self.config_dirs.push(directory.clone());
            let effect = Effect::WatchRegistry(report.agent.clone(), directory.clone());
            self.feed.push(effect);
        }
    }
}
