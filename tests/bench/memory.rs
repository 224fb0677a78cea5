//! What the daemon weighs: idle, busy, and after being busy. And whether it sleeps when nothing happens.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agent_console::os::process;
use agent_console::protocol::MIN_FETCH_INTERVAL_MS;

use crate::Row;
use crate::daemon::{Daemon, Wire};
use crate::traffic::{Load, line, unix_ms};

const SESSIONS: u32 = 100;
const DASHBOARDS: usize = 100;
const UPDATES: u64 = 1_000_000;
const CONNECTIONS: usize = 5000;
/// Each a child that finds no credentials: to the daemon one is as the other.
const FETCHES: usize = 5;
/// The updates take no longer than this, however many they come to.
const AT_MOST: Duration = Duration::from_secs(20);
/// Longer than the daemon waits before it gives memory back.
const REST: Duration = Duration::from_secs(3);
const ASLEEP: Duration = Duration::from_secs(10);

pub fn rows() -> Vec<Row> {
    let daemon = Daemon::start();
    let first = Memory::now(&daemon);
    std::thread::sleep(REST);
    let idle = Memory::of(&daemon);
    let mut rows = vec![
        first.row("memory, right after the first reply", None),
        idle.row(&format!("memory, {} s later", REST.as_secs()), Some(&first)),
    ];
    rows.push(wake_ups(&daemon));

    let mut client = daemon.connect();
    client.ask("daemon.status");
    let before = Memory::of(&daemon);
    for _ in 0..FETCHES {
        client.ask("usage.refresh");
        std::thread::sleep(Duration::from_millis(MIN_FETCH_INTERVAL_MS));
        client.ask("daemon.status");
    }
    let after = Memory::of(&daemon);
    rows.push(after.row(
        &format!("memory after {FETCHES} fetches of the limits"),
        Some(&before),
    ));

    let updates = Load::on(&daemon, 1).flood(UPDATES, AT_MOST).0;
    come_and_go(&daemon);
    let after = Memory::of(&daemon);
    let what =
        format!("memory after {updates} updates, and {CONNECTIONS} connections at once that went");
    rows.push(after.row(&what, Some(&idle)));

    let daemon = Daemon::start();
    let idle = Memory::of(&daemon);
    let agents = Agents::start();
    let mut producer = daemon.connect();
    for agent in &agents.0 {
        agents_session(&mut producer, agent);
    }
    let mut dashboards: Vec<_> = (0..DASHBOARDS).map(|_| daemon.connect()).collect();
    for dashboard in &mut dashboards {
        dashboard.ask("subscribe");
    }
    let busy = Memory::of(&daemon);
    let what =
        format!("memory with {SESSIONS} sessions of real processes and {DASHBOARDS} dashboards");
    rows.push(busy.row(&what, Some(&idle)));
    rows
}

/// Resident and proportional memory in KiB (proc(5), `smaps_rollup`).
struct Memory {
    rss: u64,
    pss: u64,
    anonymous: u64,
}

impl Memory {
    fn of(daemon: &Daemon) -> Self {
        // The last answer has been sent, but what the turn left may not be freed yet.
        std::thread::sleep(Duration::from_millis(200));
        Self::now(daemon)
    }

    fn now(daemon: &Daemon) -> Self {
        let path = format!("/proc/{}/smaps_rollup", daemon.child.id());
        let text = std::fs::read_to_string(path).unwrap();
        let field = |name: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        Self {
            rss: field("Rss:"),
            pss: field("Pss:"),
            anonymous: field("Anonymous:"),
        }
    }

    fn row(&self, what: &str, before: Option<&Self>) -> Row {
        let Self {
            rss,
            pss,
            anonymous,
        } = self;
        Row {
            what: format!("{what}: RSS / PSS / anonymous"),
            figure: format!("{rss} / {pss} / {anonymous} KiB"),
            floor: before.map_or(String::new(), |idle| {
                format!(
                    "before: {} KiB RSS; {:+} KiB",
                    idle.rss,
                    rss.cast_signed() - idle.rss.cast_signed()
                )
            }),
            limit: "5 MB",
        }
    }
}

/// How often it ran while nothing happened.
fn wake_ups(daemon: &Daemon) -> Row {
    let switches = || -> u64 {
        let path = format!("/proc/{}/status", daemon.child.id());
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .filter(|line| line.contains("ctxt_switches"))
            .map(|line| line.rsplit('\t').next().unwrap().parse::<u64>().unwrap())
            .sum()
    };
    let before = switches();
    std::thread::sleep(ASLEEP);
    Row {
        what: format!("wake-ups in {} s with nothing to do", ASLEEP.as_secs()),
        figure: (switches() - before).to_string(),
        floor: String::new(),
        limit: "",
    }
}

/// Many connections at once, each of which is answered; then none.
fn come_and_go(daemon: &Daemon) {
    let mut all: Vec<_> = (0..CONNECTIONS).map(|_| daemon.connect().socket).collect();
    let mut buffer = [0; 4096];
    for socket in &mut all {
        socket
            .write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\"}\n")
            .unwrap();
        assert!(socket.read(&mut buffer).unwrap() > 0);
    }
    drop(all);
    // Its answer comes after the daemon has seen the others go.
    daemon.connect().ask("daemon.status");
}

/// Processes that stand for agents; killed at the end.
struct Agents(Vec<Child>);

impl Agents {
    fn start() -> Self {
        let agent = |_| {
            Command::new("sleep")
                .arg("600")
                .stdin(Stdio::null())
                .spawn()
                .unwrap()
        };
        Self((0..SESSIONS).map(agent).collect())
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        for agent in &mut self.0 {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}

/// A session of this process with a full history.
fn agents_session(producer: &mut Wire, agent: &Child) {
    let found = process::inspect(agent.id()).unwrap().id;
    let namespace = process::namespace().unwrap();
    let (pid, start) = (found.pid, found.start);
    let process = format!(
        "\"pid\":{pid},\"process_start\":{start},\"pid_namespace\":{namespace},\"attended\""
    );
    for round in 0..20 {
        for event in ["UserPromptSubmit", "PreToolUse", "Stop"] {
            let report = line(round, u64::from(pid), event, unix_ms());
            producer.ask_line(report.replace("\"attended\"", &process).as_bytes());
        }
    }
}
