//! A recorded run of an agent without a registry, and what a person at the terminal would say at each step of it.
//!
//! `NAME.jsonl` has a line for each fact, with `ms` since the beginning:
//!
//! | a line has | it is |
//! |---|---|
//! | `mark` | what the person, or the recorder, did |
//! | `hook` | the payload of a hook or the event of a plugin, of the process `pid`; `event`: its name, where the payload has none; `attended` |
//! | `path`, `line` | a new line of a file |
//! | `path`, `message` | a message of a socket |
//! | `path`, `change`, `text` | a file was made or replaced (`create`, `to`) or removed (`delete`); its text, if it was read |
//!
//! `NAME.expected.json` is written down from what was done, never from what the daemon makes of it. A step holds from
//! `ms` until `until`; it must be shown within [`LIMIT_MS`] and not be left before its end. Steps with `unknowable` are
//! for documentation: no hook, file or socket shows them.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

/// How long after its evidence a step may be shown, in ms.
pub(super) const LIMIT_MS: u64 = 1000;

/// How much later than the agent's own moment a recorded stamp may be, in ms.
const GUARD_MS: u64 = 250;

/// A step shorter than this, in ms, need only be shown at all.
const SHORT_MS: u64 = 300;

/// One line of a recording.
#[derive(Debug, Deserialize)]
pub(super) struct Fact {
    pub(super) ms: u64,
    pub(super) mark: Option<String>,
    pub(super) hook: Option<Value>,
    pub(super) event: Option<String>,
    pub(super) pid: Option<u32>,
    #[serde(default)]
    pub(super) attended: Option<bool>,
    pub(super) path: Option<String>,
    pub(super) line: Option<Value>,
    pub(super) message: Option<Value>,
    pub(super) change: Option<String>,
    pub(super) text: Option<String>,
}

/// A process that the person started.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Process {
    /// Its own id, and those of the launcher or agent of the same run.
    pub(super) pids: Vec<u32>,
    /// It runs without a person.
    pub(super) run: bool,
    pub(super) started: u64,
    pub(super) exited: Option<u64>,
    /// Another process runs its conversations.
    pub(super) shared: bool,
    /// Which conversation it showed, and since when.
    pub(super) ids: Vec<(u64, String)>,
}

impl Process {
    fn id_at(&self, ms: u64) -> Option<&str> {
        let shown = self.ids.iter().rev().find(|(at, _)| *at <= ms);
        shown.or(self.ids.first()).map(|(_, id)| &**id)
    }
}

/// Whether a value is that of the step before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Against {
    Same,
    New,
}

/// One step.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    process: usize,
    ms: u64,
    until: u64,
    pub(super) what: String,
    /// The statuses that are right, with what is waited for.
    #[serde(default)]
    pub(super) shown: Vec<String>,
    /// The statuses that are wrong at any time.
    #[serde(default)]
    never: Vec<String>,
    attention: Option<bool>,
    /// How many sessions may be open; empty: any number. Left out: one, or none where this one is closed.
    live: Option<Vec<usize>>,
    background: Option<bool>,
    #[serde(default)]
    subagents: bool,
    crashed: Option<bool>,
    key: Option<Against>,
    id: Option<Against>,
    /// It may be left meanwhile, and must be shown at its end.
    #[serde(default)]
    loose: bool,
    /// Its end is the stamp of a hook or file, which the agent's own moment precedes.
    #[serde(default)]
    soft: bool,
    /// Why no source shows it.
    pub(super) unknowable: Option<String>,
}

/// A recording with its steps.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) name: String,
    pub(super) lines: Vec<Fact>,
    pub(super) expected: Expected,
}

/// What is written down beside a recording.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    pub(super) about: String,
    /// The agent's, with which the run was recorded.
    pub(super) version: String,
    pub(super) processes: Vec<Process>,
    /// The program of the processes that run others' conversations, below the configuration directory.
    pub(super) engine: Option<String>,
    pub(super) engine_exited: Option<u64>,
    pub(super) steps: Vec<Step>,
}

/// All sessions as a subscriber has them from some moment on.
pub(super) type Frame = (u64, Vec<Value>);

impl Scene {
    /// Reads `<path>.jsonl` and `<path>.expected.json`.
    pub(super) fn read(path: &Path) -> Self {
        let text = |ending| {
            let path = path.with_extension(ending);
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let mut lines: Vec<Fact> = text("jsonl")
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        lines.sort_by_key(|line| line.ms);
        Self {
            name: path.file_name().unwrap().to_string_lossy().into_owned(),
            lines,
            expected: serde_json::from_str(&text("expected.json")).unwrap(),
        }
    }

    /// Moves each hook of this event so many ms behind the next hook of the event `behind`, of the same conversation. How
    /// many were moved.
    pub(super) fn move_behind(&mut self, event: &str, behind: &str, later_ms: u64) -> usize {
        let is = |line: &Fact, event: &str| line.event.as_deref() == Some(event);
        let conversation = |line: &Fact| Some(line.hook.as_ref()?["sessionId"].clone());
        let mut moved = Vec::new();
        for (place, line) in self.lines.iter().enumerate() {
            let is_next =
                |next: &&Fact| is(next, behind) && conversation(next) == conversation(line);
            if is(line, event)
                && let Some(next) = self.lines[place..].iter().find(is_next)
            {
                moved.push((place, next.ms + later_ms));
            }
        }
        for (place, ms) in &moved {
            self.lines[*place].ms = *ms;
        }
        self.lines.sort_by_key(|line| line.ms);
        moved.len()
    }

    /// Compares what was published with each step. How many were right, and what is wrong with the others.
    pub(super) fn judge(&self, frames: &[Frame]) -> (usize, Vec<String>) {
        let mut right = 0;
        let mut wrong = Vec::new();
        let mut base: Option<Value> = None;
        for step in &self.expected.steps {
            let verdict = self.judge_step(step, frames, &mut base);
            match verdict {
                _ if step.unknowable.is_some() => {}
                Ok(()) => right += 1,
                Err(why) => wrong.push(format!(
                    "{} {}..{} ms, {}: {:?}{:?} {:?}: {why}",
                    self.name,
                    step.ms,
                    step.until,
                    step.what,
                    step.shown,
                    step.never,
                    step.attention
                )),
            }
        }
        (right, wrong)
    }

    fn judge_step(
        &self,
        step: &Step,
        frames: &[Frame],
        base: &mut Option<Value>,
    ) -> Result<(), String> {
        let sure = if step.soft {
            step.until.saturating_sub(GUARD_MS)
        } else {
            step.until
        };
        let is_short = sure.saturating_sub(step.ms) < SHORT_MS;
        let never = !step.never.is_empty();
        let (from, until) = if is_short && !never {
            (step.ms.saturating_sub(GUARD_MS), step.until + GUARD_MS)
        } else {
            (step.ms, step.until)
        };
        let first = frames.iter().rposition(|(at, _)| *at <= from).unwrap_or(0);
        let during = frames[first..].iter().enumerate();
        let during = during.filter(|(index, (at, _))| *index == 0 || *at < until);
        let mut view: Vec<_> = during
            .map(|(_, (at, sessions))| {
                let why = self.wrong(step, sessions, (*at).max(step.ms), base.as_ref());
                (at.saturating_sub(step.ms), why, sessions)
            })
            .collect();
        if never {
            let shown = view.iter().find_map(|(_, why, _)| why.clone());
            return shown.map_or(Ok(()), Err);
        }
        if !is_short {
            while view.len() > 1
                && view
                    .last()
                    .is_some_and(|(at, why, _)| why.is_some() && *at > sure - step.ms)
            {
                view.pop();
            }
        }
        let course = || {
            let all = view
                .iter()
                .map(|(at, why, _)| format!("+{at} {}", why.as_deref().unwrap_or("right")));
            all.collect::<Vec<_>>().join(" -> ")
        };
        let hit = view.iter().position(|(_, why, _)| why.is_none());
        let outcome = match hit {
            None => Err(format!("never shown: {}", course())),
            Some(_) if is_short => Ok(()),
            Some(hit) if view[hit].0 > LIMIT_MS => Err(format!("late: {}", course())),
            Some(_) if view.last().is_some_and(|(_, why, _)| why.is_some()) => {
                Err(format!("lost: {}", course()))
            }
            Some(hit) if !step.loose && view[hit..].iter().any(|(_, why, _)| why.is_some()) => {
                Err(format!("left: {}", course()))
            }
            Some(_) => Ok(()),
        };
        if step.unknowable.is_none() {
            let at = hit.filter(|_| is_short).unwrap_or(view.len() - 1);
            if let Some(session) = self.shown(step.process, view[at].2, step.until) {
                *base = Some(session.clone());
            }
        }
        outcome
    }

    /// The session of a process: by its pid, or by the conversation that it shows.
    fn shown<'a>(&self, process: usize, sessions: &'a [Value], ms: u64) -> Option<&'a Value> {
        let process = &self.expected.processes[process];
        let id = process.id_at(ms);
        let is_pid = |session: &Value| {
            let pid = session["pid"].as_u64();
            process
                .pids
                .iter()
                .any(|known| pid == Some(u64::from(*known)))
        };
        let has_id = |session: &Value| session["session_id"].as_str() == id && id.is_some();
        let mine = |session: &&Value| is_pid(session) || (process.shared && has_id(session));
        let mut mine: Vec<_> = sessions.iter().filter(mine).collect();
        if mine.len() > 1 {
            let open: Vec<_> = mine
                .iter()
                .copied()
                .filter(|session| session["status"] != "closed")
                .collect();
            let of_id = |some: &[&'a Value]| -> Vec<&'a Value> {
                some.iter()
                    .copied()
                    .filter(|session| has_id(session))
                    .collect()
            };
            mine = match open.len() {
                0 if process.shared => of_id(&mine),
                0 => mine.last().copied().into_iter().collect(),
                1 => open,
                _ => Some(of_id(&open))
                    .filter(|one| !one.is_empty())
                    .unwrap_or(open),
            };
        }
        mine.first().copied()
    }

    /// What is wrong with what is shown; `None`: nothing.
    fn wrong(
        &self,
        step: &Step,
        sessions: &[Value],
        ms: u64,
        base: Option<&Value>,
    ) -> Option<String> {
        let session = self.shown(step.process, sessions, ms);
        let status = session.map_or("-", |session| session["status"].as_str().unwrap_or("-"));
        let shown = match session.and_then(|session| session["waiting_for"].as_str()) {
            Some(what) => format!("{status}/{what}"),
            None => status.to_owned(),
        };
        let is_any = |of: &[String]| of.iter().any(|one| *one == shown || one == status);
        if !step.never.is_empty() {
            return is_any(&step.never).then_some(shown);
        }
        let Some(session) = session else {
            return Some("no session of this process".into());
        };
        if !is_any(&step.shown) {
            return Some(shown);
        }
        let is_closed = status == "closed";
        let mut bad = Vec::new();
        if let Some(attention) = step.attention
            && (session["attention"] == true) != attention
            && !(attention && is_closed)
        {
            bad.push(format!("attention {}", session["attention"]));
        }
        if self.expected.processes[step.process].run && session["attention"] == true {
            bad.push("attention without a person".to_owned());
        }
        let counts = |field: &str| session[field].as_u64().unwrap_or(0) > 0;
        if step
            .background
            .is_some_and(|runs| counts("background") != runs)
        {
            bad.push(format!("background {}", session["background"]));
        }
        if step.subagents && !counts("subagents") {
            bad.push("no subagents".into());
        }
        let reason = session["end_reason"].as_str().unwrap_or_default();
        if step
            .crashed
            .is_some_and(|crashed| reason.contains("crash") != crashed)
        {
            bad.push(format!("end_reason {reason}"));
        }
        if let Some(base) = base {
            for (want, field) in [(step.key, "key"), (step.id, "session_id")] {
                let same = session[field] == base[field];
                if want.is_some_and(|want| same != (want == Against::Same)) {
                    bad.push(format!("{field} {} after {}", session[field], base[field]));
                }
            }
        }
        let live = sessions
            .iter()
            .filter(|one| one["status"] != "closed")
            .count();
        let allowed = match &step.live {
            Some(any) => any.is_empty() || any.contains(&live),
            None => live == usize::from(!is_closed),
        };
        if !allowed {
            bad.push(format!("{live} live sessions"));
        }
        (!bad.is_empty()).then(|| format!("{shown}, {}", bad.join(", ")))
    }
}
