//! What a person does at the terminal, or has the agent do.

use proptest::prelude::*;

/// What a person does, or has the agent do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// A prompt, some tools that need no leave, an answer.
    Turn(u8),
    /// A tool that needs leave: what it is, whether a request is sent, and what the person says.
    Ask(Tool, Announced, Answer),
    /// Esc while it streams.
    Interrupt,
    /// Esc while a tool runs.
    InterruptTool,
    /// A second prompt while the first is answered.
    Queue,
    /// A subagent that outlives the main turn; it may ask for leave, too.
    Subagent(Option<Answer>),
    /// A background task that outlives the turn, and how it ends.
    Background(Task, TaskEnd),
    /// A prompt that the agent submits by itself, later.
    Schedule,
    /// The hooks are switched off before a turn, which ends by itself, and on after it.
    Silent(u8),
    /// The hooks are switched off within a turn, and on after it.
    FallSilent,
    /// The report of a turn's end is lost; a minute later the agent reminds of it.
    LostEnd,
    /// The service fails.
    Fail,
    /// A menu is opened and left.
    Menu,
    /// A local command that takes a moment only.
    Flash,
    /// A shell command of the person's own, long enough to be seen.
    Bang,
    Clear,
    /// Ctrl-Z while it works or rests, then `fg`.
    Suspend,
    /// Another Stop hook makes the agent continue.
    StopBlocked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Shell,
    Monitor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TaskEnd {
    /// It reports to the agent, which starts a turn.
    Reports,
    /// Only the registry shows it.
    Unseen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Bash,
    Question,
    Plan,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Announced {
    /// As a rule.
    ByRequest,
    /// In auto mode a dialog may come without a request.
    ByRegistryOnly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    /// By another hook: no dialog ever opens.
    Hook,
}

pub(super) fn act() -> impl Strategy<Value = Act> {
    let tool = prop::sample::select(vec![Tool::Bash, Tool::Question, Tool::Plan]);
    let announced = prop::sample::select(vec![Announced::ByRequest, Announced::ByRegistryOnly]);
    let answer = prop::sample::select(vec![Answer::Yes, Answer::No, Answer::Hook]);
    let task = prop::sample::select(vec![Task::Shell, Task::Monitor]);
    let task_end = prop::sample::select(vec![TaskEnd::Reports, TaskEnd::Unseen]);
    let sub_answer = prop::option::of(prop::sample::select(vec![Answer::Yes, Answer::No]));
    prop_oneof![
        2 => (0..3_u8).prop_map(Act::Turn),
        5 => (tool, announced, answer).prop_map(|(tool, announced, answer)| Act::Ask(tool, announced, answer)),
        1 => Just(Act::Interrupt),
        1 => Just(Act::InterruptTool),
        1 => Just(Act::Queue),
        2 => sub_answer.prop_map(Act::Subagent),
        2 => (task, task_end).prop_map(|(task, end)| Act::Background(task, end)),
        1 => Just(Act::Schedule),
        1 => (0..3_u8).prop_map(Act::Silent),
        1 => Just(Act::FallSilent),
        1 => Just(Act::LostEnd),
        1 => Just(Act::Fail),
        1 => Just(Act::Menu),
        1 => Just(Act::Flash),
        1 => Just(Act::Bang),
        1 => Just(Act::Clear),
        1 => Just(Act::Suspend),
        1 => Just(Act::StopBlocked),
    ]
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Goodbye,
    Killed,
}
