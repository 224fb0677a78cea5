//! A person's trust in hooks: some agents run no hook that a person has not confirmed, and keep the confirmations
//! themselves. What such an agent is asked, and what it answers.
//!
//! The agent alone decides which hooks are trusted and writes its own files. Used by the command line only.

use std::io;
use std::path::Path;
use std::time::Duration;

use thiserror::Error;

/// How an agent keeps a person's trust in hooks.
#[derive(Debug)]
pub(crate) struct Trust {
    /// How a person gives it without this program; continues a sentence about the agent.
    pub by_hand: &'static str,
    /// Where a person reviews hooks, such as `/hooks`.
    pub review: &'static str,
    /// Through which calls it is changed, for a person who wants to know first.
    pub calls: &'static str,
    /// Whether a configuration directory may hold any for a hook. Reads a file and starts nothing.
    pub may_be_kept: fn(&Path) -> bool,
    /// Asks which hooks are trusted.
    pub ask: fn(&TrustQuery<'_>) -> Result<TrustCounts, TrustError>,
    /// Has the agent trust these hooks, and asks again.
    pub grant: fn(&TrustQuery<'_>) -> Result<TrustChange, TrustError>,
    /// Has the agent forget its trust in these hooks, and asks again.
    pub revoke: fn(&TrustQuery<'_>) -> Result<TrustChange, TrustError>,
}

/// Which hooks, and how the agent is started to answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrustQuery<'a> {
    /// The agent's program.
    pub program: &'a Path,
    /// The configuration directory.
    pub directory: &'a Path,
    /// The value of the agent's variable for that directory; `None`: it is unset, as the person has it.
    pub variable: Option<&'a Path>,
    /// The file with the hooks.
    pub settings: &'a Path,
    /// The commands of this program's hooks there. Another hook is never touched.
    pub commands: &'a [String],
    /// How long all answers together may take.
    pub limit: Duration,
}

/// How many of the hooks in question are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TrustCounts {
    /// Trusted: they run.
    pub trusted: usize,
    /// Not confirmed yet, or in a state that this version does not know.
    pub untrusted: usize,
    /// Changed since they were confirmed.
    pub modified: usize,
    /// Switched off by the person; not counted in the others.
    pub disabled: usize,
}

impl TrustCounts {
    /// All of them.
    pub(crate) const fn total(self) -> usize {
        self.trusted + self.untrusted + self.modified + self.disabled
    }

    /// Those that a confirmation would make run.
    pub(crate) const fn unconfirmed(self) -> usize {
        self.untrusted + self.modified
    }
}

/// What a change has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TrustChange {
    /// How many hooks are in another state now.
    pub changed: usize,
    /// The states afterwards, as the agent gives them.
    pub after: TrustCounts,
}

/// Why the agent gave no answer.
#[derive(Debug, Error)]
pub(crate) enum TrustError {
    /// There is no program to ask.
    #[error("`{0}` is not in PATH")]
    NoProgram(&'static str),
    /// The program cannot be started.
    #[error("{0} cannot be started: {1}")]
    Start(&'static str, #[source] io::Error),
    /// It takes too long.
    #[error("{0} did not answer within {limit} s", limit = .1.as_secs())]
    Late(&'static str, Duration),
    /// It ended before it answered, as a version does that does not know the call.
    #[error("{0} ended without an answer; a newer version may give one")]
    Ended(&'static str),
    /// It answered with an error.
    #[error("{0} refused `{1}`: {2}")]
    Refused(&'static str, &'static str, String),
    /// It answered in an unknown form.
    #[error("the answer of {0} to `{1}` has an unknown form")]
    Unreadable(&'static str, &'static str),
    /// It does not list the hooks.
    #[error("{0} lists none of these hooks{1}")]
    Unlisted(&'static str, String),
}
