//! The child that the daemon starts: what it is given, and what it gives away.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::json;

use super::{Fixture, SECRET, TOKEN, credentials, limits, refusal};
use crate::support::{Sleeper, until};
use crate::usage_server::Answer;
use crate::usage_server::trust::TestCa;

/// The processes whose parent this is, the unreaped among them.
pub(super) fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name();
        name.to_str()?.parse::<u32>().ok()
    });
    let is_child = |pid: &u32| {
        // It may have ended since.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        rest.split_whitespace().nth(1) == Some(&parent.to_string())
    };
    processes.filter(is_child).collect()
}

/// What each of a process's descriptors leads to.
fn descriptors(pid: u32) -> BTreeMap<u32, String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let found = entries.filter_map(|entry| {
        let path = entry.unwrap().path();
        let number = path.file_name()?.to_str()?.parse().ok()?;
        // It may have been closed since.
        let target = fs::read_link(path).ok()?;
        Some((number, target.to_str()?.to_owned()))
    });
    found.collect()
}

#[test]
fn a_child_has_its_arguments_and_three_descriptors() {
    let fixture = Fixture::with(TestCa::Trusted, Answer::HeldBack);
    // With all that a daemon may have open: a log, agents to watch, clients.
    let daemon = fixture.daemon();
    let agent = Sleeper::start();
    let pid = agent.pid().to_string();
    fixture
        .place
        .ok(&["report", "job", "working", "--pid", &pid]);
    let mut dashboard = fixture.dashboard();
    fixture.service.wait_until_asked(1);
    let [child] = children(daemon.pid())[..] else {
        panic!("{:?}", children(daemon.pid()));
    };

    let arguments = fs::read(format!("/proc/{child}/cmdline")).unwrap();
    assert_eq!(arguments, b"agent-console\0usage\0--fetch\0");

    let theirs = descriptors(daemon.pid());
    assert!(theirs.len() > 6, "{theirs:?}");
    let mut own = descriptors(child);
    assert_eq!(own.remove(&0).unwrap(), "/dev/null");
    let output = own.remove(&1).unwrap();
    assert!(output.starts_with("pipe:"), "{output}");
    assert!(
        theirs.values().any(|target| *target == output),
        "{theirs:?}"
    );
    assert_eq!(own.remove(&2).unwrap(), "/dev/null");
    // Descriptors that the test runner left open are inherited by every process.
    let ours = descriptors(std::process::id());
    own.retain(|number, target| ours.get(number) != Some(target));
    // The rest is what HTTP takes: its own connection, and what its threads wait on.
    for (number, target) in &own {
        let is_anonymous = ["anon_inode:[eventpoll]", "anon_inode:[eventfd]"].contains(&&**target);
        let is_own = target.starts_with("socket:") && !theirs.values().any(|other| other == target);
        assert!(is_anonymous || is_own, "{number} is {target}; {theirs:?}");
    }
    fixture.service.answer(limits());
    assert_eq!(dashboard.notified("usage.changed")["usage"]["state"], "ok");
}

#[test]
fn a_killed_child_reports_nothing() {
    let fixture = Fixture::with(TestCa::Trusted, Answer::HeldBack);
    let daemon = fixture.daemon();
    let mut dashboard = fixture.dashboard();
    fixture.service.wait_until_asked(1);
    let child = children(daemon.pid())[0].to_string();
    let killed = Command::new("kill").args(["-9", &child]).status();
    assert!(killed.unwrap().success());
    let pushed = dashboard.notified("usage.changed");
    let usage = &pushed["usage"];
    assert_eq!(
        (&usage["state"], &usage["code"]),
        (&json!("unavailable"), &json!("fetch_failed"))
    );
    let message = usage["message"].as_str().unwrap();
    assert!(message.contains("ended by signal 9"), "{message}");
    assert_eq!(children(daemon.pid()), Vec::<u32>::new());
}

#[test]
fn a_daemon_whose_program_was_replaced_fetches_with_its_own_file() {
    let fixture = Fixture::new();
    let program = fixture.place.path().join("installed");
    fs::hard_link(fixture.program.path(), &program).unwrap();
    let _daemon = fixture
        .place
        .start(fixture.command_of(&program, &["daemon"]));

    fs::remove_file(&program).unwrap();
    fs::write(&program, "#!/bin/sh\necho another version\n").unwrap();
    let pushed = fixture.dashboard().notified("usage.changed");
    assert_eq!(pushed["usage"]["state"], "ok", "{pushed}");
    assert_eq!(fixture.times_asked(), 1);
}

#[test]
fn the_token_is_in_no_log_and_in_no_message() {
    let torn = credentials(TOKEN).replace('}', "");
    for (credentials, answer, state) in [
        (credentials(TOKEN), limits(), "ok"),
        (
            credentials(TOKEN),
            refusal("401 Unauthorized", ""),
            "unauthorized",
        ),
        (torn, limits(), "unauthorized"),
    ] {
        let fixture = Fixture::with(TestCa::Trusted, answer);
        fixture
            .place
            .configure("log = \"trace\"\n[usage]\nenabled = true\n");
        fixture.has_credentials(".claude", &credentials);
        let mut daemon = fixture.daemon();
        let mut dashboard = fixture.place.connect();
        let mut request = |method: &str| {
            let line = json!({"jsonrpc": "2.0", "id": method, "method": method});
            dashboard.send(format!("{line}\n").as_bytes());
        };
        request("subscribe");
        let usage = until("the fetch", || {
            Some(fixture.usage()).filter(|usage| !usage.is_null())
        });
        assert_eq!(usage["state"], state, "{usage}");
        for method in [
            "hello",
            "session.list",
            "usage.get",
            "usage.refresh",
            "daemon.status",
        ] {
            request(method);
        }
        fixture.place.ok(&["stop"]);
        assert_eq!(daemon.wait(), Some(0));

        let sent = dashboard.rest();
        for part in [
            "usage.changed",
            "usage.refresh",
            "daemon.status",
            "daemon.stopping",
        ] {
            assert!(sent.contains(part), "{part} in {sent}");
        }
        assert!(!sent.contains(SECRET), "{sent}");
        let log = daemon.log();
        assert!(log.contains("asks the account's service"), "{log}");
        assert!(!log.contains(SECRET), "{log}");
        assert!(!log.contains("five_hour"), "{log}");
    }
}
