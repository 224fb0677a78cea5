//! What goes on beside the turn: subagents, background tasks and schedules, and which of them have ended.
//!
//! Sets of ids, never counts that are added to: an event that arrives twice changes nothing the second time. What was
//! seen to end is remembered, so that no report from before the end and no list that is out of date brings it back.
//! Called by [`super::hook`] and [`super::registry`].

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::MAX_MEMBERS;
use crate::core::stamp::shift;
use crate::event::{BackgroundTask, Remaining, Schedule, TaskKind, Timing};
use crate::protocol::{Resume, ResumeKind};

/// How many ended ids are remembered: more than end while one report of them is on its way.
const MAX_ENDED: usize = 32;

/// The facts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Background {
    /// Subagents that began and have not ended.
    subagents: Vec<Box<str>>,
    /// A subagent has outlived the turn: its report starts another one.
    report_due: bool,
    /// Tasks that run. A task without an id is one that only the registry shows.
    tasks: Vec<BackgroundTask>,
    schedules: Vec<Schedule>,
    /// The stamp of the turn's end that listed all this.
    listed_at: u64,
    /// Ids that were seen to end, with the stamp, oldest first.
    ended: VecDeque<(Box<str>, u64)>,
}

impl Background {
    pub(super) fn subagents(&self) -> u32 {
        u32::try_from(self.subagents.len()).unwrap_or(u32::MAX)
    }

    /// Tasks that are not known to wake the session: shells, and tasks of an unknown kind.
    pub(super) fn shells(&self) -> u32 {
        self.count(|kind| kind != TaskKind::Monitor)
    }

    pub(super) fn monitors(&self) -> u32 {
        self.count(|kind| kind == TaskKind::Monitor)
    }

    pub(super) fn schedules(&self) -> u32 {
        u32::try_from(self.schedules.len()).unwrap_or(u32::MAX)
    }

    fn count(&self, of: impl Fn(TaskKind) -> bool) -> u32 {
        let tasks = self.tasks.iter().filter(|task| of(task.kind)).count();
        u32::try_from(tasks).unwrap_or(u32::MAX)
    }

    /// True if the session is at work without a turn: subagents run, or the report of one is due.
    pub(super) fn is_working(&self) -> bool {
        self.report_due || !self.subagents.is_empty()
    }

    /// True if something starts a turn for sure: no person is needed until then.
    pub(super) fn is_armed(&self) -> bool {
        self.monitors() > 0 || !self.schedules.is_empty()
    }

    /// True if the registry does not show the tasks that are listed, or shows one where none is.
    pub(super) fn contradicts_registry(&self, shows_task: bool, at: u64) -> bool {
        at > self.listed_at && shows_task == self.tasks.is_empty()
    }

    /// True if a subagent has outlived the turn, whose report starts another one.
    pub(super) fn is_report_due(&self) -> bool {
        self.report_due
    }

    /// True if tasks run that may start a turn.
    pub(super) fn has_tasks(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// What starts another turn, in a fixed order.
    pub(super) fn resumes(&self) -> Vec<Resume> {
        let subagents = self.subagents.iter().map(|_| (ResumeKind::Subagent, None));
        let tasks = self.tasks.iter().filter_map(|task| match task.kind {
            TaskKind::Monitor => Some((ResumeKind::Monitor, None)),
            TaskKind::Shell => Some((ResumeKind::Shell, None)),
            TaskKind::Other => None,
        });
        let schedules = self.schedules.iter().map(|s| (ResumeKind::Schedule, s.at));
        subagents
            .chain(tasks)
            .chain(schedules)
            .take(MAX_MEMBERS)
            .map(|(kind, at)| Resume { kind, at })
            .collect()
    }

    /// A subagent has begun, or is seen at work.
    pub(super) fn subagent_runs(&mut self, id: &str) {
        self.ended.retain(|(ended, _)| **ended != *id);
        if !self.subagents.iter().any(|known| **known == *id) && self.subagents.len() < MAX_MEMBERS
        {
            self.subagents.push(id.into());
        }
    }

    /// True if the subagent was seen to end, so that what is stamped `at` does not show it at work. `starts`: it is of a
    /// kind that only a subagent at work reports; long enough after the end, it has been started again.
    pub(super) fn is_over(&self, id: &str, starts: bool, at: u64, timing: Timing) -> bool {
        let ended = self.ended.iter().find(|(ended, _)| **ended == *id);
        ended.is_some_and(|(_, ended_at)| !starts || at <= ended_at + timing.race_ms)
    }

    /// A task has begun.
    pub(super) fn task_runs(&mut self, task: BackgroundTask) {
        self.ended.retain(|(ended, _)| *ended != task.id);
        if !self.tasks.iter().any(|known| known.id == task.id) && self.tasks.len() < MAX_MEMBERS {
            self.tasks.push(task);
        }
    }

    /// A subagent or a task was seen to end.
    pub(super) fn ended(&mut self, id: &str, at: u64) {
        self.subagents.retain(|known| **known != *id);
        self.tasks.retain(|task| *task.id != *id);
        self.ended.retain(|(ended, _)| **ended != *id);
        if self.ended.len() == MAX_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back((id.into(), at));
    }

    /// A background task has reported to the agent. One that is no monitor has ended by that.
    pub(super) fn task_reported(&mut self, id: Option<&str>, at: u64) {
        let ends = |task: &BackgroundTask| task.kind != TaskKind::Monitor;
        match id {
            Some(id) => {
                let is_monitor = |task: &BackgroundTask| *task.id == *id && !ends(task);
                if !self.tasks.iter().any(is_monitor) {
                    self.ended(id, at);
                }
            }
            // Which one, only the turn's end will say, unless there is one only.
            None if self.shells() == 1 && !self.is_working() => self.tasks.retain(|t| !ends(t)),
            None => {}
        }
    }

    /// The turn has ended at `at`, and this goes on.
    pub(super) fn turn_ended(&mut self, remaining: Remaining, at: u64) {
        let is_over = |id: &str| self.ended.iter().any(|(ended, _)| **ended == *id);
        let mut subagents = remaining.subagents;
        subagents.retain(|id| !is_over(id));
        subagents.truncate(MAX_MEMBERS);
        let mut tasks = remaining.tasks;
        tasks.retain(|task| !is_over(&task.id));
        self.report_due = !subagents.is_empty();
        self.subagents = subagents;
        self.tasks = tasks;
        self.schedules = remaining.schedules;
        self.listed_at = at;
    }

    /// No subagent runs, except those that `keep` names.
    pub(super) fn end_subagents(&mut self, keep: impl Fn(&str) -> bool) {
        self.subagents.retain(|id| keep(id));
        self.report_due &= !self.subagents.is_empty();
    }

    /// Tasks run, as the registry shows, or none.
    pub(super) fn set_by_registry(&mut self, shows_task: bool) {
        if !shows_task {
            self.tasks.clear();
        } else if self.tasks.is_empty() {
            self.tasks.push(BackgroundTask {
                id: "".into(),
                kind: TaskKind::Shell,
            });
        }
    }

    /// When the first schedule is overdue, in ms since the epoch.
    pub(super) fn overdue_at(&self, timing: Timing) -> Option<u64> {
        let times = self
            .schedules
            .iter()
            .map(|schedule| overdue(*schedule, timing));
        times.flatten().min()
    }

    /// Removes the schedules that are overdue at `at`.
    pub(super) fn remove_overdue(&mut self, at: u64, timing: Timing) {
        self.schedules
            .retain(|schedule| overdue(*schedule, timing).is_none_or(|due| due > at));
    }

    /// The wall clock was set by so many ms, and shows `now`: every stamp moves with it. A schedule keeps its time of day;
    /// if that was skipped, it is due now.
    pub(super) fn clock_was_set(&mut self, by: i64, now: u64) {
        let Self {
            subagents: _,
            report_due: _,
            tasks: _,
            schedules,
            listed_at,
            ended,
        } = self;
        shift(listed_at, by);
        for (_, at) in ended {
            shift(at, by);
        }
        skip(schedules, by, now);
    }
}

/// The wall clock was set by so many ms, and shows `now`: what it has skipped is due now.
fn skip(schedules: &mut [Schedule], by: i64, now: u64) {
    let before = now.saturating_add_signed(by.saturating_neg());
    for at in schedules.iter_mut().filter_map(|one| one.at.as_mut()) {
        if *at > before && *at < now {
            *at = now;
        }
    }
}

/// When a scheduled prompt that has not come will not come any more; `None`: not known.
fn overdue(schedule: Schedule, timing: Timing) -> Option<u64> {
    schedule.at?.checked_add(timing.overdue_ms)
}
