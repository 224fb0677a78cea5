//! `config`, and where the socket's path comes from.

use std::fs;

use serde_json::Value;

use super::{FAILURE, complaint, text};
use crate::support::Place;

#[test]
fn config_finds_shows_checks_and_begins_a_file() {
    let place = Place::new();
    let file = place.config_file();
    let shown = file.to_str().unwrap();
    assert_eq!(place.ok(&["config", "path"]), format!("{shown}\n"));
    assert!(place.ok(&["config", "check"]).contains("no such file"));
    assert_eq!(place.ok(&["config", "init"]), format!("wrote {shown}\n"));
    assert_eq!(place.ok(&["config", "check"]), format!("{shown}: ok\n"));
    let said = complaint(&place.run(&["config", "init"]), FAILURE);
    assert!(said.contains("is there already"), "{said}");

    place.configure("idle_timeout = \"90min\"\nsocket = \"/run/x\"\n");
    let show = place.ok(&["config", "show"]);
    assert!(
        show.contains("idle_timeout = \"1h 30m\" # file\n"),
        "{show}"
    );
    assert!(show.contains("log = \"info\" # default\n"), "{show}");
    assert!(
        show.contains(&format!(
            "socket = \"{}\" # environment\n",
            place.socket().display()
        )),
        "{show}"
    );
    let show = place.ok(&["config", "show", "--socket", "/run/y"]);
    assert!(show.contains("socket = \"/run/y\" # flag\n"), "{show}");

    // The place of a mistake, and the line with a mark under it.
    place.configure("log = \"info\"\nhistory = \"many\"\n");
    for arguments in [&["config", "check"][..], &["config", "show"], &["daemon"]] {
        let output = place.run(arguments);
        assert_eq!(output.status.code(), Some(FAILURE));
        assert_eq!(text(&output.stdout), "");
        let said = text(&output.stderr);
        let mut lines = said.lines();
        let first = lines.next().unwrap();
        assert!(
            first.starts_with(&format!("agent-console: {shown}:2:11: history: ")),
            "{said}"
        );
        assert_eq!(lines.next(), Some("    history = \"many\""), "{said}");
        assert_eq!(lines.next(), Some("              ^"), "{said}");
        assert_eq!(lines.next(), None, "{said}");
    }
    assert_eq!(place.ok(&["config", "path"]), format!("{shown}\n"));

    let output = place
        .command(["config", "path"])
        .env_remove("HOME")
        .output()
        .unwrap();
    let said = complaint(&output, FAILURE);
    assert!(said.contains("set HOME"), "{said}");
}

#[test]
fn the_flag_beats_the_variable_beats_the_file_beats_the_default() {
    let (flag, variable, file) = (Place::new(), Place::new(), Place::new());
    let _daemons = [flag.daemon(), variable.daemon(), file.daemon()];
    for (name, place) in [("flag", &flag), ("variable", &variable), ("file", &file)] {
        place.ok(&["report", name, "idle"]);
    }
    let place = Place::new();
    place.configure(&format!("socket = \"{}\"\n", file.socket().display()));
    let answered_by = |with_variable: bool, arguments: &[&str]| {
        let mut command = place.command(arguments.iter().chain(&["--json"]));
        command.env_remove("AGENT_CONSOLE_SOCKET");
        if with_variable {
            command.env("AGENT_CONSOLE_SOCKET", variable.socket());
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let list: Value = serde_json::from_slice(&output.stdout).unwrap();
        list[0]["key"].as_str().unwrap().to_owned()
    };
    let socket = flag.socket();
    let socket = socket.to_str().unwrap();
    assert_eq!(answered_by(true, &["list", "--socket", socket]), "flag");
    assert_eq!(answered_by(true, &["--socket", socket, "list"]), "flag");
    assert_eq!(answered_by(false, &["list", "--socket", socket]), "flag");
    assert_eq!(answered_by(true, &["list"]), "variable");
    assert_eq!(answered_by(false, &["list"]), "file");
    // The default is only named: what answers there is none of a test's business.
    fs::remove_file(place.config_file()).unwrap();
    let output = place
        .command(["config", "show"])
        .env_remove("AGENT_CONSOLE_SOCKET")
        .output()
        .unwrap();
    let show = text(&output.stdout);
    assert!(
        show.starts_with("socket = \"/tmp/agent-console.sock\" # default\n"),
        "{show}"
    );
}
