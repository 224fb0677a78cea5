//! What of a session outlives the daemon, and how it continues.
//!
//! All facts are saved but two: the evidence, which is continued from line to line, and the account, which is one of
//! several. What follows from the facts follows again. Called by [`crate::core::saved`].

use std::rc::Rc;

use super::Session;
use crate::core::evidence::EvidenceEntry;
use crate::core::{Now, Settings};
use crate::limits::Account;

impl Session {
    /// The evidence that was not saved yet, oldest first; with `all`, what is kept of it. It counts as saved from now on.
    pub(crate) fn take_unsaved_evidence(&mut self, all: bool) -> Vec<EvidenceEntry> {
        let log = &mut self.evidence.log;
        let unsaved = log.take_unsaved();
        log.last(if all { usize::MAX } else { unsaved })
            .cloned()
            .collect()
    }

    /// The account that it draws on.
    pub(crate) fn account_to_save(&self) -> Option<&Account> {
        self.description.account.as_deref()
    }

    /// This is a later state of the session `before`, with the evidence that has come since.
    pub(crate) fn continue_evidence(&mut self, before: Option<Self>, since: Vec<EvidenceEntry>) {
        if let Some(before) = before {
            self.evidence.log = before.evidence.log;
        }
        for entry in since {
            self.evidence.log.push(entry);
        }
    }

    /// Completes a session that was saved, by what follows from its facts at `now`.
    pub(crate) fn restore(&mut self, account: Option<Rc<Account>>, now: Now, settings: Settings) {
        self.description.account = account;
        self.turns.restore(self.timing);
        // A file that says otherwise is wrong.
        self.sign.uptime_ms = self.sign.uptime_ms.min(now.uptime_ms);
        if !settings.record_prompts {
            self.forget_prompts();
        }
        if settings.quiet_after_ms.is_none() {
            self.forget_quiet();
        }
        self.committed.attention = self.attention(self.status().0, settings.attention);
        self.arm(now, settings);
    }

    /// True if its agent's registry has an entry of it, as far as is known.
    pub(crate) fn is_in_registry(&self) -> bool {
        self.evidence.registry.is_some() && !self.registry_removed && self.ended.is_none()
    }
}
