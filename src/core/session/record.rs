//! A session as the protocol has it.

use std::borrow::Cow;

use super::{Session, Title};
use crate::core::AttentionRules;
use crate::protocol::{self, SessionRecord, Status, WaitingFor};

impl Session {
    /// The evidence behind the status, oldest to newest.
    pub(crate) fn explain(&self) -> Vec<protocol::EvidenceStep<'_>> {
        self.evidence.log.steps()
    }

    fn reason(&self) -> Option<Cow<'_, str>> {
        match (&self.ended, &self.scripted) {
            (Some(_), _) => None,
            (None, _) if self.is_stopped() => Some(Cow::Borrowed("stopped: `fg` continues it")),
            (None, Some(scripted)) => scripted.reason.as_deref().map(Cow::Borrowed),
            (None, None) => self.turns.now().reason(),
        }
    }

    /// Whether a person is needed at a session of this status.
    pub(crate) fn attention(&self, status: Status, rules: AttentionRules) -> bool {
        let is_scripted = self.scripted.is_some();
        if self.ended.is_some() || (!self.attended && !is_scripted) {
            // A run without a person needs none.
            return false;
        }
        if self.is_stopped() || (rules.quiet && self.quiet_since.is_some()) {
            return true;
        }
        match (status, &self.scripted) {
            (Status::Working | Status::Closed | Status::Unknown, _) => false,
            (Status::Waiting | Status::Error, _) => true,
            (Status::Idle, Some(scripted)) => scripted.unread,
            (Status::Idle, None) => self.turns.now().needs_person(rules.background_shell),
        }
    }

    /// True if whether it needs a person depends on which of these rules apply.
    pub(crate) fn attention_differs(&self, rules: AttentionRules, others: AttentionRules) -> bool {
        let status = self.status().0;
        self.attention(status, rules) != self.attention(status, others)
    }

    /// All of it. `rules`: when a person is needed.
    pub(crate) fn record(&self, rules: AttentionRules) -> SessionRecord<'_> {
        SessionRecord {
            history: self.committed.history.iter().copied().collect(),
            evidence: self.evidence.record(),
            ..self.brief_record(rules)
        }
    }

    /// The same without history and evidence.
    pub(crate) fn brief_record(&self, rules: AttentionRules) -> SessionRecord<'_> {
        let (status, waiting_for) = self.status();
        let (identity, description) = (&self.identity, &self.description);
        let turn = self.turns.now();
        SessionRecord {
            key: Cow::Borrowed(&identity.key),
            agent: Cow::Borrowed(&identity.agent),
            session_id: text(identity.id.as_deref()),
            previous_session_ids: identity
                .previous_ids
                .iter()
                .map(|id| Cow::Borrowed(&**id))
                .collect(),
            status,
            waiting_for,
            attention: self.attention(status, rules),
            since: self.committed.since,
            reason: self.reason(),
            question: text(description.question.as_deref()).filter(|_| asks(waiting_for)),
            title: text(description.title.as_ref().map(Title::text)),
            start_cwd: text(description.start_cwd.as_deref()),
            cwd: text(description.cwd.as_deref()),
            pid: self.shown_process().map(|process| process.pid),
            process_start: self.shown_process().and_then(|process| process.start),
            terminal: description.terminal.as_deref().map(Cow::Borrowed),
            permission_mode: text(description.permission_mode.as_deref()),
            model: text(description.model.as_deref()),
            context_percent: description.context_percent,
            cost_usd: description.cost_usd,
            account: text(self.account()),
            subagents: turn.subagents(),
            background: turn.background_shells(),
            resumes: turn.resumes(),
            hooks_silent_since: turn.hooks_silent_since(),
            stopped_since: self.stopped_since.filter(|_| self.ended.is_none()),
            quiet_since: self.quiet_since,
            history: Vec::new(),
            evidence: Vec::new(),
            started_at: self.started_at,
            ended_at: self.ended_at(),
            end_reason: self.ended.as_ref().map(|ended| ended.reason.clone()),
        }
    }
}

/// True if a session that waits for this waits for the answer to a question in words.
pub(super) fn asks(waiting_for: Option<WaitingFor>) -> bool {
    matches!(waiting_for, Some(WaitingFor::Answer | WaitingFor::Plan))
}

fn text(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.map(Cow::Borrowed)
}
