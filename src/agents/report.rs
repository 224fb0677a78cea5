//! From the parameters of a `session.report` to what they say, in this program's words. Called by the daemon's connections.

use crate::event::{Report, ReportedProcess, Timing};
use crate::protocol::{PATH_LIMIT, ReportParams, Terminal};

/// Claude Code 2.1.330's: its registry flashes for 12 to 30 ms, and follows a hook within 20 to 120 ms.
pub const TIMING: Timing = Timing {
    settle_ms: 150,
    settle_next_ms: 500,
    race_ms: 500,
    confirm_ms: 1000,
};

/// Reads the agent's event. What is of no use (a pid of 0, an empty terminal, a path too long) counts as absent.
#[must_use]
pub fn interpret(params: ReportParams<'_>) -> Report {
    let process = params.pid.filter(|&pid| pid != 0);
    Report {
        at: params.at,
        process: process.map(|pid| ReportedProcess {
            pid,
            start: params.process_start,
            namespace: params.pid_namespace,
        }),
        attended: params.attended,
        terminal: params
            .terminal
            .filter(|terminal| **terminal != Terminal::default()),
        config_dir: params
            .config_dir
            .filter(|directory| directory.len() <= PATH_LIMIT)
            .map(Into::into),
        timing: TIMING,
        event: params
            .event
            .and_then(|event| super::event(&params.agent, event.get())),
        agent: params.agent.into(),
    }
}
