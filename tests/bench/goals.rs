//! The goals, each a figure of agent-console against a limit: a multiple of another figure of the same run, or a number.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::report::{Figure, Report, number};

/// Whether a goal was met, and by which figures.
pub struct Outcome {
    goal: &'static str,
    ours: f64,
    limit: f64,
    met: bool,
    unit: &'static str,
}

impl Outcome {
    pub fn line(&self) -> String {
        let met = if self.met { "met" } else { "not met" };
        let (ours, limit) = (number(self.ours), number(self.limit));
        format!(
            "| {} | {ours} {unit} | {limit} {unit} | {met} |",
            self.goal,
            unit = self.unit
        )
    }

    pub fn json(&self) -> Value {
        json!({"goal": self.goal, "figure": self.ours, "limit": self.limit, "unit": self.unit, "met": self.met})
    }
}

/// What a goal is measured against.
enum Against {
    Number(f64),
    /// A multiple of this system's figure in the same line.
    System(&'static str, f64),
    BestPeer(f64),
    /// A multiple of agent-console's own figure in another line.
    Own(&'static str, f64),
    /// The other line's figure and so much more.
    OwnPlus(&'static str, f64),
}

struct Goal {
    text: &'static str,
    section: &'static str,
    what: &'static str,
    against: Against,
}

const fn goal(
    text: &'static str,
    section: &'static str,
    what: &'static str,
    against: Against,
) -> Goal {
    Goal {
        text,
        section,
        what,
        against,
    }
}

const REPLY_1: &str = "update → reply, 1 dashboard, p50";
const REPLY_100: &str = "update → reply, 100 dashboards, p50";

const GOALS: [Goal; 24] = [
    goal(
        "hook update → reply p50, 1 dashboard: ≤ 1.0× redis",
        "latency",
        REPLY_1,
        Against::System("redis", 1.0),
    ),
    goal(
        "hook update → reply p50, 100 dashboards: ≤ 1.0× redis",
        "latency",
        REPLY_100,
        Against::System("redis", 1.0),
    ),
    goal(
        "hook update → reply p50, 100 dashboards: ≤ 1.25× that at 1",
        "latency",
        REPLY_100,
        Against::Own(REPLY_1, 1.25),
    ),
    goal(
        "update → dashboard p50, 1 dashboard: ≤ 1.0× the best peer",
        "latency",
        "update → dashboard, 1 dashboard, p50",
        Against::BestPeer(1.0),
    ),
    goal(
        "update → last of 100 dashboards p50: ≤ 0.9× redis",
        "latency",
        "update → last, 100 dashboards, p50",
        Against::System("redis", 0.9),
    ),
    goal(
        "update → last of 100 dashboards p99: ≤ 1 ms",
        "latency",
        "update → last, 100 dashboards, p99",
        Against::Number(1000.0),
    ),
    goal(
        "deliveries/s, 100 dashboards: ≥ 1.2× redis",
        "throughput",
        "deliveries, 100 dashboards",
        Against::System("redis", 1.2),
    ),
    goal(
        "updates/s, 1 dashboard: ≥ 0.6× redis",
        "throughput",
        "updates, 1 dashboard",
        Against::System("redis", 0.6),
    ),
    goal(
        "RSS at rest: ≤ 2.6 MiB",
        "memory",
        "RSS at rest",
        Against::Number(2662.0),
    ),
    goal(
        "RSS with 100 sessions and 100 dashboards: ≤ 3.0 MiB",
        "memory",
        "RSS, 100 sessions of real processes and 100 dashboards",
        Against::Number(3072.0),
    ),
    goal(
        "RSS after 1 M updates: ≤ before + 0.5 MiB",
        "memory",
        "RSS after 1 M updates",
        Against::OwnPlus("RSS, 200 busy sessions", 512.0),
    ),
    goal(
        "RSS after 5,000 connections came and went: ≤ at rest + 0.5 MiB",
        "memory",
        "RSS after 5,000 connections came and went",
        Against::OwnPlus("RSS at rest", 512.0),
    ),
    goal(
        "RSS growth over 10 fetches of the limits: 0",
        "memory",
        "RSS growth over 10 fetches of the limits",
        Against::Number(0.0),
    ),
    goal(
        "agent-consoled: ≤ 5 MB",
        "size",
        "agent-consoled",
        Against::Number(5e6),
    ),
    goal(
        "exec → first reply p50: ≤ 2.5 ms",
        "start",
        "exec → first reply, p50",
        Against::Number(2.5),
    ),
    goal(
        "activation, connect → reply p50: ≤ 3 ms",
        "start",
        "activation, connect → first reply, p50",
        Against::Number(3.0),
    ),
    goal(
        "activation by a user manager, connect → reply p50: ≤ 8 ms",
        "start",
        "activation by a user manager, connect → first reply, p50",
        Against::Number(8.0),
    ),
    goal(
        "hook process p50: ≤ 1.5× /bin/true",
        "hook",
        "wall time, p50",
        Against::System("/bin/true", 1.5),
    ),
    goal(
        "hook process p50: ≤ 1.1× a static true",
        "hook",
        "wall time, p50",
        Against::System("static true", 1.1),
    ),
    goal(
        "wake-ups at rest, no dashboards: 0",
        "rest",
        "wake-ups",
        Against::Number(0.0),
    ),
    goal(
        "update → reply with 10,000 sessions: ≤ 3× that with 100",
        "growth",
        "update → reply, 10000 sessions, p50",
        Against::Own("update → reply, 100 sessions, p50", 3.0),
    ),
    goal(
        "update → reply with 1,000 dashboards: ≤ 3× that with 100",
        "growth",
        "update → reply, 1000 dashboards, p50",
        Against::Own("update → reply, 100 dashboards, p50", 3.0),
    ),
    goal(
        "bar with 1,000 sessions p50: ≤ 3 ms",
        "dashboard",
        "bar, 1000 sessions: wall time, p50",
        Against::Number(3.0),
    ),
    goal(
        "agent-console, everything in: ≤ 5 MB",
        "size",
        "agent-console",
        Against::Number(5e6),
    ),
];

/// The goals whose figures were measured in this run.
pub fn outcomes(report: &Report) -> Vec<Outcome> {
    GOALS
        .iter()
        .filter_map(|goal| outcome(goal, report))
        .collect()
}

fn outcome(goal: &Goal, report: &Report) -> Option<Outcome> {
    let figure = report.find(goal.section, goal.what)?;
    let own = |what: &str| report.find(goal.section, what).and_then(Figure::ours);
    let limit = match goal.against {
        Against::Number(limit) => limit,
        Against::System(system, times) => figure.of(system)? * times,
        Against::BestPeer(times) => figure.best_peer()? * times,
        Against::Own(what, times) => own(what)? * times,
        Against::OwnPlus(what, more) => own(what)? + more,
    };
    let ours = figure.ours()?;
    let met = if figure.higher {
        ours >= limit
    } else {
        ours <= limit
    };
    Some(Outcome {
        goal: goal.text,
        ours,
        limit,
        met,
        unit: figure.unit,
    })
}

/// A line a goal; those whose figures are not in this run are named.
pub fn table(report: &Report, outcomes: &[Outcome]) -> String {
    let mut text = String::from("\n## goals\n\n| goal | figure | limit | |\n|---|--:|--:|---|\n");
    for outcome in outcomes {
        text += &outcome.line();
        text.push('\n');
    }
    for goal in &GOALS {
        if outcome(goal, report).is_none() {
            let _ = writeln!(text, "| {} | | | not measured in this run |", goal.text);
        }
    }
    text += "| against the nearest session daemon | | | not part of this benchmark |\n";
    text
}
