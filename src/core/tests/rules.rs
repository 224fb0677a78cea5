//! The status rules, as data: what Claude Code's hooks say, and what a person is shown after each.
//!
//! Sequences as observed with Claude Code 2.1.330. Hooks only: what no hook tells (Esc, "No", the moment of "Yes") can't
//! show here; what must hold is that the next hook puts it right.

use crate::protocol::EndReason;
use serde_json::{Value, json};

use super::{CoreHarness, KEY, MINUTE, settings};

/// A payload: the event, and the fields that it has besides the common ones.
pub(super) fn event(name: &str, fields: &Value) -> Value {
    let mut payload = json!({"hook_event_name": name, "session_id": "one", "cwd": "/src"});
    for (field, value) in fields.as_object().unwrap() {
        payload[field] = value.clone();
    }
    payload
}

pub(super) fn start(source: &str) -> Value {
    event("SessionStart", &json!({"source": source}))
}

pub(super) fn prompt(id: &str, text: &str) -> Value {
    event(
        "UserPromptSubmit",
        &json!({"prompt_id": id, "prompt": text}),
    )
}

pub(super) fn tool(id: &str, command: &str) -> Value {
    event(
        "PreToolUse",
        &json!({"prompt_id": id, "tool_name": "Bash", "tool_input": {"command": command}}),
    )
}

pub(super) fn tool_named(id: &str, name: &str) -> Value {
    event("PreToolUse", &json!({"prompt_id": id, "tool_name": name}))
}

pub(super) fn ask(id: &str, command: &str) -> Value {
    event(
        "PermissionRequest",
        &json!({"prompt_id": id, "tool_name": "Bash", "tool_input": {"command": command}}),
    )
}

pub(super) fn ask_named(id: &str, name: &str) -> Value {
    event(
        "PermissionRequest",
        &json!({"prompt_id": id, "tool_name": name, "tool_input": {}}),
    )
}

pub(super) fn done(id: &str) -> Value {
    done_named(id, "Bash")
}

pub(super) fn done_named(id: &str, name: &str) -> Value {
    event("PostToolUse", &json!({"prompt_id": id, "tool_name": name}))
}

pub(super) fn batch(id: &str) -> Value {
    event("PostToolBatch", &json!({"prompt_id": id}))
}

fn text(id: &str) -> Value {
    event("MessageDisplay", &json!({"prompt_id": id}))
}

pub(super) fn stop(id: &str, tasks: &Value) -> Value {
    event("Stop", &json!({"prompt_id": id, "background_tasks": tasks}))
}

pub(super) fn failed(id: &str, error: &str) -> Value {
    event("StopFailure", &json!({"prompt_id": id, "error": error}))
}

pub(super) fn notice(kind: &str) -> Value {
    event("Notification", &json!({"notification_type": kind}))
}

pub(super) fn end(reason: &str) -> Value {
    event("SessionEnd", &json!({"reason": reason}))
}

pub(super) fn subagent(id: &str, mut payload: Value) -> Value {
    payload["agent_id"] = id.into();
    payload["agent_type"] = "general-purpose".into();
    payload
}

pub(super) fn subagent_event(name: &str, id: &str, prompt_id: &str) -> Value {
    subagent(id, event(name, &json!({"prompt_id": prompt_id})))
}

pub(super) fn running(id: &str, kind: &str) -> Value {
    json!({"id": id, "type": kind, "status": "running"})
}

/// Plays the events ten milliseconds apart; after each the session must be shown as the row says.
#[track_caller]
fn follow(rows: &[(Value, &str)]) -> CoreHarness {
    let mut core = CoreHarness::new();
    play(&mut core, true, rows);
    core
}

#[track_caller]
fn play(core: &mut CoreHarness, attended: bool, rows: &[(Value, &str)]) {
    for (number, (payload, shown)) in rows.iter().enumerate() {
        core.wait(10);
        let at = core.now.unix_ms;
        core.hook_at(at, attended, payload);
        assert_eq!(
            core.shown(KEY),
            *shown,
            "after row {number}: {}",
            payload["hook_event_name"]
        );
    }
}

#[test]
fn a_turn() {
    let core = follow(&[
        (start("startup"), "idle"),
        (prompt("p1", "fix it"), "working"),
        (tool("p1", "cargo test"), "working: Bash: cargo test"),
        (done("p1"), "working: Bash: cargo test"),
        (batch("p1"), "working: Bash: cargo test"),
        (text("p1"), "working: Bash: cargo test"),
        (stop("p1", &json!([])), "idle!"),
        (notice("idle_prompt"), "idle!"),
        (prompt("p2", "again"), "working"),
        (stop("p2", &json!([])), "idle!"),
        (end("prompt_input_exit"), "closed"),
    ]);
    let session = core.get(KEY);
    assert_eq!(
        session.end_reason.as_ref().map(EndReason::as_str),
        Some("prompt_input_exit")
    );
    assert_eq!(session.title.as_deref(), Some("fix it"));
    let history: Vec<_> = session.history.iter().map(|t| t.status.as_str()).collect();
    assert_eq!(
        history,
        ["idle", "working", "idle", "working", "idle", "closed"]
    );
}

#[test]
fn a_permission_is_asked_and_given() {
    follow(&[
        (start("startup"), "idle"),
        (prompt("p1", "a"), "working"),
        (tool("p1", "touch a"), "working: Bash: touch a"),
        (
            ask("p1", "touch a"),
            "waiting/permission!: permission: Bash touch a",
        ),
        (
            notice("permission_prompt"),
            "waiting/permission!: permission: Bash touch a",
        ),
        (done("p1"), "working: Bash: touch a"),
        // The reminder may come just after the key that answered it.
        (notice("permission_prompt"), "working: Bash: touch a"),
        (batch("p1"), "working: Bash: touch a"),
        (stop("p1", &json!([])), "idle!"),
        (notice("permission_prompt"), "idle!"),
    ]);
}

#[test]
fn two_permissions_in_one_message_are_asked_one_after_the_other() {
    follow(&[
        (prompt("p1", "a"), "working"),
        (tool("p1", "touch 1"), "working: Bash: touch 1"),
        (
            ask("p1", "touch 1"),
            "waiting/permission!: permission: Bash touch 1",
        ),
        (done("p1"), "working: Bash: touch 1"),
        (tool("p1", "touch 2"), "working: Bash: touch 2"),
        (
            ask("p1", "touch 2"),
            "waiting/permission!: permission: Bash touch 2",
        ),
        (done("p1"), "working: Bash: touch 2"),
        (batch("p1"), "working: Bash: touch 2"),
        (stop("p1", &json!([])), "idle!"),
    ]);
}

/// Nothing fires at "No" or Esc; a person who types a prompt has no dialog before them.
#[test]
fn after_a_no_the_next_prompt_is_work() {
    follow(&[
        (prompt("p1", "a"), "working"),
        (tool("p1", "rm x"), "working: Bash: rm x"),
        (
            ask("p1", "rm x"),
            "waiting/permission!: permission: Bash rm x",
        ),
        (prompt("p2", "b"), "working"),
        (tool("p2", "rm y"), "working: Bash: rm y"),
        (
            ask("p2", "rm y"),
            "waiting/permission!: permission: Bash rm y",
        ),
        (notice("idle_prompt"), "idle!"),
        (prompt("p3", "c"), "working"),
        (stop("p3", &json!([])), "idle!"),
    ]);
}

#[test]
fn in_print_mode_nobody_is_asked() {
    let mut core = CoreHarness::new();
    play(
        &mut core,
        false,
        &[
            (start("startup"), "idle"),
            (prompt("p1", "a"), "working"),
            (tool("p1", "touch a"), "working: Bash: touch a"),
            (ask("p1", "touch a"), "working: Bash: touch a"),
            (notice("permission_prompt"), "working: Bash: touch a"),
            (batch("p1"), "working: Bash: touch a"),
            (stop("p1", &json!([])), "idle!"),
            (end("other"), "closed"),
        ],
    );
}

#[test]
fn questions_and_plans_wait_for_their_own_kind_of_answer() {
    follow(&[
        (prompt("p1", "a"), "working"),
        (
            tool_named("p1", "AskUserQuestion"),
            "working: AskUserQuestion",
        ),
        (
            ask_named("p1", "AskUserQuestion"),
            "waiting/answer!: answer: AskUserQuestion",
        ),
        // The reminder calls everything a permission.
        (
            notice("permission_prompt"),
            "waiting/answer!: answer: AskUserQuestion",
        ),
        (
            done_named("p1", "AskUserQuestion"),
            "working: AskUserQuestion",
        ),
        (tool_named("p1", "ExitPlanMode"), "working: ExitPlanMode"),
        (
            ask_named("p1", "ExitPlanMode"),
            "waiting/plan!: plan: ExitPlanMode",
        ),
        (done_named("p1", "ExitPlanMode"), "working: ExitPlanMode"),
        (event("Elicitation", &json!({})), "waiting/answer!: answer"),
        (
            event("ElicitationResult", &json!({})),
            "working: ExitPlanMode",
        ),
        (stop("p1", &json!([])), "idle!"),
    ]);
}

/// In auto mode a dialog may come without a request: the reminder, six seconds later, is all that tells.
#[test]
fn a_dialog_without_a_request_is_known_by_its_reminder() {
    follow(&[
        (prompt("p1", "a"), "working"),
        (tool("p1", "curl x"), "working: Bash: curl x"),
        (
            notice("permission_prompt"),
            "waiting/permission!: permission: Bash curl x",
        ),
        (done("p1"), "working: Bash: curl x"),
        (tool_named("p1", "ExitPlanMode"), "working: ExitPlanMode"),
        (
            notice("agent_needs_input"),
            "waiting/plan!: plan: ExitPlanMode",
        ),
        (done_named("p1", "ExitPlanMode"), "working: ExitPlanMode"),
        (stop("p1", &json!([])), "idle!"),
    ]);
    // Nor is more known where the daemon has begun in the middle.
    follow(&[(
        notice("permission_prompt"),
        "waiting/permission!: permission",
    )]);
}

#[test]
fn a_subagents_dialog_without_a_request_is_known_by_its_reminder() {
    follow(&[
        (prompt("p1", "a"), "working"),
        (
            subagent_event("SubagentStart", "s1", "p1"),
            "working +1 subagent",
        ),
        (
            stop("p1", &json!([running("s1", "subagent")])),
            "working +1 subagent: 1 subagent runs",
        ),
        (
            subagent("s1", tool("p1", "curl x")),
            "working +1 subagent: Bash: curl x",
        ),
        (
            notice("permission_prompt"),
            "waiting/permission! +1 subagent: permission: Bash curl x",
        ),
        (
            subagent("s1", done("p1")),
            "working +1 subagent: Bash: curl x",
        ),
    ]);
}

#[test]
fn a_prompt_queued_while_text_streams_has_a_turn_of_its_own() {
    follow(&[
        (prompt("p1", "a"), "working"),
        (prompt("p1", "b"), "working"),
        (stop("p1", &json!([])), "working"),
        (text("p2"), "working"),
        (stop("p2", &json!([])), "idle!"),
    ]);
}

#[test]
fn a_prompt_queued_while_a_tool_runs_joins_the_turn() {
    follow(&[
        (prompt("p1", "a"), "working"),
        (tool("p1", "make"), "working: Bash: make"),
        (prompt("p1", "b"), "working"),
        (done("p1"), "working"),
        (batch("p1"), "working"),
        (stop("p1", &json!([])), "idle!"),
    ]);
}

/// Esc puts what was queued back into the composer, and nothing fires.
#[test]
fn a_prompt_queued_in_an_interrupted_turn_is_forgotten() {
    follow(&[
        (prompt("p1", "a"), "working"),
        (prompt("p1", "b"), "working"),
        (prompt("p2", "c"), "working"),
        (stop("p2", &json!([])), "idle!"),
    ]);
}

#[test]
fn text_shown_after_the_end_of_its_turn_opens_no_other() {
    follow(&[
        (prompt("p1", "a"), "working"),
        (stop("p1", &json!([])), "idle!"),
        (text("p1"), "idle!"),
        // Another hook may have refused the end: then tools follow.
        (tool("p1", "make"), "working: Bash: make"),
        (stop("p1", &json!([])), "idle!"),
        // A turn whose prompt was not seen.
        (text("p2"), "working"),
        (
            failed("p2", "overloaded"),
            "error!: the service is overloaded",
        ),
        (text("p2"), "error!: the service is overloaded"),
    ]);
}

#[test]
fn a_background_subagent_holds_the_session_at_work() {
    follow(&[
        (prompt("p1", "a"), "working"),
        (tool_named("p1", "Agent"), "working: Agent"),
        // In either order.
        (done("p1"), "working: Agent"),
        (
            subagent_event("SubagentStart", "s1", "p1"),
            "working +1 subagent: Agent",
        ),
        (batch("p1"), "working +1 subagent: Agent"),
        (
            stop("p1", &json!([running("s1", "subagent")])),
            "working +1 subagent: 1 subagent runs",
        ),
        (
            subagent("s1", tool("p1", "make")),
            "working +1 subagent: Bash: make",
        ),
        (
            subagent("s1", ask("p1", "make")),
            "waiting/permission! +1 subagent: permission: Bash make",
        ),
        (
            notice("permission_prompt"),
            "waiting/permission! +1 subagent: permission: Bash make",
        ),
        (
            subagent("s1", done("p1")),
            "working +1 subagent: Bash: make",
        ),
        (
            subagent("s1", batch("p1")),
            "working +1 subagent: Bash: make",
        ),
        (
            subagent_event("SubagentStop", "s1", "p1"),
            "working: Bash: make",
        ),
        (prompt("p2", "<task-notification>\n<task-id>s1"), "working"),
        (text("p2"), "working"),
        (stop("p2", &json!([])), "idle!"),
    ]);
}

#[test]
fn one_agents_tools_do_not_answer_for_another() {
    follow(&[
        (prompt("p1", "a"), "working"),
        (
            subagent_event("SubagentStart", "s1", "p1"),
            "working +1 subagent",
        ),
        (
            subagent("s1", ask("p1", "make")),
            "waiting/permission! +1 subagent: permission: Bash make",
        ),
        (
            done("p1"),
            "waiting/permission! +1 subagent: permission: Bash make",
        ),
        (
            batch("p1"),
            "waiting/permission! +1 subagent: permission: Bash make",
        ),
        (
            stop("p1", &json!([running("s1", "subagent")])),
            "waiting/permission! +1 subagent: permission: Bash make",
        ),
        (
            notice("idle_prompt"),
            "waiting/permission! +1 subagent: permission: Bash make",
        ),
        (
            subagent("s1", done("p1")),
            "working +1 subagent: 1 subagent runs",
        ),
        // A subagent's own failure is not the session's.
        (subagent("s1", failed("p1", "server_error")), "working"),
    ]);
}

/// The daemon may be started while a subagent works: the first that it hears is the subagent's.
#[test]
fn a_subagent_heard_of_in_the_middle_is_work() {
    follow(&[
        (
            subagent("s1", tool("p1", "make")),
            "working +1 subagent: Bash: make",
        ),
        (
            subagent("s1", done("p1")),
            "working +1 subagent: Bash: make",
        ),
        (subagent_event("SubagentStop", "s1", "p1"), "idle"),
    ]);
}

/// "No" to a subagent tells nothing either.
#[test]
fn a_prompt_says_that_no_dialog_is_open() {
    follow(&[
        (prompt("p1", "a"), "working"),
        (
            stop("p1", &json!([running("s1", "subagent")])),
            "working +1 subagent: 1 subagent runs",
        ),
        (
            subagent("s1", ask("p1", "rm x")),
            "waiting/permission! +1 subagent: permission: Bash rm x",
        ),
        // The agent's own prompts are no sign of a person.
        (
            prompt("p2", "<task-notification>"),
            "waiting/permission! +1 subagent: permission: Bash rm x",
        ),
        (prompt("p3", "b"), "working +1 subagent"),
    ]);
}

#[test]
fn background_shells_leave_it_idle_and_are_counted() {
    follow(&[
        (prompt("p1", "a"), "working"),
        (
            stop("p1", &json!([running("b1", "shell")])),
            "idle! +1 shell: 1 background shell runs",
        ),
        (prompt("p2", "<task-notification>"), "working"),
        (
            stop(
                "p2",
                &json!([{"id": "b1", "type": "shell", "status": "completed"}]),
            ),
            "idle!",
        ),
        (prompt("p3", "b"), "working"),
        (
            stop(
                "p3",
                &json!([running("b1", "shell"), running("b2", "monitor")]),
            ),
            "idle! +2 shell: 2 background shells run",
        ),
    ]);
}

#[test]
fn a_task_notification_is_not_a_person_who_looked() {
    let core = follow(&[
        (prompt("p1", "fix it"), "working"),
        (
            stop("p1", &json!([running("b1", "shell")])),
            "idle! +1 shell: 1 background shell runs",
        ),
        (prompt("p2", "<task-notification>done"), "working"),
    ]);
    assert_eq!(core.get(KEY).title.as_deref(), Some("fix it"));
}

#[test]
fn failures_are_told_in_words() {
    for (error, words) in [
        ("rate_limit", "rate limited"),
        ("overloaded", "the service is overloaded"),
        ("authentication_failed", "authentication failed"),
        ("oauth_org_not_allowed", "organisation not allowed"),
        ("billing_error", "billing error"),
        ("invalid_request", "invalid request"),
        ("model_not_found", "model not found"),
        ("server_error", "the service failed"),
        ("max_output_tokens", "output limit reached"),
        ("unknown", "the turn failed"),
        ("", "the turn failed"),
        ("new_in_2027", "new_in_2027"),
    ] {
        let shown = format!("error!: {words}");
        follow(&[
            (prompt("p1", "a"), "working"),
            (failed("p1", error), &shown),
            (notice("idle_prompt"), &shown),
            (prompt("p2", "b"), "working"),
        ]);
    }
}

#[test]
fn clear_keeps_the_key_and_remembers_the_former_id() {
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
fn the_former_ids_are_the_last_few_and_find_the_session() {
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
        "pid_namespace": super::NAMESPACE, "event": start("resume"),
    }));
    assert_eq!(core.shown("claude-code-900-400000"), "idle");
    // The id names the one that is open.
    let found = core.ask("session.get", &json!({"session": "one"}));
    assert_eq!(found["session"]["key"], "claude-code-900-400000");
}

#[test]
fn compacting_is_work_and_leaves_all_else_as_it_was() {
    let compact = |name: &str, trigger: &str, id: &str| {
        event(name, &json!({"prompt_id": id, "trigger": trigger}))
    };
    // By hand, between turns: no Stop follows.
    let core = follow(&[
        (prompt("p1", "a"), "working"),
        (stop("p1", &json!([])), "idle!"),
        (compact("PreCompact", "manual", "p2"), "working"),
        (
            event(
                "SubagentStop",
                &json!({"prompt_id": "p2", "agent_id": "x", "agent_type": ""}),
            ),
            "working",
        ),
        (start("compact"), "working"),
        (compact("PostCompact", "manual", "p2"), "idle"),
        (prompt("p3", "b"), "working"),
    ]);
    assert_eq!(core.get(KEY).session_id.as_deref(), Some("one"));
    // By itself, in the middle of one.
    follow(&[
        (prompt("p1", "a"), "working"),
        (tool("p1", "make"), "working: Bash: make"),
        (compact("PreCompact", "auto", "p1"), "working: Bash: make"),
        (start("compact"), "working: Bash: make"),
        (compact("PostCompact", "auto", "p1"), "working: Bash: make"),
        (stop("p1", &json!([])), "idle!"),
    ]);
}

#[test]
fn what_says_nothing_of_the_status_changes_none() {
    follow(&[
        (start("startup"), "idle"),
        (event("InstructionsLoaded", &json!({})), "idle"),
        (event("ConfigChange", &json!({})), "idle"),
        (notice("auth_success"), "idle"),
        (event("NewIn2027", &json!({"status": "working"})), "idle"),
        (prompt("p1", "a"), "working"),
        (
            event("CwdChanged", &json!({"old_cwd": "/", "new_cwd": "/src"})),
            "working",
        ),
        (event("TeammateIdle", &json!({})), "working"),
    ]);
}

#[test]
fn a_session_begins_with_what_shows_that_it_lives() {
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

#[test]
fn a_stamp_of_the_future_counts_as_now() {
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
fn no_word_of_a_prompt_is_kept_where_prompts_are_not_to_be() {
    let mut core = CoreHarness::with(super::Settings {
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
fn words_of_prompts_go_when_they_are_no_longer_to_be_kept() {
    let mut core = CoreHarness::new();
    core.ask("subscribe", &json!({}));
    core.wait(10).hook(&prompt("p1", "open sesame"));
    core.ask(
        "session.set",
        &json!({"session": "mine", "status": "idle", "title": "my own"}),
    );
    let effects = core.take(super::Input::Reloaded(Ok((
        super::Settings {
            record_prompts: false,
            ..settings()
        },
        None,
    ))));
    assert_eq!(
        super::names(&effects).first(),
        Some(&"broadcast"),
        "{effects:?}"
    );
    assert_eq!(core.get(KEY).title, None);
    assert_eq!(core.get("mine").title.as_deref(), Some("my own"));
}

#[test]
fn after_the_end_only_a_new_start_opens_it_again() {
    follow(&[
        (prompt("p1", "a"), "working"),
        (end("prompt_input_exit"), "closed"),
        (stop("p1", &json!([])), "closed"),
        (tool("p1", "make"), "closed"),
        (start("resume"), "idle"),
    ]);
}

/// Recorded runs of the real program, every hook at its own time. Wherever the agent then rested for a second, the
/// status is the one that its own registry had, but where no hook can know: after Esc, Ctrl-C or "No", and in a menu.
#[test]
fn recorded_runs_rest_where_the_agent_did() {
    let mut compared = 0;
    for recording in [
        include_str!("../../agents/claude_code/traces/clear.jsonl"),
        include_str!("../../agents/claude_code/traces/errors.jsonl"),
        include_str!("../../agents/claude_code/traces/kill9.jsonl"),
        include_str!("../../agents/claude_code/traces/oneshot.jsonl"),
        include_str!("../../agents/claude_code/traces/perm.jsonl"),
        include_str!("../../agents/claude_code/traces/slow.jsonl"),
        include_str!("../../agents/claude_code/traces/subagent.jsonl"),
    ] {
        let lines = recording.lines();
        let entries: Vec<Value> = lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let time = |entry: &Value| entry["ms"].as_u64().unwrap();
        let mut core = CoreHarness::new();
        let (mut registry, mut mark) = (Value::Null, "");
        for (number, entry) in entries.iter().enumerate() {
            let now = core.now.uptime_ms;
            let at = core.wait(time(entry).saturating_sub(now)).now.unix_ms;
            if let Some(payload) = entry.get("hook") {
                core.hook_at(at, entry["attended"] == true, payload);
            } else if entry.get("registry").is_some() {
                registry = entry["value"].clone();
            } else if let Some(text) = entry["mark"].as_str() {
                mark = text;
            }
            let rests = entries
                .get(number + 1)
                .is_none_or(|next| time(next) > time(entry) + 900);
            let unknowable = ["keys Escape", "keys C-c", "keys 4 (no"];
            if !rests || unknowable.iter().any(|key| mark.starts_with(key)) {
                continue;
            }
            let expected: &[&str] =
                match (registry["status"].as_str(), registry["waitingFor"].as_str()) {
                    (Some("idle"), _) => &["idle", "error"],
                    (Some("busy"), _) => &["working"],
                    (Some("waiting"), Some("permission prompt")) => &["waiting/permission!"],
                    _ => continue,
                };
            let shown = core.shown(KEY);
            assert!(
                expected.iter().any(|status| shown.starts_with(status)),
                "{shown} at {} ms, after {mark:?}; the registry has {registry}",
                time(entry)
            );
            compared += 1;
        }
        assert_eq!(core.get(KEY).status.as_str(), "closed");
    }
    assert!(compared > 30, "only {compared} compared");
}
