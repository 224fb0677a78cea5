//! The scenarios: recorded runs of a real agent, at their own pace, with the texts of real work.
//!
//! The recordings are a test's: its directories and commands mean nothing to a viewer. Names, titles, commands and how full
//! the context is are put in here; what happens, and when, is as it was recorded.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::sandbox::{FakeAgent, SandboxDir};
use crate::agents::{self, Recording};

/// An agent of the demo.
#[derive(Debug)]
pub(super) struct Scenario {
    /// The name of a recording of [`agents::DEFAULT`].
    recording: &'static str,
    /// Where it works.
    directory: &'static str,
    /// What it is about.
    title: &'static str,
    /// Recorded words, and what stands in their place. They are inside JSON strings.
    words: &'static [(&'static str, &'static str)],
    /// How full its context is in the beginning, in percent.
    context: u32,
    /// When it starts, in ms after the first.
    pub(super) starts_ms: u64,
}

/// All of them. The first can carry a demo alone.
pub(super) const SCENARIOS: [Scenario; 6] = [
    Scenario {
        recording: "perm",
        directory: "/home/ada/webshop",
        title: "Keep the basket across a login",
        words: &[
            ("touch made.txt", "npm test -- basket"),
            ("touch made2.txt", "npm run lint"),
            ("touch made3.txt", "git push"),
            ("touch made4.txt", "rm -rf node_modules"),
            ("/w.txt", "/src/basket.ts"),
            ("touch p1.txt", "npm ci"),
            ("touch p2.txt", "npm run build"),
        ],
        context: 31,
        starts_ms: 0,
    },
    Scenario {
        recording: "subagent",
        directory: "/home/ada/atlas",
        title: "Why do the tiles load twice?",
        words: &[
            ("echo ok sub", "rg -n loadTile src"),
            ("touch subperm.txt", "curl -s localhost:8080/tiles/3"),
        ],
        context: 58,
        starts_ms: 700,
    },
    Scenario {
        recording: "slow",
        directory: "/home/ada/ledger",
        title: "Move the export into a crate of its own",
        words: &[("echo ok; sleep 20", "cargo test --workspace")],
        context: 74,
        starts_ms: 1500,
    },
    Scenario {
        recording: "errors",
        directory: "/home/ada/homepage",
        title: "Shorten the front page",
        words: &[],
        context: 12,
        starts_ms: 3100,
    },
    Scenario {
        recording: "slow",
        directory: "/home/ada/thesis",
        title: "Check the references of chapter 3",
        words: &[("echo ok; sleep 20", "make pdf")],
        context: 46,
        starts_ms: 6400,
    },
    Scenario {
        recording: "perm",
        directory: "/home/ada/infra",
        title: "Renew the certificates",
        words: &[
            ("touch made.txt", "tofu plan"),
            ("touch made2.txt", "tofu apply"),
            ("touch made3.txt", "ssh edge systemctl restart nginx"),
            ("touch made4.txt", "tofu destroy"),
            ("/w.txt", "/certificates.tf"),
            ("touch p1.txt", "tofu fmt"),
            ("touch p2.txt", "tofu validate"),
        ],
        context: 23,
        starts_ms: 9800,
    },
];

/// One line of a recording.
#[derive(Deserialize)]
struct Entry {
    ms: u64,
    hook: Option<Map<String, Value>>,
    statusline: Option<Value>,
    attended: Option<bool>,
    /// The name of a registry file, and what was in it; nothing: it was removed.
    registry: Option<String>,
    value: Option<Map<String, Value>>,
    mark: Option<String>,
}

/// Something that happens in a run.
pub(super) struct Step {
    /// When, in ms from its beginning.
    pub(super) ms: u64,
    what: What,
}

enum What {
    Hook { payload: String, attended: bool },
    Register(Option<Map<String, Value>>),
    Mark(String),
}

impl Scenario {
    fn recording(&self) -> Option<&'static Recording> {
        let recordings = agents::extras(agents::DEFAULT)?.recordings;
        let named = |recording: &&Recording| recording.name == self.recording;
        recordings.iter().find(named)
    }

    /// What happens, in order. `run`: which of its runs it is; each is a session of its own.
    pub(super) fn steps(&self, run: u16) -> impl Iterator<Item = serde_json::Result<Step>> {
        let recording = self.recording().into_iter();
        recording.flat_map(move |recording| self.play(recording, run))
    }

    fn play(
        &self,
        recording: &Recording,
        run: u16,
    ) -> impl Iterator<Item = serde_json::Result<Step>> {
        let Recording {
            lines,
            directory,
            session,
            ..
        } = *recording;
        // Two scenarios may have one recording.
        let number = u64::from(run) * 0x1000 + self.starts_ms;
        let own = format!("{}{number:012x}", &session[..session.len() - 12]);
        let mut context = self.context;
        lines.lines().map(move |line| {
            let line = line
                .replace(directory, self.directory)
                .replace(session, &own);
            let line = self.words.iter().fold(line, |line, (recorded, shown)| {
                line.replace(recorded, shown)
            });
            let entry: Entry = serde_json::from_str(&line)?;
            let attended = entry.attended != Some(false);
            let what = if let Some(mut payload) = entry.hook {
                payload.insert("session_title".into(), json!(self.title));
                // A recorded prompt is a test's script. The agent's own, of a subagent's end, stays.
                if let Some(prompt) = payload.get_mut("prompt")
                    && !prompt
                        .as_str()
                        .is_some_and(|prompt| prompt.starts_with('<'))
                {
                    *prompt = json!(self.title);
                }
                let payload = Value::from(payload).to_string();
                What::Hook { payload, attended }
            } else if let Some(mut status_line) = entry.statusline {
                context = (context + 1).min(100);
                status_line["context_window"]["used_percentage"] = json!(context);
                let payload = status_line.to_string();
                What::Hook { payload, attended }
            } else if entry.registry.is_some() {
                What::Register(entry.value)
            } else {
                What::Mark(entry.mark.unwrap_or_default())
            };
            Ok(Step { ms: entry.ms, what })
        })
    }
}

impl Step {
    /// Lets the agent do it.
    pub(super) fn run(self, directory: &SandboxDir, agent: &FakeAgent) -> anyhow::Result<()> {
        match self.what {
            What::Hook { payload, attended } => directory.hook(agent, &payload, attended),
            What::Register(entry) => directory.register(agent, entry),
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
        for scenario in &SCENARIOS {
            for (recorded, _) in scenario.words {
                assert!(
                    scenario.recording().unwrap().lines.contains(recorded),
                    "{recorded}"
                );
            }
            for run in 0..2 {
                let mut own = std::collections::BTreeSet::new();
                for step in scenario.steps(run) {
                    if let What::Hook { payload, .. } = step.unwrap().what {
                        let payload: Value = serde_json::from_str(&payload).unwrap();
                        own.insert(payload["session_id"].as_str().unwrap().to_owned());
                        assert_eq!(payload["cwd"], scenario.directory);
                        assert!(!payload["prompt"].to_string().contains("@@"), "{payload}");
                        let tool = payload["tool_input"]["command"]
                            .as_str()
                            .unwrap_or_default();
                        assert!(!tool.contains("touch") && !tool.contains("echo"), "{tool}");
                    }
                }
                assert_eq!(own.len(), 1, "{own:?}");
                sessions.append(&mut own);
            }
        }
        assert_eq!(sessions.len(), 2 * SCENARIOS.len());
    }
}
