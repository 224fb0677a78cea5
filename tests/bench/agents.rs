//! What agents send, and processes that stand for agents.

use std::process::{Child, Command, Stdio};

use agent_console::os::process;

use crate::daemon::{Daemon, Wire};

/// Rounds of events that fill a session's history, which keeps 32 entries.
const ROUNDS: u64 = 20;

/// The line of a hook's report, of some 400 bytes.
pub fn report_line(id: u64, session: u64, event: &str, at: u128) -> String {
    let pane = session % 1000;
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"session.report\",\"params\":{{\"agent\":\"claude-code\",\"at\":{at},\"attended\":true,\
         \"terminal\":{{\"tty\":\"/dev/pts/{pane}\",\"term_program\":\"tmux\",\"tmux_pane\":\"%{pane}\"}},\
         \"event\":{{\"hook_event_name\":\"{event}\",\"session_id\":\"{session:08x}-cd7f-4f42-9daf-d078b8555b8f\",\"cwd\":\"/home/dev/project\",\
         \"permission_mode\":\"default\",\"tool_name\":\"Bash\",\"tool_input\":{{\"command\":\"cargo test --locked\"}}}}}}}}\n"
    )
}

pub fn unix_ms() -> u128 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis()
}

/// Processes that stand for agents; killed at the end.
pub struct Agents(Vec<Child>);

impl Agents {
    pub fn start(count: usize) -> Self {
        let agent = |_| {
            Command::new("sleep")
                .arg("600")
                .stdin(Stdio::null())
                .spawn()
                .unwrap()
        };
        Self((0..count).map(agent).collect())
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

/// Gives the service a session with a full history for each agent, and so many subscribers to whole changes.
pub fn make_busy(daemon: &Daemon, agents: &Agents, dashboards: usize) -> Vec<Wire> {
    let mut producer = daemon.connect();
    for agent in &agents.0 {
        agents_session(&mut producer, agent);
    }
    let mut dashboards: Vec<_> = (0..dashboards).map(|_| daemon.connect()).collect();
    for dashboard in &mut dashboards {
        dashboard.ask("subscribe");
    }
    dashboards
}

/// A session of this process with a full history.
fn agents_session(producer: &mut Wire, agent: &Child) {
    let found = process::inspect(agent.id()).unwrap().id;
    let namespace = process::namespace().unwrap();
    let (pid, start) = (found.pid, found.start);
    let process = format!(
        "\"pid\":{pid},\"process_start\":{start},\"pid_namespace\":{namespace},\"attended\""
    );
    for round in 0..ROUNDS {
        for event in ["UserPromptSubmit", "PreToolUse", "Stop"] {
            let report = report_line(round, u64::from(pid), event, unix_ms());
            producer.ask_line(report.replace("\"attended\"", &process).as_bytes());
        }
    }
}
