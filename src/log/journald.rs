//! The journal as a place for events with fields, made safe for a daemon of one thread.
//!
//! `tracing-journald` sends each event and looks no further: it would wait for ever where journald hangs with its queue
//! full, and it keeps a failure to itself. Not to wait at all would lose lines in peace: the queue holds ten datagrams
//! where nobody raised `net.unix.max_dgram_qlen`, which a burst fills before journald has its turn. So its socket waits
//! for a while, [`WAIT`], and not at all once that was in vain. About once a second a datagram of our own, empty and
//! therefore ignored by journald, finds out whether datagrams arrive. The parent module is the only caller.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::SocketType;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::Health;
use crate::os::clock;

/// Where journald listens (systemd-journald.service(8)).
const JOURNAL: &str = "/run/systemd/journal/socket";

/// What `journalctl -t` asks for.
const IDENTIFIER: &str = "agent-console";

/// The unit taken where the control group names none: the one that is installed.
const UNIT: &str = "agent-console.service";

/// How long an event may wait for room in journald's queue: far longer than a journald that runs takes to be scheduled,
/// and short enough for the clients of a daemon that pays it once when journald hangs.
const WAIT: Duration = Duration::from_millis(200);

/// A wait of this length was in vain: the kernel counts in ticks, and may stop one short.
const IN_VAIN: Duration = Duration::from_millis(180);

/// Time between two looks at whether events arrive.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whether standard error leads to the journal: `JOURNAL_STREAM` holds its device and inode. An inherited variable is
/// not enough, since standard error may have been redirected since (systemd.exec(5)).
pub(super) fn is_standard_error(stream: Option<OsString>) -> bool {
    let Ok(stat) = rustix::fs::fstat(rustix::stdio::stderr()) else {
        return false;
    };
    stream
        .is_some_and(|stream| stream.to_str() == Some(&format!("{}:{}", stat.st_dev, stat.st_ino)))
}

/// The layer, and the first look at whether journald answers.
pub(super) fn layer(health: &Arc<Health>) -> io::Result<Journal> {
    let first = UnixDatagram::unbound()?;
    first.set_write_timeout(Some(WAIT))?;
    first.send_to(&[], JOURNAL)?;
    let (events, socket) = with_its_socket(tracing_journald::layer)?;
    let events = events
        .with_syslog_identifier(IDENTIFIER.to_owned())
        .with_priority_mappings(PriorityMappings {
            error: Priority::Error,
            warn: Priority::Warning,
            info: Priority::Informational,
            debug: Priority::Debug,
            trace: Priority::Debug,
        })
        // journald finds the unit itself, but too late for a process that has left already; `journalctl --user -u`
        // accepts this field as well.
        .with_custom_fields([("USER_UNIT", unit())]);
    Ok(Journal {
        events,
        delivery: Delivery::new(socket, JOURNAL, Arc::clone(health))?,
    })
}

/// The layer.
pub(super) struct Journal {
    events: tracing_journald::Layer,
    delivery: Delivery,
}

/// Whether datagrams arrive, and how long to wait for that.
struct Delivery {
    /// The very socket that events are sent from.
    socket: UnixDatagram,
    to: &'static str,
    state: Mutex<State>,
    health: Arc<Health>,
}

#[derive(Default)]
struct State {
    looked: Option<Instant>,
    /// Waiting was in vain, so nothing waits until a datagram arrives again.
    hung: bool,
}

impl Delivery {
    fn new(socket: UnixDatagram, to: &'static str, health: Arc<Health>) -> io::Result<Self> {
        socket.set_write_timeout(Some(WAIT))?;
        Ok(Self {
            socket,
            to,
            state: Mutex::default(),
            health,
        })
    }

    /// An event was sent, or lost; it began then.
    fn sent(&self, began: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::monotonic();
        if now.duration_since(began) >= IN_VAIN {
            self.hangs(&mut state);
        }
        if state
            .looked
            .is_some_and(|last| now.duration_since(last) < LOOK_EVERY)
        {
            return;
        }
        state.looked = Some(now);
        match self.socket.send_to(&[], self.to) {
            Ok(_) => {
                if std::mem::take(&mut state.hung) {
                    let _ = self.socket.set_nonblocking(false);
                }
                self.health.written();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.hangs(&mut state),
            Err(error) => self.health.lost(&format!(
                "the log cannot be written to the journal: {error}"
            )),
        }
    }

    fn hangs(&self, state: &mut State) {
        if !std::mem::replace(&mut state.hung, true) {
            let _ = self.socket.set_nonblocking(true);
        }
        self.health
            .lost("the journal does not keep up; log lines are lost");
    }
}

impl<S> Layer<S> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.events.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.events.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let began = clock::monotonic();
        self.events.on_event(event, context);
        self.delivery.sent(began);
    }
}

/// What `open` opens, and its one datagram socket. That is hidden inside, but a new descriptor is always the lowest free
/// one (open(2)), so it is known beforehand. That holds as long as no other thread opens descriptors; where it did not,
/// this fails and nothing has changed.
fn with_its_socket<T>(open: impl FnOnce() -> io::Result<T>) -> io::Result<(T, UnixDatagram)> {
    let lowest = UnixDatagram::unbound()?.as_raw_fd();
    let made = open()?;
    let socket = duplicate(lowest)?;
    if rustix::net::sockopt::socket_type(&socket)? != SocketType::DGRAM {
        return Err(io::Error::other("its socket is not where it should be"));
    }
    Ok((made, socket.into()))
}

#[expect(
    unsafe_code,
    reason = "the descriptor is hidden in a foreign type, so only its number is at hand"
)]
fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes an integer; a number that is no descriptor is answered with an error.
    let duplicate = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 0) };
    if duplicate == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is new, so nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(duplicate) })
}

/// The unit we run in, as our control group names it.
fn unit() -> String {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    unit_in(&groups).unwrap_or(UNIT).to_owned()
}

/// The last service on the way to our control group; a user manager's own service (`user@1000.service`) is every user
/// unit's parent, not ours.
fn unit_in(groups: &str) -> Option<&str> {
    groups
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .find_map(|path| path.rsplit('/').find(|part| part.ends_with(".service")))
        .filter(|unit| !unit.starts_with("user@"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_the_last_service_on_the_way() {
        let cases = [
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/agent-console.service\n",
                Some("agent-console.service"),
            ),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.service/worker\n",
                Some("a.service"),
            ),
            (
                "12:pids:/system.slice/b.service\n1:name=systemd:/system.slice/b.service\n",
                Some("b.service"),
            ),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-5.scope\n",
                None,
            ),
            ("0::/\n", None),
            ("", None),
        ];
        for (groups, unit) in cases {
            assert_eq!(unit_in(groups), unit, "{groups}");
        }
    }

    #[test]
    fn standard_error_is_the_journal_only_if_the_variable_names_it() {
        let stat = rustix::fs::fstat(rustix::stdio::stderr()).unwrap();
        let here = format!("{}:{}", stat.st_dev, stat.st_ino);
        assert!(is_standard_error(Some(here.into())));
        assert!(!is_standard_error(Some("8:0".into())));
        assert!(!is_standard_error(Some("nonsense".into())));
        assert!(!is_standard_error(None));
    }

    #[test]
    fn a_hidden_socket_is_found() {
        // Other tests open descriptors at the same time, which the daemon, at its start, has no threads for.
        let found = (0..1000).any(|_| {
            with_its_socket(UnixDatagram::unbound).is_ok_and(|(hidden, socket)| {
                socket.set_nonblocking(true).unwrap();
                let flags = rustix::fs::fcntl_getfl(&hidden).unwrap();
                flags.contains(rustix::fs::OFlags::NONBLOCK)
            })
        });
        assert!(found);
        assert!((0..1000).any(|_| with_its_socket(|| Ok(())).is_err()));
    }

    #[test]
    fn a_hung_journal_is_waited_for_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = UnixDatagram::bind(&path).unwrap();
        let to = path.to_str().unwrap().to_owned().leak();
        let health = Arc::new(Health::default());
        let socket = UnixDatagram::unbound().unwrap();
        let delivery = Delivery::new(socket, to, Arc::clone(&health)).unwrap();
        let log = || {
            let began = clock::monotonic();
            let sent = delivery.socket.send_to(b"event", &path).is_ok();
            delivery.sent(began);
            (sent, began.elapsed())
        };
        assert!(log().0);
        assert_eq!(health.take(), None);

        let filled = (0..100_000).find_map(|_| Some(log()).filter(|(sent, _)| !sent));
        let (_, waited) = filled.unwrap();
        assert!(waited >= IN_VAIN, "{waited:?}");
        assert!(health.take().unwrap().contains("does not keep up"));
        let (sent, waited) = log();
        assert!(!sent && waited < IN_VAIN, "{waited:?}");

        journal.set_nonblocking(true).unwrap();
        let read_all = || while journal.recv(&mut [0; 16]).is_ok() {};
        read_all();
        delivery.state.lock().unwrap().looked = None;
        assert!(log().0);
        assert!(!delivery.state.lock().unwrap().hung);

        // It waits again: the journal reads in between.
        std::thread::scope(|scope| {
            let filled = (0..100_000).find(|_| journal_is_full(&path));
            assert!(filled.is_some());
            let sender = scope.spawn(|| log().0);
            while !sender.is_finished() {
                read_all();
            }
            assert!(sender.join().unwrap());
        });
    }

    fn journal_is_full(path: &std::path::Path) -> bool {
        let sender = UnixDatagram::unbound().unwrap();
        sender.set_nonblocking(true).unwrap();
        sender.send_to(b"event", path).is_err()
    }
}
