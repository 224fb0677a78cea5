//! The commands: exit codes, what goes to which stream, the shapes of `--json`.

mod config;
mod usage_errors;
mod watch;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::{Place, Sleeper, broken_pipe, program, until};

const SUCCESS: i32 = 0;
const FAILURE: i32 = 1;
const USAGE: i32 = 2;
const NO_DAEMON: i32 = 3;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A failure: nothing on standard output, and one complaint that begins with the program's name.
#[track_caller]
fn complaint(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert_eq!(text(&output.stdout), "", "{output:?}");
    let said = text(&output.stderr);
    if code != USAGE {
        assert!(said.starts_with("agent-console: "), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    said
}

#[test]
fn without_a_daemon_every_client_says_what_to_run() {
    let place = Place::new();
    for arguments in [
        &["list"][..],
        &["list", "--all", "--json"],
        &["get", "x"],
        &["watch"],
        &["watch", "--json"],
        &["wait"],
        &["wait", "x", "--timeout", "1"],
        &["next"],
        &["status"],
        &["status", "--json"],
        &["report", "x", "idle"],
        &["seen", "x"],
        &["remove", "x"],
        &["stop"],
        &["stop", "--force"],
    ] {
        let said = complaint(&place.run(arguments), NO_DAEMON);
        let socket = place.socket();
        assert!(
            said.contains(&*socket.to_string_lossy()) && said.contains("agent-console daemon"),
            "{arguments:?}: {said}"
        );
    }
    // None of them has started one.
    assert!(!place.socket().exists());
}

#[test]
fn wrong_usage_and_failure_have_different_exit_codes() {
    let place = Place::new();
    let _daemon = place.daemon();
    for arguments in [
        &["lst"][..],
        &["list", "x"],
        &["list", "--jsn"],
        &["get"],
        &["get", "a", "b"],
        &["report"],
        &["report", "x"],
        &["report", "x", "sleeping"],
        &["report", "x", "idle", "--pid", "many"],
        &["report", "x", "idle", "--waiting-for", "godot"],
        &["seen"],
        &["remove"],
        &["stop", "--hard"],
        &["status", "now"],
        &["config"],
        &["config", "edit"],
        &["demo", "--speed", "0"],
        &["demo", "--speed", "fast"],
        &["daemon", "now"],
        &["watch", "x"],
        &["next", "x"],
        &["--socket"],
    ] {
        let said = complaint(&place.run(arguments), USAGE);
        assert!(
            said.contains("Usage: ") || said.contains("--help"),
            "{arguments:?}: {said}"
        );
    }
    for (arguments, part) in [
        (&["get", "unknown"][..], "agent-console list"),
        (&["remove", "unknown"], "agent-console list"),
        (&["get", ""], "empty"),
        (&["report", "a\nb", "idle"], "control characters"),
        (&["report", "x", "idle", "--waiting-for", "plan"], "waiting"),
        (&["report", "x", "idle", "--pid", "4294967295"], "process"),
        (&["report", "x", "idle", "--pid", "0"], "pid"),
    ] {
        let said = complaint(&place.run(arguments), FAILURE);
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
    assert_eq!(place.json(&["list", "--all", "--json"]), json!([]));
}

#[test]
fn help_and_version_are_answers() {
    let place = Place::new();
    for program in [program(), Path::new(env!("CARGO_BIN_EXE_acd"))] {
        let run = |arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().unwrap();
            assert_eq!(output.status.code(), Some(SUCCESS), "{output:?}");
            assert_eq!(text(&output.stderr), "");
            text(&output.stdout)
        };
        let version = format!("agent-console {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(run(&["--version"]), version);
        let help = run(&["--help"]);
        for word in [
            "daemon",
            "hook",
            "list",
            "watch",
            "demo",
            "Exit status",
            "--socket",
        ] {
            assert!(help.contains(word), "{word}: {help}");
        }
        assert!(run(&["report", "--help"]).contains("--waiting-for"));
    }
    let output = place.run(&[]);
    assert_eq!(output.status.code(), Some(USAGE), "{output:?}");
}

/// The names of an object's fields.
fn fields(object: &Value) -> Vec<&str> {
    let mut names: Vec<_> = object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn answers_for_scripts_have_their_shapes() {
    let place = Place::new();
    let daemon = place.daemon();
    let agent = Sleeper::start();
    let pid = agent.pid().to_string();
    let reported = place.json(&[
        "report",
        "build",
        "waiting",
        "--waiting-for",
        "plan",
        "--reason",
        "why",
        "--title",
        "what",
        "--cwd",
        "/src",
        "--agent",
        "make",
        "--pid",
        &pid,
        "--json",
    ]);
    for (field, value) in [
        ("key", json!("build")),
        ("agent", json!("make")),
        ("status", json!("waiting")),
        ("waiting_for", json!("plan")),
        ("attention", json!(true)),
        ("reason", json!("why")),
        ("title", json!("what")),
        ("cwd", json!("/src")),
        ("pid", json!(agent.pid())),
        ("subagents", json!(0)),
        ("background", json!(0)),
    ] {
        assert_eq!(reported[field], value, "{field}: {reported}");
    }
    assert!(reported["process_start"].is_u64());
    assert!(reported["since"].as_u64() > Some(1_700_000_000_000));
    assert_eq!(reported["history"][0]["status"], "waiting");
    assert_eq!(reported["evidence"][0]["kind"], "report");

    place.ok(&["report", "done", "closed"]);
    assert_eq!(place.json(&["list", "--json"]), json!([reported]));
    let all = place.json(&["list", "--all", "--json"]);
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert_eq!(place.json(&["get", "build", "--json"]), reported);

    let status = place.json(&["status", "--json"]);
    assert_eq!(
        fields(&status),
        [
            "dashboards",
            "idle_timeout_ms",
            "origin",
            "pid",
            "protocol",
            "reports",
            "rss_bytes",
            "seq",
            "sessions",
            "socket",
            "unknown_events",
            "uptime_ms",
            "version"
        ]
    );
    assert_eq!(status["pid"], daemon.pid());
    assert_eq!(status["origin"], "self-bound");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["socket"], *place.socket().to_string_lossy());
    assert_eq!(
        status["sessions"],
        json!({"working": 0, "waiting": 1, "idle": 0, "error": 0, "closed": 1})
    );
    assert_eq!(status["dashboards"], 0);
    assert!(status["rss_bytes"].as_u64() > Some(100_000), "{status}");

    assert_eq!(
        place.json(&["remove", "done", "--json"]),
        json!({"removed": "done"})
    );
    assert_eq!(place.json(&["stop", "--json"]), json!({"dashboards": 0}));
}

#[test]
fn answers_for_people_are_rows() {
    let place = Place::new();
    let _daemon = place.daemon();
    assert_eq!(place.ok(&["list"]), "no sessions\n");
    assert_eq!(
        place.ok(&["report", "build", "waiting", "--waiting-for", "answer"]),
        "build: waiting: answer\n"
    );
    let list = place.ok(&["list"]);
    let mut rows = list.lines();
    assert_eq!(
        rows.next().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["STATUS", "FOR", "KEY", "DIRECTORY", "ABOUT"]
    );
    assert!(rows.next().unwrap().starts_with("! waiting: answer  "));
    assert_eq!(rows.next(), None);
    let get = place.ok(&["get", "build"]);
    for line in [
        "key        build\n",
        "attention  needed\n",
        "agent      script\n",
    ] {
        assert!(get.contains(line), "{get}");
    }
    let status = place.ok(&["status"]);
    assert!(
        status.contains("1 waiting") && status.contains("self-bound"),
        "{status}"
    );
    assert_eq!(place.ok(&["report", "build", "closed"]), "build: closed\n");
    assert_eq!(place.ok(&["list"]), "no sessions\n");
    assert!(place.ok(&["list", "--all"]).contains("reported"));
    assert_eq!(place.ok(&["remove", "build"]), "removed build\n");
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let place = Place::new();
    let _daemon = place.daemon();
    for number in 0..100 {
        let session = format!("session {number}");
        let params = json!({"session": session, "status": "idle", "title": "x".repeat(100)});
        place.connect().ask("session.set", params);
    }
    for command in [
        "list",
        "list --json",
        "list --all",
        "get 'session 7'",
        "--help",
        "status",
    ] {
        let piped = format!("{{ \"$0\" {command}; echo $? >&2; }} | head -c1");
        let output = place
            .command(["unused"])
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)))
            .fold(&mut Command::new("sh"), |shell, (name, value)| {
                shell.env(name, value)
            })
            .args(["-c", &piped])
            .arg(program())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.stdout.len(), 1, "{command}: {output:?}");
        assert_eq!(text(&output.stderr), "0\n", "{command}");
    }
    // Closed before the first byte.
    for arguments in [
        &["list"][..],
        &["list", "--json"],
        &["watch"],
        &["config", "path"],
    ] {
        let output = place
            .command(arguments)
            .stdout(broken_pipe())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(SUCCESS),
            "{arguments:?}: {output:?}"
        );
        assert_eq!(text(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn nothing_that_a_session_says_can_steer_a_terminal() {
    // Clears the screen, sets its title, moves up, C1 forms of the same, turns the text round, rings.
    const EVIL: &str = "a\x1b[2J\x1b]0;t\x07\x1b[1A\u{9b}2J\u{9d}0;t\u{9c}\u{202e}b\u{2066}c\u{200f}\u{61c}\x08\x7f\r\n";
    let place = Place::new();
    let _daemon = place.daemon();
    let mut wire = place.connect();
    // A hook's words come from the model's world: all that it says may be hostile.
    let agent = Sleeper::start();
    let report = |event: Value| {
        json!({"agent": "claude-code", "at": 1, "pid": agent.pid(), "attended": true,
            "terminal": {"tty": EVIL, "term_program": EVIL}, "event": event})
    };
    let prompt = json!({"hook_event_name": "UserPromptSubmit", "session_id": EVIL, "cwd": EVIL,
        "prompt": EVIL, "permission_mode": EVIL, "model": EVIL, "session_title": EVIL});
    let ask = json!({"hook_event_name": "PermissionRequest", "session_id": EVIL, "cwd": EVIL,
        "tool_name": EVIL, "tool_input": {"command": EVIL}});
    let end = json!({"hook_event_name": "SessionEnd", "session_id": EVIL, "reason": EVIL});
    let set = json!({"session": "script", "status": "working", "reason": EVIL, "title": EVIL,
        "cwd": EVIL});
    let named = json!({"session": "a\u{202e}b\u{2066}", "status": "idle", "agent": "\u{202e}x"});

    let watching = |arguments: &[&str]| {
        let child = place.command(arguments).stdout(Stdio::piped()).spawn();
        Sleeper(child.unwrap())
    };
    let mut watches = [watching(&["watch"]), watching(&["watch", "--json"])];
    until("watch to be subscribed", || {
        let status = wire.ask("daemon.status", json!({}));
        (status["result"]["dashboards"] == 2).then_some(())
    });
    let mut shown = String::new();
    let mut look = |place: &Place| {
        let list = place.json(&["list", "--all", "--json"]);
        for arguments in [&["list", "--all"][..], &["list", "--all", "--json"]] {
            shown += &place.ok(arguments);
        }
        for session in list.as_array().unwrap() {
            let key = session["key"].as_str().unwrap();
            for command in ["get", "explain"] {
                shown += &place.ok(&[command, key]);
                shown += &place.ok(&[command, key, "--json"]);
            }
            let wait = place.run(&["wait", key, "--for", "idle", "--timeout", "0"]);
            shown += &(text(&wait.stdout) + &text(&wait.stderr));
        }
    };
    for params in [set, named] {
        let answer = wire.ask("session.set", params);
        assert!(answer["result"].is_object(), "{answer}");
    }
    for event in [prompt, ask] {
        let answer = wire.ask("session.report", report(event));
        assert_eq!(answer["result"]["accepted"], true, "{answer}");
        look(&place);
    }
    wire.ask("session.report", report(end));
    look(&place);
    shown += &place.ok(&["report", "a\u{202e}b\u{2066}", "working"]);
    shown += &place.ok(&["remove", "a\u{202e}b\u{2066}"]);
    let refused = place.run(&["get", "no\u{202e}body"]);
    assert_eq!(refused.status.code(), Some(FAILURE));
    shown += &text(&refused.stderr);
    place.ok(&["stop"]);
    for watch in &mut watches {
        shown += &text(&watch.output().stdout);
    }

    let harmful = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let line = shown.lines().find(|line| line.contains(harmful));
    assert_eq!(line, None, "{line:?}");
    // It was shown at all.
    assert!(shown.matches("[2J").count() > 5, "{shown}");
}

#[test]
fn a_prefix_finds_one_session_and_never_the_wrong_one() {
    let place = Place::new();
    let _daemon = place.daemon();
    for name in ["alpha-one", "alpha-two", "beta"] {
        place.ok(&["report", name, "idle"]);
    }
    assert_eq!(place.json(&["get", "b", "--json"])["key"], "beta");
    assert_eq!(
        place.json(&["get", "alpha-t", "--json"])["key"],
        "alpha-two"
    );
    let said = complaint(&place.run(&["get", "alpha"]), FAILURE);
    assert!(
        said.contains("2 sessions") && said.contains("key"),
        "{said}"
    );
    complaint(&place.run(&["remove", "alpha-"]), FAILURE);
    assert_eq!(place.json(&["list", "--json"]).as_array().unwrap().len(), 3);
    // A short name is a new session's, not a prefix.
    place.ok(&["report", "alpha", "working"]);
    assert_eq!(place.json(&["get", "alpha", "--json"])["status"], "working");
    assert_eq!(place.json(&["list", "--json"]).as_array().unwrap().len(), 4);
}

#[test]
fn what_has_ended_is_marked_as_seen_for_every_dashboard() {
    let place = Place::new();
    let _daemon = place.daemon();
    for name in ["build", "test"] {
        place.ok(&["report", name, "working"]);
        place.ok(&["report", name, "idle"]);
    }
    place.ok(&["report", "deploy", "waiting"]);
    let mut dashboards = [place.connect(), place.connect()];
    for dashboard in &mut dashboards {
        dashboard.ask("subscribe", json!({}));
    }
    assert_eq!(
        place.ok(&["seen", "build", "test", "deploy"]),
        "build: idle\ntest: idle\ndeploy: waiting: dialog\n"
    );
    for dashboard in &mut dashboards {
        for name in ["build", "test"] {
            let changed = dashboard.notified("session.changed")["session"].take();
            assert_eq!(
                (&changed["key"], &changed["attention"]),
                (&json!(name), &json!(false))
            );
        }
    }
    assert_eq!(place.json(&["next", "--json"])["key"], "deploy");
    complaint(&place.run(&["seen", "unknown"]), FAILURE);
}
