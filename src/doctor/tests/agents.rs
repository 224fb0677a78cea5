//! What has to do with the agents: their hooks, what those cost, their registry, their sessions.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::super::hooks::Called::{Nothing, Other, This};
use super::super::hooks::HookState;
use super::super::{LIMIT, Level, hooks, latency, registry, sessions};
use super::is;
use crate::agents::DEFAULT;
use crate::install::hooks::State as Hooks;
use crate::install::settings::StatusLineCall;
use crate::protocol::SessionRecord;

#[test]
fn every_event_calls_this_program_or_the_installer_is_named() {
    let probe = |seen| hooks::Probe {
        agent: DEFAULT,
        refusal: None,
        lacking: None,
        trust: None,
        seen,
    };
    let evaluate_all =
        |missing: &[&'static str], called, disabled: bool, line: Option<hooks::Called>| {
            let program = PathBuf::from("/p/agent-console");
            hooks::evaluate(&probe(hooks::Seen::Settings {
                state: Hooks {
                    settings: "/h/.claude/settings.json".into(),
                    missing: missing.into(),
                    programs: vec![program.clone()],
                    status_line: line.map(|_| StatusLineCall {
                        program: "acd".into(),
                        removable: true,
                    }),
                    status_line_lost: false,
                    disabled_by: disabled.then_some("disableAllHooks"),
                    own_file: None,
                },
                layers: Vec::new(),
                strays: Vec::new(),
                programs: vec![(program, called)],
                status_line: line.map(|called| ("/l/acd".into(), called)),
            }))
        };
    let evaluate =
        |missing: &[&'static str], called, disabled| evaluate_all(missing, called, disabled, None);
    let line = |called| evaluate_all(&[], This, false, Some(called));
    is(&line(This), Level::Ok, "settings.json", None);
    for (called, what) in [
        (Nothing, "the status line calls /l/acd, which cannot be run"),
        (Other, "the status line calls /l/acd, which is not this"),
    ] {
        let install = Some("agent-console install --statusline");
        is(&line(called), Level::Wrong, what, install);
    }
    let install = Some("agent-console install --hooks");
    is(
        &evaluate(&[], This, false),
        Level::Ok,
        "settings.json",
        None,
    );
    is(
        &evaluate(&["A", "B", "C", "D", "E"], This, false),
        Level::Wrong,
        "5 of 18 events missing: A, B, C, D, …",
        install,
    );
    is(
        &evaluate(&["A"], This, false),
        Level::Wrong,
        "1 of 18 events missing: A",
        install,
    );
    is(
        &evaluate(&[], Nothing, false),
        Level::Wrong,
        "cannot be run",
        install,
    );
    is(
        &evaluate(&[], Other, false),
        Level::Wrong,
        "not this program",
        install,
    );
    is(
        &evaluate(&[], This, true),
        Level::Wrong,
        "disableAllHooks",
        Some("${EDITOR:-vi} /h/.claude/settings.json"),
    );
    let broken = hooks::Seen::Broken {
        why: "settings.json:3:1: expected `}`".into(),
        fix: "${EDITOR:-vi} /h/.claude/settings.json".into(),
    };
    is(
        &hooks::evaluate(&probe(broken)),
        Level::Wrong,
        ":3:1:",
        Some("${EDITOR:-vi} /h/.claude/settings.json"),
    );
    let absent = [(DEFAULT, "/h/.claude".into())];
    let what = "no Claude Code here: /h/.claude is not there";
    is(&hooks::no_agent(&absent), Level::Note, what, None);
    is(&hooks::no_agent(&[]), Level::Note, "HOME is not set", None);
}

#[test]
fn a_slow_hook_is_noted_and_one_that_tells_nothing_is_wrong() {
    let figures = |median, arrived| {
        let figures = latency::Figures {
            median: Duration::from_millis(median),
            worst: Duration::from_millis(90),
            floor: Some(Duration::from_micros(840)),
            arrived,
        };
        latency::evaluate(&Ok(figures), HookState::Missing)
    };
    let what = "a hook takes 1.0 ms, at worst 90.0 ms, beside 0.8 ms for /bin/true";
    is(&figures(1, 20), Level::Ok, what, None);
    is(&figures(21, 20), Level::Note, "slow: ", None);
    let install = Some("agent-console install --hooks");
    is(
        &figures(1, 19),
        Level::Wrong,
        "1 of 20 reports did not arrive",
        install,
    );
    is(
        &latency::evaluate(&Err("no".into()), HookState::Missing),
        Level::Wrong,
        "no",
        install,
    );
    is(
        &latency::evaluate(&Err("no".into()), HookState::Blocked),
        Level::Wrong,
        "no",
        None,
    );
}

#[test]
fn what_is_measured_leaves_nothing_behind_and_tells_when_nothing_arrives() {
    let figures = latency::measure(Some("/bin/true".into()), DEFAULT.name).unwrap();
    assert_eq!(figures.arrived, 0);
    assert!(figures.median <= figures.worst && figures.worst < LIMIT);
    assert!(latency::measure(Some("/bin/false".into()), DEFAULT.name).is_err());
    let error = latency::measure(Some("/nowhere/agent-console".into()), DEFAULT.name).unwrap_err();
    assert!(error.starts_with("/nowhere/agent-console: "), "{error}");
}

#[test]
fn the_registry_is_read_without_its_keys() {
    let home = tempfile::tempdir().unwrap();
    let look = || {
        let of_agent = DEFAULT.registry.as_ref().unwrap();
        registry::evaluate(&registry::probe(home.path(), of_agent))
    };
    is(&look(), Level::Note, "no agent has run yet", None);
    let sessions = home.path().join("sessions");
    fs::create_dir(&sessions).unwrap();
    is(&look(), Level::Ok, "0 entries", None);

    fs::write(sessions.join("12.json"), r#"{"pid":12,"updatedAt":1}"#).unwrap();
    fs::write(sessions.join("notes.json"), "no entry").unwrap();
    // Opening one of these blocks for ever.
    for name in ["12.abc.key", "13.json"] {
        let made = Command::new("mkfifo").arg(sessions.join(name)).status();
        assert!(made.unwrap().success());
    }
    is(&look(), Level::Ok, "1 entry", None);
    // Half-written, of another process, and no entry's name.
    fs::write(sessions.join("14.json"), r#"{"pid":14,"#).unwrap();
    fs::write(sessions.join("15.json"), r#"{"pid":16,"updatedAt":1}"#).unwrap();
    fs::write(sessions.join("017.json"), r#"{"pid":17,"updatedAt":1}"#).unwrap();
    is(&look(), Level::Note, "1 of 3", None);

    let unreadable = registry::Probe::Unreadable {
        path: "/h/sessions".into(),
        why: "denied".into(),
    };
    is(
        &registry::evaluate(&unreadable),
        Level::Wrong,
        "denied",
        Some("chmod -R u+rX /h/sessions"),
    );
}

#[test]
fn sessions_without_hooks_are_named_and_wrong_once_they_have_worked() {
    let session = |text: &str| -> SessionRecord<'static> { serde_json::from_str(text).unwrap() };
    let base = |evidence: &str, history: &str| {
        session(&format!(
            r#"{{"key":"k","agent":"claude-code","session_id":"i","status":"idle","since":1,"started_at":1,
               "title":"fix","cwd":"/w d","evidence":[{evidence}],"history":[{history}]}}"#
        ))
    };
    let registry = r#"{"kind":"registry","at":1,"what":"busy"}"#;
    let hook = r#"{"kind":"hook","at":1,"what":"Stop"}"#;
    let idle = r#"{"status":"idle","at":1}"#;
    let worked = r#"{"status":"idle","at":1},{"status":"working","at":2}"#;
    let evaluate = |sessions: &[SessionRecord<'_>], hooked: bool| {
        let state = if hooked {
            HookState::Right
        } else {
            HookState::Missing
        };
        sessions::evaluate(Some(sessions), &[(DEFAULT.name, state)], 1_000_000)
    };

    is(&evaluate(&[], true), Level::Ok, "none runs", None);
    let both = format!("{registry},{hook}");
    is(
        &evaluate(&[base(&both, worked)], true),
        Level::Ok,
        "1 running",
        None,
    );
    is(
        &evaluate(&[base(registry, idle)], true),
        Level::Note,
        "k (fix)",
        None,
    );
    let deaf = base(registry, worked);
    is(
        &evaluate(std::slice::from_ref(&deaf), false),
        Level::Wrong,
        "k (fix)",
        Some("agent-console install --hooks"),
    );
    is(
        &evaluate(std::slice::from_ref(&deaf), true),
        Level::Wrong,
        "k (fix)",
        Some("cd '/w d' && claude --resume i"),
    );
    // What keeps the hooks from reporting is the subject of another check.
    let blocked = [(DEFAULT.name, HookState::Blocked)];
    is(
        &sessions::evaluate(Some(std::slice::from_ref(&deaf)), &blocked, 0),
        Level::Wrong,
        "the line on hooks says why",
        None,
    );
    let mut fallen = base(&both, worked);
    fallen.hooks_silent_since = Some(1_000_000 - 300_000);
    is(
        &evaluate(std::slice::from_ref(&fallen), true),
        Level::Wrong,
        "hooks fell silent 5m ago, and turns still run (leave it first, then resume it): k (fix)",
        Some("cd '/w d' && claude --resume i"),
    );
    is(
        &evaluate(std::slice::from_ref(&fallen), false),
        Level::Wrong,
        "hooks fell silent",
        Some("agent-console install --hooks"),
    );
    fallen.hooks_silent_since = Some(1_000_000 - 5_000);
    is(&evaluate(&[fallen], true), Level::Ok, "1 running", None);
    let mut closed = deaf;
    closed.status = crate::protocol::Status::Closed;
    is(&evaluate(&[closed], true), Level::Ok, "none runs", None);
}
