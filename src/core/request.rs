//! What a client may ask, decoded: the requests of protocol version 1 as the core takes them.
//!
//! Made by the codec from a line; two carry a fact that only the shell can add (the daemon's memory, a process's
//! start), which the loop fills in before the core sees them.

use crate::event::Report;
use crate::os::process::ProcessId;
use crate::protocol::SetParams;

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// `hello`
    Hello,
    /// `session.report`
    SessionReport(Box<Report>),
    /// `session.set`
    SessionSet(Box<Set>),
    /// `session.list`
    SessionList {
        /// Closed sessions too.
        include_closed: bool,
    },
    /// `session.get`
    SessionGet {
        /// A key, an id or a prefix.
        session: String,
    },
    /// `session.explain`
    SessionExplain {
        /// A key, an id or a prefix.
        session: String,
    },
    /// `session.remove`
    SessionRemove {
        /// A key, an id or a prefix.
        session: String,
    },
    /// `subscribe`
    Subscribe,
    /// `usage.get`
    UsageGet,
    /// `usage.refresh`
    UsageRefresh,
    /// `daemon.status`
    DaemonStatus {
        /// The daemon's resident memory, filled in by the loop.
        rss_bytes: Option<u64>,
    },
    /// `daemon.stop`
    DaemonStop {
        /// At once.
        force: bool,
    },
    /// `daemon.reload`
    DaemonReload,
}

impl Request {
    /// The method's name on the wire.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::SessionReport(_) => "session.report",
            Self::SessionSet(_) => "session.set",
            Self::SessionList { .. } => "session.list",
            Self::SessionGet { .. } => "session.get",
            Self::SessionExplain { .. } => "session.explain",
            Self::SessionRemove { .. } => "session.remove",
            Self::Subscribe => "subscribe",
            Self::UsageGet => "usage.get",
            Self::UsageRefresh => "usage.refresh",
            Self::DaemonStatus { .. } => "daemon.status",
            Self::DaemonStop { .. } => "daemon.stop",
            Self::DaemonReload => "daemon.reload",
        }
    }
}

/// A `session.set`, with what only the shell knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// As sent; the status is one of the five.
    pub params: SetParams,
    /// The process of `params.pid`, filled in by the loop; `None` if there is none of that pid.
    pub process: Option<ProcessId>,
}
