//! Sessions: which entries open, rename and close one.

use super::*;
use crate::protocol::EndReason;

#[test]
fn a_session_without_hooks_is_shown_from_its_registry_entry() {
    let core = follow(vec![
        (Registry(Idle), "idle"),
        (Registry(Busy), "idle"),
        (Nothing(150), "working"),
        (Registry(PERMISSION), "waiting/permission!: permission"),
        (Registry(Busy), "working"),
        (Registry(Idle), "working"),
        (Nothing(150), "idle!"),
        (Removed, "idle!"),
        (Exit, "closed"),
    ]);
    let session = core.get(KEY);
    assert_eq!(
        session.end_reason.as_ref().map(EndReason::as_str),
        Some("exited")
    );
    assert_eq!(session.terminal.unwrap().tty.as_deref(), Some("/dev/pts/3"));
    assert_eq!(
        (session.cwd.as_deref(), session.started_at),
        (Some("/src"), EPOCH)
    );
}

#[test]
fn the_entry_of_a_killed_agent_opens_no_session() {
    let mut core = CoreHarness::new();
    let dead = RegistryUpdate {
        alive: false,
        ..update(Some(entry(Busy, EPOCH)))
    };
    core.sees(dead.clone());
    let elsewhere = ReportedProcess {
        namespace: Some(7),
        ..process()
    };
    core.sees(RegistryUpdate {
        process: elsewhere,
        ..dead.clone()
    });
    assert_eq!(core.core.sessions.iter().count(), 0);

    let core = follow_from(core, true, vec![(Registry(Busy), "idle"), (Exit, "closed")]);
    let mut core = follow_from(core, true, vec![(Registry(Idle), "closed")]);
    assert_eq!(
        core.get(KEY).end_reason.as_ref().map(EndReason::as_str),
        Some("crashed")
    );
    core.sees(dead);
    assert_eq!(core.shown(KEY), "closed");
}

/// The exit was reported before the earlier removal of the file.
#[test]
fn a_removal_reported_after_the_exit_counts() {
    let core = follow(vec![
        (Registry(Idle), "idle"),
        (Exit, "closed"),
        (Removed, "closed"),
    ]);
    assert_eq!(
        core.get(KEY).end_reason.as_ref().map(EndReason::as_str),
        Some("exited")
    );
    // The file is removed days later.
    let core = follow(vec![
        (Registry(Idle), "idle"),
        (Exit, "closed"),
        (Nothing(60_000), "closed"),
        (Removed, "closed"),
    ]);
    assert_eq!(
        core.get(KEY).end_reason.as_ref().map(EndReason::as_str),
        Some("crashed")
    );
}

#[test]
fn a_session_that_is_found_at_work_was_never_idle() {
    let mut core = CoreHarness::new();
    let began = Some(EPOCH - 120_000);
    let entry = RegistryEntry {
        started_at: began,
        ..entry(Busy, EPOCH - 60_000)
    };
    core.sees(update(Some(entry)));
    let session = core.get(KEY);
    let history: Vec<_> = session.history.iter().map(|t| t.status.as_str()).collect();
    assert_eq!(history, ["working"]);
    assert_eq!(session.since, EPOCH - 60_000);
}

/// With `--continue` the entry shows, for a moment, an id that never appears again.
#[test]
fn an_entry_without_a_status_opens_no_session() {
    let mut core = CoreHarness::new();
    let begun = RegistryEntry {
        session_id: Some("thrown away".into()),
        status: None,
        ..entry(Idle, EPOCH)
    };
    core.sees(update(Some(begun)));
    assert_eq!(core.core.sessions.iter().count(), 0);
    core.sees(update(Some(entry(Idle, EPOCH))));
    let session = core.get(KEY);
    assert_eq!(session.session_id.as_deref(), Some("one"));
    assert!(session.previous_session_ids.is_empty());
}

#[test]
fn another_id_in_the_entry_is_another_conversation_in_the_same_session() {
    let mut core = follow(vec![
        (Hook(prompt("p1", "fix it")), "working"),
        (Hook(stop("p1", &json!([]))), "idle!"),
        (Registry(Idle), "idle!"),
    ]);
    let other = |at| RegistryEntry {
        session_id: Some("two".into()),
        title: Some("a name".into()),
        ..entry(Idle, at)
    };
    // Written before the last hook was stamped: that one knows better.
    core.sees(update(Some(other(EPOCH))));
    assert_eq!(core.get(KEY).session_id.as_deref(), Some("one"));
    let now = core.now.unix_ms;
    core.sees(update(Some(other(now))));
    let session = core.get(KEY);
    assert_eq!(session.session_id.as_deref(), Some("two"));
    assert_eq!(session.previous_session_ids, ["one"]);
    assert_eq!(session.title.as_deref(), Some("a name"));
}

#[test]
fn unknown_words_are_counted_and_change_nothing() {
    let mut core = follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(RegistryStatus::Unknown), "working"),
        (Nothing(60_000), "working"),
        (Hook(event("Teleported", &json!({}))), "working"),
    ]);
    let status = core.ask("daemon.status", &json!({}));
    assert_eq!(status["unknown_events"], 2);
}

#[test]
fn the_registry_directory_of_hooks_is_watched_once() {
    let mut core = CoreHarness::new();
    let report = |namespace: u64, directory: &str| {
        json!({
            "agent": "claude-code", "at": EPOCH, "pid": CLAUDE.pid, "process_start": CLAUDE.start,
            "pid_namespace": namespace, "config_dir": directory, "event": start("startup"),
        })
    };
    let looks = |core: &mut CoreHarness, namespace, directory| {
        let effects = core.report(&report(namespace, directory));
        super::super::names(&effects).contains(&"watch a registry")
    };
    assert!(looks(&mut core, NAMESPACE, "/home/dev/.claude"));
    assert!(!looks(&mut core, NAMESPACE, "/home/dev/.claude"));
    assert!(looks(&mut core, NAMESPACE, "/srv/claude"));
    assert!(!looks(&mut core, NAMESPACE, "relative"));
    // A path in a container is another file here, or none.
    assert!(!looks(&mut core, 7, "/srv/other/.claude"));
}

/// A session that a script has made knows its agent's times from the first entry on.
#[test]
fn a_flash_of_the_registry_does_not_count_in_a_session_that_a_script_has_made() {
    let mut core = CoreHarness::new();
    let params = json!({"session": KEY, "status": "idle"});
    core.ask("session.set", &params);
    follow_from(
        core,
        true,
        vec![
            (Registry(Idle), "idle"),
            (Registry(Busy), "idle"),
            (Nothing(130), "idle"),
            (Nothing(20), "working"),
        ],
    );
}
