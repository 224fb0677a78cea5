//! A session as the protocol tells it.

use std::borrow::Cow;

use super::Session;
use crate::protocol::{self, EvidenceKind, SessionRecord, Status};

impl Session {
    /// The evidence behind the status, oldest to newest.
    pub(crate) fn explain(&self) -> Vec<protocol::EvidenceStep<'_>> {
        self.trail.steps()
    }

    fn reason(&self) -> Option<Cow<'_, str>> {
        match (&self.ended, &self.reported) {
            (Some(_), _) => None,
            (None, Some(reported)) => reported.reason.as_deref().map(Cow::Borrowed),
            (None, None) => self.turns.now().reason(),
        }
    }

    /// All of it, as the protocol tells it.
    pub(crate) fn record(&self) -> SessionRecord<'_> {
        let (status, waiting_for) = self.status();
        let evidence = [
            (EvidenceKind::Hook, &self.hook),
            (EvidenceKind::Registry, &self.registry),
            (EvidenceKind::Report, &self.report),
            (EvidenceKind::Process, &self.exit),
        ];
        SessionRecord {
            key: Cow::Borrowed(&self.key),
            agent: Cow::Borrowed(&self.agent),
            session_id: text(self.id.as_deref()),
            previous_session_ids: self
                .previous_ids
                .iter()
                .map(|id| Cow::Borrowed(&**id))
                .collect(),
            status,
            waiting_for,
            attention: match status {
                Status::Waiting | Status::Error => true,
                Status::Idle => match &self.reported {
                    Some(reported) => reported.unseen,
                    None => self.turns.now().is_unseen(),
                },
                Status::Working | Status::Closed | Status::Unknown => false,
            },
            since: self.since,
            reason: self.reason(),
            title: text(self.title.as_deref()),
            cwd: text(self.cwd.as_deref()),
            pid: self.process.map(|process| process.pid),
            process_start: self.process.and_then(|process| process.start),
            terminal: self.terminal.as_deref().map(Cow::Borrowed),
            permission_mode: text(self.permission_mode.as_deref()),
            model: text(self.model.as_deref()),
            context_percent: self.context_percent,
            cost_usd: self.cost_usd,
            subagents: self.turns.now().subagents(),
            background: self.turns.now().shells(),
            history: self.history.iter().copied().collect(),
            evidence: evidence
                .into_iter()
                .filter_map(|(kind, word)| {
                    let word = word.as_ref()?;
                    Some(protocol::Evidence {
                        kind,
                        at: word.at,
                        what: Cow::Borrowed(&word.what),
                    })
                })
                .collect(),
            started_at: self.started_at,
            ended_at: self.ended.as_ref().map(|ended| ended.at),
            end_reason: self
                .ended
                .as_ref()
                .map(|ended| Cow::Borrowed(&*ended.reason)),
        }
    }
}

fn text(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.map(Cow::Borrowed)
}
