//! What an entry claims, compared with the process that runs this test.

use super::*;
use crate::event::RegistryEntry;
use crate::os::clock;

fn own() -> ProcessInfo {
    process::inspect(std::process::id()).unwrap()
}

/// An entry of this process without a claim but its id, and when its session started.
fn entry(started_at: u64) -> Registered {
    Registered {
        process: ReportedProcess {
            pid: std::process::id(),
            start: None,
            namespace: process::namespace(),
        },
        start: StartClaim::Absent,
        machine: None,
        entry: RegistryEntry {
            session_id: None,
            cwd: None,
            title: None,
            attended: None,
            started_at: Some(started_at),
            updated_at: started_at,
            status: None,
            status_at: started_at,
        },
    }
}

fn refusal(registered: &Registered) -> Option<Refusal> {
    confirm(registered).err()
}

#[test]
fn an_entry_that_claims_nothing_wrong_is_of_its_process() {
    let now = clock::unix_ms();
    let (process, found) = confirm(&entry(now)).unwrap();
    assert_eq!(process.start, Some(own().id.start));
    assert_eq!(found, Some(own()));
    let machine = machine::id().map(Into::into);
    let started = process::started_at(own().id);
    for start in [
        StartClaim::Kernel(own().id.start),
        StartClaim::Second(started / 1000),
    ] {
        let claims = Registered {
            start,
            machine: machine.clone(),
            // A clock that was set since: the start time is proof enough.
            ..entry(1)
        };
        assert_eq!(refusal(&claims), None);
    }
}

#[test]
fn an_entry_that_is_older_than_its_process_is_of_another() {
    let started = process::started_at(own().id);
    assert!(started <= clock::unix_ms());
    assert_eq!(refusal(&entry(started)), None);
    let mut older = entry(started - 60_000);
    assert_eq!(refusal(&older), Some(Refusal::OlderThanProcess));
    // Written since: by a clock that was wrong, or by the earlier process before the clock was set.
    older.entry.updated_at = clock::unix_ms();
    older.entry.status_at = clock::unix_ms();
    assert_eq!(refusal(&older), Some(Refusal::OlderThanProcess));
}

#[test]
fn an_entry_that_says_no_start_is_of_no_process() {
    let mut entry = entry(clock::unix_ms());
    entry.entry.started_at = None;
    assert_eq!(refusal(&entry), Some(Refusal::NoStart));
    entry.start = StartClaim::Kernel(own().id.start);
    assert_eq!(refusal(&entry), None);
}

#[test]
fn a_start_that_differs_or_cannot_be_read_is_refused() {
    let started = process::started_at(own().id);
    for (start, expected) in [
        (StartClaim::Kernel(own().id.start + 1), Refusal::OtherStart),
        (StartClaim::Second(started / 1000 - 60), Refusal::OtherStart),
        (StartClaim::Unreadable, Refusal::UnreadableStart),
    ] {
        let claims = Registered {
            start,
            ..entry(clock::unix_ms())
        };
        assert_eq!(refusal(&claims), Some(expected));
    }
}

#[test]
fn an_entry_of_another_machine_is_refused() {
    let claims = Registered {
        machine: Some("00000000000000000000000000000000".into()),
        ..entry(clock::unix_ms())
    };
    assert_eq!(refusal(&claims), Some(Refusal::OtherMachine));
}

#[test]
fn a_process_of_another_namespace_is_not_looked_up() {
    let mut elsewhere = entry(1);
    elsewhere.process.namespace = Some(1);
    let (process, found) = confirm(&elsewhere).unwrap();
    assert_eq!((process.start, found), (None, None));
}
