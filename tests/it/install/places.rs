//! Whose settings are changed: agents that are there, each of their directories, and files that cannot be written.

use super::*;

/// An agent that has not run and whose program is not in `PATH`.
#[test]
fn an_absent_agent_gets_settings_only_if_it_is_named() {
    let place = Place::new();
    let file = place.path().join("home/.claude/settings.json");
    let install = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        let output = command.env("PATH", place.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let before = listing(place.path());
    let said = install(&["install", "--hooks"]);
    assert!(said.contains("`--agent claude-code`"), "{said}");
    assert_eq!(listing(place.path()), before);

    install(&["install", "--hooks", "--agent", "claude-code"]);
    assert!(file.exists());
    install(&["uninstall"]);
    assert_eq!(listing(place.path()), before);

    // Installed, and not started yet.
    symlink("/bin/true", place.path().join("claude")).unwrap();
    install(&["install", "--hooks"]);
    assert!(file.exists());

    let unknown = place.run(&["install", "--agent", "nonsense"]);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    assert!(shown(&unknown).contains("claude-code"), "{unknown:?}");
}

/// People with several accounts have a configuration directory for each.
#[test]
fn each_configuration_directory_gets_the_hooks_and_loses_them() {
    let place = Place::new();
    let home = place.path().join("home");
    let named = place.path().join("elsewhere");
    fs::create_dir_all(home.join(".claude")).unwrap();
    fs::create_dir_all(home.join(".claude-work/sessions")).unwrap();
    fs::create_dir_all(&named).unwrap();
    fs::write(named.join("settings.json"), SETTINGS[1]).unwrap();
    // No agent's.
    fs::create_dir_all(home.join(".claude-squad")).unwrap();
    place.configure(&format!(
        "[agents.claude-code]\nconfig_dirs = [{:?}, \"/nowhere\"]\n",
        named.to_str().unwrap()
    ));
    let before = listing(place.path());

    let said = place.ok(&["install", "--hooks"]);
    let files = [
        home.join(".claude/settings.json"),
        home.join(".claude-work/settings.json"),
        named.join("settings.json"),
    ];
    for file in &files {
        assert!(said.contains(file.to_str().unwrap()), "{said}");
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains("\"UserPromptSubmit\""), "{text}");
    }
    assert!(!home.join(".claude-squad/settings.json").exists());
    assert!(!Path::new("/nowhere").exists());
    assert_eq!(place.ok(&["install", "--hooks"]), "hooks: nothing to do\n");

    // One that is wrong costs itself alone.
    let good = fs::read_to_string(&files[1]).unwrap();
    fs::write(&files[1], "{").unwrap();
    fs::write(&files[2], SETTINGS[1]).unwrap();
    let output = place.run(&["install", "--hooks"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(shown(&output).contains(".claude-work/settings.json:1:"));
    assert!(fs::read_to_string(&files[2]).unwrap().contains("hooks"));

    // Also one that is not named any more.
    fs::write(&files[1], good).unwrap();
    let configuration = fs::read_to_string(place.config_file()).unwrap();
    place.configure("");
    place.ok(&["uninstall", "--hooks"]);
    fs::write(place.config_file(), configuration).unwrap();
    assert_eq!(listing(place.path()), before);
}

/// As in a store of generated files: a link into a file system that is mounted read-only.
#[cfg(target_os = "linux")]
#[test]
fn settings_that_cannot_be_written_are_shown_and_nothing_is_left_behind() {
    const SCRIPT: &str =
        "mount --bind \"$1\" \"$1\"; mount -o remount,ro,bind \"$1\"; shift; \"$@\"";
    assert!(
        rustix::process::geteuid().is_root(),
        "this test mounts a directory read-only: run it as root"
    );
    let place = Place::new();
    let store = place.path().join("store");
    let real = store.join("settings.json");
    fs::create_dir(&store).unwrap();
    fs::write(&real, SETTINGS[1]).unwrap();
    symlink(&real, settings(&place)).unwrap();
    let read_only = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        let usual = place.command([] as [&str; 0]);
        let variables = usual.get_envs();
        command
            .env_clear()
            .envs(variables.filter_map(|(name, value)| Some((name, value?))))
            .args([
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-euc",
                SCRIPT,
                "sh",
            ])
            .args([&*store, program()])
            .args(arguments)
            .current_dir(place.path());
        home::run(&mut command)
    };
    let before = listing(place.path());
    for parts in [&["--hooks"][..], &["--hooks", "--statusline"]] {
        let output = read_only(&[&["install"], parts].concat());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = shown(&output);
        assert!(
            said.contains(&format!("cannot write {}, to which", real.display())),
            "{said}"
        );
        assert!(
            said.contains("settings.json leads: Read-only file system"),
            "{said}"
        );
        assert!(
            said.contains("make this change there") && said.contains("\"UserPromptSubmit\""),
            "{said}"
        );
        assert!(!said.contains("made_own_directories"), "{said}");
        assert_eq!(listing(place.path()), before, "nothing is left behind");
    }
    let doctor = || {
        let said = shown(&read_only(&["doctor"]));
        let hooks = said.lines().skip_while(|line| !line.contains(" hooks "));
        hooks.take(2).collect::<Vec<_>>().join("\n")
    };
    let said = doctor();
    assert!(
        said.contains("calls no hook of ours") && said.contains(real.to_str().unwrap()),
        "{said}"
    );
    assert!(
        said.contains("cannot be written (Read-only file system"),
        "{said}"
    );
    // Not the command that has just failed.
    assert!(!said.contains("fix:"), "{said}");

    // Nor does another check propose it.
    let said = shown(&read_only(&["doctor"]));
    assert!(
        !said.contains("fix: agent-console install --hooks"),
        "{said}"
    );

    // What was shown is what is right.
    let by_hand = place.ok(&["install", "--hooks", "--dry-run"]);
    assert!(by_hand.contains("UserPromptSubmit"), "{by_hand}");
    place.ok(&["install", "--hooks"]);
    assert!(doctor().starts_with("ok"), "{}", doctor());
    let refused = read_only(&["uninstall", "--hooks"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    place.ok(&["uninstall", "--hooks"]);
    assert_eq!(listing(place.path()), before);
}
