//! Several accounts: a configuration directory each, as people have them.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{Fixture, TOKEN, credentials, limits, windows};
use crate::dashboard::screen::{Tmux, is_list};
use crate::support::{Place, Sleeper, Wire, until};
use crate::usage_server::trust::TestCa;

/// Runs the hook of an agent whose configuration directory is this one of the home.
#[track_caller]
fn hook(place: &Place, agent: &Sleeper, directory: &str, payload: &Value) {
    let mut hook = place
        .command(["hook", "claude-code"])
        .env("CLAUDE_PID", agent.pid().to_string())
        .env("CLAUDE_CODE_SESSION_ATTENDED", "1")
        .env(
            "CLAUDE_CONFIG_DIR",
            place.path().join("home").join(directory),
        )
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = hook.stdin.take().unwrap();
    input.write_all(payload.to_string().as_bytes()).unwrap();
    drop(input);
    assert!(hook.wait().unwrap().success());
}

/// An hour from now, in seconds.
pub fn in_hours(hours: u64) -> u64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    now.as_secs() + 3600 * hours
}

fn status_line(session: &str, used: f64, resets_at: u64) -> Value {
    json!({
        "session_id": session, "cwd": "/w", "model": {"id": "o", "display_name": "O"},
        "rate_limits": {"five_hour": {"used_percentage": used, "resets_at": resets_at}},
    })
}

fn start(session: &str) -> Value {
    json!({"hook_event_name": "SessionStart", "session_id": session, "source": "startup", "cwd": "/w"})
}

/// Writes the file in which Claude Code names the login of a directory.
fn login(place: &Place, file: &str, account: &str) {
    let file = place.path().join("home").join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let contents = json!({
        "tips": [1, 2], "projects": {"/w": {"history": ["x".repeat(50_000)]}},
        "oauthAccount": {"accountUuid": account, "emailAddress": "ada@example.com", "organizationUuid": "o"},
    });
    // As it does: another file takes its name.
    let temporary = file.with_extension("tmp");
    fs::write(&temporary, contents.to_string()).unwrap();
    fs::rename(temporary, file).unwrap();
}

/// Each account and the used percentage of its five-hour window.
fn gauges(place: &Place) -> Vec<(String, f64)> {
    let usage = place.json(&["usage", "--json"])["usage"].take();
    let accounts = usage["accounts"].as_array().cloned().unwrap_or_default();
    let gauge = |account: &Value| {
        let used = account["windows"][0]["used_percent"].as_f64()?;
        Some((account["account"].as_str()?.to_owned(), used))
    };
    accounts.iter().filter_map(gauge).collect()
}

#[track_caller]
pub fn shows(place: &Place, expected: &[(&str, f64)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, used)| ((*name).to_owned(), *used))
        .collect();
    let mut last = Vec::new();
    let end = std::time::Instant::now() + crate::support::PATIENCE;
    while std::time::Instant::now() < end {
        last = gauges(place);
        if last == expected {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("{last:?} instead of {expected:?}");
}

/// The messages of the notices that the dashboard has, by a new snapshot.
pub fn notices(place: &Place) -> Vec<String> {
    let snapshot = Wire::connect(&place.socket()).ask("subscribe", json!({}));
    let notices = snapshot["result"]["notices"].as_array().unwrap();
    let messages = notices
        .iter()
        .map(|notice| notice["message"].as_str().unwrap().to_owned());
    messages.collect()
}

#[test]
fn two_directories_are_two_accounts_without_false_alarms() {
    let place = Place::new();
    let _daemon = place.daemon();
    let mut dashboard = place.connect();
    dashboard.ask("subscribe", json!({}));
    let (own, work) = (Sleeper::start(), Sleeper::start());
    hook(&place, &own, ".claude", &start("a"));
    hook(&place, &work, ".claude-work", &start("b"));
    for hour in 1..=4_u32 {
        let used = 90.0 + f64::from(hour);
        let reset = in_hours(hour.into());
        hook(&place, &own, ".claude", &status_line("a", used, reset));
        hook(
            &place,
            &work,
            ".claude-work",
            &status_line("b", 5.0, reset + 1800),
        );
        shows(&place, &[("default", used), ("work", 5.0)]);
    }
    assert_eq!(notices(&place), ["the 5 h limit: 91 % used"; 1]);

    hook(
        &place,
        &work,
        ".claude-work",
        &status_line("b", 93.0, in_hours(4) + 1800),
    );
    shows(&place, &[("default", 94.0), ("work", 93.0)]);
    assert_eq!(notices(&place)[1], "the 5 h limit of work: 93 % used");
    let sessions = place.json(&["list", "--json"]);
    let account_of = |id: &str| {
        let mut sessions = sessions.as_array().unwrap().iter();
        let session = sessions.find(|session| session["session_id"] == id);
        session.unwrap()["account"].clone()
    };
    assert_eq!(
        (account_of("a"), account_of("b")),
        (json!("default"), json!("work"))
    );

    let page = place.ok(&["usage"]);
    let names: Vec<_> = page.lines().filter(|line| !line.contains(' ')).collect();
    assert_eq!(names, ["default", "", "work"], "{page}");
    let bar = place.ok(&["bar"]);
    assert!(bar.trim_end().ends_with("default 5h 94 %"), "{bar}");
}

#[test]
fn the_dashboards_header_names_each_account() {
    let place = Place::new();
    let _daemon = place.daemon();
    let (own, work) = (Sleeper::start(), Sleeper::start());
    hook(&place, &own, ".claude", &start("a"));
    hook(
        &place,
        &own,
        ".claude",
        &status_line("a", 12.0, in_hours(1)),
    );
    shows(&place, &[("default", 12.0)]);
    let tmux = Tmux::start(&place, 120, 24);
    tmux.run("dashboard");
    let one = tmux.shows("the list", is_list);
    let header = one.lines().next().unwrap();
    assert!(
        header.contains("12 %") && !header.contains("default"),
        "{one}"
    );

    hook(&place, &work, ".claude-work", &start("b"));
    hook(
        &place,
        &work,
        ".claude-work",
        &status_line("b", 91.0, in_hours(2)),
    );
    tmux.shows("both accounts", |screen| {
        let header = screen.lines().next().unwrap_or_default();
        header.contains("default 5h") && header.contains("work 5h") && header.contains("91 %")
    });
    // Where both do not fit, the one that is used most.
    tmux.resize(40, 24);
    tmux.shows("the fuller one", |screen| {
        let header = screen.lines().next().unwrap_or_default();
        header.contains("work 5h 91 %") && !header.contains("default")
    });
    tmux.keys(&["q"]);
    tmux.has_its_shell_back();
}

#[test]
fn a_login_is_an_account_wherever_it_is() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let (own, work) = (Sleeper::start(), Sleeper::start());
    login(&place, ".claude.json", "ada");
    login(&place, ".claude-work/.claude.json", "ada");
    hook(&place, &own, ".claude", &start("a"));
    hook(&place, &work, ".claude-work", &start("b"));
    hook(
        &place,
        &own,
        ".claude",
        &status_line("a", 40.0, in_hours(1)),
    );
    shows(&place, &[("default", 40.0)]);
    hook(
        &place,
        &work,
        ".claude-work",
        &status_line("b", 41.0, in_hours(1)),
    );
    shows(&place, &[("default", 41.0)]);

    // Another person, in the same directory and the same session: not a reset of the first one's window.
    login(&place, ".claude-work/.claude.json", "grace");
    hook(
        &place,
        &work,
        ".claude-work",
        &status_line("b", 95.0, in_hours(1)),
    );
    shows(&place, &[("default", 41.0), ("work", 95.0)]);
    login(&place, ".claude.json", "edsger");
    hook(&place, &own, ".claude", &status_line("a", 2.0, in_hours(4)));
    shows(&place, &[("default", 2.0), ("work", 95.0)]);
    assert_eq!(notices(&place), ["the 5 h limit of work: 95 % used"]);

    // What names a person stays where it was.
    assert!(!daemon.log().contains("ada@"));
    let all = place.ok(&["usage", "--json"]) + &place.ok(&["list", "--json"]);
    for personal in ["ada", "grace", "@"] {
        assert!(!all.contains(personal), "{personal} in {all}");
    }
    assert!(daemon.runs());
}

#[test]
fn each_live_account_is_asked_about_with_its_own_credentials() {
    const OTHER: &str = "sk-ant-oat01-test-of-another";
    let fixture = Fixture::with(TestCa::Trusted, limits());
    fixture.has_credentials(".claude-work", &credentials(OTHER));
    fixture.has_credentials(".claude-unused", &credentials("sk-ant-oat01-test-unused"));
    fs::create_dir_all(fixture.place.path().join("home/.claude-unused/sessions")).unwrap();
    let _daemon = fixture.daemon();
    let work = Sleeper::start();
    hook(&fixture.place, &work, ".claude-work", &start("b"));
    until("the session", || {
        let list = fixture.place.json(&["list", "--json"]);
        (list[0]["account"] == "work").then_some(())
    });

    let mut dashboard = fixture.dashboard();
    let usage = until("both accounts", || {
        let usage = dashboard.notified("usage.changed")["usage"].take();
        (usage["accounts"].as_array()?.len() == 2).then_some(usage)
    });
    assert_eq!(fixture.service.tokens(), [TOKEN, OTHER]);
    for account in usage["accounts"].as_array().unwrap() {
        assert_eq!(windows(account), super::WINDOWS, "{account}");
    }
    assert_eq!(usage["accounts"][1]["account"], "work");
}
