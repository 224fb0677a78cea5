//! Every agent's recorded runs, replayed in virtual time and compared with what a person at that terminal would say.
//!
//! The whole way of a fact, without a process, a socket or a clock: an agent's filter, its interpretation, the core.
//! Adding an agent with recordings is a line in [`agents::ALL`]; each `traces/*.jsonl` of its folder needs an
//! `*.expected.json` beside it. `tests/it/traces.rs` replays one recording of each agent in real time, from the same
//! files and by the same comparison.

mod deciding;
mod document;
mod expectation;
mod order;
mod recording;
mod replay;
mod said;
mod scene;
mod stage;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use self::expectation::{Expectation, follow, follow_lasting};
use self::recording::Recording;
use self::replay::{Replay, Sources};
use self::scene::{LIMIT_MS, Scene};
use self::stage::Stage;
use crate::agents::{self, Agent};
use crate::event::AgentEvent;

/// What the payload of a hook that ran at `at` means, on the way that it takes.
fn interpret(agent: &Agent, payload: &Value, at: u64) -> AgentEvent {
    let filtered = agent.filter(payload.to_string().as_bytes(), None);
    let filtered = filtered.unwrap_or_else(|error| panic!("filtered out ({error}): {payload}"));
    let event = (agent.interpret)(filtered.get(), at);
    event.unwrap_or_else(|| panic!("not understood: {filtered}"))
}

/// How long after its first evidence a change may be published: the 150 ms that a contradicting registry entry must
/// stand, and the recorder's delay.
const LIMIT: Duration = Duration::from_millis(200);

const ALL_SOURCES: Sources = Sources {
    hooks: true,
    registry: true,
};

const HOOKS_ONLY: Sources = Sources {
    hooks: true,
    registry: false,
};

const REGISTRY_ONLY: Sources = Sources {
    hooks: false,
    registry: true,
};

/// The recordings of an agent, without their ending, in the order of their names.
fn recordings(agent: &Agent) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/agents");
    let folder = folder.join(agent.name.replace('-', "_")).join("traces");
    let listing =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = listing.map(|file| file.unwrap().path());
    let mut recordings: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .map(|path| path.with_extension(""))
        .collect();
    recordings.sort();
    recordings
}

/// The agents that keep a registry of running processes.
fn with_registry() -> impl Iterator<Item = &'static Agent> {
    let all = agents::ALL.iter().copied();
    all.filter(|agent| agent.registry.is_some())
}

/// Replays every recording of every agent with a registry; panics with all failures.
#[track_caller]
fn each(sources: Sources, check: impl Fn(&Replay, &Expectation) -> Result<(), String>) {
    let mut failures = Vec::new();
    for agent in with_registry() {
        for path in recordings(agent) {
            let recording = Recording::read(&path);
            let expectation = Expectation::read(&path);
            for step in &expectation.steps {
                let is_recorded = recording.entries.iter().any(|entry| entry.ms == step.ms);
                assert!(is_recorded, "{}: nothing at {}", recording.name, step.ms);
            }
            let replay = Replay::of(agent, &recording, sources);
            let expected: Vec<u64> = expectation.by_process().into_keys().collect();
            assert_eq!(replay.seen(), expected, "{}", recording.name);
            if let Err(error) = check(&replay, &expectation) {
                failures.push(format!("{} {}: {error}", agent.name, recording.name));
            }
        }
    }
    assert!(failures.is_empty(), "{sources:?}\n{}", failures.join("\n"));
}

#[test]
fn no_agent_with_recordings_is_left_out() {
    let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/agents"));
    let recorded = folders
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|folder| folder.join("traces").is_dir())
        .count();
    assert_eq!(recorded, agents::ALL.len());
    for agent in agents::ALL {
        assert!(!recordings(agent).is_empty(), "{}", agent.name);
    }
}

/// All sources: each step as a person would say, soon after its evidence, and nothing else between two steps.
#[test]
fn a_person_at_the_terminal_would_say_the_same() {
    each(ALL_SOURCES, |replay, expectation| {
        for (process, steps) in expectation.by_process() {
            let changes = replay.of_process(process);
            follow(&steps, &changes, Duration::from_millis, LIMIT)
                .map_err(|error| format!("process {process}: {error}"))?;
        }
        Ok(())
    });
}

/// The same of agents without a registry: hooks, plugins and files.
#[test]
fn each_step_of_a_run_is_shown() {
    let mut failures = Vec::new();
    for agent in agents::ALL.iter().filter(|agent| agent.registry.is_none()) {
        for path in recordings(agent) {
            let scene = Scene::read(&path);
            let (frames, _) = Stage::play(agent, &scene);
            let (_, wrong) = scene.judge(&frames);
            failures.extend(wrong.into_iter().map(|why| format!("{} {why}", agent.name)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Copilot CLI runs the hooks of a conversation's start and of its first prompt side by side: on a machine under load that of
/// the start is stamped later.
#[test]
fn a_start_that_is_stamped_after_its_first_prompt_ends_no_turn() {
    let agent = agents::find("copilot").unwrap();
    for later_ms in [100, 260, 900] {
        let mut failures = Vec::new();
        for path in recordings(agent) {
            let mut scene = Scene::read(&path);
            let moved = scene.move_behind("sessionStart", "userPromptSubmitted", later_ms);
            assert!(moved > 0, "{}", scene.name);
            let (frames, _) = Stage::play(agent, &scene);
            failures.extend(scene.judge(&frames).1);
        }
        assert!(failures.is_empty(), "{later_ms}\n{}", failures.join("\n"));
    }
}

/// The comparison itself: what comes late, and what asks for a person at the wrong moments, is found.
#[test]
fn a_run_that_is_shown_otherwise_is_found_wrong() {
    for agent in agents::ALL.iter().filter(|agent| agent.registry.is_none()) {
        for path in recordings(agent) {
            let scene = Scene::read(&path);
            let (frames, _) = Stage::play(agent, &scene);
            let late: Vec<_> = frames
                .iter()
                .map(|(at, sessions)| (at + 2 * LIMIT_MS, sessions.clone()))
                .collect();
            assert!(!scene.judge(&late).1.is_empty(), "{} late", scene.name);
            let mut inverted = frames;
            for session in inverted.iter_mut().flat_map(|(_, sessions)| sessions) {
                session["attention"] = (session["attention"] != true).into();
            }
            let (_, wrong) = scene.judge(&inverted);
            assert!(!wrong.is_empty(), "{} attention", scene.name);
        }
    }
}

/// Hooks that were never installed: the statuses that last.
#[test]
fn the_registry_alone_shows_what_lasts() {
    each(REGISTRY_ONLY, |replay, expectation| {
        for (process, steps) in expectation.by_process() {
            let changes = replay.of_process(process);
            follow_lasting(&steps, &changes, Duration::from_millis)
                .map_err(|error| format!("process {process}: {error}"))?;
        }
        Ok(())
    });
}

/// An agent that keeps no registry, or an unknown one.
#[test]
fn the_hooks_alone_show_what_they_can() {
    each(HOOKS_ONLY, |replay, expectation| {
        for process in expectation.hooks_only.keys() {
            let changes = replay.of_process(*process);
            let last = changes.last().ok_or("no session")?;
            expectation.check_hooks_only(*process, &last.session)?;
        }
        assert_eq!(replay.seen().len(), expectation.hooks_only.len());
        Ok(())
    });
}
