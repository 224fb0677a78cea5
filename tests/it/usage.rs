//! The account's limits as the account's service reports them: the real program, the real crate, real TLS, and a stand-in
//! for the service ([`crate::usage_server`]).
//!
//! Needs root, to be a user who may not read a file.

mod accounts;
mod child;
mod fetch_command;
mod push;
mod session_files;
mod shutdown;
mod timeout;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Daemon, Place, Wire};
use crate::usage_server::trust::{TestCa, TrustingBinary};
use crate::usage_server::{Answer, Service};

/// The token, which only the service may receive.
pub const TOKEN: &str = "sk-ant-oat01-test-uGh7Xw0c";

/// How every such token begins.
const SECRET: &str = "sk-ant";

/// Far above what it takes to end a child, below the 15 s after which a fetch is given up.
const PROMPT: Duration = Duration::from_secs(10);

/// A user with credentials, and the service that they are for.
struct Fixture {
    place: Place,
    service: Service,
    /// The proxy that the program reaches the service by.
    proxy: String,
    program: Arc<TrustingBinary>,
}

impl Fixture {
    fn new() -> Self {
        Self::with(TestCa::Trusted, limits())
    }

    fn with(ca: TestCa, answer: Answer) -> Self {
        let service = Service::start(ca, answer);
        let fixture = Self {
            place: Place::new(),
            proxy: service.proxy(),
            service,
            program: TrustingBinary::program(),
        };
        fixture.place.configure("[usage]\nenabled = true\n");
        fixture.has_credentials(".claude", &credentials(TOKEN));
        fixture
    }

    /// Writes a credentials file into a directory of the home.
    fn has_credentials(&self, directory: &str, text: &str) {
        let directory = self.place.path().join("home").join(directory);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(".credentials.json"), text).unwrap();
    }

    /// The program that trusts the stand-in, with the environment of its place.
    fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(&self.program.path(), arguments)
    }

    /// The same of another copy of the program.
    fn command_of(&self, program: &Path, arguments: &[&str]) -> Command {
        let usual = self.place.command(arguments);
        let mut command = Command::new(program);
        let variables = usual.get_envs();
        command
            .args(arguments)
            .env_clear()
            .envs(variables.filter_map(|(name, value)| Some((name, value?))))
            .env("HTTPS_PROXY", &self.proxy)
            .current_dir(self.place.path())
            .stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn daemon(&self) -> Daemon {
        self.place.start(self.command(&["daemon"]))
    }

    /// Connects a client and subscribes it.
    #[track_caller]
    fn dashboard(&self) -> Wire {
        let mut dashboard = self.place.connect();
        let snapshot = dashboard.ask("subscribe", json!({}));
        assert!(snapshot["result"]["seq"].is_u64(), "{snapshot}");
        dashboard
    }

    /// The output of `usage --json`.
    #[track_caller]
    fn usage(&self) -> Value {
        self.place.json(&["usage", "--json"])["usage"].take()
    }

    /// How often the service was asked, each time with the right token.
    #[track_caller]
    fn times_asked(&self) -> usize {
        let tokens = self.service.tokens();
        assert!(tokens.iter().all(|token| token == TOKEN), "{tokens:?}");
        tokens.len()
    }
}

pub fn credentials(token: &str) -> String {
    json!({"claudeAiOauth": {
        "accessToken": token,
        "refreshToken": "sk-ant-ort01-test",
        "expiresAt": 9_999_999_999_999_u64,
        "scopes": ["user:inference", "user:profile"],
        "subscriptionType": "max",
    }})
    .to_string()
}

/// What the service says of the account.
fn body() -> String {
    json!({
        "five_hour": {"utilization": 42.0, "resets_at": "2099-11-25T18:00:00.123456+00:00"},
        "seven_day": {"utilization": 35.5, "resets_at": "2099-11-30T00:00:00+02:00"},
        "seven_day_oauth_apps": null,
        "seven_day_opus": {"utilization": 0.0, "resets_at": null},
        "seven_day_sonnet": {"utilization": 7, "resets_at": "2099-11-30T00:00:00Z"},
        "extra_usage": {
            "is_enabled": true, "monthly_limit": 5000, "used_credits": 600.0, "utilization": 12.0
        },
    })
    .to_string()
}

pub fn limits() -> Answer {
    Answer::http("200 OK", "Content-Type: application/json\r\n", &body())
}

/// A refusal of the service's, in its own form.
fn refusal(status: &str, headers: &str) -> Answer {
    let body = json!({"type": "error", "error": {"type": "some_error", "message": "no"}});
    Answer::http(status, headers, &body.to_string())
}

/// Each window's name and how much of it is used.
fn windows(usage: &Value) -> Vec<(&str, f64)> {
    let windows = usage["windows"].as_array().unwrap().iter();
    let shares = windows.map(|window| {
        let used = window["used_percent"].as_f64();
        (window["name"].as_str().unwrap(), used.unwrap())
    });
    shares.collect()
}

/// What [`limits`] comes to.
const WINDOWS: [(&str, f64); 4] = [
    ("five_hour", 42.0),
    ("seven_day", 35.5),
    ("seven_day_opus", 0.0),
    ("seven_day_sonnet", 7.0),
];

#[test]
fn the_command_shows_the_limits_and_can_refresh_them() {
    let fixture = Fixture::new();
    let _daemon = fixture.daemon();
    let acd = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_acd"));
        command.args(arguments).env_clear();
        command.env("AGENT_CONSOLE_SOCKET", fixture.place.socket());
        command.output().unwrap()
    };
    let said = String::from_utf8(acd(&["usage"]).stdout).unwrap();
    assert!(said.contains("nothing is known yet"), "{said}");
    assert_eq!(fixture.usage(), Value::Null);

    let said = fixture.place.ok(&["usage", "--refresh"]);
    for part in ["5h ", " 42 %", "7d ", " 36 %", "from the service"] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    assert!(said.contains("ok, "), "{said}");
    let said = String::from_utf8(acd(&["usage"]).stdout).unwrap();
    assert!(said.contains(" 42 %"), "{said}");
    let usage = fixture.usage();
    assert_eq!(windows(&usage), WINDOWS);
    assert_eq!(
        (&usage["state"], &usage["source"]),
        (&json!("ok"), &json!("service"))
    );

    // What is as new counts as new.
    let refreshed = fixture.place.json(&["usage", "--refresh", "--json"]);
    assert_eq!(refreshed["usage"], usage);
    assert_eq!(fixture.times_asked(), 1);
}

#[test]
fn a_refresh_that_cannot_be_says_why() {
    let fixture = Fixture::new();
    let alone = fixture.place.run(&["usage", "--refresh"]);
    assert_eq!(alone.status.code(), Some(3), "{alone:?}");

    for arguments in [["--fetch", "--json"], ["--refresh", "--fetch"]] {
        let both = fixture.place.run(&[&["usage"], &arguments[..]].concat());
        assert_eq!(both.status.code(), Some(2), "{both:?}");
        let said = String::from_utf8(both.stderr).unwrap();
        assert!(said.contains("cannot be used with"), "{said}");
    }

    fixture.place.configure("[usage]\nenabled = false\n");
    let _daemon = fixture.daemon();
    let _dashboard = fixture.dashboard();
    let refused = fixture.place.run(&["usage", "--refresh"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("usage.enabled = false"), "{said}");
    assert_eq!(fixture.service.connections(), 0);
}
