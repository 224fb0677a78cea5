//! The newcomer's first command: shows what it says, and leaves nothing behind however it ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Place, broken_pipe, until};

/// A demo that has just been started, with a directory of its own for temporary files.
struct Demo {
    place: Place,
    child: Child,
}

impl Demo {
    fn start(speed: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let place = Place::new();
        let mut command = place.command(["demo", "--speed", speed]);
        let files = place.path().join("tmp");
        fs::create_dir(&files).unwrap();
        command
            .env("TMPDIR", &files)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        prepare(&mut command);
        let child = command.spawn().unwrap();
        Self { place, child }
    }

    fn files(&self) -> PathBuf {
        self.place.path().join("tmp")
    }

    fn output(&mut self) -> std::io::Lines<BufReader<ChildStdout>> {
        BufReader::new(self.child.stdout.take().unwrap()).lines()
    }

    /// Its processes: they carry the directory in their environment or command line, or lie below it.
    fn processes(&self) -> Vec<String> {
        let mark = self.files().to_string_lossy().into_owned();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            if String::from_utf8_lossy(&environment).contains(&mark) {
                found.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        found
    }

    /// Waits for its end: nothing of it is left. Gives its exit code.
    fn ended(mut self) -> Option<i32> {
        let status = until("the demo to end", || self.child.try_wait().unwrap());
        let left: Vec<_> = fs::read_dir(self.files()).unwrap().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(self.processes(), Vec::<String>::new());
        let home: Vec<_> = fs::read_dir(self.place.path().join("home"))
            .unwrap()
            .flatten()
            .collect();
        assert!(home.is_empty(), "{home:?}");
        status.code()
    }
}

#[test]
fn the_demo_shows_a_session_s_life_and_leaves_nothing() {
    let mut demo = Demo::start("20", |_| {});
    let lines: Vec<String> = demo.output().map(Result::unwrap).collect();
    let shown = lines.join("\n");
    let mut rest = &lines[..];
    for word in [
        "A private daemon serves ",
        "idle",
        "working",
        "waiting: permission",
        "the person presses 1 (yes)",
        "working",
        "idle",
        "waiting: permission",
        "the person presses 4 (no = option 4)",
        "idle",
        "working",
        "waiting: permission",
        "the person presses Escape (esc at dialog)",
        "idle",
        "working",
        "waiting: permission",
        "closed",
        "The private daemon is gone.",
    ] {
        let place = rest.iter().position(|line| line.contains(word));
        let place = place.unwrap_or_else(|| panic!("no {word} at its place:\n{shown}"));
        rest = &rest[place + 1..];
    }
    // Neither a prompt of the recording, nor the same twice in a row.
    assert!(!shown.contains("@@"), "{shown}");
    let texts = |line: &String| line.split_once("s  ").map(|(_, text)| text.to_owned());
    let texts: Vec<_> = lines.iter().filter_map(texts).collect();
    assert!(texts.windows(2).all(|pair| pair[0] != pair[1]), "{shown}");
    assert_eq!(demo.ended(), Some(0));
}

#[test]
fn an_interrupted_demo_leaves_nothing() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut demo = Demo::start("5", |_| {});
        // In the middle: a session is open and the agent waits for a person.
        let mut lines = demo.output();
        assert!(
            lines.any(|line| line.unwrap().contains("waiting: permission")),
            "never waited"
        );
        assert!(demo.processes().len() >= 2);
        let pid = i32::try_from(demo.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.unwrap(), signal).unwrap();
        drop(lines);
        let code = demo.ended();
        assert!(code.is_some_and(|code| code != 0), "{code:?}");
    }
}

#[test]
fn a_demo_whose_daemon_dies_says_so() {
    let mut demo = Demo::start("5", |_| {});
    let mut lines = demo.output();
    assert!(lines.any(|line| line.unwrap().contains("working")));
    let is_daemon = |pid: &&String| {
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.split('\0').any(|word| word == "daemon")
    };
    let processes = demo.processes();
    let pid = processes.iter().find(is_daemon).expect("the daemon");
    kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
    let said = std::io::read_to_string(demo.child.stderr.take().unwrap()).unwrap();
    assert!(said.contains("the private daemon has ended"), "{said}");
    assert_eq!(demo.ended(), Some(1));
}

#[test]
fn a_demo_that_nobody_watches_leaves_nothing() {
    // From the beginning, and after a few lines.
    let demo = Demo::start("50", |command| {
        command.stdout(broken_pipe());
    });
    assert_eq!(demo.ended(), Some(0));
    let mut demo = Demo::start("50", |_| {});
    let mut lines = demo.output();
    assert!(lines.any(|line| line.unwrap().contains("working")));
    drop(lines);
    assert_eq!(demo.ended(), Some(0));
}

#[test]
fn a_demo_without_a_place_for_its_files_says_so() {
    let demo = Demo::start("50", |command| {
        command.env("TMPDIR", "/dev/null/nowhere");
    });
    let mut child = demo.child;
    let status = until("the demo to end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(1));
    let said = std::io::read_to_string(child.stderr.unwrap()).unwrap();
    assert!(said.starts_with("agent-console: cannot make "), "{said}");
}
