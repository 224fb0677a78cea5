//! The configuration of a daemon that a manager runs: read again, refused, mended.

use std::path::Path;

use serde_json::json;

use super::machine::{SERVICE, SOCKET_PATH, beside_a_manager};
use crate::reexec::this_test;
use crate::support::{Sleeper, Wire, until};

#[test]
fn a_reload_takes_what_is_right_and_refuses_what_is_wrong() {
    beside_a_manager(this_test!(), |machine| {
        machine.configure("idle_timeout = \"1h\"\n");
        machine.enable();
        let mut dashboard = machine.dashboard();
        let status = || machine.json(&["status", "--json"]);
        let pid = status()["pid"].clone();
        assert_eq!(status()["idle_timeout_ms"], 3_600_000);

        machine.configure("idle_timeout = \"30min\"\nlog = \"debug\"\n");
        machine.systemctl(&["reload", SERVICE]);
        let loaded = dashboard.notified("daemon.notice");
        assert_eq!(loaded["code"], "config_loaded");
        assert_eq!(status()["idle_timeout_ms"], 1_800_000);
        assert!(!machine.json(&["list", "--json"]).is_null());
        until("debug lines", || {
            let entries = machine.journal(&["--priority=7..7"]);
            (!entries.is_empty()).then_some(())
        });

        machine.configure("log = \"info\"\nidle_timeout = 5\n");
        machine.systemctl(&["reload", SERVICE]);
        let refused = dashboard.notified("daemon.notice");
        assert_eq!(refused["code"], "config_refused");
        let place = format!("{}:2:16: ", machine.config_file().display());
        let told = refused["message"].as_str().unwrap();
        assert!(told.contains(&place), "{place} not in {told}");
        assert_eq!(status()["idle_timeout_ms"], 1_800_000);
        assert_eq!(status()["pid"], pid);
        assert_eq!(machine.property(SERVICE, "ActiveState"), "active");
        let warning = until("the warning", || {
            machine.journal(&["--priority=4..4"]).into_iter().next()
        });
        assert!(
            warning["MESSAGE"].as_str().unwrap().contains(&place),
            "{warning}"
        );
        machine.wait_until_shown("configuration was refused");
    });
}

/// A daemon that ended would be started again with each connection.
#[test]
fn a_wrong_configuration_at_the_start_is_told_and_can_be_mended() {
    beside_a_manager(this_test!(), |machine| {
        machine.configure("idle_timeout = \"1h\"\nhistory = \"many\"\n");
        machine.enable();
        // Waits in the queue, whatever becomes of the daemons.
        let mut client = Wire::connect(Path::new(SOCKET_PATH));
        client.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\"}\n");
        let place = format!("{}:2:11: history", machine.config_file().display());
        let entry = until("the complaint", || {
            let entries = machine.journal(&[]);
            let mut entries = entries.into_iter();
            entries.find(|entry| {
                entry["MESSAGE"]
                    .as_str()
                    .is_some_and(|line| line.contains(&place))
            })
        });
        eprintln!("a wrong configuration: {}", entry["MESSAGE"]);
        let pid = machine.property(SERVICE, "MainPID");
        // A hook does not wait, and what it reports is not lost.
        let agent = Sleeper::start();
        let event =
            json!({"session_id": "x", "hook_event_name": "UserPromptSubmit", "prompt": "x"});
        machine.hook(agent.pid(), &event);
        for _ in 0..10 {
            let list = machine.program(&["list"]);
            assert_eq!(list.status.code(), Some(1), "{list:?}");
            let said = String::from_utf8(list.stderr).unwrap();
            assert!(said.contains(&place), "{said}");
        }
        // A reload, which is what a person tries next, ends nothing.
        machine.systemctl(&["reload", SERVICE]);
        assert_eq!(machine.property(SERVICE, "MainPID"), pid);
        assert_eq!(machine.property(SERVICE, "ActiveState"), "active");
        let shown = machine.property(SERVICE, "StatusText");
        assert!(shown.contains(&place), "{shown}");
        let lines = machine.journal(&[]).len();
        assert!(lines < 8, "{lines} lines in the journal");

        machine.configure("");
        assert_eq!(client.next().unwrap()["result"]["pid"].to_string(), pid);
        let sessions = machine.json(&["list", "--json"]);
        assert_eq!(sessions[0]["status"], "working", "{sessions}");
    });
}
