//! From the parameters of a `session.report` to what they say, in this program's words. Called by the daemon's connections.

use crate::event::{Report, ReportedProcess};
use crate::protocol::{PATH_LIMIT, ReportParams, Terminal};

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
        event: params
            .event
            .and_then(|event| super::event(&params.agent, event.get())),
        agent: params.agent.into(),
    }
}
