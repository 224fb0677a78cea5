//! Recorded runs of the real agent, played to a running daemon: the real hook, a real registry, real processes, held
//! against what a person at that terminal would say.

mod expectation;
mod order;
mod player;
mod recording;

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::expectation::{Expectation, Told, follow, follow_coarsely};
use self::player::{Cast, Played, Sources, arrived, play};
use self::recording::{Recording, What};
use crate::support::{Place, until};

const TRACES: [&str; 7] = [
    "clear", "errors", "kill9", "oneshot", "perm", "slow", "subagent",
];

const ALL: Sources = Sources {
    hooks: true,
    registry: true,
};

const REGISTRY_ONLY: Sources = Sources {
    hooks: false,
    registry: true,
};

/// A run that was played later than this in any of its parts is not the one that was recorded: between a registry entry
/// and the hook that belongs to it the daemon waits for 150 ms.
const ON_TIME: Duration = Duration::from_millis(75);

/// How often a run is played if the machine was too busy.
const TRIES: usize = 5;

/// One playing of a recording, and what came of it.
struct Run {
    played: Played,
    told: Vec<Told>,
}

impl Run {
    fn of(recording: &Recording, sources: Sources) -> Self {
        let place = Place::new();
        place.configure("history = 256\n");
        let daemon = place.daemon();
        let (begin, dashboard) = dashboard(&place);
        let played = play(&place, recording, sources);
        arrived(&place, played.hooks);
        let told = settled(&place, begin, &dashboard);
        drop(daemon);
        Self { played, told }
    }

    /// What was told of the process that stands for a recorded one.
    fn of_process(&self, recorded: u64) -> Vec<&Told> {
        let pid = self.played.cast.roles.get(&recorded);
        let is_it = |told: &&Told| pid.is_some_and(|pid| told.session["pid"] == *pid);
        self.told.iter().filter(is_it).collect()
    }
}

/// A dashboard, with the number of its snapshot; what it is told, each with the time of its arrival.
fn dashboard(place: &Place) -> (u64, Receiver<Told>) {
    let mut wire = place.connect();
    let snapshot = wire.ask("subscribe", json!({}));
    let begin = snapshot["result"]["seq"].as_u64().unwrap();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        while let Some(mut line) = wire.next() {
            let told = Told {
                at: Instant::now(),
                seq: line["params"]["seq"].as_u64().unwrap(),
                session: line["params"]["session"].take(),
            };
            if sender.send(told).is_err() {
                return;
            }
        }
    });
    (begin, receiver)
}

/// Every session is closed; all that the dashboard was told by then, without a gap, and it ends where the list stands.
#[track_caller]
fn settled(place: &Place, begin: u64, dashboard: &Receiver<Told>) -> Vec<Told> {
    until("every session to be closed", || {
        (place.json(&["list", "--json"]) == json!([])).then_some(())
    });
    let list = place.json(&["list", "--all", "--json"]);
    let end = place.json(&["status", "--json"])["seq"].as_u64().unwrap();
    let mut mirror: BTreeMap<String, Value> = BTreeMap::new();
    let mut all = Vec::new();
    for seq in begin + 1..=end {
        let told = dashboard.recv().unwrap();
        assert_eq!(told.seq, seq);
        let key = told.session["key"].as_str().unwrap().to_owned();
        mirror.insert(key, told.session.clone());
        all.push(told);
    }
    for session in list.as_array().unwrap() {
        assert_eq!(&mirror[session["key"].as_str().unwrap()], session);
    }
    all
}

/// Plays a recording until it was played on time, or came to what it should all the same.
fn as_expected<T>(
    recording: &Recording,
    sources: Sources,
    check: impl Fn(&Run) -> Result<T, String>,
) -> Result<T, String> {
    let mut tries = 1;
    loop {
        let run = Run::of(recording, sources);
        match check(&run) {
            Ok(found) => return Ok(found),
            Err(error) if run.played.late <= ON_TIME || tries == TRIES => {
                let late = run.played.late;
                return Err(format!(
                    "{} with {sources:?}, try {tries}, at most {late:?} late:\n{error}",
                    recording.name
                ));
            }
            Err(_) => tries += 1,
        }
    }
}

/// All sources: each step as a person would say, shown soon, and nothing else between two steps. What it took.
fn with_all_sources(name: &'static str) -> Result<String, String> {
    let recording = Recording::read(name);
    let expectation = Expectation::read(name);
    let mut latencies = as_expected(&recording, ALL, |run| {
        let mut latencies = Vec::new();
        for (process, steps) in expectation.by_process() {
            let told = run.of_process(process);
            let found = follow(&steps, &told, &run.played);
            latencies.extend(found.map_err(|error| format!("process {process}: {error}"))?);
        }
        let sessions = run.played.cast.roles.len();
        assert_eq!(sessions, expectation.by_process().len());
        Ok(latencies)
    })?;
    latencies.sort();
    let ms = |latency: &Duration| latency.as_secs_f64() * 1000.0;
    Ok(format!(
        "{name}: {} changes shown after {:.1} ms in the median, {:.1} ms at most",
        latencies.len(),
        ms(&latencies[latencies.len() / 2]),
        ms(latencies.last().unwrap()),
    ))
}

/// Hooks that were never installed: the statuses that last, from the registry alone.
fn with_the_registry_alone(name: &'static str) -> Result<String, String> {
    let recording = Recording::read(name);
    let expectation = Expectation::read(name);
    as_expected(&recording, REGISTRY_ONLY, |run| {
        for (process, steps) in expectation.by_process() {
            let told = run.of_process(process);
            let followed = follow_coarsely(&steps, &told, &run.played);
            followed.map_err(|error| format!("process {process}: {error}"))?;
        }
        Ok(String::new())
    })
}

/// Every recording at once, each in a place of its own: they spend their time waiting.
fn all_at_once(play: fn(&'static str) -> Result<String, String>) {
    let began = Instant::now();
    let outcomes = thread::scope(|scope| {
        let runs = TRACES.map(|name| scope.spawn(move || play(name)));
        runs.map(|run| run.join().unwrap_or_else(|_| Err("panicked".into())))
    });
    let mut failures = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(figures) if figures.is_empty() => {}
            Ok(figures) => println!("{figures}"),
            Err(error) => failures.push(error),
        }
    }
    println!("all in {:.1} s", began.elapsed().as_secs_f64());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_person_at_the_terminal_would_say_the_same() {
    all_at_once(with_all_sources);
}

#[test]
fn the_registry_alone_tells_what_lasts() {
    all_at_once(with_the_registry_alone);
}

/// Only the hooks, as fast as causes allow: each when the one before it has returned.
fn with_the_hooks_alone(name: &'static str) -> Result<String, String> {
    let place = Place::new();
    place.configure("history = 256\n");
    let _daemon = place.daemon();
    let (begin, dashboard) = dashboard(&place);
    let mut cast = Cast::default();
    let mut hooks = 0;
    for entry in Recording::read(name).entries {
        match entry.what {
            What::Mark(mark) => {
                // What was reported has been read by the time that its process ends; in the recording a tenth of a
                // second lies between.
                arrived(&place, hooks);
                cast.mark(&mark);
            }
            What::Hook {
                process,
                attended,
                payload,
            } => {
                place.hook(cast.pid(process), attended, &payload.to_string());
                hooks += 1;
            }
            What::Registry { .. } => {}
        }
    }
    arrived(&place, hooks);
    let told = settled(&place, begin, &dashboard);
    let expectation = Expectation::read(name);
    for (process, history) in &expectation.hooks_only {
        let is_it = |told: &&Told| told.session["pid"] == cast.roles[process];
        let session = &told.iter().rfind(is_it).ok_or("no session")?.session;
        let shown: Vec<_> = session["history"].as_array().unwrap().iter().collect();
        let shown: Vec<_> = shown.iter().map(|entry| &entry["status"]).collect();
        let last = &expectation.by_process()[process];
        let last = last.last().unwrap();
        if shown != history.iter().collect::<Vec<_>>() || !last.is(session) {
            return Err(format!("{name}, process {process}: {session:#}"));
        }
    }
    assert_eq!(cast.roles.len(), expectation.hooks_only.len());
    Ok(String::new())
}

#[test]
fn the_hooks_alone_tell_what_they_can() {
    all_at_once(with_the_hooks_alone);
}
