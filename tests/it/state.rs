//! What the daemon knows outlives it: a crash, a stop, an idle exit, and a state file that is damaged.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Place, Sleeper, until};

impl Place {
    /// The one file in which the daemon of this place saves its state.
    fn state_file(&self) -> PathBuf {
        let directory = fs::read_dir(self.runtime_dir().join("agent-console")).unwrap();
        let mut files = directory.map(|entry| entry.unwrap().path());
        let file = files.next().unwrap();
        assert_eq!(files.next(), None);
        file
    }

    /// The text of that file, if there is one.
    fn saved(&self) -> Option<String> {
        let directory = fs::read_dir(self.runtime_dir().join("agent-console")).ok()?;
        let mut files = directory.map(|entry| entry.unwrap().path());
        let file = files.find(|file| file.extension() == Some("jsonl".as_ref()))?;
        fs::read_to_string(file).ok()
    }

    /// Every session, with what `explain` says of it.
    fn known(&self) -> Vec<(Value, Value)> {
        let listed: Value = serde_json::from_str(&self.ok(&["list", "--all", "--json"])).unwrap();
        let mut records = listed.as_array().unwrap().clone();
        records.sort_by_key(|record| record["key"].to_string());
        let explained = records.into_iter().map(|record| {
            let key = record["key"].as_str().unwrap();
            let explained = self.ok(&["explain", key, "--json"]);
            let explained: Value = serde_json::from_str(&explained).unwrap();
            (record, explained["steps"].clone())
        });
        explained.collect()
    }

    fn reload(&self) {
        let reloaded = self.connect().ask("daemon.reload", json!({}));
        assert_eq!(reloaded["result"], json!({"reloaded": true}));
    }

    /// Sessions of every kind: of an agent that asks, of one whose turn has failed, of one that has finished, of scripts
    /// with and without a process, a closed one.
    fn fill(&self, agents: &[Sleeper; 3], job: &Sleeper) {
        for (agent, id, last) in [
            (
                &agents[0],
                "asks",
                json!({"hook_event_name": "PermissionRequest", "tool_name": "Bash", "tool_input": {"command": "make"}}),
            ),
            (
                &agents[1],
                "failed",
                json!({"hook_event_name": "StopFailure", "error": "rate_limit"}),
            ),
            (&agents[2], "finished", json!({"hook_event_name": "Stop"})),
        ] {
            for mut event in [
                json!({"hook_event_name": "SessionStart", "source": "startup", "model": "opus"}),
                json!({"hook_event_name": "UserPromptSubmit", "prompt": "fix the build"}),
                last,
            ] {
                event["session_id"] = id.into();
                event["cwd"] = "/src".into();
                self.hook(agent.pid(), true, &event.to_string());
            }
        }
        let pid = job.pid().to_string();
        self.ok(&[
            "report",
            "nightly",
            "working",
            "--pid",
            &pid,
            "--title",
            "the nightly build",
        ]);
        self.ok(&[
            "report",
            "deploy",
            "waiting",
            "--reason",
            "staging or production?",
        ]);
        self.ok(&["report", "done", "working"]);
        self.ok(&["report", "done", "closed"]);
    }
}

fn agents() -> [Sleeper; 3] {
    std::array::from_fn(|_| Sleeper::start())
}

#[test]
fn a_crash_a_stop_and_a_signal_lose_nothing() {
    let place = Place::new();
    let (agents, job) = (agents(), Sleeper::start());
    let mut daemon = place.daemon();
    place.fill(&agents, &job);
    let before = place.known();
    assert_eq!(before.len(), 6, "{before:?}");
    for end in ["KILL", "TERM", "KILL", "INT", "stop"] {
        match end {
            "stop" => drop(place.ok(&["stop"])),
            signal => daemon.signal(signal),
        }
        daemon.wait();
        daemon = place.daemon();
        assert_eq!(place.known(), before, "after {end}");
    }
}

#[test]
fn what_is_idle_or_closed_outlives_an_idle_exit_and_who_waits_holds_the_daemon() {
    let place = Place::new();
    place.configure("idle_timeout = \"1s\"");
    let mut daemon = place.daemon();
    place.ok(&[
        "report",
        "deploy",
        "waiting",
        "--reason",
        "staging or production?",
    ]);
    place.ok(&["report", "done", "working"]);
    place.ok(&["report", "done", "closed"]);
    // Longer than the time-out, and nothing happens that begins it anew.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert!(daemon.runs(), "a session waits for a person");
    place.ok(&["report", "deploy", "idle"]);
    place.ok(&["report", "deploy", "working"]);
    let before = place.known();
    assert_eq!(daemon.wait(), Some(0));
    let _daemon = place.daemon();
    assert_eq!(place.known(), before);
}

#[test]
fn what_has_ended_meanwhile_is_closed_before_the_first_question() {
    let place = Place::new();
    let (mut agents, mut job) = (agents(), Sleeper::start());
    let mut daemon = place.daemon();
    place.fill(&agents, &job);
    daemon.signal("KILL");
    daemon.wait();
    agents[0].kill();
    job.kill();
    let _daemon = place.daemon();
    let known = place.known();
    let of = |name: &str| {
        let of_name =
            |(record, _): &&(Value, Value)| record["session_id"] == name || record["key"] == name;
        known.iter().find(of_name).unwrap().0.clone()
    };
    assert_eq!(of("asks")["status"], "closed");
    assert_eq!(of("asks")["end_reason"], "crashed");
    assert_eq!(of("nightly")["status"], "closed");
    assert_eq!(of("failed")["status"], "error");
    assert_eq!(of("finished")["status"], "idle");
    assert_eq!(of("finished")["attention"], true);
    assert_eq!(of("deploy")["reason"], "staging or production?");
}

/// Damages the file, and gives what the next daemon knows and what it has logged.
fn after(place: &Place, damage: impl FnOnce(&PathBuf)) -> (Vec<String>, String) {
    let mut daemon = place.daemon();
    place.ok(&["report", "one", "working"]);
    place.ok(&["report", "two", "working"]);
    daemon.signal("KILL");
    daemon.wait();
    damage(&place.state_file());
    let daemon = place.daemon();
    let known = place.known().into_iter();
    let keys = known.map(|(record, _)| record["key"].as_str().unwrap().to_owned());
    (keys.collect(), daemon.log())
}

#[test]
fn damage_costs_what_was_damaged_and_is_reported() {
    let append = |bytes: &'static [u8]| {
        move |file: &PathBuf| {
            let mut text = fs::read(file).unwrap();
            text.extend_from_slice(bytes);
            fs::write(file, text).unwrap();
        }
    };
    let whole = ["one", "two"];
    let (known, log) = after(&Place::new(), append(b"{\"session\":{\"acc"));
    assert_eq!(known, whole);
    assert!(log.contains("this line is lost"), "{log}");

    let (known, log) = after(&Place::new(), append(b"\0\xff\n[[[[\n\n"));
    assert_eq!(known, whole);
    assert!(log.contains("lines are lost"), "{log}");

    let (known, log) = after(&Place::new(), |file| fs::write(file, "garbage").unwrap());
    assert_eq!(known, [""; 0]);
    assert!(log.contains("is lost"), "{log}");

    // The first line is damaged, and the others are of a daemon that had written a whole file.
    let (known, log) = after(&Place::new(), |file| {
        let text = fs::read_to_string(file).unwrap();
        fs::write(file, format!("x{text}")).unwrap();
    });
    assert_eq!(known, whole);
    assert!(log.contains("line 1: "), "{log}");

    let (known, log) = after(&Place::new(), |file| {
        let text = fs::read_to_string(file).unwrap();
        fs::write(file, text.replace("\"version\":2", "\"version\":3")).unwrap();
    });
    assert_eq!(known, [""; 0]);
    assert!(log.contains("version 3"), "{log}");

    let (known, _) = after(&Place::new(), |file| fs::remove_file(file).unwrap());
    assert_eq!(known, [""; 0]);
}

#[test]
fn a_file_that_others_may_write_to_is_not_used() {
    let (known, log) = after(&Place::new(), |file| {
        fs::set_permissions(file, Permissions::from_mode(0o622)).unwrap();
    });
    assert_eq!(known, [""; 0]);
    assert!(log.contains("other users may write to it"), "{log}");

    let (known, log) = after(&Place::new(), |file| {
        let other = file.with_extension("other");
        fs::rename(file, &other).unwrap();
        std::os::unix::fs::symlink(&other, file).unwrap();
    });
    assert_eq!(known, [""; 0]);
    assert!(log.contains("not all of the saved state is used"), "{log}");
}

#[test]
fn without_a_file_the_daemon_serves_and_reports_why() {
    let place = Place::new();
    fs::write(place.runtime_dir().join("agent-console"), "").unwrap();
    let daemon = place.daemon();
    place.ok(&["report", "one", "working"]);
    let log = daemon.log();
    assert!(log.contains("the state cannot be saved"), "{log}");
    assert_eq!(log.matches("cannot be saved").count(), 1, "{log}");
}

#[test]
fn a_file_that_was_removed_is_written_again() {
    let place = Place::new();
    let mut daemon = place.daemon();
    place.ok(&["report", "one", "working"]);
    fs::remove_dir_all(place.runtime_dir().join("agent-console")).unwrap();
    until("a new file", || {
        place.ok(&["report", "two", "working"]);
        place.saved()
    });
    assert_eq!(
        fs::metadata(place.state_file()).unwrap().mode() & 0o7777,
        0o600
    );
    daemon.signal("KILL");
    daemon.wait();
    let _daemon = place.daemon();
    assert_eq!(place.known().len(), 2);
}

#[test]
fn the_file_does_not_grow_for_ever() {
    let place = Place::new();
    let _daemon = place.daemon();
    let mut client = place.connect();
    let mut largest = 0;
    for number in 0..3000 {
        let reason = format!("step {number}");
        client.ask(
            "session.set",
            json!({"session": "job", "status": "working", "reason": reason}),
        );
        if number % 100 == 0 {
            largest = largest.max(fs::metadata(place.state_file()).unwrap().len());
        }
    }
    assert!(largest < 300 * 1024, "{largest} bytes");
}

#[test]
fn persistence_can_be_switched_off() {
    let place = Place::new();
    place.configure("persist = false");
    let mut daemon = place.daemon();
    place.ok(&["report", "one", "working"]);
    assert!(!place.runtime_dir().join("agent-console").exists());
    place.configure("persist = true");
    place.reload();
    until("the file", || {
        place.saved()?.contains("\"one\"").then_some(())
    });
    place.configure("persist = false");
    place.reload();
    until("the removal", || place.saved().is_none().then_some(()));
    daemon.signal("KILL");
    daemon.wait();
    let _daemon = place.daemon();
    assert_eq!(place.known(), []);
}

#[test]
fn no_prompt_is_in_the_file_where_none_is_recorded() {
    const PROMPT: &str = "fix the build";
    let place = Place::new();
    let agents = agents();
    let _daemon = place.daemon();
    place.fill(&agents, &Sleeper::start());
    assert!(place.saved().unwrap().contains(PROMPT));
    place.configure("record_prompts = false");
    place.reload();
    until("a file without it", || {
        (!place.saved()?.contains(PROMPT)).then_some(())
    });
    let event =
        json!({"hook_event_name": "UserPromptSubmit", "session_id": "asks", "prompt": PROMPT});
    place.hook(agents[0].pid(), true, &event.to_string());
    assert!(
        !fs::read_to_string(place.state_file())
            .unwrap()
            .contains(PROMPT)
    );
}
