//! Reminders: a real daemon, its child, a real server of notifications, a command; and a real tmux for what is in front.

mod desktop;

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use self::desktop::Desktop;
use crate::in_tmux::InTmux;
use crate::support::{Daemon, Place, until};

const DESKTOP: &str = "[notify]\ndesktop = true\ndelay = \"2s\"\n";

/// A daemon at the desktop.
#[track_caller]
fn daemon_at(desktop: &Desktop<'_>, place: &Place) -> Daemon {
    place.daemon_with(|command| {
        command.envs(desktop.environment());
    })
}

#[track_caller]
fn waits(place: &Place, session: &str) {
    place.ok(&["report", session, "waiting", "--waiting-for", "permission"]);
}

/// The processes that hold a notification of this place.
fn holders(place: &Place) -> usize {
    let socket = place.socket().display().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let is_holder = |line: &Vec<u8>| {
        let line = String::from_utf8_lossy(line);
        line.contains(&socket) && line.contains("\0notify\0--hold")
    };
    lines.filter(is_holder).count()
}

#[test]
fn a_session_that_needs_you_is_shown_until_it_does_not() {
    let place = Place::new();
    let desktop = Desktop::start(&place);
    place.configure(DESKTOP);
    let _daemon = daemon_at(&desktop, &place);
    place.ok(&[
        "report",
        "deploy",
        "waiting",
        "--waiting-for",
        "answer",
        "--reason",
        "<b>staging</b> & more?",
    ]);
    desktop.shows(1);
    assert_eq!(desktop.field("summary"), ["deploy asks a question"]);
    assert_eq!(
        desktop.field("body"),
        ["&lt;b&gt;staging&lt;/b&gt; &amp; more?"]
    );
    assert_eq!(holders(&place), 1);
    place.ok(&["report", "deploy", "working"]);
    desktop.shows(0);
    until("the holder's end", || (holders(&place) == 0).then_some(()));
}

#[test]
fn what_comes_together_is_one_and_takes_the_place_of_the_one_before() {
    let place = Place::new();
    let desktop = Desktop::start(&place);
    place.configure(DESKTOP);
    let _daemon = daemon_at(&desktop, &place);
    for number in 0..20 {
        waits(&place, &format!("job-{number}"));
    }
    desktop.shows(1);
    assert_eq!(desktop.field("summary"), ["20 sessions need you"]);
    for number in 20..24 {
        waits(&place, &format!("job-{number}"));
    }
    until("the second", || {
        let summaries = desktop.field("summary");
        (summaries.last()? == "24 sessions need you").then_some(())
    });
    desktop.shows(1);
    until("the first holder's end", || {
        (holders(&place) == 1).then_some(())
    });
    for number in 0..24 {
        place.ok(&["report", &format!("job-{number}"), "working"]);
    }
    desktop.shows(0);
}

#[test]
fn its_action_goes_to_the_session() {
    let place = Place::new();
    let desktop = Desktop::start(&place);
    place.configure(DESKTOP);
    let _daemon = daemon_at(&desktop, &place);
    waits(&place, "deploy");
    desktop.shows(1);
    desktop.press();
    // A script has no terminal, which is what a person must see then.
    until("the reason", || {
        let summaries = desktop.field("summary");
        (summaries.last()? == "There is no way to this session's terminal").then_some(())
    });
    let body = desktop.field("body").pop().unwrap();
    assert!(body.starts_with("there is no way to deploy: "), "{body}");
}

#[test]
fn a_notification_outlives_the_daemon_and_is_withdrawn_by_the_next() {
    let place = Place::new();
    let desktop = Desktop::start(&place);
    place.configure(DESKTOP);
    let daemon = daemon_at(&desktop, &place);
    waits(&place, "deploy");
    desktop.shows(1);
    // Its number is known once the child has ended.
    until("the state", || {
        let file = place.runtime_dir().join("agent-console");
        let files = fs::read_dir(file).unwrap().flatten();
        let mut texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
        texts.any(|text| text.contains("\"Alone\"")).then_some(())
    });
    daemon.signal("KILL");
    drop(daemon);
    let _daemon = daemon_at(&desktop, &place);
    desktop.shows(1);
    place.ok(&["report", "deploy", "working"]);
    desktop.shows(0);
    assert_eq!(desktop.field("summary").len(), 1, "it was not sent again");
}

#[test]
fn another_programs_notification_is_never_withdrawn() {
    let place = Place::new();
    let mut desktop = Desktop::start(&place);
    place.configure(DESKTOP);
    let _daemon = daemon_at(&desktop, &place);
    waits(&place, "deploy");
    desktop.shows(1);
    let number = desktop.field("id").pop().unwrap();
    // The next server counts from the beginning.
    desktop.end_server();
    until("the holder's end", || (holders(&place) == 0).then_some(()));
    desktop.start_server();
    let mut shown = String::new();
    while shown != number {
        let mut call = desktop.command("busctl");
        let name = "org.freedesktop.Notifications";
        call.args([
            "--user",
            "call",
            name,
            "/org/freedesktop/Notifications",
            name,
            "Notify",
        ]);
        call.args([
            "susssasa{sv}i",
            "another",
            "0",
            "",
            "mail",
            "",
            "0",
            "0",
            "0",
        ]);
        let output = call.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim()
            .strip_prefix("u ")
            .unwrap()
            .clone_into(&mut shown);
    }
    let others = desktop.field("summary").len() - 1;
    place.ok(&["report", "deploy", "working"]);
    // A reminder that comes after the withdrawal.
    waits(&place, "build");
    until("the next reminder", || {
        let summaries = desktop.field("summary");
        (summaries.last()? == "build asks for permission").then_some(())
    });
    desktop.shows(others + 1);
}

#[test]
fn without_a_bus_the_daemon_goes_on_and_says_so() {
    let place = Place::new();
    let mut desktop = Desktop::start(&place);
    place.configure(DESKTOP);
    let mut daemon = daemon_at(&desktop, &place);
    waits(&place, "deploy");
    desktop.shows(1);
    desktop.end_bus();
    until("the holder's end", || (holders(&place) == 0).then_some(()));
    waits(&place, "build");
    until("the log", || {
        daemon
            .log()
            .contains("a reminder was not shown")
            .then_some(())
    });
    assert!(daemon.runs());
    place.ok(&["report", "deploy", "working"]);
    let doctor = place.run(&["doctor", "--json"]);
    let doctor: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let mut checks = doctor["checks"].as_array().unwrap().iter();
    let notify = checks.find(|check| check["name"] == "notify").unwrap();
    let what = notify["what"].as_str().unwrap();
    assert!(
        what.starts_with("notify.desktop is on, but there is no session bus"),
        "{what}"
    );
}

#[test]
fn doctor_sends_one_to_look_at() {
    let place = Place::new();
    let desktop = Desktop::start(&place);
    place.configure("");
    let _daemon = daemon_at(&desktop, &place);
    let doctor = place.run(&["doctor", "--notify"]);
    let text = String::from_utf8(doctor.stdout).unwrap();
    assert!(text.contains("an example was sent"), "{text}");
    desktop.shows(1);
    assert_eq!(
        desktop.field("summary"),
        ["agent-console reminds you like this"]
    );
}

/// The records that the command has had.
fn commands_records(place: &Place) -> Vec<Value> {
    let text = fs::read_to_string(place.path().join("records")).unwrap_or_default();
    let lines = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_command_has_the_record_and_variables() {
    let place = Place::new();
    let script = "env | grep ^AGENT_CONSOLE_ | sort > variables; cat >> records";
    place.configure(&format!(
        "[notify]\ncommand = \"cd {} && {{ {script}; }}\"\ndelay = \"2s\"\n",
        place.path().display()
    ));
    let _daemon = place.daemon();
    waits(&place, "deploy");
    let records = until("the command", || {
        let records = commands_records(&place);
        (!records.is_empty()).then_some(records)
    });
    let get = place.json(&["get", "deploy", "--json"]);
    assert_eq!(records, [get]);
    let variables = fs::read_to_string(place.path().join("variables")).unwrap();
    for line in [
        "AGENT_CONSOLE_AGENT=script",
        "AGENT_CONSOLE_CAUSE=waiting",
        "AGENT_CONSOLE_COUNT=1",
        "AGENT_CONSOLE_KEY=deploy",
        "AGENT_CONSOLE_STATUS=waiting",
        "AGENT_CONSOLE_SUMMARY=deploy asks for permission",
    ] {
        assert!(variables.lines().any(|found| found == line), "{variables}");
    }
}

/// The keys of the sessions of which a command reminds, where an agent waits in a pane of tmux, and `deploy` after it.
fn reminded(window: &str) -> Vec<Value> {
    let place = Place::new();
    place.configure(&format!(
        "[notify]\ncommand = \"cat >> {}/records\"\ndelay = \"2s\"\n",
        place.path().display()
    ));
    let _daemon = place.daemon();
    let it = InTmux::new(place);
    it.tmux.run(&["select-window", "-t", window]);
    let attach = format!("tmux -S \"{}\" attach -t work", it.tmux.0);
    let mut person = Command::new("script")
        .args(["-qfc", &attach, "/dev/null"])
        .env("TERM", "xterm")
        .env_remove("TMUX")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the client", || it.tmux.clients().pop());
    it.report(&it.terminal());
    waits(&it.place, "deploy");
    let records = until("the command", || {
        let records = commands_records(&it.place);
        let is_last = records.last()?["key"] == "deploy";
        is_last.then_some(records)
    });
    it.tmux.try_run(&["kill-server"]);
    person.wait().unwrap();
    records
        .into_iter()
        .map(|record| record["agent"].clone())
        .collect()
}

#[test]
fn what_a_person_looks_at_is_not_reminded_of() {
    assert_eq!(reminded("work:1"), [json!("script")]);
    assert_eq!(reminded("work:0"), [json!("claude-code"), json!("script")]);
}

#[test]
fn install_switches_notifications_on_and_uninstall_off() {
    let place = Place::new();
    place.configure("history = 5\n");
    let before = fs::read_to_string(place.config_file()).unwrap();
    let _daemon = place.daemon();
    let said = place.ok(&["install", "--notify"]);
    assert!(
        said.contains("the daemon has read its configuration again"),
        "{said}"
    );
    assert!(
        place
            .ok(&["config", "show"])
            .contains("desktop = true # file")
    );
    assert!(
        place
            .ok(&["install", "--notify"])
            .contains("notify: nothing to do")
    );
    place.ok(&["uninstall", "--notify"]);
    assert_eq!(fs::read_to_string(place.config_file()).unwrap(), before);
    place.configure("[notify]\ndesktop = false\n");
    let refused = place.run(&["install", "--notify"]);
    assert!(!refused.status.success());
}
