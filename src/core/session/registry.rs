//! What the agent's registry says of a session, and what follows when it says nothing more.

use std::borrow::Cow;

use super::{EndedBy, Process, Session, Title, replace};
use crate::core::evidence::{Observation, Rule};
use crate::core::turn::reorder::Step;
use crate::event::{RegistryEntry, RegistryUpdate};
use crate::protocol::{EndReason, EvidenceKind, Terminal};

/// How long after an exit, in ms, the removal of the registry entry may arrive that preceded it; later, another process
/// has cleaned up.
const REMOVAL_DELAY_MS: u64 = 1000;

impl Session {
    /// Applies an entry of the agent's registry, whose stamps were judged; false if it has nothing new. `stamp`: what the
    /// agent has stamped the status with. `update` is where the entry is from. `prompts` as for [`Self::apply_report`],
    /// `now` in ms since the epoch.
    pub(crate) fn apply_registry(
        &mut self,
        update: &RegistryUpdate,
        entry: &RegistryEntry,
        stamp: u64,
        process: Process,
        prompts: bool,
        now: u64,
    ) -> bool {
        // An entry written before the last hook's stamp is older than what that hook said.
        let is_fresh = entry.updated_at >= self.identity.id_at;
        let id_is_new =
            is_fresh && entry.session_id.is_some() && entry.session_id != self.identity.id;
        let title = entry.title.as_ref();
        let is_scripted = matches!(self.description.title, Some(Title::Script(_)));
        let title = title.filter(|_| prompts && is_fresh && !is_scripted);
        let known = self.description.title.as_ref().map(Title::text);
        let title_is_new = title.is_some() && known != title.map(|title| &**title);
        let observation = entry.status.map(|status| Observation {
            at: entry.status_at,
            what: status.as_str().into(),
        });
        // By the agent's own stamp: how it is judged changes with time.
        let last = self.evidence.registry.as_ref().map(|last| &last.what);
        let status_is_new = observation
            .as_ref()
            .is_some_and(|new| last != Some(&new.what) || self.registry_stamp != stamp);
        if !id_is_new && !title_is_new && !status_is_new {
            return false;
        }
        match &self.ended {
            // An entry never reopens a session closed by its agent or by process exit: it was written before.
            Some(ended) if ended.by == EndedBy::Agent || ended.by == EndedBy::Exit => return false,
            Some(ended) if entry.status_at < ended.at => return false,
            // Nor does the entry of a process that is known to be gone.
            Some(_) if process.watched.is_some() && !update.alive => return false,
            Some(_) | None => self.reopen(),
        }
        if id_is_new {
            self.identity.id_at = entry.updated_at;
            if self.set_session_id(entry.session_id.clone()) && !is_scripted {
                self.description.title = None;
            }
        }
        if let Some(title) = title {
            self.description.title = Some(Title::Agent(title.clone()));
        }
        self.set_timing(update.timing);
        self.sign.is_new = true;
        self.fill_in(entry, update.tty.as_deref(), process);
        if let (true, Some(observation), Some(status)) = (status_is_new, observation, entry.status)
        {
            let report = self.evidence.report.as_ref();
            if report.is_none_or(|report| report.at <= observation.at) {
                self.scripted = None;
            }
            let (at, what) = (observation.at, observation.what.clone());
            self.evidence.registry = Some(observation);
            self.registry_stamp = stamp;
            let step = Step::Registry(status, self.attended);
            let rule = if let Ok(rule) = self.turns.insert(at, step, self.timing) {
                rule.unwrap_or(Rule::Noted)
            } else {
                self.turns.set_earlier_registry(status, at);
                Rule::TooLate
            };
            self.log_evidence(at, EvidenceKind::Registry, what, rule);
            // A status that has stood for long when it is first seen counts at once.
            if self.timeout_at().is_some_and(|due| due <= now) {
                self.handle_turn_timeout();
            }
        }
        true
    }

    /// When the registry's last status began, unless its entry was removed since.
    pub(crate) fn registered_at(&self) -> Option<u64> {
        let last = self.evidence.registry.as_ref();
        last.filter(|_| !self.registry_removed).map(|last| last.at)
    }

    /// What only an entry says, where no hook has said better.
    fn fill_in(&mut self, entry: &RegistryEntry, tty: Option<&str>, process: Process) {
        if self.description.cwd.is_none() {
            self.description.cwd.clone_from(&entry.cwd);
        }
        replace(&mut self.description.start_cwd, entry.cwd.clone());
        if self.description.terminal.is_none()
            && let Some(tty) = tty
        {
            self.description.terminal = Some(Box::new(Terminal {
                tty: Some(tty.into()),
                ..Terminal::default()
            }));
        }
        if self.evidence.hook.is_none() {
            self.attended = entry.attended.unwrap_or(self.attended);
        }
        let started_at = entry.started_at.unwrap_or(self.started_at);
        self.started_at = self.started_at.min(started_at);
        self.process = self.process.or(Some(process));
        self.registry_removed = false;
    }

    /// The registry's entry of it was removed. True if it had one and that means something.
    pub(crate) fn registry_removed(&mut self, at: u64) -> bool {
        if self.evidence.registry.is_none() || self.registry_removed {
            return false;
        }
        match &mut self.ended {
            None => {}
            // The exit has arrived first.
            Some(ended) if ended.by == EndedBy::Exit && at <= ended.at + REMOVAL_DELAY_MS => {
                ended.reason = EndReason::Exited;
            }
            Some(_) => return false,
        }
        self.registry_removed = true;
        let what: Cow<'static, str> = "removed".into();
        self.evidence.registry = Some(Observation {
            at,
            what: what.clone(),
        });
        // Too late for the turn is not too late for the exit.
        let _ = self.turns.insert(at, Step::RegistryRemoved, self.timing);
        self.log_evidence(at, EvidenceKind::Registry, what, Rule::RegistryRemoved);
        true
    }

    /// Applies what follows from the registry's silence, or from an end that has lasted, until [`Self::timeout_at`]. False if nothing does.
    pub(super) fn handle_turn_timeout(&mut self) -> bool {
        let Some((at, rule)) = self.turns.handle_timeout(self.timing) else {
            return false;
        };
        let (kind, what) = match &self.evidence.registry {
            Some(last) => (EvidenceKind::Registry, last.what.clone()),
            None => self
                .evidence
                .log
                .last_by(Rule::TurnEndSettles)
                .unwrap_or((EvidenceKind::Registry, "silence".into())),
        };
        self.log_evidence(at, kind, what, rule);
        true
    }

    /// When, by the stamps, [`Self::handle_turn_timeout`] is due, in ms since the epoch.
    pub(crate) fn timeout_at(&self) -> Option<u64> {
        self.turns
            .next_timeout(self.timing)
            .filter(|_| self.ended.is_none())
    }
}
