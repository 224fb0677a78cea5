//! The same hook registered twice: each event comes twice, and the result is the same as of once.

use super::*;

/// Plays the events once and twice, a few milliseconds apart, and compares what is shown in between.
#[track_caller]
fn twice(rows: &[Value]) {
    let (mut once, mut twice) = (CoreHarness::new(), CoreHarness::new());
    for payload in rows {
        for core in [&mut once, &mut twice] {
            core.wait(1000);
            core.hook(payload);
            core.wait(5);
        }
        twice.hook(payload);
        let of = |core: &CoreHarness| (core.shown(KEY), core.get(KEY).resumes.len());
        assert_eq!(of(&twice), of(&once), "after {payload}");
    }
    let history = |core: &CoreHarness| {
        let history = core.get(KEY).history.into_iter();
        history.map(|entry| entry.status).collect::<Vec<_>>()
    };
    assert_eq!(history(&twice), history(&once));
}

#[test]
fn each_event_twice_comes_to_the_same_as_once() {
    let shells = json!([running("b1", "shell"), running("b2", "shell")]);
    twice(&[
        start("startup"),
        prompt("p1", "a"),
        tool("p1", "make"),
        ask("p1", "make"),
        notice("permission_prompt"),
        done("p1"),
        batch("p1"),
        subagent_event("SubagentStart", "s1", "p1"),
        stop("p1", &json!([running("s1", "subagent")])),
        subagent("s1", tool("p1", "make")),
        subagent_event("SubagentStop", "s1", "p1"),
        prompt("p2", "<task-notification>\n<task-id>s1</task-id>"),
        stop("p2", &shells),
        prompt("p3", "<task-notification>\n<task-id>b1</task-id>"),
        stop("p3", &json!([running("b2", "shell")])),
        prompt("p4", "<task-notification>"),
        stop("p4", &json!([])),
        notice("idle_prompt"),
        // A prompt that is queued, and its turn.
        prompt("p5", "c"),
        prompt("p5", "d"),
        stop("p5", &json!([])),
        tool("p6", "make"),
        done("p6"),
        stop("p6", &json!([])),
        prompt("p7", "e"),
        failed("p7", "rate_limit"),
        end("clear"),
        start("clear"),
    ]);
}

/// One that waits for a moment longer, because a prompt seems to be queued, shows an interrupt too late.
#[test]
fn a_prompt_that_is_reported_twice_is_not_queued() {
    let mut core = CoreHarness::new();
    core.hook(&prompt("p1", "a"));
    core.wait(5).hook(&prompt("p1", "a"));
    core.wait(10).hook(&stop("p1", &json!([])));
    assert_eq!(core.shown(KEY), "idle!");
    // But the same words typed later are.
    core.wait(1000).hook(&prompt("p2", "go on"));
    core.wait(1000).hook(&prompt("p2", "go on"));
    core.wait(1000).hook(&stop("p2", &json!([])));
    assert_eq!(core.shown(KEY), "working");
}
