//! What the reader makes of rollouts and of hooks that come late, as Codex CLI 0.171.0 was seen to write them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::super::files::{FileChange, FileReader, FileRequest, LinesFrom, RunningProcess, System};
use serde_json::{Value, json};

use super::AGENT;
use super::files::Files;
use crate::event::{EventKind, ProcessRole, Report, ReportedProcess, Source, TurnEvent};
use crate::os::process::{ProcessId, ProcessInfo};

const HOME: &str = "/h/.codex";
const ID: &str = "01a21bb0-acf3-7600-9c92-d7ff3b2e46bb";
/// When it began, by its id.
const BEGAN: u64 = 0x01a2_1bb0_acf3;
const PID: u32 = 7;
const START: u64 = 70;

/// A machine with one terminal that shows the conversation `ID`, and what a day's directory holds.
#[derive(Default)]
struct Machine {
    rollouts: Vec<String>,
}

fn info() -> ProcessInfo {
    ProcessInfo {
        id: ProcessId {
            pid: PID,
            start: START,
        },
        parent: 1,
        tty: Some("/dev/pts/1".into()),
        stopped: false,
        zombie: false,
    }
}

impl System for Machine {
    fn lock_holder(&self, _path: &Path) -> Option<ReportedProcess> {
        Some(ReportedProcess {
            pid: PID,
            start: Some(START),
            namespace: Some(1),
        })
    }

    fn namespace(&self) -> Option<u64> {
        Some(1)
    }

    fn process(&self, pid: u32) -> Option<ProcessInfo> {
        (pid == PID).then(info)
    }

    fn is_older(&self, _path: &Path, _process: ProcessId) -> bool {
        false
    }

    fn processes_of(&self, program: fn(&[String], &[String]) -> bool) -> Vec<RunningProcess> {
        let arguments = vec!["codex".to_owned()];
        let runs = program(&["codex".to_owned()], &arguments);
        let terminal = RunningProcess {
            info: info(),
            arguments,
            cwd: None,
        };
        runs.then_some(terminal).into_iter().collect()
    }

    fn names(&self, directory: &Path) -> Vec<Box<OsStr>> {
        if directory.ends_with("tui-thread-reference-capabilities") {
            return vec![OsStr::new(ID).into()];
        }
        let rollouts = self.rollouts.iter();
        rollouts.map(|name| OsStr::new(name).into()).collect()
    }
}

fn rollout() -> String {
    format!("rollout-2026-11-27T06-28-13-{ID}.jsonl")
}

/// The conversation is opened: the paths that are followed, where from, and the directories that are watched.
fn opened(
    files: &mut Files,
    at: u64,
    machine: &Machine,
) -> (Vec<(PathBuf, LinesFrom)>, Vec<PathBuf>, Vec<EventKind>) {
    let lock = Path::new(HOME).join(format!("thread-writer-locks/{ID}.lock"));
    let (mut followed, mut watched, mut said) = (Vec::new(), Vec::new(), Vec::new());
    for request in files.read(FileChange::Appeared(&lock), at, machine) {
        match request {
            FileRequest::Lines { path, from } => followed.push((path, from)),
            FileRequest::Directory { path, .. } => watched.push(path),
            FileRequest::Report(report) => said.push(report.event.unwrap().kind),
            other => panic!("{other:?}"),
        }
    }
    (followed, watched, said)
}

#[test]
fn the_turns_of_a_resumed_conversation_are_not_reported_again() {
    let machine = Machine {
        rollouts: vec![rollout()],
    };
    let (followed, watched, said) = opened(&mut Files::default(), BEGAN + 3_600_000, &machine);
    assert_eq!(said, [EventKind::SessionSeen]);
    let [(path, from)] = &*followed else {
        panic!("{followed:?}; {watched:?}");
    };
    assert!(
        path.starts_with(HOME) && path.ends_with(rollout()),
        "{path:?}"
    );
    assert_eq!(*from, LinesFrom::End);
    assert!(watched.is_empty(), "{watched:?}");
}

#[test]
fn the_first_turn_of_a_new_conversation_is_read_from_its_beginning() {
    let other = format!("rollout-2026-11-27T06-28-13-{}.jsonl", ID.replace('0', "1"));
    let machine = Machine {
        rollouts: vec![other],
    };
    let mut files = Files::default();
    let (followed, watched, _) = opened(&mut files, BEGAN + 300, &machine);
    assert!(followed.is_empty(), "{followed:?}");
    let [day] = &*watched else {
        panic!("{watched:?}");
    };
    let path = day.join(rollout());
    let requests = files.read(FileChange::Appeared(&path), BEGAN + 1000, &machine);
    assert!(
        matches!(&*requests, [FileRequest::Lines { path: followed, from: LinesFrom::Beginning }] if *followed == path),
        "{requests:?}"
    );
}

#[test]
fn the_first_turn_of_a_prompt_on_the_command_line_is_read_from_its_beginning() {
    let machine = Machine {
        rollouts: vec![rollout()],
    };
    let (followed, ..) = opened(&mut Files::default(), BEGAN + 300, &machine);
    assert!(
        matches!(&*followed, [(_, LinesFrom::Beginning)]),
        "{followed:?}"
    );
}

/// What becomes of a hook.
fn hook(files: &mut Files, payload: &Value) -> EventKind {
    let mut report = Report {
        agent: AGENT.name.into(),
        at: BEGAN,
        process: Machine::default().lock_holder(Path::new(HOME)),
        attended: Some(true),
        terminal: None,
        config_dir: Some(HOME.into()),
        account: None,
        timing: AGENT.timing,
        source: Source::Hook,
        role: ProcessRole::Own,
        event: (AGENT.interpret)(&payload.to_string(), BEGAN),
    };
    files.reported(&mut report, &Machine::default());
    report.event.unwrap().kind
}

/// What a line of the rollout is reported as.
fn line(files: &mut Files, payload: &Value) -> Vec<EventKind> {
    let path = Path::new(HOME).join("sessions/2026/11/27").join(rollout());
    let line = json!({"type": "event_msg", "payload": payload}).to_string();
    let requests = files.read(
        FileChange::Line(&path, line.as_bytes()),
        BEGAN,
        &Machine::default(),
    );
    let kinds = requests.into_iter().filter_map(|request| match request {
        FileRequest::Report(report) => report.event.map(|event| event.kind),
        _ => None,
    });
    kinds.collect()
}

#[test]
fn a_failure_outlasts_the_hook_of_its_last_request() {
    let mut files = Files::default();
    let transcript = format!("{HOME}/sessions/2026/11/27/{}", rollout());
    let prompt = json!({"hook_event_name": "UserPromptSubmit", "session_id": ID, "prompt": "x",
        "transcript_path": transcript});
    let failed = json!({"hook_event_name": "PostModelRequest", "session_id": ID, "status": "failed",
        "error": "unexpected status 401 Unauthorized"});
    let retries = |kind: &EventKind| matches!(kind, EventKind::Turn(TurnEvent::Retrying { .. }));
    hook(&mut files, &prompt);
    assert!(retries(&hook(&mut files, &failed)));
    let refused = json!({"type": "task_complete", "error": {"message": "unexpected status 401 Unauthorized",
        "codex_error_info": {"http_connection_failed": {"http_status_code": 401}}}});
    let failure = EventKind::Turn(TurnEvent::Failed {
        error: "authentication failed".into(),
    });
    assert_eq!(line(&mut files, &refused), [failure]);
    // It is asynchronous, and was seen 11 ms later than the line.
    assert_eq!(hook(&mut files, &failed), EventKind::Noted);
    hook(&mut files, &prompt);
    assert!(retries(&hook(&mut files, &failed)));
}
