//! What the subscribers to brief changes know of a session's history and evidence, so that a change says what it adds.
//!
//! They know what was published while one of them was there: each has begun with a snapshot, for which all that was not
//! published yet is published first.

use super::Session;
use crate::core::AttentionRules;
use crate::protocol::{Added, Changes, EvidenceKind, SessionChanged};

/// How many kinds of evidence there are.
const KINDS: usize = 5;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Published(Option<Box<Known>>);

/// What they know.
#[derive(Debug, Default)]
struct Known {
    /// How many transitions have come since.
    new_transitions: usize,
    /// A sum of the last observation of each kind, as it was published; 0: there was none.
    evidence: [u64; KINDS],
}

impl Published {
    /// A transition follows those known.
    pub(super) fn note_transition(&mut self) {
        if let Some(known) = &mut self.0 {
            known.new_transitions += 1;
        }
    }

    /// What is known has changed otherwise than by an addition.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }
}

impl Session {
    /// What is published of it under this number. The brief form is the whole one where it cannot be told by additions.
    pub(crate) fn change(
        &self,
        form: Changes,
        seq: u64,
        rules: AttentionRules,
    ) -> SessionChanged<'_> {
        let added = match form {
            Changes::Whole => None,
            Changes::Brief => self.added(),
        };
        let session = match &added {
            Some(_) => self.brief_record(rules),
            None => self.record(rules),
        };
        SessionChanged {
            seq,
            session,
            added,
        }
    }

    /// `None`: not by additions alone.
    fn added(&self) -> Option<Added<'_>> {
        let known = self.published.0.as_ref()?;
        let sums = self.sums();
        let is_gone = |(before, now): (&u64, &u64)| *before != 0 && *now == 0;
        if known.evidence.iter().zip(&sums).any(is_gone) {
            return None;
        }
        let history = &self.committed.history;
        let before = history.len().saturating_sub(known.new_transitions);
        let mut evidence = self.evidence.record();
        evidence.retain(|one| {
            let place = place(one.kind);
            known.evidence[place] != sums[place]
        });
        Some(Added {
            history: history.iter().skip(before).copied().collect(),
            history_length: history.len(),
            evidence,
        })
    }

    /// It was published. `to_brief`: also to subscribers to brief changes.
    pub(crate) fn was_published(&mut self, to_brief: bool) {
        let known = to_brief.then(|| Known {
            new_transitions: 0,
            evidence: self.sums(),
        });
        match (&mut self.published.0, known) {
            (Some(before), Some(known)) => **before = known,
            (before, known) => *before = known.map(Box::new),
        }
    }

    fn sums(&self) -> [u64; KINDS] {
        let mut sums = [0; KINDS];
        for one in self.evidence.record() {
            sums[place(one.kind)] = fnv(one.at, &one.what).max(1);
        }
        sums
    }
}

/// The 64-bit FNV-1a hash. The texts come from this user's own agents and scripts, so it need not resist attacks.
fn fnv(at: u64, what: &str) -> u64 {
    let bytes = at.to_le_bytes().into_iter().chain(what.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn place(kind: EvidenceKind) -> usize {
    match kind {
        EvidenceKind::Hook => 0,
        EvidenceKind::Registry => 1,
        EvidenceKind::File => 2,
        EvidenceKind::Process => 3,
        EvidenceKind::Report | EvidenceKind::Unknown => 4,
    }
}
