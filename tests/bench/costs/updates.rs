//! What one update costs the service: instructions, allocations, system calls.
//!
//! A tool counts what the service does from its start to its end, once with [`UPDATES`] updates and once with twice as
//! many: the difference is what the updates alone cost. There is one dashboard, and each update is sent after the one
//! before was answered and has reached the dashboard. So each is a turn of the service's loop on its own.

use std::io::Read;

use crate::Figure;
use crate::agents::{report_line, unix_ms};
use crate::daemon::{Daemon, Wire};
use crate::service;

const UPDATES: u64 = 200;
/// Sessions that the updates go round.
const SESSIONS: u64 = 10;
/// More than a history keeps.
const HISTORY: u64 = 40;
/// Kinds of updates that a session gets in turns.
const KINDS: u64 = 4;

const CALLGRIND: &[&str] = &[
    "valgrind",
    "--tool=callgrind",
    "--callgrind-out-file=/dev/null",
];
const MEMCHECK: &[&str] = &[
    "valgrind",
    "--tool=memcheck",
    "--leak-check=no",
    "--undef-value-errors=no",
];
/// With `-D` the service is the child, so it is what is killed if the measurement fails.
const STRACE: &[&str] = &["strace", "-D", "-f", "-c"];

/// The system calls that an update needs; all others are counted as one figure.
const CALLS: [&str; 4] = ["epoll_wait", "recvfrom", "sendto", "write"];

/// Who sends the updates.
#[derive(Clone, Copy)]
enum Sender {
    /// An agent's hook: `session.report`.
    Hook,
    /// A script: `session.set`.
    Script,
}

pub fn by_hook() -> Vec<Figure> {
    figures(Sender::Hook, "hook")
}

pub fn by_script() -> Vec<Figure> {
    figures(Sender::Script, "set")
}

fn figures(sender: Sender, name: &str) -> Vec<Figure> {
    let instructions = Reports::of(CALLGRIND, sender).per_update(instructions);
    let allocations = Reports::of(MEMCHECK, sender).per_update(allocations);
    let mut figures = vec![
        Figure::new(format!("instructions per update, {name}"), instructions),
        Figure::new(format!("allocations per update, {name}"), allocations),
    ];
    let traced = Reports::of(STRACE, sender);
    for call in CALLS {
        let calls = traced.per_update(|report| calls(report, |name| name == call));
        figures.push(Figure::new(format!("{call} per update, {name}"), calls));
    }
    let others = traced.per_update(|report| calls(report, |name| !CALLS.contains(&name)));
    figures.push(Figure::new(
        format!("other system calls per update, {name}"),
        others,
    ));
    figures
}

/// What a tool reported in the end.
struct Reports {
    /// After [`UPDATES`] updates.
    fewer: String,
    /// After twice as many.
    more: String,
}

impl Reports {
    fn of(tool: &[&str], sender: Sender) -> Self {
        Self {
            fewer: report_after(UPDATES, tool, sender),
            more: report_after(2 * UPDATES, tool, sender),
        }
    }

    /// The difference of what `count` reads in both.
    fn per_update(&self, count: impl Fn(&str) -> u64) -> f64 {
        (count(&self.more) as f64 - count(&self.fewer) as f64) / UPDATES as f64
    }
}

/// Runs the service under the tool until it has taken so many updates.
fn report_after(updates: u64, tool: &[&str], sender: Sender) -> String {
    let mut daemon = service::start(tool);
    let mut traffic = Traffic::on(&daemon, sender);
    for number in 0..updates {
        traffic.update(number);
    }
    drop(traffic);
    let mut stderr = daemon.child.stderr.take().unwrap();
    daemon.stop();
    let mut report = String::new();
    // The tool may outlive the service: its report is whole when it has closed the pipe.
    stderr.read_to_string(&mut report).unwrap();
    report
}

/// A sender of updates and a dashboard.
struct Traffic {
    sender: Sender,
    producer: Wire,
    dashboard: Wire,
}

impl Traffic {
    /// Sessions with full histories, all of which the dashboard knows.
    fn on(daemon: &Daemon, sender: Sender) -> Self {
        let mut producer = daemon.connect();
        match sender {
            Sender::Hook => begin_sessions(&mut producer, SESSIONS),
            Sender::Script => {
                for number in 0..SESSIONS * HISTORY {
                    producer.ask_line(set(number).as_bytes());
                }
            }
        }
        let mut dashboard = daemon.connect();
        dashboard.ask_line(
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\",\"params\":{\"changes\":\"brief\"}}\n",
        );
        let mut traffic = Self {
            sender,
            producer,
            dashboard,
        };
        // An update of each kind for each session, or those that are counted would not be alike.
        for number in 0..SESSIONS * KINDS {
            traffic.update(number);
        }
        traffic
    }

    /// Sends an update and waits for its answer and its delivery.
    fn update(&mut self, number: u64) {
        let line = match self.sender {
            Sender::Hook => hook(number),
            Sender::Script => set(number),
        };
        self.producer.ask_line(line.as_bytes());
        let mut buffer = [0; 16 * 1024];
        loop {
            let count = self.dashboard.socket.read(&mut buffer).unwrap();
            assert!(count > 0, "the dashboard was dropped");
            if buffer[count - 1] == b'\n' {
                return;
            }
        }
    }
}

fn hook(number: u64) -> String {
    let events = ["PreToolUse", "PostToolUse"];
    let event = events[kind(number) % events.len()];
    report_line(number, number % SESSIONS, event, unix_ms())
}

fn set(number: u64) -> String {
    let session = number % SESSIONS;
    let status = ["working", "waiting", "idle", "error"][kind(number)];
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{number},\"method\":\"session.set\",\"params\":{{\"session\":\"session-{session}\",\"status\":\"{status}\",\
         \"reason\":\"step {number:06}\",\"title\":\"Title of the session\",\"cwd\":\"/home/dev/project\"}}}}\n"
    )
}

/// Which of the [`KINDS`] of updates of a session this one is: they take turns.
fn kind(number: u64) -> usize {
    usize::try_from(number / SESSIONS % KINDS).unwrap()
}

fn instructions(report: &str) -> u64 {
    number_after(report, "Collected : ")
}

fn allocations(report: &str) -> u64 {
    number_after(report, "total heap usage: ")
}

/// The number that follows these words, which may have commas.
fn number_after(report: &str, words: &str) -> u64 {
    let (_, rest) = report
        .split_once(words)
        .unwrap_or_else(|| panic!("no \"{words}\" in {report}"));
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != ',');
    let digits = rest[..end.unwrap_or(rest.len())].replace(',', "");
    digits.parse().unwrap()
}

/// How many system calls of these names are in the table of `strace -c`: share, seconds, µs a call, calls, errors (may be
/// left out), name.
fn calls(report: &str, is_meant: impl Fn(&str) -> bool) -> u64 {
    let (_, table) = report
        .split_once("% time")
        .unwrap_or_else(|| panic!("no table in {report}"));
    table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.len() >= 5 && fields.last() != Some(&"total"))
        .filter(|fields| is_meant(fields[fields.len() - 1]))
        .filter_map(|fields| fields[3].parse::<u64>().ok())
        .sum()
}

/// Begins the sessions and fills their histories, which keep 32 transitions.
fn begin_sessions(producer: &mut Wire, sessions: u64) {
    let mut report = |session, event| {
        producer.ask_line(report_line(0, session, event, unix_ms()).as_bytes());
    };
    for session in 0..sessions {
        report(session, "SessionStart");
        for _ in 0..20 {
            report(session, "UserPromptSubmit");
            report(session, "Stop");
        }
    }
}
