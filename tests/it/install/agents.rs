//! Each agent's own form: files as before after `uninstall`, and commands that harm no agent when the program is gone.

use super::*;

/// What people have in an agent's configuration directory; `None`: no such file.
const AGENTS: [(&str, &str, Option<&str>); 6] = [
    (".claude", "settings.json", Some(SETTINGS[1])),
    (
        ".gemini",
        "settings.json",
        Some("{\n  // theme\n  \"ui\": {\"theme\": \"x\"}, /* last */\n}\n"),
    ),
    (".copilot", "hooks/agent-console.json", None),
    (".config/opencode", "plugins/agent-console.js", None),
    (".codex", "hooks.json", None),
    (
        ".qwen",
        "settings.json",
        Some("{\n  \"ui\": {\"theme\": \"x\"} /* last */\n}\n"),
    ),
];

/// A place whose home has the directory of each agent.
fn with_agents() -> Place {
    let place = Place::new();
    for (directory, file, text) in AGENTS {
        let directory = place.path().join("home").join(directory);
        fs::create_dir_all(&directory).unwrap();
        if let Some(text) = text {
            fs::write(directory.join(file), text).unwrap();
        }
    }
    place
}

fn file(place: &Place, agent: usize) -> PathBuf {
    let (directory, file, _) = AGENTS[agent];
    place.path().join("home").join(directory).join(file)
}

#[test]
fn every_agent_that_is_there_gets_its_hooks_and_loses_them() {
    let place = with_agents();
    let before = listing(place.path());
    place.ok(&["install", "--hooks", "--dry-run"]);
    assert_eq!(listing(place.path()), before);
    let said = place.ok(&["install", "--hooks"]);
    for title in [
        "Claude Code",
        "Gemini CLI",
        "Copilot CLI",
        "opencode",
        "Codex CLI",
        "Qwen Code",
    ] {
        assert!(said.lines().next().unwrap().contains(title), "{said}");
    }
    for agent in 0..AGENTS.len() {
        assert!(file(&place, agent).exists());
    }
    let after = listing(place.path());
    let again = place.ok(&["install", "--hooks"]);
    assert!(again.ends_with("hooks: nothing to do\n"), "{again}");
    assert_eq!(listing(place.path()), after);
    place.ok(&["uninstall", "--hooks"]);
    assert_eq!(listing(place.path()), before);

    place.ok(&["install", "--hooks", "--agent", "copilot"]);
    assert!(file(&place, 2).exists() && !file(&place, 3).exists());
    place.ok(&["uninstall", "--hooks", "--agent", "copilot"]);
    assert_eq!(listing(place.path()), before);
}

#[test]
fn a_file_of_ours_that_was_edited_is_the_users() {
    let place = with_agents();
    place.ok(&["install", "--hooks", "--agent", "copilot"]);
    let edited = "{\"version\": 1}";
    fs::write(file(&place, 2), edited).unwrap();
    let refused = place.run(&["install", "--hooks", "--agent", "copilot"]);
    assert!(shown(&refused).contains("was edited"), "{refused:?}");
    let said = place.ok(&["uninstall", "--hooks", "--agent", "copilot"]);
    assert!(said.contains("was edited"), "{said}");
    assert_eq!(fs::read_to_string(file(&place, 2)).unwrap(), edited);
}

#[test]
fn an_agent_works_on_when_the_program_is_gone() {
    let place = with_agents();
    let bin = place.path().join("bin it's");
    fs::create_dir(&bin).unwrap();
    let copy = bin.join("agent-console");
    crate::support::copy(program(), &copy);
    let named = place.command(["install", "--hooks"]);
    let variables = named.get_envs();
    let installed = Command::new(&copy)
        .args(["install", "--hooks"])
        .env_clear()
        .envs(variables.filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(installed.status.success(), "{installed:?}");
    for is_gone in [false, true] {
        if is_gone {
            fs::remove_file(&copy).unwrap();
        }
        let mut ran = 0;
        for (agent, shell, key) in [
            (1, "bash", "command"),
            (2, "bash", "bash"),
            (4, "sh", "command"),
            (5, "bash", "command"),
        ] {
            // As the agent reads it, without the comments.
            let text = fs::read_to_string(file(&place, agent)).unwrap();
            let text = text.replace("// theme", "").replace(", /* last */", "");
            let text = text.replace("/* last */", "");
            let settings: Value = serde_json::from_str(&text).unwrap();
            for command in commands(&settings["hooks"], key) {
                let done = Command::new(shell)
                    .args(["-c", &command])
                    .env_clear()
                    .env("PATH", "/usr/bin:/bin")
                    .env("AGENT_CONSOLE_SOCKET", place.path().join("none.sock"))
                    .stdin(Stdio::null())
                    .output()
                    .unwrap();
                assert!(done.status.success(), "{command}: {done:?}");
                assert_eq!(shown(&done), "", "{command}");
                ran += 1;
            }
        }
        assert!(ran > 40, "{ran}");
    }
}

/// The texts of this key, at any depth.
fn commands(value: &Value, wanted: &str) -> Vec<String> {
    match value {
        Value::Object(members) => {
            let own = members.get(wanted).and_then(Value::as_str);
            let below = members.values().flat_map(|value| commands(value, wanted));
            own.map(str::to_owned).into_iter().chain(below).collect()
        }
        Value::Array(elements) => {
            let below = elements.iter();
            below.flat_map(|value| commands(value, wanted)).collect()
        }
        _ => Vec::new(),
    }
}
