//! The registry's rows of the mapping, and the pitfalls that only it mends, as data: what is seen, how long nothing
//! follows, and what a person is shown then. As observed with Claude Code 2.1.330.

use serde_json::{Value, json};

use super::rules::{
    ask, ask_named, batch, done, end, event, failed, notice, prompt, running, start, stop,
    subagent, subagent_event, tool, tool_named,
};
use super::{CLAUDE, CoreHarness, EPOCH, KEY, NAMESPACE};
use crate::agents;
use crate::core::Input;
use crate::event::{RegistryEntry, RegistryStatus, RegistryUpdate, ReportedProcess};
use crate::protocol::{EndReason, WaitingFor};

/// One thing that is seen.
enum Seen {
    Hook(Value),
    Registry(RegistryStatus),
    Removed,
    Exit,
    /// Nothing, for so many ms.
    Nothing(u64),
}

use RegistryStatus::{Busy, Idle, Shell, Waiting};
use Seen::{Exit, Hook, Nothing, Registry, Removed};

const PERMISSION: RegistryStatus = Waiting(WaitingFor::Permission);
const ANSWER: RegistryStatus = Waiting(WaitingFor::Answer);
const DIALOG: RegistryStatus = Waiting(WaitingFor::Dialog);

fn process() -> ReportedProcess {
    ReportedProcess {
        pid: CLAUDE.pid,
        start: Some(CLAUDE.start),
        namespace: Some(NAMESPACE),
    }
}

fn entry(status: RegistryStatus, at: u64) -> RegistryEntry {
    RegistryEntry {
        session_id: Some("one".into()),
        cwd: Some("/src".into()),
        title: None,
        attended: Some(true),
        started_at: Some(EPOCH),
        updated_at: at,
        status: Some(status),
        status_at: at,
    }
}

fn sighting(entry: Option<RegistryEntry>) -> RegistryUpdate {
    RegistryUpdate {
        timing: agents::DEFAULT.timing,
        agent: "claude-code".into(),
        process: process(),
        alive: true,
        tty: Some("/dev/pts/3".into()),
        entry,
    }
}

impl CoreHarness {
    fn sees(&mut self, sighting: RegistryUpdate) {
        self.take(Input::RegistryChanged(Box::new(sighting)));
    }

    /// Lets time pass, with every tick that falls due.
    fn pass(&mut self, ms: u64) {
        let until = self.now.uptime_ms + ms;
        while let Some(due) = self.core.next_timeout().filter(|due| *due <= until) {
            self.wait(due.saturating_sub(self.now.uptime_ms));
            self.take(Input::Timeout);
        }
        self.wait(until - self.now.uptime_ms);
    }
}

/// Plays what is seen, ten milliseconds apart; after each the session must be shown as the row says.
#[track_caller]
fn follow(rows: Vec<(Seen, &str)>) -> CoreHarness {
    follow_from(CoreHarness::new(), true, rows)
}

#[track_caller]
fn follow_from(mut core: CoreHarness, attended: bool, rows: Vec<(Seen, &str)>) -> CoreHarness {
    for (number, (seen, shown)) in rows.into_iter().enumerate() {
        core.pass(10);
        let at = core.now.unix_ms;
        match seen {
            Hook(payload) => drop(core.hook_at(at, attended, &payload)),
            Registry(status) => {
                let attended = Some(attended);
                core.sees(sighting(Some(RegistryEntry {
                    attended,
                    ..entry(status, at)
                })));
            }
            Removed => core.sees(sighting(None)),
            Exit => drop(core.take(Input::ProcessExited(CLAUDE))),
            Nothing(ms) => core.pass(ms),
        }
        assert_eq!(core.shown(KEY), shown, "after row {number}");
    }
    core
}

/// A prompt and a tool, as far as the dialog.
fn asked() -> Vec<(Seen, &'static str)> {
    vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (Hook(tool("p1", "make")), "working: Bash: make"),
        (
            Hook(ask("p1", "make")),
            "waiting/permission!: permission: Bash make",
        ),
        (
            Registry(PERMISSION),
            "waiting/permission!: permission: Bash make",
        ),
    ]
}

fn after(mut rows: Vec<(Seen, &'static str)>, more: Vec<(Seen, &'static str)>) {
    rows.extend(more);
    follow(rows);
}

#[test]
fn yes_shows_at_once() {
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
fn no_shows_at_once_and_the_person_is_there() {
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
fn a_reminder_just_after_the_answer_asks_nothing() {
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
fn an_interrupt_shows_once_idle_has_stood_for_a_moment() {
    follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (Hook(tool("p1", "make")), "working: Bash: make"),
        (Nothing(5000), "working: Bash: make"),
        (Registry(Idle), "working: Bash: make"),
        (Nothing(150), "idle"),
        (Hook(notice("idle_prompt")), "idle"),
        (Hook(prompt("p2", "b")), "working"),
        (Registry(Busy), "working"),
        (Nothing(60_000), "working"),
    ]);
}

/// The agent was at its next step when Esc came: its hook is stamped after the registry's word.
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
fn a_registry_that_does_not_follow_is_not_believed() {
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
fn idle_flashes_between_two_turns_and_busy_at_a_local_command() {
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
fn a_queued_prompt_that_is_thrown_away_leaves_no_work_behind() {
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
fn after_an_interrupt_a_queued_prompt_has_the_turn_and_its_end() {
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
fn questions_menus_and_the_dialog_at_the_start() {
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
fn a_request_that_somebodys_hook_answers_does_not_stay_open() {
    follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(Busy), "working"),
        (Hook(tool("p1", "make")), "working: Bash: make"),
        (
            Hook(ask("p1", "make")),
            "waiting/permission!: permission: Bash make",
        ),
        (Nothing(1000), "working: Bash: make"),
        (Nothing(60_000), "working: Bash: make"),
        // Six seconds later the agent would remind of a dialog, and then there is one.
        (Hook(done("p1")), "working: Bash: make"),
    ]);
}

#[test]
fn a_turn_that_somebodys_hook_keeps_going_is_work_and_then_ends() {
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
    // Where the registry has stopped to follow, or has not told of this turn, the hook is believed.
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
fn background_shells_and_their_end() {
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
        (Registry(Shell), "idle! +2 shell: 2 background shells run"),
        (Nothing(60_000), "idle! +2 shell: 2 background shells run"),
        // A person has killed them.
        (Registry(Idle), "idle! +2 shell: 2 background shells run"),
        (Nothing(150), "idle!"),
        (Registry(Shell), "idle!"),
        (Nothing(150), "idle! +1 shell: 1 background shell runs"),
    ]);
}

#[test]
fn a_subagent_goes_on_after_the_main_turn_and_is_answered_for_itself() {
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
fn a_failure_is_a_failure_whatever_comes_first() {
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
fn in_print_mode_it_never_waits() {
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

#[test]
fn a_session_whose_hooks_are_silent_is_known_by_its_registry() {
    let core = follow(vec![
        (Registry(Idle), "idle"),
        (Registry(Busy), "idle"),
        (Nothing(150), "working"),
        (Registry(PERMISSION), "waiting/permission!: permission"),
        (Registry(Busy), "working"),
        (Registry(Idle), "working"),
        (Nothing(150), "idle!"),
        (Removed, "idle!"),
        (Exit, "closed"),
    ]);
    let session = core.get(KEY);
    assert_eq!(
        session.end_reason.as_ref().map(EndReason::as_str),
        Some("exited")
    );
    assert_eq!(session.terminal.unwrap().tty.as_deref(), Some("/dev/pts/3"));
    assert_eq!(
        (session.cwd.as_deref(), session.started_at),
        (Some("/src"), EPOCH)
    );
}

#[test]
fn what_a_killed_agent_leaves_behind_is_no_session() {
    let mut core = CoreHarness::new();
    let dead = RegistryUpdate {
        alive: false,
        ..sighting(Some(entry(Busy, EPOCH)))
    };
    core.sees(dead.clone());
    let elsewhere = ReportedProcess {
        namespace: Some(7),
        ..process()
    };
    core.sees(RegistryUpdate {
        process: elsewhere,
        ..dead.clone()
    });
    assert_eq!(core.core.sessions.iter().count(), 0);

    let core = follow_from(core, true, vec![(Registry(Busy), "idle"), (Exit, "closed")]);
    let mut core = follow_from(core, true, vec![(Registry(Idle), "closed")]);
    assert_eq!(
        core.get(KEY).end_reason.as_ref().map(EndReason::as_str),
        Some("crashed")
    );
    core.sees(dead);
    assert_eq!(core.shown(KEY), "closed");
}

/// The exit was told before the file's removal that came before it.
#[test]
fn a_sign_off_that_was_overtaken_by_the_exit_counts() {
    let core = follow(vec![
        (Registry(Idle), "idle"),
        (Exit, "closed"),
        (Removed, "closed"),
    ]);
    assert_eq!(
        core.get(KEY).end_reason.as_ref().map(EndReason::as_str),
        Some("exited")
    );
    // Somebody cleans up, days later.
    let core = follow(vec![
        (Registry(Idle), "idle"),
        (Exit, "closed"),
        (Nothing(60_000), "closed"),
        (Removed, "closed"),
    ]);
    assert_eq!(
        core.get(KEY).end_reason.as_ref().map(EndReason::as_str),
        Some("crashed")
    );
}

#[test]
fn a_session_that_is_found_at_work_was_never_idle() {
    let mut core = CoreHarness::new();
    let began = Some(EPOCH - 120_000);
    let entry = RegistryEntry {
        started_at: began,
        ..entry(Busy, EPOCH - 60_000)
    };
    core.sees(sighting(Some(entry)));
    let session = core.get(KEY);
    let history: Vec<_> = session.history.iter().map(|t| t.status.as_str()).collect();
    assert_eq!(history, ["working"]);
    assert_eq!(session.since, EPOCH - 60_000);
}

/// With `--continue` the entry shows an id for a moment that nobody will see again.
#[test]
fn an_entry_without_a_status_is_no_session_yet() {
    let mut core = CoreHarness::new();
    let begun = RegistryEntry {
        session_id: Some("thrown away".into()),
        status: None,
        ..entry(Idle, EPOCH)
    };
    core.sees(sighting(Some(begun)));
    assert_eq!(core.core.sessions.iter().count(), 0);
    core.sees(sighting(Some(entry(Idle, EPOCH))));
    let session = core.get(KEY);
    assert_eq!(session.session_id.as_deref(), Some("one"));
    assert!(session.previous_session_ids.is_empty());
}

#[test]
fn another_id_in_the_entry_is_another_conversation_in_the_same_session() {
    let mut core = follow(vec![
        (Hook(prompt("p1", "fix it")), "working"),
        (Hook(stop("p1", &json!([]))), "idle!"),
        (Registry(Idle), "idle!"),
    ]);
    let other = |at| RegistryEntry {
        session_id: Some("two".into()),
        title: Some("a name".into()),
        ..entry(Idle, at)
    };
    // Written before the last hook was stamped: that one knows better.
    core.sees(sighting(Some(other(EPOCH))));
    assert_eq!(core.get(KEY).session_id.as_deref(), Some("one"));
    let now = core.now.unix_ms;
    core.sees(sighting(Some(other(now))));
    let session = core.get(KEY);
    assert_eq!(session.session_id.as_deref(), Some("two"));
    assert_eq!(session.previous_session_ids, ["one"]);
    assert_eq!(session.title.as_deref(), Some("a name"));
}

#[test]
fn words_that_are_not_known_are_counted_and_change_nothing() {
    let mut core = follow(vec![
        (Hook(prompt("p1", "a")), "working"),
        (Registry(RegistryStatus::Unknown), "working"),
        (Nothing(60_000), "working"),
        (Hook(event("Teleported", &json!({}))), "working"),
    ]);
    let status = core.ask("daemon.status", &json!({}));
    assert_eq!(status["unknown_events"], 2);
}

#[test]
fn hooks_tell_where_to_look_once() {
    let mut core = CoreHarness::new();
    let report = |namespace: u64, directory: &str| {
        json!({
            "agent": "claude-code", "at": EPOCH, "pid": CLAUDE.pid, "process_start": CLAUDE.start,
            "pid_namespace": namespace, "config_dir": directory, "event": start("startup"),
        })
    };
    let looks = |core: &mut CoreHarness, namespace, directory| {
        let effects = core.report(&report(namespace, directory));
        super::names(&effects).contains(&"watch a registry")
    };
    assert!(looks(&mut core, NAMESPACE, "/home/dev/.claude"));
    assert!(!looks(&mut core, NAMESPACE, "/home/dev/.claude"));
    assert!(looks(&mut core, NAMESPACE, "/srv/claude"));
    assert!(!looks(&mut core, NAMESPACE, "relative"));
    // A path in a container is another file here, or none.
    assert!(!looks(&mut core, 7, "/srv/other/.claude"));
}
