//! A service that does not come to an end.

use std::time::Instant;

use serde_json::json;

use super::child::children;
use super::{Fixture, PROMPT, body, limits, windows};
use crate::support::until;
use crate::usage_server::Answer;
use crate::usage_server::trust::TestCa;

#[test]
fn a_service_that_hangs_or_answers_too_slowly_times_out() {
    let Answer::Bytes(bytes) = Answer::http("200 OK", "", &body()) else {
        unreachable!()
    };
    // Side by side, as it takes the whole time that a fetch has.
    let mut fixtures = Vec::new();
    for answer in [Answer::HeldBack, Answer::Dripping(bytes)] {
        let fixture = Fixture::with(TestCa::Trusted, answer);
        let daemon = fixture.daemon();
        let dashboard = fixture.dashboard();
        fixture.service.wait_until_asked(1);
        let child = children(daemon.pid());
        assert_eq!(child.len(), 1);
        fixtures.push((fixture, daemon, dashboard));
    }
    for (fixture, mut daemon, mut dashboard) in fixtures {
        let pushed = dashboard.notified("usage.changed");
        let usage = &pushed["usage"];
        assert_eq!(
            (&usage["state"], &usage["code"]),
            (&json!("unavailable"), &json!("timed_out"))
        );
        assert_eq!(windows(usage), []);
        // Long before it would end by itself. One that is not reaped has its parent still.
        let stopped_at = Instant::now();
        until("the child to be killed and reaped", || {
            children(daemon.pid()).is_empty().then_some(())
        });
        assert!(stopped_at.elapsed() < PROMPT, "{:?}", stopped_at.elapsed());

        // It was no more than one that came to nothing.
        fixture.service.answer(limits());
        let answer = fixture.place.connect().ask("usage.refresh", json!({}));
        assert_eq!(answer["result"]["usage"]["state"], "ok", "{answer}");
        assert_eq!(fixture.times_asked(), 2);
        assert!(daemon.runs());
        assert_eq!(daemon.number("Threads"), 1);
    }
}
