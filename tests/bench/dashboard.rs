//! How fast a key shows in the dashboard, and what the dashboard costs at rest: with a thousand sessions, on a terminal
//! of 200 columns and 50 rows.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, Wire, program, socket_in};
use crate::pseudo_terminal::{PseudoTerminal, contains_in_order};
use crate::{Row, percentile};

const SESSIONS: usize = 1000;
const CHANGES_PER_SECOND: u32 = 100;
const KEYS: usize = 60;
const REST: Duration = Duration::from_secs(5);

/// A dashboard on a pseudo-terminal; killed at the end.
struct Dashboard {
    child: Child,
    terminal: PseudoTerminal,
}

impl Dashboard {
    fn start(directory: &Path) -> Self {
        let terminal = PseudoTerminal::open();
        // It reads keys from its standard input, so it needs no controlling terminal.
        let child = Command::new(program())
            .arg("dashboard")
            .env_clear()
            .env("HOME", directory)
            .env("AGENT_CONSOLE_SOCKET", socket_in(directory))
            .env("TERM", "xterm-256color")
            .stdin(Stdio::from(terminal.program_end()))
            .stdout(Stdio::from(terminal.program_end()))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, terminal }
    }

    /// Reads until the marks were drawn, one after the other.
    fn draws(&mut self, marks: &[&str]) {
        let mut seen = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = self.terminal.person.read(&mut buffer).unwrap();
            seen.extend_from_slice(&buffer[..read]);
            if contains_in_order(&seen, marks) {
                return;
            }
        }
    }

    /// From Ctrl-L, which draws every cell, to the end of the picture, in milliseconds.
    fn key_to_picture(&mut self) -> f64 {
        let began = Instant::now();
        self.terminal.person.write_all(b"\x0c").unwrap();
        self.draws(&["\x1b[2J", "\x1b[?2026l"]);
        began.elapsed().as_secs_f64() * 1e3
    }

    /// The processor time used so far, in clock ticks of a hundredth of a second: `utime` and `stime`.
    fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let fields: Vec<_> = fields.split_whitespace().collect();
        [11, 12]
            .iter()
            .map(|at| fields[*at].parse::<u64>().unwrap())
            .sum()
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn rows() -> Vec<Row> {
    let daemon = Daemon::start();
    let mut wire = daemon.connect();
    for number in 0..SESSIONS {
        change(&mut wire, number, 0);
    }
    let mut dashboard = Dashboard::start(daemon.directory.path());
    dashboard.draws(&["STATUS", "step"]);
    let stop = AtomicBool::new(false);
    let mut times = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                change(&mut wire, round * 7 % SESSIONS, round);
                thread::sleep(Duration::from_secs(1) / CHANGES_PER_SECOND);
            }
        });
        for pause in 0..KEYS {
            times.push(dashboard.key_to_picture());
            // Across the time of several pictures, so that keys come at any moment between two.
            thread::sleep(Duration::from_millis(pause as u64 % 40));
        }
        stop.store(true, Ordering::Relaxed);
    });
    let (median, worst) = (percentile(&mut times, 0.5), percentile(&mut times, 1.0));
    // Drawn pictures must be read, or the terminal blocks.
    let mut reader = dashboard.terminal.person.try_clone().unwrap();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while reader.read(&mut buffer).is_ok_and(|count| count > 0) {}
    });
    let (ticks, began) = (dashboard.ticks(), Instant::now());
    thread::sleep(REST);
    let percent = (dashboard.ticks() - ticks) as f64 / began.elapsed().as_secs_f64();
    vec![
        Row {
            what: format!(
                "dashboard, {SESSIONS} sessions, {CHANGES_PER_SECOND} changes/s: key → whole picture"
            ),
            figure: format!("p50 {median:.1} ms, worst {worst:.1} ms"),
            floor: String::new(),
            limit: "250 ms",
        },
        Row {
            what: format!("dashboard, {SESSIONS} sessions, at rest: processor time"),
            figure: format!("{percent:.1} %"),
            floor: String::new(),
            limit: "3 %",
        },
    ]
}

fn change(wire: &mut Wire, number: usize, round: usize) {
    let status = ["working", "waiting", "idle", "error"][(number + round) % 4];
    let params = format!(
        r#"{{"session":"session-{number:04}","status":"{status}","reason":"step {round}","title":"Title of session {number}","cwd":"/srv/project/{number}"}}"#
    );
    let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"session.set","params":{params}}}"#);
    wire.ask_line(format!("{line}\n").as_bytes());
}
