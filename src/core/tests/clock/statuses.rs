//! No status stands still after the clock was set.

use serde_json::json;

use super::super::registry::{entry, update};
use super::super::rules::{ask, end, prompt, start, stop};
use super::super::{CLAUDE, CoreHarness, EPOCH, KEY};
use super::{PERMISSION, STEPS};
use crate::core::Input;
use crate::event::{RegistryEntry, RegistryStatus};

#[test]
fn a_session_of_the_registry_alone_goes_on() {
    for steps in STEPS {
        let mut core = CoreHarness::new();
        core.registered(RegistryStatus::Busy);
        core.pass(60_000);
        assert_eq!(core.shown(KEY), "working");
        for by in steps {
            core.set_clock(*by);
            core.pass(400);
            core.registered(RegistryStatus::Idle);
            core.pass(400);
            assert_eq!(core.shown(KEY), "idle!", "{steps:?}");
            core.registered(PERMISSION);
            assert_eq!(
                core.shown(KEY),
                "waiting/permission!: permission",
                "{steps:?}"
            );
            assert_eq!(core.get(KEY).since, core.now.unix_ms);
            core.pass(400);
            core.registered(RegistryStatus::Busy);
            core.pass(400);
            assert_eq!(core.shown(KEY), "working", "{steps:?}");
        }
        core.hook(&prompt("p1", "hi"));
        core.pass(400);
        core.hook(&stop("p1", &json!([])));
        core.registered(RegistryStatus::Idle);
        assert_eq!(core.shown(KEY), "idle!", "{steps:?}");
    }
}

#[test]
fn hooks_and_registry_go_on() {
    for steps in STEPS {
        let mut core = CoreHarness::new();
        core.hook(&start("startup"));
        core.pass(1000);
        for by in steps {
            core.hook(&prompt("p1", "hi"));
            core.pass(60);
            core.registered(RegistryStatus::Busy);
            core.pass(1000);
            core.set_clock(*by);
            // A dialog that the registry alone shows, and Esc.
            core.registered(PERMISSION);
            assert_eq!(
                core.shown(KEY),
                "waiting/permission!: permission",
                "{steps:?}"
            );
            core.pass(1200);
            core.registered(RegistryStatus::Idle);
            core.pass(400);
            assert_eq!(core.shown(KEY), "idle", "{steps:?}");
            // A permission that a hook reports, and "No".
            core.hook(&prompt("p2", "again"));
            core.pass(60);
            core.registered(RegistryStatus::Busy);
            core.hook(&ask("p2", "ls"));
            assert_eq!(core.shown(KEY), "waiting/permission!: permission: Bash ls");
            core.pass(60);
            core.registered(PERMISSION);
            core.set_clock(-by);
            core.pass(1000);
            core.registered(RegistryStatus::Idle);
            assert_eq!(core.shown(KEY), "idle", "{steps:?}");
            core.set_clock(*by);
            core.pass(1000);
        }
    }
}

#[test]
fn an_end_is_one_whatever_the_clock_shows() {
    for steps in STEPS {
        let mut core = CoreHarness::new();
        core.registered(RegistryStatus::Idle);
        core.pass(1000);
        core.take(Input::ProcessExited(CLAUDE));
        core.set_clock(steps[0]);
        core.pass(100);
        // The entry's removal, which the exit has overtaken.
        core.sees(update(None));
        let reason = core.get(KEY).end_reason.unwrap();
        assert_eq!(reason.as_str(), "exited", "{steps:?}");
        // An entry from before the end does not reopen it; a hook's new start does.
        core.sees(update(Some(entry(RegistryStatus::Busy, EPOCH))));
        assert_eq!(core.shown(KEY), "closed", "{steps:?}");
        core.hook(&start("resume"));
        assert_eq!(core.shown(KEY), "idle", "{steps:?}");
        core.hook(&end("prompt_input_exit"));
        assert_eq!(core.shown(KEY), "closed", "{steps:?}");
    }
}

/// What an entry says of conversation and title counts, whatever the clock shows.
#[test]
fn a_conversation_is_named_whatever_the_clock_shows() {
    for steps in STEPS {
        let mut core = CoreHarness::new();
        core.hook(&start("startup"));
        for (number, by) in steps.iter().enumerate() {
            core.set_clock(*by);
            core.pass(1000);
            let at = core.now.unix_ms;
            core.sees(update(Some(RegistryEntry {
                session_id: Some(format!("id-{number}").into()),
                title: Some(format!("title {number}").into()),
                ..entry(RegistryStatus::Idle, at)
            })));
            let session = core.get(KEY);
            assert_eq!(session.session_id, Some(format!("id-{number}").into()));
            assert_eq!(session.title, Some(format!("title {number}").into()));
        }
    }
}
