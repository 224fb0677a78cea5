//! `list` and `watch` for people: on terminals of several widths, in colour and without, and in a pipe.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Place, Sleeper, program, until};

/// What a terminal of so many columns is sent by a command.
#[track_caller]
fn on_terminal(place: &Place, columns: u16, variables: &str, arguments: &str) -> String {
    let line = format!(
        "stty cols {columns}; {variables} '{}' {arguments}",
        program().display()
    );
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env("AGENT_CONSOLE_SOCKET", place.socket())
        .env("HOME", place.path().join("home"))
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .expect("script(1), of the package bsdutils or util-linux-extra");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().replace('\r', "")
}

/// A place with a session of each kind.
fn furnish(place: &Place) {
    let cwd = place.path().join("home/src/日本語");
    let cwd = cwd.to_str().unwrap();
    place.ok(&[
        "report",
        "works",
        "working",
        "--cwd",
        cwd,
        "--reason",
        "Bash: cargo test --locked --all-targets",
    ]);
    place.ok(&[
        "report",
        "日本",
        "waiting",
        "--waiting-for",
        "permission",
        "--reason",
        "Write",
    ]);
    place.ok(&["report", "over", "closed"]);
}

/// A list with the ages, which are seconds, as they were at the beginning.
fn at_once(list: &str) -> String {
    let words = list.split(' ').map(|word| {
        let seconds = word.strip_suffix('s').map(str::parse::<u32>);
        match seconds {
            Some(Ok(_)) => format!("{:1$}", "0s", word.len()),
            _ => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_pipe_gets_plain_rows_in_the_order_of_need() {
    let place = Place::new();
    let _daemon = place.daemon();
    furnish(&place);
    let list = at_once(&place.ok(&["list"]));
    let rows: Vec<_> = list.lines().collect();
    assert_eq!(
        rows[0],
        "  STATUS               FOR  KEY    DIRECTORY     ABOUT"
    );
    assert!(
        rows[1].starts_with("! waiting: permission  0s   日本   -             Write"),
        "{list}"
    );
    assert!(
        rows[2].ends_with("  works  ~/src/日本語  Bash: cargo test --locked --all-targets"),
        "{list}"
    );
    assert_eq!(rows.len(), 3, "{list}");
    assert!(
        at_once(&place.ok(&["list", "--all"]))
            .ends_with("  closed               0s   over   -             reported\n")
    );
    // Scripts get them as they began.
    let list = place.json(&["list", "--json"]);
    assert_eq!(
        (&list[0]["key"], &list[1]["key"]),
        (&json!("works"), &json!("日本"))
    );
}

#[test]
fn a_terminal_gets_colours_and_no_line_that_it_would_fold() {
    let place = Place::new();
    let _daemon = place.daemon();
    furnish(&place);
    let list = on_terminal(&place, 80, "", "list --all");
    let rows: Vec<_> = list.lines().collect();
    assert!(
        rows[1].starts_with("\u{1b}[1;33m! waiting: permission\u{1b}[0m  "),
        "{list}"
    );
    assert!(
        rows[2].starts_with("\u{1b}[36m  working\u{1b}[0m             "),
        "{list}"
    );
    assert!(
        rows[2].ends_with("  ~/src/日本語  Bash: cargo test --locked --al…"),
        "{list}"
    );
    assert!(
        rows[3].starts_with("\u{1b}[2m  closed\u{1b}[0m  "),
        "{list}"
    );
    assert_eq!(rows[4..], ["", "  1 waiting · 1 working · 1 closed"]);

    for plain in ["NO_COLOR=1", "TERM=dumb"] {
        let list = on_terminal(&place, 200, plain, "list");
        assert!(!list.contains('\u{1b}'), "{list}");
        assert!(list.contains("! waiting: permission"), "{list}");
    }
    let narrow = on_terminal(&place, 40, "NO_COLOR=1", "list");
    assert!(
        narrow.starts_with("  STATUS               FOR  KEY\n"),
        "{narrow}"
    );
    let tiny = on_terminal(&place, 12, "NO_COLOR=1", "list");
    assert!(
        tiny.lines().all(|line| line.chars().count() <= 12),
        "{tiny}"
    );
    assert!(
        on_terminal(&place, 80, "", "next")
            .contains("\u{1b}[1;33mwaiting: permission\u{1b}[0m for")
    );
    assert!(on_terminal(&place, 80, "", "get works").contains("\u{1b}[36mworking\u{1b}[0m for"));
    // A script's output is a script's on a terminal, too.
    assert!(on_terminal(&place, 20, "", "list --json").starts_with("[{\"key\":\"works\""));
}

#[test]
fn an_empty_list_says_what_to_do() {
    let place = Place::new();
    let _daemon = place.daemon();
    let list = on_terminal(&place, 80, "", "list");
    assert!(list.starts_with("no sessions\n"), "{list}");
    for command in ["`agent-console install`", "`agent-console doctor`"] {
        assert!(list.contains(command), "{list}");
    }
    place.ok(&["report", "over", "closed"]);
    assert_eq!(
        on_terminal(&place, 80, "", "list"),
        "no sessions\n`agent-console list --all` shows 1 closed\n"
    );
    assert_eq!(place.ok(&["list"]), "no sessions\n");
}

#[test]
fn watch_prints_a_line_for_each_visible_change() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let agent = Sleeper::start();
    let hook = |at: u64, event: &str| {
        let answer = place.connect().ask(
            "session.report",
            json!({"agent": "claude-code", "at": at, "pid": agent.pid(), "attended": true,
                "event": {"hook_event_name": event, "session_id": "s", "tool_name": "Read",
                    "tool_input": {"file_path": "/x"}, "prompt": "do it"}}),
        );
        assert_eq!(answer["result"]["accepted"], true, "{answer}");
    };
    place.ok(&["report", "over", "closed"]);
    place.ok(&["report", "build", "working", "--reason", "cargo test"]);
    let watch = place
        .command(["watch"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    // Ends with the test.
    let mut watch = Sleeper(watch.unwrap());
    let mut lines = BufReader::new(watch.0.stdout.take().unwrap()).lines();
    let mut next = || {
        let line = lines.next()?.unwrap();
        let (time, rest) = line.split_at(9);
        assert!(time.ends_with('s'), "{line}");
        Some(rest.to_owned())
    };
    // Sessions that were closed before are not printed.
    assert_eq!(
        next().unwrap(),
        "    working              build     cargo test"
    );
    // The same again, which only brings new evidence.
    place.ok(&["report", "build", "working", "--reason", "cargo test"]);
    place.ok(&["report", "build", "working", "--reason", "cargo doc"]);
    assert_eq!(
        next().unwrap(),
        "    working              build     cargo doc"
    );
    place.ok(&["report", "日本", "error"]);
    assert_eq!(next().unwrap(), "  ! error                日本");
    hook(1, "UserPromptSubmit");
    let line = next().unwrap();
    assert!(
        line.starts_with("    working              claude-code-"),
        "{line}"
    );
    hook(2, "PreToolUse");
    assert!(next().unwrap().ends_with("  Read: /x"));
    hook(3, "PostToolUse");
    hook(4, "PreToolUse");
    place.ok(&["remove", "日本"]);
    assert_eq!(next().unwrap(), "    removed              日本");

    daemon.signal("KILL");
    daemon.wait();
    let mut daemon = place.daemon_without_state();
    assert_eq!(next().unwrap(), "    connected            0 sessions");
    // What was closed is not printed.
    assert_eq!(next().unwrap(), "    removed              build");
    let line = next().unwrap();
    assert!(
        line.starts_with("    removed              claude-code-"),
        "{line}"
    );
    place.ok(&["report", "build", "working", "--reason", "cargo doc"]);
    let line = next().unwrap();
    assert!(
        line.starts_with("    working              build  ") && line.ends_with("  cargo doc"),
        "{line}"
    );
    place.ok(&["report", "build", "waiting", "--waiting-for", "plan"]);
    assert_eq!(next().unwrap(), "  ! waiting: plan        build");
    place.ok(&["stop"]);
    assert_eq!(next().unwrap(), "    stopping             stop");
    assert_eq!(next(), None);
    assert_eq!(daemon.wait(), Some(0));
    assert_eq!(
        until("watch to end", || watch.0.try_wait().unwrap()).code(),
        Some(0)
    );
}

#[test]
fn a_watch_that_was_too_slow_gets_what_it_has_missed() {
    let place = Place::new();
    let _daemon = place.daemon();
    for key in ["busy", "old", "same"] {
        place.ok(&["report", key, "working"]);
    }
    let watch = place
        .command(["watch", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    // Ends with the test.
    let mut watch = Sleeper(watch.unwrap());
    let mut lines = BufReader::new(watch.0.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let keys = |line: &Value| -> Vec<String> {
        let sessions = line["sessions"].as_array().unwrap().iter();
        let mut keys: Vec<_> = sessions
            .map(|session| session["key"].as_str().unwrap().to_owned())
            .collect();
        keys.sort();
        keys
    };
    let first = next();
    assert_eq!(keys(&first), ["busy", "old", "same"]);
    assert!(first.get("partial").is_none());

    // Its lines are not read until the daemon has dropped it.
    let mut script = place.connect();
    until("the watch to be dropped", || {
        for number in 0..100 {
            let reason = format!("file {number}");
            let params = json!({"session": "busy", "status": "working", "reason": reason});
            script.ask("session.set", params);
        }
        let status = script.ask("daemon.status", json!({}));
        (status["result"]["dashboards"] == 0).then_some(())
    });
    place.ok(&["remove", "old"]);
    place.ok(&["report", "new", "waiting"]);

    let again = loop {
        let line = next();
        if line["event"] == "snapshot" {
            break line;
        }
        assert_eq!(line["event"], "session.changed");
    };
    // The daemon sent what has changed; it is printed whole.
    assert_eq!(keys(&again), ["busy", "new", "same"]);
    assert!(again.get("partial").is_none() && again.get("removed").is_none());
    let mut printed = again["sessions"].as_array().unwrap().clone();
    printed.sort_by_key(|session| session["key"].as_str().unwrap().to_owned());
    let listed = place.json(&["list", "--all", "--json"]);
    let mut listed = listed.as_array().unwrap().clone();
    listed.sort_by_key(|session| session["key"].as_str().unwrap().to_owned());
    assert_eq!(printed, listed);
}
