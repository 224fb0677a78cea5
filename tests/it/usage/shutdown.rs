//! A daemon that leaves while the service is asked.

use std::path::Path;
use std::time::Instant;

use super::child::children;
use super::{Fixture, PROMPT};
use crate::support::Daemon;
use crate::usage_server::Answer;
use crate::usage_server::trust::TestCa;

/// The daemon exits after `ask`, for the reason given.
#[track_caller]
fn assert_leaves(reason: Option<&str>, ask: impl FnOnce(&Fixture, &Daemon)) {
    let fixture = Fixture::with(TestCa::Trusted, Answer::HeldBack);
    let mut daemon = fixture.daemon();
    let mut dashboard = fixture.dashboard();
    fixture.service.wait_until_asked(1);
    let [child] = children(daemon.pid())[..] else {
        panic!("{:?}", children(daemon.pid()));
    };

    let asked = Instant::now();
    ask(&fixture, &daemon);
    assert_eq!(daemon.wait(), Some(0));
    let took = asked.elapsed();
    assert!(took < PROMPT, "{took:?}");
    // The child neither runs nor is a zombie.
    assert!(!Path::new(&format!("/proc/{child}")).exists());
    if let Some(reason) = reason {
        assert_eq!(dashboard.notified("daemon.stopping")["reason"], reason);
    }
    assert!(!fixture.place.socket().exists());
}

#[test]
fn a_stop_does_not_wait_for_the_service() {
    assert_leaves(Some("stop"), |fixture, _| {
        fixture.place.ok(&["stop"]);
    });
    assert_leaves(None, |fixture, _| {
        fixture.place.ok(&["stop", "--force"]);
    });
}

#[test]
fn a_signal_does_not_wait_for_the_service() {
    assert_leaves(Some("signal"), |_, daemon| daemon.signal("TERM"));
    assert_leaves(Some("signal"), |_, daemon| daemon.signal("INT"));
}
