//! Agents whose own files say what their hooks do not, in real time: the beginning of a recorded run, played through the
//! real hook below a process with the agent's name, and through files in its home. The daemon must show each step.
//!
//! Whole runs, and the times, are `src/conformance`'s, in virtual time.

mod restart;
#[path = "../../src/commands/demo/stand_in.rs"]
mod stand_in;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::Value;

pub(crate) use self::stand_in::StandIn;
use self::stand_in::{file_of, moved};
use crate::support::{Place, program, until};

/// No pause between two facts is longer than this.
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// One agent, and how much of which recording is played.
struct Run {
    agent: &'static str,
    /// The recording, without its ending.
    recording: &'static str,
    /// Below the home: what recorded paths are relative to.
    directory: &'static str,
    /// How many steps are played.
    steps: usize,
    /// What `install` registers no hook for.
    unregistered: &'static [&'static str],
}

/// Starts a process that stands for this agent.
#[track_caller]
pub(crate) fn stand_in(place: &Place, agent: &str) -> StandIn {
    let (home, socket) = (place.path().join("home"), place.socket());
    let variables = [("HOME", &*home), ("AGENT_CONSOLE_SOCKET", socket.as_ref())];
    let link = place.path().join(agent);
    StandIn::start(program(), &link, place.path(), variables).unwrap()
}

fn json_lines(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The lines of a recording and what is expected of them, in `home` and with the process `pid`.
fn recorded(run: &Run, home: &Path, pid: u32) -> (String, Value) {
    let recording = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/agents")
        .join(run.recording);
    let lines = fs::read_to_string(recording.with_extension("jsonl")).unwrap();
    let expected = fs::read_to_string(recording.with_extension("expected.json")).unwrap();
    let expected = serde_json::from_str(&expected).unwrap();
    (moved(&lines, home, pid), expected)
}

fn play(run: &Run, stand_in: &mut StandIn, config_dir: &Path, lines: &str, fact: &Value) {
    if let Some(path) = fact["path"].as_str() {
        let file = file_of(lines, config_dir, path);
        stand_in.change_file(&file, fact).unwrap();
    } else if fact["hook"].is_object() {
        let payload = &fact["hook"];
        let event = fact["event"].as_str();
        let name = event.or(payload["hook_event_name"].as_str()).unwrap();
        if !run.unregistered.contains(&name) {
            let variables = serde_json::from_value(fact["env"].clone()).unwrap_or_default();
            let ran = stand_in.hook(run.agent, event, variables, payload.to_string());
            ran.unwrap_or_else(|error| panic!("the hook of {name}: {error}"));
        }
    }
}

/// Plays the steps of a run; each must be shown before the next begins.
#[track_caller]
fn each_step_is_shown(run: &Run) {
    let place = Place::new();
    let home = place.path().join("home");
    fs::create_dir_all(home.join(run.directory)).unwrap();
    let _daemon = place.daemon();
    let mut stand_in = stand_in(&place, run.agent);
    let config_dir = home.join(run.directory);
    let (lines, expected) = recorded(run, &home, stand_in.pid());
    let facts = json_lines(&lines);
    let mut rest = facts.iter().peekable();
    let mut now = 0;
    for step in &expected["steps"].as_array().unwrap()[..run.steps] {
        while let Some(fact) = rest.next_if(|fact| fact["ms"].as_u64() < step["until"].as_u64()) {
            let at = fact["ms"].as_u64().unwrap();
            thread::sleep(Duration::from_millis(at - now).min(LONGEST_PAUSE));
            now = at;
            play(run, &mut stand_in, &config_dir, &lines, fact);
        }
        until(&format!("{step}"), || {
            let sessions = place.json(&["list", "--json"]);
            let sessions = sessions.as_array().unwrap();
            sessions
                .iter()
                .any(|session| {
                    session["agent"] == run.agent
                        && step["shown"][0] == session["status"]
                        && (step["attention"].is_null()
                            || step["attention"] == session["attention"])
                })
                .then_some(())
        });
    }
}

/// Esc is in the transcript alone; the hook that follows says that the turn has ended.
#[test]
fn an_interrupt_that_a_transcript_shows() {
    each_step_is_shown(&Run {
        agent: "gemini",
        recording: "gemini/traces/slow",
        directory: ".gemini",
        steps: 4,
        unregistered: &[
            "BeforeModel",
            "AfterModel",
            "BeforeToolSelection",
            "PreCompress",
        ],
    });
}

/// A fresh session, and Esc, are in files alone: no hook runs.
#[test]
fn a_session_and_an_interrupt_that_files_show() {
    each_step_is_shown(&Run {
        agent: "copilot",
        recording: "copilot/traces/slow",
        directory: ".copilot",
        steps: 5,
        unregistered: &[],
    });
}
