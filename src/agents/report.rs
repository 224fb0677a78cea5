//! Converts the parameters of a `session.report` to a [`Report`]. Called by the daemon's connections.

use super::{find, neutral};
use crate::event::{ProcessRole, Report, ReportedProcess, Source, Timing};
use crate::protocol::{PATH_LIMIT, ReportParams, Terminal};

/// Converts a report and its event; that of an agent that is not in the table is a neutral one. A pid of 0, an empty terminal and a path
/// that is too long count as absent.
#[must_use]
pub(crate) fn interpret(params: ReportParams<'_>) -> Report {
    let process = params.pid.filter(|&pid| pid != 0);
    let agent = find(&params.agent);
    let at = params.at;
    let event = params.event.and_then(|event| match agent {
        Some(agent) => (agent.interpret)(event.get(), at),
        None => neutral::event(event.get()),
    });
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
        account: None,
        timing: agent.map_or_else(Timing::default, |agent| agent.timing),
        source: Source::Hook,
        role: match params.shared {
            Some(true) => ProcessRole::Shared { client: None },
            Some(false) | None => ProcessRole::Own,
        },
        event,
        agent: params.agent.into(),
    }
}
