//! The evidence behind a status: the last observation of each kind, and a bounded log of what was taken in, by which
//! rule, and what the status was then.
//!
//! The log is for `session.explain` alone; no rule reads it. The rules themselves are in [`super::turn`] and
//! [`super::session`], which answer each piece of evidence with the [`Rule`] that took it in.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::stamp::shift;
use crate::event::Source;
use crate::protocol::words::words;
use crate::protocol::{self, EvidenceKind, EvidenceStep, Status, WaitingFor};

/// How many entries a session keeps: a page of a terminal, and under 2 KB.
const KEPT: usize = 24;

/// What a source said last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Observation {
    /// When, by the clock of who observed it, in ms since the epoch.
    pub(crate) at: u64,
    /// What: a hook event's name, a registry status, `exited`, a reported status.
    pub(crate) what: Cow<'static, str>,
}

/// All evidence of one session.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Evidence {
    /// From the agent's hooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hook: Option<Observation>,
    /// From the agent's registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registry: Option<Observation>,
    /// From other files of the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<Observation>,
    /// From a script or a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) report: Option<Observation>,
    /// From the process table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) process: Option<Observation>,
    #[serde(skip)]
    pub(crate) log: EvidenceLog,
}

impl Evidence {
    /// The last that this kind of source has reported.
    pub(crate) fn of(&mut self, source: Source) -> &mut Option<Observation> {
        match source {
            Source::Hook => &mut self.hook,
            Source::File => &mut self.file,
        }
    }

    /// The wall clock was set by so many ms: every stamp moves with it.
    pub(crate) fn clock_was_set(&mut self, by: i64) {
        let Self {
            hook,
            registry,
            file,
            report,
            process,
            log,
        } = self;
        let last = [hook, registry, file, report, process];
        for last in last.into_iter().flatten() {
            shift(&mut last.at, by);
        }
        for entry in &mut log.entries {
            shift(&mut entry.at, by);
        }
    }

    /// True if nothing was taken in before.
    pub(crate) fn is_first(&self) -> bool {
        self.log.entries.is_empty()
    }

    /// The last of each kind, as the protocol has it, in the order of the kinds.
    pub(crate) fn record(&self) -> Vec<protocol::Evidence<'_>> {
        let kinds = [
            (EvidenceKind::Hook, &self.hook),
            (EvidenceKind::Registry, &self.registry),
            (EvidenceKind::File, &self.file),
            (EvidenceKind::Process, &self.process),
            (EvidenceKind::Report, &self.report),
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EvidenceEntry {
    at: u64,
    kind: EvidenceKind,
    what: Cow<'static, str>,
    rule: Rule,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<WaitingFor>,
    /// It changed the status.
    decided: bool,
}

/// The entries, in the order of arrival.
#[derive(Debug, Default)]
pub(crate) struct EvidenceLog {
    entries: VecDeque<EvidenceEntry>,
    /// How many of the last ones were not saved yet; at most [`KEPT`].
    unsaved: usize,
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
        self.push(EvidenceEntry {
            at,
            kind,
            what,
            rule,
            status,
            waiting_for,
            decided,
        });
    }

    /// Adds an entry that a log had before.
    pub(crate) fn push(&mut self, entry: EvidenceEntry) {
        if self.entries.len() == KEPT {
            // The one that decided is worth more than what has only agreed since.
            let first_spare = usize::from(self.last_decided() == Some(0) && !entry.decided);
            self.entries.remove(first_spare);
        }
        self.entries.push_back(entry);
        self.unsaved = KEPT.min(self.unsaved + 1);
    }

    pub(crate) fn has_unsaved(&self) -> bool {
        self.unsaved > 0
    }

    /// How many of the last entries were not saved yet; they count as saved from now on.
    pub(crate) fn take_unsaved(&mut self) -> usize {
        std::mem::take(&mut self.unsaved)
    }

    /// The last `count` entries, oldest first.
    pub(crate) fn last(&self, count: usize) -> impl Iterator<Item = &EvidenceEntry> {
        let before = self.entries.len().saturating_sub(count);
        self.entries.iter().skip(before)
    }

    /// The last piece of evidence that this rule took in.
    pub(crate) fn last_by(&self, rule: Rule) -> Option<(EvidenceKind, Cow<'static, str>)> {
        let entry = self.entries.iter().rfind(|entry| entry.rule == rule)?;
        Some((entry.kind, entry.what.clone()))
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
                rule: Cow::Borrowed(entry.rule.as_str()),
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

words! {
    /// The rule that took in a piece of evidence: what became of it.
    pub(crate) enum Rule {
        SessionStarted = "session_started",
        SessionSeen = "session_seen",
        Seen = "seen",
        SessionReplaced = "session_replaced",
        SessionEnded = "session_ended",
        PromptStarted = "prompt_started",
        PromptQueued = "prompt_queued",
        TaskReported = "task_reported",
        AgentPrompted = "agent_prompted",
        ToolStarted = "tool_started",
        ToolEnded = "tool_ended",
        BatchEnded = "batch_ended",
        Active = "active",
        AfterTheEnd = "after_the_end",
        SubagentStarted = "subagent_started",
        SubagentEnded = "subagent_ended",
        Asked = "asked",
        NobodyToAsk = "nobody_to_ask",
        Retrying = "retrying",
        TaskStarted = "task_started",
        TaskEnded = "task_ended",
        OtherConversation = "other_conversation",
        AskReminded = "ask_reminded",
        ReminderKnown = "reminder_known",
        ReminderLate = "reminder_late",
        Answered = "answered",
        IdleReminded = "idle_reminded",
        IdleKnown = "idle_known",
        IdleLate = "idle_late",
        Compacted = "compacted",
        TurnEnded = "turn_ended",
        TurnEndSettles = "turn_end_settles",
        TurnEnding = "turn_ending",
        TurnEndConfirmed = "turn_end_confirmed",
        TurnEndedNextFollows = "turn_ended_next_follows",
        TurnEndedSubagentsGoOn = "turn_ended_subagents_go_on",
        TurnFailed = "turn_failed",
        RegistryAgrees = "registry_agrees",
        RegistryAsks = "registry_asks",
        RegistryAnswered = "registry_answered",
        RegistryDenied = "registry_denied",
        RegistryIdle = "registry_idle",
        RegistryBusy = "registry_busy",
        RegistryUnknown = "registry_unknown",
        RegistryRemoved = "registry_removed",
        Interrupted = "interrupted",
        InterruptReported = "interrupt_reported",
        AfterInterrupt = "after_interrupt",
        ResultUnread = "result_unread",
        FinishedUnannounced = "finished_unannounced",
        SubagentsEnded = "subagents_ended",
        BackgroundEnded = "background_ended",
        ScheduleOverdue = "schedule_overdue",
        WorksUnannounced = "works_unannounced",
        AskLapsed = "ask_lapsed",
        Exited = "exited",
        ClientExited = "client_exited",
        Detached = "detached",
        Crashed = "crashed",
        Stale = "stale",
        Stopped = "stopped",
        Continued = "continued",
        Reported = "reported",
        ClosedAlready = "closed_already",
        TooLate = "too_late",
        Noted = "noted",
    }
}

impl Rule {
    /// What it says, for a person.
    #[expect(clippy::too_many_lines, reason = "a table")]
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::SessionStarted => "a conversation has begun, so no turn runs",
            Self::SessionSeen => "the session is open; whether a turn runs is not said",
            Self::Seen => "a person looks at the session",
            Self::SessionReplaced => {
                "the conversation has ended, and another one follows in the same process"
            }
            Self::SessionEnded => "the agent has ended the session",
            Self::PromptStarted => "a prompt has started a turn",
            Self::PromptQueued => {
                "a person has typed a prompt while a turn runs, so another turn follows"
            }
            Self::TaskReported => "a background task has reported, so the agent has started a turn",
            Self::AgentPrompted => "a prompt that no person has typed begins a turn",
            Self::ToolStarted => "a tool has started, so a turn runs",
            Self::ToolEnded => {
                "a tool has ended, so its question was answered and the turn goes on"
            }
            Self::BatchEnded => "all tools of one message have ended, so the turn goes on",
            Self::Active => "the agent sends this event only while a turn runs",
            Self::AfterTheEnd => {
                "the event belongs to a turn that has ended, so it changes nothing"
            }
            Self::SubagentStarted => "a subagent has started",
            Self::SubagentEnded => "a subagent has ended",
            Self::Asked => "the agent asks a person",
            Self::NobodyToAsk => {
                "no person sits at the session, so the agent denies the request itself"
            }
            Self::Retrying => {
                "a request to the model has failed and is tried again, so it still works"
            }
            Self::TaskStarted => "a background task has begun",
            Self::TaskEnded => "a background task has ended",
            Self::OtherConversation => {
                "it is about a conversation that this session no longer shows"
            }
            Self::AskReminded => "the agent reminds a person that it waits",
            Self::ReminderKnown => "the reminder repeats a question that is known",
            Self::ReminderLate => "the reminder is about a question that was answered",
            Self::Answered => "a person has answered",
            Self::IdleReminded => "the agent reports that it is idle, so no turn runs",
            Self::IdleKnown => "the agent reports that it is idle, which is known",
            Self::IdleLate => "the agent reports that it was idle before this turn began",
            Self::Compacted => "a person has compacted the conversation, and no turn runs",
            Self::TurnEnded => "the turn has ended, so a person should look",
            Self::TurnEndSettles => {
                "the turn has ended unless the turn of a queued prompt begins in a moment"
            }
            Self::TurnEnding => {
                "the turn has ended unless another hook continues it; the registry still says busy"
            }
            Self::TurnEndConfirmed => {
                "the registry says idle too, so the turn has ended and a person should look"
            }
            Self::TurnEndedNextFollows => {
                "the turn has ended, and the turn of the queued prompt begins"
            }
            Self::TurnEndedSubagentsGoOn => "the main turn has ended, and its subagents still run",
            Self::TurnFailed => "the turn has failed, so a person should look",
            Self::RegistryAgrees => "the registry agrees with the hooks",
            Self::RegistryAsks => "the registry shows a dialog that no hook has reported",
            Self::RegistryAnswered => {
                "the registry says busy after a dialog, so a person has answered it"
            }
            Self::RegistryDenied => {
                "the registry says idle after a dialog, so a person has refused and the turn has ended"
            }
            Self::RegistryIdle => "the registry says idle; this counts if it lasts for a moment",
            Self::RegistryBusy => "the registry says busy; this counts if it lasts for a moment",
            Self::RegistryUnknown => {
                "this version does not know the registry's status, so it changes nothing"
            }
            Self::RegistryRemoved => {
                "the agent has removed its registry entry, so it is about to exit"
            }
            Self::Interrupted => {
                "the registry has said idle for a moment and no hook has reported the turn's end, so a person has interrupted it"
            }
            Self::InterruptReported => "a person has ended the turn, so no person has to look",
            Self::AfterInterrupt => {
                "it belongs to the turn that a person has ended, so it changes nothing"
            }
            Self::ResultUnread => {
                "a subagent that outlived the turn has ended, so a person should look"
            }
            Self::FinishedUnannounced => {
                "the registry has said idle for a moment, so the turn that no hook had reported has ended"
            }
            Self::SubagentsEnded => {
                "the registry has said idle for a moment, so no subagent runs any more"
            }
            Self::BackgroundEnded => "the registry shows which background tasks still run",
            Self::ScheduleOverdue => {
                "a scheduled prompt has not come, so nothing resumes the session"
            }
            Self::WorksUnannounced => {
                "the registry has said busy for a moment, so a turn runs that no hook has reported"
            }
            Self::AskLapsed => {
                "the registry still says busy, so no dialog has opened and the question was answered without a person"
            }
            Self::Exited => {
                "the process has exited after its registry entry was removed, or its only turn was over, or it was a script's"
            }
            Self::ClientExited => {
                "the terminal is gone and the turn runs on; the session ends with it"
            }
            Self::Detached => {
                "the terminal shows another conversation; the session ends with its turn"
            }
            Self::Crashed => "the process has exited without ending its session",
            Self::Stale => "no source has reported for a day, and there is no process to watch",
            Self::Stopped => "a signal has stopped the process: a person must continue it",
            Self::Continued => "the process runs again",
            Self::Reported => "a script or a person has set the status",
            Self::ClosedAlready => "the session is closed, so the event changes nothing",
            Self::TooLate => "the event arrived too late to be put in order, so it changes nothing",
            Self::Noted => "the event does not concern the status",
            Self::Unknown => "this version does not know the event, so it changes nothing",
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
