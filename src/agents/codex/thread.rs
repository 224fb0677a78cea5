//! One conversation of Codex CLI: its process, its terminal, and how its turns go by its rollout, as observed with 0.171.0.
//! Called by [`super::files`].

use std::ffi::OsStr;
use std::path::PathBuf;

use super::super::files::{FileRequest, LinesFrom, RunningProcess, System};
use super::commands::Commands;
use super::events::{failure, plan};
use super::names::{began_at, is_rollout_name, is_rollout_of};
use super::rollout::{Line, Payload, RateLimits};
use super::{AGENT, is_terminal};
use crate::event::{
    AgentEvent, BackgroundTask, EventKind, KnownSession, ProcessRole, PromptOrigin, Report,
    ReportedProcess, Source, TaskKind, TurnEvent,
};
use crate::protocol::{Status, Terminal, WaitingFor};

/// How long after the conversation began its file counts as a new one, in ms.
const LATE_MS: u64 = 10_000;

/// The tool whose commands may run on after their turn.
const COMMAND: &str = "exec_command";

/// What a turn comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Outcome {
    Answer,
    /// A plan, which a person is asked to accept.
    Plan,
    /// A shorter conversation.
    Compaction,
    /// An error. The hook of the last request may be later.
    Failure,
}

/// One conversation.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) id: Box<str>,
    pub(super) config_dir: PathBuf,
    pub(super) rollout: Option<PathBuf>,
    /// The process that runs it.
    pub(super) process: Option<ReportedProcess>,
    pub(super) is_shared: bool,
    pub(super) client: Option<ReportedProcess>,
    pub(super) tty: Option<String>,
    pub(super) is_attended: Option<bool>,
    /// The turn that runs, or ran last.
    turn: Option<Box<str>>,
    pub(super) commands: Commands,
    /// What the turn has come to.
    pub(super) outcome: Outcome,
    /// It is a subagent's: the conversation that has spawned it reports it.
    pub(super) is_subagent: bool,
    /// What of the rollout is stamped until then is known, if it was there before the rollout was followed.
    known_until: u64,
}

impl Thread {
    pub(super) fn new(id: &str, config_dir: PathBuf) -> Self {
        Self {
            id: id.into(),
            config_dir,
            rollout: None,
            process: None,
            is_shared: false,
            client: None,
            tty: None,
            is_attended: None,
            turn: None,
            commands: Commands::default(),
            outcome: Outcome::Answer,
            is_subagent: false,
            known_until: 0,
        }
    }

    /// Continues with what an earlier daemon knew. `is_shared`: its process runs the conversations of several terminals.
    pub(super) fn restore(&mut self, known: &KnownSession<'_>, is_shared: bool) {
        self.process = known.process;
        self.is_shared = is_shared;
        self.client = known.client;
        let tty = known.terminal.and_then(|terminal| terminal.tty.as_ref());
        self.tty = tty.map(ToString::to_string);
        self.is_attended = (!is_shared).then_some(known.attended);
        if known.hook_at.is_some() {
            let asks = known.waiting_for == Some(WaitingFor::Permission);
            self.commands.restore(asks);
        }
        if known.status == Status::Error {
            self.outcome = Outcome::Failure;
        }
        self.known_until = known.known_until;
    }

    pub(super) fn attach(&mut self, client: &RunningProcess, system: &dyn System) {
        self.client = Some(ReportedProcess {
            pid: client.info.id.pid,
            start: Some(client.info.id.start),
            namespace: system.namespace(),
        });
        self.tty.clone_from(&client.info.tty);
    }

    pub(super) fn terminal(&self) -> Option<Box<Terminal>> {
        let tty = self.tty.as_deref()?;
        Some(Box::new(Terminal {
            tty: Some(tty.into()),
            ..Terminal::default()
        }))
    }

    /// The directory of its terminal.
    pub(super) fn cwd(&self, system: &dyn System) -> Option<PathBuf> {
        let shown = self.client.or(self.process)?;
        let terminals = system.processes_of(is_terminal);
        let own = terminals
            .into_iter()
            .find(|one| one.info.id.pid == shown.pid);
        own?.cwd
    }

    /// Follows its rollout, from now on.
    pub(super) fn follow(&mut self, path: PathBuf, from: LinesFrom) -> Vec<FileRequest> {
        if self.rollout.as_deref() == Some(&*path) {
            return Vec::new();
        }
        let former = self.rollout.replace(path.clone()).map(FileRequest::Forget);
        let lines = FileRequest::Lines { path, from };
        former.into_iter().chain([lines]).collect()
    }

    /// Where a rollout begins to be read that is found at `at`. What a conversation that is resumed has written before is
    /// not read again.
    pub(super) fn first_line(&self, at: u64) -> LinesFrom {
        let is_new = |began| at.saturating_sub(began) <= LATE_MS;
        if began_at(&self.id).is_some_and(is_new) {
            LinesFrom::Beginning
        } else {
            LinesFrom::End
        }
    }

    /// Finds its rollout, which a hook names only once hooks are trusted: it is made with the first prompt, in a
    /// directory of the day.
    pub(super) fn find_rollout(
        &mut self,
        from: LinesFrom,
        system: &dyn System,
    ) -> Vec<FileRequest> {
        let Some(began) = began_at(&self.id) else {
            return Vec::new();
        };
        let Some(day) = crate::os::local_time::local_time(began / 1000) else {
            return Vec::new();
        };
        let directory = self
            .config_dir
            .join("sessions")
            .join(format!("{:04}/{:02}/{:02}", day.year, day.month, day.day));
        let names = system.names(&directory);
        let is_own = |name: &&OsStr| is_rollout_name(name) && is_rollout_of(name, &self.id);
        let Some(name) = names.iter().map(AsRef::as_ref).find(is_own) else {
            return vec![FileRequest::Directory {
                path: directory,
                wanted: is_rollout_name,
            }];
        };
        self.follow(directory.join(name), from)
    }

    /// What a line says that was in the rollout before it was followed. One that is known only moves on what is kept here:
    /// which turn it is, what that has come to, which commands run.
    pub(super) fn read_earlier(&mut self, line: &Line, now: u64) -> Vec<Report> {
        let stamp = line.timestamp.as_ms();
        let reports = self.read(line, stamp.unwrap_or(now).min(now));
        let is_new = stamp.is_some_and(|stamp| stamp > self.known_until);
        if is_new { reports } else { Vec::new() }
    }

    /// What a line of the rollout says.
    pub(super) fn read(&mut self, line: &Line, now: u64) -> Vec<Report> {
        let payload = &line.payload.0;
        if line.kind.get() == Some("session_meta") {
            self.is_subagent = payload.parent_thread_id.get().is_some();
        }
        if self.is_subagent {
            return Vec::new();
        }
        let at = line.timestamp.as_ms().unwrap_or(now);
        let Some((name, kind)) = self.event(payload) else {
            return Vec::new();
        };
        let mut report = self.report(at, name, kind);
        if let Some(event) = &mut report.event {
            event.context_percent = context_percent(payload);
            event.limits = payload.rate_limits.0.limits(now);
        }
        vec![report]
    }

    fn event(&mut self, payload: &Payload) -> Option<(&'static str, EventKind)> {
        let turn = payload.turn_id.get();
        Some(match payload.kind.get()? {
            "task_started" => {
                self.turn = turn.map(Into::into);
                self.outcome = Outcome::Answer;
                let begun = TurnEvent::PromptSubmitted {
                    text: None,
                    origin: PromptOrigin::PersonNow,
                };
                ("rollout: task_started", EventKind::Turn(begun))
            }
            "task_complete" => (
                "rollout: task_complete",
                EventKind::Turn(self.ended(payload)),
            ),
            "turn_aborted" => (
                "rollout: turn_aborted",
                EventKind::Turn(TurnEvent::Interrupted),
            ),
            "function_call" if payload.name.get() == Some(COMMAND) => {
                let id = payload.call_id.get()?;
                self.commands.called(id, self.turn.as_deref());
                return None;
            }
            "function_call_output" => {
                let output = payload.output.get();
                let task = BackgroundTask {
                    id: self.commands.answered(payload.call_id.get()?, output)?,
                    kind: TaskKind::Shell,
                };
                (
                    "rollout: command runs on",
                    EventKind::Turn(TurnEvent::TaskStarted(task)),
                )
            }
            "item_completed" => match payload.item.0.kind.get()? {
                "Plan" => {
                    self.outcome = Outcome::Plan;
                    return None;
                }
                "ContextCompaction" => {
                    self.outcome = Outcome::Compaction;
                    return None;
                }
                "CommandExecution" => {
                    let id = self.commands.ended(payload.item.0.id.get(), turn)?;
                    let ended = TurnEvent::TaskEnded(id);
                    ("rollout: command ended", EventKind::Turn(ended))
                }
                _ => return None,
            },
            "token_count" if says_something(payload) => ("rollout: token_count", EventKind::Noted),
            _ => return None,
        })
    }

    /// The turn has ended.
    fn ended(&mut self, payload: &Payload) -> TurnEvent {
        let error = &payload.error.0;
        // The kind of a refused request may be that of its connection: its status is in the message.
        let parts = [error.codex_error_info.get(), error.message.get()];
        let error = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        if error.is_empty() {
            return match self.outcome {
                Outcome::Answer | Outcome::Failure => TurnEvent::Ended { remaining: None },
                Outcome::Plan => plan(),
                Outcome::Compaction => TurnEvent::Compacted,
            };
        }
        self.outcome = Outcome::Failure;
        TurnEvent::Failed {
            error: failure(&error).into(),
        }
    }

    pub(super) fn report(&self, at: u64, name: &'static str, kind: EventKind) -> Report {
        Report {
            agent: AGENT.name.into(),
            at,
            process: self.process,
            attended: self.is_attended,
            terminal: None,
            config_dir: self.config_dir.to_str().map(Into::into),
            account: None,
            timing: AGENT.timing,
            source: Source::File,
            role: if self.is_shared {
                ProcessRole::Shared {
                    client: self.client,
                }
            } else {
                ProcessRole::Own
            },
            event: Some(AgentEvent {
                session_id: Some(self.id.clone()),
                ..AgentEvent::new(name, kind)
            }),
        }
    }
}

/// True if a line about tokens has a figure.
fn says_something(payload: &Payload) -> bool {
    let limits = &payload.rate_limits.0;
    context_percent(payload).is_some() || *limits != RateLimits::default()
}

/// How full the context is, in percent.
fn context_percent(payload: &Payload) -> Option<f32> {
    let info = &payload.info.0;
    let used = info.last_token_usage.0.input_tokens.as_f64()?;
    let window = info
        .model_context_window
        .as_f64()
        .filter(|size| *size > 0.0)?;
    #[expect(clippy::cast_possible_truncation, reason = "a percentage")]
    Some((used / window * 100.0) as f32)
}
