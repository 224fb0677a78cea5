//! What an agent writes into its own files while no daemon runs, or after a restart and before its next hook: the daemon
//! shows it, and takes each line in once.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{LONGEST_PAUSE, Run, StandIn, file_of, json_lines, play, recorded, stand_in};
use crate::support::{Daemon, Place, until};

/// Codex's lock and the file that says that a terminal has it appear together: how often that is read depends on the moment.
const LOCK: &str = "lock: opened";

/// The beginning of the id of the recorded conversation of Codex, which is a time, and the directory of that day.
const RECORDED: [&str; 2] = ["01a21ba2-62e4", "2026/11/27"];

/// The same of a conversation that has not begun long ago: the file of an older one is not read from its beginning.
const BEGINS: [&str; 2] = ["03b3d7a5-da00", "2099/01/01"];

/// A recorded run up to the turn that a person interrupts, as its agent's files alone show.
struct Interrupted {
    run: Run,
    /// The names of the evidence that each step adds, that of the interrupt last.
    evidence: &'static [&'static [&'static str]],
    /// Evidence of a file that is there before the hooks of its step run.
    before_hooks: Option<&'static str>,
}

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
    evidence: &[
        &["SessionStart"],
        &["BeforeAgent"],
        &["transcript: cancelled"],
    ],
    before_hooks: None,
};

const CODEX: Interrupted = Interrupted {
    run: Run {
        agent: "codex",
        recording: "codex/traces/slow",
        directory: ".codex",
        steps: 3,
        unregistered: &[],
    },
    evidence: &[
        &[LOCK],
        &["SessionStart", "UserPromptSubmit", "rollout: task_started"],
        &["rollout: token_count", "rollout: turn_aborted"],
    ],
    before_hooks: Some("rollout: task_started"),
};

const COPILOT: Interrupted = Interrupted {
    run: Run {
        agent: "copilot",
        recording: "copilot/traces/slow",
        directory: ".copilot",
        steps: 5,
        unregistered: &["userPromptTransformed"],
    },
    evidence: &[
        &["open-sessions-state.json"],
        &[
            "sessionStart",
            "userPromptSubmitted",
            "open-sessions-state.json",
            "events.jsonl",
        ],
        &["agentStop", "events.jsonl", "open-sessions-state.json"],
        &["userPromptSubmitted", "open-sessions-state.json"],
        &["abort", "open-sessions-state.json"],
    ],
    before_hooks: None,
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
    /// How often there was evidence of a lock while it worked.
    locks: usize,
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
        let lines = RECORDED
            .iter()
            .zip(BEGINS)
            .fold(lines, |lines, (old, new)| lines.replace(old, new));
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
            locks: 0,
        };
        for step in 0..run.steps - 1 {
            playing.play(step, true);
            playing.wait_for(&interrupted.evidence[..=step].concat());
        }
        assert_eq!(playing.status(), "working");
        playing.locks = playing.locks();
        playing
    }

    /// Plays a step, with its hooks or only what the files show. What is written is stamped.
    fn play(&mut self, step: usize, hooks: bool) {
        let steps = &self.expected["steps"];
        let end = |step: usize| steps[step]["until"].as_u64().unwrap();
        let began = step.checked_sub(1).map_or(0, end);
        let mut now = began;
        for fact in &self.facts {
            let at = fact["ms"].as_u64().unwrap();
            let is_in_step = (began..end(step)).contains(&at);
            if !is_in_step || !(hooks || fact["path"].is_string()) {
                continue;
            }
            thread::sleep(Duration::from_millis(at - now).min(LONGEST_PAUSE));
            now = at;
            let mut fact = fact.clone();
            if fact["line"].is_object() {
                fact["line"]["timestamp"] = unix_ms().into();
            }
            let first = self.interrupted.before_hooks.filter(|_| step > 0);
            if let Some(name) = first.filter(|_| fact["hook"].is_object()) {
                until(name, || {
                    self.names().iter().any(|one| one == name).then_some(())
                });
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
        // An answer may be sent before the turn of the loop is saved in which it was asked for; the next one is not.
        self.session();
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
        let sessions = sessions.as_array_mut().unwrap();
        sessions.pop().unwrap_or_default()
    }

    fn status(&self) -> Value {
        self.session()["status"].take()
    }

    /// The names of all evidence, sorted; that of a lock once.
    fn names(&self) -> Vec<String> {
        let mut names = self.all_names();
        names.dedup_by(|name, before| name == before && name == LOCK);
        names
    }

    fn locks(&self) -> usize {
        let names = self.all_names();
        names.iter().filter(|name| *name == LOCK).count()
    }

    fn all_names(&self) -> Vec<String> {
        let session = self.session();
        if session.is_null() {
            return Vec::new();
        }
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
        assert_eq!(self.names(), sorted(&self.interrupted.evidence.concat()));
        assert_eq!(self.locks(), self.locks);
    }

    /// Waits for as much evidence, which must be this.
    #[track_caller]
    fn wait_for(&self, evidence: &[&str]) {
        until(&format!("{evidence:?}"), || {
            (self.names().len() >= evidence.len()).then_some(())
        });
        assert_eq!(self.names(), sorted(evidence));
    }

    #[track_caller]
    fn becomes_interrupted(&self) {
        self.wait_for(&self.interrupted.evidence.concat());
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

fn sorted(names: &[&str]) -> Vec<String> {
    let mut sorted: Vec<_> = names.iter().map(ToString::to_string).collect();
    sorted.sort();
    sorted
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
