//! A source whose clock is wrong, and evidence from before the clock was set: which stamps count.

use serde_json::json;

use super::super::registry::{entry, update};
use super::super::rules::{prompt, stop, tool};
use super::super::{CLAUDE, CoreHarness, KEY, MINUTE, NAMESPACE, names};
use super::{HOUR, STEPS};
use crate::agents;
use crate::core::Input;
use crate::event::{
    AgentEvent, EventKind, ProcessRole, RegistryEntry, RegistryStatus, Report, ReportedProcess,
    Source, TurnEvent,
};

impl CoreHarness {
    /// An agent's file shows an event, stamped so.
    fn file_shows(&mut self, at: u64, event: TurnEvent) {
        self.take(Input::Observed(Box::new(Report {
            agent: "claude-code".into(),
            at,
            process: Some(ReportedProcess {
                pid: CLAUDE.pid,
                start: Some(CLAUDE.start),
                namespace: Some(NAMESPACE),
            }),
            attended: Some(true),
            terminal: None,
            config_dir: None,
            account: None,
            timing: agents::DEFAULT.timing,
            source: Source::File,
            role: ProcessRole::Own,
            event: Some(AgentEvent::new("line", EventKind::Turn(event))),
        })));
    }
}

#[test]
fn a_stamp_of_the_future_or_of_long_ago_counts_as_now() {
    for wrong in [HOUR, -HOUR, 240 * HOUR, -240 * HOUR] {
        let mut core = CoreHarness::new();
        // Right and wrong clocks beside each other.
        for round in 0..3 {
            let id = format!("p{round}");
            let wrong_at = |core: &CoreHarness| core.now.unix_ms.saturating_add_signed(wrong);
            let at = wrong_at(&core);
            core.hook_at(at, true, &prompt(&id, "a"));
            assert_eq!(core.shown(KEY), "working", "{wrong}");
            assert_eq!(core.get(KEY).since, core.now.unix_ms);
            core.pass(500);
            let at = wrong_at(&core);
            core.file_shows(at, TurnEvent::Interrupted);
            assert_eq!(core.shown(KEY), "idle", "{wrong}");
            core.pass(500);
            core.ask("session.set", &json!({"session": KEY, "status": "waiting"}));
            core.pass(500);
            let at = wrong_at(&core);
            core.hook_at(at, true, &prompt(&format!("q{round}"), "a"));
            assert_eq!(core.shown(KEY), "working", "{wrong}");
            core.pass(500);
            // It is stamped before what it follows, by as much as hooks may be late.
            let at = wrong_at(&core);
            core.hook_at(at, true, &stop(&format!("q{round}"), &json!([])));
            core.hook_at(at - 80, true, &tool(&format!("q{round}"), "make"));
            assert_eq!(core.shown(KEY), "idle!", "{wrong}");
            core.pass(500);
            // Its clock is set right, and wrong again.
            core.hook(&prompt(&format!("r{round}"), "a"));
            assert_eq!(core.shown(KEY), "working", "{wrong}");
            core.pass(500);
            core.hook(&stop(&format!("r{round}"), &json!([])));
            assert_eq!(core.shown(KEY), "idle!", "{wrong}");
            core.pass(2000);
        }
        let session = core.get(KEY);
        let moments = session.history.iter().map(|entry| entry.at);
        assert!(moments.is_sorted() && session.since <= core.now.unix_ms);
    }
}

#[test]
fn a_registry_of_the_future_goes_on() {
    let mut core = CoreHarness::new();
    core.ask("subscribe", &json!({}));
    let ahead = |core: &mut CoreHarness, status| {
        let at = core.now.unix_ms + HOUR.unsigned_abs();
        let update = update(Some(RegistryEntry {
            started_at: Some(at),
            ..entry(status, at)
        }));
        core.sees(update.clone());
        update
    };
    ahead(&mut core, RegistryStatus::Busy);
    core.pass(400);
    assert_eq!(core.shown(KEY), "working");
    assert!(core.get(KEY).started_at <= core.now.unix_ms);
    core.hook(&prompt("p1", "a"));
    core.pass(400);
    let last = ahead(&mut core, RegistryStatus::Idle);
    core.pass(400);
    assert_eq!(core.shown(KEY), "idle");
    // The same entry, read again, is nothing new.
    let effects = core.take(Input::RegistryChanged(Box::new(last)));
    assert!(!names(&effects).contains(&"broadcast"), "{effects:?}");
}

#[test]
fn an_entry_that_is_read_again_after_a_jump_is_nothing_new() {
    for steps in STEPS {
        let mut core = CoreHarness::new();
        core.ask("subscribe", &json!({}));
        core.pass(1000);
        let at = core.now.unix_ms;
        let update = update(Some(entry(RegistryStatus::Busy, at)));
        core.sees(update.clone());
        core.pass(MINUTE);
        core.hook(&prompt("p1", "a"));
        core.hook(&stop("p1", &json!([])));
        for by in steps {
            core.set_clock(*by);
            core.take(Input::Timeout);
            // Also when the clock shows again what it has shown before.
            for _ in 0..3 {
                let before = serde_json::to_value(core.get(KEY)).unwrap();
                let effects = core.take(Input::RegistryChanged(Box::new(update.clone())));
                assert!(
                    !names(&effects).contains(&"broadcast"),
                    "{steps:?}: {effects:?}"
                );
                assert_eq!(serde_json::to_value(core.get(KEY)).unwrap(), before);
                core.pass(31 * MINUTE);
            }
        }
    }
}

/// A hook that fired before the clock was set, and is read after it.
#[test]
fn what_was_on_its_way_takes_its_place() {
    for by in [-HOUR, HOUR, -24 * HOUR] {
        let mut core = CoreHarness::new();
        core.hook(&prompt("p1", "a"));
        core.pass(100);
        let before = core.now.unix_ms;
        core.pass(10);
        core.set_clock(by);
        core.pass(10);
        core.hook(&stop("p1", &json!([])));
        core.hook_at(before, true, &tool("p1", "make"));
        assert_eq!(core.shown(KEY), "idle!", "{by}");
        assert_eq!(core.get(KEY).since, core.now.unix_ms, "{by}");
    }
}
