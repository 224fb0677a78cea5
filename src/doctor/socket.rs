//! The socket: which path and who chose it, what lies there, whose it is, who listens behind it.

use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::daemon::Answers;
use super::{Check, LIMIT, Ways, edit, quoted};
use crate::config::{ConfigError, SocketChoice, Source};
use crate::os::peer::{self, ConnectError};

const NAME: &str = "socket";

/// What lies at the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum File {
    Missing,
    /// A socket, with its owner and its mode's last twelve bits.
    Socket {
        uid: u32,
        mode: u32,
    },
    /// Something else.
    Other,
    /// The system does not say.
    Hidden(String),
}

/// Who listens, as the kernel tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listener {
    /// 0 where it is not seen from here.
    pub(super) pid: u32,
    /// Its name, where the system tells: `systemd`.
    pub(super) name: Option<String>,
}

/// All that was seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) choice: SocketChoice,
    pub(super) file: File,
    pub(super) listener: Result<Listener, ConnectError>,
}

/// Looks, then connects.
pub(super) fn look(choice: &SocketChoice) -> (Seen, Option<UnixStream>) {
    let file = look_at(&choice.path);
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
    let seen = Seen {
        choice: choice.clone(),
        file,
        listener,
    };
    (seen, connection)
}

fn look_at(path: &Path) -> File {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => File::Socket {
            uid: found.uid(),
            mode: found.mode() & 0o7777,
        },
        Ok(_) => File::Other,
        Err(error) if error.kind() == ErrorKind::NotFound => File::Missing,
        Err(error) => File::Hidden(error.to_string()),
    }
}

/// proc(5); `None` where there is no such file.
fn name_of(pid: u32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// Nobody can tell which socket is meant.
pub(super) fn no_choice(error: &ConfigError) -> Check {
    let mend = match error {
        ConfigError::Read { path, .. } => format!("chmod u+r {}", quoted(path)),
        ConfigError::Invalid { path, .. } => edit(path),
        ConfigError::Socket { .. } => "unset AGENT_CONSOLE_SOCKET".to_owned(),
    };
    Check::wrong(NAME, error.to_string()).mend(mend)
}

pub(super) fn judge(seen: &Seen, answers: Option<&Answers>, ways: &Ways) -> Check {
    let own = rustix::process::geteuid().as_raw();
    let path = &seen.choice.path;
    let place = format!("{} ({})", path.display(), seen.choice.source.as_str());
    let wrong = |what: String| Check::wrong(NAME, format!("{place}: {what}"));
    let foreign = |uid: u32| {
        wrong(format!("belongs to user {uid}, who is not trusted")).mend(match seen.choice.source {
            // Chooses a path that nobody else can take.
            Source::Default => "agent-console install --service".to_owned(),
            Source::Flag | Source::Environment | Source::File => {
                format!("sudo rm {}", quoted(path))
            }
        })
    };
    let mode = match &seen.file {
        File::Missing => return wrong("there is no socket".into()).mend(&ways.start),
        File::Other => {
            let mend = format!("mv {0} {0}.old", quoted(path));
            return wrong("is there, and is no socket".into()).mend(mend);
        }
        File::Hidden(why) => return wrong(format!("cannot be looked at: {why}")),
        File::Socket { uid, .. } if !peer::trusted(*uid) => return foreign(*uid),
        File::Socket { mode, .. } => *mode,
    };
    let listener = match &seen.listener {
        Ok(listener) => listener,
        Err(ConnectError::Foreign { uid, .. }) => return foreign(*uid),
        Err(ConnectError::NoDaemon { .. }) => {
            return wrong("nobody listens there".into()).mend(&ways.start);
        }
        Err(ConnectError::Busy { .. }) => {
            let what = "whoever listens there has taken no connection for 2 s";
            return wrong(what.into()).mend(ways.restart(origin(answers)));
        }
        Err(ConnectError::Other { source, .. }) => {
            return wrong(format!("cannot be connected to: {source}"));
        }
    };
    if mode != 0o600 {
        let what = format!("has mode {mode:04o}; others may connect, and would be refused");
        return wrong(what).mend(format!("chmod 600 {}", quoted(path)));
    }
    let owner = match &seen.file {
        File::Socket { uid, .. } if *uid == own => "mine",
        _ => "root's",
    };
    Check::ok(
        NAME,
        format!("{place}, {owner}, 0600, {}", held(listener, answers)),
    )
}

fn origin(answers: Option<&Answers>) -> &str {
    answers.map_or("", |answers| &answers.hello.origin)
}

/// The kernel names whoever called listen(2): the manager, where it passed the socket on.
fn held(listener: &Listener, answers: Option<&Answers>) -> String {
    if listener.pid == 0 {
        return "held by a process that is not seen from here".into();
    }
    if answers.is_some_and(|answers| answers.hello.pid == listener.pid) {
        return "held by the daemon itself".into();
    }
    let name = listener.name.as_deref().unwrap_or("another process");
    format!("held by {name} (process {})", listener.pid)
}
