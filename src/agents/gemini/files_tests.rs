//! What the reader makes of transcripts, in the order in which Gemini CLI 0.61.0 was seen to write them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::files::{FileChange, FileReader, FileRequest, LinesFrom, RunningProcess, System};
use super::files::Files;
use super::{AGENT, interpret};
use crate::event::{
    EventKind, KnownSession, ProcessRole, Report, ReportedProcess, Source, TurnEvent,
};
use crate::os::process::{ProcessId, ProcessInfo};
use crate::protocol::Status;

const HOME: &str = "/home/dev/.gemini";
const CHATS: &str = "/home/dev/.gemini/tmp/p/chats";
const NAMESPACE: u64 = 1;

/// 2026-09-21T14:13:20Z.
const NOW: u64 = 1_790_000_000_000;

/// The processes of a machine: pid, parent, working directory.
#[derive(Default)]
struct Machine(Vec<(u32, u32, &'static str)>);

fn info(pid: u32, parent: u32) -> ProcessInfo {
    ProcessInfo {
        id: ProcessId {
            pid,
            start: u64::from(pid) * 10,
        },
        parent,
        tty: None,
        stopped: false,
        zombie: false,
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
        let mut running = self.0.iter();
        let found = running.find(|(running, ..)| *running == pid)?;
        Some(info(pid, found.1))
    }

    fn is_older(&self, _path: &Path, _process: ProcessId) -> bool {
        false
    }

    fn processes_of(&self, program: fn(&[String], &[String]) -> bool) -> Vec<RunningProcess> {
        let arguments = ["node", "/usr/bin/gemini"].map(str::to_owned);
        assert!(program(&["node".to_owned()], &arguments));
        let running = self.0.iter().map(|(pid, parent, cwd)| RunningProcess {
            info: info(*pid, *parent),
            arguments: arguments.to_vec(),
            cwd: Some(cwd.into()),
        });
        running.collect()
    }

    fn names(&self, _directory: &Path) -> Vec<Box<OsStr>> {
        Vec::new()
    }
}

fn file(id: &str) -> PathBuf {
    Path::new(CHATS).join(format!("session-{id}.jsonl"))
}

/// A hook of this process names the transcript of a conversation; the files that are followed then.
fn hook(files: &mut Files, pid: u32, id: &str, path: &Path) -> Vec<PathBuf> {
    let payload =
        json!({"hook_event_name": "SessionStart", "session_id": id, "transcript_path": path});
    let mut report = Report {
        agent: AGENT.name.into(),
        at: NOW,
        process: Some(ReportedProcess {
            pid,
            start: Some(u64::from(pid) * 10),
            namespace: Some(NAMESPACE),
        }),
        attended: Some(true),
        terminal: None,
        config_dir: Some(HOME.into()),
        account: None,
        timing: AGENT.timing,
        source: Source::Hook,
        role: ProcessRole::Own,
        event: interpret(&payload.to_string(), NOW),
    };
    let requests = files.reported(&mut report, &Machine::default());
    let followed = requests.into_iter().map(|request| match request {
        FileRequest::Lines { path, .. } => path,
        other => panic!("{other:?}"),
    });
    followed.collect()
}

/// What a line makes the core hear of.
fn reports(files: &mut Files, id: &str, line: &str, at: u64, machine: &Machine) -> Vec<Report> {
    let requests = files.read(FileChange::Line(&file(id), line.as_bytes()), at, machine);
    let reports = requests.into_iter().map(|request| match request {
        FileRequest::Report(report) => *report,
        other => panic!("{other:?}"),
    });
    reports.collect()
}

fn kinds(files: &mut Files, line: &str, at: u64) -> Vec<EventKind> {
    let reports = reports(files, "a", line, at, &Machine::default());
    let kind = |report: Report| report.event.unwrap().kind;
    reports.into_iter().map(kind).collect()
}

fn followed() -> Files {
    let mut files = Files::default();
    assert_eq!(hook(&mut files, 7, "a", &file("a")), [file("a")]);
    files
}

fn cancelled(id: u32, time: &str) -> String {
    json!({"id": id.to_string(), "timestamp": format!("2026-09-21T{time}Z"), "type": "info",
        "content": "Request cancelled."})
    .to_string()
}

const INTERRUPTED: EventKind = EventKind::Turn(TurnEvent::Interrupted);

#[test]
fn a_history_that_is_written_again_says_nothing_new() {
    let mut files = followed();
    let first = cancelled(1, "14:13:24.000");
    assert_eq!(kinds(&mut files, &first, NOW + 4050), [INTERRUPTED]);
    assert_eq!(kinds(&mut files, &first, NOW + 4100), []);
    // Another one of the same moment.
    let second = cancelled(2, "14:13:24.000");
    assert_eq!(kinds(&mut files, &second, NOW + 4100), [INTERRUPTED]);
    // From before the conversation was resumed.
    let old = cancelled(3, "09:00:00.000");
    assert_eq!(kinds(&mut files, &old, NOW + 5000), []);
}

#[test]
fn a_stamp_of_the_future_hides_no_later_line() {
    let mut files = followed();
    let future = cancelled(1, "23:59:59.000");
    assert_eq!(kinds(&mut files, &future, NOW + 4050), [INTERRUPTED]);
    let next = cancelled(2, "14:13:25.000");
    assert_eq!(kinds(&mut files, &next, NOW + 5050), [INTERRUPTED]);
}

#[test]
fn an_answer_says_its_model_and_how_full_the_context_is() {
    let mut files = followed();
    let line = r#"{"type":"gemini","content":"secret","tokens":{"input":104857.6},"model":"gemini-2.5-flash"}"#;
    let mut reports = reports(&mut files, "a", line, NOW, &Machine::default());
    let event = reports.remove(0).event.unwrap();
    assert_eq!(event.kind, EventKind::Noted);
    assert_eq!(event.model.as_deref(), Some("gemini-2.5-flash"));
    assert!((event.context_percent.unwrap() - 10.0).abs() < 0.01);
    assert!(!format!("{event:?}").contains("secret"));
}

#[test]
fn an_error_is_named_without_its_text() {
    let line = r#"{"type":"error","content":"[API Error: {\"error\":{\"code\":401,\"message\":\"secret\"}}]"}"#;
    let failed = EventKind::Turn(TurnEvent::Failed {
        error: "authentication failed".into(),
    });
    assert_eq!(kinds(&mut followed(), line, NOW), [failed]);
}

#[test]
fn only_a_file_of_the_agent_is_followed() {
    for path in [
        "/home/dev/.gemini/tmp/../../.ssh/a.jsonl",
        "/etc/passwd",
        "/home/dev/.gemini/settings.json",
    ] {
        let mut files = Files::default();
        assert_eq!(
            hook(&mut files, 7, "a", Path::new(path)),
            [""; 0].map(PathBuf::from)
        );
    }
}

#[test]
fn what_is_no_line_of_a_transcript_is_ignored() {
    for line in [
        "",
        "{",
        "[]",
        "null",
        "{}",
        r#"{"type":["messages"]}"#,
        "\u{0}",
    ] {
        assert_eq!(kinds(&mut followed(), line, NOW), [], "{line:?}");
    }
}

/// `/resume` inside a session, and `gemini --resume` beside one, write the same line.
#[test]
fn a_conversation_is_taken_up_by_the_only_process_in_its_directory() {
    // The process has a launcher, and one works elsewhere.
    let alone = [(6, 1, "/p"), (7, 6, "/p"), (9, 1, "/q")];
    let beside = [(6, 1, "/p"), (7, 6, "/p"), (8, 1, "/p")];
    let hidden = [(7, 1, "/p"), (8, 1, "/p")];
    for (running, expected) in [
        (&alone[..], Some(7)),
        (&beside, None),
        (&hidden, None),
        (&[], None),
    ] {
        let machine = Machine(running.to_vec());
        let mut files = followed();
        // Of a process that has ended.
        hook(&mut files, 3, "b", &file("b"));
        let line = r#"{"$set":{"sessionId":"b"}}"#;
        let found = reports(&mut files, "b", line, NOW + 100, &machine);
        let pids: Vec<_> = found.iter().map(|it| it.process.unwrap().pid).collect();
        assert_eq!(pids, Vec::from_iter(expected), "{running:?}");
        let is_seen = |it: &Report| it.event.as_ref().unwrap().kind == EventKind::SessionSeen;
        assert!(found.iter().all(is_seen));
    }
}

/// A reader that was given a session whose transcript is known until 14:13:30.
fn restored(transcript: &Path) -> (Files, Vec<FileRequest>) {
    let session = KnownSession {
        agent: AGENT.name,
        id: "a",
        process: Some(ReportedProcess {
            pid: 7,
            start: Some(70),
            namespace: Some(NAMESPACE),
        }),
        client: None,
        terminal: None,
        attended: true,
        config_dir: Some(HOME),
        transcript: transcript.to_str(),
        title: None,
        status: Status::Working,
        waiting_for: None,
        requests: Vec::new(),
        own_status: None,
        hook_at: Some(NOW),
        known_until: NOW + 10_000,
    };
    let mut files = Files::default();
    let requests = files.restored(&[&session], NOW + 11_000, &Machine::default());
    (files, requests)
}

/// What a line is reported as that was there already, read a second after the last that is known.
fn earlier(files: &mut Files, line: &str) -> Vec<Report> {
    let path = file("a");
    let change = FileChange::EarlierLine(&path, line.as_bytes());
    let requests = files.read(change, NOW + 11_000, &Machine::default());
    let reports = requests.into_iter().map(|request| match request {
        FileRequest::Report(report) => *report,
        other => panic!("{other:?}"),
    });
    reports.collect()
}

#[test]
fn what_was_written_while_no_daemon_ran_is_reported_once() {
    let (mut files, requests) = restored(&file("a"));
    assert!(
        matches!(&*requests, [FileRequest::Lines { path, from: LinesFrom::Tail }] if *path == file("a")),
        "{requests:?}"
    );
    let error = r#"{"type":"error","id":"0","content":"x"}"#;
    let known = cancelled(1, "14:13:29.500");
    let last = cancelled(2, "14:13:30.000");
    let answer =
        r#"{"type":"gemini","timestamp":"2026-09-21T14:13:28.000Z","model":"gemini-2.5-flash"}"#;
    let taken_up = r#"{"$set":{"sessionId":"a"}}"#;
    for known in [error, &known, &last, answer, taken_up, "{"] {
        assert!(earlier(&mut files, known).is_empty(), "{known}");
    }
    let new = cancelled(3, "14:13:30.001");
    let reports = earlier(&mut files, &new);
    let [report] = &*reports else {
        panic!("{reports:?}");
    };
    assert_eq!(report.event.as_ref().unwrap().kind, INTERRUPTED);
    assert_eq!(report.at, NOW + 10_001);
    assert_eq!(report.process.unwrap().pid, 7);
    // The agent writes the whole history again: some of it is as new as the clock may be wrong.
    for known in [&known, &last, &new] {
        assert_eq!(kinds(&mut files, known, NOW + 11_500), [], "{known}");
    }
    let next = cancelled(4, "14:13:31.200");
    assert_eq!(kinds(&mut files, &next, NOW + 11_500), [INTERRUPTED]);
    // A hook names the same file, which is followed already.
    assert_eq!(
        hook(&mut files, 7, "a", &file("a")),
        [""; 0].map(PathBuf::from)
    );
}

#[test]
fn only_a_file_of_the_agent_is_followed_again() {
    let (_, requests) = restored(Path::new("/etc/passwd.jsonl"));
    assert!(requests.is_empty(), "{requests:?}");
}
