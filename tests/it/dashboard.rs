//! The dashboard as a person has it: the real program in a real terminal (tmux), keys sent, the screen read.

mod bell;
mod going;
mod pace;
pub(crate) mod screen;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use self::screen::{Tmux, is_list};
use crate::support::{Place, until};

/// Three sessions, one of which needs a person.
fn three(place: &Place) {
    place.ok(&[
        "report",
        "build",
        "working",
        "--reason",
        "cargo test",
        "--title",
        "Faster tests",
    ]);
    place.ok(&[
        "report",
        "deploy",
        "waiting",
        "--waiting-for",
        "answer",
        "--reason",
        "staging?",
    ]);
    place.ok(&["report", "docs", "idle", "--cwd", "/srv/docs"]);
}

#[test]
fn it_starts_filters_opens_follows_the_size_and_leaves() {
    let place = Place::new();
    let _daemon = place.daemon();
    three(&place);
    let tmux = Tmux::start(&place, 80, 24);
    let before = tmux.modes();
    // The bare command, on a terminal.
    tmux.run("");
    let screen = tmux.shows("the list", is_list);
    let rows: Vec<_> = screen.lines().skip(3).take(3).collect();
    assert!(
        rows[0].starts_with("▌● waiting") && rows[0].contains("answer: staging?"),
        "{screen}"
    );
    assert!(
        rows[1].contains("▸ working") && rows[1].contains("Faster tests"),
        "{screen}"
    );
    assert!(
        rows[2].contains("○ idle") && rows[2].contains("/srv/docs"),
        "{screen}"
    );
    assert!(
        screen.contains("1 waiting") && screen.contains("q quit"),
        "{screen}"
    );
    // What is reported from now on is there at once.
    place.ok(&["report", "build", "error", "--reason", "it broke"]);
    tmux.shows("a change", |screen| {
        screen.contains("✗ failed") && screen.contains("it broke")
    });

    tmux.keys(&["/", "d", "o", "c"]);
    tmux.shows("the filter", |screen| {
        screen.contains("/ doc") && !screen.contains("staging")
    });
    tmux.keys(&["Escape"]);
    tmux.shows("the whole list", |screen| screen.contains("staging"));

    tmux.keys(&["k", "Space"]);
    let detail = tmux.shows("the evidence", |screen| screen.contains("Evidence"));
    assert!(
        detail.contains("key        build") && detail.contains("History"),
        "{detail}"
    );
    // The evidence follows the session.
    place.ok(&["report", "build", "waiting", "--waiting-for", "plan"]);
    tmux.shows("new evidence", |screen| {
        screen.contains("report waiting → waiting: plan")
    });
    tmux.resize(150, 40);
    tmux.shows("both", |screen| {
        screen.contains("STATUS") && screen.contains("│ Evidence")
    });
    tmux.resize(40, 15);
    tmux.shows("the detail alone", |screen| {
        !screen.contains("STATUS") && screen.contains("plan")
    });
    tmux.keys(&["Left"]);
    let narrow = tmux.shows("the narrow list", is_list);
    assert!(
        narrow.lines().all(|line| line.chars().count() <= 40),
        "{narrow}"
    );
    tmux.resize(80, 24);
    tmux.shows("the list as before", |screen| screen.contains("DIRECTORY"));

    tmux.keys(&["q"]);
    tmux.has_its_shell_back();
    assert_eq!(tmux.modes(), before);
}

#[test]
fn a_stopped_agent_is_shown_without_any_event() {
    let place = Place::new();
    let _daemon = place.daemon();
    let mut command = std::process::Command::new("setsid");
    let agent = command.args(["sleep", "600"]).spawn().unwrap();
    let agent = crate::support::Sleeper(agent);
    let event =
        json!({"session_id": "one", "hook_event_name": "UserPromptSubmit", "prompt": "fix it"});
    place.hook(agent.pid(), true, &event.to_string());
    let tmux = Tmux::start(&place, 80, 24);
    tmux.run("dashboard");
    tmux.shows("the agent at work", |screen| screen.contains("▸ working"));
    let pid = self::pid(&agent.pid().to_string());
    kill_process(pid, Signal::STOP).unwrap();
    tmux.shows("the stop", |screen| {
        screen.contains("■ stopped") && screen.contains("stopped: `fg`")
    });
    kill_process(pid, Signal::CONT).unwrap();
    tmux.shows("it at work again", |screen| screen.contains("▸ working"));
    // What the agent asks is in the detail.
    let asked = json!({"session_id": "one", "hook_event_name": "PermissionRequest", "tool_name": "AskUserQuestion",
        "tool_input": {"questions": [{"question": "Which one?", "options": [{"label": "left"}, {"label": "right"}]}]}});
    place.hook(agent.pid(), true, &asked.to_string());
    tmux.shows("the question's kind", |screen| screen.contains("● waiting"));
    tmux.keys(&["Right"]);
    tmux.shows("the question", |screen| {
        screen.contains("Which one? (left / right)")
    });
}

#[test]
fn sessions_are_forgotten_by_a_key_and_the_resume_command_is_on_the_clipboard() {
    let place = Place::new();
    let _daemon = place.daemon();
    three(&place);
    let agent = crate::support::Sleeper::start();
    let id = "6f1c2d3e-0000-4000-8000-123456789abc";
    let event = json!({"session_id": id, "hook_event_name": "PermissionRequest", "tool_name": "Bash", "tool_input": {"command": "ls"}});
    place.hook(agent.pid(), true, &event.to_string());
    let tmux = Tmux::start(&place, 80, 24);
    tmux.run("dashboard");
    tmux.shows("the list", is_list);
    tmux.keys(&["/"]);
    tmux.keys(&["d", "e", "p", "Enter", "d"]);
    tmux.shows("the question", |screen| {
        screen.contains("Forget deploy? It is waiting.")
    });
    tmux.keys(&["y"]);
    tmux.shows("nothing", |screen| screen.contains("Nothing matches"));
    assert!(!place.ok(&["list"]).contains("deploy"));
    tmux.keys(&["Escape"]);
    tmux.shows("the agent on top", |screen| {
        screen.contains("▌● waiting") && screen.contains("Bash ls")
    });
    tmux.keys(&["y"]);
    tmux.shows("what was copied", |screen| screen.contains("OSC 52"));
    // tmux is the terminal here, and keeps what it is given.
    let command = format!("claude --resume {id}");
    until("the clipboard", || {
        (tmux.ask(&["show-buffer"]) == command).then_some(())
    });
}

#[test]
fn it_comes_back_after_a_crash_and_waits_for_a_person_after_a_stop() {
    let place = Place::new();
    let mut daemon = place.daemon();
    three(&place);
    let tmux = Tmux::start(&place, 80, 24);
    tmux.run("dashboard");
    tmux.shows("the list", is_list);
    daemon.signal("KILL");
    daemon.wait();
    let lost = tmux.shows("the loss", |screen| {
        screen.contains("daemon gone, trying again")
    });
    assert!(
        lost.contains("staging?"),
        "what was last known stays: {lost}"
    );
    let mut daemon = place.daemon();
    place.ok(&["report", "second", "working", "--reason", "after the crash"]);
    let back = tmux.shows("the new daemon", |screen| {
        screen.contains("after the crash")
    });
    assert!(
        back.contains("staging?") && !back.contains("daemon gone"),
        "{back}"
    );
    daemon.signal("TERM");
    daemon.wait();
    tmux.shows("the loss", |screen| screen.contains("daemon gone"));
    let mut daemon = place.daemon_without_state();
    tmux.shows("the empty state", |screen| {
        screen.contains("No sessions yet") && screen.contains("agent-console install")
    });
    place.ok(&["stop"]);
    daemon.wait();
    tmux.shows("the stop", |screen| {
        screen.contains("was stopped; any key connects again")
    });
    let daemon = place.daemon();
    // Only now: the socket was there before the key.
    let dashboards = || place.json(&["status", "--json"])["dashboards"].clone();
    assert_eq!(dashboards(), 0);
    tmux.keys(&["r"]);
    tmux.shows("the third daemon", |screen| !screen.contains("stopped"));
    until("the connection", || (dashboards() == 1).then_some(()));
    drop(daemon);
}

#[test]
fn without_a_daemon_it_says_what_to_run_and_goes_on_when_that_was_done() {
    let place = Place::new();
    let tmux = Tmux::start(&place, 80, 24);
    tmux.run("");
    tmux.shows("advice", |screen| {
        screen.contains("no daemon yet, trying again") && screen.contains("start it with")
    });
    let _daemon = place.daemon();
    tmux.shows("the empty state", |screen| {
        screen.contains("No sessions yet")
    });
}

#[test]
fn whatever_ends_it_the_terminal_is_as_before() {
    let place = Place::new();
    let _daemon = place.daemon();
    three(&place);
    let tmux = Tmux::start(&place, 80, 24);
    let before = tmux.modes();
    for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT] {
        tmux.run("dashboard");
        tmux.shows("the list", is_list);
        assert_ne!(tmux.modes(), before);
        kill_process(tmux.dashboard(), signal).unwrap();
        tmux.has_its_shell_back();
        assert_eq!(tmux.modes(), before, "{signal:?}");
    }
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_back() {
    let place = Place::new();
    let _daemon = place.daemon();
    three(&place);
    let tmux = Tmux::start(&place, 80, 24);
    let before = tmux.modes();
    tmux.run("dashboard");
    tmux.shows("the list", is_list);
    let within = tmux.modes();
    let ways: [&dyn Fn(); 2] = [&|| tmux.keys(&["C-z"]), &|| {
        kill_process(tmux.dashboard(), Signal::TSTP).unwrap();
    }];
    for suspend in ways {
        suspend();
        tmux.has_its_shell_back();
        // The shell takes its own modes only once the job has stopped.
        until("the shell's modes", || {
            (tmux.modes() == before).then_some(())
        });
        // It gets the changes of the meantime when it resumes.
        place.ok(&["report", "docs", "idle", "--title", "while it was stopped"]);
        tmux.type_line("fg");
        tmux.shows("the list", |screen| {
            is_list(screen) && screen.contains("1 waiting")
        });
        until("its own modes", || (tmux.modes() == within).then_some(()));
    }
    tmux.keys(&["q"]);
    tmux.has_its_shell_back();
    assert_eq!(tmux.modes(), before);
}

/// Where there is no shell to come back from, it would be gone for ever.
#[test]
fn ctrl_z_does_nothing_in_a_window_of_its_own() {
    let place = Place::new();
    let _daemon = place.daemon();
    three(&place);
    let tmux = Tmux::start(&place, 80, 24);
    tmux.becomes("dashboard");
    tmux.shows("the list", is_list);
    tmux.keys(&["C-z"]);
    tmux.shows("why not", |screen| screen.contains("no shell to come back"));
    tmux.keys(&["j"]);
    tmux.shows("that it lives", |screen| screen.contains("▌▸ working"));
}

/// The test program itself is what panics, in the terminal.
#[test]
fn a_panic_gives_the_terminal_back_and_says_what_it_was() {
    if std::env::var_os("PANIC_ON_A_SCREEN").is_some() {
        let _screen = agent_console::dashboard::terminal::Screen::open().unwrap();
        panic!("as it was asked to");
    }
    let place = Place::new();
    let tmux = Tmux::start(&place, 80, 24);
    let before = tmux.modes();
    let program = std::env::current_exe().unwrap();
    let test = "dashboard::a_panic_gives_the_terminal_back_and_says_what_it_was";
    tmux.type_line(&format!(
        "PANIC_ON_A_SCREEN=1 {} --exact {test} --nocapture",
        program.display()
    ));
    tmux.shows("the message", |screen| {
        screen.contains("as it was asked to") && screen.contains("FAILED")
    });
    tmux.has_its_shell_back();
    assert_eq!(tmux.modes(), before);
}

#[test]
fn without_a_terminal_it_says_what_else_there_is() {
    let place = Place::new();
    let bare = place.run(&[]);
    assert_eq!(bare.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&bare.stderr).contains("Usage: agent-console"),
        "{bare:?}"
    );
    let dashboard = place.run(&["dashboard"]);
    assert_eq!(dashboard.status.code(), Some(1));
    let said = String::from_utf8_lossy(&dashboard.stderr);
    assert!(
        said.contains("needs a terminal") && said.contains("agent-console list"),
        "{said}"
    );
    // A command without its own command is no dashboard.
    let tmux = Tmux::start(&place, 80, 24);
    tmux.run("config");
    tmux.shows("the usage", |screen| {
        screen.contains("Usage: agent-console config")
    });
    tmux.run("dashboard --help");
    tmux.shows("the help", |screen| screen.contains("full-screen"));
    tmux.type_line(&format!(
        "clear; TERM=dumb {} dashboard",
        crate::support::program().display()
    ));
    tmux.shows("the reason", |screen| screen.contains("can place text"));
}

/// The process of this id, which is alive.
fn pid(text: &str) -> Pid {
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

#[test]
fn what_has_ended_is_seen_once_its_detail_is_open() {
    let place = Place::new();
    let _daemon = place.daemon();
    for status in ["working", "idle"] {
        place.ok(&["report", "build", status]);
    }
    let attention = || place.json(&["get", "build", "--json"])["attention"].take();
    let tmux = Tmux::start(&place, 80, 24);
    tmux.run("");
    tmux.shows("the list", |screen| screen.contains("▌✓ finished"));
    assert_eq!(attention(), true);
    tmux.keys(&["Space"]);
    until("the session to need no person", || {
        (attention() == false).then_some(())
    });
    tmux.keys(&["q"]);
}
