//! The builder that all tests stand on: a directory of one's own, the daemon in it, the commands, a raw connection.

mod bystanders;
mod daemon;
mod place;
mod programs;
mod sleeper;
mod wire;

use std::time::{Duration, Instant};

pub use self::bystanders::Bystanders;
pub use self::daemon::Daemon;
pub use self::place::Place;
#[cfg(target_os = "linux")]
pub use self::programs::executable;
pub use self::programs::{copy, hook_program, program, service, write_codex, write_program};
pub use self::sleeper::Sleeper;
pub use self::wire::Wire;

/// How long anything may take before a test gives up: generous, because it is only ever waited for in failure.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// How long what needs no wait may take: far above what it takes on a busy machine, below [`PATIENCE`].
pub const PROMPT: Duration = Duration::from_secs(20);

/// Tries until `probe` gives something.
///
/// # Panics
///
/// Nothing came within [`PATIENCE`].
#[track_caller]
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Lets this process have as many files open as the system allows: a test's clients are all its own.
pub fn open_many() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

/// A pipe whose reading end is closed.
pub fn broken_pipe() -> std::io::PipeWriter {
    let (_reader, writer) = std::io::pipe().unwrap();
    writer
}
