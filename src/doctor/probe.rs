//! What is seen of the socket and of the daemon behind it, which more than one check needs.

use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::programs::own_programs;
use super::{LIMIT, VERSION, within};
use crate::client::{Client, ClientError, Update};
use crate::config::{self, SocketChoice, Source};
use crate::install;
use crate::os::clock;
use crate::os::lock_file::{self, Holder};
use crate::os::peer::{self, ConnectError};
use crate::os::program::{SERVICE, beside, same_file};
use crate::protocol::{HelloParams, HelloResult, Origin, Snapshot, StatusResult, SubscribeParams};

/// What lies at the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum File {
    Missing,
    /// A socket, with its owner and its mode's last twelve bits.
    Socket {
        uid: u32,
        mode: u32,
    },
    /// Something else; its owner.
    Other {
        uid: u32,
    },
    /// The system does not say; its error.
    Hidden(String),
}

/// Who listens, by the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listener {
    /// 0 where it is not seen from here.
    pub(super) pid: u32,
    /// Its name, where the system gives it: `systemd`.
    pub(super) name: Option<String>,
}

/// What was seen of the socket.
#[derive(Debug)]
pub(super) struct SocketProbe {
    pub(super) choice: SocketChoice,
    /// The directory of the path is there.
    pub(super) has_directory: bool,
    /// The configuration that names the path, if `install` wrote that line on another machine.
    pub(super) foreign_line: Option<PathBuf>,
    /// `install` wrote the line of the configuration that names the path, and can write another.
    pub(super) own_line: bool,
    /// Why no daemon of this user can listen at the path, if so.
    pub(super) taken: Option<String>,
    pub(super) file: File,
    /// The process that holds the lock of a self-bound socket.
    pub(super) holder: Option<Holder>,
    pub(super) listener: Result<Listener, ConnectError>,
}

/// Looks at the file, then connects.
pub(super) fn probe_socket(choice: &SocketChoice) -> (SocketProbe, Option<UnixStream>) {
    let file = file_at(&choice.path);
    let (listener, connection) = match peer::connect(&choice.path, LIMIT) {
        Ok(connection) => {
            let pid = peer::pid(&connection);
            let listener = Listener {
                pid,
                name: name_of(pid),
            };
            (Ok(listener), Some(connection))
        }
        Err(error) => (Err(error), None),
    };
    let config = config::path().filter(|_| choice.source == Source::File);
    let probe = SocketProbe {
        choice: choice.clone(),
        has_directory: choice.path.parent().is_some_and(Path::exists),
        own_line: config.as_deref().is_some_and(install::socket::wrote_line),
        taken: install::socket::taken(&choice.path),
        foreign_line: config.filter(|file| install::socket::is_of_another_machine(file)),
        file,
        holder: lock_file::holder(&choice.path),
        listener,
    };
    (probe, connection)
}

fn file_at(path: &Path) -> File {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => File::Socket {
            uid: found.uid(),
            mode: found.mode() & 0o7777,
        },
        Ok(found) => File::Other { uid: found.uid() },
        Err(error) if error.kind() == ErrorKind::NotFound => File::Missing,
        Err(error) => File::Hidden(error.to_string()),
    }
}

/// proc(5); `None` where there is no such file.
fn name_of(pid: u32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// What the daemon answered, and what the system shows of its process.
#[derive(Debug, Clone)]
pub(super) struct DaemonProbe {
    pub(super) hello: HelloResult<'static>,
    pub(super) status: StatusResult<'static>,
    pub(super) snapshot: Snapshot<'static>,
    /// From the connection, which was made just before, to the first answer.
    pub(super) took: Duration,
    /// It began to run after the connection was made: the manager started it for us.
    pub(super) started: bool,
    /// Its process id means the same here: it is in this pid namespace.
    pub(super) visible: bool,
    /// What it runs.
    pub(super) program: Program,
}

/// The file that a daemon was started from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Program {
    /// This one.
    Same,
    /// One that has been replaced or removed since.
    Replaced,
    /// Another one.
    Other(PathBuf),
    /// The system does not say.
    Unknown,
}

/// Asks over a connection that has just been made.
///
/// # Errors
///
/// What is wrong with the process that listens, for a person.
pub(super) fn probe_daemon(path: &Path, connection: UnixStream) -> Result<DaemonProbe, String> {
    let path = path.to_owned();
    // One that answers a byte a second would get by the connection's own time limit.
    within(move || exchange(&path, connection))
        .unwrap_or_else(|| Err(format!("it does not answer within {} s", LIMIT.as_secs())))
}

fn exchange(path: &Path, connection: UnixStream) -> Result<DaemonProbe, String> {
    let message = |error: ClientError| match error {
        ClientError::TimedOut { .. } => format!("it does not answer within {} s", LIMIT.as_secs()),
        error => error.to_string(),
    };
    let began = clock::monotonic();
    let mut client = Client::from_stream(path, connection);
    let params = HelloParams {
        client: Some("agent-console doctor".into()),
        version: Some(VERSION.into()),
    };
    let hello: HelloResult<'static> = client.call("hello", &params).map_err(message)?;
    let took = began.elapsed();
    let nothing = serde_json::Map::new();
    let status: StatusResult<'static> = client.call("daemon.status", &nothing).map_err(message)?;
    let started = hello.origin != Origin::SelfBound
        && u128::from(status.uptime_ms) <= began.elapsed().as_millis();
    let visible = client.sees_daemon();
    let mut snapshot = None;
    client
        .subscribe(SubscribeParams::default(), |update| {
            if let Update::Snapshot(first) = update {
                snapshot = Some(*first);
            }
            false
        })
        .map_err(message)?;
    Ok(DaemonProbe {
        snapshot: snapshot.ok_or("it gives no snapshot")?,
        program: if visible {
            program_of(hello.pid)
        } else {
            Program::Unknown
        },
        hello,
        status,
        took,
        started,
        visible,
    })
}

/// proc(5): the link shows it where its file has another name or none by now. Elsewhere there is no such link.
fn program_of(pid: u32) -> Program {
    let link = format!("/proc/{pid}/exe");
    let Ok(target) = std::fs::read_link(&link) else {
        return Program::Unknown;
    };
    if target.to_string_lossy().ends_with(" (deleted)") {
        Program::Replaced
    } else if own_programs()
        .iter()
        .chain(&beside(SERVICE))
        .any(|own| same_file(own, Path::new(&link)))
    {
        Program::Same
    } else {
        Program::Other(target)
    }
}
