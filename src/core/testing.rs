//! What the tests of the core and the conformance tests begin with: a daemon, its clock and its pid namespace.

use std::rc::Rc;

use super::{DaemonInfo, Now, ReminderRules};
use crate::agents;
use crate::limits::{Account, Login};
use crate::protocol::Origin;
use crate::reminders::Causes;

/// When the tests' daemon begins, in ms since the epoch.
pub(crate) const EPOCH: u64 = 1_790_000_000_000;

/// The daemon's own pid namespace.
pub(crate) const NAMESPACE: u64 = 4_026_531_836;

/// Which state the tests' daemon has.
pub(crate) const STATE_EPOCH: u64 = 6_730_412_958_817;

pub(crate) const START: Now = Now {
    unix_ms: EPOCH,
    uptime_ms: 0,
};

/// No person is reminded of anything. Switched on: of everything, once.
pub(crate) const NO_REMINDERS: ReminderRules = ReminderRules {
    is_on: false,
    delay_ms: 8000,
    repeat_ms: None,
    causes: Causes::ALL,
    finished_after_ms: 0,
};

pub(crate) fn info() -> DaemonInfo {
    DaemonInfo {
        pid: 1,
        pid_namespace: Some(NAMESPACE),
        boot: "boot".into(),
        origin: Origin::SelfBound,
        socket: "/tmp/agent-console.sock".into(),
        account: Rc::new(account("default", None)),
        epoch: STATE_EPOCH,
    }
}

/// An account by its name and, if known, its login; the one named `default` is the daemon's own.
pub(crate) fn account(name: &str, login: Option<u64>) -> Account {
    Account {
        agent: agents::DEFAULT.name.into(),
        name: name.into(),
        directory: format!("/home/dev/{name}").into(),
        namespace: None,
        login: login.map(Login),
        is_default: name == "default",
        is_fetched: true,
    }
}
