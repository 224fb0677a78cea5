//! The daemon's log: where its lines go, how much is said, and what to do when they cannot be written.
//!
//! Three places. Under systemd (`JOURNAL_STREAM` names what standard error is, systemd.exec(5)) the journal, with
//! fields. In the foreground readable lines on standard error. Daemonised a file in the state directory.
//! The level can be changed while the daemon runs; a reload of the configuration does.
//!
//! A daemon must outlive its log. Writing a line never panics, never logs in turn, and waits for a reader at most once
//! for a fraction of a second; a line that cannot be written is lost. The first loss is kept for the daemon to publish
//! as a notice ([`LogControl::take_failure`]): a gap in the log must not look like quiet.
//!
//! What the levels mean: `error` is our bug, `warn` is bad but handled, `info` is the daemon's life, `debug` is each
//! update. Never a payload, a prompt, an environment or a token. Knows nothing of the daemon, which calls `init` once,
//! before it starts a thread; clients and hooks do not log.

#[cfg(target_os = "linux")]
mod journald;
mod sink;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::config::{LogLevel, variable, xdg_base};
use sink::{FileSink, Sink, Writer};

/// Which kind of process logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A terminal or a service manager reads standard error.
    Foreground,
    /// Standard error is closed: `daemon --daemonize`.
    Daemonized,
}

/// The log in use: changes its level, returns its failures. Clones control the same log.
#[derive(Debug, Clone)]
pub(crate) struct LogControl {
    level: reload::Handle<LevelFilter, Registry>,
    health: Arc<Health>,
}

impl LogControl {
    /// From now on logs what `level` includes.
    pub(crate) fn set_level(&self, level: LogLevel) {
        // It can fail only once the process's subscriber is gone, and then there is nothing to set.
        let _ = self.level.reload(filter(level));
    }

    /// The same as [`take_failure`](Self::take_failure), which still returns it then.
    #[must_use]
    pub(crate) fn failure(&self) -> Option<String> {
        let unreported = self.health.unreported.lock();
        unreported.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why lines are lost, as one line for a person; `None` if none were, or this was returned before. Returned again
    /// only after a loss that follows a hundred written lines.
    #[must_use]
    pub(crate) fn take_failure(&self) -> Option<String> {
        self.health.take()
    }
}

/// Sets up the process's log. Call it once, before any thread is started. A place that cannot be used is no error: the
/// journal is replaced by standard error, a file by nothing, and [`LogControl::take_failure`] returns why.
#[must_use]
pub(crate) fn init(level: LogLevel, target: Target) -> LogControl {
    let health = Arc::new(Health::default());
    #[cfg(target_os = "linux")]
    if journald::is_standard_error(variable("JOURNAL_STREAM")) {
        match journald::layer(&health) {
            Ok(journal) => return install(level, journal, health),
            // Standard error is the journal too, only without fields.
            Err(error) => health.lost(&format!(
                "the journal cannot be reached ({error}); the log goes to standard error"
            )),
        }
        return install(level, lines(Sink::StandardError, false, &health), health);
    }
    match target {
        Target::Foreground => {
            let colour = sink::standard_error_has_colour();
            install(level, lines(Sink::StandardError, colour, &health), health)
        }
        Target::Daemonized => {
            let opened = match file_path() {
                Some(path) => FileSink::open(path),
                None => Err("there is no place for a log file: neither XDG_STATE_HOME nor HOME is set to an absolute path".to_owned()),
            };
            let sink = match opened {
                Ok(file) => Sink::File(file),
                Err(why) => {
                    health.lost(&why);
                    Sink::Nowhere
                }
            };
            install(level, lines(sink, false, &health), health)
        }
    }
}

/// The log of a daemonised daemon: `$XDG_STATE_HOME/agent-console/daemon.log`, else
/// `$HOME/.local/state/agent-console/daemon.log`; the one before it has `.1` appended. `None` without both variables.
#[must_use]
pub(crate) fn file_path() -> Option<PathBuf> {
    let mut path = xdg_base(variable("XDG_STATE_HOME"), variable("HOME"), ".local/state")?;
    path.push("agent-console/daemon.log");
    Some(path)
}

/// Readable lines: time (RFC 3339, UTC), level, message, fields.
fn lines<S>(sink: Sink, colour: bool, health: &Arc<Health>) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fmt::layer()
        .with_target(false)
        .with_ansi(colour)
        // It would report with `eprintln!`, which panics when standard error is the thing that is broken.
        .log_internal_errors(false)
        .with_writer(Writer::new(sink, Arc::clone(health)))
}

type Filtered = tracing_subscriber::layer::Layered<reload::Layer<LevelFilter, Registry>, Registry>;

/// A subscriber of `layer` with a level that can be changed, and the handle to change it.
fn subscriber<L>(
    level: LogLevel,
    layer: L,
) -> (
    impl Subscriber + Send + Sync,
    reload::Handle<LevelFilter, Registry>,
)
where
    L: Layer<Filtered> + Send + Sync,
{
    let (filter, handle) = reload::Layer::new(filter(level));
    (Registry::default().with(filter).with(layer), handle)
}

fn install<L>(level: LogLevel, layer: L, health: Arc<Health>) -> LogControl
where
    L: Layer<Filtered> + Send + Sync,
{
    let (subscriber, level) = subscriber(level, layer);
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        health.lost("the log was set up before; the first one counts");
    }
    LogControl { level, health }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    }
}

/// Lines that must be written before another loss is reported: a nearly full disk takes some and refuses others,
/// and must not become a flood of notices.
const RECOVERED: u32 = 100;

/// Whether lines arrive. Shared between the writer and [`LogControl`]: the writer runs wherever something is logged, so
/// this is one of the few things in the daemon that several owners hold.
#[derive(Debug, Default)]
struct Health {
    failing: AtomicBool,
    good_in_a_row: AtomicU32,
    unreported: Mutex<Option<String>>,
}

impl Health {
    fn lost(&self, why: &str) {
        self.good_in_a_row.store(0, Ordering::Relaxed);
        if !self.failing.swap(true, Ordering::Relaxed) {
            *self
                .unreported
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
        }
    }

    fn written(&self) {
        if self.failing.load(Ordering::Relaxed)
            && self.good_in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= RECOVERED
        {
            self.failing.store(false, Ordering::Relaxed);
        }
    }

    fn take(&self) -> Option<String> {
        self.unreported
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Read;

    #[test]
    fn a_line_has_time_level_message_and_fields_and_the_level_can_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/daemon.log");
        let health = Arc::new(Health::default());
        let sink = Sink::File(FileSink::open(path.clone()).unwrap());
        let (subscriber, handle) = subscriber(LogLevel::Info, lines(sink, false, &health));
        let control = LogControl {
            level: handle,
            health,
        };
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(
                port = 5,
                name = "a\nb",
                "hello \u{1b}[31m\u{9b}\u{202e}\u{2066}"
            );
            tracing::debug!("not yet");
            control.set_level(LogLevel::Debug);
            tracing::debug!("now");
            control.set_level(LogLevel::Error);
            tracing::warn!("no more");
        });
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        let (time, rest) = lines[0].split_once(' ').unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok(), "{text}");
        assert_eq!(
            rest.trim_start(),
            r#"INFO hello \x1b[31m\u{9b}\u{202e}\u{2066} port=5 name="a\nb""#
        );
        assert!(lines[1].ends_with(" now"), "{text}");
        assert_eq!(control.take_failure(), None);
    }

    #[test]
    fn a_full_disk_is_reported_once_and_blocks_nothing() {
        let health = Arc::new(Health::default());
        let full = fs::File::options().append(true).open("/dev/full").unwrap();
        let sink = Sink::File(FileSink::of(full, "/dev/full".into()));
        let (subscriber, handle) = subscriber(LogLevel::Info, lines(sink, false, &health));
        let control = LogControl {
            level: handle,
            health,
        };
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..3 {
                tracing::info!("lost");
            }
            let failure = control.take_failure().unwrap();
            assert!(failure.contains("/dev/full"), "{failure}");
            tracing::info!("lost too");
            assert_eq!(control.take_failure(), None);
        });
    }

    /// A daemon that opened one to write to it would wait for its reader.
    #[test]
    fn what_is_no_regular_file_is_no_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.log");
        let refused = || {
            let why = FileSink::open(path.clone()).unwrap_err();
            assert!(why.contains("daemon.log"), "{why}");
            assert!(why.contains("not a regular file"), "{why}");
        };
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        refused();
        // With a reader, too.
        let _reader = fs::File::options()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        refused();
        fs::remove_file(&path).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        refused();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        refused();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        refused();
    }

    #[test]
    fn a_full_pipe_does_not_block() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let health = Arc::new(Health::default());
        let (subscriber, handle) = subscriber(
            LogLevel::Info,
            lines(Sink::Descriptor(writer.into()), false, &health),
        );
        let control = LogControl {
            level: handle,
            health,
        };
        tracing::subscriber::with_default(subscriber, || {
            let long = "x".repeat(10_000);
            for _ in 0..20 {
                tracing::info!("{long}");
            }
            assert!(control.take_failure().unwrap().contains("is not read"));
            let mut some = vec![0; 40_000];
            reader.read_exact(&mut some).unwrap();
            drop(reader);
            tracing::info!("into a closed pipe");
        });
    }

    #[test]
    fn a_loss_is_reported_again_only_after_a_recovery() {
        let health = Health::default();
        assert_eq!(health.take(), None);
        health.lost("one");
        health.lost("two");
        assert_eq!(health.take().as_deref(), Some("one"));
        assert_eq!(health.take(), None);
        for _ in 0..RECOVERED - 1 {
            health.written();
        }
        health.lost("three");
        assert_eq!(health.take(), None, "too soon");
        for _ in 0..RECOVERED {
            health.written();
        }
        health.lost("four");
        assert_eq!(health.take().as_deref(), Some("four"));
    }
}
