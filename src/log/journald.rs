//! Events as entries of the journal, with fields, by journald's native protocol
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>): one datagram an entry; one that is too long travels as a sealed
//! memory file.
//!
//! A daemon of one thread must not hang with journald. The crate `tracing-journald` sends without a time limit and keeps
//! the outcome to itself, and nothing outside it can prevent that: poll(2) on another socket shows whether journald's
//! queue has room, but not whether the crate's own send buffer has, which is full long before a queue of 512. So this
//! module sends by itself.
//!
//! Not to wait at all would lose lines for no reason: the queue holds ten datagrams where `net.unix.max_dgram_qlen` was
//! not raised, which a burst fills before journald is scheduled. So a send waits for room, at most [`WAIT`]; after a wait
//! in vain the next ones do not wait. Each entry names the socket by its path, so a journald that restarts is found again.
//!
//! Spans are not recorded: the daemon opens none. Called by the parent module only.

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::{self, IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr, sendto,
};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::Health;
use crate::format::escape_bidi;
use crate::os::clock;
use crate::os::service_manager::{JOURNAL_SOCKET, SYSTEMD_SERVICE};

/// What `journalctl -t` asks for.
const IDENTIFIER: &str = "agent-console";

/// How long an entry may wait for room in journald's queue: far longer than a running journald takes to be scheduled,
/// and short enough for the clients of a daemon that waits once when journald hangs.
const WAIT: Duration = Duration::from_millis(200);

/// How long nothing waits after a wait in vain; and beyond that until an entry is accepted.
const NO_WAIT: Duration = Duration::from_secs(1);

/// Whether standard error leads to the journal: `JOURNAL_STREAM` holds its device and inode. An inherited variable is
/// not enough, since standard error may have been redirected since (systemd.exec(5)).
pub(super) fn is_standard_error(stream: Option<OsString>) -> bool {
    let Ok(stat) = rustix::fs::fstat(rustix::stdio::stderr()) else {
        return false;
    };
    stream
        .is_some_and(|stream| stream.to_str() == Some(&format!("{}:{}", stat.st_dev, stat.st_ino)))
}

/// The layer.
///
/// # Errors
///
/// journald does not answer.
pub(super) fn layer(health: &Arc<Health>) -> io::Result<Journal> {
    let journal = Journal::new(Path::new(JOURNAL_SOCKET), Arc::clone(health))?;
    // journald ignores an empty datagram.
    journal.send_datagram(&[], SendFlags::NOSIGNAL)?;
    Ok(journal)
}

/// The layer: writes each event to the journal, or reports its loss.
pub(super) struct Journal {
    socket: UnixDatagram,
    address: SocketAddrUnix,
    /// The fields that are the same in each entry.
    common: Vec<u8>,
    /// The last wait in vain, if no entry was accepted at least [`NO_WAIT`] after it.
    full_at: Mutex<Option<Instant>>,
    health: Arc<Health>,
}

impl Journal {
    fn new(path: &Path, health: Arc<Health>) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(WAIT))?;
        let mut common = Vec::new();
        put(&mut common, "SYSLOG_IDENTIFIER", IDENTIFIER);
        // journald finds the unit by itself, but too late for a process that has left already; `journalctl --user -u`
        // accepts this field as well.
        put(&mut common, "USER_UNIT", &unit());
        Ok(Self {
            socket,
            address: SocketAddrUnix::new(path)?,
            common,
            full_at: Mutex::default(),
            health,
        })
    }

    fn send(&self, entry: &[u8]) {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = full_at.is_none();
        let mut flags = SendFlags::NOSIGNAL;
        flags.set(SendFlags::DONTWAIT, !waits);
        let sent = match self.send_datagram(entry, flags) {
            Err(Errno::MSGSIZE | Errno::NOBUFS) => self.send_file(entry, flags),
            sent => sent,
        };
        match sent {
            Ok(()) => {
                let now = clock::monotonic();
                if full_at.is_some_and(|at| now.duration_since(at) >= NO_WAIT) {
                    *full_at = None;
                }
                self.health.written();
            }
            Err(Errno::AGAIN) => {
                if waits {
                    *full_at = Some(clock::monotonic());
                }
                self.health
                    .lost("the journal does not keep up; log lines are lost");
            }
            Err(error) => self.health.lost(&format!(
                "the log cannot be written to the journal: {}",
                io::Error::from(error)
            )),
        }
    }

    fn send_datagram(&self, entry: &[u8], flags: SendFlags) -> Result<(), Errno> {
        retry_on_intr(|| sendto(&self.socket, entry, flags, &self.address)).map(drop)
    }

    /// Sends an entry of any length: the datagram carries only the descriptor of a file, sealed as the protocol says.
    fn send_file(&self, entry: &[u8], flags: SendFlags) -> Result<(), Errno> {
        let mut file = File::from(rustix::fs::memfd_create(
            "agent-console-log",
            MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC,
        )?);
        file.write_all(entry)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        rustix::fs::fcntl_add_seals(
            &file,
            SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL,
        )?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [file.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        let nothing = [IoSlice::new(&[])];
        retry_on_intr(|| sendmsg_addr(&self.socket, &self.address, &nothing, &mut control, flags))
            .map(drop)
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut entry = self.common.clone();
        put(&mut entry, "PRIORITY", priority(*metadata.level()));
        put(&mut entry, "TARGET", metadata.target());
        if let (Some(file), Some(line)) = (metadata.file(), metadata.line()) {
            put(&mut entry, "CODE_FILE", file);
            put(&mut entry, "CODE_LINE", &line.to_string());
        }
        event.record(&mut Fields(&mut entry));
        self.send(&entry);
    }
}

/// As syslog(3) numbers them.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

/// An event's fields as an entry's: `MESSAGE`, and the others with a prefix, `F_`, that no field of journald's own has.
struct Fields<'a>(&'a mut Vec<u8>);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        // journalctl shows text with control characters as a blob, and these as they are.
        let value = &*escape_bidi(value);
        if field.name() == "message" {
            return put(self.0, "MESSAGE", value);
        }
        // journald takes capital letters, digits and underscores.
        let mut name = String::from("F_");
        name.extend(field.name().chars().map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' => c.to_ascii_uppercase(),
            _ => '_',
        }));
        put(self.0, &name, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // A String takes everything; a `Debug` of ours does not fail.
        let _ = write!(text, "{value:?}");
        self.record_str(field, &text);
    }
}

/// Appends a field in the form for any value: the name, a line feed, the length as 64 bits, little endian, the value, a
/// line feed.
fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    entry.push(b'\n');
    entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

/// The unit of this process, as its control group names it.
fn unit() -> String {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    unit_in(&groups).unwrap_or(SYSTEMD_SERVICE).to_owned()
}

/// The innermost service on the path of the control group; a user manager's own service (`user@1000.service`) is the
/// parent of every user unit, not the unit itself.
fn unit_in(groups: &str) -> Option<&str> {
    groups
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .find_map(|path| path.rsplit('/').find(|part| part.ends_with(".service")))
        .filter(|unit| !unit.starts_with("user@"))
}

#[cfg(test)]
mod tests;
