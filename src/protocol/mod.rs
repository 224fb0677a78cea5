//! The protocol, version 1: the messages between the daemon and its clients. These types are the specification;
//! `docs/protocol.md` shows the same as dialogues, each of which is a test.
//!
//! **Framing.** JSON-RPC 2.0 (<https://www.jsonrpc.org/specification>), one message a line, ended by `\n`, UTF-8,
//! over a Unix stream socket. JSON text has no raw line feed inside strings, so a line is always a whole message.
//! Batches are refused. A client's line is at most [`MAX_LINE`] bytes; the daemon's may be longer (a snapshot of
//! many sessions).
//!
//! **Requests** carry an `id` (a string or a number, echoed as it was written) and get exactly one response.
//! Without an `id` a request is a notification and gets none, whatever becomes of it. What is no request at all is
//! answered with an error whose id is the message's, or `null` if it has none that could be read.
//!
//! **Compatibility.** Unknown fields are ignored on both sides. Where the daemon sends a word from a fixed set, a
//! client takes one it doesn't know as `unknown`. Within version 1 nothing is renamed or removed.
//!
//! **Times** are milliseconds since the Unix epoch. **Text** in a session is cut at [`TEXT_LIMIT`] characters.
//!
//! Used by the codec, the core and the clients. Knows nothing of sockets or rules.

mod error;
mod limits;
mod notification;
mod request;
mod session;
mod text;
pub(crate) mod words;

pub use self::error::{ErrorCode, ErrorObject};
pub use self::limits::{
    AccountUsage, Usage, UsageChanged, UsageResult, UsageSource, UsageState, UsageWindow,
};
pub use self::notification::{
    Added, DaemonNotice, DaemonStopping, Notice, NoticeCode, Notification, SessionChanged,
    SessionRemoved, Snapshot, SnapshotOf, StopReason,
};
pub use self::request::{
    Changes, CountResult, Counts, ExplainResult, HelloParams, HelloResult, ListOf, ListParams,
    ListResult, Origin, ReloadResult, RemoveResult, ReportParams, ReportResult, SessionGroup,
    SessionParams, SessionResult, SetParams, Since, StatusResult, StopParams, StopResult,
    SubscribeParams,
};
pub use self::session::{
    EndReason, Evidence, EvidenceKind, EvidenceStep, Resume, ResumeKind, SessionRecord, Status,
    Terminal, Transition, WaitingFor,
};
pub use self::text::one_line;

/// The protocol's version, as in the result of `hello`. An incompatible change makes it 2.
pub const VERSION: u32 = 1;

/// The longest line that the daemon reads, in bytes, line feed included. A longer one is answered with
/// [`ErrorCode::LineTooLong`] and the connection is closed. The hook keeps its own line below it.
pub const MAX_LINE: usize = 64 * 1024;

/// The most characters kept of `reason`, `title` and the like: what one row of a dashboard can show.
pub const TEXT_LIMIT: usize = 120;

/// The most characters kept of a `question`: two lines of a terminal.
pub const QUESTION_LIMIT: usize = 240;

/// The most characters of a session id or an agent's name.
pub const NAME_LIMIT: usize = 128;

/// The name of the account of an agent's default configuration directory.
pub(crate) const DEFAULT_ACCOUNT: &str = "default";

/// The most characters of a key: one that is made of an agent's name and a session id must be typable.
pub const KEY_LIMIT: usize = 2 * NAME_LIMIT + 1;

/// How many notices are kept: the daemon's last few for dashboards that connect later, and a client's copy of them.
pub const NOTICES_KEPT: usize = 8;

/// The longest path taken, in bytes: Linux's `PATH_MAX` (`limits.h`).
pub const PATH_LIMIT: usize = 4096;

/// The shortest prefix, in characters, by which `session.set` finds a session: a shorter name is more likely a new one.
pub const SET_PREFIX: usize = 8;

/// How long a fetch of the account's limits may take, in ms: `usage.refresh` is answered by then.
pub const FETCH_LIMIT_MS: u64 = 15_000;

/// The least time between two fetches that clients ask for, in ms: an earlier `usage.refresh` is answered with what is
/// known.
pub const MIN_FETCH_INTERVAL_MS: u64 = 10_000;
