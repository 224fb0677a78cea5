//! When a dashboard draws, seen at the real program's terminal. `tests/bench` measures how fast and at what cost.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::pseudo_terminal::{PseudoTerminal, contains_in_order};
use crate::support::{PATIENCE, Place, program, until};

/// What a picture ends with: the end of a synchronised update.
const PICTURE: &[u8] = b"\x1b[?2026l";

/// How many sessions there are, and how many of them change in a second.
const SESSIONS: usize = 1000;
const CHANGES: u32 = 100;

/// A dashboard on a pseudo-terminal.
pub(super) struct Dashboard {
    child: Child,
    terminal: PseudoTerminal,
    seen: Vec<u8>,
}

impl Dashboard {
    pub(super) fn start(place: &Place) -> Self {
        let terminal = PseudoTerminal::open();
        // The same environment as every command's, and the terminal as its own.
        let like = place.command(["dashboard"]);
        let mut command = Command::new("setsid");
        command
            .args(["--ctty", "--wait"])
            .arg(program())
            .arg("dashboard")
            .env_clear();
        for (name, value) in like.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        let child = command
            .env("TERM", "xterm-256color")
            .stdin(Stdio::from(terminal.program_end()))
            .stdout(Stdio::from(terminal.program_end()))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            terminal,
            seen: Vec::new(),
        }
    }

    /// Reads until what it has drawn contains all of these, one after the other.
    #[track_caller]
    pub(super) fn draws(&mut self, marks: &[&str]) {
        let end = Instant::now() + PATIENCE;
        loop {
            if contains_in_order(&self.seen, marks) {
                return;
            }
            assert!(Instant::now() < end, "{marks:?} not drawn");
            let mut buffer = vec![0; 64 * 1024];
            let read = self.terminal.person.read(&mut buffer).unwrap();
            self.seen.extend_from_slice(&buffer[..read]);
        }
    }

    /// Presses keys.
    pub(super) fn press(&mut self, keys: &[u8]) {
        self.terminal.person.write_all(keys).unwrap();
    }

    /// Presses Ctrl-L, which draws every cell, and waits for the end of that picture.
    fn redraw(&mut self) {
        self.seen.clear();
        self.terminal.person.write_all(b"\x0c").unwrap();
        // The screen is cleared, and the update that follows ends.
        self.draws(&["\x1b[2J", "\x1b[?2026l"]);
    }

    /// Waits until it has drawn this many pictures more, and returns how long the last of them took to come after the
    /// first.
    fn pictures(&mut self, count: usize) -> Duration {
        self.seen.clear();
        let end = Instant::now() + PATIENCE;
        let mut first = None;
        loop {
            let mut buffer = vec![0; 64 * 1024];
            let read = self.terminal.person.read(&mut buffer).unwrap();
            self.seen.extend_from_slice(&buffer[..read]);
            let drawn = self.seen.windows(PICTURE.len());
            let drawn = drawn.filter(|part| *part == PICTURE).count();
            if drawn > 0 {
                let first = *first.get_or_insert_with(Instant::now);
                if drawn >= count {
                    return first.elapsed();
                }
            }
            assert!(Instant::now() < end, "{drawn} of {count} pictures drawn");
        }
    }

    /// The dashboard's process: setsid's child, if it had to fork.
    fn pid(&self) -> u32 {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let forked = std::fs::read_to_string(children).unwrap_or_default();
        let forked = forked.split_whitespace().next();
        forked.map_or(self.child.id(), |pid| pid.parse().unwrap())
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        let _ = self.terminal.person.write_all(b"q");
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(2));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The terminal is not read, so the dashboard blocks: a signal must still end it.
#[test]
fn a_terminal_that_takes_nothing_more_does_not_keep_it_alive() {
    let place = Place::new();
    let _daemon = place.daemon();
    place.ok(&["report", "build", "working"]);
    let mut dashboard = Dashboard::start(&place);
    dashboard.draws(&["STATUS"]);
    // Keys that each draw the whole screen, until it has taken none for a while: it waits for a reader.
    rustix::io::ioctl_fionbio(&dashboard.terminal.person, true).unwrap();
    let mut taken = Instant::now();
    until("it to wait", || {
        match dashboard.terminal.person.write(&[0x0c; 4096]) {
            Ok(_) => taken = Instant::now(),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
        (taken.elapsed() > Duration::from_millis(300)).then_some(())
    });
    let pid = i32::try_from(dashboard.pid()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    until("its end", || dashboard.child.try_wait().unwrap());
}

#[test]
fn keys_show_during_many_changes_and_at_rest_it_draws_once_a_second() {
    let place = Place::new();
    let _daemon = place.daemon();
    let mut wire = place.connect();
    let mut change = |number: usize, reason: usize| {
        let status = ["working", "waiting", "idle", "error"][(number + reason) % 4];
        let set = json!({"session": format!("session-{number:04}"), "status": status, "reason": format!("step {reason}"),
            "title": format!("Title of session {number}"), "cwd": format!("/srv/project/{number}")});
        let answer = wire.ask("session.set", set);
        assert!(answer["result"].is_object(), "{answer}");
    };
    for number in 0..SESSIONS {
        change(number, 0);
    }
    let mut dashboard = Dashboard::start(&place);
    dashboard.draws(&["STATUS", "step"]);
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1.. {
                if enough.load(Ordering::Relaxed) {
                    break;
                }
                change(round * 7 % SESSIONS, round);
                thread::sleep(Duration::from_secs(1) / CHANGES);
            }
        });
        // Across the time of several pictures, so that keys come at any moment between two.
        for pause in 0..60 {
            dashboard.redraw();
            thread::sleep(Duration::from_millis(pause % 40));
        }
        enough.store(true, Ordering::Relaxed);
    });
    // At rest nothing changes but ages, which count seconds. Three seconds pass from the first to the fourth picture; the
    // first may come up to a second late.
    dashboard.redraw();
    let elapsed = dashboard.pictures(4);
    assert!(elapsed > Duration::from_secs(2), "{elapsed:?}");
}
