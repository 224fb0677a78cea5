//! The evaluation, as data: what was seen in, the line and its command out.

mod agents;
mod config;
mod daemon;
mod log;
mod service;
mod socket;

use std::borrow::Cow;
use std::time::Duration;

use super::fix::FixCommands;
use super::probe::{DaemonProbe, Program};
use super::{Check, LIMIT, Level, VERSION, within};
use crate::config::{SocketChoice, Source};
use crate::protocol::{Counts, HelloResult, Origin, Snapshot, StatusResult};

fn choice() -> SocketChoice {
    SocketChoice {
        path: "/tmp/s".into(),
        source: Source::Default,
    }
}

fn commands() -> FixCommands {
    FixCommands::new(&choice(), None)
}

fn answers(origin: Origin) -> DaemonProbe {
    DaemonProbe {
        hello: HelloResult {
            protocol: crate::protocol::VERSION,
            version: Cow::Borrowed(VERSION),
            pid: 7,
            origin,
            epoch: Some(5),
        },
        status: StatusResult {
            pid: 7,
            version: Cow::Borrowed(VERSION),
            protocol: crate::protocol::VERSION,
            origin,
            socket: Cow::Borrowed("/tmp/s"),
            uptime_ms: 3_600_500,
            sessions: Counts::default(),
            dashboards: 0,
            seq: 0,
            unknown_events: 0,
            reports: 0,
            rss_bytes: None,
            idle_timeout_ms: Some(3_600_000),
        },
        snapshot: Snapshot {
            usage: None,
            seq: 0,
            epoch: Some(5),
            partial: false,
            sessions: Vec::new(),
            removed: Vec::new(),
            notices: Vec::new(),
        },
        took: Duration::from_millis(12),
        started: false,
        visible: false,
        program: Program::Same,
    }
}

#[track_caller]
fn is(check: &Check, level: Level, part: &str, fix: Option<&str>) {
    assert_eq!(check.level, level, "{check:?}");
    assert!(check.what.contains(part), "{check:?}");
    assert_eq!(check.fix.as_deref(), fix, "{check:?}");
}

#[test]
fn nothing_is_waited_for_longer_than_the_limit() {
    let began = crate::os::clock::monotonic();
    let (_sender, receiver) = std::sync::mpsc::channel::<()>();
    assert_eq!(within(move || receiver.recv()), None);
    assert!(began.elapsed() >= LIMIT);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(within(|| 5), Some(5));
}
