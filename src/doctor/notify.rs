//! Reminders: whether what the configuration wants reaches a person, as the daemon would do it.

use std::path::Path;

use super::probe::DaemonProbe;
use super::{Check, within};
use crate::config::{Config, variable};
use crate::notify::{self, Server};
use crate::os::process_environment::ProcessEnvironment;

const NAME: &str = "notify";

/// What a reminder would meet.
#[derive(Debug)]
pub(super) struct Probe {
    /// The configuration wants notifications of the desktop, a command.
    pub(super) wants: (bool, bool),
    /// The program that shows notifications; without one, why. `None` where none was looked for.
    pub(super) server: Option<Result<String, String>>,
    /// Whether an example was sent; without one, why. `None` where none was asked for.
    pub(super) example: Option<Result<(), String>>,
}

/// Looks for what shows notifications from where the daemon is. With `example`, sends one to look at; `socket` is the
/// daemon's.
pub(super) fn probe(
    config: Option<&Config>,
    daemon: Option<&DaemonProbe>,
    example: Option<&Path>,
) -> Probe {
    let config = config
        .map(|config| config.notify.clone())
        .unwrap_or_default();
    let daemon = daemon.filter(|daemon| daemon.visible);
    let environment = daemon.and_then(|daemon| ProcessEnvironment::of(daemon.hello.pid));
    let looks = config.desktop || example.is_some();
    let server = looks.then(|| {
        within(move || match environment {
            Some(daemon) => Server::find_by(|name| daemon.variable(name)),
            None => Server::find_by(variable),
        })
        .unwrap_or_else(|| Err("the session bus does not answer within 2 s".to_owned()))
    });
    let example = example.map(|socket| {
        let server = server.as_ref().and_then(|server| server.as_ref().ok());
        notify::send_example(server, config.command.as_deref(), socket)
    });
    Probe {
        wants: (config.desktop, config.command.is_some()),
        server: server.map(|server| server.map(|server| server.title)),
        example,
    }
}

pub(super) fn evaluate(seen: &Probe) -> Check {
    if let Some(Err(why)) = &seen.example {
        return Check::wrong(NAME, format!("no example was sent: {why}"));
    }
    let server = seen.server.as_ref();
    if let (true, Some(Err(why))) = (seen.wants.0, server) {
        return Check::wrong(NAME, format!("notify.desktop is on, but {why}"));
    }
    let ways = [
        seen.wants.0.then(|| match server {
            Some(Ok(title)) => format!("notifications by {title}"),
            Some(Err(_)) | None => "notifications".to_owned(),
        }),
        seen.wants
            .1
            .then(|| "the command of notify.command".to_owned()),
    ];
    let ways: Vec<_> = ways.into_iter().flatten().collect();
    let sent = if seen.example.is_some() {
        "; an example was sent"
    } else {
        ""
    };
    let what = if ways.is_empty() {
        "off; `agent-console install --notify` switches notifications on".to_owned()
    } else {
        ways.join(", ")
    };
    Check::ok(NAME, what + sent)
}
