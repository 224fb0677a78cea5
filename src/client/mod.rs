//! The clients' end of the socket: blocking, std only. Asks and is answered; or subscribes and is told.
//!
//! Never starts a daemon: a service manager does that on the connection itself, and where there is none
//! [`how_to_start`] says what to run. Called by the commands; knows the protocol's frame, not what is done with it.

pub mod mirror;
pub mod subscription;

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::codec::{self, Incoming};
use crate::config;
use crate::os::peer::{self, ConnectError};
use crate::os::process;
use crate::protocol::{
    DaemonNotice, DaemonStopping, FETCH_LIMIT_MS, Notification, SessionChanged, SessionRemoved,
    Snapshot, StopReason, UsageChanged,
};

/// How long a connection and an answer may take. A manager that has to start the daemon first needs milliseconds; a
/// daemon that hangs is to be told from one that is slow.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest line taken from the daemon, in bytes: a snapshot of as many sessions as it may remember.
const LONGEST_LINE: u64 = 256 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// There is no daemon to talk to.
    #[error("no daemon answers at {}; {}", path.display(), how_to_start())]
    NoDaemon {
        /// The socket's path.
        path: PathBuf,
    },
    /// There is one, and the connection failed.
    #[error(transparent)]
    Connect(ConnectError),
    /// The daemon said no.
    #[error("{message}")]
    Refused {
        /// One of [`ErrorCode`](crate::protocol::ErrorCode).
        code: i32,
        /// Why.
        message: String,
    },
    /// Nothing came in time.
    #[error("the daemon at {} did not answer within {} s; see its log, or restart it", path.display(), patience.as_secs())]
    Silent {
        /// The socket's path.
        path: PathBuf,
        /// How long it had.
        patience: Duration,
    },
    /// The connection ended before the answer.
    #[error("the daemon at {} closed the connection before it answered; see its log", path.display())]
    Closed {
        /// The socket's path.
        path: PathBuf,
    },
    /// What came is not the protocol.
    #[error("what answers at {} does not speak this protocol: {source}", path.display())]
    Protocol {
        /// The socket's path.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The system failed the connection.
    #[error("the connection to {} failed: {source}", path.display())]
    Io {
        /// The socket's path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    socket: BufReader<UnixStream>,
    line: String,
    last_id: u64,
    /// How long an answer may take.
    patience: Duration,
}

/// What a subscriber is told.
#[derive(Debug)]
pub enum Told {
    /// Everything, as it is now: first, and again after each reconnection.
    Snapshot(Snapshot<'static>),
    /// A session is new or has changed.
    Changed(Box<SessionChanged<'static>>),
    /// A session is no longer remembered.
    Removed(SessionRemoved<'static>),
    /// The account's limits are known better, or worse.
    Usage(UsageChanged<'static>),
    /// Something that a person should know.
    Notice(DaemonNotice<'static>),
    /// The daemon leaves.
    Stopping(DaemonStopping),
}

impl Client {
    /// Connects to the daemon at `path`; with a service manager, that starts it.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoDaemon`], or the connection is refused by either side.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let socket = peer::connect(path, PATIENCE).map_err(|error| match error {
            ConnectError::NoDaemon { path, .. } => ClientError::NoDaemon { path },
            other => ClientError::Connect(other),
        })?;
        Ok(Self::over(path, socket))
    }

    /// A client over a connection to `path` that [`peer::connect`] has made, with that one's time limit.
    #[must_use]
    pub fn over(path: &Path, socket: UnixStream) -> Self {
        Self {
            path: path.into(),
            socket: BufReader::new(socket),
            line: String::new(),
            last_id: 0,
            patience: PATIENCE,
        }
    }

    /// Asks for what the daemon has to ask somebody else for, and waits for the answer as long as that may take.
    ///
    /// # Errors
    ///
    /// As for [`ask`](Self::ask).
    pub fn ask_patiently<P: Serialize, R: DeserializeOwned>(
        &mut self,
        method: &str,
        params: &P,
    ) -> Result<R, ClientError> {
        self.patience = PATIENCE + Duration::from_millis(FETCH_LIMIT_MS);
        self.socket
            .get_ref()
            .set_read_timeout(Some(self.patience))
            .map_err(|source| self.failed(source))?;
        self.ask(method, params)
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    ///
    /// The daemon refused, or there was no answer.
    pub fn ask<P: Serialize, R: DeserializeOwned>(
        &mut self,
        method: &str,
        params: &P,
    ) -> Result<R, ClientError> {
        self.last_id += 1;
        let line = codec::request_line(self.last_id, method, params);
        self.socket
            .get_mut()
            .write_all(&line)
            .map_err(|source| self.failed(source))?;
        loop {
            self.read_line()?;
            match codec::incoming(&self.line).map_err(|source| self.strange(source))? {
                Incoming::Result { id, result } if id == self.last_id => {
                    return serde_json::from_str(result.get())
                        .map_err(|source| self.strange(source));
                }
                Incoming::Error { id, error } if id.is_none_or(|id| id == self.last_id) => {
                    return Err(ClientError::Refused {
                        code: error.code,
                        message: error.message.into_owned(),
                    });
                }
                Incoming::Result { .. }
                | Incoming::Error { .. }
                | Incoming::Notification(_)
                | Incoming::Unknown => {}
            }
        }
    }

    /// Subscribes and hands everything told to `each`, beginning with the snapshot, until `each` says that it has had
    /// enough (`false`) or the daemon has gone. Says how the daemon left; `None`: it did not say.
    ///
    /// # Errors
    ///
    /// The daemon refused, or the connection failed.
    pub fn subscribe(
        mut self,
        mut each: impl FnMut(Told) -> bool,
    ) -> Result<Option<StopReason>, ClientError> {
        let snapshot = self.ask("subscribe", &serde_json::Map::new())?;
        if !each(Told::Snapshot(snapshot)) {
            return Ok(None);
        }
        // From here on silence is the normal case.
        self.socket
            .get_ref()
            .set_read_timeout(None)
            .map_err(|source| self.failed(source))?;
        let mut stopping = None;
        loop {
            match self.read_line() {
                Ok(()) => {}
                Err(ClientError::Closed { .. }) => return Ok(stopping),
                Err(error) => return Err(error),
            }
            let told = match codec::incoming(&self.line).map_err(|source| self.strange(source))? {
                Incoming::Notification(Notification::SessionChanged(changed)) => {
                    Told::Changed(changed)
                }
                Incoming::Notification(Notification::SessionRemoved(removed)) => {
                    Told::Removed(removed)
                }
                Incoming::Notification(Notification::UsageChanged(usage)) => Told::Usage(usage),
                Incoming::Notification(Notification::DaemonNotice(notice)) => Told::Notice(notice),
                Incoming::Notification(Notification::DaemonStopping(last)) => {
                    stopping = Some(last.reason);
                    Told::Stopping(last)
                }
                Incoming::Result { .. } | Incoming::Error { .. } | Incoming::Unknown => continue,
            };
            if !each(told) {
                return Ok(stopping);
            }
        }
    }

    /// True if the daemon's process id names it here, too: who listens, the daemon or its manager, is in this process's
    /// pid namespace.
    #[must_use]
    pub fn sees_daemon(&self) -> bool {
        process::is_in_namespace(peer::pid(self.socket.get_ref()))
    }

    /// Waits until the daemon closes the connection: it has gone.
    pub fn wait_for_end(mut self) {
        while self.read_line().is_ok() {}
    }

    fn read_line(&mut self) -> Result<(), ClientError> {
        self.line.clear();
        let mut limited = io::Read::take(&mut self.socket, LONGEST_LINE);
        match limited.read_line(&mut self.line) {
            Ok(_) if self.line.ends_with('\n') => Ok(()),
            Ok(_) => Err(ClientError::Closed {
                path: self.path.clone(),
            }),
            Err(source) => Err(self.failed(source)),
        }
    }

    fn failed(&self, source: io::Error) -> ClientError {
        let path = self.path.clone();
        match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::Silent {
                path,
                patience: self.patience,
            },
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                ClientError::Closed { path }
            }
            _ => ClientError::Io { path, source },
        }
    }

    fn strange(&self, source: serde_json::Error) -> ClientError {
        ClientError::Protocol {
            path: self.path.clone(),
            source,
        }
    }
}

/// What a person can do where no daemon answers: one line.
#[must_use]
pub fn how_to_start() -> &'static str {
    if cfg!(target_os = "macos") || has_user_manager() {
        "set it up with `agent-console install`, or start it by hand with `agent-console daemon --daemonize`"
    } else {
        "start it with `agent-console daemon --daemonize`"
    }
}

/// True if a systemd user manager runs for this user: `$XDG_RUNTIME_DIR/systemd/private` is its own socket.
fn has_user_manager() -> bool {
    config::variable("XDG_RUNTIME_DIR")
        .is_some_and(|directory| Path::new(&directory).join("systemd/private").exists())
}
