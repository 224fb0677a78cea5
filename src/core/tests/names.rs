//! What a name stands for: for the requests that show a session, and for `session.set`, which may make one.

use serde_json::{Value, json};

use super::{CLAUDE, CoreHarness, Input, KEY};
use crate::protocol::Status;

const ID: &str = "01967f3a-5d1c-7000-8000-000000000001";

fn event(name: &str) -> Value {
    json!({"hook_event_name": name, "session_id": "one", "source": "startup", "prompt_id": "p"})
}

fn set(session: &str, status: &str) -> Value {
    json!({"session": session, "status": status})
}

/// A session of an agent whose processes are not known.
fn conversation(core: &mut CoreHarness, agent: &str, id: &str) {
    let event = json!({"hook_event_name": "UserPromptSubmit", "session_id": id, "prompt_id": "p"});
    core.wait(10);
    let at = core.now.unix_ms;
    core.report(&json!({"agent": agent, "at": at, "event": event}));
}

#[test]
fn a_name_is_a_key_an_id_or_a_prefix_in_this_order() {
    let mut core = CoreHarness::new();
    core.hook(&event("SessionStart"));
    for session in ["one-two", "one", "deploy-production-eu"] {
        core.wait(10).ask("session.set", &set(session, "working"));
    }
    let key = |answer: Value| answer["session"]["key"].as_str().map(str::to_owned);
    let mut get = |name: &str| key(core.ask("session.get", &json!({"session": name})));
    // `one` is the agent's id, which `session.set` found.
    assert_eq!(get("one").as_deref(), Some(KEY));
    assert_eq!(get("one-").as_deref(), Some("one-two"));
    assert_eq!(get("dep").as_deref(), Some("deploy-production-eu"));
    assert_eq!(get("claude-code-8").as_deref(), Some(KEY));
    let error = core.ask("session.get", &json!({"session": "o"}));
    assert_eq!(error["code"], -32002);
    assert!(
        error["message"].as_str().unwrap().contains("2 sessions"),
        "{error}"
    );
}

/// A script's name that happens to begin another's is a name of its own; an agent's session is corrected by a prefix.
#[test]
fn a_script_does_not_take_over_another_scripts_session() {
    let mut core = CoreHarness::new();
    core.hook(&event("SessionStart"));
    core.wait(10)
        .ask("session.set", &set("deploy-production-eu", "working"));
    core.wait(10)
        .ask("session.set", &set("deploy-production", "idle"));
    assert_eq!(core.status("deploy-production-eu"), Status::Working);
    assert_eq!(core.status("deploy-production"), Status::Idle);
    core.wait(10)
        .ask("session.set", &set("claude-code-855", "error"));
    assert_eq!(core.status(KEY), Status::Error);
    // Too short to be meant as a prefix.
    core.wait(10).ask("session.set", &set("claude", "working"));
    assert_eq!(core.status("claude"), Status::Working);
}

/// The key of a session begins with its agent's name, which a script may have too, or the beginning of it.
#[test]
fn a_script_with_the_name_of_an_agent_has_a_session_of_its_own() {
    for sessions in 0..3 {
        for name in ["claude-code", "claude-code-", "claude-c"] {
            let mut core = CoreHarness::new();
            for number in 0..sessions {
                conversation(&mut core, "claude-code", &format!("{number}"));
            }
            let before = core.core.sessions.iter().count();
            let answer = core.wait(10).ask("session.set", &set(name, "error"));
            assert_eq!(answer["session"]["key"], name, "{answer}");
            assert_eq!(answer["session"]["agent"], "script");
            assert_eq!(core.core.sessions.iter().count(), before + 1);
            let failed = core.core.sessions.iter();
            let failed = failed.filter(|session| session.status().0 == Status::Error);
            assert_eq!(failed.count(), 1, "{name}, {sessions} sessions");
        }
    }
}

/// A session that a script has made is a script's, whatever its key begins with.
#[test]
fn a_prefix_of_a_key_goes_beyond_the_agents_name() {
    let mut core = CoreHarness::new();
    core.ask("session.set", &set(KEY, "working"));
    core.wait(10).hook(&event("UserPromptSubmit"));
    assert_eq!(core.get(KEY).agent, "script");
    let answer = core
        .wait(10)
        .ask("session.set", &set("claude-code", "idle"));
    assert_eq!(answer["session"]["key"], "claude-code");
    assert_eq!(core.status(KEY), Status::Working);
}

#[test]
fn a_prefix_never_sets_a_closed_session() {
    let mut core = CoreHarness::new();
    core.hook(&event("SessionStart"));
    core.wait(10).take(Input::ProcessExited(CLAUDE));
    let answer = core
        .wait(10)
        .ask("session.set", &set("claude-code-855", "working"));
    assert_eq!(answer["session"]["key"], "claude-code-855");
    assert_eq!(core.status(KEY), Status::Closed);
    // Its whole id does: who writes that means it.
    let answer = core.wait(10).ask("session.set", &set("one", "working"));
    assert_eq!(answer["session"]["key"], KEY);
    assert_eq!(core.status(KEY), Status::Working);
}

#[test]
fn a_prefix_of_an_id_sets_the_only_open_session_that_has_it() {
    let mut core = CoreHarness::new();
    conversation(&mut core, "claude-code", ID);
    let other = ID.replace("0001", "0002");
    conversation(&mut core, "codex", &other);
    let prefix = &ID[..8];
    let error = core.wait(10).ask("session.set", &set(prefix, "working"));
    assert_eq!(error["code"], -32002, "{error}");
    core.wait(10).ask("session.set", &set(&other, "closed"));
    let answer = core.wait(10).ask("session.set", &set(prefix, "error"));
    assert_eq!(answer["session"]["session_id"], ID);
    // Shorter than 8 characters, it is a name.
    let answer = core.wait(10).ask("session.set", &set(&ID[..7], "idle"));
    assert_eq!(answer["session"]["key"], &ID[..7]);
    for method in ["session.get", "session.explain", "session.remove"] {
        let answer = core.ask(method, &json!({"session": &ID[..9]}));
        assert_eq!(answer.get("code"), None, "{method}: {answer}");
    }
}

#[test]
fn a_session_is_found_by_its_former_ids_until_it_is_removed() {
    let mut core = CoreHarness::new();
    for id in ["first-id", "second-id", "third-id"] {
        let start = json!({"hook_event_name": "SessionStart", "session_id": id, "source": "clear"});
        core.wait(10).hook(&start);
    }
    for id in ["first-id", "second-id", "third-id", KEY] {
        let answer = core.wait(10).ask("session.set", &set(id, "working"));
        assert_eq!(answer["session"]["key"], KEY, "{id}");
    }
    core.ask("session.remove", &json!({"session": "third-id"}));
    let answer = core.ask("session.set", &set("first-id", "working"));
    assert_eq!(answer["session"]["key"], "first-id");
}
