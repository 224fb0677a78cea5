//! The rules by which evidence becomes a status, by name: what `session.explain` shows beside each piece of evidence.
//!
//! Names and sentences only; the rules themselves are in [`super::turn`] and [`super::session`], which answer each
//! piece of evidence with the rule that took it in.

/// What became of a piece of evidence.
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
            Self::SessionEnded => ("session_ended", "the agent says goodbye"),
            Self::PromptStarted => ("prompt_started", "a prompt begins a turn"),
            Self::PromptQueued => (
                "prompt_queued",
                "typed while a turn runs: another turn follows it",
            ),
            Self::TaskReported => (
                "task_reported",
                "the agent's own prompt: a background task has reported",
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
            Self::Asked => ("asked", "it asks a person"),
            Self::NobodyToAsk => (
                "nobody_to_ask",
                "nobody sits there to be asked: denied at once",
            ),
            Self::AskReminded => ("ask_reminded", "it says that it waits for a person"),
            Self::ReminderKnown => ("reminder_known", "says again what is known"),
            Self::ReminderLate => ("reminder_late", "about something that has been answered"),
            Self::Answered => ("answered", "a person has answered"),
            Self::IdleReminded => (
                "idle_reminded",
                "it says that it has been idle: the turn's end was missed",
            ),
            Self::IdleKnown => ("idle_known", "idle, as is known"),
            Self::Compacted => (
                "compacted",
                "the conversation was compacted between turns, at a person's wish",
            ),
            Self::TurnEnded => ("turn_ended", "the turn has ended: a person should look"),
            Self::TurnEnding => (
                "turn_ending",
                "the turn is to end, once the registry says so, too: until then hooks of others may keep it going",
            ),
            Self::TurnEndConfirmed => (
                "turn_end_confirmed",
                "the turn has ended, as its hook has said: a person should look",
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
            Self::RegistryAsks => ("registry_asks", "a dialog is open that no hook told of"),
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
                "a word of a version that this one doesn't know: changes nothing",
            ),
            Self::RegistryRemoved => ("registry_removed", "the agent signs off: it is leaving"),
            Self::Interrupted => (
                "interrupted",
                "idle for a moment without a word from the hooks: a person has interrupted the turn",
            ),
            Self::FinishedUnannounced => (
                "finished_unannounced",
                "idle for a moment after work that no hook told of: the turn has ended",
            ),
            Self::WorksUnannounced => (
                "works_unannounced",
                "busy for a moment: a turn runs that no hook told of",
            ),
            Self::AskLapsed => (
                "ask_lapsed",
                "busy, and no dialog has opened: the question was answered by itself",
            ),
            Self::Exited => ("exited", "the process is gone after it signed off"),
            Self::Crashed => ("crashed", "the process is gone and had said nothing"),
            Self::Stale => (
                "stale",
                "nothing was heard for a day and no process can be watched",
            ),
            Self::Reported => ("reported", "a script or a person says so"),
            Self::ClosedAlready => ("closed_already", "the session is over: changes nothing"),
            Self::TooLate => (
                "too_late",
                "came too late to be put in its place: changes nothing",
            ),
            Self::Noted => ("noted", "says nothing about the status"),
            Self::Unknown => (
                "unknown",
                "an event that this version doesn't know: changes nothing",
            ),
        }
    }
}
