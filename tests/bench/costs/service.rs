//! Starts the service that is measured, alone or under a tool that counts.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, Wire, command, directory, service, socket_in};

/// Valgrind takes seconds to start.
const STARTS_WITHIN: Duration = Duration::from_mins(1);
const BETWEEN_TRIES: Duration = Duration::from_millis(2);

/// Starts the service as the last arguments of `tool`, or by itself if there is no tool, and waits for its first answer.
/// Its standard error is a pipe.
pub fn start(tool: &[&str]) -> Daemon {
    let directory = directory().unwrap();
    let program = tool.first().map_or(service().as_os_str(), AsRef::as_ref);
    let mut command = command(program, directory.path());
    if !tool.is_empty() {
        command.args(&tool[1..]).arg(service());
    }
    let child = command
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let mut daemon = Daemon { child, directory };
    let deadline = Instant::now() + STARTS_WITHIN;
    loop {
        if let Ok(mut wire) = Wire::connect(&socket_in(daemon.directory.path())) {
            wire.ask("daemon.status");
            return daemon;
        }
        let ended = daemon.child.try_wait().unwrap();
        assert!(ended.is_none(), "{tool:?} the service ended: {ended:?}");
        assert!(Instant::now() < deadline, "{tool:?} the service is not up");
        std::thread::sleep(BETWEEN_TRIES);
    }
}
