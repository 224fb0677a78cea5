//! Hooks that overtake one another.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use super::recording::{Fact, Recording};
use super::replay::{EPOCH, Replay};
use super::{AGENTS, Agent, recordings};
use crate::event::AgentEvent;

/// How far from its place an event may arrive, in ms: what was seen of parallel hooks under load.
const WINDOW: u64 = 50;

/// When all of a recording has happened, in ms since its start.
const LATER: u64 = 600_000;

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
    for agent in AGENTS {
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
                    event: agent.event(&payload),
                }),
                Fact::Mark(_) | Fact::Registry { .. } => None,
            });
            all.push((agent, hooks.collect()));
        }
    }
    all
}

/// The sessions after these hooks have arrived in this order: of each what a person sees.
fn sessions(agent: &'static Agent, hooks: &[&Hook]) -> Vec<Value> {
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
    replay.wait_until(LATER);
    // In the order of the recording, so that each stands for the same one every time.
    let recorded: BTreeSet<u64> = hooks.iter().map(|hook| hook.process).collect();
    for process in recorded {
        replay.process_of(process);
    }
    for hook in hooks {
        let process = replay.process_of(hook.process);
        replay.hook(EPOCH + hook.ms, process, hook.attended, hook.event.clone());
    }
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
    proptest!(|((which, cut, delays) in orders)| {
        let (agent, trace) = which.get(&recorded);
        let quiet: Vec<usize> = (1..=trace.len())
            .filter(|&cut| {
                let next = trace.get(cut).map_or(u64::MAX, |hook| hook.ms);
                next - trace[cut - 1].ms > WINDOW
            })
            .collect();
        let cut = *cut.get(&quiet);
        let in_order: Vec<&Hook> = trace[..cut].iter().collect();
        let mut arrivals: Vec<(u64, &Hook)> = in_order
            .iter()
            .zip(delays.iter().cycle())
            .map(|(hook, delay)| (hook.ms + delay, *hook))
            .collect();
        arrivals.sort_by_key(|(arrival, _)| *arrival);
        let shuffled: Vec<&Hook> = arrivals.into_iter().map(|(_, hook)| hook).collect();
        let names: Vec<_> = shuffled
            .iter()
            .map(|hook| (hook.ms, &*hook.event.name))
            .collect();
        prop_assert_eq!(sessions(agent, &in_order), sessions(agent, &shuffled), "{:?}", names);
    });
}
