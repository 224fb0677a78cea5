//! What the reader makes of rollouts and of hooks that come late, as Codex CLI 0.171.0 was seen to write them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::super::files::{FileChange, FileReader, FileRequest, LinesFrom, RunningProcess, System};
use serde_json::{Value, json};

use super::AGENT;
use super::files::Files;
use crate::event::{
    EventKind, KnownSession, ProcessRole, Report, ReportedProcess, Source, TurnEvent,
};
use crate::os::process::{ProcessId, ProcessInfo};
use crate::protocol::{Status, WaitingFor};

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
    /// The directories in the configuration directory.
    directories: Vec<&'static str>,
    /// The conversation was left.
    is_unlocked: bool,
    /// An app server runs the conversation.
    has_engine: bool,
}

const ENGINE: &str =
    "/h/.codex/packages/app-server-daemon/releases/0.171.0-x86_64-unknown-linux-musl/bin/codex";

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
        let arguments = if self.has_engine {
            vec![ENGINE.to_owned(), "app-server".to_owned()]
        } else {
            vec!["codex".to_owned()]
        };
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
        if directory.ends_with("thread-writer-locks") {
            let lock = format!("{ID}.lock");
            let locks = Some(lock).filter(|_| !self.is_unlocked).into_iter();
            return locks.map(|lock| OsStr::new(&lock).into()).collect();
        }
        if directory == Path::new(HOME) {
            let names = self.directories.iter();
            return names.map(|name| OsStr::new(name).into()).collect();
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
        ..Machine::default()
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
        ..Machine::default()
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
        ..Machine::default()
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

/// The rollout, as a hook names it.
fn path() -> String {
    format!("{HOME}/sessions/2026/11/27/{}", rollout())
}

/// What an earlier daemon has saved: a turn runs, and the rollout is known for 5 s.
fn known(transcript: Option<&str>) -> KnownSession<'_> {
    KnownSession {
        agent: AGENT.name,
        id: ID,
        process: Machine::default().lock_holder(Path::new(HOME)),
        client: None,
        terminal: None,
        attended: true,
        config_dir: Some(HOME),
        transcript,
        title: None,
        status: Status::Working,
        waiting_for: None,
        requests: Vec::new(),
        own_status: None,
        hook_at: Some(BEGAN + 2000),
        known_until: BEGAN + 5000,
    }
}

const RESTARTED: u64 = BEGAN + 60_000;

fn restored(session: &KnownSession<'_>, machine: &Machine) -> (Files, Vec<FileRequest>) {
    let mut files = Files::default();
    let requests = files.restored(&[session], RESTARTED, machine);
    (files, requests)
}

/// What a line is reported as that was there already, and when it happened.
fn earlier(files: &mut Files, stamp: Option<u64>, payload: &Value) -> Vec<(u64, EventKind)> {
    let line = json!({"type": "event_msg", "timestamp": stamp, "payload": payload}).to_string();
    let path = path();
    let change = FileChange::EarlierLine(Path::new(&path), line.as_bytes());
    let requests = files.read(change, RESTARTED, &Machine::default());
    let reports = requests.into_iter().map(|request| match request {
        FileRequest::Report(report) => (report.at, report.event.unwrap().kind),
        other => panic!("{other:?}"),
    });
    reports.collect()
}

const INTERRUPTED: EventKind = EventKind::Turn(TurnEvent::Interrupted);

#[test]
fn what_was_written_while_no_daemon_ran_is_reported_once() {
    let path = path();
    let (mut files, requests) = restored(&known(Some(&path)), &Machine::default());
    assert!(
        matches!(&*requests, [FileRequest::Lines { path: followed, from: LinesFrom::Tail }]
            if *followed == Path::new(&path)),
        "{requests:?}"
    );
    let aborted = json!({"type": "turn_aborted", "reason": "interrupted"});
    for known in [Some(BEGAN + 1000), Some(BEGAN + 5000), None] {
        assert_eq!(earlier(&mut files, known, &aborted), [], "{known:?}");
    }
    let failed = json!({"type": "task_complete", "error": {"message": "401"}});
    assert_eq!(earlier(&mut files, Some(BEGAN + 4000), &failed), []);
    assert_eq!(
        earlier(&mut files, Some(BEGAN + 5001), &aborted),
        [(BEGAN + 5001, INTERRUPTED)]
    );
    // What is written from now on counts, whatever its stamp.
    assert_eq!(line(&mut files, &aborted), [INTERRUPTED]);
}

#[test]
fn what_a_known_line_says_of_the_turn_is_kept() {
    let path = path();
    let (mut files, _) = restored(&known(Some(&path)), &Machine::default());
    let item = |kind: &str, id: &str| json!({"type": "item_completed", "turn_id": "t", "item": {"type": kind, "id": id}});
    let call = json!({"type": "function_call", "name": "exec_command", "call_id": "c"});
    let output = json!({"type": "function_call_output", "call_id": "c",
        "output": "Process running with session ID 1\nOutput:\n"});
    for known in [call, output, item("Plan", "p")] {
        assert_eq!(earlier(&mut files, Some(BEGAN + 3000), &known), []);
    }
    let ended = EventKind::Turn(TurnEvent::TaskEnded("c".into()));
    assert_eq!(line(&mut files, &item("CommandExecution", "c")), [ended]);
    let said = line(&mut files, &json!({"type": "task_complete"}));
    assert!(
        matches!(
            &*said,
            [EventKind::Turn(TurnEvent::Asked {
                waiting_for: WaitingFor::Plan,
                ..
            })]
        ),
        "{said:?}"
    );
}

#[test]
fn a_rollout_that_no_hook_has_named_is_found_again() {
    let machine = || Machine {
        rollouts: vec![rollout()],
        ..Machine::default()
    };
    for transcript in [None, Some("/etc/rollout-passwd.jsonl")] {
        let (_, requests) = restored(&known(transcript), &machine());
        assert!(
            matches!(&*requests, [FileRequest::Lines { path, from: LinesFrom::Tail }]
                if path.ends_with(rollout()) && path.starts_with(HOME)),
            "{transcript:?}: {requests:?}"
        );
    }
    // Before the first prompt there is none.
    let (mut files, requests) = restored(&known(None), &Machine::default());
    assert!(
        matches!(&*requests, [FileRequest::Directory { .. }]),
        "{requests:?}"
    );
    let path = path();
    let requests = files.read(
        FileChange::Appeared(Path::new(&path)),
        RESTARTED,
        &machine(),
    );
    assert!(
        matches!(
            &*requests,
            [FileRequest::Lines {
                from: LinesFrom::Beginning,
                ..
            }]
        ),
        "{requests:?}"
    );
    // Neither is what has no id of a conversation, or no configuration directory.
    let other = KnownSession {
        id: "../../x",
        ..known(None)
    };
    assert!(restored(&other, &machine()).1.is_empty());
    let other = KnownSession {
        config_dir: None,
        ..known(None)
    };
    assert!(restored(&other, &machine()).1.is_empty());
}

#[test]
fn locks_say_only_what_has_changed_meanwhile() {
    let files = |machine: &Machine, session: KnownSession<'_>| {
        let (mut files, _) = restored(&session, machine);
        let places = [
            format!("tui-thread-reference-capabilities/{ID}"),
            format!("thread-writer-locks/{ID}.lock"),
        ];
        let mut said = Vec::new();
        for place in places.iter().chain(&places) {
            let path = Path::new(HOME).join(place);
            let requests = files.read(FileChange::Appeared(&path), RESTARTED, machine);
            said.push(requests.iter().any(|request| {
                matches!(request, FileRequest::Report(report)
                    if report.event.as_ref().unwrap().kind == EventKind::SessionSeen)
            }));
        }
        said
    };
    let path = path();
    // Its first appearance is what is there; the second, a terminal that has opened it anew.
    let machine = Machine::default();
    assert_eq!(
        files(&machine, known(Some(&path))),
        [false, false, true, true]
    );
    // Another process has it now.
    let other = KnownSession {
        process: Some(ReportedProcess {
            pid: 8,
            start: Some(80),
            namespace: Some(1),
        }),
        ..known(Some(&path))
    };
    assert_eq!(files(&machine, other), [true; 4]);
}

#[test]
fn a_conversation_that_was_left_meanwhile_has_ended() {
    let path = path();
    let ended = |directories: &[&'static str], session: KnownSession<'_>| {
        let machine = Machine {
            directories: directories.to_vec(),
            is_unlocked: true,
            ..Machine::default()
        };
        let (_, requests) = restored(&session, &machine);
        requests.iter().any(|request| {
            matches!(request, FileRequest::Report(report)
                if matches!(report.event.as_ref().unwrap().kind, EventKind::SessionEnded { .. }))
        })
    };
    let locks = ["sessions", "thread-writer-locks"];
    assert!(ended(&locks, known(Some(&path))));
    let found = KnownSession {
        hook_at: None,
        ..known(None)
    };
    assert!(ended(&locks, found));
    // One that is not written down has no lock, nor has one of a version that makes none.
    assert!(!ended(&locks, known(None)));
    assert!(!ended(&locks[..1], known(Some(&path))));
}

#[test]
fn the_app_server_of_a_restored_conversation_is_listened_to() {
    let machine = Machine {
        has_engine: true,
        ..Machine::default()
    };
    let path = path();
    let asks = KnownSession {
        status: Status::Waiting,
        waiting_for: Some(WaitingFor::Permission),
        ..known(Some(&path))
    };
    let (mut files, requests) = restored(&asks, &machine);
    let sockets = requests.iter().filter_map(|request| match request {
        FileRequest::Connect { path, .. } => Some(path),
        _ => None,
    });
    let socket = Path::new(HOME).join("app-server-control/app-server-control.sock");
    assert_eq!(sockets.collect::<Vec<_>>(), [&socket]);
    // The dialog that was open then is answered.
    let runs = json!({"method": "thread/status/changed",
        "params": {"threadId": ID, "status": {"type": "active", "activeFlags": []}}});
    let requests = files.read(
        FileChange::Message(runs.to_string().as_bytes()),
        5,
        &machine,
    );
    let [FileRequest::Report(report)] = &*requests else {
        panic!("{requests:?}");
    };
    assert_eq!(report.role, ProcessRole::Shared { client: None });
    let answered = EventKind::Turn(TurnEvent::Answered { id: None });
    assert_eq!(report.event.as_ref().unwrap().kind, answered);
    // A terminal that runs its own conversation has none.
    let (_, requests) = restored(&known(Some(&path)), &Machine::default());
    assert!(
        !requests
            .iter()
            .any(|request| matches!(request, FileRequest::Connect { .. }))
    );
}
