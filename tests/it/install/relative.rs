//! A relative path in a variable that names a directory: another directory for each program, so none at all.

use super::*;

/// The program in the place's directory, where nothing may be made.
fn run(place: &Place, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = place.command(arguments);
    command.env("XDG_RUNTIME_DIR", "rel/run");
    for (name, value) in variables {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    assert!(!place.path().join("rel").exists(), "{arguments:?}");
    output
}

#[test]
fn a_relative_home_is_no_home() {
    let place = Place::new();
    for home in ["rel", "./rel", ""] {
        let variables = [
            ("HOME", home),
            ("XDG_CONFIG_HOME", "rel/config"),
            ("XDG_STATE_HOME", "rel/state"),
        ];
        for arguments in [
            &["install"][..],
            &["install", "--hooks"],
            &["install", "--statusline"],
            &["install", "--hooks", "--agent", "opencode"],
            &["uninstall"],
            &["config", "path"],
            &["config", "init"],
        ] {
            let output = run(&place, &variables, arguments);
            let said = shown(&output);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
            assert!(said.contains("absolute path"), "{arguments:?}: {said}");
        }
        for arguments in [&["hook"][..], &["statusline"], &["list"], &["doctor"]] {
            run(&place, &variables, arguments);
        }
        let output = run(&place, &variables, &["daemon", "--daemonize"]);
        assert!(output.status.success(), "{output:?}");
        run(&place, &variables, &["doctor"]);
        let output = run(&place, &variables, &["stop", "--force"]);
        assert!(output.status.success(), "{output:?}");
    }
}

/// The XDG base directory specification has programs ignore a relative path.
#[test]
fn a_relative_base_directory_is_ignored() {
    let place = Place::new();
    let settings = settings(&place);
    let variables = [("XDG_CONFIG_HOME", "rel"), ("XDG_STATE_HOME", "rel")];
    let output = run(&place, &variables, &["install", "--hooks"]);
    assert!(output.status.success(), "{output:?}");
    assert!(settings.exists());
    let record = place.path().join("home/.local/state/agent-console");
    assert!(record.is_dir());
    let output = run(&place, &variables, &["config", "path"]);
    let expected = place.config_file();
    assert_eq!(shown(&output).trim_end(), expected.to_str().unwrap());
    let output = run(&place, &variables, &["uninstall"]);
    assert!(output.status.success(), "{output:?}");
    assert!(!record.exists());
}

/// The agent takes it from its own working directory: the default is not what it uses.
#[test]
fn a_relative_directory_of_an_agent_is_refused() {
    let place = Place::new();
    for (variable, agent) in [
        ("CLAUDE_CONFIG_DIR", "claude-code"),
        ("CODEX_HOME", "codex"),
        ("GEMINI_CLI_HOME", "gemini"),
        ("COPILOT_HOME", "copilot"),
        ("OPENCODE_CONFIG_DIR", "opencode"),
    ] {
        let variables = [(variable, "rel")];
        for command in ["install", "uninstall"] {
            let arguments = [command, "--hooks", "--agent", agent];
            let output = run(&place, &variables, &arguments);
            let said = shown(&output);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
            let why = format!("{variable} is rel, which is not an absolute path");
            assert!(said.contains(&why), "{arguments:?}: {said}");
        }
        let output = run(&place, &variables, &["doctor", "--json"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let fix = format!("unset {variable}");
        assert!(checks.iter().any(|check| check["fix"] == *fix), "{report}");
    }
}
