//! The limits that agents write into the files of their sessions: by account, and nothing is fetched.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::accounts::{in_hours, notices, shows};
use crate::agent_files::{StandIn, stand_in};
use crate::support::{Place, until};

const ID: [&str; 3] = [
    "01a21bb0-acf3-7600-9c92-d7ff3b2e46b1",
    "01a21bb0-acf3-7600-9c92-d7ff3b2e46b2",
    "01a21bb0-acf3-7600-9c92-d7ff3b2e46b3",
];

/// A session of Codex CLI in a configuration directory of the home, and its rollout.
struct Session<'a> {
    place: &'a Place,
    rollout: PathBuf,
    _agent: StandIn,
}

impl<'a> Session<'a> {
    #[track_caller]
    fn start(place: &'a Place, directory: &str, id: &str) -> Self {
        let directory = place.path().join("home").join(directory);
        let day = directory.join("sessions/2026/11/27");
        fs::create_dir_all(&day).unwrap();
        let rollout = day.join(format!("rollout-2026-11-27T06-28-13-{id}.jsonl"));
        fs::write(&rollout, "").unwrap();
        let payload = json!({"hook_event_name": "UserPromptSubmit", "session_id": id, "cwd": "/w",
            "prompt": "x", "transcript_path": &rollout});
        let variables = BTreeMap::from([("CODEX_HOME".into(), directory.to_str().unwrap().into())]);
        let mut agent = stand_in(place, "codex");
        let ran = agent.hook("codex", None, variables, payload.to_string());
        ran.unwrap();
        until("the session", || {
            let sessions = place.json(&["list", "--json"]);
            let mut sessions = sessions.as_array()?.iter();
            sessions
                .any(|session| session["session_id"] == id)
                .then_some(())
        });
        Self {
            place,
            rollout,
            _agent: agent,
        }
    }

    fn write(&self, limits: &Value) {
        let line = json!({"type": "event_msg", "payload": {"type": "token_count", "info": null,
            "rate_limits": limits}});
        let mut file = OpenOptions::new().append(true).open(&self.rollout).unwrap();
        writeln!(file, "{line}").unwrap();
    }

    /// The service states how much of the five hours is used, until when, in hours.
    fn states(&self, used: f64, hours: u64) {
        let reset = in_hours(hours);
        self.write(&json!({"limit_id": "codex",
            "primary": {"used_percent": used, "window_minutes": 300, "resets_at": reset},
            "secondary": {"used_percent": 1.0, "window_minutes": 10080, "resets_at": reset + 86_400}}));
    }

    /// Codex CLI writes the login, as it does: in place.
    fn logs_in(&self, directory: &str, account: &str) {
        let tokens = json!({"id_token": "secret", "access_token": "secret", "account_id": account});
        let file = self
            .place
            .path()
            .join("home")
            .join(directory)
            .join("auth.json");
        fs::write(file, json!({"tokens": tokens}).to_string()).unwrap();
    }
}

#[test]
fn the_limits_of_two_directories_are_shown_beside_each_other() {
    let place = Place::new();
    let _daemon = place.daemon();
    let own = Session::start(&place, ".codex", ID[0]);
    let work = Session::start(&place, ".codex-work", ID[1]);
    own.states(40.0, 2);
    shows(&place, &[("codex", 40.0)]);
    work.states(91.0, 3);
    shows(&place, &[("codex", 40.0), ("work", 91.0)]);
    // Without figures, as with an API key, nothing changes; a field of another type costs that field.
    own.write(&json!({"limit_id": "codex", "primary": null, "secondary": null}));
    own.write(&json!({"primary": {"used_percent": "41", "window_minutes": 300, "resets_at": {}}}));
    shows(&place, &[("codex", 41.0), ("work", 91.0)]);

    let usage = place.json(&["usage", "--json"])["usage"].take();
    for account in usage["accounts"].as_array().unwrap() {
        let of = |field: &str| account[field].as_str().unwrap_or_default();
        assert_eq!(
            [of("agent"), of("state"), of("source")],
            ["codex", "ok", "session_file"]
        );
        assert!(
            account["fetched_at"].is_u64() && account["code"].is_null(),
            "{account}"
        );
        assert_eq!(account["windows"][1]["name"], "seven_day");
    }
    let page = place.ok(&["usage"]);
    assert!(page.contains("from a session's file"), "{page}");
    let bar = place.ok(&["bar"]);
    assert!(bar.trim_end().ends_with("work 5h 91 %"), "{bar}");
    let list = place.json(&["list", "--json"]);
    let accounts = list
        .as_array()
        .unwrap()
        .iter()
        .map(|session| &session["account"]);
    let mut accounts: Vec<_> = accounts.map(|name| name.as_str().unwrap()).collect();
    accounts.sort_unstable();
    assert_eq!(accounts, ["codex", "work"]);
}

#[test]
fn another_login_in_the_directory_begins_anew() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let session = Session::start(&place, ".codex", ID[0]);
    session.logs_in(".codex", "ada-0b1c");
    session.states(95.0, 4);
    shows(&place, &[("codex", 95.0)]);
    let other = Session::start(&place, ".codex-work", ID[1]);
    other.logs_in(".codex-work", "ada-0b1c");
    // One login in two directories is one account.
    other.states(96.0, 4);
    shows(&place, &[("codex", 96.0)]);
    // Its window ends earlier, and less of it is used.
    let third = Session::start(&place, ".codex-third", ID[2]);
    third.logs_in(".codex-third", "grace-0b1d-0b1e");
    third.states(3.0, 1);
    shows(&place, &[("codex", 96.0), ("third", 3.0)]);
    session.logs_in(".codex", "edsger-0b1d-0b1f-long");
    session.states(2.0, 1);
    until("the new login's figures", || {
        let usage = place.json(&["usage", "--json"])["usage"].take();
        let accounts = usage["accounts"].as_array()?;
        let codex = accounts
            .iter()
            .find(|account| account["account"] == "codex")?;
        (codex["windows"][0]["used_percent"] == 2.0).then_some(())
    });
    assert_eq!(notices(&place), ["the 5 h limit: 95 % used"]);
    let all = place.ok(&["usage", "--json"]) + &place.ok(&["list", "--json"]) + &daemon.log();
    for personal in ["ada", "grace", "edsger", "secret"] {
        assert!(!all.contains(personal), "{personal} in {all}");
    }
    assert!(daemon.runs());
}
