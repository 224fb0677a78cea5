//! The lines of the state: those of earlier versions are read, and what a file is not worth is refused.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{CLAUDE, CoreHarness, settings};
use crate::agents;
use crate::core::saved::{LineError, VERSION};
use crate::core::{Core, Input, Saved, Settings, testing};
use crate::event::{
    AgentEvent, EventKind, ProcessRole, Report, ReportedProcess, Source, TurnEvent,
};
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
    let file = |version: u32| Path::new(GOLDEN).join(format!("{version}.jsonl"));
    if variable("UPDATE_SNAPSHOTS").is_some() {
        let mut core = persistent();
        let mut lines = core.save_all();
        core.fill();
        core.core.save(&mut lines).unwrap();
        fs::create_dir_all(GOLDEN).unwrap();
        fs::write(file(VERSION), lines).unwrap();
    }
    for version in 1..=VERSION {
        let read = read(&fs::read(file(version)).unwrap());
        let restored = restored(read, &core).records();
        assert_eq!(restored, core.records(), "{version}");
    }
}

#[test]
fn a_later_version_is_refused_as_a_whole() {
    let mut saved = Saved::default();
    let line = br#"{"head":{"version":3,"epoch":1,"boot":"boot","pid_namespace":null,"account_directory":""}}"#;
    assert!(matches!(saved.take(line), Err(LineError::Version(3))));
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

/// An event of an agent with files, stamped now and moved by this.
fn of_agent(core: &CoreHarness, id: &str, source: Source, kind: EventKind, skew: i64) -> Report {
    Report {
        agent: "gemini".into(),
        at: core.now.unix_ms.saturating_add_signed(skew),
        process: Some(ReportedProcess {
            pid: 855,
            start: Some(CLAUDE.start),
            namespace: Some(testing::NAMESPACE),
        }),
        attended: Some(true),
        terminal: None,
        config_dir: None,
        account: None,
        timing: agents::DEFAULT.timing,
        source,
        role: ProcessRole::Own,
        event: Some(AgentEvent {
            session_id: Some(id.into()),
            ..AgentEvent::new("Event", kind)
        }),
    }
}

/// What the readers of files need is known after a restart, each as it was.
#[test]
fn where_the_files_are_and_how_far_they_are_known_outlives_the_daemon() {
    const HOUR: i64 = 3_600_000;
    let mut core = persistent();
    let mut file = core.save_all();
    let mut known = |core: &mut CoreHarness, report: Report| {
        core.take(Input::Observed(Box::new(report)));
        core.core.save(&mut file).unwrap();
        let before = format!("{:?}", core.core.known_sessions());
        let restored = restored(read(&file), core);
        let after = restored.core.known_sessions();
        assert_eq!(format!("{after:?}"), before);
        let [session] = &*after else {
            panic!("{after:?}");
        };
        let own = |text: Option<&str>| text.map(str::to_owned);
        let files = (own(session.config_dir), own(session.transcript));
        (files, session.known_until, session.process)
    };
    let some = |text: &str| Some(text.to_owned());
    let started = || EventKind::SessionStarted;

    let mut report = of_agent(&core, "a", Source::Hook, started(), 0);
    report.config_dir = Some("/home/dev/.gemini".into());
    report.event.as_mut().unwrap().transcript = Some("/home/dev/.gemini/tmp/a.jsonl".into());
    let (at, process) = (report.at, report.process);
    let files = (
        some("/home/dev/.gemini"),
        some("/home/dev/.gemini/tmp/a.jsonl"),
    );
    assert_eq!(known(&mut core, report), (files.clone(), at, process));

    // Hooks say nothing of how far the files are known, and need not name them again.
    core.wait(1000);
    let report = of_agent(
        &core,
        "a",
        Source::Hook,
        EventKind::Turn(TurnEvent::Active),
        0,
    );
    assert_eq!(known(&mut core, report), (files.clone(), at, process));

    // As the agent has stamped it, also by a clock that is wrong.
    let report = of_agent(&core, "a", Source::File, EventKind::Noted, -HOUR);
    let stamp = report.at;
    assert_eq!(known(&mut core, report), (files.clone(), stamp, process));

    // The file of another conversation is not this one's.
    core.wait(1000);
    let mut report = of_agent(&core, "b", Source::Hook, EventKind::Noted, 0);
    report.event.as_mut().unwrap().transcript = Some("/home/dev/.gemini/tmp/b.jsonl".into());
    assert_eq!(known(&mut core, report), (files.clone(), stamp, process));
    let report = of_agent(&core, "b", Source::Hook, started(), 0);
    let at = report.at;
    assert_eq!(known(&mut core, report), ((files.0, None), at, process));

    // One that is closed needs nothing.
    let ended = EventKind::SessionEnded {
        reason: "exit".into(),
        process_goes_on: false,
    };
    core.wait(1000);
    let report = of_agent(&core, "b", Source::Hook, ended, 0);
    core.take(Input::Observed(Box::new(report)));
    assert!(core.core.known_sessions().is_empty());
}

/// What its files had said before is not new because a version that did not save that knew the session first.
#[test]
fn the_files_of_a_session_of_an_earlier_version_are_known_until_its_next_report() {
    let mut core = persistent();
    let report = of_agent(&core, "a", Source::Hook, EventKind::SessionStarted, 0);
    core.take(Input::Observed(Box::new(report)));
    let file = String::from_utf8(core.save_all()).unwrap();
    let saved = format!("\"file_stamp\":{},", core.now.unix_ms);
    assert!(file.contains(&saved), "{file}");
    let mut core = restored(read(file.replace(&saved, "").as_bytes()), &core);
    core.wait(1000);
    let active = EventKind::Turn(TurnEvent::Active);
    let report = of_agent(&core, "a", Source::Hook, active, 0);
    core.take(Input::Observed(Box::new(report)));
    assert_eq!(core.core.known_sessions()[0].known_until, core.now.unix_ms);
}

/// What happened while no daemon ran keeps its time, also if a file says something for the first time.
#[test]
fn the_first_event_of_a_file_may_be_of_the_time_without_a_daemon() {
    let mut core = persistent();
    let report = of_agent(&core, "a", Source::Hook, EventKind::SessionStarted, 0);
    core.take(Input::Observed(Box::new(report)));
    let prompt = TurnEvent::PromptSubmitted {
        text: None,
        origin: crate::event::PromptOrigin::Person,
    };
    let report = of_agent(&core, "a", Source::Hook, EventKind::Turn(prompt), 0);
    core.take(Input::Observed(Box::new(report)));
    let file = core.save_all();
    core.wait(600_000);
    let mut core = restored(read(&file), &core);
    let interrupted = EventKind::Turn(TurnEvent::Interrupted);
    let report = of_agent(&core, "a", Source::File, interrupted, -300_000);
    let at = report.at;
    core.take(Input::Observed(Box::new(report)));
    let [record] = &core.records()[..] else {
        panic!("{:?}", core.records());
    };
    assert_eq!(record["status"], "idle");
    assert_eq!(record["since"], at);
}
