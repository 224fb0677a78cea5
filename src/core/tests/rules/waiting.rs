//! Requests for permission, questions and plans: what opens and what answers them.

use super::*;

#[test]
fn a_permission_request_waits_until_the_tool_ends() {
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

/// No hook fires at "No" or Esc; a prompt can only be typed while no dialog is open.
#[test]
fn after_a_no_the_next_prompt_is_working() {
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
fn in_print_mode_the_status_is_never_waiting() {
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
            // No person is there to look, neither at an end nor at an error.
            (stop("p1", &json!([])), "idle"),
            (prompt("p2", "b"), "working"),
            (failed("p2", "rate_limit"), "error: rate limited"),
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

/// In auto mode a dialog may open without a request: the reminder, six seconds later, is the only sign.
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

fn questions(name: &str, id: &str) -> Value {
    let input = json!({"questions": [
        {"question": "Which\ndatabase?", "options": [{"label": "PostgreSQL"}, {"label": "SQLite"}]},
        {"question": "And when?"},
    ]});
    let fields = json!({"prompt_id": id, "tool_name": "AskUserQuestion", "tool_input": input});
    event(name, &fields)
}

#[test]
fn what_the_agent_asks_is_shown_while_it_waits() {
    let mut core = follow(&[(prompt("p1", "a"), "working")]);
    let question = |core: &CoreHarness| core.get(KEY).question.map(std::borrow::Cow::into_owned);
    core.hook(&questions("PreToolUse", "p1"));
    assert_eq!(question(&core), None);
    core.hook(&questions("PermissionRequest", "p1"));
    let asked = "Which database? (PostgreSQL / SQLite) · And when?";
    assert_eq!(question(&core).as_deref(), Some(asked));
    core.hook(&questions("PostToolUse", "p1"));
    assert_eq!(question(&core), None);
    // A plan's first line; the request repeats nothing.
    let plan = json!({"prompt_id": "p1", "tool_name": "ExitPlanMode", "tool_input": {"plan": "\n## Split it\n\n1. a"}});
    core.hook(&event("PreToolUse", &plan));
    core.hook(&ask_named("p1", "ExitPlanMode"));
    assert_eq!(question(&core).as_deref(), Some("Split it"));
    // Not kept where prompts are not.
    let private = super::super::Settings {
        record_prompts: false,
        ..settings()
    };
    core.take(super::super::Input::Reloaded(Ok((private, None))));
    assert_eq!(question(&core), None);
    core.hook(&questions("PermissionRequest", "p1"));
    assert_eq!(question(&core), None);
}

#[test]
fn a_dialog_has_no_question_of_an_earlier_one() {
    let mut core = follow(&[(prompt("p1", "a"), "working")]);
    core.wait(10).hook(&questions("PreToolUse", "p1"));
    core.wait(10).hook(&questions("PermissionRequest", "p1"));
    assert!(core.get(KEY).question.is_some());
    core.wait(10).hook(&prompt("p2", "b"));
    core.wait(10).hook(&ask_named("p2", "ExitPlanMode"));
    assert_eq!(core.shown(KEY), "waiting/plan!: plan: ExitPlanMode");
    assert_eq!(core.get(KEY).question, None);
}

#[test]
fn a_prompt_that_no_person_has_typed_leaves_everything_to_the_person() {
    for machine in [
        "<local-command-caveat>Caveat: the messages below",
        "<local-command-stdout>ok</local-command-stdout>",
        "[Request interrupted by user]",
        "<teammate-message from=\"a\">done</teammate-message>",
    ] {
        let mut core = follow(&[
            (prompt("p1", machine), "working"),
            (
                ask("p1", "make"),
                "waiting/permission!: permission: Bash make",
            ),
            (
                prompt("p1", machine),
                "waiting/permission!: permission: Bash make",
            ),
            (stop("p1", &json!([])), "idle!"),
            (prompt("p2", machine), "working"),
            (failed("p2", "rate_limit"), "error!: rate limited"),
        ]);
        assert_eq!(core.get(KEY).title, None);
        core.hook(&prompt("p3", "<ide_selection>x</ide_selection>\nfix it"));
        assert_eq!(core.get(KEY).title.as_deref(), Some("fix it"));
    }
}
