//! A service that does not come to an end.

use std::time::Instant;

use serde_json::json;

use super::child::children;
use super::{PROMPT, Scene, body, limits, windows};
use crate::support::until;
use crate::usage_server::Answer;
use crate::usage_server::trust::Papers;

#[test]
fn a_service_that_hangs_or_drips_is_given_up() {
    let Answer::Bytes(bytes) = Answer::http("200 OK", "", &body()) else {
        unreachable!()
    };
    // Side by side, as it takes the whole time that a fetch has.
    let mut scenes = Vec::new();
    for answer in [Answer::HeldBack, Answer::Dripping(bytes)] {
        let scene = Scene::with(Papers::Good, answer);
        let daemon = scene.daemon();
        let dashboard = scene.dashboard();
        scene.service.wait_until_asked(1);
        let child = children(daemon.pid());
        assert_eq!(child.len(), 1);
        scenes.push((scene, daemon, dashboard));
    }
    for (scene, mut daemon, mut dashboard) in scenes {
        let told = dashboard.notified("usage.changed");
        let usage = &told["usage"];
        assert_eq!(
            (&usage["state"], &usage["code"]),
            (&json!("unavailable"), &json!("timed_out"))
        );
        assert_eq!(windows(usage), []);
        // Long before it would end by itself. One that is not reaped has its parent still.
        let told = Instant::now();
        until("the child to be killed and reaped", || {
            children(daemon.pid()).is_empty().then_some(())
        });
        assert!(told.elapsed() < PROMPT, "{:?}", told.elapsed());

        // It was no more than one that came to nothing.
        scene.service.answer(limits());
        let answer = scene.place.connect().ask("usage.refresh", json!({}));
        assert_eq!(answer["result"]["usage"]["state"], "ok", "{answer}");
        assert_eq!(scene.times_asked(), 2);
        assert!(daemon.runs());
        assert_eq!(daemon.number("Threads"), 1);
    }
}
