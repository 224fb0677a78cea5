//! Subagents and background shells.

use super::*;

#[test]
fn a_background_subagent_keeps_the_session_working() {
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
fn the_end_of_one_agents_tool_does_not_answer_anothers_request() {
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

/// The daemon may be started while a subagent works: its first event is then the subagent's.
#[test]
fn a_subagent_first_seen_in_the_middle_is_working() {
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

/// "No" to a subagent fires no hook either.
#[test]
fn a_prompt_shows_that_no_dialog_is_open() {
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
fn background_shells_are_counted_and_leave_the_session_idle() {
    follow(&[
        (prompt("p1", "a"), "working"),
        (
            stop("p1", &json!([running("b1", "shell")])),
            "idle! +1 shell: finished, 1 background shell runs",
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
            "idle +1 shell: 1 monitor runs, 1 background shell runs",
        ),
    ]);
}

#[test]
fn a_task_notification_does_not_mark_the_session_as_read() {
    let core = follow(&[
        (prompt("p1", "fix it"), "working"),
        (
            stop("p1", &json!([running("b1", "shell")])),
            "idle! +1 shell: finished, 1 background shell runs",
        ),
        (prompt("p2", "<task-notification>done"), "working"),
    ]);
    assert_eq!(core.get(KEY).title.as_deref(), Some("fix it"));
}
