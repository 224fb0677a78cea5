//! Files of an agent that are no files, never end, or are another user's.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use super::Usage;
use crate::support::{Bystanders, Place, Sleeper, until};

#[test]
fn odd_files_in_a_registry_are_passed_over() {
    let place = Place::new();
    let registry = place.path().join("home/.claude/sessions");
    fs::create_dir_all(&registry).unwrap();
    let file = |name: &str| registry.join(name);
    let fifo = std::process::Command::new("mkfifo")
        .arg(file("11.json"))
        .status();
    assert!(fifo.unwrap().success());
    fs::create_dir(file("12.json")).unwrap();
    for (name, target) in [
        ("13.json", "/dev/zero"),
        ("14.json", "14.json"),
        ("15.json", "/dev/tty"),
        ("16.json", "/etc/shadow"),
        ("17.json", "/proc/self/mem"),
    ] {
        symlink(target, file(name)).unwrap();
    }
    fs::write(file("18.json"), "x".repeat(200_000)).unwrap();
    fs::write(file("19.json"), b"\xff\xfe").unwrap();
    for name in [
        "0.json",
        "-1.json",
        "99999999999999999999.json",
        ".json",
        "a.json",
    ] {
        fs::write(file(name), "{}").unwrap();
    }
    let mut agent = Sleeper::start();
    let entry = json!({
        "pid": agent.pid(), "sessionId": "after-all-of-them", "cwd": "/work", "status": "busy",
        "startedAt": agent_console::os::clock::unix_ms(),
        "updatedAt": agent_console::os::clock::unix_ms(), "statusUpdatedAt": agent_console::os::clock::unix_ms(),
    });

    let daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);
    bystanders.are_served();
    drop(bystanders);
    let usage = Usage::of(&daemon);
    fs::write(file(&format!("{}.json", agent.pid())), entry.to_string()).unwrap();
    until("the agent's session", || {
        let list = place.json(&["list", "--json"]);
        list.as_array()?
            .iter()
            .any(|session| session["session_id"] == "after-all-of-them")
            .then_some(())
    });
    fs::remove_dir_all(&registry).unwrap();
    agent.kill();
    until("the session to be closed", || {
        let list = place.json(&["list", "--json"]);
        (list.as_array()?.len() == 1).then_some(())
    });
    // What watched the registry watches for it to come back.
    assert!(daemon.descriptors() <= usage.descriptors + 2);
    Bystanders::at(&place).are_served();
}

#[test]
fn configuration_directories_that_hooks_name_are_bounded() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);
    bystanders.are_served();
    let usage = Usage::of(&daemon);
    let mut wire = place.connect();
    let odd = [
        "/",
        "/proc",
        "/dev",
        "/proc/self",
        "/sys",
        "/nonexistent/a/b",
        "relative",
        "",
    ];
    let many = (0..500).map(|number| format!("/nonexistent/{number}"));
    for directory in odd.into_iter().map(str::to_owned).chain(many) {
        let params = json!({
            "agent": "claude-code", "at": 1, "config_dir": directory,
            "event": {"hook_event_name": "SessionStart", "session_id": "s"},
        });
        let answer = wire.ask("session.report", params);
        assert!(answer["result"].is_object(), "{answer}");
    }
    drop(wire);
    let status = place.json(&["status", "--json"]);
    assert_eq!(status["origin"], "self-bound");
    // One for each directory that is watched: the daemon takes 32 from hooks.
    let more = daemon.descriptors().saturating_sub(usage.descriptors);
    assert!(more <= 34, "{more} descriptors more");
    bystanders.are_served();
    let grown = daemon.memory().saturating_sub(usage.memory);
    assert!(grown < super::KEPT, "{grown} KiB more");
}

#[test]
fn a_configuration_without_end_is_refused() {
    let place = Place::new();
    place.configure("");
    let daemon = place.daemon();
    let mut bystanders = Bystanders::at(&place);
    bystanders.are_served();
    let usage = Usage::of(&daemon);
    fs::remove_file(place.config_file()).unwrap();
    symlink("/dev/zero", place.config_file()).unwrap();
    let check = place.run(&["config", "check"]);
    let said = String::from_utf8_lossy(&check.stderr);
    assert_eq!(check.status.code(), Some(1), "{said}");
    assert!(said.contains("too large"), "{said}");
    let mut wire = place.connect();
    let answer = wire.ask("daemon.reload", json!({}));
    assert_eq!(answer["error"]["code"], -32006, "{answer}");
    let grown = daemon.memory().saturating_sub(usage.memory);
    assert!(grown < super::KEPT + 1024, "{grown} KiB more");
}
