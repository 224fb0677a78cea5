//! Which session an event belongs to, its order in time, and what is kept of prompts.

use super::*;

#[test]
fn clear_keeps_the_key_and_the_former_id() {
    let mut cleared = start("clear");
    cleared["session_id"] = "two".into();
    let mut resumed = start("resume");
    resumed["session_id"] = "one".into();
    let mut core = follow(&[
        (start("startup"), "idle"),
        (prompt("p1", "fix it"), "working"),
        (stop("p1", &json!([])), "idle!"),
        (end("clear"), "idle"),
        (cleared, "idle"),
    ]);
    let session = core.get(KEY);
    assert_eq!(session.session_id.as_deref(), Some("two"));
    assert_eq!(session.previous_session_ids, ["one"]);
    assert_eq!(session.title, None);
    assert_eq!(session.ended_at, None);

    // Back to the first conversation: it is not a former one any more.
    let mut over = end("resume");
    over["session_id"] = "two".into();
    play(&mut core, true, &[(over, "idle"), (resumed, "idle")]);
    let session = core.get(KEY);
    assert_eq!(session.session_id.as_deref(), Some("one"));
    assert_eq!(session.previous_session_ids, ["two"]);
    assert_eq!(core.core.sessions.iter().count(), 1);
}

#[test]
fn the_last_few_former_ids_are_kept_and_find_the_session() {
    let mut core = CoreHarness::new();
    for number in 0..30 {
        let mut payload = start("clear");
        payload["session_id"] = format!("conversation-{number}").into();
        core.wait(10).hook(&payload);
    }
    let former = core.get(KEY).previous_session_ids.len();
    assert_eq!(former, 8);
    let found = core.ask("session.get", &json!({"session": "conversation-28"}));
    assert_eq!(found["session"]["key"], KEY);
    let gone = core.ask("session.get", &json!({"session": "conversation-20"}));
    assert_eq!(gone["code"], -32001);
}

#[test]
fn a_resumed_conversation_in_a_new_process_is_another_session() {
    let mut core = follow(&[(start("startup"), "idle"), (end("other"), "closed")]);
    let at = core.wait(10).now.unix_ms;
    core.report(&json!({
        "agent": "claude-code", "at": at, "pid": 900, "process_start": 400_000,
        "pid_namespace": super::super::NAMESPACE, "event": start("resume"),
    }));
    assert_eq!(core.shown("claude-code-900-400000"), "idle");
    // The id names the one that is open.
    let found = core.ask("session.get", &json!({"session": "one"}));
    assert_eq!(found["session"]["key"], "claude-code-900-400000");
}

#[test]
fn a_session_begins_with_an_event_that_shows_it_is_alive() {
    for payload in [
        event("InstructionsLoaded", &json!({})),
        event("SubagentStop", &json!({"agent_id": "x"})),
        start("compact"),
        end("other"),
        event("NewIn2027", &json!({})),
    ] {
        let mut core = CoreHarness::new();
        core.hook(&payload);
        assert_eq!(core.core.sessions.iter().count(), 0, "{payload}");
    }
    for payload in [
        start("startup"),
        prompt("p", "a"),
        tool("p", "a"),
        stop("p", &json!([])),
        notice("idle_prompt"),
    ] {
        let mut core = CoreHarness::new();
        core.hook(&payload);
        assert_eq!(core.core.sessions.iter().count(), 1, "{payload}");
    }
}

#[test]
fn a_late_event_never_undoes_a_newer_one() {
    let mut core = follow(&[
        (start("startup"), "idle"),
        (prompt("p1", "a"), "working"),
        (stop("p1", &json!([])), "idle!"),
    ]);
    let before = core.get(KEY);
    let before = serde_json::to_value(&before).unwrap();
    let late = core.now.unix_ms - 1;
    assert!(core.hook_at(late, true, &tool("p1", "make")).is_empty());
    assert!(core.hook_at(late - 5, true, &ask("p1", "make")).is_empty());
    assert_eq!(serde_json::to_value(core.get(KEY)).unwrap(), before);
    // Of one millisecond, the one that came later is the later one.
    let same = core.now.unix_ms;
    core.hook_at(same, true, &prompt("p2", "b"));
    assert_eq!(core.shown(KEY), "working");
}

/// What changes a session is published; what comes too late to change anything changes nothing.
#[test]
fn a_prompt_that_comes_too_late_is_not_the_title() {
    let mut core = CoreHarness::new();
    core.ask("subscribe", &json!({}));
    let now = core.wait(60_000).now.unix_ms;
    let tool_end = event(
        "PostToolUse",
        &json!({"prompt_id": "p1", "tool_name": "Bash"}),
    );
    for (age, payload) in [
        (5000, start("startup")),
        (3000, tool("p1", "a")),
        (0, tool_end),
    ] {
        assert!(!core.hook_at(now - age, true, &payload).is_empty());
    }
    assert!(
        core.hook_at(now - 4000, true, &prompt("p1", "late"))
            .is_empty()
    );
    assert_eq!(core.get(KEY).title, None);
    // One that is only overtaken is.
    assert!(
        !core
            .hook_at(now - 1000, true, &prompt("p1", "overtaken"))
            .is_empty()
    );
    assert_eq!(core.get(KEY).title.as_deref(), Some("overtaken"));
}

#[test]
fn a_stamp_in_the_future_counts_as_now() {
    let mut core = CoreHarness::new();
    let future = core.now.unix_ms + 60 * MINUTE;
    core.hook_at(future, true, &prompt("p1", "a"));
    assert_eq!(core.get(KEY).since, core.now.unix_ms);
    core.wait(10).hook(&stop("p1", &json!([])));
    assert_eq!(core.shown(KEY), "idle!");
}

/// A clock that is set back must not make every event of the next hour look late.
#[test]
fn events_count_after_the_clock_was_set_back() {
    let mut core = follow(&[(start("startup"), "idle")]);
    core.now.unix_ms -= 60 * MINUTE;
    core.wait(10).hook(&prompt("p1", "a"));
    assert_eq!(core.shown(KEY), "working");
    core.wait(10).hook(&stop("p1", &json!([])));
    assert_eq!(core.shown(KEY), "idle!");
    assert_eq!(core.get(KEY).since, core.now.unix_ms);
}

#[test]
fn prompts_are_not_kept_where_the_configuration_forbids_it() {
    let mut core = CoreHarness::with(super::super::Settings {
        record_prompts: false,
        ..settings()
    });
    let mut branched = start("fork");
    branched["session_title"] = "sesame (Branch)".into();
    for payload in [
        start("startup"),
        prompt("p1", "open sesame"),
        stop("p1", &json!([])),
        branched,
    ] {
        core.wait(10).hook(&payload);
        let record = serde_json::to_string(&core.get(KEY)).unwrap();
        assert!(!record.contains("sesame"), "{record}");
    }
}

#[test]
fn kept_prompts_are_removed_when_the_configuration_forbids_them() {
    let mut core = CoreHarness::new();
    core.ask("subscribe", &json!({}));
    core.wait(10).hook(&prompt("p1", "open sesame"));
    core.ask(
        "session.set",
        &json!({"session": "mine", "status": "idle", "title": "my own"}),
    );
    let effects = core.take(super::super::Input::Reloaded(Ok((
        super::super::Settings {
            record_prompts: false,
            ..settings()
        },
        None,
    ))));
    assert_eq!(
        super::super::names(&effects).first(),
        Some(&"broadcast"),
        "{effects:?}"
    );
    assert_eq!(core.get(KEY).title, None);
    assert_eq!(core.get("mine").title.as_deref(), Some("my own"));
}

#[test]
fn only_a_new_start_reopens_a_session_that_its_agent_ended() {
    follow(&[
        (prompt("p1", "a"), "working"),
        (end("prompt_input_exit"), "closed"),
        (stop("p1", &json!([])), "closed"),
        (tool("p1", "make"), "closed"),
        (start("resume"), "idle"),
    ]);
}

#[test]
fn the_directory_that_a_session_began_in_stays() {
    let mut core = follow(&[(start("startup"), "idle")]);
    let mut elsewhere = prompt("p1", "a");
    elsewhere["cwd"] = "/src/below".into();
    core.hook(&elsewhere);
    let session = core.get(KEY);
    assert_eq!(session.start_cwd.as_deref(), Some("/src"));
    assert_eq!(session.cwd.as_deref(), Some("/src/below"));
}
