//! The lines of the state: those of earlier versions are read, and what a file is not worth is refused.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{CLAUDE, CoreHarness, settings};
use crate::core::saved::LineError;
use crate::core::{Core, Input, Saved, Settings, testing};
use crate::os::environment::variable;
use crate::protocol::SessionRecord;

/// A state with every kind of session, as each version has written it: whole lines, then what has changed.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/state");

fn persistent() -> CoreHarness {
    CoreHarness::with(Settings {
        persist: true,
        ..settings()
    })
}

impl CoreHarness {
    fn save_all(&mut self) -> Vec<u8> {
        let mut file = Vec::new();
        self.core.save_all(&mut file).unwrap();
        file
    }

    /// The records of all sessions, by key.
    fn records(&self) -> Vec<Value> {
        let rules = self.core.settings.attention;
        let sessions = self.core.sessions.iter();
        let mut records: Vec<_> = sessions
            .map(|session| serde_json::to_value(session.record(rules)).unwrap())
            .collect();
        records.sort_by_key(|record| record["key"].to_string());
        records
    }

    /// An agent that asks, with a subagent; one that has failed; a script's session; a closed one.
    fn fill(&mut self) {
        let terminal = json!({"tty": "/dev/pts/3", "tmux_pane": "%3"});
        for (pid, event) in [
            (
                855,
                json!({"hook_event_name": "SessionStart", "source": "startup", "model": "opus"}),
            ),
            (
                855,
                json!({"hook_event_name": "UserPromptSubmit", "prompt": "fix the build"}),
            ),
            (
                855,
                json!({"hook_event_name": "SubagentStart", "agent_id": "a1"}),
            ),
            (
                856,
                json!({"hook_event_name": "SessionStart", "source": "startup"}),
            ),
            (
                856,
                json!({"hook_event_name": "StopFailure", "error": "rate_limit"}),
            ),
        ] {
            self.wait(2000);
            let mut event = event;
            event["session_id"] = format!("id-{pid}").into();
            event["cwd"] = "/src".into();
            let params = json!({
                "agent": "claude-code", "at": self.now.unix_ms, "pid": pid, "process_start": CLAUDE.start,
                "pid_namespace": testing::NAMESPACE, "attended": true, "event": event, "terminal": terminal,
                "config_dir": "/home/dev/.claude-work",
            });
            self.report(&params);
        }
        for params in [
            json!({"session": "nightly", "status": "waiting", "reason": "staging?", "title": "nightly build"}),
            json!({"session": "done", "status": "working"}),
            json!({"session": "done", "status": "closed"}),
        ] {
            self.ask("session.set", &params);
        }
    }
}

fn read(file: &[u8]) -> Saved {
    let mut saved = Saved::default();
    for line in file
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        saved.take(line).unwrap();
    }
    saved
}

fn restored(saved: Saved, of: &CoreHarness) -> CoreHarness {
    let core = Core::restore(testing::info(), of.core.settings, saved, of.now);
    CoreHarness { core, now: of.now }
}

/// `UPDATE_SNAPSHOTS=1` writes the files of this version. Those of earlier versions stay as they are.
#[test]
fn the_state_of_each_version_is_read() {
    let mut core = persistent();
    core.fill();
    let file = Path::new(GOLDEN).join("1.jsonl");
    if variable("UPDATE_SNAPSHOTS").is_some() {
        let mut core = persistent();
        let mut lines = core.save_all();
        core.fill();
        core.core.save(&mut lines).unwrap();
        fs::create_dir_all(GOLDEN).unwrap();
        fs::write(&file, lines).unwrap();
    }
    let read = read(&fs::read(file).unwrap());
    assert_eq!(restored(read, &core).records(), core.records());
}

#[test]
fn a_later_version_is_refused_as_a_whole() {
    let mut saved = Saved::default();
    let line = br#"{"head":{"version":2,"epoch":1,"boot":"boot","pid_namespace":null,"account_directory":""}}"#;
    assert!(matches!(saved.take(line), Err(LineError::Version(2))));
}

#[test]
fn a_state_of_another_start_of_the_machine_or_another_namespace_is_not_used() {
    let mut core = persistent();
    core.fill();
    let file = core.save_all();
    assert_eq!(restored(read(&file), &core).records().len(), 4);
    for (part, other) in [
        ("\"boot\":\"boot\"".to_owned(), "\"boot\":\"later\""),
        (
            format!("\"pid_namespace\":{}", testing::NAMESPACE),
            "\"pid_namespace\":1",
        ),
    ] {
        let file = String::from_utf8(file.clone())
            .unwrap()
            .replace(&part, other);
        let saved = read(file.as_bytes());
        assert!(saved.why_foreign(&testing::info()).is_some());
        assert_eq!(restored(saved, &core).records(), [] as [Value; 0]);
    }
}

/// A line that is lost costs its own session at most.
#[test]
fn each_line_may_be_lost() {
    let mut core = persistent();
    let mut file = core.save_all();
    core.fill();
    core.core.save(&mut file).unwrap();
    file.extend(core.save_all());
    let lines: Vec<_> = file.split_inclusive(|byte| *byte == b'\n').collect();
    let before: BTreeSet<String> = core.records().iter().map(Value::to_string).collect();
    for lost in 0..lines.len() {
        let kept = lines
            .iter()
            .enumerate()
            .filter(|(number, _)| *number != lost);
        let kept: Vec<u8> = kept.flat_map(|(_, line)| line.iter().copied()).collect();
        let after = restored(read(&kept), &core).records();
        let same = after
            .iter()
            .filter(|record| before.contains(&record.to_string()));
        assert!(
            same.count() + 1 >= before.len(),
            "without line {lost}: {after:?}"
        );
    }
}

/// What is restored goes on: its processes are watched, and a report finds it.
#[test]
fn a_restored_session_goes_on() {
    let mut core = persistent();
    core.fill();
    let mut core = restored(read(&core.save_all()), &core);
    let effects = core.take(Input::RegistriesRead);
    let watched = effects
        .iter()
        .filter(|effect| format!("{effect:?}").starts_with("Watch("));
    assert_eq!(watched.count(), 2, "{effects:?}");
    core.ask(
        "session.set",
        &json!({"session": "nightly", "status": "working"}),
    );
    let record: SessionRecord<'_> = core.get("nightly");
    assert_eq!(record.title.as_deref(), Some("nightly build"));
    assert_eq!(record.history.len(), 2);
}
