//! One recorded run of each real agent, played in real time to a running daemon: the real hook, a real registry, real
//! processes, compared with what a person at that terminal would say.
//!
//! The other recordings, and the times, are `src/conformance`'s, in virtual time. Here a machine may be as slow as it
//! likes: the player continues only when the daemon has shown the step before, so what must hold is the order of what is
//! shown, and that nothing else is.

#[path = "../../src/conformance/expectation.rs"]
mod expectation;
mod player;
#[path = "../../src/conformance/recording.rs"]
mod recording;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::expectation::{Change, Expectation, Step, follow, follow_lasting, lasting, shown};
use self::player::{Player, Processes, Sources};
use self::recording::{Fact, Recording};
use crate::support::{PATIENCE, Place, until};

/// For each agent its richest recording. Claude Code's has five processes, menus, `/clear`, `/compact`, and
/// conversations that are resumed and forked.
const RECORDINGS: [&str; 1] = ["src/agents/claude_code/traces/clear"];

fn each(check: fn(&Recording, &Expectation)) {
    for path in RECORDINGS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let expectation = Expectation::read(&path);
        println!("{} ({})", expectation.about, expectation.version);
        check(&Recording::read(&path), &expectation);
    }
}

/// A subscriber that keeps what it gets, each with the time of its arrival.
struct Subscriber {
    began: Instant,
    /// The number of its snapshot.
    seq: u64,
    receiver: Receiver<Change>,
    changes: Vec<Change>,
}

impl Subscriber {
    fn new(place: &Place) -> Self {
        let began = Instant::now();
        let mut wire = place.connect();
        let snapshot = wire.ask("subscribe", json!({}));
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            while let Some(mut line) = wire.next() {
                let change = Change {
                    at: began.elapsed(),
                    seq: line["params"]["seq"].as_u64().unwrap(),
                    session: line["params"]["session"].take(),
                };
                if sender.send(change).is_err() {
                    return;
                }
            }
        });
        Self {
            began,
            seq: snapshot["result"]["seq"].as_u64().unwrap(),
            receiver,
            changes: Vec::new(),
        }
    }

    /// Takes a change in; no number may be missing.
    #[track_caller]
    fn take(&mut self, change: Change) {
        self.seq += 1;
        assert_eq!(change.seq, self.seq);
        self.changes.push(change);
    }

    #[track_caller]
    fn next(&mut self) {
        let change = self.receiver.recv_timeout(PATIENCE);
        self.take(change.expect("a change"));
    }

    /// Waits until the last change of a process is as it should be; when it came.
    #[track_caller]
    fn wait_for(&mut self, pid: u32, is_shown: impl Fn(&Value) -> bool) -> Duration {
        while let Ok(change) = self.receiver.try_recv() {
            self.take(change);
        }
        loop {
            match self.of_process(pid).last() {
                Some(last) if is_shown(&last.session) => return last.at,
                _ => self.next(),
            }
        }
    }

    /// Everything of one process.
    fn of_process(&self, pid: u32) -> Vec<&Change> {
        let changes = self.changes.iter();
        changes
            .filter(|change| change.session["pid"] == pid)
            .collect()
    }

    /// Waits until every session is closed; this copy is then the same as the daemon's. When the last change came.
    #[track_caller]
    fn finish(&mut self, place: &Place) -> Duration {
        until("every session to be closed", || {
            (place.json(&["list", "--json"]) == json!([])).then_some(())
        });
        let end = place.json(&["status", "--json"])["seq"].as_u64().unwrap();
        while self.seq < end {
            self.next();
        }
        let copy: BTreeMap<_, _> = self
            .changes
            .iter()
            .map(|change| (change.session["key"].as_str().unwrap(), &change.session))
            .collect();
        let list = place.json(&["list", "--all", "--json"]);
        for session in list.as_array().unwrap() {
            assert_eq!(copy[session["key"].as_str().unwrap()], session);
        }
        self.changes.last().unwrap().at
    }
}

/// Plays a recording at its pace. Before a step may begin, the one before it must be shown: `expected` says how, `None`
/// if it need not be.
#[track_caller]
fn play(
    place: &Place,
    recording: &Recording,
    expectation: &Expectation,
    sources: Sources,
    expected: impl Fn(&Step, &Value) -> Option<bool>,
) -> (Player, Subscriber) {
    let mut subscriber = Subscriber::new(place);
    let mut player = Player::new(subscriber.began, sources);
    let mut awaited = wait_points(recording, expectation);
    for (number, entry) in recording.entries.iter().enumerate() {
        player.sleep_until(entry.ms);
        for step in awaited.remove(&number).unwrap_or_default() {
            if expected(step, &Value::Null).is_some() {
                let pid = player.processes.roles[&step.process];
                let at = subscriber.wait_for(pid, |session| expected(step, session) == Some(true));
                player.caught_up(at);
            }
        }
        player.play(place, recording, entry);
    }
    player.processes.reports_arrived(place);
    let end = subscriber.finish(place);
    player.caught_up(end);
    (player, subscriber)
}

/// How long nothing is recorded before a step's first evidence is surely not under way, in ms.
const QUIET_MS: u64 = 200;

/// Before which entry of the recording each step must have been shown: before the last pause of the step, because what
/// comes after it leads to the next one; without a pause, before the next step.
fn wait_points<'a>(
    recording: &Recording,
    expectation: &'a Expectation,
) -> BTreeMap<usize, Vec<&'a Step>> {
    let times: Vec<u64> = recording.entries.iter().map(|entry| entry.ms).collect();
    let begins = |step: &Step| times.iter().position(|ms| *ms == step.ms).unwrap();
    let mut points: BTreeMap<usize, Vec<&Step>> = BTreeMap::new();
    for pair in expectation.steps.windows(2) {
        let (begin, next) = (begins(&pair[0]), begins(&pair[1]));
        let pauses = (begin + 1..=next).rev();
        let pause = pauses
            .into_iter()
            .find(|&place| times[place] - times[place - 1] > QUIET_MS);
        points
            .entry(pause.unwrap_or(next))
            .or_default()
            .push(&pair[0]);
    }
    points
}

/// All sources: each step as a person would say, and nothing else between two steps.
#[test]
fn a_person_at_the_terminal_would_say_the_same() {
    each(|recording, expectation| {
        let place = Place::new();
        place.configure("history = 256\n");
        let _daemon = place.daemon();
        let sources = Sources {
            hooks: true,
            registry: true,
        };
        let (player, subscriber) =
            play(&place, recording, expectation, sources, |step, session| {
                (!step.brief).then(|| step.holds(session))
            });
        let mut latencies = Vec::new();
        for (process, steps) in expectation.by_process() {
            let changes = subscriber.of_process(player.processes.roles[&process]);
            let changes = player.without_late(&changes);
            let found = follow(&steps, &changes, |ms| player.evidence(ms), PATIENCE);
            latencies.extend(found.unwrap_or_else(|error| panic!("process {process}: {error}")));
        }
        assert_eq!(player.processes.roles.len(), expectation.by_process().len());
        latencies.sort();
        println!(
            "{}: {} changes shown, in the median after {:?}, at most {:?}; {} late facts",
            recording.name,
            latencies.len(),
            latencies[latencies.len() / 2],
            latencies.last().unwrap(),
            player.late.len(),
        );
    });
}

/// Hooks that were never installed: the statuses that last, from the registry alone.
#[test]
fn the_registry_alone_shows_what_lasts() {
    each(|recording, expectation| {
        let place = Place::new();
        place.configure("history = 256\n");
        let _daemon = place.daemon();
        let sources = Sources {
            hooks: false,
            registry: true,
        };
        let by_process = expectation.by_process();
        let lasting: Vec<_> = by_process
            .values()
            .flat_map(|steps| lasting(steps))
            .collect();
        let (player, subscriber) =
            play(&place, recording, expectation, sources, |step, session| {
                let (_, expected) = lasting
                    .iter()
                    .find(|(lasting, _)| std::ptr::eq(*lasting, step))?;
                Some(shown(session) == *expected)
            });
        for (process, steps) in &by_process {
            let changes = subscriber.of_process(player.processes.roles[process]);
            let changes = player.without_late(&changes);
            follow_lasting(steps, &changes, |ms| player.evidence(ms))
                .unwrap_or_else(|error| panic!("process {process}: {error}"));
        }
    });
}

/// Only the hooks, as fast as causes allow: each when the one before it has returned.
#[test]
fn the_hooks_alone_show_what_they_can() {
    each(|recording, expectation| {
        let place = Place::new();
        place.configure("history = 256\n");
        let _daemon = place.daemon();
        let mut subscriber = Subscriber::new(&place);
        let mut processes = Processes::default();
        for entry in &recording.entries {
            match &entry.fact {
                Fact::Mark(mark) => {
                    // In the recording a tenth of a second lies between the last hook and the end of its process.
                    processes.reports_arrived(&place);
                    processes.mark(mark);
                }
                Fact::Hook {
                    process,
                    attended,
                    payload,
                } => processes.hook(&place, *process, *attended, payload),
                Fact::Registry { .. } => {}
            }
        }
        processes.reports_arrived(&place);
        subscriber.finish(&place);
        for process in expectation.hooks_only.keys() {
            let last = subscriber.of_process(processes.roles[process]).pop();
            let session = &last.expect("a session").session;
            expectation.check_hooks_only(*process, session).unwrap();
        }
        assert_eq!(processes.roles.len(), expectation.hooks_only.len());
    });
}
