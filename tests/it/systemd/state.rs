//! What the service knows outlives it under a real manager: a restart, an upgrade, a kill, an idle exit.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use super::machine::{Machine, SERVICE, beside_a_manager};
use super::signal;
use crate::reexec::this_test;
use crate::support::{Sleeper, until};

/// Every session, with what `explain` says of it.
fn known(machine: &Machine) -> Vec<(Value, Value)> {
    let listed = machine.json(&["list", "--all", "--json"]);
    let mut records = listed.as_array().unwrap().clone();
    records.sort_by_key(|record| record["key"].to_string());
    let explained = records.into_iter().map(|record| {
        let key = record["key"].as_str().unwrap();
        let explained = machine.json(&["explain", key, "--json"]);
        (record, explained["steps"].clone())
    });
    explained.collect()
}

#[test]
fn a_restart_an_upgrade_a_kill_and_an_idle_exit_lose_nothing() {
    beside_a_manager(this_test!(), |machine| {
        let agent = Sleeper::start();
        machine.enable();
        for event in [
            json!({"hook_event_name": "SessionStart", "source": "startup", "model": "opus"}),
            json!({"hook_event_name": "UserPromptSubmit", "prompt": "fix the build"}),
            json!({"hook_event_name": "StopFailure", "error": "rate_limit"}),
        ] {
            let mut event = event;
            event["session_id"] = "failed".into();
            event["cwd"] = "/src".into();
            machine.hook(agent.pid(), &event);
        }
        for [session, status] in [
            ["nightly", "waiting"],
            ["done", "working"],
            ["done", "closed"],
        ] {
            let reported = machine.program(&["report", session, status, "--reason", "why"]);
            assert!(reported.status.success(), "{reported:?}");
        }
        let before = known(machine);
        assert_eq!(before.len(), 3, "{before:?}");
        let main_pid = || machine.property(SERVICE, "MainPID");

        machine.systemctl(&["restart", SERVICE]);
        assert_eq!(known(machine), before, "after a restart");

        // As a package manager or `cargo install` does it: another file takes the name.
        let program = machine.home(".cargo/bin/agent-consoled");
        let inode = || fs::metadata(&program).unwrap().ino();
        let (new, inode_before) = (program.with_extension("new"), inode());
        fs::copy(&program, &new).unwrap();
        fs::rename(&new, &program).unwrap();
        assert_ne!(inode(), inode_before);
        machine.systemctl(&["try-restart", SERVICE]);
        assert_eq!(known(machine), before, "after an upgrade");

        let killed = main_pid();
        signal("KILL", &killed);
        until("another daemon", || (main_pid() != killed).then_some(()));
        assert_eq!(known(machine), before, "after a kill");

        machine.systemctl(&["stop", SERVICE]);
        assert_eq!(known(machine), before, "after a stop");
    });
}

#[test]
fn what_needs_no_person_outlives_an_idle_exit() {
    beside_a_manager(this_test!(), |machine| {
        machine.configure("idle_timeout = \"100ms\"");
        machine.enable();
        for status in ["idle", "working", "closed"] {
            let reported = machine.program(&["report", "nightly", status, "--title", "a title"]);
            assert!(reported.status.success(), "{reported:?}");
        }
        let before = known(machine);
        machine.wait_until_inactive();
        assert_eq!(known(machine), before);
    });
}
