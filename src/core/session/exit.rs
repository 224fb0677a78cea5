//! What the process table says of a session: that its process is gone, or stopped; and what long silence means where
//! there is no process to watch.

use super::{Client, Ended, EndedBy, Session};
use crate::core::evidence::{Observation, Rule};
use crate::os::process::ProcessId;
use crate::protocol::{EndReason, EvidenceKind};

impl Session {
    /// A process of it is gone. True if that changed anything.
    pub(crate) fn exited(&mut self, process: ProcessId, at: u64) -> bool {
        if self.watches()[0] != Some(process) {
            return self.client_exited(at);
        }
        // A run without a person ends so, once its turn is over, if its agent reports no end; a script always does.
        let is_done = !self.is_agents() || (!self.attended && !self.turns.now().runs());
        let (reason, rule) = if self.registry_removed || is_done {
            (EndReason::Exited, Rule::Exited)
        } else {
            (EndReason::Crashed, Rule::Crashed)
        };
        self.close(at, "exited", reason, EndedBy::Exit, rule)
    }

    /// The terminal is gone through which a person saw it. What runs in it runs on, and is the last.
    fn client_exited(&mut self, at: u64) -> bool {
        if self.ended.is_some() {
            return false;
        }
        self.detach();
        if self.turns.now().runs() {
            self.evidence.process = Some(Observation {
                at,
                what: "exited".into(),
            });
            let rule = Rule::ClientExited;
            self.log_evidence(at, EvidenceKind::Process, "exited".into(), rule);
        } else {
            self.close_detached(at);
        }
        true
    }

    /// No terminal shows it any more.
    pub(super) fn detach(&mut self) {
        self.client = Client::Gone;
        self.attended = false;
        self.description.terminal = None;
    }

    /// Closes a session whose terminal is gone, once no turn runs.
    pub(super) fn close_detached(&mut self, at: u64) {
        if self.client == Client::Gone && !self.turns.now().runs() {
            let reason = EndReason::Exited;
            self.close(at, "exited", reason, EndedBy::Exit, Rule::Exited);
        }
    }

    /// True if its process was stopped when it was seen last.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped_since.is_some()
    }

    /// Its process was seen, stopped by a signal or not. True if that is new.
    pub(crate) fn process_seen(&mut self, stopped: bool, at: u64) -> bool {
        if self.is_stopped() == stopped || self.ended.is_some() {
            return false;
        }
        let (what, rule) = if stopped {
            ("stopped", Rule::Stopped)
        } else {
            ("continued", Rule::Continued)
        };
        self.stopped_since = stopped.then_some(at);
        self.evidence.process = Some(Observation {
            at,
            what: what.into(),
        });
        self.log_evidence(at, EvidenceKind::Process, what.into(), rule);
        true
    }

    /// It had no event for too long and has no process to watch. True if that closed it.
    pub(crate) fn went_stale(&mut self, at: u64) -> bool {
        let reason = EndReason::Stale;
        self.close(at, "silent", reason, EndedBy::Silence, Rule::Stale)
    }

    fn close(
        &mut self,
        at: u64,
        what: &'static str,
        reason: EndReason<'static>,
        by: EndedBy,
        rule: Rule,
    ) -> bool {
        if self.ended.is_some() {
            return false;
        }
        self.evidence.process = Some(Observation {
            at,
            what: what.into(),
        });
        self.ended = Some(Ended { at, reason, by });
        self.log_evidence(at, EvidenceKind::Process, what.into(), rule);
        true
    }
}
