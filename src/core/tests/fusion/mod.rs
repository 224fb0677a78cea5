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
    let epoch = core.now.unix_ms;
    agent.evidence.sort_by_key(|(at, _)| *at);
    agent.read_registry();
    // As it was when it last rested.
    let mut rest = String::from("idle");
    for (arrival, evidence) in agent.evidence {
        let until = epoch + arrival;
        while let Some(due) = core.core.timers.next() {
            let moment = core.now.unix_ms + due.saturating_sub(core.now.uptime_ms);
            if moment > until {
                break;
            }
            core.wait(moment - core.now.unix_ms);
            core.take(Input::Timeout);
        }
        core.wait(until - core.now.unix_ms);
        match evidence {
            Evidence::Hook(_, _) if sources == Sources::RegistryOnly => {}
            Evidence::Hook(at, payload) => drop(core.hook_at(epoch + at, true, &payload)),
            Evidence::Registry(entry) => {
                core.take(Input::RegistryChanged(Box::new(sighting(entry, epoch))));
            }
            Evidence::Exit => {
                let effects = core.take(Input::ProcessExited(CLAUDE));
                assert!(matches!(effects.first(), None | Some(Effect::Unwatch(_))));
            }
            Evidence::Seen { stopped } => {
                core.take(Input::ProcessesSeen(vec![(CLAUDE, stopped)]));
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

fn sighting(entry: Option<Value>, epoch: u64) -> RegistryUpdate {
    let read = entry.map(|mut entry| {
        for stamp in ["startedAt", "statusUpdatedAt", "updatedAt"] {
            entry[stamp] = (epoch + entry[stamp].as_u64().unwrap()).into();
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
}
