//! The service: from a listening socket to the loop that serves it, and out again.
//!
//! [`run`] is the whole life: take what the manager passed, read the configuration, leave the terminal if asked to,
//! listen, say so, turn until asked to leave. Every way that a socket can come to us (the manager's, launchd's, our
//! own) enters by one door, [`listener::acquire`]. tokio lives below this module and nowhere else. Called by
//! [`program`].

mod accounts;
mod agent_files;
mod agent_registry;
mod alarm;
mod child;
mod clients;
mod connection;
pub mod daemonize;
mod descriptors;
mod event_loop;
pub mod exit_watcher;
mod limits_child;
pub mod listener;
mod occasional;
mod outbox;
mod own_file;
pub mod program;
mod reactor;
mod ready;
mod refused_config;
mod reminder_child;
mod sd_notify;
mod settings;
mod signals;
mod state_file;

use std::cell::Cell;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Resource, Rlimit};

use self::daemonize::{Fork, daemonize};
use self::event_loop::EventLoop;
use self::listener::Activation;
use self::signals::Signals;
use crate::config::{self, Config, LogLevel};
use crate::format::{error_text, print_error};
use crate::log::{self, LogControl, Target};

/// How many connections and watched processes there may be at once, if the system lets us: each takes a descriptor.
const DESCRIPTORS: u64 = 65_536;

/// How to run.
#[derive(Debug, Default)]
pub struct Options {
    /// The socket to bind where no manager passes one; `None`: as the environment and the configuration say.
    pub socket: Option<PathBuf>,
    /// Go to the background once it listens.
    pub daemonize: bool,
    /// launchd's call, where there is launchd.
    pub launchd: Option<listener::launchd::ActivateSocket>,
}

/// Runs the daemon until it is stopped or idle. In the parent of a daemon in the background: waits until the daemon listens
/// and prints its process id.
///
/// Must be called while the process has one thread: it forks, and reads and changes the environment.
///
/// # Errors
///
/// The configuration is wrong and no manager would start the daemon again, what the manager passed is wrong, the socket
/// can't be bound, the system refuses.
pub fn run(options: &Options) -> Result<()> {
    let activation = listener::take_activation(options.launchd)?;
    if !matches!(activation, Activation::None) {
        if options.daemonize {
            bail!(
                "--daemonize: a service manager started this process and keeps it; leave the flag out"
            );
        }
        let (config, log) = match Config::load() {
            Ok(config) => {
                let log = log::init(config.log, Target::Foreground);
                (config, log)
            }
            Err(refused) => {
                let log = log::init(LogLevel::default(), Target::Foreground);
                let config = refused_config::wait(&refused);
                log.set_level(config.log);
                (config, log)
            }
        };
        // The path is the manager's.
        return serve(activation, Path::new(""), config, log, || {});
    }
    let config = Config::load()?;
    let socket = config::socket_path(options.socket.as_deref())?.path;
    if !options.daemonize {
        let log = log::init(config.log, Target::Foreground);
        return serve(activation, &socket, config, log, || {});
    }
    match daemonize().context("cannot go to the background")? {
        Fork::Parent(startup) => {
            let (pid, note) = startup.wait()?;
            // The daemon runs, also where its id cannot be printed.
            let _ = writeln!(std::io::stdout(), "{pid}");
            if !note.is_empty() {
                print_error(&anyhow!(note));
            }
            Ok(())
        }
        Fork::Child(readiness) => {
            let log = log::init(config.log, Target::Daemonized);
            // Whichever comes first takes it: it listens, or it never will.
            let readiness = Cell::new(Some(readiness));
            let note = log
                .failure()
                .map(|why| format!("the daemon runs without a log: {why}"));
            let ready = || {
                if let Some(readiness) = readiness.take() {
                    readiness.ready(note.as_deref().unwrap_or_default());
                }
            };
            let served = serve(activation, &socket, config, log, ready);
            if let (Err(error), Some(readiness)) = (&served, readiness.take()) {
                let why = error_text(error);
                tracing::warn!("cannot serve: {why}");
                readiness.failed(&why);
            }
            served
        }
    }
}

/// Listens, calls `ready`, and serves until it is time to leave.
fn serve(
    activation: Activation,
    socket: &Path,
    config: Config,
    log: LogControl,
    ready: impl FnOnce(),
) -> Result<()> {
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        // Before there is a socket to connect to: who can reach the daemon can also tell it to leave in order.
        let signals = Signals::new().context("cannot catch signals")?;
        let listener = listener::acquire(activation, socket)?;
        let (origin, path) = (listener.origin().as_str(), listener.path().to_owned());
        let event_loop =
            EventLoop::new(listener, signals, config, log).context("cannot watch the socket")?;
        let (version, pid) = (env!("CARGO_PKG_VERSION"), std::process::id());
        tracing::info!(version, origin, socket = %path.display(), pid, "ready: serves {}", path.display());
        ready();
        // A task, as each connection's: the runtime runs one after the other, and asks the system for events
        // (epoll_wait(2)) between a request and its answer only for the one future that is no task.
        tokio::task::spawn_local(event_loop.run()).await?;
        Ok(())
    })
}

/// The soft limit is often 1024, for the sake of programs that use select(2); this one does not.
fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let wanted = limit
        .maximum
        .map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit {
            current: Some(wanted),
            maximum: limit.maximum,
        };
        if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
            tracing::warn!("cannot raise the limit of open files: {error}");
        }
    }
}
