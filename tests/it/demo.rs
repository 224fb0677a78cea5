//! The newcomer's first command: shows what it says, and leaves nothing behind however it ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use serde_json::{Value, json};

use crate::support::{Place, Wire, broken_pipe, program, until};

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

    fn processes(&self) -> Vec<String> {
        processes_of(&self.files())
    }

    /// Its private daemon.
    #[track_caller]
    fn daemon(&self) -> Pid {
        let is_daemon = |pid: &&String| {
            let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let program = command.split('\0').next().unwrap_or_default();
            program.ends_with("/agent-consoled")
        };
        let processes = self.processes();
        let pid = processes.iter().find(is_daemon).expect("the daemon");
        Pid::from_raw(pid.parse().unwrap()).unwrap()
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

/// The processes of a demo with this directory for temporary files: they carry it in their environment.
fn processes_of(files: &Path) -> Vec<String> {
    let mark = files.to_string_lossy();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if String::from_utf8_lossy(&environment).contains(&*mark) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

#[test]
fn the_demo_shows_a_session_s_life_and_leaves_nothing() {
    let mut demo = Demo::start("20", |_| {});
    let lines: Vec<String> = demo.output().map(Result::unwrap).collect();
    let shown = lines.join("\n");
    for sign in ["CC", "CX", "CP", "GM", "OC"] {
        let of_agent = |line: &&String| line.contains(&format!("s  {sign}  "));
        let mut of_agent = lines.iter().filter(of_agent);
        assert!(
            of_agent.any(|line| line.contains("working")),
            "{sign}:\n{shown}"
        );
        assert!(
            of_agent.any(|line| line.contains("closed")),
            "{sign}:\n{shown}"
        );
    }
    for word in ["waiting: answer", "waiting: plan", "  error  "] {
        assert!(shown.contains(word), "no {word}:\n{shown}");
    }
    let of_first = |line: &&String| line.contains("webshop") || !line.contains("s  ");
    let of_first: Vec<_> = lines.iter().filter(of_first).collect();
    let mut rest = &of_first[..];
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
    assert!(!shown.contains("@@") && !shown.contains("%%"), "{shown}");
    let texts = |line: &&String| line.split_once("s  ").map(|(_, text)| text.to_owned());
    let texts: Vec<_> = of_first.iter().filter_map(texts).collect();
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
        // A closed pipe would end it, too, and in another way.
        lines.for_each(drop);
        let code = demo.ended();
        assert!(code.is_some_and(|code| code != 0), "{code:?}");
    }
}

#[test]
fn a_demo_whose_daemon_dies_says_so() {
    let mut demo = Demo::start("5", |_| {});
    let mut lines = demo.output();
    assert!(lines.any(|line| line.unwrap().contains("working")));
    kill_process(demo.daemon(), Signal::KILL).unwrap();
    let said = std::io::read_to_string(demo.child.stderr.take().unwrap()).unwrap();
    assert!(said.contains("the private daemon has ended"), "{said}");
    assert_eq!(demo.ended(), Some(1));
}

#[test]
fn the_end_is_shown_when_the_daemon_is_slow() {
    let mut demo = Demo::start("50", |_| {});
    let mut lines = demo.output();
    assert!(lines.any(|line| line.unwrap().contains("working")));
    let daemon = demo.daemon();
    kill_process(daemon, Signal::STOP).unwrap();
    assert!(lines.any(|line| line.unwrap().contains("the person types /exit")));
    // How slow it is.
    std::thread::sleep(Duration::from_millis(500));
    kill_process(daemon, Signal::CONT).unwrap();
    assert!(lines.any(|line| line.unwrap().contains("closed")));
    drop(lines);
    assert_eq!(demo.ended(), Some(0));
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

/// A demo on a real terminal, with a directory of its own for temporary files.
struct OnTerminal {
    place: Place,
}

impl OnTerminal {
    fn start() -> Self {
        let place = Place::new();
        fs::create_dir(place.path().join("tmp")).unwrap();
        let demo = Self { place };
        let command = format!(
            "trap : INT; TMPDIR={} {} demo --speed 8; echo \"left with $?.\"; read -r _",
            demo.files().display(),
            program().display()
        );
        demo.tmux(&["new-session", "-d", "-x", "100", "-y", "30", &command]);
        demo
    }

    fn files(&self) -> PathBuf {
        self.place.path().join("tmp")
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let socket = self.place.path().join("tmux");
        let output = Command::new("tmux")
            .arg("-S")
            .arg(socket)
            .args(["-f", "/dev/null"])
            .args(arguments)
            .env_remove("TMUX")
            .env("SHELL", "/bin/sh")
            .env("HOME", self.place.path().join("home"))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Its private daemon.
    fn wire(&self) -> Wire {
        until("the private daemon", || {
            let stage = fs::read_dir(self.files()).ok()?.flatten().next()?;
            let socket = stage.path().join("agent-console.sock");
            std::os::unix::net::UnixStream::connect(&socket).ok()?;
            Some(Wire::connect(&socket))
        })
    }

    fn processes(&self) -> Vec<String> {
        processes_of(&self.files())
    }

    fn demo(&self) -> Pid {
        let is_demo = |pid: &String| {
            let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            command.split('\0').nth(1) == Some("demo")
        };
        let pid = self
            .processes()
            .into_iter()
            .find(is_demo)
            .expect("the demo");
        Pid::from_raw(pid.parse().unwrap()).unwrap()
    }

    fn leaves_nothing(&self) {
        let files = || fs::read_dir(self.files()).unwrap().flatten().count();
        until("the directory to go", || (files() == 0).then_some(()));
        until("its processes to go", || {
            self.processes()
                .iter()
                .all(|pid| is_shell_of_test(pid))
                .then_some(())
        });
    }
}

/// The shell in the terminal, which the test has started and not the demo.
fn is_shell_of_test(pid: &str) -> bool {
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    command.contains("left with")
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn on_a_terminal_several_agents_are_at_work_at_once() {
    let demo = OnTerminal::start();
    let mut wire = demo.wire();
    let mut waited = false;
    let sessions = until("six sessions of five agents, and one that asks", || {
        let answer = wire.ask("session.list", json!({}));
        let sessions = answer["result"]["sessions"].as_array().unwrap().clone();
        waited |= sessions
            .iter()
            .any(|session| session["waiting_for"] == "permission");
        // An agent's entry in its registry comes before the event that has its title.
        let titled = sessions.iter().all(|session| session["title"].is_string());
        (waited && titled && sessions.len() >= 6).then_some(sessions)
    });
    let distinct = |field: &str| {
        let values = sessions.iter().map(|session| session[field].to_string());
        values.collect::<std::collections::BTreeSet<_>>().len()
    };
    assert!(
        distinct("pid") >= 6 && distinct("cwd") == 6 && distinct("agent") == 5,
        "{sessions:#?}"
    );
    let sandbox = demo.files();
    for session in &sessions {
        let directory = Path::new(session["cwd"].as_str().unwrap());
        assert!(directory.starts_with(&sandbox), "{session:#}");
    }
    // A client that has left comes again.
    until("a second run", || {
        let everything = json!({"include_closed": true});
        let answer = wire.ask("session.list", everything);
        let sessions = answer["result"]["sessions"].as_array().unwrap().clone();
        let runs = |status: &dyn Fn(&Value) -> bool| {
            sessions
                .iter()
                .filter(|one| {
                    one["cwd"]
                        .as_str()
                        .is_some_and(|cwd| cwd.ends_with("/homepage"))
                })
                .any(|one| status(&one["status"]))
        };
        (runs(&|status| status == "closed") && runs(&|status| status != "closed")).then_some(())
    });
    until("the view", || {
        demo.screen().contains("working").then_some(())
    });
    drop(wire);
    demo.tmux(&["send-keys", "C-c"]);
    until("the end", || {
        demo.screen().contains("left with").then_some(())
    });
    demo.leaves_nothing();
}

#[test]
fn a_demo_on_a_terminal_leaves_nothing_whatever_ends_it() {
    for signal in [Some(Signal::TERM), Some(Signal::HUP), None] {
        let demo = OnTerminal::start();
        let mut wire = demo.wire();
        until("an agent", || {
            let answer = wire.ask("session.list", json!({}));
            (answer["result"]["sessions"][0].is_object()).then_some(())
        });
        match signal {
            Some(signal) => {
                kill_process(demo.demo(), signal).unwrap();
                until("the end", || {
                    demo.screen().contains("left with 1.").then_some(())
                });
                assert!(
                    demo.screen().contains("interrupted by signal"),
                    "{}",
                    demo.screen()
                );
            }
            // The terminal is closed.
            None => drop(demo.tmux(&["kill-server"])),
        }
        demo.leaves_nothing();
    }
}
