//! What the daemon tells of the account's limits, and when it asks for them.

use std::net::Shutdown;

use serde_json::json;

use super::child::children;
use super::fetch_command::nobody;
use super::{Scene, WINDOWS, limits, refusal, windows};
use crate::support::{Sleeper, until};
use crate::usage_server::Answer;
use crate::usage_server::trust::Papers;

#[test]
fn who_looks_is_told_what_came_of_it() {
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
        let scene = Scene::with(Papers::Good, answer);
        assert_told(&scene, state, code);
        assert_eq!((scene.service.connections(), scene.times_asked()), (1, 1));
    }
}

#[test]
fn who_looks_is_told_why_nobody_could_be_asked() {
    let mut scene = Scene::new();
    let (_taken, proxy) = nobody();
    scene.proxy = proxy;
    assert_told(&scene, "unavailable", Some("network"));

    let scene = Scene::new();
    std::fs::remove_dir_all(scene.place.path().join("home/.claude")).unwrap();
    assert_told(&scene, "unauthorized", Some("no_credentials"));

    let expired = json!({"claudeAiOauth": {"accessToken": super::TOKEN, "expiresAt": 1}});
    scene.has_credentials(".claude", &expired.to_string());
    assert_told(&scene, "unauthorized", Some("credentials_expired"));
    assert_eq!(scene.service.connections(), 0);
}

/// A daemon's first dashboard is told this, and whoever asks later.
#[track_caller]
fn assert_told(scene: &Scene, state: &str, code: Option<&str>) {
    let mut daemon = scene.daemon();
    let told = scene.dashboard().notified("usage.changed")["usage"].take();
    assert_eq!(told["state"], state, "{told}");
    assert_eq!(
        told.get("code"),
        code.map(|code| json!(code)).as_ref(),
        "{told}"
    );
    assert_eq!(told["message"].is_string(), code.is_some(), "{told}");
    assert_eq!(told["retry_at"].is_u64(), state == "rate_limited", "{told}");
    let expected = if code.is_none() { &WINDOWS[..] } else { &[] };
    assert_eq!(windows(&told), expected);
    assert_eq!(scene.usage(), told);
    scene.place.ok(&["stop"]);
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn a_failure_hides_nothing_that_was_known() {
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
    let mut scenes = Vec::new();
    for (answer, state, code) in table {
        let scene = Scene::new();
        let daemon = scene.daemon();
        let mut dashboard = scene.dashboard();
        let known = dashboard.notified("usage.changed")["usage"].take();
        assert_eq!(known["state"], "ok", "{known}");
        scene.service.answer(answer);
        scenes.push((scene, daemon, dashboard, known, state, code));
    }
    for (scene, mut daemon, mut dashboard, known, state, code) in scenes {
        let mut client = scene.place.connect();
        let told = until("the service to be asked again", || {
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
            (&told["state"], &told["code"]),
            (&json!(state), &json!(code))
        );
        for field in ["windows", "source", "fetched_at"] {
            assert_eq!(told[field], known[field]);
        }
        assert_eq!(dashboard.notified("usage.changed")["usage"], told);
        assert_eq!(scene.service.connections(), 2);

        // While the service wants to be left alone nobody makes it be asked.
        if state == "rate_limited" {
            let wait = told["retry_at"].as_u64().unwrap() - agent_console::os::clock::unix_ms();
            assert!((3_500_000..=3_600_000).contains(&wait), "{wait}");
            let answer = client.ask("usage.refresh", json!({}));
            assert_eq!(answer["result"]["usage"], told);
            assert_eq!(scene.service.connections(), 2);
        }
        let said = scene.place.ok(&["usage"]);
        assert!(
            said.contains("42 %") && said.contains("last known"),
            "{said}"
        );
        assert!(daemon.runs());
    }
}

#[test]
fn nobody_looks_and_nobody_is_asked() {
    let scene = Scene::new();
    let daemon = scene.daemon();
    let agent = Sleeper::start();
    for event in ["SessionStart", "UserPromptSubmit", "Stop"] {
        let event = json!({"hook_event_name": event, "session_id": "s", "source": "startup"});
        scene.place.hook(agent.pid(), true, &event.to_string());
    }
    scene.place.ok(&["report", "build", "working"]);
    for command in ["list", "status", "usage"] {
        scene.place.ok(&[command]);
    }
    assert_eq!(children(daemon.pid()), Vec::<u32>::new());
    assert_eq!(scene.service.connections(), 0);
    // The first who looks is the first for whom it is asked: nothing was under way.
    let told = scene.dashboard().notified("usage.changed");
    assert_eq!(told["usage"]["state"], "ok");
    assert_eq!((scene.service.connections(), scene.times_asked()), (1, 1));
}

#[test]
fn two_who_look_at_once_are_told_of_one_answer() {
    let scene = Scene::with(Papers::Good, Answer::HeldBack);
    let daemon = scene.daemon();
    let mut dashboards = [scene.place.connect(), scene.place.connect()];
    for dashboard in &mut dashboards {
        dashboard.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\"}\n");
    }
    scene.service.wait_until_asked(1);
    let child = children(daemon.pid());
    assert_eq!(child.len(), 1);
    // A third, and one who has it asked, while it is.
    let mut third = scene.dashboard();
    let mut client = scene.place.connect();
    client.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"usage.refresh\"}\n");
    scene.place.ok(&["list"]);
    assert_eq!(children(daemon.pid()), child);
    scene.service.answer(limits());
    let answer = client.next().unwrap();
    assert_eq!(answer["result"]["usage"]["state"], "ok", "{answer}");
    for dashboard in dashboards.iter_mut().chain([&mut third]) {
        let told = dashboard.notified("usage.changed");
        assert_eq!(windows(&told["usage"]), WINDOWS);
    }
    assert_eq!((scene.service.connections(), scene.times_asked()), (1, 1));
}

#[test]
fn who_leaves_before_the_answer_does_no_harm() {
    let scene = Scene::with(Papers::Good, Answer::HeldBack);
    let mut daemon = scene.daemon();
    let dashboard = scene.dashboard();
    let mut client = scene.place.connect();
    client.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"usage.refresh\"}\n");
    scene.service.wait_until_asked(1);
    drop((dashboard, client));
    until("the daemon to see them leave", || {
        let status = scene.place.json(&["status", "--json"]);
        (status["dashboards"] == 0).then_some(())
    });
    scene.service.answer(limits());
    until("the child to be reaped", || {
        children(daemon.pid()).is_empty().then_some(())
    });
    let usage = until("the answer", || {
        Some(scene.usage()).filter(|usage| !usage.is_null())
    });
    assert_eq!(
        (&usage["state"], windows(&usage)),
        (&json!("ok"), WINDOWS.to_vec())
    );
    // Who looks next has it from the snapshot, and nothing is asked for them.
    let snapshot = scene.place.connect().ask("subscribe", json!({}));
    assert_eq!(snapshot["result"]["usage"], usage);
    assert_eq!(scene.times_asked(), 1);
    assert!(daemon.runs());
    assert_eq!(daemon.number("Threads"), 1);
}

#[test]
fn who_says_no_more_is_answered_all_the_same() {
    let scene = Scene::with(Papers::Good, Answer::HeldBack);
    let daemon = scene.daemon();
    let mut client = scene.place.connect();
    client.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"usage.refresh\"}\n");
    client.socket().shutdown(Shutdown::Write).unwrap();
    scene.service.wait_until_asked(1);
    scene.place.ok(&["list"]);
    scene.service.answer(limits());
    let answer = client.next().expect("an answer");
    assert_eq!(answer["result"]["usage"]["state"], "ok", "{answer}");
    assert_eq!(client.next(), None);
    assert_eq!(children(daemon.pid()), Vec::<u32>::new());
}
