//! A person has looked at a session: what that ends, and what it does not.

use serde_json::{Value, json};

use super::registry::{entry, update};
use super::rules::{ask, prompt, stop};
use super::*;
use crate::event::RegistryStatus;

impl CoreHarness {
    fn looks_at(&mut self, session: &str) -> Value {
        self.wait(1000)
            .ask("session.seen", &json!({"session": session}))
    }
}

#[test]
fn a_turn_that_has_ended_needs_no_person_any_more() {
    let mut core = CoreHarness::new();
    core.hook(&prompt("p1", "a"));
    core.wait(1000).hook(&stop("p1", &json!([])));
    assert_eq!(core.shown(KEY), "idle!");
    let since = core.get(KEY).since;
    let answer = core.looks_at(KEY);
    assert_eq!(answer["session"]["attention"], false, "{answer}");
    assert_eq!(core.shown(KEY), "idle");
    assert_eq!(core.get(KEY).since, since);
    let explained = core.ask("session.explain", &json!({"session": KEY}));
    let last = explained["steps"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["what"], &last["kind"]),
        (&json!("seen"), &json!("report"))
    );

    // Again: nothing is new. The registry says the same as before.
    let evidence = core.get(KEY).evidence.len();
    core.looks_at(KEY);
    assert_eq!(core.get(KEY).evidence.len(), evidence);
    let at = core.now.unix_ms;
    core.sees(update(Some(entry(RegistryStatus::Idle, at))));
    assert_eq!(core.shown(KEY), "idle");

    // The next one does.
    core.wait(1000).hook(&prompt("p2", "b"));
    core.wait(1000).hook(&stop("p2", &json!([])));
    assert_eq!(core.shown(KEY), "idle!");
}

#[test]
fn what_waits_for_an_answer_or_has_failed_still_needs_one() {
    let mut core = CoreHarness::new();
    core.hook(&prompt("p1", "a"));
    core.looks_at(KEY);
    assert_eq!(core.shown(KEY), "working");
    core.hook(&ask("p1", "ls"));
    let shown = core.shown(KEY);
    assert!(shown.starts_with("waiting/permission!"), "{shown}");
    core.looks_at(KEY);
    assert_eq!(core.shown(KEY), shown);
    for status in ["waiting", "error"] {
        core.wait(10)
            .ask("session.set", &json!({"session": "job", "status": status}));
        core.looks_at("job");
        assert!(core.get("job").attention, "{status}");
    }
}

#[test]
fn a_scripts_session_is_looked_at_and_one_that_is_not_there_is_an_error() {
    let mut core = CoreHarness::new();
    for status in ["working", "idle"] {
        core.wait(10)
            .ask("session.set", &json!({"session": "job", "status": status}));
    }
    assert_eq!(core.shown("job"), "idle!");
    core.looks_at("job");
    assert_eq!(core.shown("job"), "idle");
    assert_eq!(core.looks_at("other")["code"], -32001);
}
