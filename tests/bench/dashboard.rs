//! How fast a key shows in the dashboard, and what the dashboard costs at rest: with a thousand sessions, on a terminal
//! of 200 columns and 50 rows.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, Wire, program, socket_in};
use crate::processes::{run, run_true};
use crate::pseudo_terminal::{PseudoTerminal, contains_in_order};
use crate::report::{Figure, Report, percentile};

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

/// The dashboard and the line of a status bar, with a thousand sessions.
pub fn dashboard(quick: bool, report: &mut Report) {
    let daemon = Daemon::start();
    let mut wire = daemon.connect();
    for number in 0..SESSIONS {
        change(&mut wire, number, 0);
    }
    bar(&daemon, if quick { 10 } else { 50 }, report);
    let mut dashboard = Dashboard::start(daemon.directory.path());
    dashboard.draws(&["STATUS", "step"]);
    let mut times = key_times(&mut dashboard, &mut wire, if quick { 20 } else { KEYS });
    for (share, name) in [(0.5, "p50"), (1.0, "worst")] {
        let what = format!(
            "{SESSIONS} sessions, {CHANGES_PER_SECOND} changes/s: key → whole picture, {name}"
        );
        let time = percentile(&mut times, share);
        report.add(Figure::new("dashboard", what, "ms").with("agent-console", time));
    }
    let percent = processor_time_at_rest(&dashboard, if quick { REST / 2 } else { REST });
    let what = format!("{SESSIONS} sessions, at rest: processor time");
    report.add(Figure::new("dashboard", what, "%").with("agent-console", percent));
}

/// Draws everything again at many moments between changes, in ms each.
fn key_times(dashboard: &mut Dashboard, wire: &mut Wire, keys: usize) -> Vec<f64> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                change(wire, round * 7 % SESSIONS, round);
                thread::sleep(Duration::from_secs(1) / CHANGES_PER_SECOND);
            }
        });
        let key = |pause| {
            let time = dashboard.key_to_picture();
            // Across the time of several pictures, so that keys come at any moment between two.
            thread::sleep(Duration::from_millis(pause as u64 % 40));
            time
        };
        let times = (0..keys).map(key).collect();
        stop.store(true, Ordering::Relaxed);
        times
    })
}

fn processor_time_at_rest(dashboard: &Dashboard, rest: Duration) -> f64 {
    // Drawn pictures must be read, or the terminal blocks.
    let mut reader = dashboard.terminal.person.try_clone().unwrap();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while reader.read(&mut buffer).is_ok_and(|count| count > 0) {}
    });
    let (ticks, began) = (dashboard.ticks(), Instant::now());
    thread::sleep(rest);
    (dashboard.ticks() - ticks) as f64 / began.elapsed().as_secs_f64()
}

/// `agent-console bar` beside true(1), wall time.
fn bar(daemon: &Daemon, times: usize, report: &mut Report) {
    let (mut bars, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..times {
        bars.push(run(program(), &["bar"], daemon.directory.path()));
        floor.push(run_true());
    }
    for (share, name) in [(0.5, "p50"), (0.99, "p99")] {
        let what = format!("bar, {SESSIONS} sessions: wall time, {name}");
        let figure = Figure::new("dashboard", what, "ms")
            .with("agent-console", percentile(&mut bars, share))
            .with("/bin/true", percentile(&mut floor, share));
        report.add(figure);
    }
}

fn change(wire: &mut Wire, number: usize, round: usize) {
    let status = ["working", "waiting", "idle", "error"][(number + round) % 4];
    let params = format!(
        r#"{{"session":"session-{number:04}","status":"{status}","reason":"step {round}","title":"Title of session {number}","cwd":"/srv/project/{number}"}}"#
    );
    let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"session.set","params":{params}}}"#);
    wire.ask_line(format!("{line}\n").as_bytes());
}
