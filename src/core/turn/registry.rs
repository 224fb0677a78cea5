//! What the agent's own registry tells of a turn, and what follows when time passes without a word.
//!
//! The registry is the only sign of an interrupt, a "No", a "Yes" and of a session whose hooks are silent; it says
//! little, a moment late, and flashes: when a subagent reports or a queued turn begins it is idle for 12 to 30 ms, and
//! busy for as long at a local command (Claude Code 2.1.330). So a word that contradicts the hooks counts once it has
//! stood for a moment, but for the one that closes a dialog, which counts at once.
//!
//! [`Turn::next_timeout`] says when such a moment is over, [`Turn::handle_timeout`] applies what follows. Every step applies first what was
//! due before it, so the outcome depends on the stamps only, not on when a timer fired.

use super::{PendingPrompt, Phase, Source, Turn};
use crate::core::evidence::Rule;
use crate::event::RegistryStatus;
use crate::protocol::WaitingFor;

/// How long a word must stand, in ms: five times the longest flash that was seen, and short enough that an interrupt
/// shows at once to a person.
const SETTLE_MS: u64 = 150;

/// The same where another turn is expected to begin: subagents have reported, or a prompt was queued.
const SETTLE_NEXT_MS: u64 = 500;

/// How much later than the registry's word a hook may be stamped that fired before it. A hook beyond that is news, and
/// a registry that does not follow is out of order.
const RACE_MS: u64 = 500;

/// How long the registry, which follows a hook within 20 to 120 ms, may keep saying busy of an agent that has asked,
/// before it is believed: no dialog has opened.
const CONFIRM_MS: u64 = 1000;

/// What time brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Elapsed {
    /// The registry stays idle: no turn runs.
    Idle,
    /// The registry stays busy: a turn runs.
    Busy,
    /// The registry stays busy though a hook has asked.
    Lapsed,
}

impl Turn {
    /// Takes in the registry's word of `at`.
    pub(crate) fn apply_registry(&mut self, says: RegistryStatus, attended: bool, at: u64) -> Rule {
        let before = self.registry.replace((says, at)).map(|(status, _)| status);
        let was_waiting = matches!(before, Some(RegistryStatus::Waiting(_)));
        match says {
            RegistryStatus::Unknown => Rule::RegistryUnknown,
            RegistryStatus::Waiting(_) if !attended => Rule::NobodyToAsk,
            RegistryStatus::Waiting(waiting_for) => self.registry_waits(waiting_for, at),
            RegistryStatus::Busy if was_waiting && !self.pending.is_empty() => {
                self.answer_all();
                self.unread = false;
                if !self.is_open() && !self.has_subagents() {
                    self.phase = Phase::SeenRunning;
                }
                Rule::RegistryAnswered
            }
            RegistryStatus::Idle | RegistryStatus::Shell
                if was_waiting && !self.pending.is_empty() =>
            {
                self.answer_all();
                self.end();
                self.unread = false;
                Rule::RegistryDenied
            }
            RegistryStatus::Idle | RegistryStatus::Shell if self.phase == Phase::Stopping => {
                self.end();
                Rule::TurnEndConfirmed
            }
            RegistryStatus::Busy if self.next_timeout().is_some() => {
                if matches!(self.next(), Some((_, Elapsed::Busy))) {
                    // Out of itself it does nothing: a person has typed, be it a command of a moment.
                    self.unread = false;
                }
                Rule::RegistryBusy
            }
            RegistryStatus::Idle | RegistryStatus::Shell if self.next_timeout().is_some() => {
                Rule::RegistryIdle
            }
            RegistryStatus::Busy | RegistryStatus::Idle | RegistryStatus::Shell => {
                Rule::RegistryAgrees
            }
        }
    }

    fn registry_waits(&mut self, waiting_for: WaitingFor, at: u64) -> Rule {
        if self.pending.iter().any(|ask| ask.source == Source::Hook) {
            return Rule::RegistryAgrees;
        }
        // "permission prompt" is also what it says of a plan: the tool knows better.
        let finer = (waiting_for != WaitingFor::Permission).then_some(waiting_for);
        let mut ask = self.infer_prompt(finer, at);
        if waiting_for == WaitingFor::Dialog {
            // A menu is about no tool.
            ask.tool = None;
        }
        self.pending = vec![ask];
        Rule::RegistryAsks
    }

    /// The registry's word of before everything that hooks have told: it decides nothing but what a later one means.
    pub(crate) fn set_earlier_registry(&mut self, says: RegistryStatus, at: u64) {
        self.registry.get_or_insert((says, at));
    }

    /// The clock was set back: whatever is known is before what comes.
    pub(crate) fn forget_stamps(&mut self) {
        self.began_at = 0;
        self.worked_at = 0;
        self.over_at = 0;
        self.registry = self.registry.map(|(says, _)| (says, 0));
        for ask in self.pending.iter_mut().chain(&mut self.tool_calls) {
            ask.at = 0;
        }
    }

    /// The registry has no entry any more: what it said counts no longer.
    pub(crate) fn registry_removed(&mut self) -> Rule {
        self.registry = None;
        if self.phase == Phase::Stopping {
            self.end();
        }
        Rule::RegistryRemoved
    }

    /// When, by the stamps, something follows from nothing having been said; `None`: never, as things stand.
    pub(crate) fn next_timeout(&self) -> Option<u64> {
        self.next().map(|(at, _)| at)
    }

    fn next(&self) -> Option<(u64, Elapsed)> {
        let (says, at) = self.registry?;
        match says {
            RegistryStatus::Idle | RegistryStatus::Shell => self.idle_due(says, at),
            RegistryStatus::Busy => self.busy_due(at),
            RegistryStatus::Waiting(_) | RegistryStatus::Unknown => None,
        }
    }

    fn idle_due(&self, says: RegistryStatus, at: u64) -> Option<(u64, Elapsed)> {
        let is_idle = !self.is_open() && self.pending.is_empty() && !self.has_subagents();
        let shells_agree = (says == RegistryStatus::Shell) == (self.background_shells > 0);
        if (is_idle && shells_agree) || self.worked_at > at + RACE_MS {
            return None;
        }
        let next_expected = self.phase == Phase::RunningWithQueued || self.background_subagents > 0;
        let settle = if next_expected {
            SETTLE_NEXT_MS
        } else {
            SETTLE_MS
        };
        Some((at.max(self.worked_at) + settle, Elapsed::Idle))
    }

    fn busy_due(&self, at: u64) -> Option<(u64, Elapsed)> {
        if let Some(asked) = self.unconfirmed().filter(|_| self.is_registered_busy()) {
            return Some((at.max(asked) + CONFIRM_MS, Elapsed::Lapsed));
        }
        if self.is_open() || self.has_subagents() || !self.pending.is_empty() {
            return None;
        }
        (at > self.over_at).then_some((at + SETTLE_MS, Elapsed::Busy))
    }

    /// True if the registry has said of this turn, and not of one long gone, that it is busy: else it is out of order,
    /// and can't contradict a hook.
    pub(super) fn is_registered_busy(&self) -> bool {
        let Some((RegistryStatus::Busy, busy_at)) = self.registry else {
            return false;
        };
        busy_at + RACE_MS >= self.began_at
    }

    /// When a hook asked last for what no dialog has shown: with one, the registry would not be busy.
    fn unconfirmed(&self) -> Option<u64> {
        // Of what is not a tool's, nobody has seen what the registry says.
        let of_tools = |ask: &&PendingPrompt| ask.source == Source::Hook && ask.tool.is_some();
        self.pending.iter().filter(of_tools).map(|ask| ask.at).max()
    }

    /// Applies what has come due by `at`, if anything; says which rule was applied last.
    pub(crate) fn handle_timeout(&mut self, at: u64) -> Option<Rule> {
        let mut applied = None;
        while let Some((due, what)) = self.next().filter(|(due, _)| *due <= at) {
            applied = Some(self.apply(what, due));
        }
        applied
    }

    fn apply(&mut self, what: Elapsed, at: u64) -> Rule {
        match what {
            Elapsed::Idle => {
                let worked = self.is_open() || self.has_subagents() || !self.pending.is_empty();
                let run = self.phase;
                self.subagents.clear();
                self.background_subagents = 0;
                self.answer_all();
                self.end();
                self.over_at = at;
                let shell = matches!(self.registry, Some((RegistryStatus::Shell, _)));
                self.background_shells = if shell {
                    self.background_shells.max(1)
                } else {
                    0
                };
                if !worked {
                    return Rule::RegistryAgrees;
                }
                match run {
                    Phase::SeenRunning if !self.has_hooks => {
                        self.unread = true;
                        Rule::FinishedUnannounced
                    }
                    // Where hooks tell the end of a turn, one without a word is an interrupt, and the person is there.
                    Phase::Idle
                    | Phase::Running
                    | Phase::Stopping
                    | Phase::SeenRunning
                    | Phase::RunningWithQueued => {
                        self.unread = false;
                        Rule::Interrupted
                    }
                }
            }
            Elapsed::Busy => {
                self.phase = Phase::SeenRunning;
                self.failure = None;
                Rule::WorksUnannounced
            }
            Elapsed::Lapsed => {
                self.answer_all();
                Rule::AskLapsed
            }
        }
    }
}
