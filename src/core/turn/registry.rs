//! What the agent's own registry says of a turn, and what follows when time passes in silence.
//!
//! The registry is the only sign of an interrupt, a "No", a "Yes" and of a session whose hooks are silent; it says
//! little, a moment late, and flashes between two turns. So a status that contradicts the hooks counts once it has lasted
//! for a moment ([`Timing`]), except for the one that closes a dialog, which counts at once.
//!
//! [`Turn::next_timeout`] returns when such a moment is over, [`Turn::handle_timeout`] applies what follows. Every step
//! applies first what was due before it, so the outcome depends on the stamps only, not on when a timer fired.

use super::{Hooks, LastTurn, PendingPrompt, Phase, Source, Turn};
use crate::core::evidence::Rule;
use crate::event::{RegistryStatus, Timing};
use crate::protocol::WaitingFor;

/// What follows from silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Elapsed {
    /// The registry stays idle: no turn runs.
    Idle,
    /// The registry stays busy: a turn runs.
    Busy,
    /// The registry stays busy though a hook has reported a question.
    Lapsed,
    /// A scheduled prompt has not come.
    Overdue,
    /// No queued prompt has followed the turn's end.
    Ended,
}

impl Turn {
    /// Applies a status of the registry, stamped `at`.
    pub(crate) fn apply_registry(
        &mut self,
        status: RegistryStatus,
        attended: bool,
        at: u64,
        timing: Timing,
    ) -> Rule {
        let before = self
            .registry
            .replace((status, at))
            .map(|(status, _)| status);
        let was_waiting = matches!(before, Some(RegistryStatus::Waiting(_)));
        match status {
            RegistryStatus::Unknown => Rule::RegistryUnknown,
            RegistryStatus::Waiting(_) if !attended => Rule::NobodyToAsk,
            RegistryStatus::Waiting(waiting_for) => self.registry_waits(waiting_for, at),
            RegistryStatus::Busy if was_waiting && !self.pending.is_empty() => {
                let was_menu = self
                    .pending
                    .iter()
                    .all(|prompt| prompt.waiting_for == WaitingFor::Dialog);
                self.answer_all();
                self.seen();
                // A menu is open between turns; any other dialog, in one.
                if !self.is_open() && !self.background.is_working() && !was_menu {
                    self.phase = Phase::SeenRunning;
                }
                Rule::RegistryAnswered
            }
            RegistryStatus::Idle | RegistryStatus::Shell
                if was_waiting && !self.pending.is_empty() =>
            {
                self.answer_all();
                self.end();
                self.seen();
                Rule::RegistryDenied
            }
            RegistryStatus::Idle | RegistryStatus::Shell if self.phase == Phase::Stopping => {
                self.end();
                Rule::TurnEndConfirmed
            }
            RegistryStatus::Busy => self.registry_busy(at, timing),
            RegistryStatus::Idle | RegistryStatus::Shell
                if self.registry_timeout(timing).is_some() =>
            {
                Rule::RegistryIdle
            }
            RegistryStatus::Idle | RegistryStatus::Shell => Rule::RegistryAgrees,
        }
    }

    fn registry_busy(&mut self, at: u64, timing: Timing) -> Rule {
        if matches!(self.phase, Phase::Idle | Phase::SeenRunning) && !self.background.is_working() {
            self.unreported_at = Some(at);
        }
        match self.registry_timeout(timing) {
            Some((_, Elapsed::Busy)) => {
                if !self.background.has_tasks() && !self.background.is_armed() {
                    // Nothing else begins a turn: a person has typed, if only a short command.
                    self.seen();
                }
                Rule::RegistryBusy
            }
            Some(_) => Rule::RegistryBusy,
            None => Rule::RegistryAgrees,
        }
    }

    fn registry_waits(&mut self, waiting_for: WaitingFor, at: u64) -> Rule {
        if self
            .pending
            .iter()
            .any(|prompt| prompt.source == Source::Hook)
        {
            return Rule::RegistryAgrees;
        }
        // Its "permission prompt" is also that of a plan: the tool call is more exact.
        let finer = (waiting_for != WaitingFor::Permission).then_some(waiting_for);
        let mut prompt = self.infer_prompt(finer, at);
        if waiting_for == WaitingFor::Dialog {
            // A menu is about no tool.
            prompt.tool = None;
        }
        self.pending = vec![prompt];
        Rule::RegistryAsks
    }

    /// A registry status older than all that hooks have reported: only later ones are compared with it.
    pub(crate) fn set_earlier_registry(&mut self, status: RegistryStatus, at: u64) {
        self.registry.get_or_insert((status, at));
    }

    /// The registry's entry was removed: its last status no longer counts.
    pub(crate) fn registry_removed(&mut self) -> Rule {
        self.registry = None;
        if self.phase == Phase::Stopping {
            self.end();
        }
        Rule::RegistryRemoved
    }

    /// When, by the stamps, something follows from silence, in ms since the epoch; `None`: never, as things stand.
    pub(crate) fn next_timeout(&self, timing: Timing) -> Option<u64> {
        self.next(timing).map(|(at, _)| at)
    }

    fn next(&self, timing: Timing) -> Option<(u64, Elapsed)> {
        let overdue_at = self.background.overdue_at(timing);
        // While a turn runs, the agent holds a scheduled prompt back.
        let overdue_at = overdue_at.filter(|_| !self.is_open());
        let overdue = overdue_at.map(|at| (at.max(self.over_at), Elapsed::Overdue));
        let ending = self.ending.as_ref();
        let ended = ending.map(|ending| {
            (
                ending.at.saturating_add(timing.settle_end_ms),
                Elapsed::Ended,
            )
        });
        let next = self.registry_timeout(timing).into_iter().chain(overdue);
        let next = next.chain(ended);
        next.min_by_key(|(at, _)| *at)
    }

    fn registry_timeout(&self, timing: Timing) -> Option<(u64, Elapsed)> {
        let (status, at) = self.registry?;
        match status {
            RegistryStatus::Idle | RegistryStatus::Shell => self.idle_timeout(status, at, timing),
            RegistryStatus::Busy => self.busy_timeout(at, timing),
            RegistryStatus::Waiting(_) | RegistryStatus::Unknown => None,
        }
    }

    /// Idle contradicts only what is older than it: a turn that has begun after it is another one.
    fn idle_timeout(
        &self,
        status: RegistryStatus,
        at: u64,
        timing: Timing,
    ) -> Option<(u64, Elapsed)> {
        let shows_task = status == RegistryStatus::Shell;
        let is_contradicted = match self.phase {
            Phase::Idle => {
                let works = self.background.is_working() || !self.pending.is_empty();
                (works && at > self.over_at) || self.background.contradicts_registry(shows_task, at)
            }
            Phase::SeenRunning => true,
            Phase::Running | Phase::Stopping | Phase::RunningWithQueued => at >= self.began_at,
        };
        // A hook may be stamped a little later than an interrupt that it has preceded.
        if !is_contradicted || self.worked_at > at + timing.race_ms {
            return None;
        }
        let settle = self.settle_ms(at, timing);
        Some((at.max(self.worked_at) + settle, Elapsed::Idle))
    }

    /// How long an idle of the registry that is stamped `at` must last, in ms: longer where another turn is expected.
    fn settle_ms(&self, at: u64, timing: Timing) -> u64 {
        let next_expected = match self.phase {
            Phase::RunningWithQueued => true,
            // The turn of a queued prompt, of which nothing has been seen yet.
            Phase::Running if self.prompt_id.is_none() && self.former_prompt_id.is_some() => {
                at <= self.began_at + timing.race_ms
            }
            // A task has ended, and will report.
            Phase::Idle if self.background.has_tasks() && !self.background.is_working() => {
                return timing.settle_task_ms;
            }
            Phase::Idle | Phase::Running | Phase::Stopping | Phase::SeenRunning => false,
        };
        if next_expected || self.background.is_report_due() {
            timing.settle_next_ms
        } else {
            timing.settle_ms
        }
    }

    fn busy_timeout(&self, at: u64, timing: Timing) -> Option<(u64, Elapsed)> {
        if let Some(asked_at) = self
            .unconfirmed()
            .filter(|_| self.is_registered_busy(timing))
        {
            let due = at.max(asked_at).saturating_add(timing.confirm_ms);
            return Some((due, Elapsed::Lapsed));
        }
        if self.is_open() || self.background.is_working() || !self.pending.is_empty() {
            return None;
        }
        (at > self.over_at).then_some((at + timing.settle_ms, Elapsed::Busy))
    }

    /// True if the registry says busy, and since this turn, not an earlier one: else it is out of order and contradicts no
    /// hook.
    pub(super) fn is_registered_busy(&self, timing: Timing) -> bool {
        let Some((RegistryStatus::Busy, busy_at)) = self.registry else {
            return false;
        };
        busy_at + timing.race_ms >= self.began_at
    }

    /// When a hook last reported a prompt that no dialog confirms: with a dialog, the registry would not be busy.
    fn unconfirmed(&self) -> Option<u64> {
        // What the registry says during a prompt that is about no tool was not observed.
        let of_tools =
            |prompt: &&PendingPrompt| prompt.source == Source::Hook && prompt.tool.is_some();
        self.pending
            .iter()
            .filter(of_tools)
            .map(|prompt| prompt.at)
            .max()
    }

    /// Applies what has come due by `at`, if anything, and returns the last rule applied.
    pub(crate) fn handle_timeout(&mut self, at: u64, timing: Timing) -> Option<Rule> {
        let mut applied = None;
        while let Some((due, what)) = self.next(timing).filter(|(due, _)| *due <= at) {
            applied = Some(self.apply(what, due, timing));
        }
        applied
    }

    fn apply(&mut self, what: Elapsed, at: u64, timing: Timing) -> Rule {
        match what {
            Elapsed::Idle => self.settle_idle(at, timing),
            Elapsed::Busy => {
                self.phase = Phase::SeenRunning;
                self.clear_failure();
                if let (Hooks::Reporting, Some((_, busy_at))) = (self.hooks, self.registry) {
                    self.hooks = Hooks::SilentSince(busy_at);
                }
                Rule::WorksUnannounced
            }
            Elapsed::Lapsed => {
                self.answer_all();
                Rule::AskLapsed
            }
            Elapsed::Ended => self.settle_end(timing),
            Elapsed::Overdue => {
                self.background.remove_overdue(at, timing);
                Rule::ScheduleOverdue
            }
        }
    }

    /// The registry has been idle for long enough: no turn runs, no subagent, and only the tasks that it shows.
    fn settle_idle(&mut self, at: u64, timing: Timing) -> Rule {
        let worked = self.is_open() || self.background.is_working() || !self.pending.is_empty();
        let was_asking = !self.pending.is_empty();
        let phase = self.phase;
        // A hook that was overtaken by its turn's end has opened the turn again.
        let had_ended = self.ending.is_some()
            || self.over_at > self.began_at && self.worked_at <= self.over_at + timing.race_ms;
        let shows_task = matches!(self.registry, Some((RegistryStatus::Shell, _)));
        self.background.end_subagents(|_| false);
        self.background.set_by_registry(shows_task);
        self.answer_all();
        self.end();
        self.over_at = at;
        if !worked {
            return Rule::BackgroundEnded;
        }
        match phase {
            Phase::SeenRunning => {
                self.finish();
                Rule::FinishedUnannounced
            }
            // The main turn's end was reported, and nothing has interrupted its subagents.
            Phase::Idle if !was_asking => {
                self.finish();
                Rule::SubagentsEnded
            }
            Phase::Running | Phase::Stopping if had_ended => {
                self.finish();
                Rule::TurnEndConfirmed
            }
            // Hooks have reported this turn, and not its end: an interrupt, and the person is there.
            Phase::Idle | Phase::Running | Phase::Stopping | Phase::RunningWithQueued => {
                self.set_last(LastTurn::Interrupted);
                Rule::Interrupted
            }
        }
    }
}
