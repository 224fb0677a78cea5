//! Turns: their beginning, queued prompts, their end and failure.

use super::*;
use crate::protocol::EndReason;

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

/// Esc puts queued prompts back into the composer, and no hook fires.
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
fn text_shown_after_the_end_of_its_turn_opens_no_other_turn() {
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
fn a_failure_has_a_readable_reason() {
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
fn compacting_is_working_and_changes_nothing_else() {
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
fn events_without_a_status_change_no_status() {
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
