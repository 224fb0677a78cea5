//! Converts the parameters of a `session.report` to a [`Report`]. Called by the daemon's connections.

use super::{find, neutral};
use crate::event::{ProcessRole, Report, ReportedProcess, Source, Timing};
use crate::protocol::{PATH_LIMIT, ReportParams, Terminal};

/// Converts a report and its event; that of an agent that is not in the table is a neutral one. A pid of 0, an empty terminal, a path
/// that is too long and a limit that cannot be count as absent.
#[must_use]
pub(crate) fn interpret(params: ReportParams<'_>) -> Report {
    let process = params.pid.filter(|&pid| pid != 0);
    let agent = find(&params.agent);
    let at = params.at;
    let event = params.event.and_then(|event| match agent {
        Some(agent) => (agent.interpret)(event.get(), at),
        None => neutral::event(event.get()),
    });
    let event = event.map(|mut event| {
        event.limits.retain(|limit| limit.is_possible(at));
        event
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_cannot_be_is_dropped_and_the_others_are_kept() {
        let now = 1_790_000_000_000_u64;
        let limits = |five_hour: serde_json::Value| {
            let payload = serde_json::json!({"session_id": "s", "rate_limits": {
                "five_hour": five_hour, "seven_day": {"used_percentage": 7, "resets_at": 1_790_500_000}}});
            let agent = crate::agents::DEFAULT.name;
            let params = serde_json::json!({"agent": agent, "at": now, "event": payload});
            let params = params.to_string();
            let params: ReportParams<'_> = serde_json::from_str(&params).unwrap();
            let limits = interpret(params).event.unwrap().limits.into_iter();
            limits
                .map(|limit| limit.name.to_string())
                .collect::<Vec<_>>()
        };
        let window = |used: f64, at: u64| {
            limits(serde_json::json!({"used_percentage": used, "resets_at": at}))
        };
        assert_eq!(window(42.0, 1_790_018_000), ["five_hour", "seven_day"]);
        // It ends in ten years, it is used a thousand million times, it ends in ten days.
        assert_eq!(window(42.0, 2_105_000_000), ["seven_day"]);
        assert_eq!(window(1e9, 1_790_018_000), ["seven_day"]);
        assert_eq!(window(42.0, 1_790_864_000), ["seven_day"]);
    }
}
