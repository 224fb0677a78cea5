//! What a person at the terminal would say of a recorded run, step by step, and whether the published sessions agree.
//!
//! Written by hand beside each recording, from what was done and from what is known of the agent; never from what the
//! daemon makes of it. A step holds until the next one of its process:
//!
//! | field | meaning |
//! |---|---|
//! | `process`, `ms` | whose step, and the first evidence of it: a hook, a registry entry or a mark of the recording |
//! | `what` | what has happened, in a person's words |
//! | `shown` | the status, with what it waits for: `waiting/permission` |
//! | `attention` | where it is idle: whether a person should look; false if left out. `waiting` and `error` always want it |
//! | `subagents`, `background` | how many subagents and shells run; none if left out |
//! | `id` | the conversation's id, or its beginning; as before if left out |
//! | `brief` | over before a person could see it: need not be shown |
//! | `end_reason`, `previous_ids` | at the end |
//!
//! `hooks_only` is what the hooks alone can show: the statuses of each process, one after the other.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// What was written down beside a recording.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expectation {
    /// For people.
    pub(crate) about: String,
    /// The agent's, with which the run was recorded.
    pub(crate) version: String,
    /// In the order of their time for each process.
    pub(crate) steps: Vec<Step>,
    /// By recorded process id.
    pub(crate) hooks_only: BTreeMap<u64, Vec<String>>,
}

/// One step. See the module's text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) process: u64,
    pub(crate) ms: u64,
    what: String,
    shown: String,
    #[serde(default)]
    attention: bool,
    #[serde(default)]
    subagents: u64,
    #[serde(default)]
    background: u64,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    pub(crate) brief: bool,
    end_reason: Option<String>,
    previous_ids: Option<Vec<String>>,
}

impl Expectation {
    /// Reads `<path>.expected.json`.
    pub(crate) fn read(path: &Path) -> Self {
        let path = path.with_extension("expected.json");
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut expectation: Self = serde_json::from_str(&text).unwrap();
        let mut ids: BTreeMap<u64, String> = BTreeMap::new();
        for step in &mut expectation.steps {
            match &step.id {
                Some(id) => _ = ids.insert(step.process, id.clone()),
                None => step.id = ids.get(&step.process).cloned(),
            }
        }
        expectation
    }

    /// The steps of each process.
    pub(crate) fn by_process(&self) -> BTreeMap<u64, Vec<&Step>> {
        let mut steps: BTreeMap<u64, Vec<&Step>> = BTreeMap::new();
        for step in &self.steps {
            steps.entry(step.process).or_default().push(step);
        }
        steps
    }

    /// Compares the last session of `process`, published where the hooks were the only source, with `hooks_only`.
    ///
    /// # Errors
    ///
    /// The session has another history, or does not end as the last step does.
    pub(crate) fn check_hooks_only(&self, process: u64, session: &Value) -> Result<(), String> {
        let history = session["history"].as_array().into_iter().flatten();
        let statuses: Vec<_> = history.map(|entry| &entry["status"]).collect();
        let expected = &self.hooks_only[&process];
        let last = self.by_process()[&process].last().copied();
        if statuses == expected.iter().collect::<Vec<_>>()
            && last.is_some_and(|step| step.holds(session))
        {
            Ok(())
        } else {
            Err(format!("process {process}: {session:#}"))
        }
    }
}

/// A session as it was published.
pub(crate) struct Change {
    /// Since the replay began.
    pub(crate) at: Duration,
    pub(crate) seq: u64,
    pub(crate) session: Value,
}

/// The status, with what it waits for.
pub(crate) fn shown(session: &Value) -> String {
    match (&session["status"], &session["waiting_for"]) {
        (Value::String(status), Value::String(what)) => format!("{status}/{what}"),
        (status, _) => status.as_str().unwrap_or_default().to_owned(),
    }
}

impl Step {
    /// Which parts of a session are as they should be.
    fn parts(&self, session: &Value) -> [bool; 7] {
        let begins = |id: &Value, with: &String| id.as_str().is_some_and(|id| id.starts_with(with));
        let wants_a_person = self.shown.starts_with("waiting") || self.shown == "error";
        let previous = session["previous_session_ids"].as_array();
        [
            shown(session) == self.shown,
            session["attention"] == (self.attention || wants_a_person),
            session["subagents"] == self.subagents,
            session["background"] == self.background,
            self.id
                .as_ref()
                .is_none_or(|id| begins(&session["session_id"], id)),
            session["end_reason"].as_str() == self.end_reason.as_deref(),
            self.previous_ids.as_ref().is_none_or(|ids| {
                let previous = previous.map_or(&[][..], Vec::as_slice);
                previous.len() == ids.len()
                    && previous.iter().zip(ids).all(|(is, want)| begins(is, want))
            }),
        ]
    }

    /// True if a session is as the step says.
    pub(crate) fn holds(&self, session: &Value) -> bool {
        self.parts(session).iter().all(|agrees| *agrees)
    }

    fn describe(&self) -> String {
        format!("{} ms, {}: {}", self.ms, self.what, self.shown)
    }
}

/// How one session went: what was published of it, beside its steps.
struct Course<'a> {
    steps: &'a [&'a Step],
    evidence: Vec<Duration>,
    /// How long after its evidence a step may be shown.
    limit: Duration,
    /// How many steps have had their evidence, and how many of these were shown or passed over.
    due: usize,
    reached: usize,
    /// The last step that was shown.
    from: usize,
    last: Option<&'a Value>,
    latencies: Vec<Duration>,
}

impl<'a> Course<'a> {
    /// The evidence of the next step is there: all before it must have been shown.
    fn evidence(&mut self) -> Result<(), String> {
        if let Some(missed) = self.steps[self.reached..self.due]
            .iter()
            .find(|step| !step.brief)
        {
            return Err(format!("not shown in time: {}", missed.describe()));
        }
        self.reached = self.due;
        self.due += 1;
        let step = self.steps[self.reached];
        if self.last.is_some_and(|session| step.holds(session)) {
            self.from = self.reached;
            self.reached = self.due;
        }
        Ok(())
    }

    /// The session must be as the due step says; before that step was shown, each part may still be as in the step
    /// before it.
    fn change(&mut self, change: &'a Change) -> Result<(), String> {
        self.last = Some(&change.session);
        let Some(now) = self.due.checked_sub(1) else {
            return Err("shown before anything has happened".into());
        };
        if self.steps[now].holds(&change.session) {
            if self.reached < self.due {
                let latency = change.at.saturating_sub(self.evidence[now]);
                self.latencies.push(latency);
                self.reached = self.due;
                self.from = now;
                if latency > self.limit {
                    return Err(format!("after {latency:?}: {}", self.steps[now].describe()));
                }
            }
            return Ok(());
        }
        let candidates = &self.steps[self.from..self.due];
        let parts: Vec<_> = candidates
            .iter()
            .map(|step| step.parts(&change.session))
            .collect();
        let is_of_one = (0..7).all(|part| parts.iter().any(|parts| parts[part]));
        if is_of_one && self.reached < self.due {
            return Ok(());
        }
        Err(format!("contradicts {}", self.steps[now].describe()))
    }
}

/// Compares what was published of one session with its steps: how long each change took to be shown.
///
/// `evidence` is when that which was recorded at some ms began to happen in this replay; a step must be shown within
/// `limit` of it.
///
/// # Errors
///
/// What was shown too late, too early, or between two steps.
pub(crate) fn follow(
    steps: &[&Step],
    changes: &[&Change],
    evidence: impl Fn(u64) -> Duration,
    limit: Duration,
) -> Result<Vec<Duration>, String> {
    let mut course = Course {
        steps,
        evidence: steps.iter().map(|step| evidence(step.ms)).collect(),
        limit,
        due: 0,
        reached: 0,
        from: 0,
        last: None,
        latencies: Vec::new(),
    };
    for change in changes {
        let outcome = course
            .evidence
            .clone()
            .iter()
            .skip(course.due)
            .take_while(|evidence| **evidence <= change.at)
            .try_for_each(|_| course.evidence())
            .and_then(|()| course.change(change));
        outcome.map_err(|what| format!("{what}\n{}", context(change, changes)))?;
    }
    match course.steps.get(course.reached) {
        None => Ok(course.latencies),
        Some(step) => Err(format!("never shown: {}", step.describe())),
    }
}

/// The changes up to one, with the evidence that each rests on.
fn context(change: &Change, changes: &[&Change]) -> String {
    let until = changes.iter().filter(|other| other.seq <= change.seq);
    let mut text = String::new();
    for change in until.rev().take(8).collect::<Vec<_>>().iter().rev() {
        let session = &change.session;
        let _ = writeln!(
            text,
            "  +{} ms: {} attention={} subagents={} id={:.8} previous={} end={} {}",
            change.at.as_millis(),
            shown(session),
            session["attention"],
            session["subagents"],
            session["session_id"].as_str().unwrap_or_default(),
            session["previous_session_ids"],
            session["end_reason"],
            session["evidence"],
        );
    }
    text
}

/// How long a status must last, in ms of the recording, for the registry alone to show it for sure.
const LASTING_MS: u64 = 500;

/// The steps that the registry alone must show, each with the status that it shows. Without hooks an error is no
/// different from an end.
pub(crate) fn lasting<'a>(steps: &[&'a Step]) -> Vec<(&'a Step, &'a str)> {
    let ends = steps.iter().skip(1).map(|next| next.ms);
    let ends = ends.chain([u64::MAX]);
    let lasting = steps.iter().zip(ends);
    lasting
        .filter(|(step, end)| end - step.ms >= LASTING_MS)
        .map(|(step, _)| match &*step.shown {
            "error" => (*step, "idle"),
            shown => (*step, shown),
        })
        .collect()
}

/// Compares what the registry alone shows of one session with its steps, by status only: by the end of each step that
/// lasts, the status is the step's.
///
/// # Errors
///
/// What was not as expected.
pub(crate) fn follow_lasting(
    steps: &[&Step],
    changes: &[&Change],
    evidence: impl Fn(u64) -> Duration,
) -> Result<(), String> {
    for (step, expected) in lasting(steps) {
        let next = steps.iter().find(|next| next.ms > step.ms);
        let end = next.map(|next| evidence(next.ms));
        let last = changes
            .iter()
            .rfind(|change| end.is_none_or(|end| change.at < end));
        let is = last.map(|change| shown(&change.session));
        if is.as_deref() != Some(expected) {
            let context = last.map(|last| context(last, changes)).unwrap_or_default();
            return Err(format!("{is:?} for {}\n{context}", step.describe()));
        }
    }
    Ok(())
}
