//! What an agent writes into its own files while no daemon runs, or after a restart and before its next hook: the daemon
//! shows it, and takes each line in once.

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{Run, StandIn, file_of, json_lines, play, recorded, stand_in};
use crate::support::{Daemon, Place, until};

/// A recorded run up to the turn that a person interrupts, as its agent's files alone show.
struct Interrupted {
    run: Run,
    /// The names of the evidence while it works, sorted; that of a lock once.
    at_work: &'static [&'static str],
    /// What the interrupt adds.
    interrupt: &'static [&'static str],
}

/// Codex' lock is looked at until a process holds it.
const LOCK: &str = "lock: opened";

const GEMINI: Interrupted = Interrupted {
    run: Run {
        agent: "gemini",
        recording: "gemini/traces/slow",
        directory: ".gemini",
        steps: 3,
        unregistered: &[
            "BeforeModel",
            "AfterModel",
            "BeforeToolSelection",
            "PreCompress",
        ],
    },
    at_work: &["BeforeAgent", "SessionStart"],
    interrupt: &["transcript: cancelled"],
};

const CODEX: Interrupted = Interrupted {
    run: Run {
        agent: "codex",
        recording: "codex/traces/slow",
        directory: ".codex",
        steps: 3,
        unregistered: &[],
    },
    at_work: &[
        "SessionStart",
        "UserPromptSubmit",
        LOCK,
        "rollout: task_started",
    ],
    interrupt: &["rollout: token_count", "rollout: turn_aborted"],
};

const COPILOT: Interrupted = Interrupted {
    run: Run {
        agent: "copilot",
        recording: "copilot/traces/slow",
        directory: ".copilot",
        steps: 5,
        unregistered: &["userPromptTransformed"],
    },
    at_work: &[
        "agentStop",
        "events.jsonl",
        "events.jsonl",
        "open-sessions-state.json",
        "open-sessions-state.json",
        "open-sessions-state.json",
        "open-sessions-state.json",
        "sessionStart",
        "userPromptSubmitted",
        "userPromptSubmitted",
    ],
    interrupt: &["abort", "open-sessions-state.json"],
};

/// A run under way.
struct Playing {
    interrupted: &'static Interrupted,
    place: Place,
    daemon: Daemon,
    stand_in: StandIn,
    config_dir: PathBuf,
    lines: String,
    facts: Vec<Value>,
    expected: Value,
    /// The names of the evidence after the interrupt, sorted.
    evidence: Vec<String>,
}

impl Playing {
    /// Plays a run until its turn works.
    #[track_caller]
    fn at_work(interrupted: &'static Interrupted) -> Self {
        let run = &interrupted.run;
        let place = Place::new();
        let home = place.path().join("home");
        let config_dir = home.join(run.directory);
        fs::create_dir_all(&config_dir).unwrap();
        let daemon = daemon(&place);
        let stand_in = stand_in(&place, run.agent);
        let (lines, expected) = recorded(run, &home, stand_in.pid());
        let facts = json_lines(&lines);
        let mut playing = Self {
            interrupted,
            place,
            daemon,
            stand_in,
            config_dir,
            lines,
            facts,
            expected,
            evidence: Vec::new(),
        };
        for step in 0..run.steps - 1 {
            playing.play(step, true);
            let shown = &playing.expected["steps"][step]["shown"][0];
            until(&shown.to_string(), || {
                (playing.status() == *shown).then_some(())
            });
        }
        until("the evidence of the work", || {
            playing.evidence = playing.names();
            let mut names = playing.evidence.clone();
            names.dedup_by(|name, before| name == before && name == LOCK);
            (names == interrupted.at_work).then_some(())
        });
        let added = interrupted.interrupt.iter();
        playing.evidence.extend(added.map(ToString::to_string));
        playing.evidence.sort();
        playing
    }

    /// Plays a step, with its hooks or only what the files show. What is written is stamped.
    fn play(&mut self, step: usize, hooks: bool) {
        let steps = &self.expected["steps"];
        let until = |step: usize| steps[step]["until"].as_u64().unwrap();
        let began = step.checked_sub(1).map_or(0, until);
        for fact in &self.facts {
            let is_in_step = (began..until(step)).contains(&fact["ms"].as_u64().unwrap());
            if !is_in_step || !(hooks || fact["path"].is_string()) {
                continue;
            }
            let mut fact = fact.clone();
            if fact["line"].is_object() {
                fact["line"]["timestamp"] = unix_ms().into();
            }
            let run = &self.interrupted.run;
            play(
                run,
                &mut self.stand_in,
                &self.config_dir,
                &self.lines,
                &fact,
            );
        }
    }

    /// The interrupt, as the files alone show it.
    fn interrupt(&mut self) {
        self.play(self.interrupted.run.steps - 1, false);
    }

    fn kill(&mut self) {
        self.daemon.signal("KILL");
        self.daemon.wait();
    }

    fn start(&mut self) {
        self.daemon = daemon(&self.place);
    }

    fn session(&self) -> Value {
        let mut sessions = self.place.json(&["list", "--json"]);
        let count = sessions.as_array().unwrap().len();
        assert!(count < 2, "{sessions}");
        sessions[0].take()
    }

    fn status(&self) -> Value {
        self.session()["status"].take()
    }

    /// The names of all evidence, sorted.
    fn names(&self) -> Vec<String> {
        let session = self.session();
        let explained = self
            .place
            .json(&["explain", session["key"].as_str().unwrap(), "--json"]);
        let steps = explained["steps"].as_array().unwrap().iter();
        let mut names: Vec<_> = steps
            .map(|step| step["what"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    #[track_caller]
    fn is_interrupted(&self) {
        let session = self.session();
        assert_eq!(session["status"], "idle", "{session}");
        assert_eq!(session["attention"], false, "{session}");
        assert_eq!(self.names(), self.evidence);
    }

    #[track_caller]
    fn becomes_interrupted(&self) {
        until("the evidence of the interrupt", || {
            (self.names().len() >= self.evidence.len()).then_some(())
        });
        self.is_interrupted();
    }
}

/// With the time zone in which the recording's files are named.
#[track_caller]
fn daemon(place: &Place) -> Daemon {
    place.daemon_with(|command| {
        command.env("TZ", "UTC");
    })
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}

#[track_caller]
fn an_interrupt_is_shown(interrupted: &'static Interrupted) {
    // For comparison, without a restart.
    let mut playing = Playing::at_work(interrupted);
    playing.interrupt();
    playing.becomes_interrupted();
    // A restart at which nothing has happened adds nothing.
    playing.kill();
    playing.start();
    playing.is_interrupted();

    // While no daemon runs: the next one shows it from the first answer on.
    let mut playing = Playing::at_work(interrupted);
    playing.kill();
    playing.interrupt();
    playing.start();
    playing.is_interrupted();

    // After a restart, without a hook.
    let mut playing = Playing::at_work(interrupted);
    playing.kill();
    playing.start();
    assert_eq!(playing.status(), "working");
    playing.interrupt();
    playing.becomes_interrupted();
    playing.kill();
    playing.start();
    playing.is_interrupted();
}

#[test]
fn an_interrupt_of_gemini_outlives_the_daemon() {
    an_interrupt_is_shown(&GEMINI);
}

#[test]
fn a_transcript_that_was_replaced_or_is_gone_says_nothing() {
    let mut playing = Playing::at_work(&GEMINI);
    let path = file_of(
        &playing.lines,
        &playing.config_dir,
        "session-2026-11-27T06-16-c883a6da.jsonl",
    );
    let before = playing.names();
    let old = r#"{"type":"error","id":"e","timestamp":"2026-11-27T06:00:00Z","content":"x"}"#;
    for text in [Some(format!("{old}\n")), Some(String::new()), None] {
        playing.kill();
        fs::remove_file(&path).unwrap();
        if let Some(text) = &text {
            fs::write(&path, text).unwrap();
        }
        playing.start();
        assert_eq!(playing.status(), "working", "{text:?}");
        assert_eq!(playing.names(), before, "{text:?}");
    }
    // It is there again, and is followed.
    playing.interrupt();
    playing.becomes_interrupted();
}

#[test]
fn an_interrupt_of_codex_outlives_the_daemon() {
    an_interrupt_is_shown(&CODEX);
}

#[test]
fn an_interrupt_of_copilot_outlives_the_daemon() {
    an_interrupt_is_shown(&COPILOT);
}
