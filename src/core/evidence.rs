//! The evidence behind a status: the last observation of each kind, and a bounded log of what was taken in, by which
//! rule, and what the status was then.
//!
//! The log is for `session.explain` alone; no rule reads it. The rules themselves are in [`super::turn`] and
//! [`super::session`], which answer each piece of evidence with the [`Rule`] that took it in.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::protocol::{self, EvidenceKind, EvidenceStep, Status, WaitingFor};

/// How many entries a session keeps: a page of a terminal, and under 2 KB.
const KEPT: usize = 24;

/// What a source said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observation {
    /// When, by the clock of who observed it, in ms since the epoch.
    pub(crate) at: u64,
    /// What: a hook event's name, a registry status, `exited`, a reported status.
    pub(crate) what: Cow<'static, str>,
}

/// All evidence of one session.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// From the agent's hooks.
    pub(crate) hook: Option<Observation>,
    /// From the agent's registry.
    pub(crate) registry: Option<Observation>,
    /// From a script or a person.
    pub(crate) report: Option<Observation>,
    /// From the process table.
    pub(crate) process: Option<Observation>,
    pub(crate) log: EvidenceLog,
}

impl Evidence {
    /// The last of each kind, as the protocol has it.
    pub(crate) fn record(&self) -> Vec<protocol::Evidence<'_>> {
        let kinds = [
            (EvidenceKind::Hook, &self.hook),
            (EvidenceKind::Registry, &self.registry),
            (EvidenceKind::Report, &self.report),
            (EvidenceKind::Process, &self.process),
        ];
        let known = kinds
            .into_iter()
            .filter_map(|(kind, last)| Some((kind, last.as_ref()?)));
        known
            .map(|(kind, last)| protocol::Evidence {
                kind,
                at: last.at,
                what: Cow::Borrowed(&last.what),
            })
            .collect()
    }
}

/// One piece of evidence and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct EvidenceEntry {
    at: u64,
    kind: EvidenceKind,
    what: Cow<'static, str>,
    rule: Rule,
    status: Status,
    waiting_for: Option<WaitingFor>,
    /// It changed the status.
    decided: bool,
}

/// The entries, in the order of arrival.
#[derive(Debug, Default)]
pub(crate) struct EvidenceLog {
    entries: VecDeque<EvidenceEntry>,
}

impl EvidenceLog {
    /// Adds what was just applied; `status` is what the session came to by it.
    pub(crate) fn add(
        &mut self,
        at: u64,
        kind: EvidenceKind,
        what: Cow<'static, str>,
        rule: Rule,
        (status, waiting_for): (Status, Option<WaitingFor>),
    ) {
        let decided = self
            .entries
            .back()
            .is_none_or(|last| (last.status, last.waiting_for) != (status, waiting_for));
        if self.entries.len() == KEPT {
            // The one that decided is worth more than what has only agreed since.
            let first_spare = usize::from(self.last_decided() == Some(0) && !decided);
            self.entries.remove(first_spare);
        }
        self.entries.push_back(EvidenceEntry {
            at,
            kind,
            what,
            rule,
            status,
            waiting_for,
            decided,
        });
    }

    fn last_decided(&self) -> Option<usize> {
        self.entries.iter().rposition(|entry| entry.decided)
    }

    /// As the protocol has it: by time, the one that decided the present status marked.
    pub(crate) fn steps(&self) -> Vec<EvidenceStep<'_>> {
        let deciding = self.last_decided();
        let mut steps: Vec<_> = self
            .entries
            .iter()
            .enumerate()
            .map(|(place, entry)| EvidenceStep {
                at: entry.at,
                kind: entry.kind,
                what: Cow::Borrowed(&*entry.what),
                rule: Cow::Borrowed(entry.rule.name()),
                meaning: Cow::Borrowed(entry.rule.meaning()),
                status: entry.status,
                waiting_for: entry.waiting_for,
                decided: deciding == Some(place),
            })
            .collect();
        steps.sort_by_key(|step| step.at);
        steps
    }
}

/// The rule that took in a piece of evidence: what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Rule {
    SessionStarted,
    SessionReplaced,
    SessionEnded,
    PromptStarted,
    PromptQueued,
    TaskReported,
    ToolStarted,
    ToolEnded,
    BatchEnded,
    Active,
    AfterTheEnd,
    SubagentStarted,
    SubagentEnded,
    Asked,
    NobodyToAsk,
    AskReminded,
    ReminderKnown,
    ReminderLate,
    Answered,
    IdleReminded,
    IdleKnown,
    Compacted,
    TurnEnded,
    TurnEnding,
    TurnEndConfirmed,
    TurnEndedNextFollows,
    TurnEndedSubagentsGoOn,
    TurnFailed,
    RegistryAgrees,
    RegistryAsks,
    RegistryAnswered,
    RegistryDenied,
    RegistryIdle,
    RegistryBusy,
    RegistryUnknown,
    RegistryRemoved,
    Interrupted,
    FinishedUnannounced,
    WorksUnannounced,
    AskLapsed,
    Exited,
    Crashed,
    Stale,
    Reported,
    ClosedAlready,
    TooLate,
    Noted,
    Unknown,
}

impl Rule {
    /// The rule's name on the wire.
    pub(crate) const fn name(self) -> &'static str {
        self.entry().0
    }

    /// What it says, for a person.
    pub(crate) const fn meaning(self) -> &'static str {
        self.entry().1
    }

    #[expect(clippy::too_many_lines, reason = "a table")]
    const fn entry(self) -> (&'static str, &'static str) {
        match self {
            Self::SessionStarted => ("session_started", "a conversation begins: no turn runs"),
            Self::SessionReplaced => (
                "session_replaced",
                "the conversation ends, another follows in the same process",
            ),
            Self::SessionEnded => ("session_ended", "the agent has ended the session"),
            Self::PromptStarted => ("prompt_started", "a prompt begins a turn"),
            Self::PromptQueued => (
                "prompt_queued",
                "typed while a turn runs: another turn follows it",
            ),
            Self::TaskReported => (
                "task_reported",
                "a prompt of the agent's own: a background task has reported",
            ),
            Self::ToolStarted => ("tool_started", "a tool begins, so a turn runs"),
            Self::ToolEnded => (
                "tool_ended",
                "a tool has ended, so what it asked is answered and the turn goes on",
            ),
            Self::BatchEnded => (
                "batch_ended",
                "all tools of a message have ended, so the turn goes on",
            ),
            Self::Active => ("active", "happens only while a turn runs"),
            Self::AfterTheEnd => (
                "after_the_end",
                "belongs to a turn that has ended: changes nothing",
            ),
            Self::SubagentStarted => ("subagent_started", "a subagent runs"),
            Self::SubagentEnded => ("subagent_ended", "a subagent has ended"),
            Self::Asked => ("asked", "the agent asks a person"),
            Self::NobodyToAsk => (
                "nobody_to_ask",
                "no person sits at the session: the request is denied at once",
            ),
            Self::AskReminded => ("ask_reminded", "the agent says that it waits for a person"),
            Self::ReminderKnown => ("reminder_known", "repeats what is known"),
            Self::ReminderLate => (
                "reminder_late",
                "a reminder of a question that has been answered",
            ),
            Self::Answered => ("answered", "a person has answered"),
            Self::IdleReminded => (
                "idle_reminded",
                "the agent says that it has been idle: the turn's end was missed",
            ),
            Self::IdleKnown => ("idle_known", "idle, as is known"),
            Self::Compacted => (
                "compacted",
                "the conversation was compacted between turns, at a person's wish",
            ),
            Self::TurnEnded => ("turn_ended", "the turn has ended: a person should look"),
            Self::TurnEnding => (
                "turn_ending",
                "the turn ends once the registry says so, too: until then other hooks may keep it going",
            ),
            Self::TurnEndConfirmed => (
                "turn_end_confirmed",
                "the registry confirms the turn's end: a person should look",
            ),
            Self::TurnEndedNextFollows => (
                "turn_ended_next_follows",
                "the turn has ended, and that of the queued prompt begins",
            ),
            Self::TurnEndedSubagentsGoOn => (
                "turn_ended_subagents_go_on",
                "the main turn has ended, its subagents go on",
            ),
            Self::TurnFailed => ("turn_failed", "the turn has failed: a person should look"),
            Self::RegistryAgrees => ("registry_agrees", "agrees with what is known"),
            Self::RegistryAsks => ("registry_asks", "a dialog is open that no hook reported"),
            Self::RegistryAnswered => (
                "registry_answered",
                "busy again: a person has answered the dialog",
            ),
            Self::RegistryDenied => (
                "registry_denied",
                "idle after a dialog: a person has said no, and the turn is over",
            ),
            Self::RegistryIdle => ("registry_idle", "idle: counts if it stays so for a moment"),
            Self::RegistryBusy => ("registry_busy", "busy: counts if it stays so for a moment"),
            Self::RegistryUnknown => (
                "registry_unknown",
                "a status that this version does not know: changes nothing",
            ),
            Self::RegistryRemoved => (
                "registry_removed",
                "the agent has removed its registry entry: it is leaving",
            ),
            Self::Interrupted => (
                "interrupted",
                "idle for a moment while the hooks were silent: a person has interrupted the turn",
            ),
            Self::FinishedUnannounced => (
                "finished_unannounced",
                "idle for a moment after work that no hook reported: the turn has ended",
            ),
            Self::WorksUnannounced => (
                "works_unannounced",
                "busy for a moment: a turn runs that no hook reported",
            ),
            Self::AskLapsed => (
                "ask_lapsed",
                "busy, and no dialog has opened: the question was answered without a person",
            ),
            Self::Exited => (
                "exited",
                "the process has exited after its registry entry was removed",
            ),
            Self::Crashed => (
                "crashed",
                "the process has exited without ending its session",
            ),
            Self::Stale => (
                "stale",
                "no report for a day, and there is no process to watch",
            ),
            Self::Reported => ("reported", "reported by a script or a person"),
            Self::ClosedAlready => ("closed_already", "the session is over: changes nothing"),
            Self::TooLate => (
                "too_late",
                "arrived too late to be ordered: changes nothing",
            ),
            Self::Noted => ("noted", "says nothing about the status"),
            Self::Unknown => (
                "unknown",
                "an event that this version does not know: changes nothing",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(log: &mut EvidenceLog, at: u64, status: Status) {
        let what = Cow::Borrowed("Stop");
        log.add(
            at,
            EvidenceKind::Hook,
            what,
            Rule::TurnEnded,
            (status, None),
        );
    }

    #[test]
    fn what_decided_is_kept_however_much_agrees_with_it() {
        let mut log = EvidenceLog::default();
        add(&mut log, 1, Status::Idle);
        add(&mut log, 2, Status::Working);
        for at in 3..200 {
            add(&mut log, at, Status::Working);
        }
        let steps = log.steps();
        assert_eq!(steps.len(), KEPT);
        assert_eq!((steps[0].at, steps[0].decided), (2, true));
        assert_eq!(steps.iter().filter(|step| step.decided).count(), 1);
        assert_eq!(steps[KEPT - 1].at, 199);
        add(&mut log, 200, Status::Idle);
        assert!(log.steps()[KEPT - 1].decided);
    }

    #[test]
    fn what_came_late_is_shown_where_it_happened() {
        let mut log = EvidenceLog::default();
        for at in [10, 30, 20] {
            add(&mut log, at, Status::Working);
        }
        let at: Vec<_> = log.steps().iter().map(|step| step.at).collect();
        assert_eq!(at, [10, 20, 30]);
    }
}
