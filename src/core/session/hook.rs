//! What hooks and an agent's files report of a session: its conversation, its directory, the events of its turn, its end.
//!
//! Events are ordered by the stamp of the hook that saw them, not by arrival: one that was overtaken still moves the
//! turn, at its place in the [`ReorderBuffer`](crate::core::turn::reorder::ReorderBuffer).

use super::record::asks;
use super::{Ended, EndedBy, Processes, Session, Title, replace};
use crate::core::evidence::{Observation, Rule};
use crate::core::stamp::Skew;
use crate::core::turn::HookEvent;
use crate::core::turn::reorder::{Step, TooLate};
use crate::event::{AgentEvent, EventKind, Report, Source, TurnEvent};
use crate::protocol::{EndReason, EvidenceKind};

impl Session {
    /// True if an event of this kind may begin a session. What a file says of a turn may be about one that ended long ago.
    pub(crate) fn begins_with(kind: &EventKind, source: Source) -> bool {
        match kind {
            EventKind::SessionStarted | EventKind::SessionSeen => true,
            EventKind::SessionEnded { .. }
            | EventKind::Detached
            | EventKind::Noted
            | EventKind::Unknown => false,
            EventKind::Turn(_) if source == Source::File => false,
            EventKind::Turn(turn) => !matches!(turn, TurnEvent::SubagentEnded),
        }
    }

    /// How wrong the clock of this source was with its last event; `None`: there was none. Of an agent's files that have
    /// not said anything yet it is that of its hooks.
    pub(crate) fn skew(&self, source: Source) -> Option<Skew> {
        let (last, skew) = match source {
            Source::File if self.evidence.file.is_some() => (&self.evidence.file, self.skew.file),
            Source::Hook | Source::File => (&self.evidence.hook, self.skew.hook),
        };
        last.is_some().then_some(skew)
    }

    /// Keeps it for the next one.
    pub(crate) fn set_skew(&mut self, source: Source, skew: Skew) {
        match source {
            Source::Hook => self.skew.hook = skew,
            Source::File => self.skew.file = skew,
        }
    }

    /// Applies an event that a hook or a file has reported, with a stamp that was judged; false if it changed nothing.
    /// `prompts`: whether a prompt's text may be kept.
    pub(crate) fn apply_report(
        &mut self,
        report: &Report,
        event: AgentEvent,
        processes: Processes,
        prompts: bool,
    ) -> bool {
        self.set_timing(report.timing);
        let source = report.source;
        let kind = match source {
            Source::Hook => EvidenceKind::Hook,
            Source::File => EvidenceKind::File,
        };
        let last = self.evidence.of(source).as_ref().map(|last| last.at);
        let is_older_than = |last: Option<u64>| last.is_some_and(|last| report.at < last);
        let name = event.name.clone();
        if self.is_of_former_conversation(report, &event) {
            self.log_evidence(report.at, kind, name, Rule::OtherConversation);
            return true;
        }
        let reported_attended = report.attended.or(event.attended);
        let attended = reported_attended.unwrap_or(self.attended);
        if is_older_than(last) {
            // It still happened. What it says of the present (directory, mode, conversation) a newer one has said.
            if self.ended.is_some() {
                return false;
            }
            let outcome = self.advance(event, report.at, attended, prompts);
            let rule = outcome.unwrap_or(Rule::TooLate);
            self.log_evidence(report.at, kind, name, rule);
            return outcome.is_ok();
        }
        let report_is_newer = is_older_than(self.evidence.report.as_ref().map(|last| last.at));
        *self.evidence.of(source) = Some(Observation {
            at: report.at,
            what: name.clone(),
        });
        if self.stays_closed(&event.kind, report.at) {
            self.log_evidence(report.at, kind, name, Rule::ClosedAlready);
            return true;
        }
        let was_closed = self.is_closed();
        self.reopen();
        if !report_is_newer {
            self.scripted = None;
        }
        self.set_processes(processes);
        self.attended = reported_attended.unwrap_or(self.attended);
        let former = self.identity.id.clone();
        let event = self.describe(report, event, prompts);
        self.keep_files(report, &event, former.as_deref());
        let rule = if event.kind == EventKind::SessionSeen {
            let is_another = was_closed || self.identity.id != former || self.evidence.is_first();
            self.seen(report.at, is_another)
        } else {
            self.advance(event, report.at, self.attended, prompts)
        };
        let rule = rule.unwrap_or(Rule::TooLate);
        self.log_evidence(report.at, kind, name, rule);
        true
    }

    /// A source shows the session open. `is_another`: it was not, or another conversation was.
    fn seen(&mut self, at: u64, is_another: bool) -> Result<Rule, TooLate> {
        if is_another {
            let reset = Step::Reset(Rule::SessionSeen);
            self.turns.insert(at, reset, self.timing)?;
        }
        Ok(Rule::SessionSeen)
    }

    /// True if a file still writes of a conversation that the session has left.
    fn is_of_former_conversation(&self, report: &Report, event: &AgentEvent) -> bool {
        let is_about_turn = match &event.kind {
            EventKind::SessionStarted | EventKind::SessionSeen => false,
            EventKind::Turn(turn) => !matches!(turn, TurnEvent::PromptSubmitted { .. }),
            EventKind::SessionEnded { .. }
            | EventKind::Detached
            | EventKind::Noted
            | EventKind::Unknown => true,
        };
        let id = event.session_id.as_deref();
        report.source == Source::File
            && is_about_turn
            && id.is_some_and(|id| self.had_id(id) && !self.has_id(id))
    }

    /// Takes what the event says of the present.
    fn describe(&mut self, report: &Report, mut event: AgentEvent, prompts: bool) -> AgentEvent {
        let description = &mut self.description;
        if let Some(terminal) = &report.terminal {
            description.terminal = Some(terminal.clone());
        }
        if description.start_cwd.is_none() {
            description.start_cwd.clone_from(&event.cwd);
        }
        replace(&mut description.cwd, event.cwd.take());
        match &event.kind {
            EventKind::Turn(TurnEvent::ToolStarted { asks_for, .. }) if asks(Some(*asks_for)) => {
                description.question = event.question.take().filter(|_| prompts);
            }
            EventKind::Turn(TurnEvent::Asked { waiting_for, .. }) if asks(Some(*waiting_for)) => {
                replace(
                    &mut description.question,
                    event.question.take().filter(|_| prompts),
                );
            }
            EventKind::Turn(
                TurnEvent::PromptSubmitted { .. }
                | TurnEvent::Answered { .. }
                | TurnEvent::Ended { .. }
                | TurnEvent::Failed { .. }
                | TurnEvent::Interrupted,
            ) => description.question = None,
            _ => {}
        }
        replace(
            &mut description.permission_mode,
            event.permission_mode.take(),
        );
        replace(&mut description.model, event.model.take());
        description.context_percent = event.context_percent.or(description.context_percent);
        description.cost_usd = event.cost_usd.or(description.cost_usd);
        let is_newest = report.source == Source::Hook || report.at >= self.identity.id_at;
        // Several conversations of a process may end at once.
        let ends =
            matches!(event.kind, EventKind::SessionEnded { .. }) && self.identity.id.is_some();
        let is_silent = matches!(
            event.kind,
            EventKind::Detached | EventKind::Noted | EventKind::Unknown
        );
        let says = !ends && !is_silent;
        if is_newest && says {
            self.identity.id_at = report.at;
            if self.set_session_id(event.session_id.take()) {
                // The title was about another conversation.
                self.description.title = None;
            }
        }
        // The agent may have made it of a prompt.
        if let Some(title) = event.title.take().filter(|_| prompts) {
            self.description.title = Some(Title::Agent(title));
        }
        event
    }

    /// False if the session is open, or this event shows that it lives. A session closed by its agent or by process exit
    /// opens again only with a new start (all else was sent before the end); one closed by a script or by silence, with
    /// any later event.
    fn stays_closed(&mut self, event: &EventKind, at: u64) -> bool {
        let Some(ended) = &mut self.ended else {
            return false;
        };
        match (ended.by, event) {
            (_, EventKind::SessionStarted) => false,
            (_, EventKind::SessionSeen) => at <= ended.at,
            // The agent's own end, which the exit had overtaken.
            (
                EndedBy::Exit | EndedBy::Silence,
                EventKind::SessionEnded {
                    reason,
                    process_goes_on: false,
                },
            ) => {
                ended.reason = EndReason::Other(String::from(reason.clone()).into());
                ended.by = EndedBy::Agent;
                true
            }
            (EndedBy::Agent | EndedBy::Exit, _) => true,
            (EndedBy::Silence | EndedBy::Script, event) => {
                at < ended.at || !Self::begins_with(event, Source::Hook)
            }
        }
    }

    /// What an event does to the turn or to the session's end, at its place among the others; `Err` if it comes too
    /// late to do anything.
    fn advance(
        &mut self,
        event: AgentEvent,
        at: u64,
        attended: bool,
        prompts: bool,
    ) -> Result<Rule, TooLate> {
        let mut title = None;
        let step = match event.kind {
            EventKind::SessionStarted => Step::Reset(Rule::SessionStarted),
            EventKind::SessionEnded {
                process_goes_on: true,
                ..
            } => Step::Reset(Rule::SessionReplaced),
            EventKind::SessionEnded {
                reason,
                process_goes_on: false,
            } => {
                if self.turns.has_reset_since(at) {
                    return Err(TooLate);
                }
                let by = EndedBy::Agent;
                let reason = EndReason::Other(String::from(reason).into());
                self.ended = Some(Ended { at, reason, by });
                return Ok(Rule::SessionEnded);
            }
            EventKind::SessionSeen => return Ok(Rule::SessionSeen),
            EventKind::Detached => {
                self.detach();
                return Ok(Rule::Detached);
            }
            EventKind::Noted => return Ok(Rule::Noted),
            EventKind::Unknown => return Ok(Rule::Unknown),
            EventKind::Turn(turn) => {
                title = self.title_from_prompt(&turn).filter(|_| prompts);
                Step::Hook(HookEvent::new(
                    turn,
                    event.subagent,
                    event.prompt_id,
                    attended,
                ))
            }
        };
        let rule = self.turns.insert(at, step, self.timing)?;
        // Only now: an event that comes too late changes nothing.
        if title.is_some() {
            self.description.title = title;
        }
        Ok(rule.unwrap_or(Rule::Noted))
    }

    /// The first prompt is what a session is about, where nothing better is known.
    fn title_from_prompt(&self, turn: &TurnEvent) -> Option<Title> {
        match turn {
            TurnEvent::PromptSubmitted { text, .. } if self.description.title.is_none() => {
                text.clone().map(Title::Agent)
            }
            _ => None,
        }
    }
}
