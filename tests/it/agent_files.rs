//! Agents whose own files say what their hooks do not, in real time: the beginning of a recorded run, played through the
//! real hook below a process with the agent's name, and through files in its home. The daemon must show each step.
//!
//! Whole runs, and the times, are `src/conformance`'s, in virtual time.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

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
    /// The recorded process.
    pid: &'static str,
    /// How many steps are played.
    steps: usize,
    /// What `install` registers no hook for.
    unregistered: &'static [&'static str],
}

/// A shell that stands for an agent: a process of its name, which runs what it is asked for.
struct StandIn {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl StandIn {
    fn start(place: &Place, name: &str) -> Self {
        let path = place.path().join(name);
        symlink("/bin/sh", &path).unwrap();
        let mut child = Command::new(path)
            .env_clear()
            .env("HOME", place.path().join("home"))
            .env("AGENT_CONSOLE_SOCKET", place.socket())
            .current_dir(place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// Runs the hook of an event with variables of the recording, and waits for its end.
    fn hook(&mut self, place: &Place, agent: &str, event: &str, fact: &Value) {
        let file = place.path().join("payload");
        fs::write(&file, fact["hook"].to_string()).unwrap();
        let variables: Vec<_> = fact["env"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let variables = variables.join(" ");
        let program = program().display();
        let file = file.display();
        writeln!(
            self.input,
            "{variables} '{program}' hook {agent} {event} < '{file}'; echo $?"
        )
        .unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        assert_eq!(answer, "0\n", "the hook of {event}");
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn json_lines(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Where a recorded path is: as a hook names it, or below the agent's directory.
fn file_of(place: &Place, run: &Run, facts: &[Value], path: &str) -> PathBuf {
    let transcripts = facts
        .iter()
        .filter_map(|fact| fact["hook"]["transcript_path"].as_str());
    let mut named = transcripts.filter(|named| Path::new(named).ends_with(path));
    match named.next() {
        Some(named) => named.into(),
        None => place.path().join("home").join(run.directory).join(path),
    }
}

fn play(place: &Place, run: &Run, stand_in: &mut StandIn, facts: &[Value], fact: &Value) {
    if let Some(path) = fact["path"].as_str() {
        let file = file_of(place, run, facts, path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let line = &fact["line"];
        if line.is_object() && !line["type"].is_array() {
            let mut options = OpenOptions::new();
            let mut file = options.create(true).append(true).open(file).unwrap();
            writeln!(file, "{line}").unwrap();
        } else if fact["change"] == "delete" {
            let _ = fs::remove_file(file);
        } else if let Some(text) = fact["text"].as_str() {
            let whole = file.with_extension("new");
            fs::write(&whole, text).unwrap();
            fs::rename(whole, file).unwrap();
        }
    } else if fact["hook"].is_object() {
        let payload = &fact["hook"];
        let event = fact["event"].as_str();
        let name = event.or(payload["hook_event_name"].as_str()).unwrap();
        if !run.unregistered.contains(&name) {
            stand_in.hook(place, run.agent, event.unwrap_or_default(), fact);
        }
    }
}

/// Plays the steps of a run; each must be shown before the next begins.
#[track_caller]
fn each_step_is_shown(run: &Run) {
    let recording = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/agents")
        .join(run.recording);
    let place = Place::new();
    let home = place.path().join("home");
    fs::create_dir_all(home.join(run.directory)).unwrap();
    let _daemon = place.daemon();
    let mut stand_in = StandIn::start(&place, run.agent);
    let pid = stand_in.child.id().to_string();
    let lines = fs::read_to_string(recording.with_extension("jsonl")).unwrap();
    let lines = lines
        .replace("/home/dev", &home.to_string_lossy())
        .replace(&format!("inuse.{}.", run.pid), &format!("inuse.{pid}."))
        .replace(&format!("\"{}\\n\"", run.pid), &format!("\"{pid}\\n\""))
        .replace(&format!("\"{}\"", run.pid), &format!("\"{pid}\""));
    let facts = json_lines(&lines);
    let expected = fs::read_to_string(recording.with_extension("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    let mut rest = facts.iter().peekable();
    let mut now = 0;
    for step in &expected["steps"].as_array().unwrap()[..run.steps] {
        while let Some(fact) = rest.next_if(|fact| fact["ms"].as_u64() < step["until"].as_u64()) {
            let at = fact["ms"].as_u64().unwrap();
            thread::sleep(Duration::from_millis(at - now).min(LONGEST_PAUSE));
            now = at;
            play(&place, run, &mut stand_in, &facts, fact);
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
        pid: "14",
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
        pid: "2664",
        steps: 5,
        unregistered: &[],
    });
}
