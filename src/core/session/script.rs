//! What a script or a person says of a session.

use std::borrow::Cow;

use super::{Ended, EndedBy, Process, Processes, Scripted, Session, Title, replace};
use crate::core::evidence::{Observation, Rule};
use crate::core::turn::HookEvent;
use crate::core::turn::reorder::Step;
use crate::event::TurnEvent;
use crate::os::process::ProcessId;
use crate::protocol::{self, EndReason, EvidenceKind, SetParams, Status, WaitingFor, one_line};

impl Session {
    /// Applies a `session.set`. The caller has checked that the status is one of the five. `process` is the one that it
    /// names; `running` are those of [`Self::former_processes`] that still run.
    pub(crate) fn set(
        &mut self,
        params: &SetParams,
        process: Option<Process>,
        running: &[ProcessId],
        at: u64,
    ) {
        let cut = |text: &Option<String>| -> Option<Box<str>> {
            text.as_deref()
                .filter(|text| !text.is_empty())
                .map(|text| one_line(text, protocol::TEXT_LIMIT).into())
        };
        let what: Cow<'static, str> = params.status.as_str().into();
        self.evidence.report = Some(Observation {
            at,
            what: what.clone(),
        });
        if let Some(title) = cut(&params.title) {
            self.description.title = Some(Title::Script(title));
        }
        let cwd = params.cwd.as_deref().filter(|cwd| !cwd.is_empty());
        if self.description.start_cwd.is_none() {
            self.description.start_cwd = cwd.map(Into::into);
        }
        replace(&mut self.description.cwd, cwd.map(Into::into));
        let named = Processes {
            process,
            client: None,
        };
        if params.status == Status::Closed {
            self.set_processes(named);
            self.ended = Some(Ended {
                at,
                reason: EndReason::Reported,
                by: EndedBy::Script,
            });
            self.log_evidence(at, EvidenceKind::Report, what, Rule::Reported);
            return;
        }
        if self.is_closed() {
            let client = self.client;
            self.reopen();
            // A process that is gone cannot end the session a second time.
            self.keep_processes(client, running);
        }
        self.set_processes(named);
        self.evidence.process = None;
        let waiting_for = (params.status == Status::Waiting)
            .then(|| params.waiting_for.unwrap_or(WaitingFor::Dialog));
        let unread = params.status == Status::Idle
            && match self.committed.status {
                Status::Working | Status::Waiting => true,
                // Reported again: no person has looked in between.
                Status::Idle => self.scripted.as_ref().is_some_and(|before| before.unread),
                Status::Error | Status::Closed | Status::Unknown => false,
            };
        self.scripted = Some(Scripted {
            status: params.status,
            waiting_for,
            reason: cut(&params.reason),
            unread,
        });
        self.log_evidence(at, EvidenceKind::Report, what, Rule::Reported);
    }

    /// A person looks at it: a turn that has ended needs no person any more. What waits for an answer still does, and so does a
    /// failure. True if anything has changed.
    pub(crate) fn looked_at(&mut self, at: u64) -> bool {
        if self.status().0 != Status::Idle {
            return false;
        }
        match &mut self.scripted {
            Some(scripted) if scripted.unread => scripted.unread = false,
            Some(_) => return false,
            None => {
                if !self.turns.now().is_unseen() {
                    return false;
                }
                let seen = HookEvent::new(TurnEvent::Seen, None, None, self.attended);
                if self
                    .turns
                    .insert(at, Step::Hook(seen), self.timing)
                    .is_err()
                {
                    return false;
                }
            }
        }
        self.log_evidence(at, EvidenceKind::Report, "seen".into(), Rule::Seen);
        true
    }
}
