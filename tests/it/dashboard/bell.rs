//! How a dashboard informs through its terminal: the bell, and a notification through tmux. Each waits for the eight seconds
//! of the real program.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use super::screen::{Tmux, is_list};
use crate::pseudo_terminal::{PseudoTerminal, contains_in_order};
use crate::support::{Place, until};

#[test]
fn the_bell_rings_for_a_session_that_has_needed_a_person_for_a_while() {
    let place = Place::new();
    place.configure("");
    let _daemon = place.daemon();
    place.ok(&["report", "build", "waiting"]);
    let tmux = Tmux::start(&place, 80, 24);
    let rings = || {
        tmux.ask(&["display-message", "-p", "#{window_bell_flag}"])
            .trim()
            == "1"
    };
    tmux.run("dashboard");
    tmux.shows("the list", is_list);
    assert!(!rings());
    place.ok(&["report", "deploy", "waiting"]);
    tmux.shows("the session", |screen| {
        screen.matches("● waiting").count() == 2
    });
    // The other one was there before.
    assert!(!rings());
    until("the bell", || rings().then_some(()));
}

/// A client of a tmux, on a terminal that is foot by the name that it gives.
struct Foot {
    client: Child,
    terminal: PseudoTerminal,
    seen: Vec<u8>,
}

impl Foot {
    fn attach(place: &Place) -> Self {
        let terminal = PseudoTerminal::open();
        let client = Command::new("setsid")
            .args(["--ctty", "--wait", "tmux", "-u", "-S"])
            .arg(place.path().join("tmux"))
            .arg("attach")
            .env("TERM", "xterm-256color")
            .env_remove("TMUX")
            .stdin(Stdio::from(terminal.program_end()))
            .stdout(Stdio::from(terminal.program_end()))
            .spawn()
            .unwrap();
        Self {
            client,
            terminal,
            seen: Vec::new(),
        }
    }

    /// Reads until it was asked for all of these, one after the other.
    #[track_caller]
    fn gets(&mut self, marks: &[&str]) {
        let mut reader: &File = &self.terminal.person;
        until(marks[0], || {
            let mut buffer = vec![0; 4096];
            let read = reader.read(&mut buffer).unwrap();
            self.seen.extend_from_slice(&buffer[..read]);
            contains_in_order(&self.seen, marks).then_some(())
        });
    }
}

impl Drop for Foot {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

#[test]
fn a_notification_reaches_the_terminal_of_the_client_through_tmux() {
    let place = Place::new();
    place.configure("[dashboard]\nbell = \"notify\"\n");
    let _daemon = place.daemon();
    let tmux = Tmux::start(&place, 80, 24);
    tmux.ask(&["set-option", "-g", "allow-passthrough", "on"]);
    let mut foot = Foot::attach(&place);
    foot.gets(&["\x1b[>q"]);
    foot.terminal
        .person
        .write_all(b"\x1bP>|foot(1.13.1)\x1b\\")
        .unwrap();
    until("the client's name", || {
        let name = tmux.ask(&["list-clients", "-F", "#{client_termtype}"]);
        name.contains("foot").then_some(())
    });
    tmux.run("dashboard");
    tmux.shows("an empty list", |screen| screen.contains("No sessions yet"));
    place.ok(&[
        "report",
        "deploy",
        "waiting",
        "--waiting-for",
        "answer",
        "--reason",
        "staging?",
    ]);
    foot.gets(&["\x1b]777;notify;agent-console;deploy: waiting, answer: staging?\x1b\\"]);
    foot.gets(&["\x07"]);
}
