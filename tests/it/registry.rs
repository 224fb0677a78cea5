//! The agent's registry, seen by a real daemon: files of real processes in a home of the test's own.

use std::fs;
use std::path::{Path, PathBuf};

use agent_console::os::{machine, process};
use serde_json::{Value, json};

use crate::support::{Place, Sleeper, until};

/// An entry as Claude Code 2.1.330 writes it.
fn entry(agent: &Sleeper, status: &str) -> Value {
    let id = process::inspect(agent.pid()).unwrap().id;
    let namespace = process::namespace().map_or(0, |inode| inode);
    let machine = machine::id().unwrap_or_default();
    json!({
        "pid": id.pid, "sessionId": format!("session-of-{}", id.pid), "cwd": "/src", "startedAt": 1_700_000_000_000_u64,
        "procStart": id.start.to_string(), "version": "2.1.330", "kind": "interactive", "entrypoint": "cli",
        "pidDomain": format!("linux:{machine}:pid:[{namespace}]"), "name": "src-00", "nameSource": "derived",
        "status": status, "statusUpdatedAt": 1_700_000_000_000_u64, "updatedAt": 1_700_000_000_000_u64,
    })
}

fn write(directory: &Path, agent: &Sleeper, status: &str) -> PathBuf {
    let sessions = directory.join("sessions");
    fs::create_dir_all(&sessions).unwrap();
    let file = sessions.join(format!("{}.json", agent.pid()));
    fs::write(&file, entry(agent, status).to_string()).unwrap();
    file
}

fn statuses(place: &Place) -> Vec<(u64, String)> {
    let list = place.json(&["list", "--json"]);
    let mut statuses: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|session| {
            let status = session["status"].as_str().unwrap();
            (session["pid"].as_u64().unwrap(), status.to_owned())
        })
        .collect();
    statuses.sort();
    statuses
}

#[test]
fn sessions_that_ran_before_the_daemon_are_in_its_first_answer() {
    let place = Place::new();
    let home = place.path().join("home/.claude");
    let agents: Vec<_> = (0..40).map(|_| Sleeper::start()).collect();
    for agent in &agents {
        write(&home, agent, "busy");
    }
    // What a killed agent leaves behind.
    let mut dead = Sleeper::start();
    write(&home, &dead, "busy");
    dead.kill();
    // And what no agent has written.
    fs::write(home.join("sessions/notes.json"), "{}").unwrap();
    fs::write(home.join("sessions/1.json"), "[1,").unwrap();

    let _daemon = place.daemon();
    let mut expected: Vec<_> = agents
        .iter()
        .map(|agent| (u64::from(agent.pid()), "working".to_owned()))
        .collect();
    expected.sort();
    // Busy counts once it has stood for a moment, and it has for years.
    assert_eq!(statuses(&place), expected);

    let explained = place.ok(&["explain", &format!("session-of-{}", agents[0].pid())]);
    assert!(explained.contains("registry"), "{explained}");
}

#[test]
fn each_change_of_an_entry_is_sent_and_an_agent_that_signs_off_has_not_crashed() {
    let place = Place::new();
    let home = place.path().join("home/.claude");
    let _daemon = place.daemon();
    let mut dashboard = place.connect();
    dashboard.ask("subscribe", json!({}));
    let mut agent = Sleeper::start();
    let file = write(&home, &agent, "idle");
    let mut shown = || dashboard.notified("session.changed")["session"].clone();
    assert_eq!(shown()["status"], "idle");

    let mut waiting = entry(&agent, "waiting");
    waiting["waitingFor"] = "input needed".into();
    waiting["statusUpdatedAt"] = 1_700_000_001_000_u64.into();
    fs::write(&file, waiting.to_string()).unwrap();
    let session = shown();
    assert_eq!(session["waiting_for"], "answer");
    assert_eq!(session["evidence"][0]["kind"], "registry");

    fs::remove_file(&file).unwrap();
    assert_eq!(shown()["evidence"][0]["what"], "removed");
    agent.kill();
    let session = shown();
    assert_eq!(
        (session["status"].as_str(), session["end_reason"].as_str()),
        (Some("closed"), Some("exited"))
    );
}

#[test]
fn other_configuration_directories_are_learnt_from_the_hooks() {
    let place = Place::new();
    let elsewhere = place.path().join("claude elsewhere");
    let (unreported, reported) = (Sleeper::start(), Sleeper::start());
    write(&elsewhere, &unreported, "busy");
    let _daemon = place.daemon();
    assert_eq!(statuses(&place), []);

    let mut hook = place.command(["hook"]);
    let payload = place.path().join("payload");
    fs::write(
        &payload,
        r#"{"hook_event_name":"SessionStart","session_id":"s","source":"startup"}"#,
    )
    .unwrap();
    hook.env("CLAUDE_CONFIG_DIR", &elsewhere)
        .env("CLAUDE_PID", reported.pid().to_string())
        .stdin(fs::File::open(payload).unwrap());
    assert!(hook.status().unwrap().success());
    let mut expected = [
        (u64::from(unreported.pid()), "working".to_owned()),
        (u64::from(reported.pid()), "idle".to_owned()),
    ];
    expected.sort();
    until("both sessions", || {
        (statuses(&place) == expected).then_some(())
    });
}

/// The sessions of these agents, all at work.
fn working(agents: &[&Sleeper]) -> Vec<(u64, String)> {
    let mut all: Vec<_> = agents
        .iter()
        .map(|agent| (u64::from(agent.pid()), "working".to_owned()))
        .collect();
    all.sort();
    all
}

#[test]
fn a_second_configuration_directory_is_found_at_the_start_and_when_it_appears() {
    let place = Place::new();
    let home = place.path().join("home");
    let (before, after, moved) = (Sleeper::start(), Sleeper::start(), Sleeper::start());
    write(&home.join(".claude-work"), &before, "busy");
    let _daemon = place.daemon();
    assert_eq!(statuses(&place), working(&[&before]));

    write(&home.join(".claude2"), &after, "busy");
    until("the new directory's session", || {
        (statuses(&place) == working(&[&before, &after])).then_some(())
    });

    write(&place.path().join("unpacked"), &moved, "busy");
    std::fs::rename(place.path().join("unpacked"), home.join(".claude3")).unwrap();
    until("the moved directory's session", || {
        (statuses(&place) == working(&[&before, &after, &moved])).then_some(())
    });
}

#[test]
fn a_directory_that_the_configuration_names_is_watched_from_the_start_and_after_a_reload() {
    let place = Place::new();
    let (first, second) = (Sleeper::start(), Sleeper::start());
    write(&place.path().join("home/accounts/a"), &first, "busy");
    write(&place.path().join("elsewhere"), &second, "busy");
    place.configure("[agents.claude-code]\nconfig_dirs = [\"~/accounts/a\"]");
    let _daemon = place.daemon();
    assert_eq!(statuses(&place), working(&[&first]));

    let elsewhere = place.path().join("elsewhere");
    place.configure(&format!(
        "[agents.claude-code]\nconfig_dirs = [\"~/accounts/a\", {elsewhere:?}]"
    ));
    place.connect().ask("daemon.reload", json!({}));
    until("the session of the new directory", || {
        (statuses(&place) == working(&[&first, &second])).then_some(())
    });
}

/// An agent may replace a file of the home at each prompt.
#[cfg(target_os = "linux")]
#[test]
fn a_busy_home_hardly_wakes_the_daemon() {
    use std::time::{Duration, Instant};

    let place = Place::new();
    let home = place.path().join("home");
    let daemon = place.daemon();
    let wake_ups = || {
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    let before = wake_ups();
    let mut pauses = 0;
    for number in 0..300 {
        let began = Instant::now();
        let temporary = home.join(format!(".settings.tmp.{number}"));
        fs::write(&temporary, "{}").unwrap();
        fs::rename(&temporary, home.join(".settings.json")).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        pauses += u64::from(began.elapsed() > Duration::from_millis(50));
    }
    let woken = wake_ups() - before;
    // Each rest is twice as long as the one before. On a busy machine the traffic pauses, and the rests begin anew.
    assert!(
        woken < 40 + 8 * pauses,
        "{woken} wake-ups for 600 new names with {pauses} pauses"
    );
    // What matters is not lost in the traffic.
    let agent = Sleeper::start();
    write(&home.join(".claude-work"), &agent, "busy");
    until("the session", || {
        (statuses(&place) == working(&[&agent])).then_some(())
    });
}

/// Each entry is of a process that runs; what it claims beside that is not true.
#[test]
fn an_entry_that_the_kernel_contradicts_makes_no_session() {
    let place = Place::new();
    let sessions = place.path().join("home/.claude/sessions");
    fs::create_dir_all(&sessions).unwrap();
    let now = agent_console::os::clock::unix_ms();
    let (true_one, agents) = (Sleeper::start(), [(); 7].map(|()| Sleeper::start()));
    let wrong: [fn(&mut Value); 7] = [
        // It was written before the process started, and has no start time, or none that can be compared.
        |entry| {
            entry.as_object_mut().unwrap().remove("procStart");
        },
        // The same, but for a clock that was wrong when it was written again.
        |entry| {
            entry.as_object_mut().unwrap().remove("procStart");
            entry["updatedAt"] = agent_console::os::clock::unix_ms().into();
        },
        // It says neither when its process nor when its session started.
        |entry| {
            for field in ["procStart", "startedAt"] {
                entry.as_object_mut().unwrap().remove(field);
            }
            entry["updatedAt"] = agent_console::os::clock::unix_ms().into();
        },
        |entry| entry["procStart"] = json!(["then"]),
        |entry| entry["procStart"] = "1".into(),
        |entry| entry["pidDomain"] = "linux:00000000000000000000000000000000:pid:[1]".into(),
        |entry| {
            let domain = entry["pidDomain"].as_str().unwrap();
            let (_, inode) = domain.rsplit_once(':').unwrap();
            entry["pidDomain"] =
                format!("linux:00000000000000000000000000000000:pid:{inode}").into();
        },
    ];
    for (agent, wrong) in agents.iter().zip(wrong) {
        let mut entry = entry(agent, "waiting");
        wrong(&mut entry);
        let file = sessions.join(format!("{}.json", agent.pid()));
        fs::write(file, entry.to_string()).unwrap();
    }
    // One that claims no start time, and is as new as it says.
    let mut entry = entry(&true_one, "busy");
    entry.as_object_mut().unwrap().remove("procStart");
    entry["startedAt"] = now.into();
    entry["pid"] = true_one.pid().to_string().into();
    let file = sessions.join(format!("{}.json", true_one.pid()));
    fs::write(file, entry.to_string()).unwrap();
    let _daemon = place.daemon();
    let expected = [(u64::from(true_one.pid()), "working".to_owned())];
    assert_eq!(statuses(&place), expected);
}
