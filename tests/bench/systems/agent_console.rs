//! agent-console: an agent's `session.report`, or a script's `session.set`, for sessions whose history is full;
//! dashboards subscribe with `"changes":"brief"`, as the program's own do.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::Child;

use super::{Counter, Ends, Purpose, System, UPDATE};
use crate::agents::{report_line, unix_ms};
use crate::daemon::{Daemon, Wire};
use crate::load::RING;

/// Sessions that updates go round where one is sent at a time.
pub const FEW: u64 = 10;
/// More changes of status than a history keeps.
const HISTORY: u64 = 40;
const SUBSCRIBE: &[u8] =
    b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\",\"params\":{\"changes\":\"brief\"}}\n";

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An agent's hook.
    Hook,
    /// A script.
    Set,
}

impl Kind {
    /// An update whose like comes most often: what an agent does with its tools, a script's change of status.
    fn line(self, round: u64, session: u64, at: u128) -> String {
        match self {
            Self::Hook => report_line(
                round,
                session,
                ["PreToolUse", "PostToolUse"][odd(round)],
                at,
            ),
            Self::Set => set(round, session),
        }
    }

    /// One that changes the status.
    pub fn turn(self, round: u64, session: u64) -> String {
        match self {
            Self::Hook => report_line(
                round,
                session,
                ["UserPromptSubmit", "Stop"][odd(round)],
                unix_ms(),
            ),
            Self::Set => set(round, session),
        }
    }
}

pub struct AgentConsole {
    pub daemon: Daemon,
    kind: Kind,
    /// How many sessions the updates go round.
    pub sessions: u64,
}

impl AgentConsole {
    /// With sessions whose histories are full.
    pub fn start(kind: Kind, purpose: Purpose) -> Self {
        let daemon = Daemon::start();
        // The first dashboard would start this fetch, whose outcome is one more delivery.
        daemon.connect().ask("usage.refresh");
        let sessions = match purpose {
            Purpose::Answered => FEW,
            Purpose::Many => RING / 2,
        };
        let rounds = (0..HISTORY).flat_map(|round| (0..sessions).map(move |id| (round, id)));
        ask_all(
            &mut daemon.connect(),
            rounds.map(|(round, id)| kind.turn(round, id)),
        );
        Self {
            daemon,
            kind,
            sessions,
        }
    }

    /// Bytes of a reply and of a delivery.
    pub fn lengths(&self) -> (usize, usize) {
        let mut dashboard = self.daemon.connect();
        subscribe(std::slice::from_mut(&mut dashboard), self);
        let mut producer = self.daemon.connect();
        let reply = producer.ask_line(&self.update(0, unix_ms()));
        (reply, dashboard.read_line())
    }
}

impl System for AgentConsole {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Hook => "hook",
            Kind::Set => "set",
        }
    }

    fn process(&self) -> &Child {
        &self.daemon.child
    }

    fn producer(&self) -> UnixStream {
        self.daemon.connect().socket
    }

    fn dashboards(&self, count: usize) -> Vec<UnixStream> {
        let mut dashboards: Vec<_> = (0..count).map(|_| self.daemon.connect()).collect();
        subscribe(&mut dashboards, self);
        dashboards.into_iter().map(|wire| wire.socket).collect()
    }

    fn update(&self, number: u64, at: u128) -> Vec<u8> {
        self.kind
            .line(number / self.sessions, number % self.sessions, at)
            .into_bytes()
    }

    fn replies(&self) -> Option<Ends> {
        Some(Ends::Lines)
    }

    fn deliveries(&self) -> Ends {
        Ends::Lines
    }

    fn delivery_length(&self) -> usize {
        self.lengths().1
    }
}

/// Reads the answers and the first change of each session, which come whole.
fn subscribe(dashboards: &mut [Wire], system: &AgentConsole) {
    for dashboard in dashboards.iter_mut() {
        dashboard.ask_line(SUBSCRIBE);
    }
    let mut producer = system.daemon.connect();
    for number in 0..system.sessions {
        producer.ask_line(&system.update(number, unix_ms()));
        // One at a time: a thousand whole records at once could exceed what a subscriber may be behind.
        for dashboard in dashboards.iter_mut() {
            dashboard.read_line();
        }
    }
}

/// Sends many lines and reads as many answers, some at a time.
pub fn ask_all(wire: &mut Wire, lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.collect();
    for batch in lines.chunks(50) {
        wire.socket.write_all(batch.concat().as_bytes()).unwrap();
        let mut answers = Counter::new(Ends::Lines);
        while answers.read(wire.read()) < batch.len() as u64 {}
    }
}

fn odd(round: u64) -> usize {
    usize::from(!round.is_multiple_of(2))
}

/// A script's update, filled up to [`UPDATE`] bytes.
fn set(id: u64, session: u64) -> String {
    let status = ["working", "idle"][odd(id)];
    let line = |title: &str| {
        format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"session.set\",\"params\":{{\"session\":\"session-{session:06}\",\"status\":\"{status}\",\
             \"reason\":\"Bash: cargo test --locked --all-targets\",\"title\":\"{title}\",\"cwd\":\"/home/dev/project/with/a/longer/path/than/most\"}}}}\n"
        )
    };
    let missing = UPDATE.saturating_sub(line("").len());
    line(&"t".repeat(missing.min(110)))
}
