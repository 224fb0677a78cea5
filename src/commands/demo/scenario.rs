//! The scenarios: recorded runs of real agents, at their own pace, with the texts of real work.
//!
//! The recordings are a test's: its directories and commands mean nothing to a viewer. Names, titles, commands and how full
//! the context is are put in here; what happens, and when, is as it was recorded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::fake_agent::FakeAgent;
use super::stand_in::{file_of, moved};
use crate::agents::{self, Agent, Recording};

/// A recording, and the agent that it is of. Names, titles, commands and times are in the agent's folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scenario {
    pub(super) agent: &'static Agent,
    recording: &'static Recording,
}

/// All of them: every recording that an agent has for the demo.
pub(super) fn scenarios() -> impl Iterator<Item = Scenario> {
    let agents = agents::ALL.iter().copied();
    let of_agents = agents.filter_map(|agent| Some((agent, agents::extras(agent)?.recordings)));
    of_agents.flat_map(|(agent, recordings)| {
        let recordings = recordings.iter();
        recordings.map(move |recording| Scenario { agent, recording })
    })
}

/// What separates the parts of a test's prompt. No such text is shown.
const SCRIPT_MARKS: [&str; 2] = [" @@ ", " %% "];

/// Something that happens in a run.
pub(super) struct Step {
    /// When, in ms from its beginning.
    pub(super) ms: u64,
    what: What,
}

enum What {
    Hook {
        event: Option<String>,
        payload: String,
        attended: bool,
        variables: BTreeMap<String, String>,
    },
    Register(Option<Map<String, Value>>),
    File(PathBuf, Value),
    Mark(String),
}

impl Scenario {
    /// The name of the directory that it works in, in the home.
    pub(super) fn project(&self) -> &'static str {
        self.recording.project
    }

    /// When it starts, in ms after the beginning of the demo.
    pub(super) fn starts_ms(&self) -> u64 {
        self.recording.starts_ms
    }

    /// What this agent does, in order. `run`: which of its runs it is; each is a session of its own.
    pub(super) fn steps(&self, run: u16, fake: &FakeAgent) -> serde_json::Result<Vec<Step>> {
        let lines = self.lines(run, fake.home());
        let lines = moved(&lines, fake.home(), fake.pid());
        let mut context = self.recording.context_percent;
        let steps = lines.lines().map(|line| {
            let step = self.step(serde_json::from_str(line)?, &mut context);
            Ok(step.map(|(ms, what)| {
                let what = match what {
                    What::File(path, fact) => {
                        let path = path.to_string_lossy();
                        What::File(file_of(&lines, &fake.config_dir(), &path), fact)
                    }
                    other => other,
                };
                Step { ms, what }
            }))
        });
        steps.filter_map(Result::transpose).collect()
    }

    /// The recording with the scenario's own names. The agent's own files are still in the recorded home.
    fn lines(&self, run: u16, home: &Path) -> String {
        let Recording {
            lines,
            directory,
            session,
            project,
            words,
            starts_ms,
            ..
        } = self.recording;
        let number = u64::from(run) * 0x1_0000 + starts_ms;
        let own = format!("{}{number:012x}", &session[..session.len() - 12]);
        let project = home.join(project);
        let lines = lines
            .replace(directory, &project.to_string_lossy())
            .replace(session, &own);
        words.iter().fold(lines, |lines, (recorded, shown)| {
            lines.replace(recorded, shown)
        })
    }

    /// What a line of the recording is, if it is played: the path of a file is as it was recorded.
    fn step(&self, mut entry: Value, context: &mut u32) -> Option<(u64, What)> {
        let ms = entry["ms"].as_u64()?;
        let attended = entry["attended"] != false;
        let what = if entry["hook"].is_object() {
            let mut payload = entry["hook"].take();
            payload["session_title"] = json!(self.recording.title);
            self.put_title(&mut payload);
            let event = entry["event"].as_str().map(str::to_owned);
            let name = event.as_deref().or(payload["hook_event_name"].as_str());
            let registered = self.agent.install.events;
            if !registered.is_empty() && name.is_some_and(|name| !registered.contains(&name)) {
                return None;
            }
            let variables = entry["env"].as_object().into_iter().flatten();
            let variables = variables
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
            What::Hook {
                event,
                payload: payload.to_string(),
                attended,
                variables: variables.collect(),
            }
        } else if entry["statusline"].is_object() {
            let mut payload = entry["statusline"].take();
            *context = (*context + 1).min(100);
            payload["context_window"]["used_percentage"] = json!(*context);
            What::Hook {
                event: None,
                payload: payload.to_string(),
                attended,
                variables: BTreeMap::new(),
            }
        } else if entry["registry"].is_string() {
            What::Register(entry["value"].as_object().cloned())
        } else if let Some(path) = entry["path"].as_str() {
            let path = PathBuf::from(path);
            self.put_title(&mut entry);
            What::File(path, entry)
        } else {
            What::Mark(entry["mark"].as_str()?.to_owned())
        };
        Some((ms, what))
    }

    /// Puts the title in the place of each recorded prompt, which is a test's script. The agent's own, of a subagent's
    /// end, stays.
    fn put_title(&self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member.as_str() {
                        Some(text) if name == "prompt" && !text.starts_with('<') => {
                            *member = json!(self.recording.title);
                        }
                        _ => self.put_title(member),
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.put_title(value)),
            Value::String(text) if SCRIPT_MARKS.iter().any(|mark| text.contains(mark)) => {
                *text = self.recording.title.into();
            }
            _ => {}
        }
    }
}

impl Step {
    /// Lets the agent do it.
    pub(super) fn run(self, agent: &mut FakeAgent) -> anyhow::Result<()> {
        match self.what {
            What::Hook {
                event,
                payload,
                attended,
                variables,
            } => agent.hook(event.as_deref(), payload, attended, variables),
            What::Register(entry) => agent.register(entry),
            What::File(file, fact) => agent.change_file(&file, &fact),
            What::Mark(_) => Ok(()),
        }
    }

    /// What the person did, as the recording has it: `keys 1 (yes)`.
    pub(super) fn person(&self) -> Option<String> {
        let What::Mark(mark) = &self.what else {
            return None;
        };
        if mark.starts_with("submit: /") {
            return Some(format!("types {}", mark.trim_start_matches("submit: ")));
        }
        let (key, meaning) = mark.strip_prefix("keys ")?.split_once(" (")?;
        Some(format!("presses {key} ({meaning}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recordings, with their words replaced, are whole, and nothing of the test's own is left in what is shown.
    #[test]
    fn every_part_can_be_played() {
        let mut sessions = std::collections::BTreeSet::new();
        for scenario in scenarios() {
            let name = scenario.agent.name;
            let recording = scenario.recording;
            for (recorded, _) in recording.words {
                assert!(recording.lines.contains(recorded), "{recorded}");
            }
            for run in 0..2 {
                let lines = scenario.lines(run, Path::new("/home/ada"));
                assert!(!lines.contains(recording.session), "{name}");
                let mut own = std::collections::BTreeSet::new();
                let mut hooks = 0;
                for line in lines.lines() {
                    let step = scenario.step(serde_json::from_str(line).unwrap(), &mut 0);
                    let Some((_, What::Hook { payload, .. })) = step else {
                        continue;
                    };
                    hooks += 1;
                    let payload: Value = serde_json::from_str(&payload).unwrap();
                    let id = payload["session_id"].as_str();
                    own.extend(id.or(payload["sessionId"].as_str()).map(str::to_owned));
                    if let Some(cwd) = payload["cwd"].as_str() {
                        assert_eq!(cwd, format!("/home/ada/{}", scenario.project()));
                    }
                    let payload = payload.to_string();
                    let words = ["touch ", "echo ", "mock title", "colour?"];
                    for mark in SCRIPT_MARKS.into_iter().chain(words) {
                        assert!(!payload.contains(mark), "{mark} in {payload}");
                    }
                }
                assert!(hooks > 10, "{name}");
                assert_eq!(own.len(), 1, "{own:?}");
                assert!(sessions.is_disjoint(&own), "{own:?}");
                sessions.append(&mut own);
            }
        }
    }
}
