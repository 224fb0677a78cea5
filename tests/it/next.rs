//! `next`: who has needed a person for longest, and the way there, tried in a real tmux.

use std::process::Command;

use serde_json::json;

use crate::support::{Place, Sleeper, until};

/// A line's name and value.
fn row(line: &str) -> (&str, &str) {
    let (name, value) = line.split_once("  ").expect(line);
    (name, value.trim_start())
}

#[test]
fn the_session_that_has_waited_longest_is_next() {
    let place = Place::new();
    let _daemon = place.daemon();
    for arguments in [&["next"][..], &["next", "--json"]] {
        let output = place.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty());
        assert_eq!(output.stderr, b"agent-console: no session needs you\n");
    }
    place.ok(&[
        "report",
        "first",
        "waiting",
        "--waiting-for",
        "answer",
        "--reason",
        "which?",
    ]);
    let first = place.json(&["get", "first", "--json"]);
    until("the clock to move on", || {
        place.ok(&["report", "second", "error"]);
        let second = place.json(&["get", "second", "--json"]);
        place.ok(&["remove", "second"]);
        (second["since"].as_u64() > first["since"].as_u64()).then_some(())
    });
    place.ok(&["report", "second", "error"]);
    place.ok(&["report", "works", "working"]);
    assert_eq!(place.json(&["next", "--json"]), first);
    let next = place.ok(&["next"]);
    let rows: Vec<_> = next.lines().map(row).collect();
    assert_eq!(rows[0], ("key", "first"));
    assert!(rows[1].1.starts_with("waiting: answer for "), "{next}");
    assert_eq!(rows[2..], [("reason", "which?")]);
    place.ok(&["report", "first", "working"]);
    assert_eq!(place.json(&["next", "--json"])["key"], "second");
}

/// A tmux server of a test's own, on a socket of this path, which ends with the test.
struct Tmux(String);

impl Tmux {
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.try_run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().into()
    }

    fn try_run(&self, arguments: &[&str]) -> std::process::Output {
        Command::new("tmux")
            .args(["-S", &self.0, "-f", "/dev/null"])
            .args(arguments)
            .env("TERM", "xterm")
            .env_remove("TMUX")
            .output()
            .expect("tmux(1)")
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.try_run(&["kill-server"]);
    }
}

#[test]
fn the_printed_command_selects_the_sessions_terminal() {
    let place = Place::new();
    let _daemon = place.daemon();
    // A path that a shell would take for three words.
    let tmux = Tmux(format!("{}/it's a socket", place.path().display()));
    tmux.run(&["new-session", "-d", "-s", "work", "sleep 600"]);
    let pane = tmux.run(&[
        "new-window",
        "-d",
        "-t",
        "work",
        "-P",
        "-F",
        "#{pane_id}",
        "sleep 600",
    ]);
    tmux.run(&["new-session", "-d", "-s", "desk", "sh"]);
    let agent = Sleeper::start();
    let at = |tmux: &str, pane: &str| {
        let event = json!({"hook_event_name": "PermissionRequest", "session_id": "s",
            "tool_name": "Bash", "tool_input": {"command": "ls"}});
        let answer = place.connect().ask(
            "session.report",
            json!({"agent": "claude-code", "at": 1, "pid": agent.pid(), "attended": true,
                "terminal": {"tmux": tmux, "tmux_pane": pane}, "event": event}),
        );
        assert_eq!(answer["result"]["accepted"], true, "{answer}");
    };
    at(&tmux.0, &pane);
    let command = |inside: Option<&str>| {
        let mut next = place.command(["next"]);
        if let Some(socket) = inside {
            next.env("TMUX", format!("{socket},1,0"));
        }
        let output = next.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let find = |name| text.lines().map(row).find(|row| row.0 == name);
        assert_eq!(find("tmux"), Some(("tmux", &*format!("pane {pane}"))));
        find("go there").map(|row| row.1.to_owned())
    };
    // A client on each, as a person has it: another tmux is the terminal of the first.
    let terminal = || Tmux(format!("{}/outer", place.path().display()));
    let shows = |session: &str| {
        until("the client to show the pane", || {
            let output = tmux.try_run(&["list-clients", "-F", "#{session_name} #{pane_id}"]);
            let text = String::from_utf8(output.stdout).unwrap();
            text.lines()
                .any(|line| line.starts_with(session))
                .then_some(text)
        })
    };
    // From outside: a new client, on that very pane.
    let way = command(None).unwrap();
    assert!(way.contains(" attach-session -t %"), "{way}");
    let attach = format!("env -u TMUX TERM=xterm {way}");
    let outer = terminal();
    outer.run(&["new-session", "-d", "-s", "outside", &attach]);
    assert_eq!(shows("work"), format!("work {pane}\n"));
    drop(outer);
    until("the client to go", || {
        tmux.run(&["list-clients"]).is_empty().then_some(())
    });

    // From within: the client switches.
    let quoted = tmux.0.replace('\'', r"'\''");
    let attach = format!("env -u TMUX TERM=xterm tmux -S '{quoted}' attach -t desk");
    tmux.run(&["select-window", "-t", "work:0"]);
    let outer = terminal();
    outer.run(&["new-session", "-d", "-s", "inside", &attach]);
    shows("desk");
    let way = command(Some(&tmux.0)).unwrap();
    assert!(way.contains(" switch-client -t %"), "{way}");
    tmux.run(&["send-keys", "-t", "desk", &way, "Enter"]);
    assert_eq!(shows("work"), format!("work {pane}\n"));

    // A forged pane.
    at(&tmux.0, "%1; touch x");
    let output = place.ok(&["next"]);
    assert!(
        output.contains("%1; touch x") && !output.contains("go there"),
        "{output}"
    );
}
