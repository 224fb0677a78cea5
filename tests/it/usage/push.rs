//! Which updates of the account's limits the daemon sends, and when it fetches them.

use std::net::Shutdown;

use serde_json::json;

use super::child::children;
use super::fetch_command::refusing_proxy;
use super::{Fixture, WINDOWS, limits, refusal, windows};
use crate::support::{Sleeper, until};
use crate::usage_server::Answer;
use crate::usage_server::trust::TestCa;

#[test]
fn a_subscriber_receives_the_outcome_of_the_fetch() {
    let garbage = Answer::http("200 OK", "", "<html>");
    let limited = refusal("429 Too Many Requests", "Retry-After: 90\r\n");
    for (answer, state, code) in [
        (limits(), "ok", None),
        (
            refusal("401 Unauthorized", ""),
            "unauthorized",
            Some("credentials_refused"),
        ),
        (
            refusal("403 Forbidden", ""),
            "unauthorized",
            Some("scope_missing"),
        ),
        (limited, "rate_limited", Some("rate_limited")),
        (
            refusal("500 Internal Server Error", ""),
            "unavailable",
            Some("server_error"),
        ),
        (garbage, "unavailable", Some("unexpected_answer")),
    ] {
        let fixture = Fixture::with(TestCa::Trusted, answer);
        assert_pushed(&fixture, state, code);
        assert_eq!(
            (fixture.service.connections(), fixture.times_asked()),
            (1, 1)
        );
    }
}

#[test]
fn a_subscriber_receives_why_no_fetch_was_possible() {
    let mut fixture = Fixture::new();
    let (_taken, proxy) = refusing_proxy();
    fixture.proxy = proxy;
    assert_pushed(&fixture, "unavailable", Some("network"));

    let fixture = Fixture::new();
    std::fs::remove_dir_all(fixture.place.path().join("home/.claude")).unwrap();
    assert_pushed(&fixture, "unauthorized", Some("no_credentials"));

    // The next daemon does not ask sooner than the one before.
    let fixture = Fixture::new();
    let expired = json!({"claudeAiOauth": {"accessToken": super::TOKEN, "expiresAt": 1}});
    fixture.has_credentials(".claude", &expired.to_string());
    assert_pushed(&fixture, "unauthorized", Some("credentials_expired"));
    assert_eq!(fixture.service.connections(), 0);
}

/// A daemon's first dashboard receives this state, and so does a later request.
#[track_caller]
fn assert_pushed(fixture: &Fixture, state: &str, code: Option<&str>) {
    let mut daemon = fixture.daemon();
    let pushed = fixture.dashboard().notified("usage.changed")["usage"].take();
    assert_eq!(pushed["state"], state, "{pushed}");
    assert_eq!(
        pushed.get("code"),
        code.map(|code| json!(code)).as_ref(),
        "{pushed}"
    );
    assert_eq!(pushed["message"].is_string(), code.is_some(), "{pushed}");
    assert_eq!(
        pushed["retry_at"].is_u64(),
        state == "rate_limited",
        "{pushed}"
    );
    let expected = if code.is_none() { &WINDOWS[..] } else { &[] };
    assert_eq!(windows(&pushed), expected);
    assert_eq!(fixture.usage(), pushed);
    fixture.place.ok(&["stop"]);
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn a_failure_keeps_the_last_figures() {
    let limited = refusal("429 Too Many Requests", "Retry-After: 3600\r\n");
    let table = [
        (
            refusal("401 Unauthorized", ""),
            "unauthorized",
            "credentials_refused",
        ),
        (limited, "rate_limited", "rate_limited"),
        (
            Answer::http("200 OK", "", "{"),
            "unavailable",
            "unexpected_answer",
        ),
        (Answer::NoTunnel(""), "unavailable", "network"),
    ];
    // Side by side, as the service is left alone for 10 s.
    let mut fixtures = Vec::new();
    for (answer, state, code) in table {
        let fixture = Fixture::new();
        let daemon = fixture.daemon();
        let mut dashboard = fixture.dashboard();
        let known = dashboard.notified("usage.changed")["usage"].take();
        assert_eq!(known["state"], "ok", "{known}");
        fixture.service.answer(answer);
        fixtures.push((fixture, daemon, dashboard, known, state, code));
    }
    for (fixture, mut daemon, mut dashboard, known, state, code) in fixtures {
        let mut client = fixture.place.connect();
        let pushed = until("the service to be asked again", || {
            let answer = client.ask("usage.refresh", json!({}));
            let usage = answer["result"]["usage"].clone();
            if usage["state"] == "ok" {
                // Not again yet: the answer is what is known, and came at once.
                assert_eq!(usage, known);
                std::thread::sleep(std::time::Duration::from_millis(50));
                return None;
            }
            Some(usage)
        });
        assert_eq!(
            (&pushed["state"], &pushed["code"]),
            (&json!(state), &json!(code))
        );
        for field in ["windows", "source", "fetched_at"] {
            assert_eq!(pushed[field], known[field]);
        }
        assert_eq!(dashboard.notified("usage.changed")["usage"], pushed);
        assert_eq!(fixture.service.connections(), 2);

        // Before the service's Retry-After is over no request causes a fetch.
        if state == "rate_limited" {
            let wait = pushed["retry_at"].as_u64().unwrap() - agent_console::os::clock::unix_ms();
            assert!((3_500_000..=3_600_000).contains(&wait), "{wait}");
            let answer = client.ask("usage.refresh", json!({}));
            assert_eq!(answer["result"]["usage"], pushed);
            assert_eq!(fixture.service.connections(), 2);
        }
        let said = fixture.place.ok(&["usage"]);
        assert!(
            said.contains("42 %") && said.contains("last known"),
            "{said}"
        );
        assert!(daemon.runs());
    }
}

#[test]
fn without_a_subscriber_nothing_is_fetched() {
    let fixture = Fixture::new();
    let daemon = fixture.daemon();
    let agent = Sleeper::start();
    for event in ["SessionStart", "UserPromptSubmit", "Stop"] {
        let event = json!({"hook_event_name": event, "session_id": "s", "source": "startup"});
        fixture.place.hook(agent.pid(), true, &event.to_string());
    }
    fixture.place.ok(&["report", "build", "working"]);
    for command in ["list", "status", "usage"] {
        fixture.place.ok(&[command]);
    }
    assert_eq!(children(daemon.pid()), Vec::<u32>::new());
    assert_eq!(fixture.service.connections(), 0);
    // The first who looks is the first for whom it is asked: nothing was under way.
    let pushed = fixture.dashboard().notified("usage.changed");
    assert_eq!(pushed["usage"]["state"], "ok");
    assert_eq!(
        (fixture.service.connections(), fixture.times_asked()),
        (1, 1)
    );
}

#[test]
fn two_subscribers_share_one_fetch() {
    let fixture = Fixture::with(TestCa::Trusted, Answer::HeldBack);
    let daemon = fixture.daemon();
    let mut dashboards = [fixture.place.connect(), fixture.place.connect()];
    for dashboard in &mut dashboards {
        dashboard.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\"}\n");
    }
    fixture.service.wait_until_asked(1);
    let child = children(daemon.pid());
    assert_eq!(child.len(), 1);
    // A third, and one who has it asked, while it is.
    let mut third = fixture.dashboard();
    let mut client = fixture.place.connect();
    client.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"usage.refresh\"}\n");
    fixture.place.ok(&["list"]);
    assert_eq!(children(daemon.pid()), child);
    fixture.service.answer(limits());
    let answer = client.next().unwrap();
    assert_eq!(answer["result"]["usage"]["state"], "ok", "{answer}");
    for dashboard in dashboards.iter_mut().chain([&mut third]) {
        let pushed = dashboard.notified("usage.changed");
        assert_eq!(windows(&pushed["usage"]), WINDOWS);
    }
    assert_eq!(
        (fixture.service.connections(), fixture.times_asked()),
        (1, 1)
    );
}

#[test]
fn a_client_that_disconnects_before_the_answer_does_no_harm() {
    let fixture = Fixture::with(TestCa::Trusted, Answer::HeldBack);
    let mut daemon = fixture.daemon();
    let dashboard = fixture.dashboard();
    let mut client = fixture.place.connect();
    client.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"usage.refresh\"}\n");
    fixture.service.wait_until_asked(1);
    drop((dashboard, client));
    until("the daemon to see them leave", || {
        let status = fixture.place.json(&["status", "--json"]);
        (status["dashboards"] == 0).then_some(())
    });
    fixture.service.answer(limits());
    until("the child to be reaped", || {
        children(daemon.pid()).is_empty().then_some(())
    });
    let usage = until("the answer", || {
        Some(fixture.usage()).filter(|usage| !usage.is_null())
    });
    assert_eq!(
        (&usage["state"], windows(&usage)),
        (&json!("ok"), WINDOWS.to_vec())
    );
    // Who looks next has it from the snapshot, and nothing is asked for them.
    let snapshot = fixture.place.connect().ask("subscribe", json!({}));
    assert_eq!(snapshot["result"]["usage"], usage);
    assert_eq!(fixture.times_asked(), 1);
    assert!(daemon.runs());
    assert_eq!(daemon.number("Threads"), 1);
}

#[test]
fn a_half_closed_client_receives_its_answer() {
    let fixture = Fixture::with(TestCa::Trusted, Answer::HeldBack);
    let daemon = fixture.daemon();
    let mut client = fixture.place.connect();
    client.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"usage.refresh\"}\n");
    client.socket().shutdown(Shutdown::Write).unwrap();
    fixture.service.wait_until_asked(1);
    fixture.place.ok(&["list"]);
    fixture.service.answer(limits());
    let answer = client.next().expect("an answer");
    assert_eq!(answer["result"]["usage"]["state"], "ok", "{answer}");
    assert_eq!(client.next(), None);
    assert_eq!(children(daemon.pid()), Vec::<u32>::new());
}
