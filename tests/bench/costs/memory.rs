//! How much memory the service takes, and how often it runs while nothing happens.

use std::time::Duration;

use crate::Figure;
use crate::agents::{Agents, make_busy, report_line, unix_ms};
use crate::daemon::{Daemon, Wire};
use crate::service;

/// A real process each.
const SESSIONS: usize = 100;
const DASHBOARDS: usize = 100;
/// The first counts what a table or a heap takes at once, which is not one session's or connection's.
const FEW: u64 = 1000;
const MANY: u64 = 3000;
/// The highest mark is read this long after the first answer.
const BEGINNING: Duration = Duration::from_secs(1);
/// Longer than the service waits before it gives memory back.
const REST: Duration = Duration::from_secs(3);
const ASLEEP: Duration = Duration::from_secs(10);

/// One service: its start, its rest.
pub fn at_rest() -> Vec<Figure> {
    let daemon = service::start(&[]);
    std::thread::sleep(BEGINNING);
    let highest = status(&daemon, "VmHWM:");
    std::thread::sleep(REST);
    let resting = smaps(&daemon, "Rss:");
    let before = status(&daemon, "voluntary_ctxt_switches:");
    std::thread::sleep(ASLEEP);
    let wake_ups = status(&daemon, "voluntary_ctxt_switches:") - before;
    vec![
        Figure::new("resident memory, maximum since the start", highest as f64),
        Figure::new("resident memory, at rest", resting as f64),
        Figure::new("wake-ups in 10 s at rest", wake_ups as f64),
    ]
}

pub fn busy() -> Vec<Figure> {
    let daemon = service::start(&[]);
    let agents = Agents::start(SESSIONS);
    let _dashboards = make_busy(&daemon, &agents, DASHBOARDS);
    std::thread::sleep(REST);
    vec![Figure::new(
        "resident memory, 100 sessions and 100 dashboards",
        smaps(&daemon, "Rss:") as f64,
    )]
}

/// What one session or connection more takes, each kind on a service of its own.
pub fn each() -> Vec<Figure> {
    let by_hook = bytes_of_each(|producer, _, number| {
        producer.ask_line(report_line(number, number, "SessionStart", unix_ms()).as_bytes());
    });
    let by_set = bytes_of_each(|producer, _, number| {
        let line = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.set\",\"params\":{{\"session\":\"session-{number}\",\"status\":\"working\",\"cwd\":\"/home/dev/project\"}}}}\n"
        );
        producer.ask_line(line.as_bytes());
    });
    let mut connections = Vec::new();
    let by_connection = bytes_of_each(|_, daemon, _| {
        let mut connection = daemon.connect();
        connection.ask("hello");
        // Without the buffer that a `Wire` has.
        connections.push(connection.socket);
    });
    vec![
        Figure::new("memory of a session, hook", by_hook),
        Figure::new("memory of a session, set", by_set),
        Figure::new("memory of a connection", by_connection),
    ]
}

/// Anonymous memory at [`MANY`] less that at [`FEW`], divided.
fn bytes_of_each(mut make: impl FnMut(&mut Wire, &Daemon, u64)) -> f64 {
    let daemon = service::start(&[]);
    let mut producer = daemon.connect();
    let mut anonymous_at = |count: std::ops::Range<u64>| {
        for number in count {
            make(&mut producer, &daemon, number);
        }
        std::thread::sleep(REST);
        smaps(&daemon, "Anonymous:") as f64 * 1024.0
    };
    let few = anonymous_at(0..FEW);
    let many = anonymous_at(FEW..MANY);
    (many - few) / (MANY - FEW) as f64
}

fn smaps(daemon: &Daemon, name: &str) -> u64 {
    field(daemon, "smaps_rollup", name)
}

fn status(daemon: &Daemon, name: &str) -> u64 {
    field(daemon, "status", name)
}

/// A number in a file of proc(5); sizes are in KiB there.
fn field(daemon: &Daemon, file: &str, name: &str) -> u64 {
    let path = format!("/proc/{}/{file}", daemon.child.id());
    let text = std::fs::read_to_string(path).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let value = value.unwrap_or_else(|| panic!("no {name} in {file}"));
    value.trim().trim_end_matches(" kB").parse().unwrap()
}
