//! Converts the parameters of a `session.report` to a [`Report`]. Called by the daemon's connections.

use super::find;
use crate::event::{Report, ReportedProcess, Timing};
use crate::protocol::{PATH_LIMIT, ReportParams, Terminal};

/// Converts a report and its event; the event of an unknown agent is dropped. A pid of 0, an empty terminal and a path
/// that is too long count as absent.
#[must_use]
pub(crate) fn interpret(params: ReportParams<'_>) -> Report {
    let process = params.pid.filter(|&pid| pid != 0);
    let agent = find(&params.agent);
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
        timing: agent.map_or_else(Timing::default, |agent| agent.timing),
        event: agent
            .zip(params.event)
            .and_then(|(agent, event)| (agent.interpret)(event.get())),
        agent: params.agent.into(),
    }
}
