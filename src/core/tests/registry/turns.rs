//! Turns: what the registry adds to the hooks, and in which order the two count.

use super::*;

#[test]
fn yes_is_shown_at_once() {
    after(
        asked(),
        vec![
            (Registry(Busy), "working: Bash: make"),
            (Nothing(60_000), "working: Bash: make"),
            (Hook(done("p1")), "working: Bash: make"),
            (Hook(batch("p1")), "working: Bash: make"),
            (Hook(stop("p1", &json!([]))), "working: Bash: make"),
            (Registry(Idle), "idle!"),
            (Nothing(60_000), "idle!"),
        ],
    );
}

#[test]
fn no_is_shown_at_once_and_marks_the_session_as_read() {
    after(
        asked(),
        vec![
            (Registry(Idle), "idle"),
            (Nothing(60_000), "idle"),
            (Hook(notice("idle_prompt")), "idle"),
        ],
    );
}

#[test]
fn a_reminder_just_after_the_answer_opens_no_request() {
    for (answer, shown) in [(Busy, "working: Bash: make"), (Idle, "idle")] {
        after(
            asked(),
            vec![
                (Registry(answer), shown),
                (Hook(notice("permission_prompt")), shown),
            ],
        );
    }
}

#[test]
fn an_interrupt_is_shown_once_idle_has_lasted_for_a_moment() {
    follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (Hook(tool("p1", "make")), "working: Bash: make"),
        (Nothing(5000), "working: Bash: make"),
        (Registry(Idle), "working: Bash: make"),
        (Nothing(150), "idle"),
        (Nothing(60_000), "idle"),
        (Hook(prompt("p2", "b")), "working"),
        (Registry(Busy), "working"),
        (Nothing(60_000), "working"),
    ]);
}

/// The agent was at its next step when Esc came: its hook is stamped after the registry's entry.
#[test]
fn a_hook_in_flight_does_not_undo_an_interrupt() {
    follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (Nothing(1000), "working"),
        (Registry(Idle), "working"),
        (Hook(tool("p1", "make")), "working: Bash: make"),
        (Nothing(150), "idle"),
    ]);
}

#[test]
fn a_registry_that_is_not_updated_is_ignored() {
    follow(vec![
        (Hook(start("startup")), "idle"),
        (Registry(Idle), "idle"),
        (Nothing(5000), "idle"),
        (Hook(prompt("p1", "a")), "working"),
        (Nothing(60_000), "working"),
        (Hook(stop("p1", &json!([]))), "idle!"),
    ]);
}

#[test]
fn short_idle_between_turns_and_short_busy_at_a_local_command_are_ignored() {
    follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (Hook(prompt("p1", "b")), "working"),
        (Hook(stop("p1", &json!([]))), "working"),
        (Registry(Idle), "working"),
        (Nothing(20), "working"),
        (Registry(Busy), "working"),
        (Nothing(5000), "working"),
        (Hook(stop("p2", &json!([]))), "working"),
        (Registry(Idle), "idle!"),
        (Nothing(5000), "idle!"),
        // A person has typed `/rename`.
        (Registry(Busy), "idle"),
        (Nothing(20), "idle"),
        (Registry(Idle), "idle"),
        (Nothing(5000), "idle"),
    ]);
}

#[test]
fn a_discarded_queued_prompt_leaves_no_working_status() {
    follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (Hook(prompt("p1", "b")), "working"),
        (Registry(Idle), "working"),
        (Nothing(150), "working"),
        (Nothing(350), "idle"),
    ]);
}

#[test]
fn after_an_interrupt_a_queued_prompt_starts_a_turn_that_ends() {
    follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (Hook(prompt("p1", "b")), "working"),
        (Registry(Idle), "working"),
        (Nothing(20), "working"),
        (Registry(Busy), "working"),
        (Nothing(5000), "working"),
        (Hook(stop("p2", &json!([]))), "working"),
        (Registry(Idle), "idle!"),
        (Nothing(5000), "idle!"),
    ]);
}

#[test]
fn a_dialog_without_a_request_is_known_at_once() {
    follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (Hook(tool("p1", "curl x")), "working: Bash: curl x"),
        (
            Registry(PERMISSION),
            "waiting/permission!: permission: Bash curl x",
        ),
        (
            Hook(notice("agent_needs_input")),
            "waiting/permission!: permission: Bash curl x",
        ),
        (Registry(Busy), "working: Bash: curl x"),
        (Hook(done("p1")), "working: Bash: curl x"),
        (
            Hook(tool_named("p1", "ExitPlanMode")),
            "working: ExitPlanMode",
        ),
        (Registry(PERMISSION), "waiting/plan!: plan: ExitPlanMode"),
        (Registry(Idle), "idle"),
    ]);
}

#[test]
fn questions_menus_and_the_start_dialog_are_shown_as_waiting() {
    follow(vec![
        (Hook(start("startup")), "idle"),
        (Registry(Idle), "idle"),
        (Registry(DIALOG), "waiting/dialog!: dialog"),
        (Nothing(60_000), "waiting/dialog!: dialog"),
        (Registry(Idle), "idle"),
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (
            Hook(tool_named("p1", "AskUserQuestion")),
            "working: AskUserQuestion",
        ),
        (
            Hook(ask_named("p1", "AskUserQuestion")),
            "waiting/answer!: answer: AskUserQuestion",
        ),
        (Registry(ANSWER), "waiting/answer!: answer: AskUserQuestion"),
        (
            Hook(notice("permission_prompt")),
            "waiting/answer!: answer: AskUserQuestion",
        ),
        (Registry(Idle), "idle"),
        (Registry(ANSWER), "waiting/answer!: answer"),
    ]);
}

#[test]
fn a_request_answered_by_another_hook_does_not_stay_open() {
    follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (Hook(tool("p1", "make")), "working: Bash: make"),
        (
            Hook(ask("p1", "make")),
            "waiting/permission!: permission: Bash make",
        ),
        (Nothing(1200), "working: Bash: make"),
        (Nothing(60_000), "working: Bash: make"),
        // Six seconds later the agent would remind of a dialog, and then there is one.
        (Hook(done("p1")), "working: Bash: make"),
    ]);
}

#[test]
fn a_turn_continued_by_another_hook_is_working_and_then_ends() {
    follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (Hook(stop("p1", &json!([]))), "working"),
        (Nothing(60_000), "working"),
        (Hook(tool("p1", "make")), "working: Bash: make"),
        (Hook(stop("p1", &json!([]))), "working: Bash: make"),
        (Nothing(60_000), "working: Bash: make"),
        (Registry(Idle), "idle!"),
    ]);
    // Where the registry is no longer updated, or has no entry for this turn, the hook counts.
    follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (Nothing(1000), "working"),
        (Hook(prompt("p2", "b")), "working"),
        (Nothing(1000), "working"),
        (Hook(stop("p2", &json!([]))), "idle!"),
        (Nothing(60_000), "idle!"),
    ]);
}

#[test]
fn background_shells_are_counted_until_they_end() {
    follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (
            Hook(stop(
                "p1",
                &json!([running("b1", "shell"), running("b2", "shell")]),
            )),
            "working +2 shell",
        ),
        (
            Registry(Shell),
            "idle! +2 shell: finished, 2 background shells run",
        ),
        (
            Nothing(60_000),
            "idle! +2 shell: finished, 2 background shells run",
        ),
        // A person has killed them.
        (
            Registry(Idle),
            "idle! +2 shell: finished, 2 background shells run",
        ),
        (Nothing(3000), "idle!"),
        (Registry(Shell), "idle!"),
        (
            Nothing(150),
            "idle! +1 shell: finished, 1 background shell runs",
        ),
    ]);
}

#[test]
fn a_subagent_continues_after_the_main_turn_and_has_its_own_requests() {
    follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (
            Hook(subagent_event("SubagentStart", "s1", "p1")),
            "working +1 subagent",
        ),
        (
            Hook(stop("p1", &json!([running("s1", "subagent")]))),
            "working +1 subagent: 1 subagent runs",
        ),
        (Nothing(60_000), "working +1 subagent: 1 subagent runs"),
        (
            Hook(subagent("s1", tool("p1", "make"))),
            "working +1 subagent: Bash: make",
        ),
        (
            Hook(subagent("s1", ask("p1", "make"))),
            "waiting/permission! +1 subagent: permission: Bash make",
        ),
        (
            Registry(PERMISSION),
            "waiting/permission! +1 subagent: permission: Bash make",
        ),
        (Registry(Busy), "working +1 subagent: Bash: make"),
        (
            Hook(subagent_event("SubagentStop", "s1", "p1")),
            "working: Bash: make",
        ),
        (Registry(Idle), "working: Bash: make"),
        (Nothing(30), "working: Bash: make"),
        (Hook(prompt("p2", "<task-notification>")), "working"),
        (Registry(Busy), "working"),
        (Hook(stop("p2", &json!([]))), "working"),
        (Registry(Idle), "idle!"),
    ]);
}

#[test]
fn a_failure_is_shown_in_any_order_of_hook_and_registry() {
    for idle_first in [false, true] {
        let mut rows = vec![
            (Hook(prompt("p1", "a")), "working"),
            (Registry(Busy), "working"),
        ];
        if idle_first {
            rows.push((Registry(Idle), "working"));
        }
        rows.push((Hook(failed("p1", "rate_limit")), "error!: rate limited"));
        rows.push((Registry(Idle), "error!: rate limited"));
        rows.push((Nothing(60_000), "error!: rate limited"));
        follow(rows);
    }
}

#[test]
fn in_print_mode_the_status_is_never_waiting() {
    let rows = vec![
        (Hook(start("startup")), "idle"),
        (Registry(Busy), "idle"),
        (Hook(prompt("p1", "a")), "working"),
        (Hook(ask("p1", "make")), "working"),
        (Registry(PERMISSION), "working"),
        (Nothing(60_000), "working"),
        (Hook(end("other")), "closed"),
    ];
    follow_from(CoreHarness::new(), false, rows);
}

/// Hooks can be switched off, or fail, while the session runs.
#[test]
fn a_turn_that_no_hook_reported_ends_with_attention_whatever_earlier_turns_had() {
    let core = follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (Hook(stop("p1", &json!([]))), "working"),
        (Registry(Idle), "idle!"),
        (Nothing(5000), "idle!"),
        (Registry(Busy), "idle"),
        (Nothing(5000), "working"),
        (Registry(Idle), "working"),
        (Nothing(150), "idle!"),
        (Nothing(60_000), "idle!"),
    ]);
    // Since the registry's second busy.
    let since = core.get(KEY).hooks_silent_since;
    assert_eq!(since, Some(EPOCH + 5060));
    let core = follow_from(
        core,
        true,
        vec![
            (Registry(Busy), "idle"),
            (Nothing(5000), "working"),
            (Registry(Idle), "working"),
            (Nothing(150), "idle!"),
        ],
    );
    assert_eq!(core.get(KEY).hooks_silent_since, since);
    let core = follow_from(core, true, vec![(Hook(prompt("p2", "b")), "working")]);
    assert_eq!(core.get(KEY).hooks_silent_since, None);
}
