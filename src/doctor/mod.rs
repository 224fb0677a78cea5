//! What is wrong with this installation, and what fixes it: one [`Check`] a question.
//!
//! | file | asks |
//! |---|---|
//! | `programs` | is the service's program there, of this version? |
//! | `service` | are the service manager's files right, does it hold the socket? |
//! | `socket` | is it there, whose is it, who listens? |
//! | `daemon` | does it answer, is it this version, what has it reported? |
//! | `config` | is the file right, is it the one the daemon reads? |
//! | `log` | does the log reach its place? |
//! | `notify` | do reminders reach a person? |
//! | `hooks` | do the agents call this program? |
//! | `trust` | do agents that want a person's trust run them? |
//! | `latency` | what does that cost them? |
//! | `registry` | can the agents' own registry be read? |
//! | `versions` | is an agent newer than what was recorded of it? |
//! | `sessions` | which of those that run have silent hooks? |
//!
//! Each file probes first, then evaluates what it saw, which is pure; what several need of the socket and the daemon is in
//! `probe`, the commands that fix are in `fix`. Every question stands on its own, so that one that has no answer costs no
//! other, and nothing here waits longer than [`LIMIT`] for anything but an agent's word on trust. Changes nothing, except
//! that its connection starts the daemon where a manager holds the socket, which is what shows that it would. Called by `commands::doctor`, which prints;
//! texts from outside are cleaned there.

mod config;
mod daemon;
mod fix;
mod hooks;
mod latency;
mod log;
mod notify;
mod probe;
mod programs;
mod registry;
mod service;
mod sessions;
mod socket;
mod trust;
mod versions;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use serde::Serialize;

use self::fix::FixCommands;
use self::hooks::HookState;
use self::probe::{DaemonProbe, probe_daemon, probe_socket};
use crate::agents;
use crate::config::{Config, Source};
use crate::install;
use crate::install::plan::State;
use crate::os::clock;
use crate::protocol::words::words;
use crate::protocol::{SessionRecord, Status};

/// The longest wait for one answer: of a command, a connection, a file on a disk that hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(2);

/// This program's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

words! {
    /// How bad it is.
    pub(crate) closed enum Level {
        /// As it should be.
        Ok = "ok",
        /// Not wrong, and worth knowing.
        Note = "note",
        /// Wrong: something that should work does not.
        Wrong = "wrong",
    }
}

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// What was looked at; never changes, for scripts.
    pub name: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was seen, in one line for a person. May hold text from outside as it came.
    pub what: String,
    /// The command that fixes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Check {
    fn ok(name: &'static str, what: impl Into<String>) -> Self {
        Self::new(name, Level::Ok, what)
    }

    fn note(name: &'static str, what: impl Into<String>) -> Self {
        Self::new(name, Level::Note, what)
    }

    fn wrong(name: &'static str, what: impl Into<String>) -> Self {
        Self::new(name, Level::Wrong, what)
    }

    fn new(name: &'static str, level: Level, what: impl Into<String>) -> Self {
        Self {
            name,
            level,
            what: what.into(),
            fix: None,
        }
    }

    fn fix(mut self, command: impl Into<String>) -> Self {
        self.fix = Some(command.into());
        self
    }

    /// `command` is `None` where none fixes it.
    fn fix_if_any(mut self, command: Option<String>) -> Self {
        self.fix = command;
        self
    }
}

/// Asks every question, always the same ones in the same order; `flag` is `--socket`. `reminds`: a notification to look at is
/// sent, too.
#[must_use]
pub(crate) fn run_checks(flag: Option<&Path>, reminds: bool) -> Vec<Check> {
    let state = within(install::service::state);
    let edited = state.as_ref().map(service::edited);
    let edited = edited.unwrap_or_default();
    let runtime = service::runtime_refusal();
    let service = service::evaluate(state.as_ref(), &edited, runtime.as_deref());
    let ([socket, daemon], found) = find_daemon(flag, state.as_ref());
    let daemons = found.as_ref().map(|(probe, commands)| (probe, commands));
    let running = found.as_ref().map(|(probe, _)| probe);

    let config = config::probe(running);
    let choice = crate::config::client_socket(flag).ok();
    let example = choice.map(|choice| choice.path).filter(|_| reminds);
    let settings = config
        .config
        .as_ref()
        .and_then(|config| config.as_ref().ok());
    let reminders = notify::probe(settings, running, example.as_deref());
    let mut checks = vec![
        programs::evaluate(&programs::probe()),
        service,
        socket,
        daemon,
        daemon::evaluate_notices(daemons, config.config.as_ref()),
        config::evaluate(&config, daemons),
        log::evaluate(&log::probe(running)),
        notify::evaluate(&reminders),
    ];
    let sessions = running.map(|probe| &*probe.snapshot.sessions);
    checks.extend(check_agents(sessions));
    checks
}

/// The checks of the agents that are there, and of their `sessions`.
fn check_agents(sessions: Option<&[SessionRecord<'_>]>) -> Vec<Check> {
    let places = agents::ALL.iter().flat_map(|&agent| {
        let directories = install::hooks::config_dirs(agent).into_iter();
        directories.map(move |directory| (agent, directory))
    });
    let (present, absent): (Vec<_>, Vec<_>) = places.partition(|(_, directory)| directory.exists());
    let mut projects: Vec<PathBuf> = sessions.map_or_else(Vec::new, live_directories);
    projects.extend(std::env::current_dir());
    projects.sort();
    projects.dedup();
    let mut checks = Vec::new();
    let mut states: Vec<(&str, HookState)> = Vec::new();
    checks.extend(hooks::refused_variables());
    let mut measured = None;
    for (agent, directory) in &present {
        let probe = hooks::probe(agent, directory, &projects);
        let check = hooks::evaluate(&probe);
        let state = HookState::of(&check);
        match states.iter_mut().find(|(name, _)| *name == agent.name) {
            // The worst of its directories counts.
            Some((_, worst)) => *worst = state.max(*worst),
            None => states.push((agent.name, state)),
        }
        checks.push(check);
        measured = measured.or_else(|| Some((probe.program()?, *agent)));
    }
    if present.is_empty() {
        checks.push(hooks::no_agent(&absent));
    } else {
        let config = Config::load().unwrap_or_default();
        let missing = absent
            .iter()
            .filter(|(agent, directory)| config.config_dirs(agent.name).contains(directory));
        checks.extend(missing.map(|(_, directory)| hooks::named_and_absent(directory)));
    }
    let (program, agent) = measured.map_or((None, agents::DEFAULT), |(program, agent)| {
        (Some(program), agent)
    });
    let state = states.iter().find(|(name, _)| *name == agent.name);
    let state = state.map_or(HookState::Missing, |(_, state)| *state);
    // Only an agent that names its process by a variable can be stood for.
    let is_named = agent.hook.pid_variable.is_some();
    let stand_in = if is_named { agent } else { agents::DEFAULT };
    let figures = latency::measure(program, stand_in.name);
    checks.push(latency::evaluate(&figures, state));
    for (agent, directory) in if present.is_empty() {
        &absent
    } else {
        &present
    } {
        if let Some(registry) = &agent.registry {
            let probe = registry::probe(directory, registry);
            checks.push(registry::evaluate(&probe));
        }
    }
    let versions = within(versions::probe).unwrap_or_default();
    checks.push(versions::evaluate(&versions));
    checks.push(sessions::evaluate(sessions, &states, clock::unix_ms()));
    checks
}

/// The directories in which the open sessions began, where agents look for a project's settings.
fn live_directories(sessions: &[SessionRecord<'_>]) -> Vec<PathBuf> {
    let open = sessions
        .iter()
        .filter(|session| session.status != Status::Closed);
    let directories =
        open.filter_map(|session| session.start_cwd.as_deref().or(session.cwd.as_deref()));
    directories.map(PathBuf::from).collect()
}

/// Finds the daemon: the checks of its socket and of itself, and what it answered if it did.
fn find_daemon(
    flag: Option<&Path>,
    state: Option<&State>,
) -> ([Check; 2], Option<(DaemonProbe, FixCommands)>) {
    let choice = match crate::config::client_socket(flag) {
        Ok(choice) => choice,
        Err(error) => {
            let check = socket::no_choice(&error, &unset_command(state));
            return ([check, unasked(daemon::NAME)], None);
        }
    };
    let mut commands = FixCommands::new(&choice, state);
    let (socket, connection) = probe_socket(&choice);
    if connection.is_none() && choice.source == Source::Environment {
        commands.unset = unset_command(state);
    }
    let daemon = connection.map(|connection| probe_daemon(&choice.path, connection));
    let hello = match &daemon {
        Some(Ok(daemon)) => Some(&daemon.hello),
        Some(Err(_)) | None => None,
    };
    let listener = socket.listener.as_ref().map_or(0, |listener| listener.pid);
    let checks = [
        socket::evaluate(&socket, hello, &commands),
        match &daemon {
            Some(daemon) => daemon::evaluate(daemon.as_ref(), listener, &commands),
            None => unasked(daemon::NAME),
        },
    ];
    let daemon = daemon.and_then(Result::ok);
    (checks, daemon.map(|daemon| (daemon, commands)))
}

/// Has the socket be another than the environment's, and a daemon listen there.
fn unset_command(state: Option<&State>) -> String {
    let fix = match crate::config::socket_without_variable() {
        Ok(choice) => {
            let (socket, _) = probe_socket(&choice);
            socket::evaluate(&socket, None, &FixCommands::new(&choice, state)).fix
        }
        Err(error) => fix::configuration(&error, fix::UNSET),
    };
    match fix {
        Some(fix) => format!("{} && {fix}", fix::UNSET),
        None => fix::UNSET.to_owned(),
    }
}

/// For what only a daemon can answer.
fn unasked(name: &'static str) -> Check {
    Check::note(name, "there is no daemon to ask")
}

/// What `work` gives, or `None` if it takes longer than [`LIMIT`]: its thread is left behind then, and ends with the
/// process.
fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(LIMIT).ok()
}

/// A number with its noun.
fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests;
