//! The service's memory: at the start, at rest, busy, and afterwards (`memory`). How often it wakes up while nothing
//! happens (`rest`).

use std::io::{Read, Write};
use std::process::Child;
use std::time::{Duration, Instant};

use agent_console::protocol::MIN_FETCH_INTERVAL_MS;

use crate::agents::{Agents, make_busy, unix_ms};
use crate::daemon::{Daemon, command, directory, service};
use crate::load::Load;
use crate::report::{Figure, Report};
use crate::systems::agent_console::{AgentConsole, Kind};
use crate::systems::{Purpose, peers};

const SESSIONS: usize = 100;
const DASHBOARDS: usize = 100;
const CONNECTIONS: usize = 5000;
/// Of each agent.
const AGENTS_SESSIONS: u64 = 20;
/// The updates take no longer than this, however many they come to.
const AT_MOST: Duration = Duration::from_mins(1);
/// Updates before the first measurement.
const WARM_UP: u64 = 20_000;
/// Longer than the daemon waits before it gives memory back.
const REST: Duration = Duration::from_secs(3);
/// How long the memory of a new process is watched.
const FIRST: Duration = Duration::from_millis(200);

/// One quantity of it.
type Pick = fn(Memory) -> u64;

/// Resident, proportional and anonymous memory in KiB (proc(5), `smaps_rollup`).
#[derive(Clone, Copy, Default)]
pub struct Memory {
    pub rss: u64,
    pub pss: u64,
    pub anonymous: u64,
}

impl Memory {
    pub fn of(process: &Child) -> Self {
        Self::try_of(process).unwrap()
    }

    /// Once what the last turn left is freed.
    pub fn at_rest(process: &Child) -> Self {
        std::thread::sleep(REST);
        Self::of(process)
    }

    /// `None` while the process has no memory of its own.
    fn try_of(process: &Child) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", process.id())).ok()?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().trim_end_matches(" kB").parse().ok()
        };
        Some(Self {
            rss: field("Rss:")?,
            pss: field("Pss:")?,
            anonymous: field("Anonymous:")?,
        })
    }

    fn max(self, other: Self) -> Self {
        Self {
            rss: self.rss.max(other.rss),
            pss: self.pss.max(other.pss),
            anonymous: self.anonymous.max(other.anonymous),
        }
    }

    /// A line each.
    fn add(self, when: &str, report: &mut Report) {
        for (what, kib) in [
            ("RSS", self.rss),
            ("PSS", self.pss),
            ("anonymous", self.anonymous),
        ] {
            let figure = Figure::new("memory", format!("{what}{when}"), "KiB");
            report.add(figure.with("agent-console", kib as f64));
        }
    }
}

pub fn memory(quick: bool, report: &mut Report) {
    first_moment(report);
    at_rest(quick, report);
    let updates = if quick { 100_000 } else { 1_000_000 };
    after_updates(updates, report);
    let daemon = Daemon::start();
    come_and_go(&daemon);
    Memory::at_rest(&daemon.child).add(" after 5,000 connections came and went", report);
    drop(daemon);
    busy(report);
    every_agent(report);
    fetches(if quick { 1 } else { 10 }, report);
}

/// The most resident memory that the process ever had, in KiB (`VmHWM` in `proc_pid_status(5)`).
fn high_water_mark(process: &Child) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The most that it takes from exec on: of resident memory by the kernel's own account, since the peak is shorter than a
/// sample; of the rest sampled without a pause.
fn first_moment(report: &mut Report) {
    let directory = directory().unwrap();
    let child = command(service(), directory.path()).spawn().unwrap();
    let daemon = Daemon { child, directory };
    let began = Instant::now();
    let mut most = Memory::default();
    while began.elapsed() < FIRST {
        if let Some(memory) = Memory::try_of(&daemon.child) {
            most = most.max(memory);
        }
    }
    most.rss = high_water_mark(&daemon.child);
    most.add(" in the first moment, most", report);
}

/// Beside the peers, which are as idle.
fn at_rest(quick: bool, report: &mut Report) {
    let daemon = Daemon::start();
    let peers = peers(Purpose::Answered, report);
    std::thread::sleep(if quick { REST } else { 2 * REST });
    let ours = Memory::of(&daemon.child);
    let quantities: [(&str, Pick); 3] = [
        ("RSS", |memory| memory.rss),
        ("PSS", |memory| memory.pss),
        ("anonymous", |memory| memory.anonymous),
    ];
    for (what, pick) in quantities {
        let figure = Figure::new("memory", format!("{what} at rest"), "KiB");
        let mut figure = figure.with("agent-console", pick(ours) as f64);
        for peer in &peers {
            figure = figure.with(peer.name(), pick(Memory::of(peer.process())) as f64);
        }
        report.add(figure);
    }
}

fn after_updates(updates: u64, report: &mut Report) {
    let system = AgentConsole::start(Kind::Hook, Purpose::Many);
    let mut load = Load::on(&system, 1);
    // Each session has all the steps that it keeps.
    load.flood(WARM_UP, AT_MOST);
    let sessions = system.sessions;
    Memory::at_rest(&system.daemon.child).add(&format!(", {sessions} busy sessions"), report);
    let sent = load.flood(updates, AT_MOST).0;
    let when = match sent {
        1_000_000 => " after 1 M updates".into(),
        _ => format!(" after {sent} updates"),
    };
    Memory::at_rest(&system.daemon.child).add(&when, report);
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

fn busy(report: &mut Report) {
    let daemon = Daemon::start();
    let agents = Agents::start(SESSIONS);
    let _dashboards = make_busy(&daemon, &agents, DASHBOARDS);
    let when = format!(", {SESSIONS} sessions of real processes and {DASHBOARDS} dashboards");
    Memory::at_rest(&daemon.child).add(&when, report);
}

/// Sessions of each agent, by the first events of each.
fn every_agent(report: &mut Report) {
    let daemon = Daemon::start();
    let mut producer = daemon.connect();
    for session in 0..AGENTS_SESSIONS {
        for (agent, events) in first_events(session) {
            for event in events {
                let at = unix_ms();
                let line = format!(
                    "{{\"jsonrpc\":\"2.0\",\"method\":\"session.report\",\"id\":1,\"params\":{{\"agent\":\"{agent}\",\"at\":{at},\"attended\":true,\"event\":{event}}}}}\n"
                );
                let accepted = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"accepted\":true}}\n";
                assert_eq!(producer.ask_line(line.as_bytes()), accepted.len(), "{line}");
            }
        }
    }
    let when = format!(", {AGENTS_SESSIONS} sessions of each of six agents");
    Memory::at_rest(&daemon.child).add(&when, report);
}

/// A session's start and a prompt, as each agent's hook reduces them.
fn first_events(session: u64) -> [(&'static str, [String; 2]); 6] {
    let id = format!("{session:08x}-6c90-4600-b1c7-af36e9198ce8");
    let named = |start: &str, prompt: &str| {
        [start, prompt].map(|event| {
            format!(
                r#"{{"hook_event_name":"{event}","session_id":"{id}","cwd":"/home/dev/project","source":"startup","prompt":"fix the test"}}"#
            )
        })
    };
    let copilot = ["sessionStart", "userPromptSubmitted"].map(|event| {
        format!(r#"{{"event":"{event}","sessionId":"{id}","cwd":"/home/dev/project","prompt":"fix the test"}}"#)
    });
    let opencode = ["session.created", "message.updated"].map(|event| {
        format!(r#"{{"event":"{event}","session_id":"ses_{session:024}","cwd":"/home/dev/project","model":"m1","permission_mode":"build","cost_usd":0}}"#)
    });
    [
        ("claude-code", named("SessionStart", "UserPromptSubmit")),
        ("codex", named("SessionStart", "UserPromptSubmit")),
        ("gemini", named("SessionStart", "BeforeAgent")),
        ("copilot", copilot),
        ("opencode", opencode),
        ("qwen", named("SessionStart", "UserPromptSubmit")),
    ]
}

/// Each a child that finds no credentials: to the daemon one is as the other.
fn fetches(count: u32, report: &mut Report) {
    let daemon = Daemon::start();
    let mut client = daemon.connect();
    client.ask("daemon.status");
    let before = Memory::at_rest(&daemon.child);
    for _ in 0..count {
        client.ask("usage.refresh");
        std::thread::sleep(Duration::from_millis(MIN_FETCH_INTERVAL_MS));
        client.ask("daemon.status");
    }
    let after = Memory::at_rest(&daemon.child);
    for (what, before, after) in [
        ("RSS", before.rss, after.rss),
        ("anonymous", before.anonymous, after.anonymous),
    ] {
        let s = if count == 1 { "fetch" } else { "fetches" };
        let what = format!("{what} growth over {count} {s} of the limits");
        let growth = after as f64 - before as f64;
        report.add(Figure::new("memory", what, "KiB").with("agent-console", growth));
    }
}

/// How often it ran while nothing happened, without a dashboard.
pub fn rest(quick: bool, report: &mut Report) {
    let time = Duration::from_secs(if quick { 10 } else { 60 });
    let daemon = Daemon::start();
    std::thread::sleep(REST);
    let before = switches(&daemon);
    std::thread::sleep(time);
    let count = switches(&daemon) - before;
    report.add(Figure::new("rest", "wake-ups", "").with("agent-console", count as f64));
    report.note(format!("rest: {} s without a dashboard", time.as_secs()));
}

fn switches(daemon: &Daemon) -> u64 {
    let path = format!("/proc/{}/status", daemon.child.id());
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .filter(|line| line.contains("ctxt_switches"))
        .map(|line| line.rsplit('\t').next().unwrap().parse::<u64>().unwrap())
        .sum()
}
