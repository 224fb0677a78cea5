//! What the reader makes of the files, in the order in which Copilot CLI 1.0.102 was seen to write them.

mod restored;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use serde_json::{Value, json};

use super::super::files::{FileChange, FileReader, FileRequest, RunningProcess, System};
use super::{events, files::Files, interpret, payload};
use crate::event::{
    AgentEvent, EventKind, ProcessRole, RegistryStatus, Report, ReportedProcess, Source, TurnEvent,
};
use crate::os::process::{ProcessId, ProcessInfo};
use crate::protocol::WaitingFor;

const HOME: &str = "/h/.copilot";
const NAMESPACE: u64 = 1;

/// A machine: its processes, by pid with their arguments, and the locks of the sessions.
#[derive(Default)]
struct Machine {
    processes: BTreeMap<u32, Vec<String>>,
    locks: Vec<(&'static str, u32)>,
    /// Locks that an earlier process of that id has left behind.
    old_locks: Vec<u32>,
}

impl Machine {
    fn with(pids: &[u32], locks: &[(&'static str, u32)]) -> Self {
        let arguments = || vec!["copilot".to_owned()];
        Self {
            processes: pids.iter().map(|pid| (*pid, arguments())).collect(),
            locks: locks.to_vec(),
            old_locks: Vec::new(),
        }
    }
}

fn info(pid: u32) -> ProcessInfo {
    ProcessInfo {
        id: ProcessId {
            pid,
            start: u64::from(pid) * 10,
        },
        parent: 1,
        tty: Some(format!("/dev/pts/{pid}")),
        stopped: false,
        zombie: false,
    }
}

fn process(pid: u32) -> ReportedProcess {
    ReportedProcess {
        pid,
        start: Some(u64::from(pid) * 10),
        namespace: Some(NAMESPACE),
    }
}

impl System for Machine {
    fn lock_holder(&self, _path: &Path) -> Option<ReportedProcess> {
        None
    }

    fn namespace(&self) -> Option<u64> {
        Some(NAMESPACE)
    }

    fn process(&self, pid: u32) -> Option<ProcessInfo> {
        self.processes.contains_key(&pid).then(|| info(pid))
    }

    fn processes_of(&self, program: fn(&[String], &[String]) -> bool) -> Vec<RunningProcess> {
        let running = self.processes.iter().rev();
        let running = running.filter(|(_, arguments)| program(&["copilot".into()], arguments));
        let found = running.map(|(pid, arguments)| RunningProcess {
            info: info(*pid),
            arguments: arguments.clone(),
            cwd: None,
        });
        found.collect()
    }

    fn is_older(&self, path: &Path, process: ProcessId) -> bool {
        assert!(path.ends_with(format!("inuse.{}.lock", process.pid)));
        self.old_locks.contains(&process.pid)
    }

    fn names(&self, directory: &Path) -> Vec<Box<OsStr>> {
        let id = directory.file_name().unwrap();
        let locks = self.locks.iter().filter(|(of, _)| OsStr::new(of) == id);
        locks
            .flat_map(|(_, pid)| {
                let names = [format!("inuse.{pid}.hold"), format!("inuse.{pid}.lock")];
                names.map(|name| OsStr::new(&name).into())
            })
            .collect()
    }
}

/// A reader that has seen `open-sessions-state.json` without a session.
fn reader() -> Files {
    let mut files = Files::default();
    files.open(Path::new(HOME));
    assert!(open(&mut files, &json!({}), &Machine::default()).is_empty());
    files
}

/// What is reported: the session, its process, the kind.
type Said = (String, u32, EventKind);

fn said(requests: Vec<FileRequest>) -> Vec<Said> {
    let reports = requests.into_iter().filter_map(|request| match request {
        FileRequest::Report(report) => Some(report),
        _ => None,
    });
    reports
        .map(|report| {
            assert_eq!(report.source, Source::File);
            let event = report.event.unwrap();
            let id = event.session_id.unwrap().into();
            (id, report.process.unwrap().pid, event.kind)
        })
        .collect()
}

/// `open-sessions-state.json` has changed: the sessions with their `working`.
fn open(files: &mut Files, sessions: &Value, machine: &Machine) -> Vec<FileRequest> {
    let entries = sessions.as_object().unwrap().iter();
    let entries: BTreeMap<_, _> = entries
        .map(|(id, working)| (id, json!({"openedAt": id, "working": working})))
        .collect();
    let contents = serde_json::to_vec(&entries).unwrap();
    let path = Path::new(HOME).join("open-sessions-state.json");
    files.read(FileChange::Contents(&path, &contents), 1000, machine)
}

fn line(files: &mut Files, id: &str, line: &Value) -> Vec<Said> {
    let path = Path::new(HOME)
        .join("session-state")
        .join(id)
        .join("events.jsonl");
    let line = line.to_string();
    let machine = Machine::default();
    said(files.read(FileChange::Line(&path, line.as_bytes()), 2000, &machine))
}

/// A hook reports an event; what the core gets of it.
fn hook(files: &mut Files, pid: u32, at: u64, name: &str, payload: &Value) -> AgentEvent {
    stamped(files, pid, at, name, payload).1
}

/// The same, with its stamp.
fn stamped(files: &mut Files, pid: u32, at: u64, name: &str, payload: &Value) -> (u64, AgentEvent) {
    let kept = payload::filter(payload.to_string().as_bytes(), Some(name)).unwrap();
    let mut report = Report {
        agent: "copilot".into(),
        at,
        process: Some(process(pid)),
        attended: Some(true),
        terminal: None,
        config_dir: Some(HOME.into()),
        account: None,
        timing: super::AGENT.timing,
        source: Source::Hook,
        role: ProcessRole::Own,
        event: interpret(kept.get(), at),
    };
    files.reported(&mut report, &Machine::default());
    (report.at, report.event.unwrap())
}

fn status(status: RegistryStatus) -> EventKind {
    EventKind::Turn(TurnEvent::Status(status))
}

fn answered(id: &str) -> EventKind {
    EventKind::Turn(TurnEvent::Answered {
        id: Some(id.into()),
    })
}

#[test]
fn a_session_is_open_before_its_first_prompt() {
    let mut files = reader();
    let machine = Machine::with(&[7], &[("a", 7)]);
    let requests = open(&mut files, &json!({"a": false}), &machine);
    let FileRequest::Lines { path, .. } = &requests[0] else {
        panic!("{requests:?}");
    };
    assert_eq!(path, Path::new("/h/.copilot/session-state/a/events.jsonl"));
    let started = EventKind::SessionStarted;
    assert_eq!(said(requests), [("a".to_owned(), 7, started)]);
    // Nothing has changed.
    assert!(open(&mut files, &json!({"a": false}), &machine).is_empty());
    let works = said(open(&mut files, &json!({"a": true}), &machine));
    assert_eq!(works, [("a".to_owned(), 7, status(RegistryStatus::Busy))]);
    let rests = said(open(&mut files, &json!({"a": false}), &machine));
    assert_eq!(rests, [("a".to_owned(), 7, status(RegistryStatus::Idle))]);
}

#[test]
fn a_conversation_that_is_taken_up_again_has_the_process_that_has_no_other() {
    let mut files = reader();
    let mut machine = Machine::with(&[5, 8], &[("a", 5)]);
    machine
        .processes
        .insert(9, ["copilot", "-p", "x"].map(str::to_owned).to_vec());
    open(&mut files, &json!({"a": false}), &machine);
    let found = said(open(&mut files, &json!({"a": false, "b": false}), &machine));
    assert_eq!(found, [("b".to_owned(), 8, EventKind::SessionStarted)]);
}

#[test]
fn of_several_processes_the_one_that_names_the_conversation_has_it() {
    for (arguments, expected) in [
        (&["copilot", "--resume=b"][..], Some(7)),
        (&["copilot", "--resume", "b"], Some(7)),
        (&["copilot", "--resume=c"], None),
        (&["copilot"], None),
    ] {
        let mut files = reader();
        let mut machine = Machine::with(&[5, 7, 8], &[("a", 5)]);
        let arguments = arguments.iter().map(|&word| word.to_owned());
        machine.processes.insert(7, arguments.collect());
        open(&mut files, &json!({"a": false}), &machine);
        let found = said(open(&mut files, &json!({"a": false, "b": false}), &machine));
        let pids: Vec<_> = found.iter().map(|(_, pid, _)| *pid).collect();
        assert_eq!(pids, Vec::from_iter(expected));
    }
}

#[test]
fn what_a_crash_has_left_is_no_session() {
    // A dead process has the lock; or none has, and the entry was there before.
    let mut files = reader();
    let machine = Machine::with(&[7], &[("a", 6)]);
    assert_eq!(said(open(&mut files, &json!({"a": true}), &machine)), []);
    // Another process has the id of the dead one now.
    let mut files = reader();
    let mut machine = Machine::with(&[6, 7], &[("a", 6)]);
    machine.old_locks.push(6);
    assert_eq!(said(open(&mut files, &json!({"a": true}), &machine)), []);
    let mut files = Files::default();
    files.open(Path::new(HOME));
    let machine = Machine::with(&[7], &[("b", 7)]);
    let found = said(open(&mut files, &json!({"a": true, "b": false}), &machine));
    // A turn may run in the one that was open before.
    assert_eq!(found, [("b".to_owned(), 7, EventKind::SessionSeen)]);
}

#[test]
fn a_process_shows_its_new_conversation_and_then_the_one_that_is_left() {
    let mut files = reader();
    let mut machine = Machine::with(&[7], &[("a", 7)]);
    open(&mut files, &json!({"a": false}), &machine);
    let prompt = json!({"sessionId": "a", "prompt": "one"});
    hook(&mut files, 7, 1100, "userPromptSubmitted", &prompt);
    // `/clear`: the new one first, then the end of the old one, which says nothing of the process.
    machine.locks.push(("b", 7));
    let found = said(open(&mut files, &json!({"a": false, "b": false}), &machine));
    assert_eq!(found, [("b".to_owned(), 7, EventKind::SessionStarted)]);
    let end = json!({"sessionId": "a", "reason": "user_exit"});
    let ended = hook(&mut files, 7, 1200, "sessionEnd", &end);
    assert_eq!(ended.kind, EventKind::Noted);
    machine.locks.retain(|(id, _)| *id != "a");
    assert_eq!(said(open(&mut files, &json!({"b": false}), &machine)), []);
    // `/new`: the old one stays open. What it does is not on the screen.
    machine.locks.push(("c", 7));
    open(&mut files, &json!({"b": false, "c": false}), &machine);
    assert_eq!(
        said(open(&mut files, &json!({"b": true, "c": false}), &machine)),
        []
    );
    let tool = json!({"sessionId": "b", "toolName": "bash"});
    assert_eq!(
        hook(&mut files, 7, 1300, "preToolUse", &tool).kind,
        EventKind::Noted
    );
    // `/exit` leaves it, and it is shown.
    let end = json!({"sessionId": "c", "reason": "user_exit"});
    let ended = hook(&mut files, 7, 1400, "sessionEnd", &end);
    assert_eq!(ended.kind, EventKind::SessionStarted);
    assert_eq!(ended.session_id.as_deref(), Some("b"));
    // The last one's end is the process's.
    let end = json!({"sessionId": "b", "reason": "user_exit"});
    let ended = hook(&mut files, 7, 1500, "sessionEnd", &end);
    assert!(
        matches!(ended.kind, EventKind::SessionEnded { .. }),
        "{ended:?}"
    );
}

#[test]
fn a_conversation_starts_before_its_first_prompt_whatever_the_stamps_say() {
    let payload = json!({"sessionId": "a", "prompt": "one"});
    let kind = |files: &mut Files, at, name| {
        let (stamp, event) = stamped(files, 7, at, name, &payload);
        let is_start = event.kind == EventKind::SessionStarted;
        (stamp, is_start)
    };
    for (start, counts) in [(1000, false), (1260, false), (2000, false), (2001, true)] {
        let mut files = reader();
        kind(&mut files, 1000, "userPromptSubmitted");
        let late = kind(&mut files, start, "sessionStart");
        assert_eq!(late, (start, counts), "{start}");
        // A second one is of a conversation that was taken up again.
        assert!(kind(&mut files, 2100, "sessionStart").1, "{start}");
        // One that came first is still before a prompt that is stamped before it.
        let mut files = reader();
        assert!(kind(&mut files, start, "sessionStart").1, "{start}");
        let expected = if counts { 1000 } else { start };
        let prompt = kind(&mut files, 1000, "userPromptSubmitted");
        assert_eq!(prompt, (expected, false), "{start}");
        let second = kind(&mut files, 1001, "userPromptSubmitted");
        assert_eq!(second, (1001, false), "{start}");
    }
}

#[test]
fn a_dialog_is_open_from_its_notification_to_the_answer_of_its_request() {
    let mut files = reader();
    let machine = Machine::with(&[7], &[("a", 7)]);
    open(&mut files, &json!({"a": false}), &machine);
    let notification = json!({"sessionId": "a", "notification_type": "permission_prompt",
        "message": "Run command: touch a"});
    let requested = |id: &str| {
        json!({"type": "permission.requested", "data": {"requestId": id,
            "permissionRequest": {"kind": "shell", "fullCommandText": "touch a"}}})
    };
    let completed = |id: &str| json!({"type": "permission.completed", "data": {"requestId": id, "result": {"kind": "approved"}}});
    let first = hook(&mut files, 7, 1100, "notification", &notification);
    assert!(
        matches!(&first.kind, EventKind::Turn(TurnEvent::Asked { .. })),
        "{first:?}"
    );
    // The log names it, and a second one: the first event's is among them.
    let named = line(&mut files, "a", &requested("r1"));
    assert!(
        matches!(&named[0].2, EventKind::Turn(TurnEvent::Asked { id: Some(id), waiting_for: WaitingFor::Permission, .. })
            if &**id == "r1"),
        "{named:?}"
    );
    assert_eq!(named[1].2, answered(events::UNNAMED_REQUEST));
    assert_eq!(line(&mut files, "a", &requested("r2")).len(), 1);
    // A notification that is later than its line says nothing.
    let late = hook(&mut files, 7, 1150, "notification", &notification);
    assert_eq!(late.kind, EventKind::Noted);
    for id in ["r1", "r2"] {
        let said = line(&mut files, "a", &completed(id));
        assert_eq!(said, [("a".to_owned(), 7, answered(id))]);
    }
    let later_still = hook(&mut files, 7, 2100, "notification", &notification);
    assert_eq!(later_still.kind, EventKind::Noted);
    // One whose request was allowed meanwhile, in a part of the log that was not read.
    hook(&mut files, 7, 9000, "notification", &notification);
    let said = line(&mut files, "a", &completed("r3"));
    assert_eq!(
        said,
        [("a".to_owned(), 7, answered(events::UNNAMED_REQUEST))]
    );
}

#[test]
fn interrupts_and_errors_are_read_from_the_log() {
    let mut files = reader();
    let machine = Machine::with(&[7], &[("a", 7)]);
    open(&mut files, &json!({"a": false}), &machine);
    let abort = json!({"type": "abort", "data": {"reason": "user_abort"}});
    let interrupted = EventKind::Turn(TurnEvent::Interrupted);
    assert_eq!(
        line(&mut files, "a", &abort),
        [("a".to_owned(), 7, interrupted)]
    );
    let error = json!({"type": "session.error", "data": {"errorType": "query", "statusCode": 500, "message": "x"}});
    let failed = EventKind::Turn(TurnEvent::Failed {
        error: "the service failed".into(),
    });
    assert_eq!(line(&mut files, "a", &error), [("a".to_owned(), 7, failed)]);
    // The hook of the last attempt is later: nothing is tried again before the next prompt.
    let attempt = json!({"sessionId": "a", "error": {"message": "500"}});
    let attempted = |files: &mut Files| hook(files, 7, 2100, "errorOccurred", &attempt).kind;
    assert_eq!(attempted(&mut files), EventKind::Noted);
    hook(
        &mut files,
        7,
        2200,
        "userPromptSubmitted",
        &json!({"sessionId": "a", "prompt": "again"}),
    );
    assert!(matches!(
        attempted(&mut files),
        EventKind::Turn(TurnEvent::Retrying { .. })
    ));
    // Neither another session's, nor one that is not followed, nor what is no line.
    assert_eq!(line(&mut files, "b", &abort), []);
    assert_eq!(line(&mut files, "a", &json!(["abort"])), []);
    assert_eq!(
        line(&mut files, "a", &json!({"type": "assistant.message"})),
        []
    );
}

#[test]
fn lines_of_a_log_that_is_written_again_say_nothing_new() {
    let mut files = reader();
    let machine = Machine::with(&[7], &[("a", 7)]);
    open(&mut files, &json!({"a": false}), &machine);
    let mut aborts_at = |stamp: u64, at: u64| {
        let line = json!({"type": "abort", "timestamp": stamp, "data": {}}).to_string();
        let path = Path::new(HOME).join("session-state/a/events.jsonl");
        let change = FileChange::Line(&path, line.as_bytes());
        said(files.read(change, at, &Machine::default())).len()
    };
    let now = 1_790_000_000_000;
    assert_eq!(aborts_at(now, now + 50), 1);
    assert_eq!(aborts_at(now - 60_000, now + 50), 0);
    // Lines of one batch, out of order; and a clock that was wrong for a moment.
    assert_eq!(aborts_at(now - 1000, now + 50), 1);
    assert_eq!(aborts_at(now + 86_400_000, now + 50), 1);
    assert_eq!(aborts_at(now + 1000, now + 1050), 1);
    // It was set back.
    assert_eq!(aborts_at(now - 3_600_000, now - 3_600_000), 1);
}

#[test]
fn only_a_persons_compaction_ends_the_work() {
    let mut files = reader();
    let machine = Machine::with(&[7], &[("a", 7)]);
    open(&mut files, &json!({"a": false}), &machine);
    let complete = json!({"type": "session.compaction_complete", "data": {"success": true}});
    let mut compact = |trigger: &str| {
        let payload = json!({"sessionId": "a", "trigger": trigger});
        hook(&mut files, 7, 1100, "preCompact", &payload);
        line(&mut files, "a", &complete)
    };
    assert_eq!(compact("auto"), []);
    let compacted = EventKind::Turn(TurnEvent::Compacted);
    assert_eq!(compact("manual"), [("a".to_owned(), 7, compacted)]);
}

#[test]
fn a_session_without_a_terminal_is_followed_from_its_first_hook_to_its_end() {
    let mut files = reader();
    let start = json!({"sessionId": "a", "source": "new"});
    let started = hook(&mut files, 7, 1100, "sessionStart", &start);
    assert_eq!(started.kind, EventKind::SessionStarted);
    let error = json!({"type": "session.error", "data": {}});
    assert_eq!(line(&mut files, "a", &error).len(), 1);
    let end = json!({"sessionId": "a", "reason": "error"});
    let ended = hook(&mut files, 7, 1200, "sessionEnd", &end);
    assert!(
        matches!(ended.kind, EventKind::SessionEnded { .. }),
        "{ended:?}"
    );
    assert_eq!(line(&mut files, "a", &error), []);
}

#[test]
fn the_title_and_the_model_are_noted() {
    let mut files = reader();
    let machine = Machine::with(&[7], &[("a", 7)]);
    open(&mut files, &json!({"a": false}), &machine);
    let path = Path::new(HOME).join("session-state/a/workspace.yaml");
    let requests = files.read(
        FileChange::Contents(&path, b"id: a\nname: my name\n"),
        1,
        &machine,
    );
    let [FileRequest::Report(report)] = &requests[..] else {
        panic!("{requests:?}");
    };
    let event = report.event.as_ref().unwrap();
    assert_eq!(event.title.as_deref(), Some("my name"));
    assert_eq!(event.kind, EventKind::Noted);
    let path = path.with_file_name("events.jsonl");
    let used = br#"{"type":"session.usage_record","data":{"usage":{"model":"gpt-5","inputTokens":64000,"maxPromptTokens":128000}}}"#;
    let requests = files.read(FileChange::Line(&path, used), 1, &machine);
    let [FileRequest::Report(report)] = &requests[..] else {
        panic!("{requests:?}");
    };
    let event = report.event.as_ref().unwrap();
    assert_eq!(event.model.as_deref(), Some("gpt-5"));
    assert_eq!(event.context_percent, Some(50.0));
}
