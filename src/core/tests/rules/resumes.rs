//! What resumes a session without a person, and what was seen to end.

use super::*;
use crate::core::{AttentionRules, Input, Settings};
use crate::protocol::ResumeKind;

fn armed(core: &CoreHarness) -> Vec<(ResumeKind, Option<u64>)> {
    let resumes = core.get(KEY).resumes.into_iter();
    resumes.map(|resume| (resume.kind, resume.at)).collect()
}

#[test]
fn a_monitor_needs_no_person_and_is_no_shell() {
    let core = follow(&[
        (prompt("p1", "a"), "working"),
        (
            stop("p1", &json!([running("m1", "monitor")])),
            "idle: 1 monitor runs",
        ),
        // The agent reminds although a monitor runs (2.1.332).
        (notice("idle_prompt"), "idle: 1 monitor runs"),
    ]);
    assert_eq!(armed(&core), [(ResumeKind::Monitor, None)]);
    assert_eq!(core.get(KEY).background, 0);
    // A monitor reports more than once.
    let core = follow(&[
        (prompt("p1", "a"), "working"),
        (
            stop("p1", &json!([running("m1", "monitor")])),
            "idle: 1 monitor runs",
        ),
        (
            prompt("p2", "<task-notification>\n<task-id>m1</task-id>"),
            "working",
        ),
        (
            stop("p2", &json!([running("m1", "monitor")])),
            "idle: 1 monitor runs",
        ),
        (
            prompt("p3", "<task-notification>\n<task-id>m1</task-id>"),
            "working",
        ),
        (stop("p3", &json!([])), "idle!"),
    ]);
    assert_eq!(armed(&core), []);
}

#[test]
fn a_background_shell_needs_a_person_unless_configured_otherwise() {
    let rows = [
        (prompt("p1", "a"), "working"),
        (
            stop("p1", &json!([running("b1", "shell")])),
            "idle! +1 shell: finished, 1 background shell runs",
        ),
    ];
    let mut core = follow(&rows);
    assert_eq!(armed(&core), [(ResumeKind::Shell, None)]);
    core.ask("subscribe", &json!({}));
    let quiet = Settings {
        attention: AttentionRules {
            background_shell: false,
            quiet: false,
        },
        ..settings()
    };
    let effects = core.take(Input::Reloaded(Ok((quiet, None))));
    assert!(super::super::names(&effects).contains(&"broadcast"));
    assert_eq!(
        core.shown(KEY),
        "idle +1 shell: finished, 1 background shell runs"
    );
    // Its end is reported, and then that of the turn.
    core.wait(10)
        .hook(&prompt("p2", "<task-notification>\n<task-id>b1</task-id>"));
    assert_eq!(core.shown(KEY), "working");
    core.wait(10).hook(&stop("p2", &json!([])));
    assert_eq!(core.shown(KEY), "idle!");
}

#[test]
fn a_task_of_an_unknown_kind_needs_a_person() {
    let core = follow(&[
        (prompt("p1", "a"), "working"),
        (
            stop("p1", &json!([running("x1", "new in 2027")])),
            "idle! +1 shell: finished, 1 background shell runs",
        ),
    ]);
    assert_eq!(armed(&core), []);
}

/// The list of a turn's end is made before the subagent's end is known there.
#[test]
fn a_subagent_that_has_ended_is_not_brought_back() {
    let ended = [
        (prompt("p1", "a"), "working"),
        (
            subagent_event("SubagentStart", "s1", "p1"),
            "working +1 subagent",
        ),
        (subagent_event("SubagentStop", "s1", "p1"), "working"),
    ];
    // By a list that is out of date.
    let rows = [(stop("p1", &json!([running("s1", "subagent")])), "idle!")];
    follow(&[&ended[..], &rows].concat());
    // By events that come late.
    let late = [
        (stop("p1", &json!([])), "idle!"),
        (subagent("s1", done("p1")), "idle!"),
        (subagent("s1", batch("p1")), "idle!"),
        (subagent("s1", tool("p1", "make")), "idle!"),
        (subagent_event("SubagentStart", "s1", "p1"), "idle!"),
    ];
    let mut core = follow(&[&ended[..], &late].concat());
    core.wait(60_000).hook(&subagent("s1", done("p1")));
    assert_eq!(core.shown(KEY), "idle!");
    // A person has it continue.
    core.wait(10).hook(&subagent("s1", tool("p1", "make")));
    assert_eq!(core.shown(KEY), "working +1 subagent: Bash: make");
}

#[test]
fn a_shell_that_has_ended_is_not_brought_back() {
    follow(&[
        (prompt("p1", "a"), "working"),
        (
            stop(
                "p1",
                &json!([running("b1", "shell"), running("b2", "shell")]),
            ),
            "idle! +2 shell: finished, 2 background shells run",
        ),
        (
            prompt("p2", "<task-notification>\n<task-id>b1</task-id>"),
            "working +1 shell",
        ),
        (
            stop(
                "p2",
                &json!([running("b1", "shell"), running("b2", "shell")]),
            ),
            "idle! +1 shell: finished, 1 background shell runs",
        ),
    ]);
}

#[test]
fn the_agents_own_reminder_corrects_what_contradicts_it() {
    // A subagent's end was lost.
    follow(&[
        (prompt("p1", "a"), "working"),
        (
            stop("p1", &json!([running("s1", "subagent")])),
            "working +1 subagent: 1 subagent runs",
        ),
        (notice("idle_prompt"), "idle!"),
    ]);
    // The turn's end was lost.
    follow(&[
        (prompt("p1", "a"), "working"),
        (tool("p1", "make"), "working: Bash: make"),
        (notice("idle_prompt"), "idle!"),
    ]);
    // The daemon was started after the turn's end.
    follow(&[(notice("idle_prompt"), "idle!")]);
    // There was no turn, or a person has looked since.
    follow(&[(start("startup"), "idle"), (notice("idle_prompt"), "idle")]);
    // It was sent just before the prompt.
    follow(&[
        (prompt("p1", "a"), "working"),
        (stop("p1", &json!([])), "idle!"),
        (prompt("p2", "b"), "working"),
        (notice("idle_prompt"), "working"),
    ]);
}

/// A `Stop` with prompts that the agent will submit by itself.
fn stop_scheduled(id: &str, expressions: &[&str]) -> Value {
    let mut payload = stop(id, &json!([]));
    let crons = expressions
        .iter()
        .map(|schedule| json!({"id": "c", "schedule": schedule}));
    payload["session_crons"] = crons.collect();
    payload
}

#[test]
fn a_scheduled_prompt_needs_no_person_until_it_is_overdue() {
    let scheduled = "idle: 1 prompt is scheduled";
    let mut core = follow(&[
        (start("startup"), "idle"),
        (prompt("p1", "a"), "working"),
        (stop_scheduled("p1", &["* * * * *"]), scheduled),
    ]);
    let next = core.now.unix_ms - core.now.unix_ms % MINUTE + MINUTE;
    assert_eq!(armed(&core), [(ResumeKind::Schedule, Some(next))]);
    // It may come up to a quarter of an hour late.
    core.pass(15 * MINUTE);
    assert_eq!(core.shown(KEY), scheduled);
    core.pass(2 * MINUTE);
    assert_eq!(core.shown(KEY), "idle!");
    assert_eq!(armed(&core), []);
}

#[test]
fn a_scheduled_prompt_that_comes_is_a_turn() {
    let scheduled = "idle: 2 prompts are scheduled";
    let mut core = follow(&[
        (prompt("p1", "a"), "working"),
        (stop_scheduled("p1", &["* * * * *", "7 3 * * *"]), scheduled),
    ]);
    core.pass(MINUTE);
    core.hook(&prompt("p2", "again"));
    assert_eq!(core.shown(KEY), "working");
    assert_eq!(armed(&core), []);
    // However long the turn takes.
    core.pass(60 * MINUTE);
    assert_eq!(core.shown(KEY), "working");
    core.hook(&stop("p2", &json!([])));
    assert_eq!(core.shown(KEY), "idle!");
}

#[test]
fn a_schedule_of_unknown_time_stays_until_the_next_list() {
    let scheduled = "idle: 1 prompt is scheduled";
    let mut core = follow(&[
        (prompt("p1", "a"), "working"),
        (stop_scheduled("p1", &["new in 2027"]), scheduled),
    ]);
    assert_eq!(armed(&core), [(ResumeKind::Schedule, None)]);
    core.pass(60 * 60 * MINUTE);
    assert_eq!(core.shown(KEY), scheduled);
    core.wait(10).hook(&prompt("p2", "b"));
    core.wait(10).hook(&stop("p2", &json!([])));
    assert_eq!(core.shown(KEY), "idle!");
}
