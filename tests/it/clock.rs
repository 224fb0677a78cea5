//! The wall clock is set while the daemon runs, or a hook's clock is wrong: with libfaketime, which leaves the clocks that
//! count from the start of the machine as they are.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use agent_console::os::clock::unix_ms;
use agent_console::os::process;
use serde_json::{Value, json};

use crate::support::{Daemon, Place, Sleeper, until};

const HOUR: i64 = 3_600_000;

/// How much later than the test has looked at the time a moment may be, in ms.
const SOON: u64 = 30_000;

/// A place whose processes see a clock that can be set.
struct Clocked {
    place: Place,
    agent: Sleeper,
    /// How far the clock is set, in ms.
    offset: i64,
}

impl Clocked {
    fn new() -> Self {
        let mut clocked = Self {
            place: Place::new(),
            agent: Sleeper::start(),
            offset: 0,
        };
        clocked.set(0);
        clocked
    }

    fn file(&self) -> PathBuf {
        self.place.path().join("clock")
    }

    /// Sets the clock, by so many ms from the true time.
    fn set(&mut self, offset: i64) {
        // In one step: a process may read it at any time.
        let new = self.place.path().join("clock.new");
        fs::write(&new, format!("{:+}", offset / 1000)).unwrap();
        fs::rename(new, self.file()).unwrap();
        self.offset = offset;
    }

    /// What the clock shows.
    fn now(&self) -> u64 {
        unix_ms().saturating_add_signed(self.offset)
    }

    fn follow(&self, command: &mut Command) {
        let directories = fs::read_dir("/usr/lib").unwrap();
        let library = directories
            .map(|entry| entry.unwrap().path().join("faketime/libfaketime.so.1"))
            .find(|library| library.exists())
            .expect("libfaketime is not installed: apt-get install faketime");
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", self.file())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }

    fn daemon(&self) -> Daemon {
        self.place.daemon_with(|command| self.follow(command))
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let mut command = self.place.command(arguments);
        self.follow(&mut command);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A hook whose clock is that of the place.
    #[track_caller]
    fn hook(&self, name: &str, fields: &Value) {
        let mut payload = json!({"hook_event_name": name, "session_id": "one", "cwd": "/src"});
        for (field, value) in fields.as_object().unwrap() {
            payload[field] = value.clone();
        }
        let file = self.place.path().join("payload");
        fs::write(&file, payload.to_string()).unwrap();
        let mut hook = self.place.command(["hook", "claude-code"]);
        self.follow(&mut hook);
        hook.env("CLAUDE_PID", self.agent.pid().to_string())
            .env("CLAUDE_CODE_SESSION_ATTENDED", "1")
            .stdin(fs::File::open(file).unwrap());
        assert!(hook.status().unwrap().success());
    }

    /// The registry has this status since now.
    fn register(&self, status: &str, waiting_for: Option<&str>) {
        let id = process::inspect(self.agent.pid()).unwrap().id;
        let now = self.now();
        let entry = json!({
            "pid": id.pid, "sessionId": "one", "cwd": "/src", "startedAt": now, "procStart": id.start.to_string(),
            "kind": "interactive", "entrypoint": "cli", "status": status, "waitingFor": waiting_for,
            "statusUpdatedAt": now, "updatedAt": now,
        });
        let sessions = self.place.path().join("home/.claude/sessions");
        fs::create_dir_all(&sessions).unwrap();
        fs::write(sessions.join(format!("{}.json", id.pid)), entry.to_string()).unwrap();
    }

    fn session(&self, key: &str) -> Value {
        serde_json::from_str(&self.run(&["get", key, "--json"])).unwrap()
    }

    /// The session comes to this: `waiting/permission!`, since a moment ago.
    #[track_caller]
    fn comes_to(&self, expected: &str) {
        let before = self.now();
        let session = until(expected, || {
            let session = self.session("one");
            (shown(&session) == expected).then_some(session)
        });
        let since = session["since"].as_u64().unwrap();
        assert!(
            since.abs_diff(before) < SOON,
            "{expected} since {since}, at {before}"
        );
    }
}

fn shown(session: &Value) -> String {
    let mut shown = session["status"].as_str().unwrap().to_owned();
    if let Some(what) = session["waiting_for"].as_str() {
        shown = format!("{shown}/{what}");
    }
    if session["attention"] == true {
        shown += "!";
    }
    shown
}

/// One hour back, one hour forward, and back again.
const STEPS: [i64; 4] = [-HOUR, 0, HOUR, 0];

#[test]
fn a_session_of_the_registry_alone_goes_on_when_the_clock_is_set() {
    let mut clocked = Clocked::new();
    let _daemon = clocked.daemon();
    until("the registry's directory to be watched", || {
        clocked.register("busy", None);
        let listed: Value = serde_json::from_str(&clocked.run(&["list", "--json"])).unwrap();
        (listed.as_array().unwrap().len() == 1).then_some(())
    });
    clocked.comes_to("working");
    for offset in STEPS {
        clocked.set(offset);
        clocked.register("idle", None);
        clocked.comes_to("idle!");
        clocked.register("waiting", Some("permission prompt"));
        clocked.comes_to("waiting/permission!");
        clocked.register("busy", None);
        clocked.comes_to("working");
    }
    // The first hooks.
    clocked.set(-HOUR);
    clocked.hook(
        "UserPromptSubmit",
        &json!({"prompt": "hi", "prompt_id": "p1"}),
    );
    clocked.hook("Stop", &json!({"prompt_id": "p1", "background_tasks": []}));
    clocked.register("idle", None);
    clocked.comes_to("idle!");
}

#[test]
fn a_session_of_hooks_and_registry_goes_on_when_the_clock_is_set() {
    let mut clocked = Clocked::new();
    let _daemon = clocked.daemon();
    clocked.hook("SessionStart", &json!({"source": "startup"}));
    for (number, offset) in STEPS.into_iter().enumerate() {
        let id = format!("p{number}");
        clocked.hook(
            "UserPromptSubmit",
            &json!({"prompt": "hi", "prompt_id": id}),
        );
        clocked.register("busy", None);
        clocked.comes_to("working");
        clocked.set(offset);
        // A dialog that the registry alone shows, and Esc.
        clocked.register("waiting", Some("permission prompt"));
        clocked.comes_to("waiting/permission!");
        clocked.register("idle", None);
        clocked.comes_to("idle");
        let id = format!("q{number}");
        clocked.hook(
            "UserPromptSubmit",
            &json!({"prompt": "again", "prompt_id": id}),
        );
        clocked.register("busy", None);
        clocked.comes_to("working");
        clocked.hook("Stop", &json!({"prompt_id": id, "background_tasks": []}));
        clocked.register("idle", None);
        clocked.comes_to("idle!");
    }
}

#[test]
fn ages_and_their_order_stay_when_the_clock_is_set() {
    let mut clocked = Clocked::new();
    let _daemon = clocked.daemon();
    let mut dashboard = clocked.place.connect();
    dashboard.ask("subscribe", json!({}));
    clocked.run(&["report", "first", "waiting"]);
    dashboard.notified("session.changed");
    for (number, offset) in STEPS.into_iter().enumerate() {
        clocked.set(offset);
        let name = format!("job-{number}");
        clocked.run(&["report", &name, "waiting"]);
        // A subscriber has the new times without asking.
        let first = until("the new time", || {
            let changed = dashboard.notified("session.changed")["session"].clone();
            (changed["key"] == "first").then_some(changed)
        });
        assert!(first["since"].as_u64().unwrap().abs_diff(clocked.now()) < SOON);
        assert!(clocked.run(&["next"]).contains("first"));
        let ages = clocked.session("first");
        for field in ["since", "started_at"] {
            let at = ages[field].as_u64().unwrap();
            assert!(at.abs_diff(clocked.now()) < SOON, "{field} {at}");
        }
    }
}

/// As in a container with a clock of its own.
#[test]
fn a_hook_with_a_wrong_clock_is_heard_beside_others() {
    let mut clocked = Clocked::new();
    let _daemon = clocked.place.daemon();
    let comes_to = |clocked: &Clocked, expected: &str| {
        let session = until(expected, || {
            let output = clocked.place.run(&["get", "one", "--json"]);
            let session: Value = serde_json::from_slice(&output.stdout).ok()?;
            (shown(&session) == expected).then_some(session)
        });
        let since = session["since"].as_u64().unwrap();
        assert!(since.abs_diff(unix_ms()) < SOON, "{expected} since {since}");
    };
    for (number, offset) in [HOUR, -HOUR, 0, 48 * HOUR, -48 * HOUR]
        .into_iter()
        .enumerate()
    {
        clocked.set(offset);
        let id = format!("p{number}");
        clocked.hook(
            "UserPromptSubmit",
            &json!({"prompt": "hi", "prompt_id": id}),
        );
        comes_to(&clocked, "working");
        clocked.place.ok(&["report", "one", "waiting"]);
        comes_to(&clocked, "waiting/dialog!");
        let tool = json!({"prompt_id": id, "tool_name": "Bash", "tool_input": {"command": "ls"}});
        clocked.hook("PreToolUse", &tool);
        comes_to(&clocked, "working");
        clocked.hook("Stop", &json!({"prompt_id": id, "background_tasks": []}));
        comes_to(&clocked, "idle!");
    }
}

/// As while the machine sleeps, or its virtual machine is paused.
#[test]
fn what_happens_while_the_daemon_stands_still_is_shown_after() {
    let mut clocked = Clocked::new();
    let daemon = clocked.daemon();
    for (number, offset) in STEPS.into_iter().enumerate() {
        let prompt = json!({"prompt": "hi", "prompt_id": format!("p{number}")});
        clocked.hook("UserPromptSubmit", &prompt);
        clocked.comes_to("working");
        daemon.signal("STOP");
        clocked.set(offset);
        clocked.hook(
            "Stop",
            &json!({"prompt_id": format!("p{number}"), "background_tasks": []}),
        );
        daemon.signal("CONT");
        clocked.comes_to("idle!");
    }
    clocked.hook(
        "UserPromptSubmit",
        &json!({"prompt": "hi", "prompt_id": "last"}),
    );
    clocked.comes_to("working");
    daemon.signal("STOP");
    clocked.set(HOUR);
    clocked.agent = Sleeper::start();
    daemon.signal("CONT");
    clocked.comes_to("closed");
}
