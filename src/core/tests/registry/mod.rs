//! The registry rules, as tables: hooks, registry entries and pauses, and the status after each. Covers the cases that
//! only the registry can decide. As observed with Claude Code 2.1.330.

mod background;
mod order;
mod sessions;
mod turns;

use serde_json::{Value, json};

use super::rules::{
    ask, ask_named, batch, done, end, event, failed, notice, prompt, running, start, stop,
    subagent, subagent_event, text, tool, tool_named,
};
use super::{CLAUDE, CoreHarness, EPOCH, KEY, NAMESPACE};
use crate::agents;
use crate::core::Input;
use crate::event::{RegistryEntry, RegistryStatus, RegistryUpdate, ReportedProcess};
use crate::protocol::WaitingFor;

/// One thing that is seen.
enum Seen {
    Hook(Value),
    Registry(RegistryStatus),
    Removed,
    Exit,
    /// Nothing, for so many ms.
    Nothing(u64),
}

use RegistryStatus::{Busy, Idle, Shell, Waiting};
use Seen::{Exit, Hook, Nothing, Registry, Removed};

const PERMISSION: RegistryStatus = Waiting(WaitingFor::Permission);
const ANSWER: RegistryStatus = Waiting(WaitingFor::Answer);
const DIALOG: RegistryStatus = Waiting(WaitingFor::Dialog);

fn process() -> ReportedProcess {
    ReportedProcess {
        pid: CLAUDE.pid,
        start: Some(CLAUDE.start),
        namespace: Some(NAMESPACE),
    }
}

pub(super) fn entry(status: RegistryStatus, at: u64) -> RegistryEntry {
    RegistryEntry {
        session_id: Some("one".into()),
        cwd: Some("/src".into()),
        title: None,
        attended: Some(true),
        started_at: Some(EPOCH),
        updated_at: at,
        status: Some(status),
        status_at: at,
    }
}

pub(super) fn update(entry: Option<RegistryEntry>) -> RegistryUpdate {
    RegistryUpdate {
        timing: agents::DEFAULT.timing,
        agent: "claude-code".into(),
        process: process(),
        alive: true,
        tty: Some("/dev/pts/3".into()),
        account: None,
        entry,
    }
}

impl CoreHarness {
    pub(super) fn sees(&mut self, update: RegistryUpdate) {
        self.take(Input::RegistryChanged(Box::new(update)));
    }

    /// Lets time pass, with every time-out that is due.
    pub(super) fn pass(&mut self, ms: u64) {
        let until = self.now.uptime_ms + ms;
        while let Some(due) = self.core.next_timeout().filter(|due| *due <= until) {
            self.wait(due.saturating_sub(self.now.uptime_ms));
            self.take(Input::Timeout);
        }
        self.wait(until - self.now.uptime_ms);
    }
}

/// Plays the observations ten milliseconds apart; after each the session must have the row's status.
#[track_caller]
fn follow(rows: Vec<(Seen, &str)>) -> CoreHarness {
    follow_from(CoreHarness::new(), true, rows)
}

#[track_caller]
fn follow_from(mut core: CoreHarness, attended: bool, rows: Vec<(Seen, &str)>) -> CoreHarness {
    for (number, (seen, shown)) in rows.into_iter().enumerate() {
        core.pass(10);
        let at = core.now.unix_ms;
        match seen {
            Hook(payload) => drop(core.hook_at(at, attended, &payload)),
            Registry(status) => {
                let attended = Some(attended);
                core.sees(update(Some(RegistryEntry {
                    attended,
                    ..entry(status, at)
                })));
            }
            Removed => core.sees(update(None)),
            Exit => drop(core.take(Input::ProcessExited(CLAUDE))),
            Nothing(ms) => core.pass(ms),
        }
        assert_eq!(core.shown(KEY), shown, "after row {number}");
    }
    core
}

/// A prompt and a tool, as far as the dialog.
fn asked() -> Vec<(Seen, &'static str)> {
    vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (Hook(tool("p1", "make")), "working: Bash: make"),
        (
            Hook(ask("p1", "make")),
            "waiting/permission!: permission: Bash make",
        ),
        (
            Registry(PERMISSION),
            "waiting/permission!: permission: Bash make",
        ),
    ]
}

fn after(mut rows: Vec<(Seen, &'static str)>, more: Vec<(Seen, &'static str)>) {
    rows.extend(more);
    follow(rows);
}
