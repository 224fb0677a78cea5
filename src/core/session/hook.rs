//! What hooks tell of a session: its conversation, its directory, what goes on in its turn, its end.
//!
//! Events are ordered by the stamp of the hook that saw them, not by arrival: one that was overtaken still moves the
//! turn, at its place in the [`super::Timeline`].

use super::{Ended, EndedBy, Process, Session, Word, replace};
use crate::core::rule::Rule;
use crate::core::turn::Happened;
use crate::core::turn::reorder::{Step, TooLate};
use crate::event::{AgentEvent, EventKind, Report, TurnEvent};
use crate::protocol::EvidenceKind;

/// How many former ids a key keeps: enough to find a session by the id it had before the last few `/clear`.
const PREVIOUS_IDS: usize = 8;

impl Session {
    /// True if an event of this kind may begin a session: what is only seen in passing may not.
    pub(crate) fn begins_with(kind: &EventKind) -> bool {
        match kind {
            EventKind::SessionStarted => true,
            EventKind::SessionEnded { .. } | EventKind::Noted | EventKind::Unknown => false,
            EventKind::Turn(turn) => !matches!(turn, TurnEvent::SubagentEnded),
        }
    }

    /// Takes a hook's event in; false if it changed nothing. `prompts`: whether a prompt's text may be kept.
    /// `now` in ms since the epoch.
    pub(crate) fn hooked(
        &mut self,
        report: &Report,
        mut event: AgentEvent,
        process: Option<Process>,
        prompts: bool,
        now: u64,
    ) -> bool {
        // A word of the future is from before the clock was set back: it overtakes nothing.
        let overtaken_by = |word: &Option<Word>| matches!(word, Some(word) if report.at < word.at && word.at <= now);
        if self.hook.as_ref().is_some_and(|word| word.at > now) {
            self.turns.forget_stamps();
        }
        let name = event.name.clone();
        if overtaken_by(&self.hook) {
            // It still happened. What it says of the present (directory, mode, whose conversation it is) the newer one has
            // said better.
            let attended = report.attended.unwrap_or(self.attended);
            if self.ended.is_some() {
                return false;
            }
            let outcome = self.advance(event, report.at, attended, prompts);
            let rule = outcome.unwrap_or(Rule::TooLate);
            self.remember(report.at, EvidenceKind::Hook, name, rule);
            return outcome.is_ok();
        }
        self.hook = Some(Word {
            at: report.at,
            what: name.clone(),
        });
        if self.stays_closed(&event.kind, report.at) {
            self.remember(report.at, EvidenceKind::Hook, name, Rule::ClosedAlready);
            return true;
        }
        self.reopen();
        if !overtaken_by(&self.report) {
            self.reported = None;
        }
        self.process = process.or(self.process);
        self.attended = report.attended.unwrap_or(self.attended);
        if let Some(terminal) = &report.terminal {
            self.terminal = Some(terminal.clone());
        }
        replace(&mut self.cwd, event.cwd.take());
        replace(&mut self.permission_mode, event.permission_mode.take());
        replace(&mut self.model, event.model.take());
        self.context_percent = event.context_percent.or(self.context_percent);
        self.cost_usd = event.cost_usd.or(self.cost_usd);
        let tells_id = !matches!(event.kind, EventKind::Noted | EventKind::Unknown);
        if tells_id {
            self.id_at = report.at;
            if self.rebind(event.session_id.take()) {
                // Another conversation: what the former one was about is not what this one is about.
                self.title = None;
                self.titled_by_script = false;
            }
        }
        if prompts {
            // The agent may have made it of a prompt.
            self.titled_by_script &= event.title.is_none();
            replace(&mut self.title, event.title.take());
        }
        let rule = self.advance(event, report.at, self.attended, prompts);
        let rule = rule.unwrap_or(Rule::TooLate);
        self.remember(report.at, EvidenceKind::Hook, name, rule);
        true
    }

    /// False if it is open, or this event shows that it lives: what its agent or the process table has ended, only a
    /// new start opens again (all else was on its way before the end); what a script or silence has, any later sign
    /// of life.
    fn stays_closed(&mut self, event: &EventKind, at: u64) -> bool {
        let Some(ended) = &mut self.ended else {
            return false;
        };
        match (ended.by, event) {
            (_, EventKind::SessionStarted) => false,
            // The goodbye that the exit had overtaken.
            (
                EndedBy::Exit | EndedBy::Silence,
                EventKind::SessionEnded {
                    reason,
                    process_goes_on: false,
                },
            ) => {
                ended.reason = reason.clone();
                ended.by = EndedBy::Agent;
                true
            }
            (EndedBy::Agent | EndedBy::Exit, _) => true,
            (EndedBy::Silence | EndedBy::Script, event) => {
                at < ended.at || !Self::begins_with(event)
            }
        }
    }

    /// The agent's id of the conversation may change under the key; the former ones are kept. True if it did.
    pub(super) fn rebind(&mut self, id: Option<Box<str>>) -> bool {
        if id.is_none() || id == self.id {
            return false;
        }
        // A former one that is taken up again is former no more.
        self.previous_ids
            .retain(|former| Some(former) != id.as_ref());
        let Some(former) = std::mem::replace(&mut self.id, id) else {
            return false;
        };
        if self.previous_ids.len() == PREVIOUS_IDS {
            self.previous_ids.remove(0);
        }
        self.previous_ids.push(former);
        true
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
        let step = match event.kind {
            EventKind::SessionStarted => Step::Begun(Rule::SessionStarted),
            EventKind::SessionEnded {
                process_goes_on: true,
                ..
            } => Step::Begun(Rule::SessionReplaced),
            EventKind::SessionEnded {
                reason,
                process_goes_on: false,
            } => {
                if self.turns.has_begun_since(at) {
                    return Err(TooLate);
                }
                let by = EndedBy::Agent;
                self.ended = Some(Ended { at, reason, by });
                return Ok(Rule::SessionEnded);
            }
            EventKind::Noted => return Ok(Rule::Noted),
            EventKind::Unknown => return Ok(Rule::Unknown),
            EventKind::Turn(turn) => {
                self.entitle(&turn, prompts);
                Step::Happened(Happened {
                    event: turn,
                    subagent: event.subagent,
                    prompt_id: event.prompt_id,
                    attended,
                })
            }
        };
        Ok(self.turns.take(at, step)?.unwrap_or(Rule::Noted))
    }

    /// The first prompt is what a session is about, where nothing better is known.
    fn entitle(&mut self, turn: &TurnEvent, prompts: bool) {
        if let TurnEvent::PromptSubmitted {
            text: Some(text), ..
        } = turn
            && prompts
            && self.title.is_none()
        {
            self.title = Some(text.clone());
        }
    }
}
