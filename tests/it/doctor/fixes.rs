//! Each command that `doctor` proposes is run by a test as a person would, and the check is right afterwards. The table
//! below names the test for each place in the source that proposes one: a new place without a test fails.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::fixture::Fixture;
use super::{Permissions, PermissionsExt, as_user, named, report};
use crate::support::{Sleeper, until, write_program};

/// Cannot be run by a test: the reason.
const NOT_TRIED: &str = "not tried: ";

/// By file: how the proposed command begins in the source, how many places propose it so, and who tries it.
const TRIED: &[(&str, &str, usize, &str)] = &[
    (
        "config.rs",
        "fix",
        2,
        "a_configuration_that_is_no_readable_file_is_fixed",
    ),
    (
        "hooks.rs",
        "fix",
        1,
        "settings_that_are_no_readable_file_are_named_once_and_replaced",
    ),
    (
        "hooks.rs",
        "format!(\"unset",
        1,
        "a_relative_directory_of_an_agent_is_refused",
    ),
    (
        "socket.rs",
        "configuration(error, unset)",
        1,
        "a_configuration_that_cannot_be_read_is_made_readable",
    ),
    (
        "socket.rs",
        "&commands.unset",
        1,
        "a_path_of_the_environment_that_was_taken_is_unset",
    ),
    (
        "socket.rs",
        "move_away(path)",
        1,
        "a_file_of_ones_own_at_the_path_is_moved",
    ),
    (
        "config.rs",
        "reload(&answers.hello)",
        1,
        "a_configuration_that_is_wrong_or_not_in_force_is_told",
    ),
    (
        "daemon.rs",
        "commands.replace(listener)",
        1,
        "a_daemon_that_hangs_is_replaced_and_not_waited_for",
    ),
    (
        "daemon.rs",
        "restart()",
        3,
        "a_daemon_whose_program_was_replaced_is_restarted",
    ),
    (
        "daemon.rs",
        "match config {",
        1,
        "a_configuration_that_the_daemon_has_refused_is_edited_and_read_again",
    ),
    (
        "daemon.rs",
        "commands.restart(answers.hello.origin)",
        1,
        "a_daemon_with_another_configuration_is_told",
    ),
    (
        "hooks.rs",
        "edit(&silence.path)",
        1,
        "a_projects_settings_are_named_for_the_directory_of_doctor_and_of_a_session",
    ),
    (
        "hooks.rs",
        "INSTALL",
        7,
        "hooks_that_are_missing_or_call_something_else_are_installed",
    ),
    (
        "hooks.rs",
        "format!(\"mv",
        1,
        "a_file_of_the_installers_own_is_written_anew",
    ),
    (
        "hooks.rs",
        "INSTALL_STATUS_LINE",
        2,
        "a_status_line_that_was_replaced_is_noted",
    ),
    (
        "latency.rs",
        "Check::wrong(NAME,",
        2,
        "a_hook_that_does_not_report_is_installed_anew",
    ),
    (
        "log.rs",
        "\"sudo systemctl restart systemd-journald",
        1,
        "not tried: it restarts the machine's journal",
    ),
    (
        "registry.rs",
        "readable(path, \"u+rX\")",
        1,
        "a_registry_that_cannot_be_read_is_opened_and_a_foreign_socket_named",
    ),
    (
        "service.rs",
        "INSTALL",
        1,
        "what_install_put_in_place_is_right_and_what_breaks_is_fixed",
    ),
    (
        "service.rs",
        "fix + INSTALL",
        1,
        "what_install_put_in_place_is_right_and_what_breaks_is_fixed",
    ),
    (
        "service.rs",
        "start()",
        1,
        "what_install_put_in_place_is_right_and_what_breaks_is_fixed",
    ),
    (
        "service.rs",
        "match state.manager {",
        1,
        "what_install_put_in_place_is_right_and_what_breaks_is_fixed",
    ),
    (
        "service.rs",
        "\"loginctl enable-linger\"",
        1,
        "a_service_that_ends_with_the_last_logout_is_noted",
    ),
    (
        "sessions.rs",
        "command",
        1,
        "a_session_without_hooks_is_resumed_or_gets_them",
    ),
    (
        "sessions.rs",
        "check",
        1,
        "a_session_without_hooks_is_resumed_or_gets_them",
    ),
    (
        "socket.rs",
        "&commands.install",
        1,
        "a_path_of_another_machine_in_a_shared_home_is_named_and_corrected",
    ),
    (
        "socket.rs",
        "edit(&config)",
        1,
        "a_socket_of_the_environment_or_the_configuration_is_changed",
    ),
    (
        "socket.rs",
        "&commands.start",
        1,
        "without_a_daemon_it_says_how_to_start_one",
    ),
    (
        "socket.rs",
        "commands.replace(pid.unwrap_or(0))",
        1,
        "a_daemon_that_accepts_nothing_is_replaced",
    ),
    (
        "socket.rs",
        "commands.replace(pid)",
        1,
        "a_daemon_without_its_socket_is_replaced",
    ),
    (
        "socket.rs",
        "format!(\"chmod 600 {}\", quote(path))",
        1,
        "a_socket_open_to_others_is_closed",
    ),
    (
        "trust.rs",
        "INSTALL_TRUST",
        1,
        "hooks_that_the_agent_does_not_trust_are_trusted",
    ),
];

/// Every file below `directory` whose name ends in `.rs`.
fn sources(directory: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

#[test]
fn every_command_that_is_proposed_is_tried() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests: String = sources(&root.join("tests/it"))
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    let mut places = BTreeMap::new();
    for (file, text) in sources(&root.join("src/doctor")) {
        if ["tests.rs", "agents.rs"].contains(&&*file) {
            continue;
        }
        for after in text.replace(".fix_if_any(", ".fix(").split(".fix(").skip(1) {
            let begin = after.trim_start().lines().next().unwrap().to_owned();
            let known = TRIED
                .iter()
                .find(|(of, what, ..)| *of == file && is_this(&begin, what));
            let Some((_, what, _, test)) = known else {
                panic!("src/doctor/{file} proposes `{begin}`, and no test in the table runs it");
            };
            let exists = tests.contains(&format!("fn {test}("));
            assert!(
                exists || test.starts_with(NOT_TRIED),
                "there is no test {test}"
            );
            *places.entry((file.clone(), *what)).or_insert(0) += 1;
        }
    }
    for (file, what, count, _) in TRIED {
        let found = places.get(&((*file).to_owned(), *what));
        assert_eq!(
            found,
            Some(count),
            "src/doctor/{file} proposes `{what}` in other places now"
        );
    }
}

/// `begin` is the call's line, `what` its argument or the argument's first words.
fn is_this(begin: &str, what: &str) -> bool {
    let rest = begin.strip_prefix(what);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([')', ' ', '.']))
}

#[test]
fn a_configuration_that_cannot_be_read_is_made_readable() {
    const OWNER: u32 = 4711;
    let fixture = Fixture::hooked();
    let file = fixture.0.config_file();
    let _daemon = fixture.daemon();
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let away = format!("mv {0} {0}.old", file.display());
    fixture.fixes("config", "config.toml", &away);
    // Opening one of these waits for a writer.
    let made = fixture.command("mkfifo").arg(&file).status().unwrap();
    assert!(made.success());
    fs::remove_dir(file.with_extension("toml.old")).unwrap();
    fixture.fixes("config", "config.toml", &away);

    fs::write(&file, "").unwrap();
    fs::set_permissions(fixture.0.path(), Permissions::from_mode(0o1777)).unwrap();
    std::os::unix::fs::chown(&file, Some(OWNER), Some(OWNER)).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o000)).unwrap();
    let doctor = || {
        let mut doctor = as_user(&fixture, OWNER, fixture.program().to_str().unwrap());
        doctor.env_remove("AGENT_CONSOLE_SOCKET");
        report(&doctor.args(["doctor", "--json"]).output().unwrap())
    };
    let unreadable = doctor();
    for name in ["socket", "config"] {
        let check = named(&unreadable, name);
        assert_eq!(check["level"], "wrong", "{check}");
        assert_eq!(check["fix"], format!("chmod -R u+r {}", file.display()));
    }
    let fix = named(&unreadable, "config")["fix"].as_str().unwrap();
    let fixed = as_user(&fixture, OWNER, "sh").args(["-c", fix]).status();
    assert!(fixed.unwrap().success());
    let readable = doctor();
    assert_eq!(named(&readable, "config")["level"], "ok", "{readable}");
}

#[test]
fn a_configuration_that_the_daemon_has_refused_is_edited_and_read_again() {
    let fixture = Fixture::hooked();
    let daemon = fixture.daemon();
    fixture.0.configure("log = 1");
    daemon.signal("HUP");
    let fix = until("the refusal", || {
        let report = fixture.run_checks();
        let check = named(&report, "notices");
        (check["level"] == "wrong").then(|| check["fix"].as_str().unwrap().to_owned())
    });
    fixture.sh(&format!("export EDITOR='sed -i s/1/\"debug\"/'; {fix}")
        .replace("\"debug\"", "\\\"debug\\\""));
    until("the new settings", || {
        (named(&fixture.run_checks(), "notices")["level"] == "ok").then_some(())
    });
}

#[test]
fn a_hook_that_does_not_report_is_installed_anew() {
    let fixture = Fixture::hooked();
    let _daemon = fixture.daemon();
    let settings = fs::read_to_string(fixture.settings()).unwrap();
    let wrapper = fixture.0.path().join("home/agent-console");
    for (script, part) in [
        ("#!/bin/sh\nexit 1\n", "the hook cannot be run"),
        ("#!/bin/sh\n", "20 of 20 reports did not arrive"),
    ] {
        write_program(&wrapper, script);
        let own = fixture.program();
        let text = settings.replace(own.to_str().unwrap(), wrapper.to_str().unwrap());
        fs::write(fixture.settings(), text).unwrap();
        fixture.fixes("latency", part, "agent-console install --hooks");
    }
}

/// The agent's registry shows a turn, and no hook reports it.
#[test]
fn a_session_without_hooks_is_resumed_or_gets_them() {
    let fixture = Fixture::new();
    let _daemon = fixture.daemon();
    let agent = Sleeper::start();
    let work = fixture.0.path().join("work");
    fs::create_dir(&work).unwrap();
    let entry = |pid: u32, status: &str| {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let now = u64::try_from(now.as_millis()).unwrap();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let start = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .nth(19)
            .unwrap();
        let entry = json!({
            "pid": pid, "sessionId": "i", "cwd": work, "startedAt": now, "procStart": start, "entrypoint": "cli",
            "status": status, "statusUpdatedAt": now, "updatedAt": now
        });
        let file = fixture
            .0
            .path()
            .join(format!("home/.claude/sessions/{pid}.json"));
        fs::write(file.with_extension("new"), entry.to_string()).unwrap();
        fs::rename(file.with_extension("new"), file).unwrap();
    };
    let sessions = || named(&fixture.run_checks(), "sessions").clone();
    // Each state is seen before the next is written: what does not last is no turn.
    entry(agent.pid(), "idle");
    until("the idle session", || {
        (sessions()["level"] == "note").then_some(())
    });
    entry(agent.pid(), "busy");
    let silent = || -> Value {
        until("the silent session", || {
            let check = sessions();
            (check["level"] == "wrong").then_some(check)
        })
    };
    let check = silent();
    assert_eq!(check["fix"], "agent-console install --hooks", "{check}");
    fixture.sh("agent-console install --hooks");
    // With hooks in its settings, it was started in a way of its own.
    let check = silent();
    let fix = format!("cd {} && claude --resume i", work.display());
    assert_eq!(check["fix"], fix, "{check}");
    assert!(
        check["what"].as_str().unwrap().contains("leave it first"),
        "{check}"
    );

    // What the agent does then: its hooks report.
    let claude = fixture.0.path().join("bin/claude");
    let script = "#!/bin/sh
printf '{\"hook_event_name\":\"UserPromptSubmit\",\"session_id\":\"%s\"}' \"$2\" | agent-console hook claude-code\n";
    write_program(&claude, script);
    drop(agent);
    fixture.sh(&fix);
    until("the session to be right", || {
        (sessions()["level"] != "wrong").then_some(())
    });
}

#[test]
fn a_socket_of_the_environment_or_the_configuration_is_changed() {
    let fixture = Fixture::hooked();
    let socket = fixture.0.socket();
    fixture
        .0
        .configure(&format!("socket = {:?}", socket.to_str().unwrap()));
    let _daemon = fixture.daemon();
    let check = |prepare: &str| -> Value {
        let line = format!("{prepare}; agent-console doctor --json");
        let output = fixture.command("sh").args(["-c", &line]).output().unwrap();
        named(&report(&output), "socket").clone()
    };
    for value in ["relative", "/nowhere/socket"] {
        let set = format!("export AGENT_CONSOLE_SOCKET={value}");
        let wrong = check(&set);
        assert_eq!(wrong["fix"], "unset AGENT_CONSOLE_SOCKET", "{wrong}");
        let right = check(&format!("{set}; {}", wrong["fix"].as_str().unwrap()));
        assert_eq!(right["level"], "ok", "{right}");
    }

    fixture.0.configure("socket = \"/nowhere/socket\"");
    let unset = "unset AGENT_CONSOLE_SOCKET";
    let wrong = check(unset);
    assert!(
        wrong["what"]
            .as_str()
            .unwrap()
            .contains("the directory of this path"),
        "{wrong}"
    );
    let fix = wrong["fix"].as_str().unwrap();
    let directory = socket.parent().unwrap().display();
    fixture.sh(&format!("EDITOR='sed -i s,/nowhere,{directory},'; {fix}"));
    assert_eq!(check(unset)["level"], "ok");
}

/// As one that hangs: any other binds its socket again.
#[test]
fn a_daemon_without_its_socket_is_replaced() {
    let fixture = Fixture::hooked();
    let daemon = fixture.daemon();
    daemon.signal("STOP");
    fs::remove_file(fixture.0.socket()).unwrap();
    let pid = daemon.pid();
    let replace = format!("kill -9 {pid} && sleep 1 && agent-console daemon --daemonize");
    let what = format!("process {pid} holds the lock");
    fixture.fixes("socket", &what, &replace);
    fixture.0.ok(&["stop", "--force"]);
}

/// Its queue is full, so that it cannot be asked to leave. A queue of one needs a network namespace of its own.
#[cfg(target_os = "linux")]
#[test]
fn a_daemon_that_accepts_nothing_is_replaced() {
    const SCRIPT: &str = r#"
mount -t proc none /proc 2>/dev/null || true
echo 1 >/proc/sys/net/core/somaxconn
agent-console daemon & daemon=$!
until agent-console status >/dev/null 2>&1; do sleep .05; done
kill -STOP $daemon
python3 -c '
import os, socket, subprocess, sys, time
full = []
for _ in range(9):
    client = socket.socket(socket.AF_UNIX); client.setblocking(False)
    try: client.connect(os.environ["AGENT_CONSOLE_SOCKET"])
    except BlockingIOError: break
    full.append(client)
subprocess.run(["sh", "-c", "agent-console doctor --json >report"])'
fix=$(python3 -c 'import json; print([c for c in json.load(open("report"))["checks"] if c["name"] == "socket"][0]["fix"])')
grep -q "has accepted no connection" report
echo "$fix"
[ "$fix" = "kill -9 $daemon && sleep 1 && agent-console daemon --daemonize" ]
sh -c "$fix"
agent-console doctor | grep "^ok *socket"
agent-console stop --force
"#;
    let fixture = Fixture::hooked();
    let mut command = fixture.command("unshare");
    command.args(["--net", "sh", "-euc", SCRIPT]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
