//! What a person at the terminal would say of a recorded run, step by step, and whether a dashboard was told the same.
//!
//! Written by hand beside each recording, from what was done and from what is known of the program; never from what the
//! daemon makes of it. A step holds until the next one of its process:
//!
//! | field | meaning |
//! |---|---|
//! | `process`, `ms` | whose step, and the first evidence of it: a hook, a registry entry or a mark of the recording |
//! | `what` | what has happened, in a person's words |
//! | `shown` | the status, with what it waits for: `waiting/permission` |
//! | `attention` | where it is idle: whether a person should look; false if left out. `waiting` and `error` always want it |
//! | `subagents` | how many run; none if left out |
//! | `id` | the conversation's id, or its beginning; as before if left out |
//! | `brief` | over before a person could see it: need not be shown |
//! | `end_reason`, `previous_ids` | at the end |
//!
//! `hooks_only` is what the hooks alone can tell: the statuses of each process, one after the other.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use super::player::Played;
use super::recording;

/// Far above the 200 ms that a change may take, which are printed: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was written down beside a recording.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// For who reads the file.
    #[serde(rename = "about")]
    _about: String,
    pub steps: Vec<Step>,
    pub hooks_only: BTreeMap<u64, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub process: u64,
    pub ms: u64,
    pub what: String,
    shown: String,
    #[serde(default)]
    attention: bool,
    #[serde(default)]
    subagents: u64,
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    brief: bool,
    pub end_reason: Option<String>,
    pub previous_ids: Option<Vec<String>>,
}

impl Expectation {
    pub fn read(name: &str) -> Self {
        let text = fs::read_to_string(recording::file(&format!("{name}.expected.json"))).unwrap();
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
    pub fn by_process(&self) -> BTreeMap<u64, Vec<&Step>> {
        let mut steps: BTreeMap<u64, Vec<&Step>> = BTreeMap::new();
        for step in &self.steps {
            steps.entry(step.process).or_default().push(step);
        }
        steps
    }
}

/// A session as a dashboard was told of it.
pub struct Told {
    pub at: Instant,
    pub seq: u64,
    pub session: Value,
}

fn shown(session: &Value) -> String {
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
            session["background"] == 0,
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

    pub fn is(&self, session: &Value) -> bool {
        self.parts(session).iter().all(|agrees| *agrees)
    }
}

/// How one session went: what was told of it, held against its steps.
struct Course<'a> {
    steps: &'a [&'a Step],
    evidence: Vec<Instant>,
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
            return Err(format!("not shown in time: {}", told_of(missed)));
        }
        self.reached = self.due;
        self.due += 1;
        let step = self.steps[self.reached];
        if self.last.is_some_and(|session| step.is(session)) {
            self.from = self.reached;
            self.reached = self.due;
        }
        Ok(())
    }

    /// It is as the step that is due has it, or, on the way there, in each part as that one or as the one before.
    fn change(&mut self, told: &'a Told) -> Result<(), String> {
        self.last = Some(&told.session);
        let Some(now) = self.due.checked_sub(1) else {
            return Err("shown before anything has happened".into());
        };
        if self.steps[now].is(&told.session) {
            if self.reached < self.due {
                let latency = told.at.saturating_duration_since(self.evidence[now]);
                self.latencies.push(latency);
                self.reached = self.due;
                self.from = now;
                if latency > PATIENCE {
                    return Err(format!("after {latency:?}: {}", told_of(self.steps[now])));
                }
            }
            return Ok(());
        }
        let on_the_way = &self.steps[self.from..self.due];
        let parts: Vec<_> = on_the_way
            .iter()
            .map(|step| step.parts(&told.session))
            .collect();
        let is_of_one = (0..7).all(|part| parts.iter().any(|parts| parts[part]));
        if is_of_one && self.reached < self.due {
            return Ok(());
        }
        Err(format!("not as it was: {}", told_of(self.steps[now])))
    }
}

fn told_of(step: &Step) -> String {
    format!("{} ms, {}: {}", step.ms, step.what, step.shown)
}

/// Holds what a dashboard was told of one session against its steps: how long each change took to be shown.
///
/// # Errors
///
/// What was shown too late, too early, or between two steps.
pub fn follow(steps: &[&Step], told: &[&Told], played: &Played) -> Result<Vec<Duration>, String> {
    let mut course = Course {
        steps,
        evidence: steps.iter().map(|step| played.evidence(step.ms)).collect(),
        due: 0,
        reached: 0,
        from: 0,
        last: None,
        latencies: Vec::new(),
    };
    for change in told {
        let outcome = course
            .evidence
            .clone()
            .iter()
            .skip(course.due)
            .take_while(|evidence| **evidence <= change.at)
            .try_for_each(|_| course.evidence())
            .and_then(|()| course.change(change));
        outcome.map_err(|what| format!("{what}\n{}", around(change, told, course.evidence[0])))?;
    }
    match course.steps.get(course.reached) {
        None => Ok(course.latencies),
        Some(step) => Err(format!("never shown: {}", told_of(step))),
    }
}

/// The changes up to one, with the evidence that each rests on.
fn around(change: &Told, told: &[&Told], began: Instant) -> String {
    let until = told.iter().filter(|told| told.seq <= change.seq);
    let mut text = String::new();
    for told in until.rev().take(8).collect::<Vec<_>>().iter().rev() {
        let session = &told.session;
        let after = told.at.saturating_duration_since(began).as_millis();
        let _ = writeln!(
            text,
            "  +{after} ms: {} attention={} subagents={} id={:.8} previous={} end={} {}",
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

/// How long a status must last for the registry alone to show it for sure.
const LASTING: Duration = Duration::from_millis(500);

/// The same, coarsely: by the end of each step that lasts, the status is the step's. Without hooks nobody tells a
/// failure from an end, nor what a person has seen.
///
/// # Errors
///
/// What was not as expected.
pub fn follow_coarsely(steps: &[&Step], told: &[&Told], played: &Played) -> Result<(), String> {
    for (place, step) in steps.iter().enumerate() {
        let next = steps.get(place + 1).map(|next| played.evidence(next.ms));
        if next.is_some_and(|next| next - played.evidence(step.ms) < LASTING) {
            continue;
        }
        let before = |told: &&&Told| next.is_none_or(|next| told.at < next);
        let last = told.iter().rfind(before);
        let is = last.map(|told| shown(&told.session)).unwrap_or_default();
        let expected = if step.shown == "error" {
            "idle"
        } else {
            &step.shown
        };
        if is != expected {
            let context = last.map(|last| around(last, told, played.evidence(steps[0].ms)));
            let context = context.unwrap_or_default();
            return Err(format!("{is:?} for {}\n{context}", told_of(step)));
        }
    }
    Ok(())
}
