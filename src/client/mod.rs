//! The client's end of the socket: blocking, `std` only. One request and its response, or a subscription.
//!
//! Never starts a daemon: a service manager does that when a client connects, and without one [`start_hint`] says what
//! to run. Called by the commands, the dashboard and `doctor`; knows the protocol's frame, not what its messages are
//! used for.

pub mod mirror;
pub mod subscription;

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::codec::{self, Incoming};
use crate::config::{self, Config};
use crate::os::lock_file;
use crate::os::peer::{self, ConnectError};
use crate::os::process;
use crate::os::runtime_dir::runtime_dir;
use crate::protocol::{Notification, Snapshot, StopReason, SubscribeParams};

/// How long a connection and a response may take. A service manager starts the daemon within milliseconds, so a daemon
/// that needs longer hangs.
const TIMEOUT: Duration = Duration::from_secs(10);

/// After this long without a response a client looks whether the daemon can start.
const START_TIMEOUT: Duration = Duration::from_secs(1);

/// What is read at a time, in bytes: a list of many sessions takes few system calls.
const BUFFER: usize = 64 * 1024;

/// The longest line accepted from the daemon, in bytes: a snapshot of the most sessions that it keeps.
const MAX_LINE: u64 = 256 * 1024 * 1024;

/// Why there is no response.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No daemon listens on the socket.
    #[error("no daemon answers at {}; {}", path.display(), hint(path))]
    NoDaemon {
        /// The socket's path.
        path: PathBuf,
    },
    /// The connection was refused by either side.
    #[error(transparent)]
    Connect(ConnectError),
    /// The daemon answered with an error.
    #[error("{message}")]
    Refused {
        /// One of [`ErrorCode`](crate::protocol::ErrorCode).
        code: i32,
        /// The daemon's message for people.
        message: String,
    },
    /// No response came in time.
    #[error("the daemon at {} did not answer within {} s; see its log, or restart it", path.display(), timeout.as_secs())]
    TimedOut {
        /// The socket's path.
        path: PathBuf,
        /// The time limit.
        timeout: Duration,
    },
    /// No response came, and a daemon that starts would refuse the configuration.
    #[error("the daemon at {} does not answer; it cannot start with this configuration: {what}", path.display())]
    Misconfigured {
        /// The socket's path.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The daemon closed the connection before it responded.
    #[error("the daemon at {} closed the connection before it answered; see its log", path.display())]
    Closed {
        /// The socket's path.
        path: PathBuf,
    },
    /// The peer does not use this protocol.
    #[error("what answers at {} does not speak this protocol: {source}", path.display())]
    Protocol {
        /// The socket's path.
        path: PathBuf,
        /// The parser's error.
        source: serde_json::Error,
    },
    /// A system call on the connection failed.
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
    /// How long a response may take.
    timeout: Duration,
}

/// What a subscriber receives: a snapshot, and the changes after it.
#[derive(Debug)]
pub enum Update {
    /// The state: first, and again after each reconnection, then perhaps only what has changed.
    Snapshot(Box<Snapshot<'static>>),
    /// One change.
    Notification(Notification<'static>),
}

impl Client {
    /// Connects to the daemon at `path`; a service manager that holds the socket starts it.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoDaemon`], or either side refuses the connection.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let socket = peer::connect(path, TIMEOUT).map_err(|error| match error {
            ConnectError::NoDaemon { path, .. } => ClientError::NoDaemon { path },
            other => ClientError::Connect(other),
        })?;
        Ok(Self::from_stream(path, socket))
    }

    /// A client on a connection to `path` made by [`peer::connect`], which has set the socket's time limit.
    #[must_use]
    pub fn from_stream(path: &Path, socket: UnixStream) -> Self {
        Self {
            path: path.into(),
            socket: BufReader::with_capacity(BUFFER, socket),
            line: String::new(),
            last_id: 0,
            timeout: TIMEOUT,
        }
    }

    /// [`call`](Self::call) with a time limit of its own, for a method that takes the daemon longer than most.
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call).
    pub fn call_with_timeout<P: Serialize, R: DeserializeOwned>(
        &mut self,
        method: &str,
        params: &P,
        timeout: Duration,
    ) -> Result<R, ClientError> {
        self.timeout = timeout;
        self.socket
            .get_ref()
            .set_read_timeout(Some(self.timeout))
            .map_err(|source| self.failed(source))?;
        self.call(method, params)
    }

    /// Sends a request and waits for its result.
    ///
    /// # Errors
    ///
    /// The daemon answered with an error, or did not answer.
    pub fn call<P: Serialize, R: DeserializeOwned>(
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
        self.wait_for_start()?;
        loop {
            self.read_line()?;
            match codec::incoming(&self.line).map_err(|source| self.protocol_error(source))? {
                Incoming::Result { id, result } if id == self.last_id => {
                    return serde_json::from_str(result.get())
                        .map_err(|source| self.protocol_error(source));
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

    /// Subscribes and passes each update to `on_update`, the snapshot first, until `on_update` returns `false` or the
    /// daemon closes the connection. The snapshot may leave out what a copy that stands at `params.since` has. Returns the reason
    /// that the daemon gave for its stop, if it gave one.
    ///
    /// # Errors
    ///
    /// The daemon answered with an error, or the connection failed.
    pub fn subscribe(
        mut self,
        params: SubscribeParams,
        mut on_update: impl FnMut(Update) -> bool,
    ) -> Result<Option<StopReason>, ClientError> {
        let snapshot = self.call("subscribe", &params)?;
        if !on_update(Update::Snapshot(snapshot)) {
            return Ok(None);
        }
        // Updates come only when something changes.
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
            let notification =
                match codec::incoming(&self.line).map_err(|source| self.protocol_error(source))? {
                    Incoming::Notification(notification) => notification,
                    Incoming::Result { .. } | Incoming::Error { .. } | Incoming::Unknown => {
                        continue;
                    }
                };
            if let Notification::DaemonStopping(last) = &notification {
                stopping = Some(last.reason);
            }
            if !on_update(Update::Notification(notification)) {
                return Ok(stopping);
            }
        }
    }

    /// True if the daemon's process id is valid here: the process that listens (the daemon or its service manager) is in
    /// this process's pid namespace.
    #[must_use]
    pub fn sees_daemon(&self) -> bool {
        process::is_in_namespace(peer::pid(self.socket.get_ref()))
    }

    /// Waits until the daemon closes the connection, as it does when it exits.
    pub fn wait_until_closed(mut self) {
        while self.read_line().is_ok() {}
    }

    /// A daemon that a service manager has started waits for a configuration that it can use. It answers nothing until
    /// then, so that what is wrong is for the client to say.
    fn wait_for_start(&self) -> Result<(), ClientError> {
        if !self.socket.buffer().is_empty() {
            return Ok(());
        }
        let socket = self.socket.get_ref();
        let limit = Timespec::try_from(self.timeout.min(START_TIMEOUT)).ok();
        let ready = poll(&mut [PollFd::new(socket, PollFlags::IN)], limit.as_ref());
        if ready == Ok(0) {
            Config::load().map_err(|error| ClientError::Misconfigured {
                path: self.path.clone(),
                what: error.to_string(),
            })?;
        }
        Ok(())
    }

    fn read_line(&mut self) -> Result<(), ClientError> {
        self.line.clear();
        let mut limited = io::Read::take(&mut self.socket, MAX_LINE);
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
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::TimedOut {
                path,
                timeout: self.timeout,
            },
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                ClientError::Closed { path }
            }
            _ => ClientError::Io { path, source },
        }
    }

    fn protocol_error(&self, source: serde_json::Error) -> ClientError {
        ClientError::Protocol {
            path: self.path.clone(),
            source,
        }
    }
}

/// What to do where no daemon answers at `path`.
fn hint(path: &Path) -> String {
    if let Some(holder) = lock_file::holder(path) {
        let lock = lock_file::beside(path);
        return format!("{holder} holds {}; {}", lock.display(), holder.advice());
    }
    if path.parent().is_some_and(|directory| !directory.exists()) {
        "the directory of that path is not there; `agent-console doctor` shows what to do".into()
    } else {
        start_hint().into()
    }
}

/// How to start a daemon on this system: one line for people.
#[must_use]
pub fn start_hint() -> &'static str {
    if cfg!(target_os = "macos") || has_user_manager() {
        "set it up with `agent-console install`, or start it by hand with `agent-console daemon --daemonize`"
    } else {
        "start it with `agent-console daemon --daemonize`"
    }
}

/// True if a systemd user manager runs for this user: `$XDG_RUNTIME_DIR/systemd/private` is its socket.
fn has_user_manager() -> bool {
    runtime_dir(config::variable("XDG_RUNTIME_DIR"))
        .is_ok_and(|directory| directory.join("systemd/private").exists())
}
