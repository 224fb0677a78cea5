//! One status from three sources: a model of an agent produces the evidence of its hooks, its registry and the process
//! table, each with its own delay; after each step the session must have the status of the model.
//!
//! The agent's habits are those observed with Claude Code 2.1.330. What differs from run to run, and here from case to
//! case, is when each piece of evidence arrives (hooks up to 100 ms after their stamp and the registry up to 120 ms, or
//! each up to a second), whether the hooks are registered twice, and which of them are switched off.

mod acts;
mod agent;
mod behaviour;

use proptest::prelude::*;
use serde_json::{Value, json};

use self::acts::{End, act};
use self::agent::{Agent, Delivery, Evidence};
use super::{CLAUDE, CoreHarness, KEY, NAMESPACE};
use crate::agents;
use crate::core::{Effect, Input};
use crate::event::RegistryUpdate;
use crate::protocol::EndReason;

/// Which sources report at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sources {
    All,
    /// The session began before the hooks were installed.
    RegistryOnly,
}

/// Plays what the agent has written down, in the order of its arrival, with the timer of an honest shell.
fn play(mut agent: Agent, sources: Sources) -> CoreHarness {
    let mut core = CoreHarness::new();
    core.wait(10_000);
    let began = core.now;
    let jumps: Vec<_> = agent
        .evidence
        .iter()
        .filter_map(|(at, evidence)| match evidence {
            Evidence::ClockSet(by, _) => Some((*at, *by)),
            _ => None,
        })
        .collect();
    // The wall clock's time at a moment of the agent's.
    let wall = |moment: u64| {
        let set = jumps.iter().filter(|(at, _)| *at <= moment);
        (began.unix_ms + moment).saturating_add_signed(set.map(|(_, by)| by).sum())
    };
    agent.evidence.sort_by_key(|(at, _)| *at);
    agent.read_registry();
    // As it was when it last rested.
    let mut rest = String::from("idle");
    for (arrival, evidence) in agent.evidence {
        core.pass(began.uptime_ms + arrival - core.now.uptime_ms);
        match evidence {
            Evidence::Hook(_, _) if sources == Sources::RegistryOnly => {}
            Evidence::Hook(at, payload) => drop(core.hook_at(wall(at), true, &payload)),
            Evidence::Registry(entry) => {
                core.take(Input::RegistryChanged(Box::new(sighting(entry, wall))));
            }
            Evidence::Exit => {
                let effects = core.take(Input::ProcessExited(CLAUDE));
                assert!(matches!(effects.first(), None | Some(Effect::Unwatch(_))));
            }
            Evidence::Seen { stopped } => {
                core.take(Input::ProcessesSeen(vec![(CLAUDE, stopped)]));
            }
            Evidence::ClockSet(by, noticed) => {
                core.now.unix_ms = core.now.unix_ms.saturating_add_signed(by);
                if noticed {
                    core.take(Input::Timeout);
                }
            }
            Evidence::Check(expected) => {
                let is = without_reason(&core.shown(KEY));
                let (mut expected, mut shown) = (expected.to_owned(), is.clone());
                if expected == "as before, and looked at" {
                    expected = rest.replace("idle!", "idle");
                }
                let suspended = expected == "as before, and stopped";
                if suspended {
                    expected = format!("{}!", rest.trim_end_matches('!'));
                    let flags = rest.split_once(" +");
                    if let Some((status, flags)) = flags {
                        expected = format!("{}! +{flags}", status.trim_end_matches('!'));
                    }
                }
                if expected == "as before" {
                    (expected, shown) = (coarse(&rest), coarse(&shown));
                }
                if sources == Sources::RegistryOnly {
                    // The registry alone does not show who ended a turn, nor a failure, nor a number.
                    (expected, shown) = (coarse(&expected), coarse(&shown));
                }
                assert_eq!(shown, expected, "{}", explained(&mut core));
                if !is.starts_with('w') && !suspended {
                    rest = is;
                }
            }
        }
    }
    core
}

fn sighting(entry: Option<Value>, wall: impl Fn(u64) -> u64) -> RegistryUpdate {
    let read = entry.map(|mut entry| {
        for stamp in ["startedAt", "statusUpdatedAt", "updatedAt"] {
            entry[stamp] = wall(entry[stamp].as_u64().unwrap()).into();
        }
        let registry = agents::DEFAULT.registry.as_ref().unwrap();
        (registry.read)(entry.to_string().as_bytes(), CLAUDE.pid, None).unwrap()
    });
    RegistryUpdate {
        timing: agents::DEFAULT.timing,
        agent: "claude-code".into(),
        process: crate::event::ReportedProcess {
            pid: CLAUDE.pid,
            start: Some(CLAUDE.start),
            namespace: Some(NAMESPACE),
        },
        alive: true,
        tty: None,
        account: None,
        entry: read.map(|read| read.entry),
    }
}

fn without_reason(shown: &str) -> String {
    shown.split(": ").next().unwrap_or(shown).to_owned()
}

fn coarse(shown: &str) -> String {
    let shown = shown.split(" +").next().unwrap_or(shown);
    match shown {
        "idle!" | "error!" => "idle".to_owned(),
        "waiting/plan!" => "waiting/permission!".to_owned(),
        shown => shown.to_owned(),
    }
}

fn explained(core: &mut CoreHarness) -> String {
    let answer = core.ask("session.explain", &json!({"session": KEY}));
    let steps = answer["steps"].as_array().unwrap();
    let lines = steps.iter().map(|step| {
        format!(
            "\n{} {} {} {} -> {}",
            step["at"], step["kind"], step["what"], step["rule"], step["status"]
        )
    });
    lines.collect()
}

fn delivery() -> impl Strategy<Value = Delivery> {
    let times = prop::sample::select(vec![
        (100, 60),
        (100, 60),
        (1000, 60),
        (100, 1000),
        (1000, 1000),
    ]);
    (times, prop::bool::weighted(0.3)).prop_map(|((hook_ms, registry_ms), twice)| Delivery {
        hook_ms,
        registry_ms,
        twice,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whenever each piece of evidence arrives, the session is shown as the person at that terminal would say.
    #[test]
    fn any_interleaving_comes_to_the_same(
        seed in any::<u64>(),
        acts in prop::collection::vec(act(), 1..8),
        end in prop::sample::select(vec![End::Goodbye, End::Killed]),
        sources in prop::sample::select(vec![Sources::All, Sources::All, Sources::RegistryOnly]),
        delivery in delivery(),
    ) {
        let mut agent = Agent::new(seed, delivery);
        for act in acts {
            agent.act(act);
        }
        agent.end(end);
        let core = play(agent, sources);
        let session = core.get(KEY);
        let reason = match (end, sources) {
            (End::Killed, _) => "crashed",
            (End::Goodbye, Sources::All) => "prompt_input_exit",
            (End::Goodbye, Sources::RegistryOnly) => "exited",
        };
        prop_assert_eq!(session.end_reason.as_ref().map(EndReason::as_str), Some(reason));
    }

    /// The same acts, with the wall clock set now and then: each status comes as soon as without, and everything is as long
    /// ago.
    #[test]
    fn a_clock_that_is_set_changes_nothing(
        seed in any::<u64>(),
        acts in prop::collection::vec(act(), 1..6),
        end in prop::sample::select(vec![End::Goodbye, End::Killed]),
        sources in prop::sample::select(vec![Sources::All, Sources::RegistryOnly]),
        delivery in delivery(),
        jumps in jumps(),
    ) {
        let record = |jumps: &[(u64, i64, bool)]| {
            let mut agent = Agent::new(seed, delivery);
            for act in acts.clone() {
                agent.act(act);
            }
            agent.end(end);
            let length = agent.now;
            for (at, by, noticed) in jumps {
                agent.evidence.push((at % length, Evidence::ClockSet(*by, *noticed)));
            }
            let mut core = play(agent, sources);
            core.pass(20_000 + length - core.now.uptime_ms);
            core.take(Input::Timeout);
            let mut record = serde_json::to_value(core.get(KEY)).unwrap();
            make_ages(&mut record, core.now.unix_ms);
            record
        };
        prop_assert_eq!(record(&jumps), record(&[]));
    }
}

/// How the clock is set: when, by how many ms, and whether the loop notices at once. Twice between two looks cannot be
/// told from once.
fn jumps() -> impl Strategy<Value = Vec<(u64, i64, bool)>> {
    const HOUR: i64 = 3_600_000;
    let step = prop::sample::select(vec![-HOUR, HOUR, 49 * HOUR, -24 * HOUR, -3 * HOUR]);
    let jump = |noticed| (any::<u64>(), step.clone(), Just(noticed));
    prop_oneof![
        prop::collection::vec(jump(true), 1..6),
        prop::collection::vec(jump(false), 1),
    ]
}

/// Makes each moment in a record how long ago it was.
pub(super) fn make_ages(record: &mut Value, now: u64) {
    match record {
        Value::Array(values) => values.iter_mut().for_each(|value| make_ages(value, now)),
        Value::Object(fields) => {
            for (name, value) in fields {
                let is_moment = name == "at" || name.ends_with("_at") || name.ends_with("since");
                match value.as_u64().filter(|_| is_moment) {
                    Some(at) => {
                        *value = (now.cast_signed() - at.cast_signed()).into();
                    }
                    None => make_ages(value, now),
                }
            }
        }
        _ => {}
    }
}
