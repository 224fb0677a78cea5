//! What the tests of the core and the conformance tests begin with: a daemon, its clock and its pid namespace.

use super::{DaemonInfo, Now};
use crate::protocol::Origin;

/// When the tests' daemon begins, in ms since the epoch.
pub(crate) const EPOCH: u64 = 1_790_000_000_000;

/// The daemon's own pid namespace.
pub(crate) const NAMESPACE: u64 = 4_026_531_836;

pub(crate) const START: Now = Now {
    unix_ms: EPOCH,
    uptime_ms: 0,
};

pub(crate) fn info() -> DaemonInfo {
    DaemonInfo {
        pid: 1,
        pid_namespace: Some(NAMESPACE),
        origin: Origin::SelfBound,
        socket: "/tmp/agent-console.sock".into(),
    }
}
