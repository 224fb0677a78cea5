//! What a hook costs the agent that waits for it: measured, with a listener of its own in the daemon's place.

use std::fs::DirBuilder;
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::hooks::HookState;
use super::{Check, LIMIT};
use crate::agents;
use crate::config::SOCKET_VARIABLE;
use crate::os::{clock, command as child};

const NAME: &str = "latency";

/// Runs of each program: enough for a median, and over before a person notices.
const RUNS: usize = 20;

/// A median above this is felt: an agent runs several hooks for each tool it uses.
const MUCH: Duration = Duration::from_millis(20);

/// The least that the hook takes for an event.
const EVENT: &[u8] = b"{}";

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) median: Duration,
    pub(super) worst: Duration,
    /// The median of `/bin/true`: what starting any program costs. `None` where there is none.
    pub(super) floor: Option<Duration>,
    /// How many of [`RUNS`] reports came to the listener.
    pub(super) arrived: usize,
}

/// A directory with the listener's socket; removed however the measuring ends.
struct Place(PathBuf);

impl Place {
    fn new() -> io::Result<Self> {
        let (pid, now) = (std::process::id(), clock::unix_ms());
        let name = format!("agent-console-doctor-{pid}-{now}");
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A directory too many in the temporary one is no reason to keep an answer back.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs `program`, else this one, as the agent of this name would.
///
/// # Errors
///
/// Why it could not be measured, for a person.
pub(super) fn measure(program: Option<PathBuf>, agent: &str) -> Result<Figures, String> {
    let own = || std::env::current_exe().map_err(|error| error.to_string());
    let program = program.map_or_else(own, Ok)?;
    let text = |error: io::Error| error.to_string();
    let place = Place::new().map_err(text)?;
    let socket = place.0.join("socket");
    let listener = UnixListener::bind(&socket).map_err(text)?;
    let counter = thread::spawn(move || count(&listener));

    let runs = run_all(&program, agent, &socket);
    // An empty connection is the listener's sign to stop.
    UnixStream::connect(&socket).map_err(text)?;
    let arrived = counter.join().unwrap_or_default();
    let (mut hooks, mut floor) = runs.map_err(|error| format!("{}: {error}", program.display()))?;
    hooks.sort_unstable();
    floor.sort_unstable();
    Ok(Figures {
        median: hooks.get(RUNS / 2).copied().unwrap_or_default(),
        worst: hooks.last().copied().unwrap_or_default(),
        floor: floor.get(RUNS / 2).copied(),
        arrived,
    })
}

/// In turns, so that whatever else the machine does meets both.
fn run_all(
    program: &Path,
    agent: &str,
    socket: &Path,
) -> io::Result<(Vec<Duration>, Vec<Duration>)> {
    let (mut hooks, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let mut hook = Command::new(program);
        hook.args(["hook", agent, "--socket"])
            .arg(socket)
            // A wrapper may not pass the option on.
            .env(SOCKET_VARIABLE, socket);
        // A hook reports nothing unless it is the agent that runs it.
        let pid_variable = agents::find(agent).and_then(|agent| agent.hook.pid_variable);
        if let Some(variable) = pid_variable {
            hook.env(variable, std::process::id().to_string());
        }
        hooks.push(time(&mut hook)?);
        floor.extend(time(&mut Command::new("/bin/true")));
    }
    Ok((hooks, floor))
}

fn time(command: &mut Command) -> io::Result<Duration> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let began = clock::monotonic();
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // What does not read it is timed all the same.
        let _ = input.write_all(EVENT);
    }
    let status = child::wait(&mut child, LIMIT)?;
    let took = began.elapsed();
    if status.success() {
        Ok(took)
    } else {
        Err(io::Error::other(status.to_string()))
    }
}

/// Counts the reports, until a client connects and sends nothing.
fn count(listener: &UnixListener) -> usize {
    let mut arrived = 0;
    while let Ok((mut report, _)) = listener.accept() {
        let mut line = Vec::new();
        let read = report
            .set_read_timeout(Some(LIMIT))
            .and_then(|()| report.read_to_end(&mut line));
        if read.is_err() || line.is_empty() {
            break;
        }
        arrived += usize::from(line.ends_with(b"\n"));
    }
    arrived
}

/// `hooks`: whether `install` can put the hooks in place.
pub(super) fn evaluate(figures: &Result<Figures, String>, hooks: HookState) -> Check {
    let figures = match figures {
        Ok(figures) => figures,
        Err(why) => {
            return hooks.fix(Check::wrong(NAME, format!("the hook cannot be run: {why}")));
        }
    };
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    let floor = match figures.floor {
        Some(floor) => format!(", beside {} for /bin/true", ms(floor)),
        None => String::new(),
    };
    let what = format!(
        "a hook takes {}, at worst {}{floor}",
        ms(figures.median),
        ms(figures.worst)
    );
    if figures.arrived < RUNS {
        let lost = RUNS - figures.arrived;
        let what = format!("{lost} of {RUNS} reports did not arrive; {what}");
        return hooks.fix(Check::wrong(NAME, what));
    }
    if figures.median > MUCH {
        return Check::note(NAME, format!("slow: {what}"));
    }
    Check::ok(NAME, what)
}
