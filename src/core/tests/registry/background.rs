//! Background tasks and subagents: what the registry shows of their end.

use super::*;

const WATCHED: &str = "idle: 1 monitor runs";

fn monitored() -> Vec<(Seen, &'static str)> {
    vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (
            Hook(stop("p1", &json!([running("m1", "monitor")]))),
            "working",
        ),
        (Registry(Shell), WATCHED),
        (Nothing(60_000), WATCHED),
        (Hook(notice("idle_prompt")), WATCHED),
    ]
}

#[test]
fn a_monitor_that_ends_unseen_leaves_attention() {
    after(
        monitored(),
        vec![
            (Registry(Idle), WATCHED),
            (Nothing(2950), WATCHED),
            (Nothing(50), "idle!"),
        ],
    );
}

#[test]
fn a_monitor_that_wakes_the_session_leaves_attention_only_after_that_turn() {
    after(
        monitored(),
        vec![
            (Registry(Idle), WATCHED),
            (Nothing(600), WATCHED),
            (Registry(Busy), WATCHED),
            (
                Hook(prompt("p2", "<task-notification>\n<task-id>m1</task-id>")),
                "working",
            ),
            (Hook(stop("p2", &json!([]))), "working"),
            (Registry(Idle), "idle!"),
        ],
    );
}

/// The list is newer than the idle: the agent writes its registry a moment after its hooks.
#[test]
fn idle_from_before_the_list_ends_no_task() {
    follow(vec![
        (Hook(start("startup")), "idle"),
        (Registry(Idle), "idle"),
        (Hook(prompt("p1", "a")), "working"),
        (
            Hook(stop("p1", &json!([running("m1", "monitor")]))),
            WATCHED,
        ),
        (Nothing(60_000), WATCHED),
    ]);
}

#[test]
fn subagents_that_end_unseen_leave_attention() {
    let runs = "working +1 subagent: 1 subagent runs";
    follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (Hook(stop("p1", &json!([running("s1", "subagent")]))), runs),
        (Nothing(60_000), runs),
        (Registry(Idle), runs),
        (Nothing(500), "idle!"),
    ]);
}

/// A menu between turns is no turn, whatever is busy for a moment after it.
#[test]
fn a_menu_leaves_no_attention() {
    follow(vec![
        (Hook(start("startup")), "idle"),
        (Registry(Idle), "idle"),
        (Registry(DIALOG), "waiting/dialog!: dialog"),
        (Registry(Busy), "idle"),
        (Nothing(30), "idle"),
        (Registry(Idle), "idle"),
        (Nothing(60_000), "idle"),
    ]);
}

#[test]
fn an_interrupt_shows_as_fast_while_a_shell_runs() {
    let shell = "working +1 shell";
    follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (Hook(stop("p1", &json!([running("b1", "shell")]))), shell),
        (
            Registry(Shell),
            "idle! +1 shell: finished, 1 background shell runs",
        ),
        (Hook(prompt("p2", "b")), shell),
        (Registry(Busy), shell),
        (Nothing(5000), shell),
        (Registry(Shell), shell),
        (Nothing(150), "idle +1 shell: 1 background shell runs"),
    ]);
}
