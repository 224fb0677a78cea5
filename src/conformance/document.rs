//! The part of `docs/agents.md` that follows from the table of agents and from the recordings.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::deciding::Deciding;
use super::expectation::Expectation;
use super::recording::Recording;
use super::replay::Replay;
use super::said::{self, Said};
use super::scene::Scene;
use super::stage::Stage;
use super::{ALL_SOURCES, interpret, recordings};
use crate::agents::{self, Agent};
use crate::os::environment::variable;

const BEGIN: &str = "<!-- begin: from the recordings -->\n";
const END: &str = "<!-- end -->\n";

/// One recording of an agent.
struct Run {
    name: String,
    about: String,
    steps: usize,
}

/// A step that no source shows.
struct Silent {
    run: String,
    what: String,
    shown: String,
    why: String,
}

/// What the recordings of one agent show.
#[derive(Default)]
struct Earned {
    versions: BTreeSet<String>,
    runs: Vec<Run>,
    silent: Vec<Silent>,
    deciding: Deciding,
    said: Said,
}

impl Earned {
    fn of(agent: &'static Agent) -> Self {
        let mut earned = Self::default();
        for path in recordings(agent) {
            if agent.registry.is_some() {
                earned.add_with_registry(agent, &path);
            } else {
                earned.add(agent, &path);
            }
        }
        earned
    }

    fn add_with_registry(&mut self, agent: &'static Agent, path: &Path) {
        let recording = Recording::read(path);
        let expectation = Expectation::read(path);
        let replay = Replay::of(agent, &recording, ALL_SOURCES);
        for session in replay.published() {
            self.said.note(session);
        }
        self.deciding.add(replay.deciding);
        for payload in status_lines(path) {
            self.said.note_status_line(&interpret(agent, &payload, 0));
        }
        self.runs.push(Run {
            name: recording.name,
            about: expectation.about,
            steps: expectation.steps.len(),
        });
        self.versions.insert(expectation.version);
    }

    fn add(&mut self, agent: &'static Agent, path: &Path) {
        let scene = Scene::read(path);
        let (frames, deciding) = Stage::play(agent, &scene);
        for session in frames.iter().flat_map(|(_, sessions)| sessions) {
            self.said.note(session);
        }
        self.deciding.add(deciding);
        for step in &scene.expected.steps {
            if let Some(why) = &step.unknowable {
                self.silent.push(Silent {
                    run: scene.name.clone(),
                    what: step.what.clone(),
                    shown: step.shown.join(", "),
                    why: why.clone(),
                });
            }
        }
        self.runs.push(Run {
            name: scene.name,
            about: scene.expected.about,
            steps: scene.expected.steps.len(),
        });
        self.versions.insert(scene.expected.version);
    }

    fn steps(&self) -> usize {
        self.runs.iter().map(|run| run.steps).sum()
    }
}

/// What a recorded agent gave to the command of its status line.
fn status_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path.with_extension("jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .map(|mut line: Value| line["statusline"].take())
        .filter(Value::is_object)
        .collect()
}

/// A row of a table.
fn row(cells: &[&str]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn generated() -> String {
    let all: Vec<_> = agents::ALL
        .iter()
        .map(|agent| (*agent, Earned::of(agent)))
        .collect();
    let mut text = String::from(
        "\n| agent | name | recorded with | runs | steps | shown by no source |\n|---|---|---|---|---|---|\n",
    );
    for (agent, earned) in &all {
        assert!(
            earned.versions.contains(agent.recorded_with),
            "{}",
            agent.name
        );
        let versions: Vec<_> = earned.versions.iter().map(String::as_str).collect();
        text += &row(&[
            agent.title,
            &format!("`{}`", agent.name),
            &versions.join(", "),
            &earned.runs.len().to_string(),
            &earned.steps().to_string(),
            &earned.silent.len().to_string(),
        ]);
    }
    text += "\n### What a session says\n\n";
    let said: Vec<_> = all
        .iter()
        .map(|(agent, earned)| (*agent, &earned.said))
        .collect();
    for cells in said::rows(&said) {
        let cells: Vec<_> = cells.iter().map(String::as_str).collect();
        text += &row(&cells);
    }
    for (agent, earned) in &all {
        describe(&mut text, agent, earned);
    }
    text.push('\n');
    text
}

fn describe(text: &mut String, agent: &Agent, earned: &Earned) {
    let _ = write!(
        text,
        "\n### {}\n\n| status | shown by |\n|---|---|\n",
        agent.title
    );
    for (status, kinds) in &earned.deciding.of {
        let kinds: Vec<_> = kinds
            .iter()
            .map(|(kind, said)| {
                let said: Vec<_> = said.iter().map(|what| format!("`{what}`")).collect();
                format!("{kind}: {}", said.join(", "))
            })
            .collect();
        *text += &row(&[&status.replace('/', ": "), &kinds.join("; ")]);
    }
    if !earned.silent.is_empty() {
        *text += "\n| shown by no source, in | what happened | the terminal shows | why |\n|---|---|---|---|\n";
        for silent in &earned.silent {
            *text += &row(&[
                &silent.run,
                &silent.what,
                &silent.shown.replace('/', ": "),
                &silent.why,
            ]);
        }
    }
    *text += "\n| run | steps | what happens |\n|---|---|---|\n";
    for run in &earned.runs {
        *text += &row(&[&run.name, &run.steps.to_string(), &run.about]);
    }
}

/// `UPDATE_SNAPSHOTS=1` rewrites the part between the two comments; read it before you commit.
#[test]
fn the_documentation_of_the_agents_is_what_the_recordings_show() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/agents.md");
    let kept = fs::read_to_string(&path).unwrap();
    let (before, rest) = kept.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    for agent in agents::ALL {
        let entry = format!("- **{}**:", agent.title);
        assert!(
            after.contains(&entry),
            "what is not tried of {}",
            agent.title
        );
    }
    let current = format!("{before}{BEGIN}{}{END}{after}", generated());
    if variable("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &current).unwrap();
    } else {
        assert!(
            current == kept,
            "docs/agents.md is not what the recordings show; UPDATE_SNAPSHOTS=1 writes it"
        );
    }
}
