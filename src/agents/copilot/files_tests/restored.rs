//! The same after a restart of the daemon.

use super::*;
use crate::agents::files::LinesFrom;
use crate::event::KnownSession;
use crate::protocol::Status;

/// 2026-09-21T14:13:20Z: when an earlier daemon ended.
const ENDED: u64 = 1_790_000_000_000;
const RESTARTED: u64 = ENDED + 60_000;

/// A session at work.
fn known() -> KnownSession<'static> {
    KnownSession {
        agent: "copilot",
        id: "a",
        process: Some(process(7)),
        client: None,
        terminal: None,
        attended: true,
        config_dir: Some(HOME),
        transcript: None,
        title: Some("my name"),
        status: Status::Working,
        waiting_for: None,
        requests: Vec::new(),
        own_status: Some(RegistryStatus::Busy),
        hook_at: Some(ENDED - 1000),
        known_until: ENDED,
    }
}

fn restored(session: &KnownSession<'_>) -> (Files, Vec<FileRequest>) {
    let mut files = Files::default();
    let requests = files.restored(&[session], RESTARTED, &Machine::default());
    files.open(Path::new(HOME));
    (files, requests)
}

/// What a line is reported as that was in the log already, and when that happened.
fn earlier(files: &mut Files, stamp: u64, kind: &str, data: &Value) -> Vec<(u64, EventKind)> {
    let path = Path::new(HOME).join("session-state/a/events.jsonl");
    let line = json!({"type": kind, "timestamp": stamp, "data": data}).to_string();
    let change = FileChange::EarlierLine(&path, line.as_bytes());
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
    let (mut files, requests) = restored(&known());
    let log = Path::new(HOME).join("session-state/a/events.jsonl");
    assert!(
        matches!(&requests[..], [FileRequest::Lines { path, from: LinesFrom::Tail }, FileRequest::Whole(_)]
            if *path == log),
        "{requests:?}"
    );
    let nothing = json!({});
    for (stamp, kind) in [
        (ENDED - 3_600_000, "session.error"),
        (ENDED - 10, "abort"),
        (ENDED, "abort"),
    ] {
        assert_eq!(earlier(&mut files, stamp, kind, &nothing), [], "{stamp}");
    }
    let at = ENDED + 1;
    assert_eq!(
        earlier(&mut files, at, "abort", &nothing),
        [(at, INTERRUPTED)]
    );
    let abort = json!({"type": "abort", "data": {}});
    assert_eq!(
        line(&mut files, "a", &abort),
        [("a".to_owned(), 7, INTERRUPTED)]
    );
}

#[test]
fn a_line_without_a_stamp_may_be_of_any_time() {
    let (mut files, _) = restored(&known());
    let path = Path::new(HOME).join("session-state/a/events.jsonl");
    let change = FileChange::EarlierLine(&path, br#"{"type":"abort","data":{}}"#);
    assert!(
        files
            .read(change, RESTARTED, &Machine::default())
            .is_empty()
    );
}

#[test]
fn a_dialog_that_was_open_is_answered() {
    for (requests, id) in [(vec!["r1"], "r1"), (vec![events::UNNAMED_REQUEST], "?")] {
        let session = KnownSession {
            status: Status::Waiting,
            waiting_for: Some(WaitingFor::Permission),
            requests: requests.clone(),
            ..known()
        };
        let (mut files, _) = restored(&session);
        let data = json!({"requestId": id});
        let at = ENDED + 700;
        let said = earlier(&mut files, at, "permission.completed", &data);
        assert_eq!(said, [(at, answered(requests[0]))]);
    }
}

/// Its line is stamped before the hook of its notification, and was not read before the daemon ended.
#[test]
fn a_dialog_whose_line_was_not_read_is_named_after_its_hook() {
    let session = KnownSession {
        status: Status::Waiting,
        waiting_for: Some(WaitingFor::Permission),
        requests: vec![events::UNNAMED_REQUEST],
        hook_at: Some(ENDED + 50),
        ..known()
    };
    let (mut files, _) = restored(&session);
    let data = json!({"requestId": "r1", "permissionRequest": {"kind": "shell"}});
    let said = earlier(&mut files, ENDED + 10, "permission.requested", &data);
    let [(asked_at, asked), (answered_at, unnamed)] = &said[..] else {
        panic!("{said:?}");
    };
    assert!(
        matches!(asked, EventKind::Turn(TurnEvent::Asked { id: Some(id), .. }) if **id == *"r1"),
        "{said:?}"
    );
    assert_eq!(*unnamed, answered(events::UNNAMED_REQUEST));
    assert_eq!([*asked_at, *answered_at], [ENDED + 50; 2]);
}

#[test]
fn the_list_of_open_sessions_says_only_what_has_changed_meanwhile() {
    let machine = Machine::with(&[7], &[("a", 7)]);
    // As before.
    let (mut files, _) = restored(&known());
    assert_eq!(said(open(&mut files, &json!({"a": true}), &machine)), []);
    let rests = said(open(&mut files, &json!({"a": false}), &machine));
    assert_eq!(rests, [("a".to_owned(), 7, status(RegistryStatus::Idle))]);
    // It rests by now.
    let (mut files, _) = restored(&known());
    let rests = said(open(&mut files, &json!({"a": false}), &machine));
    assert_eq!(rests, [("a".to_owned(), 7, status(RegistryStatus::Idle))]);
    // Another process has it.
    let (mut files, _) = restored(&known());
    let machine = Machine::with(&[7, 8], &[("a", 8)]);
    let found = said(open(&mut files, &json!({"a": true}), &machine));
    assert_eq!(found[0], ("a".to_owned(), 8, EventKind::SessionSeen));
    // The process shows another one, and this one is no longer open.
    let (mut files, _) = restored(&known());
    let machine = Machine::with(&[7], &[("b", 7)]);
    let found = said(open(&mut files, &json!({"b": false}), &machine));
    assert_eq!(found, [("b".to_owned(), 7, EventKind::SessionSeen)]);
    let abort = json!({"type": "abort", "data": {}});
    assert_eq!(line(&mut files, "a", &abort), []);
}

#[test]
fn a_title_is_new_if_it_is_another_one() {
    for (title, expected) in [("my name", 0), ("another", 1)] {
        let (mut files, _) = restored(&known());
        let path = Path::new(HOME).join("session-state/a/workspace.yaml");
        let text = format!("id: a\nname: {title}\n");
        let change = FileChange::Contents(&path, text.as_bytes());
        let requests = files.read(change, RESTARTED, &Machine::default());
        assert_eq!(requests.len(), expected, "{title}");
    }
}

#[test]
fn what_names_no_file_is_not_followed() {
    for session in [
        KnownSession {
            config_dir: None,
            ..known()
        },
        KnownSession {
            id: "../../b",
            ..known()
        },
    ] {
        assert!(restored(&session).1.is_empty());
    }
}
