//! `go`: in a real tmux, in each constellation of servers, sessions and clients. The asking client shows the session's
//! pane, and no other client moves.

use std::fs;

use serde_json::Value;

use crate::in_tmux::{InTmux, Shown, Tmux};
use crate::support::{Place, until};

/// `go` succeeds and prints nothing.
#[track_caller]
fn goes(it: &InTmux, tmux: &Tmux, tty: &str) {
    let (text, status) = it.output_in(tmux, tty, "go");
    assert_eq!((&*text, &*status), ("", "0"));
}

/// Types `go` where it takes over the terminal.
#[track_caller]
fn goes_for_good(it: &InTmux, tmux: &Tmux, tty: &str) {
    tmux.type_line(tty, &it.command("go"));
}

/// Waits until the client on this terminal shows the agent's pane, and gives what it shows.
#[track_caller]
fn shows_agent(it: &InTmux, tty: &str) -> Shown {
    until("the client to show the agent", || {
        let mut clients = it.tmux.clients().into_iter();
        clients.find(|client| client.tty == tty && client.pane == it.pane)
    })
}

/// A daemon whose only session is in a pane of tmux; `work` shows its other window.
macro_rules! in_tmux {
    ($it:ident) => {
        let place = Place::new();
        let _daemon = place.daemon();
        let $it = InTmux::new(place);
        $it.report(&$it.terminal());
        $it.tmux.run(&["select-window", "-t", "work:0"]);
    };
}

#[test]
fn in_a_group_of_sessions_the_asking_client_moves_alone() {
    in_tmux!(it);
    it.tmux.run(&["new-session", "-d", "-s", "b", "-t", "work"]);
    it.tmux.run(&["select-window", "-t", "b:0"]);
    let a = it.outer.attach(&it.tmux, "work");
    let b = it.outer.attach(&it.tmux, "b");
    let before = it.tmux.client(&a);
    // A shell that the second client alone shows.
    it.tmux.run(&["new-window", "-t", "b:", "sh"]);
    let shell = it.tmux.client(&b);
    assert_ne!(shell.window, before.window);
    goes(&it, &it.outer, &b);
    assert_eq!(shows_agent(&it, &b).session, "b");
    assert_eq!(it.tmux.client(&a), before);
}

#[test]
fn a_command_that_runs_later_moves_the_client_in_which_it_was_typed() {
    in_tmux!(it);
    it.tmux.run(&["new-session", "-d", "-s", "b", "-t", "work"]);
    it.tmux.run(&["new-window", "-t", "b:", "sh"]);
    let a = it.outer.attach(&it.tmux, "work");
    let b = it.outer.attach(&it.tmux, "b");
    let before = it.tmux.client(&b);
    let gate = it.place.path().join("gate");
    fs::write(&gate, "").unwrap();
    let wait = format!("while test -e {}; do sleep 0.05; done;", gate.display());
    it.tmux
        .type_line(&it.tty_of("work"), &format!("{wait} {}", it.command("go")));
    // Meanwhile a person types in the other client.
    it.outer.type_line(&b, "true");
    fs::remove_file(&gate).unwrap();
    assert_eq!(shows_agent(&it, &a).session, "work");
    assert_eq!(it.tmux.client(&b), before);
}

#[test]
fn in_a_third_session_the_asking_client_gets_a_view_of_its_own() {
    in_tmux!(it);
    let other = it.outer.attach(&it.tmux, "work");
    let own = it.outer.attach(&it.tmux, "desk");
    let before = it.tmux.client(&other);
    goes(&it, &it.tmux, &it.tty_of("desk"));
    let view = shows_agent(&it, &own).session;
    assert!(view.starts_with("go-"), "{view}");
    assert_eq!(it.tmux.client(&other), before);
    // From the view it is the client's own session: no second one is made.
    it.tmux
        .run(&["new-window", "-t", &format!("{view}:"), "sh"]);
    let shell = it.tty_of(&view);
    goes(&it, &it.tmux, &shell);
    assert_eq!(shows_agent(&it, &own).session, view);
    assert_eq!(it.tmux.client(&other), before);
    // Led elsewhere, the client leaves no view behind.
    it.report(&it.terminal_of("desk"));
    it.tmux.run(&["select-window", "-t", &format!("{view}:2")]);
    goes(&it, &it.tmux, &shell);
    assert_eq!(it.tmux.client(&own).session, "desk");
    let sessions = it.tmux.run(&["list-sessions", "-F", "#{session_name}"]);
    assert!(!sessions.contains(&view), "{sessions}");
    assert_eq!(it.tmux.client(&other), before);
}

#[test]
fn of_two_clients_of_one_session_only_the_asking_one_moves() {
    in_tmux!(it);
    let first = it.outer.attach(&it.tmux, "work");
    let second = it.outer.attach(&it.tmux, "work");
    let before = it.tmux.client(&first);
    // tmux knows to the second when a client was used.
    until("the second client to be the one that was used last", || {
        it.outer.type_line(&second, "");
        let format = "#{client_activity} #{client_tty}";
        let used = it.tmux.run(&["list-clients", "-F", format]);
        let last = used.lines().max().unwrap();
        let times: Vec<_> = used.lines().map(|line| line.split(' ').next()).collect();
        (last.ends_with(&second) && times[0] != times[1]).then_some(())
    });
    goes(&it, &it.outer, &second);
    assert!(shows_agent(&it, &second).session.starts_with("go-"));
    assert_eq!(it.tmux.client(&first), before);
}

#[test]
fn a_key_and_a_popup_move_their_own_client() {
    in_tmux!(it);
    let other = it.outer.attach(&it.tmux, "work");
    let own = it.outer.attach(&it.tmux, "desk");
    let before = it.tmux.client(&other);
    let at_desk = it.tmux.client(&own);
    for command in ["run-shell", "display-popup -E"] {
        let words: Vec<_> = command.split(' ').collect();
        let go = it.command("go");
        it.tmux
            .run(&[&["bind-key", "-n", "F5"], &words[..], &[&go]].concat());
        // A person types in the other client last.
        it.outer.type_line(&other, "true");
        let pane = it.outer.pane_with(&own);
        it.outer.run(&["send-keys", "-t", &pane, "F5"]);
        shows_agent(&it, &own);
        assert_eq!(it.tmux.client(&other), before, "{command}");
        it.tmux.run(&["switch-client", "-c", &own, "-t", "desk"]);
        until("the client to be at its desk", || {
            (it.tmux.client(&own) == at_desk).then_some(())
        });
    }
}

#[test]
fn from_another_server_a_client_is_attached_in_the_asking_terminal() {
    in_tmux!(it);
    let other = it.outer.attach(&it.tmux, "work");
    let before = it.tmux.client(&other);
    // `$TMUX` names another server there; and the same without it.
    for shell in ["sh", "env -u TMUX sh"] {
        let tty = it.outer.window(shell);
        goes_for_good(&it, &it.outer, &tty);
        assert!(shows_agent(&it, &tty).session.starts_with("go-"));
        assert_eq!(it.tmux.client(&other), before);
    }
}

#[test]
fn a_pane_inside_a_pane_is_reached_through_both() {
    in_tmux!(it);
    // The client of the inner tmux is in a window of the outer one that no one looks at; a person is in another window.
    let inner_client = it.outer.attach(&it.tmux, "work");
    let desk = it.outer.window("sh");
    let top = Tmux(format!("{}/top", it.place.path().display()));
    let outer_client = top.attach(&it.outer, "w");
    it.outer.run(&["select-window", "-t", "w:1"]);
    goes(&it, &it.outer, &desk);
    shows_agent(&it, &inner_client);
    until("the outer client to show the inner one", || {
        let pane = it.outer.client(&outer_client).pane;
        let format = ["display-message", "-p", "-t", &pane, "#{pane_tty}"];
        (it.outer.run(&format) == inner_client).then_some(())
    });
    // From within the inner one to a pane of the outer one.
    let pid = it.outer.run(&["display-message", "-p", "#{pid}"]);
    let pane = it
        .outer
        .run(&["display-message", "-p", "-t", "w:1", "#{pane_id}"]);
    let terminal = serde_json::json!({"tmux": it.outer.0, "tmux_pid": pid.parse::<u32>().unwrap(),
        "tmux_pane": pane, "tty": desk});
    it.report(&terminal);
    it.tmux.run(&["select-window", "-t", "work:0"]);
    goes(&it, &it.tmux, &it.tty_of("work"));
    assert_eq!(it.outer.client(&outer_client).pane, pane);
}

#[test]
fn the_commands_and_the_way_are_printed() {
    in_tmux!(it);
    it.tmux.run(&["select-window", "-t", "desk:0"]);
    let own = it.outer.attach(&it.tmux, "desk");
    let at_desk = it.tmux.client(&own);
    let desk = it.tty_of("desk");
    let (line, status) = it.output_in(&it.tmux, &desk, "go --print");
    assert_eq!(status, "0");
    assert!(
        line.contains(&format!(" switch-client -c {own} -t ")),
        "{line}"
    );
    let (next, _) = it.output_in(&it.tmux, &desk, "next --go --print");
    assert_eq!(next, line);
    let json = |arguments: &str| -> Value {
        let (text, status) = it.output_in(&it.tmux, &desk, arguments);
        assert_eq!(status, "0", "{text}");
        serde_json::from_str(&text).unwrap()
    };
    let printed = json("go --print --json");
    assert_eq!(printed["goes"], false);
    assert_eq!(printed["places"][0]["way"], "tmux");
    assert_eq!(printed["places"][0]["place"], format!("pane {}", it.pane));
    assert_eq!(printed["places"][0]["commands"][0][0], "tmux");
    assert_eq!(it.tmux.client(&own), at_desk, "nothing has moved");
    let key = printed["session"].as_str().unwrap();
    assert_eq!(json(&format!("go {key} --json"))["goes"], true);
    shows_agent(&it, &own);
}

#[test]
fn a_place_that_is_not_proven_is_not_gone_to() {
    in_tmux!(it);
    let own = it.outer.attach(&it.tmux, "work");
    let before = it.tmux.client(&own);
    let true_one = it.terminal();
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut terminal = true_one.clone();
        change(&mut terminal);
        it.report(&terminal);
        let (text, status) = it.output_in(&it.tmux, &it.tty_of("desk"), "go");
        assert_eq!(status, "1", "{text}");
        assert!(
            text.starts_with("agent-console: there is no way to "),
            "{text}"
        );
        assert!(text.contains(" (host "), "{text}");
        text
    };
    // Inherited by a program in a terminal of its own.
    let inherited = refused(&|terminal| terminal["tty"] = "/dev/pts/4242".into());
    assert!(
        inherited.contains("the session runs in /dev/pts/4242"),
        "{inherited}"
    );
    // Of an earlier server at the same socket.
    let restarted = refused(&|terminal| terminal["tmux_pid"] = 1.into());
    assert!(
        restarted.contains("another one is at its socket"),
        "{restarted}"
    );
    refused(&|terminal| terminal["tmux_pane"] = "%4242".into());
    let json = it.output_in(&it.tmux, &it.tty_of("desk"), "go --json");
    let value: Value = serde_json::from_str(json.0.lines().next().unwrap()).unwrap();
    assert_eq!((&json.1[..], &value["goes"]), ("1", &Value::Bool(false)));
    assert!(
        value["reasons"][0].as_str().unwrap().contains("%4242"),
        "{value}"
    );
    assert_eq!(it.tmux.client(&own), before);
}

#[test]
fn a_session_without_a_terminal_has_no_way() {
    let place = Place::new();
    let _daemon = place.daemon();
    place.ok(&["report", "build", "waiting", "--cwd", "/w"]);
    for arguments in [&["go"][..], &["go", "build"], &["next", "--go"]] {
        let output = place.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("there is no way to build: "), "{text}");
        assert!(text.contains("terminal not known, directory /w)"), "{text}");
    }
    place.ok(&["report", "build", "working"]);
    let output = place.run(&["go"]);
    assert_eq!(output.stderr, b"agent-console: no session needs you\n");
}

/// A stand-in for `WezTerm`: it has one pane, with the terminal in the file `tty`, and notes what it is called with.
#[cfg(target_os = "linux")]
const WEZTERM: &str = r#"#!/bin/sh
d=$(dirname "$0")
case "$*" in
  'cli --no-auto-start list --format json') printf '[{"pane_id":7,"tty_name":"%s"}]' "$(cat "$d/tty")" ;;
  *) echo "$WEZTERM_UNIX_SOCKET $*" >>"$d/calls" ;;
esac
"#;

#[cfg(target_os = "linux")]
#[test]
fn a_pane_of_a_terminal_on_this_display_is_activated() {
    use crate::support::{Sleeper, write_program};
    use std::process::{Command, Stdio};

    let place = Place::new();
    let _daemon = place.daemon();
    let programs = place.path().join("programs");
    fs::create_dir(&programs).unwrap();
    write_program(&programs.join("wezterm"), WEZTERM);
    let socket = place.path().join("gui-sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    // script(1) owns the terminal, as WezTerm would.
    let hook = format!(
        "tty >{}/tty; printf '%s' '{}' | CLAUDE_PID=$$ CLAUDE_CODE_SESSION_ATTENDED=1 {} hook claude-code; exec sleep 600",
        programs.display(),
        r#"{"hook_event_name":"PermissionRequest","session_id":"s","tool_name":"Bash","tool_input":{"command":"ls"}}"#,
        crate::support::program().display(),
    );
    let hook_file = place.path().join("agent");
    fs::write(&hook_file, hook).unwrap();
    let _terminal = Sleeper(
        Command::new("script")
            .args(["-qc", &format!("sh {}", hook_file.display()), "/dev/null"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", place.path().join("home"))
            .env("AGENT_CONSOLE_SOCKET", place.socket())
            .env("WEZTERM_PANE", "7")
            .env("WEZTERM_UNIX_SOCKET", &socket)
            .env("DISPLAY", ":4242")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    );
    until("the session", || {
        let sessions = place.json(&["list", "--json"]);
        (!sessions.as_array().unwrap().is_empty()).then_some(())
    });
    let go = |display: &str| {
        let path = std::env::var("PATH").unwrap();
        let mut go = place.command(["go"]);
        go.env("PATH", format!("{}:{path}", programs.display()));
        go.env("DISPLAY", display).output().unwrap()
    };
    let refused = go(":4343");
    let text = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text.contains("on another display"), "{text}");
    let gone = go(":4242");
    assert!(gone.status.success(), "{gone:?}");
    let calls = fs::read_to_string(programs.join("calls")).unwrap();
    let expected = format!("{} cli activate-pane --pane-id 7\n", socket.display());
    assert_eq!(calls, expected);
    // The pane is another terminal's now.
    fs::write(programs.join("tty"), "/dev/pts/4242\n").unwrap();
    assert_eq!(go(":4242").status.code(), Some(1));
}
