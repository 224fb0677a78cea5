//! The journal as a place for events with fields, made safe for a daemon of one thread.
//!
//! `tracing-journald` sends each event and looks no further: it would wait for ever where journald hangs with its queue
//! full, and it keeps a failure to itself. So its socket is made non-blocking, and about once a second a datagram of our
//! own, empty and therefore ignored by journald, finds out whether datagrams arrive. The parent module is the only caller.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::Health;
use crate::clock;

/// Where journald listens (systemd-journald.service(8)).
const JOURNAL: &str = "/run/systemd/journal/socket";

/// What `journalctl -t` asks for.
const IDENTIFIER: &str = "agent-console";

/// The unit taken where the control group names none: the one that is installed.
const UNIT: &str = "agent-console.service";

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
    let probe = UnixDatagram::unbound()?;
    probe.set_nonblocking(true)?;
    probe.send_to(&[], JOURNAL)?;
    let events = without_waiting(tracing_journald::layer)?
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
        probe,
        looked: Mutex::new(None),
        health: Arc::clone(health),
    })
}

/// The layer.
pub(super) struct Journal {
    events: tracing_journald::Layer,
    probe: UnixDatagram,
    looked: Mutex<Option<Instant>>,
    health: Arc<Health>,
}

impl Journal {
    fn look(&self) {
        let now = clock::monotonic();
        {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.is_some_and(|last| now.duration_since(last) < LOOK_EVERY) {
                return;
            }
            *looked = Some(now);
        }
        match self.probe.send_to(&[], JOURNAL) {
            Ok(_) => self.health.written(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self
                .health
                .lost("the journal does not keep up; log lines are lost"),
            Err(error) => self.health.lost(&format!(
                "the log cannot be written to the journal: {error}"
            )),
        }
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
        self.events.on_event(event, context);
        self.look();
    }
}

/// What `open` opens, its one datagram socket non-blocking. The socket is hidden inside, but a new descriptor
/// is always the lowest free one (open(2)), so it is known beforehand. That holds as long as no other thread opens
/// descriptors; where it did not, this fails and nothing has changed.
fn without_waiting<T>(open: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let lowest = UnixDatagram::unbound()?.as_raw_fd();
    let made = open()?;
    if !is_datagram_socket(lowest) {
        return Err(io::Error::other("its socket is not where it should be"));
    }
    set_nonblocking(lowest)?;
    Ok(made)
}

#[expect(
    unsafe_code,
    reason = "the descriptor is hidden in a foreign type, so only its number is at hand"
)]
fn is_datagram_socket(descriptor: RawFd) -> bool {
    let mut kind: libc::c_int = 0;
    let mut length: libc::socklen_t = libc::socklen_t::try_from(size_of_val(&kind)).unwrap_or(0);
    // SAFETY: both pointers are to locals that outlive the call, `length` is the size of `kind`; a number that is no
    // descriptor or no socket is answered with an error.
    let result = unsafe {
        libc::getsockopt(
            descriptor,
            libc::SOL_SOCKET,
            libc::SO_TYPE,
            (&raw mut kind).cast(),
            &raw mut length,
        )
    };
    result == 0 && kind == libc::SOCK_DGRAM
}

#[expect(
    unsafe_code,
    reason = "the descriptor is hidden in a foreign type, so only its number is at hand"
)]
fn set_nonblocking(descriptor: RawFd) -> io::Result<()> {
    // SAFETY: F_GETFL takes no argument; a number that is no descriptor is answered with an error.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFL) };
    if flags == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: F_SETFL takes an integer; the flags are the descriptor's own with O_NONBLOCK added.
    if unsafe { libc::fcntl(descriptor, libc::F_SETFL, flags | libc::O_NONBLOCK) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
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
    fn a_hidden_socket_is_made_non_blocking() {
        // Other tests open descriptors at the same time, which the daemon, at its start, has no threads for.
        let found = (0..1000).any(|_| {
            without_waiting(UnixDatagram::unbound).is_ok_and(|socket| {
                let flags = rustix::fs::fcntl_getfl(&socket).unwrap();
                flags.contains(rustix::fs::OFlags::NONBLOCK)
            })
        });
        assert!(found);
        assert!((0..1000).any(|_| without_waiting(|| Ok(())).is_err()));
    }
}
