//! Facts that arrive late, and hooks that overtake one another.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use super::expectation::{Expectation, Step};
use super::recording::{Entry, Fact, Recording};
use super::replay::Replay;
use super::{ALL_SOURCES, interpret, recordings};
use crate::agents::Agent;
use crate::core::testing::EPOCH;
use crate::event::AgentEvent;

/// How far from its place an event may arrive, in ms: what was seen of parallel hooks under load.
const WINDOW: u64 = 50;

/// When all of a recording has happened, in ms since its start.
const LATER: u64 = 600_000;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

/// A recorded hook.
struct Hook {
    ms: u64,
    process: u64,
    attended: bool,
    event: AgentEvent,
}

/// The hooks of every recording, with the agent that they are of.
fn hooks() -> Vec<(&'static Agent, Vec<Hook>)> {
    let mut all = Vec::new();
    for agent in super::with_registry() {
        for path in recordings(agent) {
            let entries = Recording::read(&path).entries.into_iter();
            let hooks = entries.filter_map(|entry| match entry.fact {
                Fact::Hook {
                    process,
                    attended,
                    payload,
                } => Some(Hook {
                    ms: entry.ms,
                    process: process?,
                    attended,
                    event: interpret(agent, &payload, EPOCH + entry.ms),
                }),
                Fact::Mark(_) | Fact::Registry { .. } => None,
            });
            all.push((agent, hooks.collect()));
        }
    }
    all
}

/// The sessions after these hooks have arrived, each at its time: of each what a person sees.
fn sessions(agent: &'static Agent, hooks: &[(u64, &Hook)]) -> Vec<Value> {
    const COMPARED: [&str; 9] = [
        "pid",
        "session_id",
        "previous_session_ids",
        "status",
        "waiting_for",
        "attention",
        "end_reason",
        "subagents",
        "background",
    ];
    let mut replay = Replay::new(agent);
    // In the order of the recording, so that each stands for the same one every time.
    let recorded: BTreeSet<u64> = hooks.iter().map(|(_, hook)| hook.process).collect();
    for process in recorded {
        replay.process_of(process);
    }
    for (arrival, hook) in hooks {
        replay.wait_until(*arrival);
        let process = replay.process_of(hook.process);
        replay.hook(EPOCH + hook.ms, process, hook.attended, hook.event.clone());
    }
    replay.wait_until(LATER);
    let mut sessions = replay.sessions();
    sessions.sort_by_key(|session| session["pid"].as_u64());
    for session in &mut sessions {
        let fields = session.as_object_mut().unwrap();
        fields.retain(|field, _| COMPARED.contains(&&**field));
    }
    sessions
}

/// At any moment at which nothing is on its way, the order in which it came does not matter.
#[test]
fn hooks_that_arrive_in_another_order_come_to_the_same() {
    let recorded = hooks();
    let orders = (
        any::<Index>(),
        any::<Index>(),
        prop::collection::vec(0..WINDOW, 20),
    );
    proptest!(cases(256), |((which, cut, delays) in orders)| {
        let (agent, trace) = which.get(&recorded);
        let quiet: Vec<usize> = (1..=trace.len())
            .filter(|&cut| {
                let next = trace.get(cut).map_or(u64::MAX, |hook| hook.ms);
                next - trace[cut - 1].ms > WINDOW
            })
            .collect();
        let cut = *cut.get(&quiet);
        let in_order: Vec<(u64, &Hook)> = trace[..cut].iter().map(|hook| (hook.ms, hook)).collect();
        let mut shuffled: Vec<(u64, &Hook)> = in_order
            .iter()
            .zip(delays.iter().cycle())
            .map(|((ms, hook), delay)| (ms + delay, *hook))
            .collect();
        shuffled.sort_by_key(|(arrival, _)| *arrival);
        let names: Vec<_> = shuffled
            .iter()
            .map(|(_, hook)| (hook.ms, &*hook.event.name))
            .collect();
        prop_assert_eq!(sessions(agent, &in_order), sessions(agent, &shuffled), "{:?}", names);
    });
}

/// The facts of a recording as they arrive, each with its time: hooks late by any of `delays`, and so what is in the
/// registry, but in the order in which it was written. Marks are what happened, not what was reported of it.
fn late<'a>(entries: &'a [Entry], delays: &[u64]) -> Vec<(u64, &'a Entry)> {
    let mut registry = 0;
    let mut arrivals: Vec<(u64, &Entry)> = entries
        .iter()
        .zip(delays.iter().cycle())
        .map(|(entry, delay)| match entry.fact {
            Fact::Mark(_) => (entry.ms, entry),
            Fact::Hook { .. } => (entry.ms + delay, entry),
            Fact::Registry { .. } => {
                registry = registry.max(entry.ms + delay);
                (registry, entry)
            }
        })
        .collect();
    arrivals.sort_by_key(|(arrival, _)| *arrival);
    arrivals
}

/// How long after the last evidence of a step its status must be shown, in ms: [`WINDOW`] and the 150 ms that a
/// contradicting registry entry must stand.
const SHOWN_MS: u64 = WINDOW + 150;

/// The steps with a pause in them, each with its process and the end of its last pause: by then it must be shown.
fn paused<'a>(recording: &Recording, expectation: &'a Expectation) -> Vec<(u64, &'a Step, u64)> {
    let times: Vec<u64> = recording.entries.iter().map(|entry| entry.ms).collect();
    let mut paused = Vec::new();
    for (process, steps) in expectation.by_process() {
        let ends = steps.iter().skip(1).map(|next| next.ms).chain([u64::MAX]);
        for (step, end) in steps.iter().zip(ends) {
            let pause = times
                .windows(2)
                .rfind(|pair| (step.ms..end).contains(&pair[0]) && pair[1] - pair[0] > SHOWN_MS);
            paused.extend(pause.map(|pair| (process, *step, pair[1])));
        }
    }
    paused
}

/// All sources, each late: wherever the recording pauses, what is shown is as a person would say.
#[test]
fn late_facts_change_nothing_that_lasts() {
    for agent in super::with_registry() {
        for path in recordings(agent) {
            let recording = Recording::read(&path);
            let expectation = Expectation::read(&path);
            let paused = paused(&recording, &expectation);
            assert!(!paused.is_empty(), "{}", recording.name);
            let delays = prop::collection::vec(0..WINDOW, 41);
            proptest!(cases(4), |(delays in delays)| {
                let mut replay = Replay::new(agent);
                replay.subscribe();
                for (arrival, entry) in late(&recording.entries, &delays) {
                    replay.wait_until(arrival);
                    replay.fact(&recording, entry, ALL_SOURCES);
                }
                for (process, step, end) in &paused {
                    let changes = replay.of_process(*process);
                    let end = Duration::from_millis(*end);
                    let last = changes.iter().rfind(|change| change.at < end);
                    let holds = last.is_some_and(|change| step.holds(&change.session));
                    prop_assert!(holds, "{} {process} at {} ms", recording.name, step.ms);
                }
            });
        }
    }
}
