//! A daemon that leaves while the service is asked.

use std::path::Path;
use std::time::Instant;

use super::child::children;
use super::{PROMPT, Scene};
use crate::support::Daemon;
use crate::usage_server::Answer;
use crate::usage_server::trust::Papers;

/// The daemon is told to leave as `ask` does it, and leaves for the reason given.
#[track_caller]
fn assert_leaves(reason: Option<&str>, ask: impl FnOnce(&Scene, &Daemon)) {
    let scene = Scene::with(Papers::Good, Answer::HeldBack);
    let mut daemon = scene.daemon();
    let mut dashboard = scene.dashboard();
    scene.service.wait_until_asked(1);
    let [child] = children(daemon.pid())[..] else {
        panic!("{:?}", children(daemon.pid()));
    };

    let asked = Instant::now();
    ask(&scene, &daemon);
    assert_eq!(daemon.wait(), Some(0));
    let took = asked.elapsed();
    assert!(took < PROMPT, "{took:?}");
    // Neither running nor waiting for somebody to reap it.
    assert!(!Path::new(&format!("/proc/{child}")).exists());
    if let Some(reason) = reason {
        assert_eq!(dashboard.notified("daemon.stopping")["reason"], reason);
    }
    assert!(!scene.place.socket().exists());
}

#[test]
fn a_stop_waits_for_no_service() {
    assert_leaves(Some("stop"), |scene, _| {
        scene.place.ok(&["stop"]);
    });
    assert_leaves(None, |scene, _| {
        scene.place.ok(&["stop", "--force"]);
    });
}

#[test]
fn a_signal_waits_for_no_service() {
    assert_leaves(Some("signal"), |_, daemon| daemon.signal("TERM"));
    assert_leaves(Some("signal"), |_, daemon| daemon.signal("INT"));
}
