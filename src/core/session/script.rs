//! What a script or a person says of a session.

use std::borrow::Cow;

use super::{Ended, EndedBy, Process, Reported, Session, Word, replace};
use crate::core::rule::Rule;
use crate::protocol::{self, EvidenceKind, SetParams, Status, WaitingFor, one_line};

impl Session {
    /// Takes in what a script says. The caller has checked that the status is one of the five.
    pub(crate) fn set(&mut self, params: &SetParams, process: Option<Process>, at: u64) {
        let cut = |text: &Option<String>| {
            text.as_deref()
                .filter(|text| !text.is_empty())
                .map(|text| one_line(text, protocol::TEXT_LIMIT).into())
        };
        let what: Cow<'static, str> = params.status.as_str().into();
        self.report = Some(Word {
            at,
            what: what.clone(),
        });
        let title = cut(&params.title);
        self.titled_by_script |= title.is_some();
        replace(&mut self.title, title);
        let cwd = params.cwd.as_deref().filter(|cwd| !cwd.is_empty());
        replace(&mut self.cwd, cwd.map(Into::into));
        self.process = process.or(self.process);
        if params.status == Status::Closed {
            self.ended = Some(Ended {
                at,
                reason: "reported".into(),
                by: EndedBy::Script,
            });
            self.remember(at, EvidenceKind::Report, what, Rule::Reported);
            return;
        }
        if self
            .ended
            .take()
            .is_some_and(|ended| ended.by == EndedBy::Exit)
        {
            // The process that is gone says nothing of what goes on without it.
            self.process = process;
        }
        self.exit = None;
        let waiting_for = (params.status == Status::Waiting)
            .then(|| params.waiting_for.unwrap_or(WaitingFor::Dialog));
        let unseen = params.status == Status::Idle
            && match self.shown.0 {
                Status::Working | Status::Waiting => true,
                // Said again: nobody has looked in between.
                Status::Idle => self
                    .reported
                    .as_ref()
                    .is_some_and(|reported| reported.unseen),
                Status::Error | Status::Closed | Status::Unknown => false,
            };
        self.reported = Some(Reported {
            status: params.status,
            waiting_for,
            reason: cut(&params.reason),
            unseen,
        });
        self.remember(at, EvidenceKind::Report, what, Rule::Reported);
    }

    /// Prompts are no longer to be kept. True if one was.
    pub(crate) fn forget_prompts(&mut self) -> bool {
        !self.titled_by_script && self.title.take().is_some()
    }
}
