//! What the process table says of a session: that its process is gone; and what long silence means where there is no
//! process to watch.

use super::{Ended, EndedBy, Session};
use crate::core::evidence::{Observation, Rule};
use crate::protocol::EvidenceKind;

/// The end of a session whose agent removed its registry entry and reported no end.
pub(super) const EXITED: &str = "exited";

impl Session {
    /// Its process is gone. True if that closed it.
    pub(crate) fn exited(&mut self, at: u64) -> bool {
        let (reason, rule) = if self.registry_removed {
            (EXITED, Rule::Exited)
        } else {
            ("crashed", Rule::Crashed)
        };
        self.close(at, "exited", reason, EndedBy::Exit, rule)
    }

    /// It had no event for too long and has no process to watch. True if that closed it.
    pub(crate) fn went_stale(&mut self, at: u64) -> bool {
        self.close(at, "silent", "stale", EndedBy::Silence, Rule::Stale)
    }

    fn close(
        &mut self,
        at: u64,
        what: &'static str,
        reason: &str,
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
        self.ended = Some(Ended {
            at,
            reason: reason.into(),
            by,
        });
        self.log_evidence(at, EvidenceKind::Process, what.into(), rule);
        true
    }
}
