//! The keys that bring a person to a session, and `--once`, with the real dashboard in a real tmux.

use std::fs;

use rustix::process::{Signal, kill_process};
use serde_json::json;

use super::pace::Dashboard;
use super::screen;
use crate::in_tmux::{InTmux, Shown, Tmux};
use crate::support::{Place, Sleeper, until, write_program};

/// What is on the screen of the pane with this terminal.
fn screen_of(tmux: &Tmux, tty: &str) -> String {
    tmux.run(&["capture-pane", "-p", "-t", &tmux.pane_with(tty)])
}

/// Waits until the pane with this terminal shows what it should.
#[track_caller]
fn shows(tmux: &Tmux, tty: &str, is: impl Fn(&str) -> bool) -> String {
    let mut last = String::new();
    let shown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until("the screen", || {
            last = screen_of(tmux, tty);
            is(&last).then(|| last.clone())
        })
    }));
    shown.unwrap_or_else(|_| panic!("timed out:\n{}", screen_of(tmux, tty)))
}

/// The list is there, and the session that waits is selected.
fn waits(screen: &str) -> bool {
    screen.contains("▌● waiting")
}

#[track_caller]
fn press(tmux: &Tmux, tty: &str, keys: &[&str]) {
    let pane = tmux.pane_with(tty);
    tmux.run(&[&["send-keys", "-t", &pane], keys].concat());
}

/// Waits until the client on this terminal shows the agent's pane.
#[track_caller]
fn shows_agent(it: &InTmux, tty: &str) -> Shown {
    until("the client to show the agent", || {
        let mut clients = it.tmux.clients().into_iter();
        clients.find(|client| client.tty == tty && client.pane == it.pane)
    })
}

/// Starts the dashboard in the shell of this pane, and waits for its list.
#[track_caller]
fn open(it: &InTmux, tmux: &Tmux, tty: &str, arguments: &str) {
    let run = it.command(&format!("dashboard {arguments}"));
    tmux.type_line(tty, &format!("LANG=C.UTF-8 {run}; echo left $?"));
    shows(tmux, tty, waits);
}

/// A daemon whose only session waits in a pane of tmux; `work` shows its other window.
macro_rules! in_tmux {
    ($it:ident) => {
        let place = Place::new();
        place.configure("");
        let _daemon = place.daemon();
        let $it = InTmux::new(place);
        $it.report(&$it.terminal());
        $it.tmux.run(&["select-window", "-t", "work:0"]);
    };
}

#[test]
fn enter_moves_the_asking_client_and_the_dashboard_stays() {
    in_tmux!(it);
    let other = it.outer.attach(&it.tmux, "work");
    let own = it.outer.attach(&it.tmux, "desk");
    let before = it.tmux.client(&other);
    let desk = it.tty_of("desk");
    open(&it, &it.tmux, &desk, "");
    let list = screen_of(&it.tmux, &desk);
    press(&it.tmux, &desk, &["Enter"]);
    shows_agent(&it, &own);
    assert_eq!(it.tmux.client(&other), before);
    // The dashboard has drawn nothing but ages, and answers.
    let without_ages = |screen: &str| screen.replace(|c: char| c.is_ascii_digit() || c == 's', "");
    let after = screen_of(&it.tmux, &desk);
    assert_eq!(
        without_ages(&after).split_whitespace().collect::<Vec<_>>(),
        without_ages(&list).split_whitespace().collect::<Vec<_>>()
    );
    // Again, from where the person comes back to.
    it.tmux.run(&["switch-client", "-c", &own, "-t", "desk"]);
    press(&it.tmux, &desk, &["Enter"]);
    shows_agent(&it, &own);
    assert_eq!(it.tmux.client(&other), before);
    press(&it.tmux, &desk, &["q"]);
    shows(&it.tmux, &desk, |screen| screen.contains("left 0"));
}

#[test]
fn what_has_ended_is_seen_once_the_person_has_gone_there() {
    in_tmux!(it);
    let event = json!({"hook_event_name": "Stop", "session_id": "s"});
    it.report_event(&it.terminal(), &event);
    let own = it.outer.attach(&it.tmux, "desk");
    let desk = it.tty_of("desk");
    let run = it.command("dashboard");
    it.tmux.type_line(&desk, &format!("LANG=C.UTF-8 {run}"));
    shows(&it.tmux, &desk, |screen| screen.contains("▌✓ finished"));
    press(&it.tmux, &desk, &["Enter"]);
    shows_agent(&it, &own);
    shows(&it.tmux, &desk, |screen| screen.contains("▌○ idle"));
}

#[test]
fn once_it_leaves_when_it_has_gone_there() {
    in_tmux!(it);
    let own = it.outer.attach(&it.tmux, "desk");
    let desk = it.tty_of("desk");
    open(&it, &it.tmux, &desk, "--once");
    press(&it.tmux, &desk, &["Enter"]);
    shows_agent(&it, &own);
    shows(&it.tmux, &desk, |screen| screen.contains("left 0"));
}

#[test]
fn where_there_is_no_way_it_says_why_and_stays() {
    in_tmux!(it);
    let mut terminal = it.terminal();
    terminal["tty"] = "/dev/pts/4242".into();
    it.report(&terminal);
    let own = it.outer.attach(&it.tmux, "desk");
    let desk = it.tty_of("desk");
    let before = it.tmux.client(&own);
    for arguments in ["", "--once"] {
        open(&it, &it.tmux, &desk, arguments);
        press(&it.tmux, &desk, &["Enter"]);
        let why = shows(&it.tmux, &desk, |screen| screen.contains("no way to"));
        let words: Vec<_> = why.split_whitespace().collect();
        let why = words.join(" ");
        assert!(why.contains("the session runs in /dev/pts/4242"), "{why}");
        assert!(
            why.contains("(host ") && why.contains("terminal /dev/pts/4242"),
            "{why}"
        );
        assert!(waits(&why), "{why}");
        assert_eq!(it.tmux.client(&own), before);
        press(&it.tmux, &desk, &["q"]);
        shows(&it.tmux, &desk, |screen| screen.contains("left 0"));
        it.tmux.type_line(&desk, "clear");
    }
}

#[test]
fn a_popup_moves_its_own_client_and_closes() {
    in_tmux!(it);
    let other = it.outer.attach(&it.tmux, "work");
    let own = it.outer.attach(&it.tmux, "desk");
    let before = it.tmux.client(&other);
    let dashboard = format!("LANG=C.UTF-8 {}", it.command("dashboard --once"));
    let popup = ["display-popup", "-w", "90%", "-h", "90%", "-E", &dashboard];
    it.tmux
        .run(&[&["bind-key", "-n", "F5"], &popup[..]].concat());
    press(&it.outer, &own, &["F5"]);
    shows(&it.outer, &own, waits);
    // A person types in the other client.
    it.outer.type_line(&other, "true");
    press(&it.outer, &own, &["Enter"]);
    shows_agent(&it, &own);
    shows(&it.outer, &own, |screen| !waits(screen));
    assert_eq!(it.tmux.client(&other), before);
}

#[test]
fn from_outside_a_client_takes_the_terminal_and_gives_it_back() {
    in_tmux!(it);
    for arguments in ["", "--once"] {
        let tty = it.outer.window("env PS1='$ ' sh");
        open(&it, &it.outer, &tty, arguments);
        press(&it.outer, &tty, &["Enter"]);
        shows_agent(&it, &tty);
        // Each key is the client's.
        let shell = it.display("work:0", "#{pane_id}");
        it.tmux.run(&[
            "select-window",
            "-t",
            &format!("{}:0", it.tmux.client(&tty).session),
        ]);
        let typed = "typed-through-the-client";
        it.outer.type_line(&tty, &format!("echo {typed}"));
        until("what was typed", || {
            let screen = it.tmux.run(&["capture-pane", "-p", "-t", &shell]);
            (screen.matches(typed).count() >= 2).then_some(())
        });
        it.tmux.run(&["detach-client", "-t", &tty]);
        if arguments.is_empty() {
            shows(&it.outer, &tty, waits);
            press(&it.outer, &tty, &["?"]);
            shows(&it.outer, &tty, |screen| screen.contains("Shift-drag"));
            press(&it.outer, &tty, &["x", "q"]);
        }
        shows(&it.outer, &tty, |screen| screen.contains("left 0"));
        it.tmux.run(&["send-keys", "-t", &shell, "clear", "Enter"]);
    }
}

#[test]
fn a_signal_ends_it_and_the_client_that_has_its_terminal() {
    in_tmux!(it);
    let tty = it.outer.window("env PS1='$ ' sh");
    open(&it, &it.outer, &tty, "");
    press(&it.outer, &tty, &["Enter"]);
    shows_agent(&it, &tty);
    let pane = it.outer.pane_with(&tty);
    let shell = it
        .outer
        .run(&["display-message", "-p", "-t", &pane, "#{pane_pid}"]);
    let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    kill_process(super::pid(&children), Signal::TERM).unwrap();
    shows(&it.outer, &tty, |screen| screen.contains("left 143"));
    assert!(it.tmux.clients().iter().all(|client| client.tty != tty));
}

/// A tmux that never answers.
#[test]
fn a_program_that_hangs_does_not_stop_it() {
    in_tmux!(it);
    let programs = it.place.path().join("programs");
    fs::create_dir(&programs).unwrap();
    write_program(&programs.join("tmux"), "#!/bin/sh\nexec sleep 600\n");
    let desk = it.tty_of("desk");
    let path = format!("PATH={}:$PATH", programs.display());
    it.tmux.type_line(&desk, &path);
    open(&it, &it.tmux, &desk, "");
    press(&it.tmux, &desk, &["Enter"]);
    shows(&it.tmux, &desk, |screen| screen.contains("asking tmux and"));
    press(&it.tmux, &desk, &["Space"]);
    shows(&it.tmux, &desk, |screen| screen.contains("session id"));
    shows(&it.tmux, &desk, |screen| screen.contains("cannot be asked"));
}

/// A closed session of Claude Code's, whose program is a stand-in that writes down how it was called.
fn close(place: &Place) -> String {
    let programs = place.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let called = place.path().join("called");
    let script = format!(
        "#!/bin/sh\necho \"$PWD $*\" >{}\nexec sleep 600\n",
        called.display()
    );
    write_program(&programs.join("claude"), &script);
    let mut agent = Sleeper::start();
    let directory = place.path().display().to_string();
    let event = json!({"session_id": "1b2c", "hook_event_name": "UserPromptSubmit", "prompt": "x", "cwd": directory});
    place.hook(agent.pid(), true, &event.to_string());
    agent.kill();
    until("the session's end", || {
        place
            .ok(&["list", "--all"])
            .contains("closed")
            .then_some(())
    });
    format!("{directory} --resume 1b2c\n")
}

#[test]
fn r_resumes_a_closed_session_in_a_new_window_of_the_same_tmux_session() {
    in_tmux!(it);
    let expected = close(&it.place);
    let other = it.outer.attach(&it.tmux, "work");
    let own = it.outer.attach(&it.tmux, "desk");
    let before = it.tmux.client(&other);
    let desk = it.tty_of("desk");
    let path = format!("PATH={}/programs:$PATH", it.place.path().display());
    it.tmux.type_line(&desk, &path);
    open(&it, &it.tmux, &desk, "");
    press(&it.tmux, &desk, &["c", "G"]);
    shows(&it.tmux, &desk, |screen| screen.contains("▌· closed"));
    press(&it.tmux, &desk, &["r"]);
    let called = it.place.path().join("called");
    until("the agent", || {
        let called = fs::read_to_string(&called).ok()?;
        (called == expected).then_some(())
    });
    shows(&it.tmux, &desk, |screen| {
        screen.contains("resumed in window 1 of tmux")
    });
    assert_eq!(it.display("desk", "#{window_index}"), "1");
    let shown = it.tmux.client(&own);
    assert_eq!(shown.pane, it.display("desk:1", "#{pane_id}"));
    assert_eq!(it.tmux.client(&other), before);
}

#[test]
fn without_tmux_r_copies_the_command() {
    let place = Place::new();
    let _daemon = place.daemon();
    close(&place);
    let mut dashboard = Dashboard::start(&place);
    dashboard.draws(&["No open sessions"]);
    dashboard.press(b"c");
    dashboard.draws(&["closed"]);
    dashboard.press(b"r");
    dashboard.draws(&["\x1b]52;c;", "OSC 52", "--resume 1b2c"]);
    assert!(!place.path().join("called").exists());
}

#[test]
fn tab_goes_through_those_that_need_a_person() {
    let place = Place::new();
    let _daemon = place.daemon();
    for (key, status) in [("a", "waiting"), ("b", "error"), ("c", "working")] {
        place.ok(&["report", key, status, "--reason", &format!("reason {key}")]);
    }
    let tmux = screen::Tmux::start(&place, 80, 24);
    tmux.run("dashboard");
    let selects = |key: &str| {
        let reason = format!("reason {key}");
        tmux.shows(&reason, |screen| {
            let mut lines = screen.lines();
            lines.any(|line| line.starts_with('▌') && line.contains(&reason))
        });
    };
    selects("a");
    for (press, key) in [("Tab", "b"), ("Tab", "a"), ("BTab", "b"), ("BTab", "a")] {
        tmux.keys(&[press]);
        selects(key);
    }
}
