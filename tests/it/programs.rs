//! The three programs: the command becomes the service that lies beside it, does without one, and is never mixed with
//! another version.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::support::{Place, copy, executable, program, service, until, write_program};

/// A directory of the place with copies of these programs.
fn copies(place: &Place, programs: &[&Path]) -> PathBuf {
    let directory = place.path().join("bin");
    fs::create_dir(&directory).unwrap();
    for program in programs {
        copy(program, &directory.join(program.file_name().unwrap()));
    }
    directory
}

/// A program with the place's environment.
fn command(place: &Place, program: &Path, arguments: &[&str]) -> Command {
    let usual = place.command(arguments);
    let mut command = Command::new(program);
    let variables = usual.get_envs();
    command
        .args(arguments)
        .env_clear()
        .envs(variables.filter_map(|(name, value)| Some((name, value?))))
        .current_dir(place.path())
        .stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_command_becomes_the_service_as_the_same_process() {
    let place = Place::new();
    let mut daemon = place.daemon();
    assert_eq!(place.json(&["status", "--json"])["pid"], daemon.pid());
    assert_eq!(executable(daemon.pid()), service());
    place.ok(&["stop"]);
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn the_service_goes_to_the_background_and_takes_the_socket_that_is_named() {
    let place = Place::new();
    place.configure("");
    let socket = place.path().join("own socket");
    let socket = socket.to_str().unwrap();
    let pid = place.ok(&["daemon", "--daemonize", "--socket", socket]);
    let pid: u32 = pid.trim().parse().unwrap();
    assert_eq!(executable(pid), service());
    let status = place.json(&["--socket", socket, "status", "--json"]);
    assert_eq!(status["pid"], pid);
    place.ok(&["--socket", socket, "stop"]);
}

#[test]
fn the_service_is_found_beside_the_file_that_a_link_leads_to() {
    let place = Place::new();
    let link = place.path().join("agent-console");
    symlink(program(), &link).unwrap();
    let daemon = place.start(command(&place, &link, &["daemon"]));
    assert_eq!(executable(daemon.pid()), service());
}

#[test]
fn a_program_copied_alone_serves_itself() {
    let place = Place::new();
    let own = copies(&place, &[program()]).join("agent-console");
    let daemon = place.start(command(&place, &own, &["daemon"]));
    assert_eq!(executable(daemon.pid()), own);
    assert_eq!(place.json(&["list", "--json"]), json!([]));
    assert_eq!(daemon.log().lines().count(), 1, "{}", daemon.log());
}

#[test]
fn the_program_serves_itself_where_the_service_cannot_be_started() {
    for contents in ["#!/nowhere/sh\n", "", "exit 0\n", "\u{7f}ELF"] {
        let place = Place::new();
        let directory = copies(&place, &[program()]);
        let broken = directory.join("agent-consoled");
        write_program(&broken, contents);
        let own = directory.join("agent-console");
        let daemon = place.start(command(&place, &own, &["daemon"]));
        assert_eq!(executable(daemon.pid()), own);
        let log = daemon.log();
        assert!(
            log.contains("agent-consoled: ") && log.contains("serves without it"),
            "{log}"
        );
        let doctor = command(&place, &own, &["doctor"]).output().unwrap();
        let said = text(&doctor.stdout);
        let line = format!("wrong  programs  {} cannot be run", broken.display());
        assert!(said.contains(&line), "{contents:?}: {said}");
    }
}

#[test]
fn a_service_of_another_version_execs_the_program_that_started_it() {
    let place = Place::new();
    let socket = place.socket();
    let mut words = vec!["--started-by", "0.0.9", program().to_str().unwrap()];
    words.extend(["--socket", socket.to_str().unwrap()]);
    let daemon = place.start(command(&place, service(), &words));
    assert_eq!(place.json(&["status", "--json"])["pid"], daemon.pid());
    assert_eq!(executable(daemon.pid()), program());
    drop(daemon);

    words[2] = "/nowhere/agent-console";
    let refused = command(&place, service(), &words).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let said = text(&refused.stderr);
    assert!(
        said.contains("/nowhere/agent-console of version 0.0.9"),
        "{said}"
    );
}

#[test]
fn the_service_accepts_only_its_own_arguments() {
    let place = Place::new();
    let run = |words: &[&str]| -> Output { command(&place, service(), words).output().unwrap() };
    let version = run(&["--version"]);
    let expected = format!("agent-consoled {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&version.stdout), expected, "{version:?}");
    let help = run(&["--help"]);
    assert!(
        text(&help.stdout).contains("[--daemonize] [--socket PATH]"),
        "{help:?}"
    );
    for words in [&["daemon"][..], &["--socket"], &["--nonsense"]] {
        let refused = run(words);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        let said = text(&refused.stderr);
        assert!(
            said.starts_with("agent-consoled: ") && said.lines().count() == 1,
            "{said}"
        );
        assert!(refused.stdout.is_empty());
    }
    assert!(!place.socket().exists());
}

#[test]
fn a_service_without_its_command_says_so_of_the_limits() {
    let place = Place::new();
    place.configure("[usage]\nenabled = true\n");
    let own = copies(&place, &[service()]).join("agent-consoled");
    let _daemon = place.start(command(&place, &own, &[]));
    let mut dashboard = place.connect();
    let snapshot = dashboard.ask("subscribe", json!({}))["result"].take();
    let usage = match &snapshot["usage"]["problem"] {
        serde_json::Value::Null => dashboard.notified("usage.changed")["usage"].take(),
        _ => snapshot["usage"].clone(),
    };
    let shown = usage.to_string();
    assert!(shown.contains("fetch_failed"), "{shown}");
    assert!(
        shown.contains("there is no agent-console beside"),
        "{shown}"
    );
}

#[test]
fn the_short_name_is_the_program_beside_it() {
    let place = Place::new();
    let acd = Path::new(env!("CARGO_BIN_EXE_acd"));
    let _daemon = place.daemon();
    place.ok(&["report", "build", "working"]);
    let listed = command(&place, acd, &["list", "--json"]).output().unwrap();
    assert_eq!(text(&listed.stdout), place.ok(&["list", "--json"]));
    let missing = command(&place, acd, &["get", "nothing"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(1), "{missing:?}");

    let mut hook = command(&place, acd, &["hook"]);
    hook.env("CLAUDE_PID", std::process::id().to_string());
    let mut hook = hook.stdin(Stdio::piped()).spawn().unwrap();
    let event = br#"{"session_id":"x","hook_event_name":"UserPromptSubmit"}"#;
    hook.stdin.take().unwrap().write_all(event).unwrap();
    assert!(hook.wait().unwrap().success());
    until("its session", || {
        (place.json(&["list", "--json"]).as_array().unwrap().len() == 2).then_some(())
    });

    let alone = copies(&place, &[acd]).join("acd");
    let output = command(&place, &alone, &["list"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stderr);
    assert!(said.contains("there is no agent-console beside"), "{said}");

    // Never itself, for ever.
    let renamed = alone.with_file_name("agent-console");
    std::fs::rename(&alone, &renamed).unwrap();
    std::os::unix::fs::symlink("agent-console", &alone).unwrap();
    for program in [renamed, alone] {
        let output = command(&place, &program, &["list"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
}
